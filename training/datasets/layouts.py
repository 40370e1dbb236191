"""Writing photos in the layouts in which BMW-10 and Stanford Cars were published, annotation files included."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.io

from edge.photosets.base import Box


class Entry(NamedTuple):
    """One photo of a set to be written. number: from 1 in the whole set, ``of_class`` in its class.

    label: the class, from 1. split: train or test. box: pixels, from 0.
    """

    number: int
    of_class: int
    label: int
    split: str
    box: Box


class Layout(NamedTuple):
    """place: name of a photo below the root. annotate: writes the annotation files of a root for all entries and the
    classes' names."""

    place: Callable[[Entry], str]
    annotate: Callable[[Path, Sequence[Entry], Sequence[str]], None]


def bmw10_place(entry: Entry) -> str:
    """bmw10_ims/CLASS/NUMBER.jpg"""
    return f"bmw10_ims/{entry.label}/{entry.of_class:05d}.jpg"


def annotate_bmw10(root: Path, entries: Sequence[Entry], names: Sequence[str]) -> None:
    """bmw10_annos.mat. As far as it is known, the published file names no classes: ``names`` are not written."""
    rows = [{"fname": bmw10_place(e).partition("/")[2], "class": _whole(e.label), **corners(e.box)} for e in entries]
    sides = {
        f"{side}_indices": np.array([[i + 1 for i, e in enumerate(entries) if e.split == side]], np.uint16).T
        for side in ("train", "test")
    }
    _save(root / "bmw10_annos.mat", annos=structs(rows), **sides)


def stanford_place(entry: Entry) -> str:
    """cars_train/NUMBER.jpg or cars_test/NUMBER.jpg"""
    return f"cars_{entry.split}/{entry.number:05d}.jpg"


def annotate_stanford(root: Path, entries: Sequence[Entry], names: Sequence[str]) -> None:
    """devkit/cars_meta.mat and a list for each side, the test side's with and without its classes."""
    _save(root / "devkit" / "cars_meta.mat", class_names=cell(names))
    for side in ("train", "test"):
        rows = [
            {**corners(e.box), "class": _whole(e.label), "fname": stanford_place(e).partition("/")[2]}
            for e in entries
            if e.split == side
        ]
        if side == "test":
            _save(root / "cars_test_annos_withlabels.mat", annotations=structs(rows))
            rows = [{key: value for key, value in row.items() if key != "class"} for row in rows]
        _save(root / "devkit" / f"cars_{side}_annos.mat", annotations=structs(rows))


LAYOUTS = {
    "bmw10": Layout(bmw10_place, annotate_bmw10),
    "stanford-cars": Layout(stanford_place, annotate_stanford),
}


def corners(box: Box) -> dict[str, np.ndarray]:
    """bbox_x1 to bbox_y2: whole pixels that count from 1, both ends included, around the box."""
    x, y, width, height = box
    x1, y1 = math.floor(x), math.floor(y)
    x2, y2 = max(math.ceil(x + width), x1 + 1), max(math.ceil(y + height), y1 + 1)
    return {"bbox_x1": _whole(x1 + 1), "bbox_y1": _whole(y1 + 1), "bbox_x2": _whole(x2), "bbox_y2": _whole(y2)}


def structs(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    """A MATLAB struct array (1, N) of records with the same fields; at least one."""
    array = np.empty((1, len(rows)), dtype=[(key, object) for key in rows[0]])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row.values())
    return array


def cell(items: Sequence[Any]) -> np.ndarray:
    """A MATLAB cell array (1, N)."""
    array = np.empty((1, len(items)), object)
    array[0, :] = list(items)
    return array


def _whole(value: int) -> np.ndarray:
    return np.array([[value]], np.uint16)


def _save(path: Path, **variables: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables, oned_as="row")
