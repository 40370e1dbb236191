"""PASCAL3D+ cars (Xiang et al. 2014): photos of PASCAL VOC and ImageNet with boxes, viewpoints and ten CAD models."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tqdm import tqdm

from edge.errors import DataError
from edge.photosets.base import Box, box_from_corners
from edge.photosets.files import Folder, locate
from edge.photosets.matlab import Record, inventory, number, numbers, read_mat, records
from training.datasets.base import Asset, Contents, DataSet, Lens, Photo, Viewpoint
from training.datasets.cad import NOSE_MINUS_Y_UP_Z, as_car, read_off
from training.datasets.files import read_lines
from training.meshes.build import make_part
from training.meshes.model import CarMesh

SOURCES = ("car_imagenet", "car_pascal")
SUFFIX = {"car_imagenet": ".JPEG", "car_pascal": ".jpg"}
#: Lists by source and split. PASCAL VOC's own lists come with the copy of VOC2012 inside the archive.
LISTS = {
    "car_imagenet": "Image_sets/car_imagenet_{0}.txt",
    "car_pascal": "PASCAL/VOCdevkit/VOC2012/ImageSets/Main/{0}.txt",
}
#: Focal lengths are in units of this many pixels unless the record says otherwise.
VIEWPORT = 3000.0


def open_pascal3d(root: Path) -> Contents:
    """Cars of a PASCAL3D+ release. A record that cannot be read is named among the missing, the rest goes on."""
    folder = Folder(locate(root, PASCAL3D.published))
    photos: list[Photo] = []
    missing, notes = [], []
    for source in SOURCES:
        splits = _splits(folder, source)
        lists = [name for name in folder.names(f"Annotations/{source}") if name.lower().endswith(".mat")]
        if not lists:
            notes.append(f"there is no Annotations/{source}")
        if lists and not splits:
            missing.append(LISTS[source].format("train"))
        for name in tqdm(lists, desc=source, unit="photo", disable=None, leave=False):
            path = folder.root / "Annotations" / source / name
            try:
                path = folder.find(f"Annotations/{source}/{name}") or path
                photos += _photos(folder, source, path, splits.get(path.stem, "none"))
            except DataError as error:
                missing.append(f"Annotations/{source}/{name}: {error}")
        listed = {Path(name).stem for name in lists}
        if source == "car_imagenet":
            missing += [f"Annotations/{source}/{stem}.mat" for stem in sorted(set(splits) - listed)]
    return Contents(folder.root, tuple(photos), assets=_models(folder), missing=tuple(missing), notes=tuple(notes))


def viewpoint_of(record: Record) -> Viewpoint | None:
    """Viewpoint of a record's struct, degrees; of its coarse angles if the fine ones were not annotated (distance 0).

    PASCAL3D+ puts the camera at d (cos e sin a, -cos e cos a, sin e), CAD noses along -y: its azimuth is ours. Its
    theta turns the picture's content anticlockwise.
    """
    distance = number(record.get("distance"))
    fine = ("azimuth", "elevation") if distance else ("azimuth_coarse", "elevation_coarse")
    azimuth, elevation = (number(record.get(key)) for key in fine)
    if azimuth is None or elevation is None:
        return None
    roll = -(number(record.get("theta")) or 0.0) if distance else 0.0
    return Viewpoint(azimuth % 360, elevation, roll, distance or None, azimuth)


def read_model(path: Path) -> CarMesh:
    """One of the ten CAD cars, all paint, 4.5 m long because the files carry no unit."""
    vertices, faces = read_off(path)
    # Files are about 1 unit long; see cad.read_obj_parts for the factor.
    part = make_part("paint_0", "paint", vertices * 1000, faces, (0.5, 0.5, 0.5))
    return as_car(
        [part], NOSE_MINUS_Y_UP_Z, name=f"pascal3d-car-{path.stem}", source="pascal3d",
        licence=PASCAL3D.licence, attribution=f"PASCAL3D+, CAD car {path.stem}",
    )


def _photos(folder: Folder, source: str, path: Path, split: str) -> list[Photo]:
    variables = read_mat(path)
    rows = records(variables.get("record"))
    if not rows:
        raise DataError(f"{path.name} holds no struct called record, but {inventory(variables)}")
    name = str(rows[0].get("filename") or "") or path.stem + SUFFIX[source]
    photo = folder.first((f"Images/{source}/{name}", f"Images/{source}/{path.stem}{SUFFIX[source]}"))
    if photo is None:
        raise DataError(f"its photo Images/{source}/{name} is not there")
    cars = [row for row in records(rows[0].get("objects")) if str(row.get("class", "")) == "car"]
    return [_car(photo, split, row) for row in cars]


def _car(photo: Path, split: str, row: Record) -> Photo:
    views = records(row.get("viewpoint"))
    view = viewpoint_of(views[0]) if views else None
    flags = tuple(f for f in ("occluded", "truncated", "difficult") if number(row.get(f)))
    index = number(row.get("cad_index"))
    model = None if index is None else f"{int(index):02d}"
    return Photo(photo, split, _box(row), "car", view, _lens(views[0]) if views else None, model, flags)


def _box(row: Record) -> Box | None:
    corners = numbers(row.get("bbox"), 4)
    return None if corners is None else box_from_corners(*corners)


def _lens(view: Record) -> Lens | None:
    """Intrinsics, if the fine viewpoint was annotated."""
    focal, x, y = (number(view.get(key)) for key in ("focal", "px", "py"))
    if not number(view.get("distance")) or focal is None or x is None or y is None:
        return None
    return Lens(focal * (number(view.get("viewport")) or VIEWPORT), (x, y))


def _splits(folder: Folder, source: str) -> dict[str, str]:
    splits: dict[str, str] = {}
    for word, split in (("train", "train"), ("val", "validation")):
        path = folder.find(LISTS[source].format(word))
        if path is not None:
            splits |= {line.split()[0]: split for line in read_lines(path)}
    return splits


def _models(folder: Folder) -> tuple[Asset, ...]:
    paths = [folder.find(f"CAD/car/{name}") for name in folder.names("CAD/car") if name.lower().endswith(".off")]
    return tuple(Asset("mesh", path.stem, path, partial(read_model, path)) for path in paths if path is not None)


PASCAL3D = DataSet(
    name="pascal3d",
    about="PASCAL3D+: about 6,700 photos with cars: boxes, viewpoints, one of ten CAD models",
    licence="no licence file; photos of PASCAL VOC (Flickr terms) and ImageNet (non-commercial research)",
    gated=False,
    where="https://cvgl.stanford.edu/projects/pascal3d.html (PASCAL3D+_release1.1.zip)",
    layout=(
        "Annotations/car_imagenet/*.mat, Annotations/car_pascal/*.mat",
        "Images/car_imagenet/*.JPEG, Images/car_pascal/*.jpg",
        "Image_sets/car_imagenet_train.txt, car_imagenet_val.txt",
        "CAD/car/01.off ... 10.off",
    ),
    verified="public readers (wkentaro/pascal3d and others): records, projection, lists; occluded etc. from the paper",
    marks=tuple(f"Annotations/{source}" for source in SOURCES),
    opener=open_pascal3d,
)
