"""Tiny copies of public data sets in their exact published layouts, written by the tests themselves.

Each writer takes an empty folder and fills it; what it writes is fixed, so tests can compare exactly.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from PIL import Image

from training.datasets.layouts import cell, structs

CARS = "02958343"
MODELS = ("1a0bc9ab92c915167ae33d942430658c", "2b1", "fff513f407e00e85a9ced22d91ad7027")
LENGTH, WIDTH, HEIGHT = 0.9, 0.4, 0.3

#: A car with a bonnet: body box, and a cabin over the rear three quarters, so that the nose is where it is low.
#: Corners in the car frame (x forward, y left, z up); the left mirror sticks out, so that left is not right either.
PIECES = {
    "body": ((-0.45, -0.2, 0.0), (0.45, 0.2, 0.15)),
    "Window_Glass": ((-0.45, -0.2, 0.15), (0.1, 0.2, 0.3)),
    "mirror": ((0.1, 0.2, 0.16), (0.16, 0.26, 0.2)),
}
QUADS = ((1, 3, 4, 2), (5, 6, 8, 7), (1, 2, 6, 5), (3, 7, 8, 4), (1, 5, 7, 3), (2, 4, 8, 6))


def corners(piece: str) -> np.ndarray:
    """The eight corners (8, 3) of a piece in the car frame."""
    low, high = PIECES[piece]
    return np.array([(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])


def put(path: Path, text: str) -> Path:
    """Write a text file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def put_mat(path: Path, **variables: Any) -> Path:
    """Write a .mat file of version 5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, variables, oned_as="row")
    return path


def put_picture(path: Path, size: tuple[int, int] = (60, 40), colour: tuple[int, ...] = (90, 120, 160)) -> Path:
    """Write a plain picture; four numbers of colour make it RGBA."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(path)
    return path


def obj_text(axes: np.ndarray) -> str:
    """The toy car as OBJ in other axes: ``axes`` (3, 3) has the car's x, y, z axis of the file in its rows."""
    lines = ["mtllib model.mtl"]
    offset = 0
    for piece in PIECES:
        lines += ["v " + " ".join(f"{v:.6f}" for v in axes.T @ corner) for corner in corners(piece)]
        lines.append(f"usemtl {piece}")
        lines += ["f " + " ".join(str(i + offset) for i in quad) for quad in QUADS]
        offset += 8
    return "\n".join(lines) + "\n"


MTL = "newmtl body\nKd 1.0 0.0 0.0\nnewmtl Window_Glass\nKd 0.1 0.1 0.1\nd 0.5\nnewmtl mirror\nKd 0.5 0.5 0.5\n"
V1_AXES = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)  # nose +x, up y, left -z (no mirroring)
V2_AXES = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]], float)  # nose -z, up y, left -x
OFF_AXES = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], float)  # nose -y, up z, left +x


def off_text(axes: np.ndarray) -> str:
    """The toy car as OFF with quads."""
    points = [axes.T @ corner for piece in PIECES for corner in corners(piece)]
    faces = [[i - 1 + 8 * k for i in quad] for k in range(len(PIECES)) for quad in QUADS]
    lines = ["OFF", f"{len(points)} {len(faces)} 0"]
    lines += [" ".join(f"{v:.6f}" for v in p) for p in points] + ["4 " + " ".join(map(str, f)) for f in faces]
    return "\n".join(lines) + "\n"


def binvox_bytes(filled: np.ndarray, translate: tuple[float, float, float], scale: float) -> bytes:
    """A binvox file of occupancy (N, N, N) in x, y, z: y runs fastest, then z, then x; runs of at most 255."""
    flat = filled.transpose(0, 2, 1).ravel().astype(np.uint8)
    runs = bytearray()
    start = 0
    while start < len(flat):
        end = start
        while end < len(flat) and flat[end] == flat[start] and end - start < 255:
            end += 1
        runs += bytes([int(flat[start]), end - start])
        start = end
    n = filled.shape[0]
    head = f"#binvox 1\ndim {n} {n} {n}\ntranslate {translate[0]} {translate[1]} {translate[2]}\nscale {scale}\ndata\n"
    return head.encode() + bytes(runs)


