"""A split of the shards in memory, ready for training."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from edge.errors import DataError
from training.data.archive import DAMAGE, SHAPE_KEY, npz_arrays, png_image, tar_members
from training.data.shards import MAP_SIZE, Entry, check_shard, read_index, remedy, shard_path

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class CarDataset:
    """N pictures of M shapes.

    images: (N, S, S, 3) uint8 RGB. masks: (N, S, S) uint8, coverage by what is visible of the car, 255 = wholly.
    shape_index: (N,) int32, the picture's shape. fixed_depth: (M, 8, 128, 128) float16, camera-frame depth of
    ``edge.geometry.cube_corner_views()``, canonical units, 0 = background. novel_depth: (M, K, 128, 128) float16 and
    novel_rotation: (M, K, 3, 3) float32, the same for random views at the same width and distance; K = 0 if left out.
    names: M shapes, BODY-VARIANT. bodies, classes: M bodies and body classes.

    K: (N, 3, 3), R: (N, 3, 3), t: (N, 3) float32, OpenCV cameras in pixels of ``images``, world = canonical frame.
    view: (N, 3) float32, azimuth and elevation in degrees and focal length in mm. box: (N, 4) float32, x, y, width,
    height of the whole car in pixels of ``images``. hidden: (N,) float32, share of the whole car's silhouette that is
    covered or cut off. conditions: N of plain, clutter, occluded. length_m: (M,) and extents_m: (M, 3) float32, metres.
    real: (M,) bool, False for parametric cars.
    """

    images: np.ndarray
    masks: np.ndarray
    shape_index: np.ndarray
    fixed_depth: np.ndarray
    novel_depth: np.ndarray
    novel_rotation: np.ndarray
    names: list[str]
    bodies: list[str]
    classes: list[str]
    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    view: np.ndarray
    box: np.ndarray
    hidden: np.ndarray
    conditions: list[str]
    length_m: np.ndarray
    extents_m: np.ndarray
    real: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def load_dataset(
    root: Path, split: str, image_size: int, verify: bool = True, limit: int = 0, novel: bool = True,
    fixed: bool = True, hold_out: Sequence[str] = (),
) -> CarDataset:
    """Read all shards of a split; pictures are averaged down (area) to ``image_size``, cameras follow.

    verify: check the SHA-256 of every shard; the size is always checked. limit: at most so many pictures of each
    shape, 0 for all. novel: False leaves out the random depth views, most of the memory. fixed: False the fixed ones.
    hold_out: training bodies that count as validation, as they are; all that was made from them is in no split.
    Raises DataError: nothing there, no shard of this split, a shard missing, altered or damaged.
    """
    root = Path(root)
    index, entries = listed(root, split, hold_out)
    stored = int(index["image_size"])
    if not 1 <= image_size <= stored:
        raise DataError(f"image size {image_size} is not in 1..{stored}, the size of the stored pictures")
    counts = [min(e["pictures"], limit) if limit > 0 else int(e["pictures"]) for e in entries]
    columns = _columns(sum(counts), len(entries), image_size, int(entries[0]["novel"]) if novel else 0, fixed)
    conditions: list[str] = []
    starts = np.concatenate([[0], np.cumsum(counts)])
    for row, entry in enumerate(tqdm(entries, desc=f"reading {split}", unit="shape", mininterval=1.0, delay=2.0)):
        path = check_shard(root, entry, verify)
        shape, pictures = read_shape(path, counts[row], novel, fixed=fixed)
        if len(pictures) != counts[row]:
            raise DataError(f"shard {path} holds {len(pictures)} pictures of {counts[row]}; {remedy(root)}")
        _fill_shape(columns, row, shape)
        for place, picture in zip(range(starts[row], starts[row + 1]), pictures, strict=True):
            _fill_picture(columns, place, picture, image_size)
            conditions.append(str(picture["camera"]["condition"]))
    return CarDataset(
        **columns, shape_index=np.repeat(np.arange(len(entries), dtype=np.int32), counts), conditions=conditions,
        names=[str(e["name"]) for e in entries], bodies=[str(e["body"]) for e in entries],
        classes=[str(e["body_class"]) for e in entries], real=np.array([bool(e["real"]) for e in entries]),
    )


def load_cloud(root: Path, name: str) -> np.ndarray:
    """The outside-visible true cloud of a shape, (P, 3) float32, canonical frame. Raises DataError."""
    data = read_members(shard_path(Path(root), name), lambda member: member == f"{SHAPE_KEY}.cloud.npy")
    return np.asarray(data[SHAPE_KEY]["cloud"], np.float32)


def listed(root: Path, split: str, hold_out: Sequence[str] = ()) -> tuple[dict[str, Any], list[Entry]]:
    """The index and its entries of one split. hold_out: see :func:`load_dataset`. Raises DataError if there is none."""
    if split not in SPLITS:
        raise DataError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}")
    index = read_index(root)
    unknown = set(hold_out) - {e["body"] for e in index["shards"] if e["split"] == "train"}
    if unknown:
        raise DataError(f"{sorted(unknown)[0]!r} is no training body of {root}; mend hold_out in the settings")
    entries = [e for e in index["shards"] if _side(e, hold_out) == split]
    if not entries:
        raise DataError(f"{root} holds no {split} shard; {remedy(root)}")
    return index, entries


def _side(entry: Entry, hold_out: Sequence[str]) -> str:
    """The split of a shape, with some training bodies held out."""
    if entry["body"] not in hold_out:
        return str(entry["split"])
    return "validation" if entry["kind"] == "original" else ""


def decoded(extension: str, content: bytes) -> Any:
    """One member: an image, array, dictionary of arrays or of JSON. One of ``archive.DAMAGE`` if it is unreadable."""
    if extension.endswith(".png"):
        return png_image(content)
    if extension.endswith(".npz"):
        return npz_arrays(content)
    if extension.endswith(".npy"):
        return np.load(io.BytesIO(content), allow_pickle=False)
    return json.loads(content)


def read_members(path: Path, wanted: Callable[[str], bool]) -> dict[str, dict[str, Any]]:
    """The wanted members of a shard, decoded: per sample key what is under which name (the extension's first word).

    wanted: by the member's name after the shape's, ``0007.rgb.png``. Raises DataError if the shard is damaged.
    """
    samples: dict[str, dict[str, Any]] = {}
    try:
        for key, extension, content in tar_members(path.read_bytes(), wanted):
            samples.setdefault(key, {})[extension.partition(".")[0]] = decoded(extension, content)
    except DAMAGE as error:
        raise DataError(f"shard {path} is missing or damaged ({error}); {remedy(path.parent)}") from error
    return samples


def read_shape(
    path: Path, pictures: int, novel: bool = True, images: Sequence[str] = ("rgb", "mask"), fixed: bool = True
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The shape's sample without its cloud, and its first pictures with the given images and the camera, decoded."""
    maps = (["fixed.npz"] if fixed else []) + (["novel.npz"] if novel else [])
    of_shape = {f"{SHAPE_KEY}.{name}" for name in ("meta.json", *maps)}
    of_picture = {"camera.json", *(f"{name}.png" for name in images)}

    def wanted(member: str) -> bool:
        key, _, extension = member.partition(".")
        return member in of_shape or (key.isdigit() and int(key) < pictures and extension in of_picture)

    samples = read_members(path, wanted)
    shape = samples.pop(SHAPE_KEY, {})
    return shape, [samples[key] for key in sorted(samples)]


def _columns(pictures: int, shapes: int, size: int, novel: int, fixed: bool) -> dict[str, np.ndarray]:
    """Room for everything; filling it in place keeps the peak at the size of the data."""
    maps = (MAP_SIZE, MAP_SIZE)
    shapes_and_types: dict[str, tuple[tuple[int, ...], Any]] = {
        "images": ((pictures, size, size, 3), np.uint8), "masks": ((pictures, size, size), np.uint8),
        "K": ((pictures, 3, 3), np.float32), "R": ((pictures, 3, 3), np.float32), "t": ((pictures, 3), np.float32),
        "view": ((pictures, 3), np.float32), "box": ((pictures, 4), np.float32), "hidden": ((pictures,), np.float32),
        "fixed_depth": ((shapes, 8 * fixed, *maps), np.float16), "novel_depth": ((shapes, novel, *maps), np.float16),
        "novel_rotation": ((shapes, novel, 3, 3), np.float32),
        "length_m": ((shapes,), np.float32), "extents_m": ((shapes, 3), np.float32),
    }
    return {name: np.empty(shape, kind) for name, (shape, kind) in shapes_and_types.items()}


def _fill_shape(columns: dict[str, np.ndarray], row: int, shape: dict[str, Any]) -> None:
    if "fixed" in shape:
        columns["fixed_depth"][row] = shape["fixed"]["depth"]
    if "novel" in shape:
        columns["novel_depth"][row] = shape["novel"]["depth"]
        columns["novel_rotation"][row] = shape["novel"]["rotation"]
    columns["length_m"][row] = shape["meta"]["length_m"]
    columns["extents_m"][row] = shape["meta"]["extents_m"]


def _fill_picture(columns: dict[str, np.ndarray], row: int, picture: dict[str, Any], size: int) -> None:
    camera, scale = picture["camera"], size / len(picture["rgb"])
    for name, image in (("images", picture["rgb"]), ("masks", picture["mask"])):
        small = image if scale == 1 else cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
        columns[name][row] = small
    # Pixel centres lie at integer + 0.5, so that a smaller picture's camera is the same one scaled.
    columns["K"][row] = np.diag([scale, scale, 1.0]) @ np.asarray(camera["K"])
    columns["R"][row], columns["t"][row] = camera["R"], camera["t"]
    columns["view"][row] = camera["azimuth_deg"], camera["elevation_deg"], camera["focal_mm"]
    columns["box"][row] = np.asarray(camera["box"]) * scale
    columns["hidden"][row] = camera["hidden"]
