"""What a Video4Linux device can do, asked by ioctl: what it is, its pixel formats, their sizes and frame rates.

Numbers and layouts are those of Linux's ``videodev2.h``. The device is opened and asked, never started.
"""

import errno
import fcntl
import os
import struct
from typing import Callable, Dict, List, NamedTuple, Tuple

QUERYCAP, ENUM_FMT, ENUM_FRAMESIZES, ENUM_FRAMEINTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
CAP_VIDEO_CAPTURE, CAP_DEVICE_CAPS = 0x1, 0x80000000
BUF_TYPE_VIDEO_CAPTURE = 1
DISCRETE = 1
#: No camera has more; a driver that never ends its list must not keep us.
MOST = 64
#: ``fcntl.ioctl`` on an open device: fills the buffer, or raises OSError.
Ioctl = Callable[[int, int, bytearray], object]


class Mode(NamedTuple):
    """A size of a format. fps: the highest rate, 0 if the driver does not tell."""

    width: int
    height: int
    fps: float


class Device(NamedTuple):
    """A camera. card, driver: as its driver names it and itself. formats: modes by FOURCC, in the driver's order."""

    card: str
    driver: str
    formats: Dict[str, List[Mode]]


def read_device(path: str, ioctl: Ioctl = fcntl.ioctl) -> Device:
    """Ask the device at ``path``; one that takes no pictures, such as one for metadata, has no formats.

    Raises OSError: it is gone, busy, or does not speak Video4Linux.
    """
    handle = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        answer = bytearray(104)
        ioctl(handle, QUERYCAP, answer)
        driver, card = (_text(answer[start : start + size]) for start, size in ((0, 16), (16, 32)))
        capabilities, own = struct.unpack_from("<II", answer, 84)
        own = own if capabilities & CAP_DEVICE_CAPS else capabilities
        formats: Dict[str, List[Mode]] = {}
        if own & CAP_VIDEO_CAPTURE:
            for code in _formats(handle, ioctl):
                formats[code.to_bytes(4, "little").decode("latin-1").strip()] = _modes(handle, ioctl, code)
        return Device(card, driver, formats)
    finally:
        os.close(handle)


def _text(raw: bytearray) -> str:
    """Printable text up to its first zero byte."""
    return "".join(c for c in bytes(raw).split(b"\0")[0].decode("utf-8", "replace") if c.isprintable())


def _asked(handle: int, ioctl: Ioctl, number: int, buffer: bytearray) -> bool:
    """Fill the buffer; False at the end of a list, or where a driver has none."""
    try:
        ioctl(handle, number, buffer)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTTY):
            return False
        raise
    return True


def _formats(handle: int, ioctl: Ioctl) -> List[int]:
    found = []
    for index in range(MOST):
        buffer = bytearray(64)
        struct.pack_into("<II", buffer, 0, index, BUF_TYPE_VIDEO_CAPTURE)
        if not _asked(handle, ioctl, ENUM_FMT, buffer):
            break
        found.append(struct.unpack_from("<I", buffer, 44)[0])
    return found


def _modes(handle: int, ioctl: Ioctl, code: int) -> List[Mode]:
    """Sizes of a format; of a driver that takes any size between two, the largest."""
    found = []
    for index in range(MOST):
        buffer = bytearray(44)
        struct.pack_into("<II", buffer, 0, index, code)
        if not _asked(handle, ioctl, ENUM_FRAMESIZES, buffer):
            break
        kind, width, height = struct.unpack_from("<III", buffer, 8)
        if kind != DISCRETE:  # min, max and step of the width, then of the height
            width, height = struct.unpack_from("<I", buffer, 16)[0], struct.unpack_from("<I", buffer, 28)[0]
        found.append(Mode(width, height, _rate(handle, ioctl, code, (width, height))))
        if kind != DISCRETE:
            break
    return found


def _rate(handle: int, ioctl: Ioctl, code: int, size: Tuple[int, int]) -> float:
    """Frames a second at most."""
    best = 0.0
    for index in range(MOST):
        buffer = bytearray(52)
        struct.pack_into("<IIII", buffer, 0, index, code, *size)
        if not _asked(handle, ioctl, ENUM_FRAMEINTERVALS, buffer):
            break
        kind, seconds, parts = struct.unpack_from("<III", buffer, 16)  # discrete, or the shortest of a range
        best = max(best, parts / seconds if seconds else 0.0)
        if kind != DISCRETE:
            break
    return best
