"""The archive of Lin, Kong, Lucey 2018: input pictures, depth maps, dense ground-truth clouds, by model id."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.errors import DataError
from edge.photosets.files import Folder, locate
from edge.photosets.matlab import read_mat
from training.datasets.base import CARS, Asset, Contents, DataSet, Rendering
from training.datasets.cad import NOSE_PLUS_X_UP_Y
from training.datasets.files import read_listed

VIEWS = 24
#: Folder endings: what is in it, and whether only the test split has it.
DEPTHS = ("depth", "depth_fixed8")


class DepthMaps(NamedTuple):
    """depth: (N, H, W) float32, orthographic depth from a camera 1 from the centre, 0 = background.
    rotations: (N, 4) float32, or None for the fixed views: quaternion w, x, y, z of world to Blender camera."""

    depth: np.ndarray
    rotations: np.ndarray | None


def open_lin(root: Path) -> Contents:
    """Cars of a ``data`` folder in the archive's layout. DataError if it holds only other categories."""
    folder = Folder(locate(root, LIN.published))
    if folder.first([f"{CARS}_inputRGB", f"{CARS}_train.list", f"{CARS}_test.list"]) is None:
        raise DataError(
            f"{folder.root} is the archive of Lin 2018, but without cars: the published one holds chairs (03001627). "
            f"Make {CARS}_depth and the others with the render and densify scripts of its repository"
        )
    splits, missing = read_listed(folder, {word: f"{CARS}_{word}.list" for word in ("train", "test")})
    notes = ["which way the 24 input pictures look is not published: their viewpoints are not known"]
    if not splits:
        notes.append("no list files: every model is in split none")
        splits = {Path(name).stem: "none" for name in folder.names(f"{CARS}_inputRGB") if name.endswith(".npy")}
    renderings, assets = [], []
    for model, split in sorted(splits.items()):
        name = f"{CARS}_inputRGB/{model}.npy"
        path = folder.find(name)
        if path is None:
            missing.append(name)
        else:
            renderings += [Rendering(path, model, split, frame=view) for view in range(VIEWS)]
        found, lost = _assets(folder, model, split)
        assets += found
        missing += lost
    return Contents(folder.root, renderings=tuple(renderings), assets=tuple(assets), missing=tuple(missing),
                    notes=tuple(notes))


def _assets(folder: Folder, model: str, split: str) -> tuple[list[Asset], list[str]]:
    """Depth maps and cloud of a model. The archive has depth for training models and clouds for test models."""
    found, lost = [], []
    for ending in DEPTHS:
        name = f"{CARS}_{ending}/{model}.mat"
        path = folder.find(name)
        if path is not None:
            found.append(Asset("depth", model, path, partial(read_depth, path), split))
        elif split == "train":
            lost.append(name)
    name = f"{CARS}_testGT/{model}.mat"
    path = folder.find(name)
    if path is not None:
        found.append(Asset("cloud", model, path, partial(read_cloud, path), split))
    elif split == "test":
        lost.append(name)
    return found, lost


def read_depth(path: Path) -> DepthMaps:
    """Variables ``Z`` and, for the random views, ``trans``. DataError if they are not there or of other shapes."""
    variables = read_mat(path, squeeze=False)
    depth = np.asarray(variables.get("Z"))
    trans = variables.get("trans")
    if depth.ndim != 3 or depth.dtype.kind not in "uif":
        raise DataError(f"{path} holds no depth maps Z (N, H, W); unpack it again")
    if trans is not None and np.shape(trans) != (len(depth), 4):
        raise DataError(f"{path}: trans has shape {np.shape(trans)} for {len(depth)} depth maps; unpack it again")
    depth = np.where(np.isfinite(depth), depth, 0).astype(np.float32)
    return DepthMaps(depth, None if trans is None else np.asarray(trans, np.float32))


def read_cloud(path: Path) -> np.ndarray:
    """(N, 3) float32: ``V`` and ``Vd``, vertices and 100,000 points on the edges, in ShapeNet v1's unit, turned to
    x forward, y left, z up. DataError if they are not there."""
    variables = read_mat(path, squeeze=False)
    arrays = [np.asarray(variables.get(name)) for name in ("V", "Vd")]
    if any(a.ndim != 2 or a.shape[-1] != 3 or a.dtype.kind not in "uif" for a in arrays):
        raise DataError(f"{path} holds no points V and Vd (N, 3); unpack it again")
    return (np.concatenate(arrays) @ NOSE_PLUS_X_UP_Y.T).astype(np.float32)


LIN = DataSet(
    name="lin2018",
    about="Lin 2018: 24 input pictures (64 x 64), 100 random and 8 fixed depth maps, clouds of 100,000 points",
    licence="derived from ShapeNetCore v1: ShapeNet terms of use apply (non-commercial, no redistribution)",
    gated=False,
    where=(
        "https://github.com/chenhsuanlin/3D-point-cloud-generation (3D-PCG-data.tar.gz holds chairs; its render and "
        "densify scripts make the same for cars from ShapeNetCore)"
    ),
    layout=(
        "02958343_train.list, 02958343_test.list            (02958343/MODEL a line)",
        "02958343_inputRGB/MODEL.npy                        (24, 64, 64, 3)",
        "02958343_depth/MODEL.mat                           Z (100, 128, 128), trans (100, 4)",
        "02958343_depth_fixed8/MODEL.mat                    Z (8, 128, 128)",
        "02958343_testGT/MODEL.mat                          V (N, 3), Vd (100000, 3)",
    ),
    verified="public code: the repository's data.py, evaluate_dist.py and render scripts (chairs; same names for cars)",
    marks=(f"{CARS}_inputRGB", f"{CARS}_train.list", f"{CARS}_test.list", "03001627_train.list", "03001627_inputRGB"),
    opener=open_lin,
)
