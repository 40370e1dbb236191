"""The pseudo-renderer of Lin, Kong, Lucey 2018: depth and mask of a predicted cloud from any direction.

Points are projected onto a grid ``upscale`` times finer than the wanted map, so that few of them collide;
inverse depth, mask logit and a hit count are scattered there, and max-pooling brings the nearest one back to
the wanted size. Gradients flow through depth and logits, not through the rounded pixel positions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor

#: Keeps inverse depths positive whatever the prediction (the release's offsetDepth).
DEPTH_OFFSET = 10.0
#: Logit of a pixel that no point reaches (the release's offsetMaskLogit, negated).
EMPTY_LOGIT = -1.0


class Rendered(NamedTuple):
    """depth: (B, N, S, S) camera-frame, canonical units. logit: (B, N, S, S).

    single: (B, N, S, S) bool, pixels whose fine cells were each hit at most once and at least one was: only
    these carry a depth that one point alone answers for.
    """

    depth: Tensor
    logit: Tensor
    single: Tensor


def fuse(maps: Tensor, rotations: Tensor, distance: float) -> tuple[Tensor, Tensor]:
    """Fixed-view maps (B, V, 4, H, W) to canonical points (B, V*H*W, 3) and mask logits (B, V*H*W).

    The torch twin of ``edge.geometry.back_project``, tested against it.
    """
    x, y, z, logit = maps.unbind(2)
    cam = torch.stack([x, y, z - distance], dim=-1).flatten(2, 3)
    return (cam @ rotations).flatten(1, 2), logit.flatten(1)


def render(
    points: Tensor, logits: Tensor, rotations: Tensor, size: int, width: float, distance: float, upscale: int = 5
) -> Rendered:
    """Project points (B, P, 3) with logits (B, P) into N novel orthographic views, rotations (B, N, 3, 3)."""
    batch, views = rotations.shape[:2]
    fine = size * upscale
    cam = torch.einsum("bnij,bpj->bnpi", rotations, points)
    pixel = torch.round((cam[..., :2] / width + 0.5) * fine - 0.5).detach().long()
    inside = ((pixel >= 0) & (pixel < fine)).all(-1)
    plane = torch.arange(batch * views, device=points.device).view(batch, views, 1) * (fine * fine)
    index = plane + pixel[..., 1] * fine + pixel[..., 0]
    logit = logits[:, None].expand(-1, views, -1)
    inverse = 1.0 / (cam[..., 2] + distance + DEPTH_OFFSET)

    seen, unseen = inside & (logit > 0), inside & (logit <= 0)
    shape = (batch * views, 1, fine, fine)

    def scatter(values: Tensor, where: Tensor) -> Tensor:
        plane = torch.zeros(batch * views * fine * fine, dtype=values.dtype, device=values.device)
        return plane.index_add(0, index[where], values).view(shape)

    def pooled(grid: Tensor) -> Tensor:
        return functional.max_pool2d(grid, upscale).view(batch, views, size, size)

    nearest = pooled(scatter(inverse[seen], seen))
    logit_seen = pooled(scatter(logit[seen], seen))
    hits = pooled(scatter(torch.ones_like(inverse[seen]), seen))
    logit_unseen = functional.avg_pool2d(scatter(logit[unseen], unseen), upscale).view(batch, views, size, size)
    empty = torch.full_like(logit_seen, EMPTY_LOGIT)
    combined = torch.where(logit_seen > 0, logit_seen, torch.where(logit_unseen < 0, logit_unseen, empty))
    depth = 1.0 / nearest.clamp_min(1e-8) - DEPTH_OFFSET
    return Rendered(depth, combined, hits == 1)
