"""A folder of photos as people really have them: some damaged, some unusual, some no photos at all."""

import base64
import os
from typing import Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from tests.edge.helpers import picture, write_picture

#: 16 x 8 pixels of red as cyan, magenta, yellow and black, the way Adobe's programs write it: inverted.
CMYK_RED = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwANCQoLCggNCwoLDg4NDxMgFRMSEhMnHB4XIC4pMTAuKS0sMzpKPjM2RjcsLUBXQUZMTlJTUjI+WmFa"
    "UGBKUVJP/8AAFAgACAAQBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAABAgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAAB"
    "fQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNicoIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hp"
    "anN0dXZ3eHl6g4SFhoeIiYqSk5SVlpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5"
    "+v/aAA4EQwBNAFkASwAAPwD06vMK8wr06iiiiv/Z"
)
#: Orientation (TIFF tag 0x0112) 6: what was at the left when it was taken is at the top of the stored rows.
EXIF_TURNED = (
    b"\xff\xe1\x00\x22Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
    b"\x00\x00\x00\x00"
)


class Expected(NamedTuple):
    """What reading a file gives. shape: height and width, or None if it is refused. bgr: of its middle pixel, or None
    if that is not looked at. sentence: a part of the refusal."""

    shape: Optional[Tuple[int, int]]
    bgr: Optional[Tuple[int, int, int]]
    sentence: str = ""


def write_broken_tree(folder: str) -> Dict[str, Expected]:
    """Fills an empty folder; returns what to expect of each photo by its name below the folder.

    Besides them it writes what is no photo: a folder called ``folder.jpg`` with one in it, a text file, hidden files.
    """
    folder = str(folder)
    expected = dict(_damaged(folder))
    expected.update(_unusual(folder))
    write_picture(os.path.join(folder, "folder.jpg", "inside.jpg"))
    expected["folder.jpg/inside.jpg"] = Expected((60, 80), None)
    for name in ("notes.txt", ".hidden.jpg", "Thumbs.db", "__MACOSX/._good.jpg", "__MACOSX/good.jpg", ".git/a.jpg"):
        _put(os.path.join(folder, name), b"not for us")
    return expected


def _damaged(folder: str) -> Dict[str, Expected]:
    whole = cv2.imencode(".jpg", picture())[1].tobytes()
    contents = {
        "damaged/cut.jpg": (whole[: len(whole) * 2 // 3], "cut.jpg is cut short: its end is missing; copy it again"),
        "damaged/text.jpg": (b"<html>404 Not Found</html>", "text.jpg is no picture OpenCV can read; wanted is one of"),
        "damaged/empty.jpg": (b"", "empty.jpg is empty"),
    }
    for name, (content, _) in contents.items():
        _put(os.path.join(folder, name), content)
    expected = {name: Expected(None, None, sentence) for name, (_, sentence) in contents.items()}
    closed = os.path.join(folder, "damaged", "closed.jpg")
    _put(closed, whole)
    os.chmod(closed, 0)
    if not os.access(closed, os.R_OK):  # root may read everything
        expected["damaged/closed.jpg"] = Expected(None, None, "closed.jpg: Permission denied")
    else:
        expected["damaged/closed.jpg"] = Expected((60, 80), None)
    return expected


def _unusual(folder: str) -> Dict[str, Expected]:
    def flat(*shape: int, value: int = 9, kind: type = np.uint8) -> np.ndarray:
        return np.full(shape, value, kind)

    arrays = {
        "unusual/alpha.png": (flat(6, 8, 4), (9, 9, 9)),
        "unusual/grey.jpg": (flat(16, 24, value=77), (77, 77, 77)),
        "unusual/one.png": (flat(1, 1, 3), (9, 9, 9)),
        "unusual/deep.png": (flat(6, 8, 3, value=9 * 257, kind=np.uint16), (9, 9, 9)),
        "unusual/Käfer 車 №1.jpg": (flat(16, 24, 3, value=77), (77, 77, 77)),
    }
    expected = {}
    for name, (array, bgr) in arrays.items():
        _put(os.path.join(folder, name), cv2.imencode(os.path.splitext(name)[1], array)[1].tobytes())
        expected[name] = Expected(array.shape[:2], bgr)
    # Red above, blue below, 20 wide and 40 high as stored; seen by people: red at the right, blue at the left.
    stored = np.zeros((40, 20, 3), np.uint8)
    stored[:20, :, 2] = stored[20:, :, 0] = 255
    jpeg = cv2.imencode(".jpg", stored)[1].tobytes()
    _put(os.path.join(folder, "unusual", "turned.jpg"), jpeg[:2] + EXIF_TURNED + jpeg[2:])
    expected["unusual/turned.jpg"] = Expected((20, 40), None)
    _put(os.path.join(folder, "unusual", "cmyk.jpg"), CMYK_RED)
    expected["unusual/cmyk.jpg"] = Expected((8, 16), (0, 0, 255))
    return expected


def _put(path: str, content: bytes) -> None:
    if not os.path.isdir(os.path.dirname(path)):
        os.makedirs(os.path.dirname(path))
    with open(path, "wb") as handle:
        handle.write(content)
