"""StanfordCars3D (Wang et al. 2018): full perspective pose and ShapeNet model of each photo of Stanford Cars."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from edge.errors import DataError
from edge.photosets.files import Folder, locate
from edge.photosets.matlab import number
from training.datasets.base import Contents, DataSet, Lens, Photo, Viewpoint
from training.datasets.plainpickle import read_plain_pickle

HOME = "Anno3D/StanfordCars"
#: Poses of the second paper (arXiv 1810.09263) are better and come first.
FORMS = ("{0}_anno_v2.pkl", "{0}_anno_v2.json", "{0}_anno.pkl", "{0}_anno.json")
#: The authors resize each photo to this width before they project: f, u and v are pixels of that.
WIDTH = 300.0


def open_stanford3d(root: Path) -> Contents:
    """Photos with poses of a ``root`` that holds Anno3D; photos under Image/StanfordCars, or beside Anno3D."""
    folder = Folder(locate(root, STANFORD3D.published))
    photos: list[Photo] = []
    missing, notes = [], []
    for split in ("train", "test"):
        path = folder.first([f"{HOME}/{form.format(split)}" for form in FORMS])
        if path is None:
            missing.append(f"{HOME}/{split}_anno_v2.pkl")
            continue
        notes.append(f"{split} poses from {path.name}")
        for name, pose in sorted(read_poses(path).items()):
            place = f"cars_{split}/{name}"
            photo = folder.first((f"Image/StanfordCars/{place}", place, f"Image/{place}"))
            if photo is None:
                missing.append(f"Image/StanfordCars/{place}")
            else:
                photos.append(_photo(photo, split, pose, path))
    return Contents(folder.root, photos=tuple(photos), missing=tuple(missing), notes=tuple(notes))


def read_poses(path: Path) -> dict[str, dict[str, Any]]:
    """Poses by the photo's name, from the published pickle (parsed, never unpickled) or a JSON of the same form."""
    if path.suffix == ".json":
        try:
            poses = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read as JSON ({error}); make it again") from error
    else:
        poses = read_plain_pickle(path)
    if not isinstance(poses, dict) or not all(isinstance(pose, dict) for pose in poses.values()):
        raise DataError(f"{path} holds no dictionary of poses by the photo's name; unpack it again")
    return {str(name): pose for name, pose in poses.items()}


def viewpoint_of(azimuth: float, elevation: float, theta: float, distance: float) -> Viewpoint:
    """Viewpoint of the authors' angles, radians.

    Their projection puts the camera at d (cos e sin a, sin e, cos e cos a) in the axes of ShapeNetCore v1, whose nose
    is +x and whose up is y, and mirrors the picture, which makes +z the left of the car in the photo: canonical
    azimuth = 90 - a. Turning by theta turns the picture's content clockwise.
    """
    source = math.degrees(azimuth)
    return Viewpoint((90 - source) % 360, math.degrees(elevation), math.degrees(theta), distance, source)


def _photo(photo: Path, split: str, pose: dict[str, Any], path: Path) -> Photo:
    keys = ("azimuth", "elevation", "theta", "distance", "f", "u", "v")
    values = {key: number(pose.get(key)) for key in keys}
    lost = [key for key, value in values.items() if value is None]
    if lost:
        raise DataError(f"{path}: the pose of {photo.name} lacks {', '.join(lost)}; it has {', '.join(map(str, pose))}")
    real = {key: value for key, value in values.items() if value is not None}
    view = viewpoint_of(real["azimuth"], real["elevation"], real["theta"], real["distance"])
    lens = Lens(real["f"] / WIDTH, (real["u"] / WIDTH, real["v"] / WIDTH), relative=True)
    model = pose.get("model_id")
    return Photo(photo, split, viewpoint=view, lens=lens, model_id=str(model) if model else None)


STANFORD3D = DataSet(
    name="stanford-cars-3d",
    about="StanfordCars3D: 7-parameter pose and ShapeNet model id of the photos of Stanford Cars",
    licence="poses without a licence file; photos as Stanford Cars; models as ShapeNet (gated)",
    gated=False,
    where="https://github.com/yangyi02/finegrained-pose (Anno3D), photos from stanford-cars, models from shapenet",
    layout=(
        "Anno3D/StanfordCars/train_anno_v2.pkl, test_anno_v2.pkl (or train_anno.pkl, test_anno.pkl)",
        "Image/StanfordCars/cars_train/*.jpg, Image/StanfordCars/cars_test/*.jpg",
        "CAD/02958343/MODEL/model.obj (optional: open CAD with shapenet)",
    ),
    verified="the authors' README, projection code and published annotation files",
    marks=(HOME,),
    opener=open_stanford3d,
)
