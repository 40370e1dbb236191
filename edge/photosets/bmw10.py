"""BMW-10 (Krause et al. 2013): 512 photos of ten BMW saloons; its .mat is undocumented, so fields are found by kind."""

import os
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from edge.errors import DataError
from edge.photosets.base import Box, Photo, PhotoSet, Published, box_from_corners, split_name
from edge.photosets.files import Folder, below, locate
from edge.photosets.matlab import Record, inventory, key_of, number, numbers, read_mat, records, words

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

BMW10 = Published(
    name="bmw10",
    gated=False,
    where="https://ai.stanford.edu/~jkrause/cars/car_dataset.html (bmw10_release.tgz)",
    layout=("bmw10_ims/1/*.jpg, bmw10_ims/2/*.jpg ...", "bmw10_annos.mat"),
    marks=(ANNOTATIONS, PICTURES),
)


class Fields(NamedTuple):
    """Keys of the records: photo's path, class, the box (four keys, one key, or none), test flag, word for the split.
    corners: whether one-key boxes are x1, y1, x2, y2 rather than x, y, width, height."""

    path: str
    label: Optional[str]
    box: Tuple[str, ...]
    test: Optional[str]
    word: Optional[str]
    corners: bool = True


def list_bmw10(root: Path) -> PhotoSet:
    """Photos of BMW-10. DataError if no field of bmw10_annos.mat looks like a photo's path: it lists what is there."""
    folder = Folder(locate(root, BMW10))
    path = folder.find(ANNOTATIONS)
    if path is None:
        raise DataError("%s has %s but no %s; %s" % (folder.root, PICTURES, ANNOTATIONS, BMW10.source()))
    variables = read_mat(path)
    rows = _records(variables)
    fields = find_fields(rows, path, variables)
    sides = _sides(variables, rows, fields)
    names = words(variables.get(key_of(variables, NAMES) or ""))
    photos, missing = [], []
    for row, side in zip(rows, sides):
        name = str(row[fields.path]).strip()
        photo = folder.first(("%s/%s" % (PICTURES, name), name))
        if photo is None:
            missing.append("%s/%s" % (PICTURES, name))
        else:
            where, name = os.path.abspath(str(photo)), below(photo, folder.root)
            photos.append(Photo(where, name, _class(row, fields, names), _box(row, fields), side))
    return PhotoSet(BMW10.name, os.path.abspath(str(folder.root)), photos, missing, _notes(fields, names, sides))


def find_fields(rows: Sequence[Record], where: Path, variables: Record) -> Fields:
    """Which field is what, by name, the path also by kind. DataError with an inventory if there is no path."""
    row = rows[0] if rows else {}
    path = key_of(row, PATHS)
    if path is None or not _is_picture(row[path]):
        path = next((key for key, value in row.items() if _is_picture(value)), None)
    if path is None:
        raise DataError(
            "%s: no record has a field with a picture's name. It holds %s. "
            "Tell the project, or save an array of structs annos with fname, class and bbox_x1 to bbox_y2"
            % (where, inventory(variables))
        )
    box: Tuple[str, ...] = next((keys for keys in (_keys(row, names) for names in FOUR) if keys), ())
    single = key_of(row, ONE)
    if not box and single is not None and numbers(row[single], 4) is not None:
        box = (single,)
    corners = len(box) != 1 or all(_ordered(numbers(r.get(box[0]), 4)) for r in rows)
    return Fields(path, key_of(row, CLASSES), box, key_of(row, TESTS), key_of(row, SPLIT_WORDS), corners)


def _records(variables: Record) -> List[Record]:
    """The struct array: annos, annotations, or else the longest there is."""
    key = key_of(variables, ("annos", "annotations"))
    found = records(variables[key]) if key else []
    return found or max((records(value) for value in variables.values()), key=len, default=[])


def _sides(variables: Record, rows: Sequence[Record], fields: Fields) -> List[str]:
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


def _keys(row: Record, names: Sequence[str]) -> Tuple[str, ...]:
    found = [key_of(row, (name,)) for name in names]
    known = tuple(key for key in found if key is not None)
    return known if len(known) == 4 else ()


def _is_picture(value: object) -> bool:
    return isinstance(value, str) and value.strip().lower().endswith(SUFFIXES)


def _ordered(values: Optional[List[float]]) -> bool:
    return values is None or (values[2] > values[0] and values[3] > values[1])


def _box(row: Record, fields: Fields) -> Optional[Box]:
    if len(fields.box) == 1:
        values = numbers(row.get(fields.box[0]), 4)
    else:
        values = numbers([v for v in (number(row.get(key)) for key in fields.box) if v is not None], 4)
    if values is None:
        return None
    a, b, c, d = values
    return box_from_corners(a, b, c, d) if fields.corners else (a - 1, b - 1, c, d)


def _class(row: Record, fields: Fields, names: List[str]) -> Optional[str]:
    value = row.get(fields.label) if fields.label else None
    index = number(value)
    if index is None:
        return value if isinstance(value, str) and value else None
    return names[int(index) - 1] if 1 <= index <= len(names) else "bmw %d" % index


def _notes(fields: Fields, names: List[str], sides: List[str]) -> List[str]:
    box = ", ".join(fields.box) or "none found"
    notes = ["fields found: path %s, class %s, box %s" % (fields.path, fields.label or "none found", box)]
    if len(fields.box) == 1:
        form = "x1, y1, x2, y2" if fields.corners else "x, y, width, height"
        notes.append(
            "%s is taken as %s, counted from 1: look at some with python -m training datasets show"
            % (fields.box[0], form)
        )
    if not names:
        notes.append("no class names in the file: classes are called bmw 1, bmw 2 ...")
    if set(sides) == {"none"}:
        notes.append("no train_indices, test_indices or test flag in the file: every photo is in split none")
    return notes
