"""Contact sheet of shards: random pictures, each beside its mask, with the shape's name."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edge.errors import DataError
from training.data.dataset import shard_arrays
from training.data.shards import read_index


def write_sheet(root: Path, target: Path, rows: int = 10, columns: int = 6, seed: int = 0) -> None:
    """Write a PNG of ``rows * columns`` random pictures and masks. Raises DataError: no shards, or not writable."""
    rng = np.random.default_rng(seed)
    entries = read_index(root)["shards"]
    if not entries:
        raise DataError(f"{root} lists no shard yet; make some: python -m training data --out {root}")
    tiles = []
    for _ in range(rows * columns):
        entry = entries[int(rng.integers(len(entries)))]
        data = shard_arrays(root / entry["file"], ("images", "masks"))
        pick = int(rng.integers(len(data["images"])))
        mask = cv2.cvtColor(data["masks"][pick], cv2.COLOR_GRAY2BGR)
        tile = np.hstack([data["images"][pick][..., ::-1], mask])
        label = np.full((14, tile.shape[1], 3), 255, np.uint8)
        cv2.putText(label, f"{entry['name']} ({entry['split']})", (2, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (0, 0, 0), 1)
        tiles.append(np.vstack([tile, label]))
    sheet = np.vstack([np.hstack(tiles[r * columns : (r + 1) * columns]) for r in range(rows)])
    refusal = DataError(f"cannot write {target}; give --sheet a file name that ends in .png, in a writable folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(target), sheet):
            raise refusal
    except (OSError, cv2.error) as error:
        raise refusal from error
