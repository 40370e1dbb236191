"""ShapeNetCore cars, v1 and v2 (Chang et al. 2015): OBJ meshes by model id, gated behind a registration."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tqdm import tqdm

from edge.errors import DataError
from edge.photosets.files import Folder, locate
from training.datasets.base import CARS, Asset, Contents, DataSet
from training.datasets.binvox import read_binvox
from training.datasets.cad import NOSE_MINUS_Z_UP_Y, NOSE_PLUS_X_UP_Y, as_car, read_obj_parts
from training.datasets.files import model_splits
from training.meshes.model import CarMesh

LICENCE = "ShapeNet terms of use (non-commercial research and education; no redistribution)"
#: Relative names by version: mesh, and its materials.
FORMS = {
    "v2": ("models/model_normalized.obj", "models/model_normalized.mtl"),
    "v1": ("model.obj", "model.mtl"),
}


def open_shapenet(root: Path) -> Contents:
    """Cars of ShapeNetCore in ``root``, which holds 02958343. DataError if it is not that folder."""
    folder = Folder(locate(root, SHAPENET.published))
    splits, note = model_splits(folder, CARS)
    # Split lists may lie beside the models; a model's folder has no dot in its name.
    models = [name for name in folder.names(CARS) if "." not in name]
    assets, missing, forms = [], [], {"v1": 0, "v2": 0}
    for model in tqdm(models, desc="models", unit="model", disable=None, leave=False):
        found = _find(folder, model)
        if found is None:
            missing.append(f"{CARS}/{model}/models/model_normalized.obj (v2) or {CARS}/{model}/model.obj (v1)")
            continue
        version, mesh = found
        forms[version] += 1
        split = splits.get(model, "none")
        assets.append(Asset("mesh", model, mesh, partial(read_model, mesh), split))
        solid = folder.find(f"{CARS}/{model}/models/model_normalized.solid.binvox")
        if solid is not None:
            assets.append(Asset("voxels", model, solid, partial(read_binvox, solid), split))
    missing += [f"{CARS}/{model}" for model in sorted(set(splits) - set(models))]
    notes = [note, f"{forms['v1']} models in the v1 layout, {forms['v2']} in the v2 layout"]
    return Contents(folder.root, assets=tuple(assets), missing=tuple(missing), notes=tuple(notes))


def read_model(path: Path, mirror: bool = False) -> CarMesh:
    """One model in the car frame, 4.5 m long because ShapeNet's OBJ files carry no unit.

    path: ``model.obj`` (v1: nose +x, up y) or ``model_normalized.obj`` (v2: nose -z, up y), told apart by the name.
    mirror: swap left and right. The authors say that v1 is mirrored; pictures rendered from v1 are mirrored with it,
    so by default the file's own handedness is kept. DataError if the file is damaged or no car.
    """
    version = "v2" if "normalized" in path.name.lower() else "v1"
    model = path.parent.parent.name if version == "v2" else path.parent.name
    axes = NOSE_MINUS_Z_UP_Y if version == "v2" else NOSE_PLUS_X_UP_Y
    materials = Folder(path.parent).find(path.with_suffix(".mtl").name)
    return as_car(
        read_obj_parts(path, materials), axes, mirror, name=f"shapenet-{model}", source=f"shapenetcore-{version}",
        licence=LICENCE, attribution=f"ShapeNetCore {version}, Chang et al. 2015, model {CARS}/{model}",
    )


def find_model(root: Path, model: str) -> Path:
    """The OBJ of a model id, for photos that name their CAD model. DataError if it is not there."""
    found = _find(Folder(root), model)
    if found is None:
        raise DataError(f"ShapeNet model {CARS}/{model} is not in {root}; {SHAPENET.source()}")
    return found[1]


def _find(folder: Folder, model: str) -> tuple[str, Path] | None:
    for version, (mesh, _) in FORMS.items():
        path = folder.find(f"{CARS}/{model}/{mesh}")
        if path is not None:
            return version, path
    return None


SHAPENET = DataSet(
    name="shapenet",
    about="ShapeNetCore v1/v2 cars, synset 02958343: about 7,500 (v1) or 3,500 (v2) meshes",
    licence=LICENCE,
    gated=True,
    where="https://shapenet.org (register, accept the terms, take 02958343 of ShapeNetCore)",
    layout=(
        "02958343/MODEL/model.obj, model.mtl, images/                   (v1)",
        "02958343/MODEL/models/model_normalized.obj, .mtl, .json, .solid.binvox (v2)",
        "all.csv, or 02958343_train.txt, _val.txt, _test.txt, or 02958343/train.lst, val.lst, test.lst (optional)",
    ),
    verified="layouts and axes: the ShapeNetCore README as public code and pages quote it; 3D-R2N2 and Lin 2018 code",
    marks=(CARS,),
    opener=open_shapenet,
)
