"""Clouds on disk: binary PLY and NPZ. Written whole or not at all."""

import contextlib
import os
import tempfile
from typing import IO, Any, Dict, Iterator, List, Tuple

import numpy as np

from edge.errors import WireError
from edge.geometry import Cloud

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "<i2", "ushort": "<u2", "int": "<i4", "uint": "<u4", "float": "<f4",
    "double": "<f8", "int8": "i1", "uint8": "u1", "int16": "<i2", "uint16": "<u2", "int32": "<i4", "uint32": "<u4",
    "float32": "<f4", "float64": "<f8",
}  # fmt: skip


@contextlib.contextmanager
def atomic_file(path: str) -> Iterator[IO[bytes]]:
    """A binary file that appears under ``path`` only once it is complete and on the disk."""
    folder = os.path.dirname(os.path.abspath(path))
    handle = tempfile.NamedTemporaryFile(dir=folder, prefix="." + os.path.basename(path) + ".", delete=False)  # noqa: SIM115
    try:
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.chmod(handle.name, 0o666 & ~_umask())
        os.replace(handle.name, path)
    except BaseException:
        os.unlink(handle.name)
        raise


def to_bytes(cloud: Cloud, comments: Tuple[str, ...] = ()) -> bytes:
    """A binary little-endian PLY: x y z float, then red green blue uchar, confidence float and mark uchar where known.

    mark tells where the colour is from, see :class:`edge.geometry.Cloud`.
    comments: header lines; line breaks in them become spaces.
    """
    fields: List[Tuple[str, str]] = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    header = ["property float x", "property float y", "property float z"]
    if cloud.rgb is not None:
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
        header += ["property uchar red", "property uchar green", "property uchar blue"]
    if cloud.confidence is not None:
        fields.append(("confidence", "<f4"))
        header.append("property float confidence")
    if cloud.mark is not None:
        fields.append(("mark", "u1"))
        header.append("property uchar mark")
    table = np.empty(len(cloud.points), np.dtype(fields))
    for index, name in enumerate("xyz"):
        table[name] = cloud.points[:, index]
    if cloud.rgb is not None:
        for index, name in enumerate(("red", "green", "blue")):
            table[name] = cloud.rgb[:, index]
    if cloud.confidence is not None:
        table["confidence"] = cloud.confidence
    if cloud.mark is not None:
        table["mark"] = cloud.mark
    lines = ["ply", "format binary_little_endian 1.0"]
    lines += ["comment " + " ".join(text.split()) for text in comments]
    lines += ["element vertex %d" % len(table)] + header + ["end_header", ""]
    return "\n".join(lines).encode("ascii", "replace") + table.tobytes()


def write_ply(path: str, cloud: Cloud, comments: Tuple[str, ...] = ()) -> None:
    """Write :func:`to_bytes` to a file, whole or not at all."""
    with atomic_file(path) as handle:
        handle.write(to_bytes(cloud, comments))


def read_ply(path: str) -> Cloud:
    """Read a binary little-endian PLY with scalar vertex properties. Raises WireError."""
    with open(path, "rb") as handle:
        content = handle.read()
    closing = b"end_header\n"
    end = content.find(closing)
    if not content.startswith(b"ply") or end < 0:
        raise WireError("%s is no PLY file" % path)
    fields, count = _parse_header(path, content[:end].decode("ascii", "replace"))
    dtype = np.dtype(fields)
    body = content[end + len(closing) :]
    if len(body) < count * dtype.itemsize:
        raise WireError(
            "%s is cut short: it has %d of %d bytes; copy it again" % (path, len(body), count * dtype.itemsize)
        )
    table = np.frombuffer(body, dtype, count)
    names = dtype.names or ()
    rgb = _columns(table, ("red", "green", "blue"), np.uint8) if "red" in names else None
    confidence = table["confidence"].astype(np.float32) if "confidence" in names else None
    mark = table["mark"].astype(np.uint8) if "mark" in names else None
    return Cloud(_columns(table, ("x", "y", "z"), np.float32), confidence, rgb, None, mark)


def write_npz(path: str, cloud: Cloud, extra: Dict[str, Any]) -> None:
    """Write points (N, 3) float32, confidence, rgb, view and mark where known, and ``extra`` arrays or texts."""
    arrays: Dict[str, Any] = {"points": np.asarray(cloud.points, np.float32)}
    for name in ("confidence", "rgb", "view", "mark"):
        value = getattr(cloud, name)
        if value is not None:
            arrays[name] = value
    arrays.update((name, np.asarray(value)) for name, value in extra.items())
    with atomic_file(path) as handle:
        np.savez_compressed(handle, **arrays)


def _parse_header(path: str, text: str) -> Tuple[List[Tuple[str, str]], int]:
    fields: List[Tuple[str, str]] = []
    count, element = -1, ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["format"] and words[1:2] != ["binary_little_endian"]:
            raise WireError("%s is a PLY of format %s; only binary_little_endian is read" % (path, " ".join(words[1:])))
        if words[:1] == ["element"] and len(words) == 3:
            element = words[1]
            if element == "vertex" and words[2].isdigit():
                count = int(words[2])
            elif count < 0:
                raise WireError("%s: the vertices do not come first; save it again as a plain point cloud" % path)
        if words[:1] == ["property"] and element == "vertex":
            if len(words) != 3 or words[1] not in _TYPES:
                raise WireError("%s: cannot read %r; save it again as a plain point cloud" % (path, line))
            fields.append((words[2], _TYPES[words[1]]))
    if count < 0 or not {"x", "y", "z"} <= {name for name, _ in fields}:
        raise WireError("%s has no vertices with x, y and z" % path)
    return fields, count


def _columns(table: np.ndarray, names: Tuple[str, ...], dtype: Any) -> np.ndarray:
    return np.stack([table[name].astype(dtype) for name in names], 1)


def _umask() -> int:
    # There is no way to ask for the mask without setting it.
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
