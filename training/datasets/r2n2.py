"""The renderings and 32-cell volumes of 3D-R2N2 (Choy et al. 2016), of ShapeNetCore v1 cars."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tqdm import tqdm

from edge.errors import DataError
from edge.photosets.files import Folder, locate
from training.datasets.base import CARS, Asset, Contents, DataSet, Rendering, Viewpoint
from training.datasets.binvox import read_binvox
from training.datasets.files import model_splits, read_lines

PICTURES = f"ShapeNetRendering/{CARS}"
VOLUMES = f"ShapeNetVox32/{CARS}"
VIEWS = 24


def open_r2n2(root: Path) -> Contents:
    """Renderings and volumes in ``root``, which holds ShapeNetRendering, ShapeNetVox32 or both."""
    folder = Folder(locate(root, R2N2.published))
    splits, note = model_splits(folder, CARS)
    notes, missing = [note], []
    renderings: list[Rendering] = []
    assets = []
    for model in tqdm(folder.names(PICTURES), desc="renderings", unit="model", disable=None, leave=False):
        found, lost = read_model(folder, model, splits.get(model, "none"))
        renderings += found
        missing += lost
    for model in folder.names(VOLUMES):
        name = f"{VOLUMES}/{model}/model.binvox"
        path = folder.find(name)
        if path is None:
            missing.append(name)
        else:
            assets.append(Asset("voxels", model, path, partial(read_binvox, path), splits.get(model, "none")))
    for part, name in ((PICTURES, "renderings"), (VOLUMES, "volumes")):
        if folder.find(part) is None:
            notes.append(f"there is no {part}: no {name}")
        else:
            missing += [f"{part}/{model}" for model in sorted(set(splits) - set(folder.names(part)))]
    return Contents(folder.root, renderings=tuple(renderings), assets=tuple(assets), missing=tuple(missing),
                    notes=tuple(notes))


def read_model(folder: Folder, model: str, split: str) -> tuple[list[Rendering], list[str]]:
    """Renderings of a model with their viewpoints, and the names of missing or damaged files."""
    home = f"{PICTURES}/{model}/rendering"
    listing, table = folder.find(f"{home}/renderings.txt"), folder.find(f"{home}/rendering_metadata.txt")
    names = read_lines(listing) if listing is not None else [f"{view:02d}.png" for view in range(VIEWS)]
    lost = []
    views: list[Viewpoint | None] = [None] * len(names)
    try:
        views = read_viewpoints(table, len(names)) if table is not None else views
    except DataError:
        lost.append(f"{home}/rendering_metadata.txt (damaged)")
    if table is None:
        lost.append(f"{home}/rendering_metadata.txt")
    found = []
    for name, view in zip(names, views):
        path = folder.find(f"{home}/{name}")
        if path is None:
            lost.append(f"{home}/{name}")
        else:
            found.append(Rendering(path, model, split, view))
    return found, lost


def read_viewpoints(path: Path, count: int) -> list[Viewpoint | None]:
    """Viewpoints of rendering_metadata.txt: azimuth, elevation, in-plane rotation (degrees), distance ratio, field of
    view, one line a picture.

    3D-R2N2's renderer turns the camera by *minus* the azimuth about the vertical, from a stand before the nose: what
    it calls 90 is on the car's right. DataError if there are fewer lines or other columns.
    """
    rows = [line.replace(",", " ").strip("[]").split() for line in read_lines(path)]
    try:
        table = [[float(word) for word in row] for row in rows]
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); unpack it again") from error
    if len(table) < count or any(len(row) != 5 for row in table):
        raise DataError(f"{path} does not hold {count} lines of five numbers; unpack it again")
    return [
        Viewpoint(-azimuth % 360, elevation, roll, distance, azimuth)
        for azimuth, elevation, roll, distance, _ in table[:count]
    ]


R2N2 = DataSet(
    name="r2n2",
    about="3D-R2N2: 24 pictures (137 x 137, transparent) of about 7,500 cars, and 32-cell volumes",
    licence="rendered from ShapeNetCore v1: ShapeNet terms of use apply (non-commercial, no redistribution)",
    gated=False,
    where="the page of 3D-R2N2, https://github.com/chrischoy/3D-R2N2 (ShapeNetRendering.tgz, ShapeNetVox32.tgz)",
    layout=(
        "ShapeNetRendering/02958343/MODEL/rendering/00.png ... 23.png, rendering_metadata.txt, renderings.txt",
        "ShapeNetVox32/02958343/MODEL/model.binvox",
        "02958343_train.txt, _val.txt, _test.txt (optional)",
    ),
    verified="public code: 3D-R2N2 (data_io, blender_renderer, binvox_rw) and several later readers of the archive",
    marks=(PICTURES, VOLUMES),
    opener=open_r2n2,
)
