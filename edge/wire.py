"""Wire format v1: one point cloud as bytes. Little-endian, planar, 4-byte aligned; see ``docs/wire.md``.

Planar, so that a browser maps each plane as a typed array without copying; int16 within the cloud's own box,
because that costs as much as float16 and is twenty times finer. Both the server and the clients use this module.
"""

import struct
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from edge.errors import WireError
from edge.geometry import Cloud

MAGIC = b"CCPW"
VERSION = 1
FLAG_RGB = 1
FLAG_CONFIDENCE = 2
FLAG_MARK = 4
KNOWN_FLAGS = FLAG_RGB | FLAG_CONFIDENCE | FLAG_MARK
#: magic, version, flags, header length, count, seq, captured, published, epoch offset, centre, half-extent.
HEADER = struct.Struct("<4sHHIIQQQq3f3f")
#: Integers above this are not exact in JavaScript.
MAX_SEQ = 2**53 - 1
#: A million points is 60 times more than any network here gives; more is a damaged header.
MAX_POINTS = 1 << 20
#: Largest coordinate of a box that is believed: the largest float32, less what rounding adds.
FARTHEST = 3.4e38
#: int16 steps from the centre of the box to its face.
STEPS = 32767


class Packet(NamedTuple):
    """One decoded frame.

    captured_us, published_us: microseconds on the server's monotonic clock.
    epoch_offset_us: add it to either to get microseconds since 1970 on the server's wall clock.
    centre, half: (3,) float32, the box the points lie in, canonical frame.
    cloud: points (N, 3) float32, exact to ``half / 65534`` (and float32); rgb, confidence and mark if they were
    sent.
    """

    seq: int
    captured_us: int
    published_us: int
    epoch_offset_us: int
    centre: np.ndarray
    half: np.ndarray
    cloud: Cloud


def _aligned(size: int) -> int:
    return (size + 3) & ~3


def plane_layout(count: int, flags: int) -> List[Tuple[str, int, int]]:
    """Planes in the order they follow the header: (name, offset from the header's end, size without padding)."""
    names = [("x", 2), ("y", 2), ("z", 2)]
    if flags & FLAG_RGB:
        names += [("r", 1), ("g", 1), ("b", 1)]
    if flags & FLAG_CONFIDENCE:
        names += [("confidence", 1)]
    if flags & FLAG_MARK:
        names += [("mark", 1)]
    layout, offset = [], 0
    for name, width in names:
        layout.append((name, offset, count * width))
        offset += _aligned(count * width)
    return layout


