"""Small pictures for TensorBoard: input, true and predicted depth of the fixed views."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from edge.geometry import VIEW_DISTANCE
from training.batches import Batch


def _shade(depth: Tensor, mask: Tensor) -> Tensor:
    """(V, S, S) depth and mask to (3, S, V*S): nearer is brighter, background black."""
    tone = ((VIEW_DISTANCE + 0.6 - depth) / 1.2).clamp(0, 1) * mask
    return tone.permute(1, 0, 2).flatten(1).expand(3, -1, -1)


def validation_picture(batch: Batch, maps: Tensor) -> Tensor:
    """Per sample two rows: input and true maps, input and predicted maps. Returns (3, rows, columns) in 0..1."""
    rows = []
    for image, depth, predicted in zip(batch.image, batch.depth, maps, strict=True):
        size = depth.shape[-1]
        photo = functional.interpolate(image[None], size=(size, size), mode="area")[0]
        rows.append(torch.cat([photo, _shade(depth, depth > 0)], 2))
        rows.append(torch.cat([photo, _shade(predicted[:, 2], predicted[:, 3] > 0)], 2))
    return torch.cat(rows, 1)
