"""True occupancy, carved from depth maps (Kutulakos, Seitz, "A Theory of Shape by Space Carving", IJCV 2000), and
the cross-entropy against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as functional
from torch import Tensor

from edge.geometry import Views
from training.networks.base import Prediction

#: Largest difference in depth of four neighbouring pixels of one sheet, in pixels: about 3 in 1 along both edges.
STEEP = 6.0


def loss(prediction: Prediction, occupancy: Tensor) -> dict[str, Tensor]:
    """Part ``occupancy``: mean cross-entropy per cell, nats. occupancy: (B, X, Y, Z) uint8, see :func:`carve`.

    Raises ValueError when the prediction has none.
    """
    if prediction.occupancy is None:
        raise ValueError(f"a prediction of {', '.join(prediction.given())} has no occupancy to compare")
    share = occupancy.to(prediction.occupancy.dtype) / 255
    return {"occupancy": functional.binary_cross_entropy_with_logits(prediction.occupancy, share)}


def cell_centres(cells: Sequence[int], grid: Sequence[float]) -> np.ndarray:
    """Centres (X, Y, Z, 3) float32 of the cells that fill a box evenly. grid: its lower and upper corner, 6 numbers."""
    lower, upper = np.asarray(grid[:3], np.float64), np.asarray(grid[3:], np.float64)
    axes = [a + (np.arange(n) + 0.5) / n * (b - a) for n, a, b in zip(cells, lower, upper, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).astype(np.float32)


def carve(depth: np.ndarray, views: Views, cells: Sequence[int], grid: Sequence[float]) -> np.ndarray:
    """Occupancy (X, Y, Z) uint8 of a solid: 255 inside, 0 where a view sees past or through, between at the surface.

    depth: (V, S, S) of the fixed views, canonical units, 0 = background; one ray per pixel, at its centre. What no view
    sees into is inside. A cell that the surface cuts gets about the share of it that is inside, so that the level 0.5
    between cells lies on the surface to a fraction of a cell.
    """
    if depth.ndim != 3 or len(depth) != len(views.rotations) or depth.shape[1] != depth.shape[2]:
        raise ValueError(f"depth has shape {depth.shape}, wanted ({len(views.rotations)}, S, S)")
    centres = cell_centres(cells, grid).reshape(-1, 3)
    size = depth.shape[-1]
    cell = float(np.mean((np.asarray(grid[3:]) - np.asarray(grid[:3])) / np.asarray(cells)))
    inside = np.full(len(centres), np.inf, np.float32)
    for view, rotation in zip(np.asarray(depth, np.float32), views.rotations, strict=True):
        left = np.flatnonzero(inside > -cell)  # the rest is carved already
        camera = centres[left] @ rotation.T
        place = (camera[:, :2] / views.width + 0.5) * size - 0.5
        behind = camera[:, 2] + views.distance - _sample(view, place, STEEP * views.width / size)
        inside[left] = np.minimum(inside[left], behind)
    return np.asarray(np.clip(0.5 + inside / cell, 0, 1) * 255 + 0.5, np.uint8).reshape(tuple(cells))


def _sample(depth: np.ndarray, place: np.ndarray, limit: float) -> np.ndarray:
    """Depth (N,) at places (N, 2; x and y in pixels, 0 = the first centre); infinite at the background.

    Linear between four pixels where all see the car and their depths differ by ``limit`` at the most, else the nearest:
    a mean of two sheets is on neither.
    """
    size = depth.shape[0]
    corner = np.clip(np.floor(place).astype(np.int64), 0, size - 2)
    part = np.clip(place - corner, 0, 1)
    first = corner[:, 1] * size + corner[:, 0]
    seen = np.where(depth > 0, depth, np.inf).reshape(-1).astype(np.float32)
    four = np.stack([seen[first], seen[first + 1], seen[first + size], seen[first + size + 1]], 1)
    x, y = part[:, 0], part[:, 1]
    weights = np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], 1)
    nearest = np.take_along_axis(four, weights.argmax(1)[:, None], 1)[:, 0]
    with np.errstate(invalid="ignore"):
        smooth = np.isfinite(four).all(1) & (four.max(1) - four.min(1) < limit)
    return np.where(smooth, (np.where(smooth[:, None], four, 0) * weights).sum(1), nearest)