def toy_voxels() -> np.ndarray:
    """(8, 8, 8) bool, no symmetry."""
    filled = np.zeros((8, 8, 8), bool)
    filled[1:7, 0, 2:5] = True
    filled[2, 3, 6] = filled[7, 1, 0] = True
    return filled


def put_binvox(path: Path) -> Path:
    """Write :func:`toy_voxels`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(binvox_bytes(toy_voxels(), (-0.5, -0.25, -0.5), 2.0))
    return path


def shapenet(root: Path) -> None:
    """One v1 model, two v2 models, one of them with voxels; split lists for three and one that is not there."""
    put(root / CARS / MODELS[0] / "model.obj", obj_text(V1_AXES))
    put(root / CARS / MODELS[0] / "model.mtl", MTL)
    for model in MODELS[1:]:
        home = root / CARS / model / "models"
        put(home / "model_normalized.obj", obj_text(V2_AXES))
        put(home / "model_normalized.mtl", MTL)
        put(home / "model_normalized.json", "{}")
    put_binvox(root / CARS / MODELS[1] / "models" / "model_normalized.solid.binvox")
    for word, ids in (("train", [MODELS[0], "0absent"]), ("val", [MODELS[1]]), ("test", [MODELS[2]])):
        put(root / "splits" / f"{CARS}_{word}.txt", "\n".join(ids) + "\n")


def r2n2(root: Path) -> None:
    """Two models with 24 pictures each, of which one picture and one volume are not there."""
    for index, model in enumerate(MODELS[:2]):
        home = root / "ShapeNetRendering" / CARS / model / "rendering"
        names = [f"{view:02d}.png" for view in range(24)]
        for view, name in enumerate(names):
            put_picture(home / name, (20, 16), (10 * view, 0, 0, 255 if view else 0))
        put(home / "renderings.txt", "\n".join(names) + "\n")
        rows = [f"{15.0 * view + index} {25.0 + view / 10} 0 {0.7 + view / 100} 25" for view in range(24)]
        put(home / "rendering_metadata.txt", "\n".join(rows) + "\n")
    (root / "ShapeNetRendering" / CARS / MODELS[1] / "rendering" / "07.png").unlink()
    put_binvox(root / "ShapeNetVox32" / CARS / MODELS[0] / "model.binvox")
    (root / "ShapeNetVox32" / CARS / MODELS[1]).mkdir(parents=True)


def ptn(root: Path) -> None:
    """Two listed models; the volume of the second and the view at 30 degrees of the first are not there."""
    for word, model in (("trainids", MODELS[0]), ("valids", MODELS[1])):
        put(root / "shapenetcore_ids" / f"{CARS}_{word}.txt", f"{CARS}/{model}\n")
    put(root / "shapenetcore_ids" / f"{CARS}_testids.txt", "")
    for model in MODELS[:2]:
        for azimuth in range(15, 361, 15):
            put_picture(root / "shapenetcore_viewdata" / CARS / model / "imgs" / f"a{azimuth:03d}_e030.jpg", (8, 8))
    (root / "shapenetcore_viewdata" / CARS / MODELS[0] / "imgs" / "a030_e030.jpg").unlink()
    put_mat(root / "shapenetcore_voxdata" / CARS / MODELS[0] / "model_32.mat", voxel=toy_voxels().astype(np.uint8))


def lin2018(root: Path) -> None:
    """One training and one test model; sizes of the maps cut down."""
    put(root / f"{CARS}_train.list", f"{CARS}/{MODELS[0]}\n")
    put(root / f"{CARS}_test.list", f"{CARS}/{MODELS[2]}\n")
    (root / f"{CARS}_inputRGB").mkdir()
    for model in (MODELS[0], MODELS[2]):
        stack = np.arange(24, dtype=np.uint8)[:, None, None, None] * np.ones((24, 6, 6, 3), np.uint8)
        np.save(root / f"{CARS}_inputRGB" / f"{model}.npy", stack)
    depth = np.zeros((5, 4, 4), np.float32)
    depth[:, 1:3, 1:3] = 0.75
    depth[0, 0, 0] = np.inf
    put_mat(root / f"{CARS}_depth" / f"{MODELS[0]}.mat", Z=depth, trans=np.tile([1.0, 0, 0, 0], (5, 1)))
    put_mat(root / f"{CARS}_depth_fixed8" / f"{MODELS[0]}.mat", Z=np.repeat(depth[1:2], 8, 0))
    points = {"V": [[0.5, 0.1, -0.2]], "Vd": [[0.0, 0.2, 0.0], [0.1, 0.0, 0.3]]}
    put_mat(root / f"{CARS}_testGT" / f"{MODELS[2]}.mat", **{k: np.array(v) for k, v in points.items()})


CLASSES = ["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "BMW 1 Series Coupe 2012"]


def stanford(root: Path, labels: bool = True) -> None:
    """Three training photos (one not there), one test photo, devkit."""
    put_mat(root / "devkit" / "cars_meta.mat", class_names=cell(CLASSES))
    rows = [_stanford_row(x1, 5, 50, 30, label, name) for x1, label, name in
            ((1, 3, "00001.jpg"), (11, 1, "00002.jpg"), (21, 2, "00003.jpg"))]  # fmt: skip
    put_mat(root / "devkit" / "cars_train_annos.mat", annotations=structs(rows))
    test = _stanford_row(7, 8, 20, 20, 2, "00001.jpg")
    if labels:
        put_mat(root / "cars_test_annos_withlabels.mat", annotations=structs([test]))
    del test["class"]
    put_mat(root / "devkit" / "cars_test_annos.mat", annotations=structs([test]))
    for name in ("cars_train/00001.jpg", "cars_train/00003.jpg", "cars_test/00001.jpg"):
        put_picture(root / name)


def _stanford_row(x1: int, y1: int, x2: int, y2: int, label: int, name: str) -> dict[str, Any]:
    values = {"bbox_x1": x1, "bbox_y1": y1, "bbox_x2": x2, "bbox_y2": y2, "class": label}
    return {key: np.array([[v]], np.uint8) for key, v in values.items()} | {"fname": name}


def stanford_one_folder(root: Path) -> None:
    """car_ims with cars_annos.mat."""
    rows = []
    for index, test in enumerate((0, 1)):
        name = f"car_ims/{index + 1:06d}.jpg"
        put_picture(root / name)
        row = {"relative_im_path": name} | _stanford_row(3, 4, 40, 30, index + 1, name)
        del row["fname"]
        rows.append(row | {"test": np.array([[test]], np.uint8)})
    put_mat(root / "cars_annos.mat", annotations=structs(rows), class_names=cell(CLASSES))


def bmw10(root: Path, rows: list[dict[str, Any]] | None = None, **variables: Any) -> None:
    """Four photos, one of them with a Windows path and a line end, one not there; or other records and variables."""
    if rows is None:
        places = [("1/a.jpg", 1), ("2\\b.jpg\n", 2), ("10/c.jpg", 9), ("11/gone.jpg", 10)]
        rows = [
            {"fname": name, "class": label, "bbox_x1": 4 + i, "bbox_y1": 3, "bbox_x2": 43 + i, "bbox_y2": 32}
            for i, (name, label) in enumerate(places)
        ]
        variables = {"train_indices": np.array([[1], [4]]), "test_indices": np.array([[2], [3]])}
    put_mat(root / "bmw10_annos.mat", annos=structs(rows), **variables)
    for name in ("1/a.jpg", "2/b.jpg", "10/c.jpg"):
        put_picture(root / "bmw10_ims" / name)


POSES = {
    "00001.jpg": {"azimuth": np.pi / 2, "elevation": 0.1, "theta": 0.0, "distance": 1.5, "u": 30.0, "v": -15.0,
                  "f": 346.41, "model_id": MODELS[0]},
    "00002.jpg": {"azimuth": 0.0, "elevation": 0.0, "theta": 0.2, "distance": 1.0, "u": 0.0, "v": 0.0,
                  "f": 600.0, "model_id": MODELS[1]},
}  # fmt: skip


def stanford3d(root: Path, protocol: int = 0) -> None:
    """Poses of two training photos, of which the second is not there, as a pickle of dictionaries of plain values."""
    home = root / "Anno3D" / "StanfordCars"
    home.mkdir(parents=True)
    (home / "train_anno_v2.pkl").write_bytes(pickle.dumps(POSES, protocol))
    (home / "train_anno.pkl").write_bytes(pickle.dumps({}, protocol))
    put_picture(root / "Image" / "StanfordCars" / "cars_train" / "00001.jpg", (600, 300))


def pascal3d(root: Path) -> None:
    """A photo with two cars and a person, a photo of VOC with a coarse viewpoint, a record without photo, one CAD."""
    fine = {"azimuth": 30.0, "elevation": 5.0, "distance": 4.0, "focal": 1, "px": 250.5, "py": 200.0, "theta": 3.0,
            "viewport": 3000, "azimuth_coarse": 45, "elevation_coarse": 10}  # fmt: skip
    coarse = {"distance": 0, "azimuth_coarse": 270, "elevation_coarse": 0}
    cars = [_object("car", [11, 21, 110, 70], fine, 2), _object("person", [1, 1, 5, 5], coarse, 0),
            _object("car", [150, 30, 199, 60], fine | {"azimuth": -90.0, "theta": 0.0}, 10, truncated=1)]  # fmt: skip
    _record(root, "car_imagenet", "n02814533_1", "n02814533_1.JPEG", cars)
    _record(root, "car_imagenet", "n02814533_2", "n02814533_2.JPEG", cars)
    _record(root, "car_pascal", "2008_000028", "2008_000028.jpg", [_object("car", [1, 1, 20, 10], coarse, 1)])
    put_picture(root / "Images" / "car_imagenet" / "n02814533_1.JPEG", (200, 100))
    put_picture(root / "Images" / "car_pascal" / "2008_000028.jpg", (50, 40))
    put(root / "Image_sets" / "car_imagenet_train.txt", "n02814533_1\n")
    put(root / "Image_sets" / "car_imagenet_val.txt", "n02814533_2\n")
    put(root / "PASCAL" / "VOCdevkit" / "VOC2012" / "ImageSets" / "Main" / "val.txt", "2008_000028\n")
    put(root / "CAD" / "car" / "01.off", off_text(OFF_AXES))


def _object(name: str, box: list[int], view: dict[str, Any], cad: int, truncated: int = 0) -> dict[str, Any]:
    flags = {"truncated": truncated, "occluded": 1 - truncated, "difficult": 0}
    return {"class": name, "bbox": np.array([box]), "cad_index": cad, "viewpoint": view, **flags}


def _record(root: Path, source: str, stem: str, photo: str, objects: list[dict[str, Any]]) -> None:
    record = {"filename": photo, "database": source, "segmented": 0, "objects": structs(objects)}
    put_mat(root / "Annotations" / source / f"{stem}.mat", record=record)


#: Writers by the registry's names.
WRITERS = {
    "shapenet": shapenet,
    "r2n2": r2n2,
    "ptn": ptn,
    "lin2018": lin2018,
    "stanford-cars": stanford,
    "bmw10": bmw10,
    "stanford-cars-3d": stanford3d,
    "pascal3d": pascal3d,
}
