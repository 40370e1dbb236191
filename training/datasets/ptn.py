"""The renderings and volumes of Perspective Transformer Nets (Yan et al. 2016): 24 views at 30 degrees elevation."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from edge.errors import DataError
from edge.photosets.files import Folder, locate
from edge.photosets.matlab import read_mat
from training.datasets.base import CARS, Asset, Contents, DataSet, Rendering, Viewpoint
from training.datasets.files import read_listed

IDS, PICTURES, VOLUMES = "shapenetcore_ids", "shapenetcore_viewdata", "shapenetcore_voxdata"
#: List files; "valids" is the authors' spelling.
LISTS = {"train": "trainids", "val": "valids", "test": "testids"}
AZIMUTHS = tuple(range(15, 361, 15))
ELEVATION = 30.0


def open_ptn(root: Path) -> Contents:
    """Pictures and volumes of the listed cars in ``root``, which holds shapenetcore_viewdata."""
    folder = Folder(locate(root, PTN.published))
    splits, missing = read_listed(folder, {word: f"{IDS}/{CARS}_{ending}.txt" for word, ending in LISTS.items()})
    notes = ["azimuths are as the file names say; where 0 is and which way they run is not published"]
    if not splits:
        notes.append(f"no list {IDS}/{CARS}_trainids.txt: every model is in split none")
        splits = dict.fromkeys(folder.names(f"{PICTURES}/{CARS}"), "none")
    renderings, assets = [], []
    for model, split in tqdm(sorted(splits.items()), desc="renderings", unit="model", disable=None, leave=False):
        for azimuth in AZIMUTHS:
            name = f"{PICTURES}/{CARS}/{model}/imgs/a{azimuth:03d}_e{ELEVATION:03.0f}.jpg"
            path = folder.find(name)
            if path is None:
                missing.append(name)
                continue
            view = Viewpoint(None, ELEVATION, source_azimuth_deg=float(azimuth))
            renderings.append(Rendering(path, model, split, view))
        volume = folder.find(f"{VOLUMES}/{CARS}/{model}/model_32.mat")
        if volume is not None:
            assets.append(Asset("voxels", model, volume, partial(read_volume, volume), split))
        elif folder.find(VOLUMES) is not None:
            missing.append(f"{VOLUMES}/{CARS}/{model}/model_32.mat")
    return Contents(folder.root, renderings=tuple(renderings), assets=tuple(assets), missing=tuple(missing),
                    notes=tuple(notes))


def read_volume(path: Path) -> np.ndarray:
    """Occupancy (N, N, N) bool of variable ``voxel``, in the file's own axes. DataError if it is not there."""
    voxel = np.asarray(read_mat(path, squeeze=False).get("voxel"))
    if voxel.ndim != 3 or voxel.dtype.kind not in "buif":
        raise DataError(f"{path} holds no 3-D array called voxel; unpack it again")
    return voxel > 0.5


PTN = DataSet(
    name="ptn",
    about="Perspective Transformer Nets: 24 pictures (64 x 64) a car at 30 degrees elevation, 32-cell volumes",
    licence="rendered from ShapeNetCore: ShapeNet terms of use apply (non-commercial, no redistribution)",
    gated=False,
    where="the page of Perspective Transformer Nets, https://github.com/xcyan/nips16_PTN (prepare_data.sh)",
    layout=(
        "shapenetcore_ids/02958343_trainids.txt, 02958343_valids.txt, 02958343_testids.txt",
        "shapenetcore_viewdata/02958343/MODEL/imgs/a015_e030.jpg ... a360_e030.jpg",
        "shapenetcore_voxdata/02958343/MODEL/model_32.mat",
    ),
    verified="public code: nips16_PTN's own loaders and default paths; azimuth zero and sense not verified",
    marks=(PICTURES,),
    opener=open_ptn,
)
