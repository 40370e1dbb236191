"""What occupancy is taught: cross-entropy against cells carved from the shards' depth maps, made once and kept.

A mirrored picture is taught with the cells as they are: the prediction is symmetric, and its loss against cells and
against their mirror image is one number.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, cube_corner_views
from training import losses_voxels
from training.batches import Batch
from training.data.dataset import read_members
from training.data.kept import entries_of, fingerprint, in_pieces, keep, read_kept, rows_of
from training.data.shards import Entry, check_shard
from training.networks.base import Network, Prediction
from training.networks.voxels import CELLS, Voxels
from training.objectives.base import Task
from training.objectives.points import SharedObjective
from training.settings import Stage

#: Raise when the same shards give other cells.
VERSION = 1
FILE = "occupancy.npz"


class Carved(NamedTuple):
    """names: M training shapes. cells: (M, X, Y, Z) uint8 share of each cell that is inside, 255 = all of it."""

    names: list[str]
    cells: np.ndarray

    def rows(self, names: list[str]) -> np.ndarray:
        """Rows of the named shapes. DataError if one is missing."""
        return rows_of(self.names, names, "has no occupancy", FILE)


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
    entries = entries_of(root, "train")
    views = cube_corner_views()
    about = [VERSION, CELLS, Voxels.grid, losses_voxels.STEEP, VIEW_WIDTH, VIEW_DISTANCE, views.rotations.tolist()]
    key = fingerprint(about, entries)
    kept = read_kept(root / FILE, key)
    if kept is not None:
        return Carved([str(name) for name in kept["names"]], kept["cells"])
    made = in_pieces(partial(_carve_all, root), entries, 32, workers, "carving occupancy")
    result = Carved([str(e["name"]) for e in entries], np.concatenate(made))
    # Compressed: most cells are wholly in or out, and the file is a twentieth of what it unpacks to.
    keep(root / FILE, key, compressed=True, **result._asdict())
    return result


def _carve_all(root: Path, entries: list[Entry]) -> np.ndarray:
    """Cells (M, X, Y, Z) uint8 of some shapes."""
    views = cube_corner_views()
    cells = []
    for entry in entries:
        members = read_members(check_shard(root, entry, verify=False), lambda member: member == "shape.fixed.npz")
        cells.append(losses_voxels.carve(members["shape"]["fixed"]["depth"], views, CELLS, Voxels.grid))
    return np.stack(cells)
