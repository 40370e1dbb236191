"""Reading one picture, and telling a whole one from a cut one: OpenCV fills the missing part with grey, silently."""

import os
from typing import List

import cv2
import numpy as np

from edge.errors import ImageError, SourceError
from edge.suffixes import EXTENSIONS, is_image, natural

__all__ = ["EXTENSIONS", "is_cut", "is_image", "list_images", "read_image"]


def list_images(folder: str) -> List[str]:
    """Names of the pictures in a folder (not below it), in the order people count: 2 before 10.

    Raises SourceError: no such folder, or no picture in it.
    """
    if not os.path.isdir(folder):
        raise SourceError("there is no folder %s; give a folder of pictures" % folder)
    names = [name for name in os.listdir(folder) if is_image(name) and not name.startswith(".")]
    if not names:
        raise SourceError("folder %s holds no picture; wanted are %s" % (folder, " ".join(EXTENSIONS)))
    return sorted(names, key=natural)


def read_image(path: str) -> np.ndarray:
    """A picture as (H, W, 3) uint8 BGR, turned as its EXIF data says. Raises ImageError."""
    if os.path.isdir(path):
        raise ImageError("%s is a folder, not a picture" % path)
    if not os.path.isfile(path):
        raise ImageError("there is no file %s; give the path of a picture, or of a folder of them" % path)
    try:
        with open(path, "rb") as handle:
            content = handle.read()
    except OSError as error:
        raise ImageError("cannot read %s: %s" % (path, error.strerror))
    if not content:
        raise ImageError("%s is empty" % path)
    if is_cut(content):
        raise ImageError("%s is cut short: its end is missing; copy it again" % path)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ImageError("OpenCV cannot decode %s: %s" % (path, str(error).strip().splitlines()[-1]))
    if image is None:
        raise ImageError("%s is no picture OpenCV can read; wanted is one of %s" % (path, " ".join(EXTENSIONS)))
    return image


def is_cut(content: bytes) -> bool:
    """Whether a JPEG, PNG or WebP ends before its own end mark. Other formats: False, OpenCV tells."""
    if content[:3] == b"\xff\xd8\xff":
        return _jpeg_is_cut(content)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        return _png_is_cut(content)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return len(content) < 8 + int.from_bytes(content[4:8], "little")
    return False


def _jpeg_is_cut(content: bytes) -> bool:
    """Walks the segments (ITU T.81, annex B): a thumbnail inside has an end mark of its own, so no search would do."""
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            return False  # not JPEG syntax; OpenCV decides
        mark = content[at + 1]
        if mark == 0xFF:
            at += 1
            continue
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if mark == 0xDA:  # a scan: entropy-coded bytes follow, up to the next real mark
            at = _next_mark(content, at)
            if content[at : at + 2] == b"\xff\xd9":
                return False
    return True


def _next_mark(content: bytes, at: int) -> int:
    """Position of the next mark that is neither a stuffed zero nor a restart mark; the length if there is none."""
    while True:
        at = content.find(b"\xff", at)
        if at < 0 or at + 1 >= len(content):
            return len(content)
        if content[at + 1] != 0 and not 0xD0 <= content[at + 1] <= 0xD7 and content[at + 1] != 0xFF:
            return at
        at += 1


def _png_is_cut(content: bytes) -> bool:
    at = 8
    while at + 12 <= len(content):
        if content[at + 4 : at + 8] == b"IEND":
            return False
        at += 12 + int.from_bytes(content[at : at + 4], "big")
    return True
