"""Small pictures for TensorBoard: input, true and predicted depth of the fixed views."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from edge.geometry import VIEW_DISTANCE
from training.batches import Batch
from training.benchmark.splat import draw_cloud


def _shade(depth: Tensor, mask: Tensor) -> Tensor:
    """(V, S, S) depth and mask to (3, S, V*S): nearer is brighter, background black."""
    tone = ((VIEW_DISTANCE + 0.6 - depth) / 1.2).clamp(0, 1) * mask
    return tone.permute(1, 0, 2).flatten(1).expand(3, -1, -1)


def validation_picture(batch: Batch, maps: Tensor) -> Tensor:
    """Per sample two rows: input and true maps, input and predicted maps. Returns (3, rows, columns) in 0..1."""
    rows = []
    assert batch.depth is not None
    for image, depth, predicted in zip(batch.image, batch.depth, maps, strict=True):
        size = depth.shape[-1]
        photo = functional.interpolate(image[None], size=(size, size), mode="area")[0]
        rows.append(torch.cat([photo, _shade(depth, depth > 0)], 2))
        rows.append(torch.cat([photo, _shade(predicted[:, 2], predicted[:, 3] > 0)], 2))
    return torch.cat(rows, 1)


def cloud_picture(images: Tensor, predicted: list[np.ndarray], true: list[np.ndarray], size: int = 160) -> Tensor:
    """Per picture a row: the picture, the predicted and the true cloud from the front left. (3, rows, columns)."""
    rows = []
    for image, points, truth in zip(images, predicted, true, strict=True):
        photo = functional.interpolate(image[None], size=(size, size), mode="area")[0]
        rows.append(torch.cat([photo, _drawn(points, size), _drawn(truth, size)], 2))
    return torch.cat(rows, 1)


def _drawn(points: np.ndarray, size: int) -> Tensor:
    """Points (N, 3) seen from the front left as (3, size, size) in 0..1."""
    return torch.from_numpy(draw_cloud(points, (1.0, 1.0, 0.6), size, size)).permute(2, 0, 1) / 255
