"""Stanford Cars, 196 classes (Krause et al. 2013): two folders with a devkit, or one folder with cars_annos.mat."""

import os
from pathlib import Path
from typing import List, Optional, Tuple

from edge.errors import DataError
from edge.photosets.base import Box, Photo, PhotoSet, Published, box_from_corners
from edge.photosets.files import Folder, below, locate
from edge.photosets.matlab import Record, inventory, number, read_mat, records, words

CORNERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
#: Places of a file: the archive's own, and where the copies that circulate put it.
LISTS = {
    "train": ("devkit/cars_train_annos.mat", "cars_train_annos.mat"),
    "test": (
        "devkit/cars_test_annos_withlabels.mat",
        "cars_test_annos_withlabels.mat",
        "devkit/cars_test_annos.mat",
        "cars_test_annos.mat",
    ),
}
META = ("devkit/cars_meta.mat", "cars_meta.mat")
ONE_LIST = ("cars_annos.mat", "devkit/cars_annos.mat")

STANFORD = Published(
    name="stanford-cars",
    gated=False,
    where="https://ai.stanford.edu/~jkrause/cars/car_dataset.html (its own downloads are often down; copies circulate)",
    layout=(
        "cars_train/00001.jpg ..., cars_test/00001.jpg ...",
        "devkit/cars_meta.mat, cars_train_annos.mat, cars_test_annos.mat; cars_test_annos_withlabels.mat",
        "or: car_ims/000001.jpg ..., cars_annos.mat",
    ),
    marks=LISTS["train"] + LISTS["test"] + ONE_LIST,
)


def list_stanford(root: Path) -> PhotoSet:
    """Photos of ``root``: of cars_train and cars_test if their lists are there, else of car_ims. DataError as read."""
    folder = Folder(locate(root, STANFORD))
    if folder.first(LISTS["train"]) is None and folder.first(LISTS["test"]) is None:
        return _one_folder(folder)
    notes: List[str] = []
    photos: List[Photo] = []
    missing: List[str] = []
    meta = folder.first(META)
    names = class_names(meta) if meta is not None else []
    if not names:
        missing.append(META[0])
    for split, places in LISTS.items():
        path = folder.first(places)
        if path is None:
            missing.append(places[0])
            continue
        if split == "test" and "withlabels" not in path.name.lower():
            notes.append("%s has no classes; cars_test_annos_withlabels.mat has them" % path.name)
        found, lost = _photos(folder, path, names, split)
        photos += found
        missing += lost
    return PhotoSet(STANFORD.name, os.path.abspath(str(folder.root)), photos, missing, notes)


def class_names(path: Path) -> List[str]:
    """The cell ``class_names`` of cars_meta.mat or cars_annos.mat, in the order of the class numbers."""
    names = words(read_mat(path).get("class_names"))
    if not names:
        raise DataError("%s has no cell called class_names; unpack it again" % path)
    return names


def _one_folder(folder: Folder) -> PhotoSet:
    path = folder.first(ONE_LIST)
    if path is None:
        raise DataError("%s has no %s; %s" % (folder.root, ONE_LIST[0], STANFORD.source()))
    found, lost = _photos(folder, path, class_names(path), None)
    return PhotoSet(STANFORD.name, os.path.abspath(str(folder.root)), found, lost, [])


def _photos(folder: Folder, path: Path, names: List[str], split: Optional[str]) -> Tuple[List[Photo], List[str]]:
    """Photos of one list, and those that are not there. ``split`` None: from the field ``test`` of each record."""
    variables = read_mat(path)
    rows = records(variables.get("annotations"))
    if not rows:
        raise DataError("%s has no struct array called annotations, but %s" % (path, inventory(variables)))
    photos, missing = [], []
    for row in rows:
        side = split or ("test" if number(row.get("test")) else "train")
        name = str(row.get("fname") or row.get("relative_im_path") or "")
        if not name:
            raise DataError("%s: a record has no fname or relative_im_path, but %s" % (path, ", ".join(row)))
        # fname is the bare name in cars_train or cars_test; relative_im_path starts with car_ims.
        place = "cars_%s/%s" % (side, name) if "fname" in row else name
        photo = folder.first((place, name, "car_ims/" + name))
        if photo is None:
            missing.append(place)
        else:
            where = os.path.abspath(str(photo))
            photos.append(Photo(where, below(photo, folder.root), _class(row, names), _box(row), side))
    return photos, missing


def _box(row: Record) -> Optional[Box]:
    corners = [number(row.get(name)) for name in CORNERS]
    known = [c for c in corners if c is not None]
    return box_from_corners(*known) if len(known) == 4 else None


def _class(row: Record, names: List[str]) -> Optional[str]:
    index = number(row.get("class"))
    if index is None:
        return None
    return names[int(index) - 1] if 1 <= index <= len(names) else "class %d" % index
