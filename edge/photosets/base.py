"""What a set of photos is: each one's place, name, class, box and split; and where a published set comes from."""

from typing import List, NamedTuple, Optional, Tuple

#: x, y, width, height in pixels; x and y count from 0 at the left and upper border.
Box = Tuple[float, float, float, float]


class Photo(NamedTuple):
    """One photo of a set.

    path: absolute. name: its path below the set's root, with ``/``; no two photos of a set share one, and each can be
    written as UTF-8, whatever bytes the file system has.
    group: the class, or in an ordinary tree the folder below the root, or None. box: the car, or None.
    split: train, validation, test, or none where the set does not say.
    """

    path: str
    name: str
    group: Optional[str] = None
    box: Optional[Box] = None
    split: str = "none"


class PhotoSet(NamedTuple):
    """A folder of photos. kind: bmw10, stanford-cars or folder. root: absolute.

    missing: names below the root that are listed, or linked, but not there. notes: sentences on what was found.
    """

    kind: str
    root: str
    photos: List[Photo]
    missing: List[str]
    notes: List[str]


class Published(NamedTuple):
    """A published data set.

    gated: a registration or request stands before the download. where: the official page, and what to take there.
    layout: lines of the expected folder. marks: relative names of which one must be in the right folder.
    """

    name: str
    gated: bool
    where: str
    layout: Tuple[str, ...]
    marks: Tuple[str, ...]

    def source(self) -> str:
        """One sentence on where to get it."""
        gate = "licence-gated, needs a registration; " if self.gated else ""
        return "%sget it from %s" % (gate, self.where)


def split_name(word: str) -> str:
    """train, validation, test or none for what a data set calls its split."""
    word = word.strip().lower()
    names = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "test": "test"}
    return names.get(word, "validation" if word == "validation" else "none")


def box_from_corners(x1: float, y1: float, x2: float, y2: float) -> Box:
    """Box of MATLAB's inclusive corners, which count from 1."""
    return (x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1)


def readable(name: str) -> str:
    """A file's name as text that can be written as UTF-8: bytes that are none become ``\\xe4``.

    Python stands such bytes, and under an ASCII locale before 3.7 all that is not ASCII, in as lone surrogates.
    """
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
