"""What occupancy is taught: cross-entropy against cells carved from the shards' depth maps, made once and kept.

A mirrored picture is taught with the cells as they are: the prediction is symmetric, and its loss against cells and
against their mirror image is one number.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge.errors import DataError
from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, cube_corner_views
from edge.ply import atomic_file
from training import losses_voxels
from training.batches import Batch
from training.data.archive import DAMAGE
from training.data.dataset import read_members
from training.data.shards import Entry, check_shard, read_index
from training.networks.base import Network, Prediction
from training.networks.voxels import CELLS, Voxels
from training.objectives.base import Task
from training.objectives.points import SharedObjective
from training.settings import Stage
from training.workers import Workers

#: Raise when the same shards give other cells.
VERSION = 1
FILE = "occupancy.npz"


class Carved(NamedTuple):
    """names: M training shapes. cells: (M, X, Y, Z) uint8 share of each cell that is inside, 255 = all of it."""

    names: list[str]
    cells: np.ndarray

    def rows(self, names: list[str]) -> np.ndarray:
        """Rows of the named shapes. DataError if one is missing."""
        place = {name: row for row, name in enumerate(self.names)}
        missing = [name for name in names if name not in place]
        if missing:
            raise DataError(f"{missing[0]} has no occupancy; delete {FILE} in the shards' folder and train again")
        return np.array([place[name] for name in names])


class VoxelsObjective(SharedObjective):
    """Part ``occupancy``: mean cross-entropy of a cell, nats."""

    weights = {"occupancy": 15.0}

    def __init__(self, task: Task, network: Network) -> None:
        super().__init__(task, network)
        assert isinstance(network, Voxels) and task.root is not None
        found = carved(Path(task.root), task.workers)
        self.cells = torch.from_numpy(found.cells[found.rows(task.data.names)]).to(self.device)

    def shape_loss(self, prediction: Prediction, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        return losses_voxels.loss(prediction, self.cells[batch.shape])


def carved(root: Path, workers: int = 2) -> Carved:
    """The cells of all training shapes of the shards in ``root``; made once, read from ``occupancy.npz`` after.

    Raises DataError: no shards, damaged shards.
    """
    entries = sorted((e for e in read_index(root)["shards"] if e["split"] == "train"), key=lambda e: str(e["name"]))
    views = cube_corner_views()
    about = [VERSION, CELLS, Voxels.grid, losses_voxels.STEEP, VIEW_WIDTH, VIEW_DISTANCE, views.rotations.tolist(),
             [e["sha256"] for e in entries]]  # fmt: skip
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    path = root / FILE
    found = _read(path, key)
    if found is not None:
        return found
    with Workers(workers) as crew:
        pieces = [entries[start : start + 32] for start in range(0, len(entries), 32)]
        made = crew.map(partial(_carve_all, root), pieces, "carving occupancy")
    result = Carved([str(e["name"]) for e in entries], np.concatenate(made))
    with atomic_file(str(path)) as handle:
        # Compressed: most cells are wholly in or out, and the file is a twentieth of what it unpacks to.
        np.savez_compressed(handle, key=np.array(key), names=np.array(result.names), cells=result.cells)
    return result


def _carve_all(root: Path, entries: list[Entry]) -> np.ndarray:
    """Cells (M, X, Y, Z) uint8 of some shapes."""
    views = cube_corner_views()
    cells = []
    for entry in entries:
        members = read_members(check_shard(root, entry, verify=False), lambda member: member == "shape.fixed.npz")
        cells.append(losses_voxels.carve(members["shape"]["fixed"]["depth"], views, CELLS, Voxels.grid))
    return np.stack(cells)


def _read(path: Path, key: str) -> Carved | None:
    """What was kept, if it is of these very shards."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["key"]) != key:
                return None
            return Carved([str(name) for name in kept["names"]], kept["cells"])
    except DAMAGE:
        return None  # a damaged file is made again, like a damaged shard
