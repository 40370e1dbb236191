"""A split of the shards in memory, ready for training."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from edge.bundle import sha256_file
from edge.errors import DataError
from training.data.shards import IMAGE_SIZE, read_index, remedy

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class CarDataset:
    """N pictures of M shapes.

    images: (N, S, S, 3) uint8 RGB. masks: (N, S, S) uint8, coverage by the car, 255 = wholly.
    shape_index: (N,) int32, the picture's shape. fixed_depth: (M, 8, 128, 128) float16, camera-frame depth of
    ``edge.geometry.cube_corner_views()``, canonical units, 0 = background. novel_depth: (M, K, 128, 128) float16 and
    novel_rotation: (M, K, 3, 3) float32, the same for random views at the same width and distance.
    names: M shapes, BODY-VARIANT. bodies, classes: M bodies and body classes.
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

    def __len__(self) -> int:
        return len(self.images)


def load_dataset(root: Path, split: str, image_size: int, verify: bool = True) -> CarDataset:
    """Read all shards of a split; pictures are averaged down (area) to ``image_size``.

    verify: check the SHA-256 of every shard (about a second per 300 MB); the size is always checked.
    Raises DataError: nothing there, no shard of this split, a shard missing, altered or damaged.
    """
    root = Path(root)
    if split not in SPLITS:
        raise DataError(f"there is no split {split!r}; choose one of {', '.join(SPLITS)}")
    if not 1 <= image_size <= IMAGE_SIZE:
        raise DataError(f"image size {image_size} is not in 1..{IMAGE_SIZE}, the size of the stored pictures")
    entries = [e for e in read_index(root)["shards"] if e["split"] == split]
    if not entries:
        raise DataError(f"{root} holds no {split} shard; {remedy(root)}")
    loaded = []
    for entry in tqdm(entries, desc=f"reading {split}", unit="shard", mininterval=1.0, delay=2.0):
        path = root / str(entry["file"])
        _check(path, entry, verify)
        loaded.append(_read(path, image_size))
    counts = [len(item["images"]) for item in loaded]
    join = {key: [item[key] for item in loaded] for key in loaded[0]}
    return CarDataset(
        images=np.concatenate(join["images"]), masks=np.concatenate(join["masks"]),
        shape_index=np.repeat(np.arange(len(loaded), dtype=np.int32), counts),
        fixed_depth=np.stack(join["fixed_depth"]), novel_depth=np.stack(join["novel_depth"]),
        novel_rotation=np.stack(join["novel_rotation"]), names=[str(e["name"]) for e in entries],
        bodies=[str(e["body"]) for e in entries], classes=[str(e["body_class"]) for e in entries],
    )


def load_cloud(root: Path, name: str) -> np.ndarray:
    """The outside-visible true cloud of a shape, (P, 3) float32, canonical frame. Raises DataError."""
    return shard_arrays(Path(root) / f"{name}.npz", ("cloud",))["cloud"]


def _check(path: Path, entry: dict, verify: bool) -> None:
    if not path.is_file():
        raise DataError(f"shard {path} is listed in the index but missing; {remedy(path.parent)}")
    altered = path.stat().st_size != entry["bytes"] or (verify and sha256_file(str(path)) != entry["sha256"])
    if altered:
        raise DataError(
            f"shard {path} does not match the index: it was altered or cut short; "
            f"delete it and {remedy(path.parent)}"
        )


def shard_arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in names}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"shard {path} is missing or damaged ({error}); {remedy(path.parent)}") from error


def _read(path: Path, image_size: int) -> dict[str, np.ndarray]:
    arrays = shard_arrays(path, ("images", "masks", "fixed_depth", "novel_depth", "novel_rotation"))
    if image_size != IMAGE_SIZE:
        for name in ("images", "masks"):
            arrays[name] = np.stack([
                cv2.resize(picture, (image_size, image_size), interpolation=cv2.INTER_AREA) for picture in arrays[name]
            ])
    return arrays
