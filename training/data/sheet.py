"""Contact sheet of shards: random pictures, each beside its masks and parts, with the shape's name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.errors import DataError
from training.data.archive import IMAGES
from training.data.dataset import read_members
from training.data.shards import read_index, shard_path
from training.meshes.model import CATEGORIES

#: RGB of the part labels: 0 = not the car, then CATEGORIES.
COLOURS = {
    "paint": (200, 60, 60), "paint_2": (230, 140, 90), "glass": (90, 170, 230), "tyre": (70, 70, 70),
    "rim": (190, 190, 190), "light_front": (250, 240, 150), "light_rear": (240, 30, 160), "chrome": (150, 150, 210),
    "trim": (110, 90, 60), "interior": (60, 140, 60), "underbody": (110, 60, 130),
}
PALETTE = np.array([(0, 0, 0), *(COLOURS[category] for category in CATEGORIES)], np.uint8)


def write_sheet(root: Path, target: Path, rows: int = 12, columns: int = 3, seed: int = 0) -> None:
    """Write a PNG of ``rows * columns`` random pictures with visible mask, whole silhouette and parts.

    Raises DataError: no shards, or not writable.
    """
    rng = np.random.default_rng(seed)
    entries = read_index(root)["shards"]
    if not entries:
        raise DataError(f"{root} lists no shard yet; make some: python -m training data --out {root}")
    tiles = []
    for _ in range(rows * columns):
        entry = entries[int(rng.integers(len(entries)))]
        tiles.append(_tile(root, str(entry["name"]), str(entry["split"]), int(rng.integers(entry["pictures"]))))
    sheet = np.vstack([np.hstack(tiles[r * columns : (r + 1) * columns]) for r in range(rows)])
    refusal = DataError(f"cannot write {target}; give --sheet a file name that ends in .png, in a writable folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(target), sheet):
            raise refusal
    except (OSError, cv2.error) as error:
        raise refusal from error


def _tile(root: Path, name: str, split: str, number: int) -> np.ndarray:
    """One picture with its labels and a caption, BGR, 128 pixels high without it."""
    key = f"{number:04d}"
    sample = read_members(shard_path(root, name), lambda member: member.startswith(f"{key}."))[key]
    images = [sample[image] for image in IMAGES[:-1]] + [PALETTE[sample["parts"]]]
    views = [cv2.cvtColor(i, cv2.COLOR_GRAY2RGB) if i.ndim == 2 else i for i in images]
    row = np.hstack([cv2.resize(view, (128, 128), interpolation=cv2.INTER_AREA) for view in views])[..., ::-1]
    label = np.full((14, row.shape[1], 3), 255, np.uint8)
    camera = sample["camera"]
    text = f"{name} ({split}) {camera['condition']}, hidden {camera['hidden']:.0%}, {camera['focal_mm']:.0f} mm"
    cv2.putText(label, text, (2, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([row, label])
