"""BMW-10 (Krause et al. 2013): 512 photos of ten BMW saloons; its .mat is undocumented, so fields are found by kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.errors import DataError
from training.datasets.base import Box, Contents, DataSet, Photo, box_from_corners, split_name
from training.datasets.files import Folder, locate
from training.datasets.matlab import Record, inventory, key_of, number, numbers, read_mat, records, words

PICTURES, ANNOTATIONS = "bmw10_ims", "bmw10_annos.mat"
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
#: What each field may be called, the names of the sibling set Stanford Cars first.
PATHS = ("fname", "relative_im_path", "filename", "file", "im_path", "rel_path", "path", "image", "img", "name")
CLASSES = ("class", "class_id", "label", "category", "subclass", "target")
TESTS = ("test", "is_test", "istest")
SPLIT_WORDS = ("split", "set", "subset")
FOUR = (
    ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"),
    ("x1", "y1", "x2", "y2"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("left", "top", "right", "bottom"),
)
ONE = ("bbox", "bndbox", "bounding_box", "box", "rect")
NAMES = ("class_names", "classes", "classnames", "names", "labels", "class_name")


class Fields(NamedTuple):
    """Keys of the records: photo's path, class, the box (four keys, one key, or none), test flag, word for the split.
    corners: whether one-key boxes are x1, y1, x2, y2 rather than x, y, width, height."""

    path: str
    label: str | None
    box: tuple[str, ...]
    test: str | None
    word: str | None
    corners: bool = True


def open_bmw10(root: Path) -> Contents:
    """Photos of BMW-10. DataError if no field of bmw10_annos.mat looks like a photo's path: it lists what is there."""
    folder = Folder(locate(root, BMW10))
    path = folder.find(ANNOTATIONS)
    if path is None:
        raise DataError(f"{folder.root} has {PICTURES} but no {ANNOTATIONS}; {BMW10.source()}")
    variables = read_mat(path)
    rows = _records(variables)
    fields = find_fields(rows, path, variables)
    sides = _sides(variables, rows, fields)
    names = words(variables.get(key_of(variables, NAMES) or ""))
    photos, missing = [], []
    for row, side in zip(rows, sides):
        name = str(row[fields.path]).strip()
        photo = folder.first((f"{PICTURES}/{name}", name))
        if photo is None:
            missing.append(f"{PICTURES}/{name}")
        else:
            photos.append(Photo(photo, side, _box(row, fields), _class(row, fields, names)))
    return Contents(folder.root, photos=tuple(photos), missing=tuple(missing), notes=_notes(fields, names, sides))


def find_fields(rows: Sequence[Record], where: Path, variables: Record) -> Fields:
    """Which field is what, by name, the path also by kind. DataError with an inventory if there is no path."""
    row = rows[0] if rows else {}
    path = key_of(row, PATHS)
    if path is None or not _is_picture(row[path]):
        path = next((key for key, value in row.items() if _is_picture(value)), None)
    if path is None:
        raise DataError(
            f"{where}: no record has a field with a picture's name. It holds {inventory(variables)}. "
            "Tell the project, or save an array of structs annos with fname, class and bbox_x1 to bbox_y2"
        )
    box = next((keys for keys in (_keys(row, names) for names in FOUR) if keys), ())
    single = key_of(row, ONE)
    if not box and single is not None and numbers(row[single], 4) is not None:
        box = (single,)
    corners = len(box) != 1 or all(_ordered(numbers(r.get(box[0]), 4)) for r in rows)
    return Fields(path, key_of(row, CLASSES), box, key_of(row, TESTS), key_of(row, SPLIT_WORDS), corners)


def _records(variables: Record) -> list[Record]:
    """The struct array: annos, annotations, or else the longest there is."""
    key = key_of(variables, ("annos", "annotations"))
    found = records(variables[key]) if key else []
    return found or max((records(value) for value in variables.values()), key=len, default=[])


def _sides(variables: Record, rows: Sequence[Record], fields: Fields) -> list[str]:
    """Split of each record: from train_indices and test_indices (counted from 1), a flag, or a word."""
    sides = ["none"] * len(rows)
    for key, side in (("train_indices", "train"), ("test_indices", "test")):
        found = key_of(variables, (key, key.replace("indices", "idx"), key.replace("indices", "inds")))
        values = np.atleast_1d(np.asarray(variables[found] if found else [], np.float64)).ravel()
        for index in values.astype(int):
            if 1 <= index <= len(rows):
                sides[index - 1] = side
    if set(sides) != {"none"}:
        return sides
    if fields.test is not None:
        return ["test" if number(row.get(fields.test)) else "train" for row in rows]
    if fields.word is not None:
        return [split_name(str(row.get(fields.word, ""))) for row in rows]
    return sides


def _keys(row: Record, names: Sequence[str]) -> tuple[str, ...]:
    found = [key_of(row, (name,)) for name in names]
    known = tuple(key for key in found if key is not None)
    return known if len(known) == 4 else ()


def _is_picture(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower().endswith(SUFFIXES)


def _ordered(values: list[float] | None) -> bool:
    return values is None or (values[2] > values[0] and values[3] > values[1])


def _box(row: Record, fields: Fields) -> Box | None:
    if len(fields.box) == 1:
        values = numbers(row.get(fields.box[0]), 4)
    else:
        values = numbers([v for v in (number(row.get(key)) for key in fields.box) if v is not None], 4)
    if values is None:
        return None
    a, b, c, d = values
    return box_from_corners(a, b, c, d) if fields.corners else (a - 1, b - 1, c, d)


def _class(row: Record, fields: Fields, names: list[str]) -> str | None:
    value = row.get(fields.label) if fields.label else None
    index = number(value)
    if index is None:
        return value if isinstance(value, str) and value else None
    return names[int(index) - 1] if 1 <= index <= len(names) else f"bmw {int(index)}"


def _notes(fields: Fields, names: list[str], sides: list[str]) -> tuple[str, ...]:
    box = ", ".join(fields.box) or "none found"
    notes = [f"fields found: path {fields.path}, class {fields.label or 'none found'}, box {box}"]
    if len(fields.box) == 1:
        form = "x1, y1, x2, y2" if fields.corners else "x, y, width, height"
        notes.append(f"{fields.box[0]} is taken as {form}, counted from 1: look at some with datasets show")
    if not names:
        notes.append("no class names in the file: classes are called bmw 1, bmw 2 ...")
    if set(sides) == {"none"}:
        notes.append("no train_indices, test_indices or test flag in the file: every photo is in split none")
    return tuple(notes)


BMW10 = DataSet(
    name="bmw10",
    about="BMW-10: 512 photos of ten BMW saloons, hard to tell apart",
    licence="photos of third parties, for non-commercial research; no licence file",
    gated=False,
    where="https://ai.stanford.edu/~jkrause/cars/car_dataset.html (bmw10_release.tgz)",
    layout=("bmw10_ims/1/*.jpg, bmw10_ims/2/*.jpg ...", "bmw10_annos.mat"),
    verified="public readers: annos with fname and class in this order, train_indices, test_indices; box not verified",
    marks=(ANNOTATIONS, PICTURES),
    opener=open_bmw10,
)
