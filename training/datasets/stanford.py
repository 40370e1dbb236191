"""Stanford Cars, 196 classes (Krause et al. 2013): two folders with a devkit, or one folder with cars_annos.mat."""

from __future__ import annotations

from pathlib import Path

from edge.errors import DataError
from training.datasets.base import Box, Contents, DataSet, Photo, box_from_corners
from training.datasets.files import Folder, locate
from training.datasets.matlab import Record, inventory, number, read_mat, records, words

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


def open_stanford(root: Path) -> Contents:
    """Photos of ``root``: of cars_train and cars_test if their lists are there, else of car_ims."""
    folder = Folder(locate(root, STANFORD))
    if folder.first(LISTS["train"]) is None and folder.first(LISTS["test"]) is None:
        return _one_folder(folder)
    notes, photos, missing = [], [], []
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
            notes.append(f"{path.name} has no classes; cars_test_annos_withlabels.mat has them")
        found, lost = _photos(folder, path, names, split)
        photos += found
        missing += lost
    return Contents(folder.root, photos=tuple(photos), missing=tuple(missing), notes=tuple(notes))


def class_names(path: Path) -> list[str]:
    """The cell ``class_names`` of cars_meta.mat or cars_annos.mat, in the order of the class numbers."""
    names = words(read_mat(path).get("class_names"))
    if not names:
        raise DataError(f"{path} has no cell called class_names; unpack it again")
    return names


def _one_folder(folder: Folder) -> Contents:
    path = folder.first(ONE_LIST)
    if path is None:
        raise DataError(f"{folder.root} has no {ONE_LIST[0]}; {STANFORD.source()}")
    found, lost = _photos(folder, path, class_names(path), None)
    return Contents(folder.root, photos=tuple(found), missing=tuple(lost))


def _photos(folder: Folder, path: Path, names: list[str], split: str | None) -> tuple[list[Photo], list[str]]:
    """Photos of one list, and those that are not there. ``split`` None: from the field ``test`` of each record."""
    variables = read_mat(path)
    rows = records(variables.get("annotations"))
    if not rows:
        raise DataError(f"{path} has no struct array called annotations, but {inventory(variables)}")
    photos, missing = [], []
    for row in rows:
        side = split or ("test" if number(row.get("test")) else "train")
        name = str(row.get("fname") or row.get("relative_im_path") or "")
        if not name:
            raise DataError(f"{path}: a record has no fname or relative_im_path, but {', '.join(row)}")
        # fname is the bare name in cars_train or cars_test; relative_im_path starts with car_ims.
        place = f"cars_{side}/{name}" if "fname" in row else name
        photo = folder.first((place, name, f"car_ims/{name}"))
        if photo is None:
            missing.append(place)
        else:
            photos.append(Photo(photo, side, _box(row), _class(row, names)))
    return photos, missing


def _box(row: Record) -> Box | None:
    corners = [number(row.get(name)) for name in CORNERS]
    known = [c for c in corners if c is not None]
    return box_from_corners(*known) if len(known) == 4 else None


def _class(row: Record, names: list[str]) -> str | None:
    index = number(row.get("class"))
    if index is None:
        return None
    return names[int(index) - 1] if 1 <= index <= len(names) else f"class {int(index)}"


STANFORD = DataSet(
    name="stanford-cars",
    about="Stanford Cars: 16,185 photos, 196 makes and models, one box each (8,144 train, 8,041 test)",
    licence="photos of third parties, for non-commercial research; no licence file",
    gated=False,
    where="https://ai.stanford.edu/~jkrause/cars/car_dataset.html (its own downloads are often down; copies circulate)",
    layout=(
        "cars_train/00001.jpg ..., cars_test/00001.jpg ...",
        "devkit/cars_meta.mat, cars_train_annos.mat, cars_test_annos.mat; cars_test_annos_withlabels.mat",
        "or: car_ims/000001.jpg ..., cars_annos.mat",
    ),
    verified="the devkit's README and several public readers of both forms",
    marks=(*LISTS["train"], *LISTS["test"], *ONE_LIST),
    opener=open_stanford,
)