def bounding_box(planes: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Centre and half-extent (3,) float32 of coordinates (3, N); zeros if there is no point.

    The half-extent is widened to the next float32 where rounding the centre would leave a point outside. One too
    small to divide by counts as zero: the axis is flat.
    """
    if planes.shape[1] == 0:
        return np.zeros(3, np.float32), np.zeros(3, np.float32)
    lower, upper = planes.min(axis=1).astype(np.float64), planes.max(axis=1).astype(np.float64)
    centre = ((lower + upper) / 2).astype(np.float32)
    exact = np.maximum(upper - centre, centre - lower)
    half = exact.astype(np.float32)
    half = np.where(half < exact, np.nextafter(half, np.float32(np.inf)), half)
    return centre, np.where(half < 1e-30, 0, half).astype(np.float32)


def quantise(planes: np.ndarray, centre: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Coordinates (3, N) to int16 (3, N). An axis without extent (a flat cloud) becomes zeros."""
    scale = np.where(half > 0, STEPS / np.where(half > 0, half, 1), 0.0).astype(np.float32)
    steps = np.rint((planes - centre[:, None]) * scale[:, None])
    return np.clip(steps, -STEPS, STEPS).astype("<i2")


def encode(cloud: Cloud, seq: int, captured_us: int, published_us: int, epoch_offset_us: int = 0) -> bytes:
    """One cloud to bytes. Deterministic: the same arguments give the same bytes.

    Raises WireError if the cloud has points that are not finite, arrays that disagree in length, more than
    ``MAX_POINTS`` points, or if a number does not fit its field.
    """
    points = np.asarray(cloud.points, dtype=np.float32)
    if points.ndim != 2 or points.shape[1] != 3:
        raise WireError("a cloud's points have shape %s; the wire carries (N, 3)" % (points.shape,))
    count = points.shape[0]
    if count > MAX_POINTS:
        raise WireError("a cloud of %d points is more than the wire's %d; thin it out first" % (count, MAX_POINTS))
    if not np.isfinite(points).all():
        bad = int((~np.isfinite(points)).any(axis=1).sum())
        raise WireError("%d of %d points are not finite; the network or its input is broken" % (bad, count))
    columns = np.ascontiguousarray(points.T)
    centre, half = bounding_box(columns)
    flags = sum(flag for flag, plane in (
        (FLAG_RGB, cloud.rgb), (FLAG_CONFIDENCE, cloud.confidence), (FLAG_MARK, cloud.mark)) if plane is not None)
    planes = list(quantise(columns, centre, half))
    if cloud.rgb is not None:
        planes += list(np.asarray(cloud.rgb, np.uint8).reshape(-1, 3).T)
    if cloud.confidence is not None:
        unit = np.clip(np.nan_to_num(np.asarray(cloud.confidence, np.float32)), 0, 1)
        planes.append(np.rint(unit.reshape(-1) * 255).astype(np.uint8))
    if cloud.mark is not None:
        planes.append(np.asarray(cloud.mark, np.uint8).reshape(-1))
    if not 0 <= seq <= MAX_SEQ:
        raise WireError("sequence number %r is outside 0..2^53-1, which is what a browser can count" % (seq,))
    try:
        head = HEADER.pack(
            MAGIC, VERSION, flags, HEADER.size, count, seq, captured_us, published_us, epoch_offset_us, *centre, *half
        )
    except struct.error as error:
        raise WireError("a time does not fit the header: %s; times are whole microseconds" % error)
    return head + b"".join(_plane_bytes(plane, count) for plane in planes)


def _plane_bytes(plane: np.ndarray, count: int) -> bytes:
    if plane.shape[0] != count:
        raise WireError("a cloud of %d points carries a plane of %d values; they must agree" % (count, plane.shape[0]))
    body = np.ascontiguousarray(plane).tobytes()
    return body + bytes(_aligned(len(body)) - len(body))


def decode(data: bytes) -> Packet:
    """Bytes to a :class:`Packet`. Raises WireError, which says what is wrong, for anything but one whole v1 frame."""
    if data[:4] != MAGIC:
        raise WireError("these bytes do not start with %r: no carcloud frame; is this /api/v1/cloud of carcloud?"
                        % MAGIC.decode())
    if len(data) < HEADER.size:
        raise WireError("frame is cut short: %d bytes, the header alone has %d; ask again" % (len(data), HEADER.size))
    fields = HEADER.unpack_from(data)
    version, flags, header_length, count, seq = fields[1:6]
    if version != VERSION:
        raise WireError("frame has wire version %d and this side reads %d; install the same carcloud on both sides"
                        % (version, VERSION))
    if flags & ~KNOWN_FLAGS:
        raise WireError("frame has unknown flag bits 0x%04x; install the same carcloud on both sides"
                        % (flags & ~KNOWN_FLAGS))
    if header_length != HEADER.size:
        raise WireError("frame says its header has %d bytes, version 1 has %d; the frame is damaged"
                        % (header_length, HEADER.size))
    if count > MAX_POINTS or seq > MAX_SEQ:
        raise WireError("frame claims %d points and number %d, beyond the format's limits; the frame is damaged"
                        % (count, seq))
    layout = plane_layout(count, flags)
    wanted = HEADER.size + layout[-1][1] + _aligned(layout[-1][2])
    if len(data) != wanted:
        raise WireError("frame of %d points must have %d bytes and has %d: %s; ask again" % (
            count, wanted, len(data), "cut short" if len(data) < wanted else "bytes trail behind it"))
    centre, half = np.array(fields[9:12], np.float32), np.array(fields[12:15], np.float32)
    sound = np.isfinite(centre).all() and np.isfinite(half).all() and (half >= 0).all()
    # A box that reaches beyond float32 would give points that are not finite.
    if not (sound and (np.abs(centre.astype(np.float64)) + half <= FARTHEST).all()):
        raise WireError("frame has a box that is not finite or is inside out; the frame is damaged")
    return Packet(seq, fields[6], fields[7], fields[8], centre, half, _cloud(data, layout, count, centre, half))


def _cloud(data: bytes, layout: List[Tuple[str, int, int]], count: int, centre: np.ndarray, half: np.ndarray) -> Cloud:
    planes = {}
    for name, offset, size in layout:
        kind = "<i2" if name in ("x", "y", "z") else np.uint8
        planes[name] = np.frombuffer(data, kind, count, HEADER.size + offset) if size else np.zeros(0, kind)
    steps = np.stack([planes["x"], planes["y"], planes["z"]], axis=1).astype(np.float32)
    points = centre + steps * (half / np.float32(STEPS))
    rgb: Optional[np.ndarray] = None
    confidence: Optional[np.ndarray] = None
    if "r" in planes:
        rgb = np.stack([planes["r"], planes["g"], planes["b"]], axis=1)
    if "confidence" in planes:
        confidence = planes["confidence"].astype(np.float32) / np.float32(255)
    return Cloud(points.astype(np.float32), confidence, rgb, None, planes.get("mark"))
