"""The two losses of Lin, Kong, Lucey 2018, on fixed views (stage 1) and on novel views (stage 2), and one on codes."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor

from training.pseudo_renderer import Rendered


class Loss(NamedTuple):
    """total and its parts, all scalars; geometry parts in canonical units per pixel, mask in nats per pixel."""

    total: Tensor
    grid: Tensor
    depth: Tensor
    mask: Tensor


def fixed_view_loss(maps: Tensor, depth: Tensor, grid: Tensor, geometry_weight: float) -> Loss:
    """Stage 1: L1 on x and y to the grid, on depth where the *predicted* mask is on; cross-entropy on the mask.

    maps: (B, V, 4, S, S). depth: (B, V, S, S), 0 = background. grid: (2, S, S), canonical units.
    The release sums over pixels and measures x and y in pixels; here all are means per pixel and in one
    unit, and ``geometry_weight`` sets geometry against mask (a mean is Adam's sum: only ratios matter).
    """
    truth = depth > 0
    logit = maps[:, :, 3]
    counted = truth & (logit > 0)
    error_grid = (maps[:, :, :2] - grid).abs().sum(2).mean()
    error_depth = _masked_l1(maps[:, :, 2] - depth, counted)
    cross_entropy = functional.binary_cross_entropy_with_logits(logit, truth.to(logit.dtype))
    return Loss(geometry_weight * (error_grid + error_depth) + cross_entropy, error_grid, error_depth, cross_entropy)


def novel_view_loss(rendered: Rendered, depth: Tensor, geometry_weight: float) -> Loss:
    """Stage 2: the same depth and mask terms on pseudo-rendered novel views, depth where one point alone hit.

    depth: (B, N, S, S), 0 = background.
    """
    truth = depth > 0
    counted = truth & (rendered.logit > 0) & rendered.single
    error_depth = _masked_l1(rendered.depth - depth, counted)
    cross_entropy = functional.binary_cross_entropy_with_logits(rendered.logit, truth.to(depth.dtype))
    return Loss(
        geometry_weight * error_depth + cross_entropy, torch.zeros_like(error_depth), error_depth, cross_entropy
    )


def code_loss(predicted: Tensor, codes: Tensor) -> Loss:
    """Mean squared error of shape codes (B, K), summed over the components (training/codes.py)."""
    error = (predicted - codes).square().sum(1).mean()
    nothing = torch.zeros_like(error)
    return Loss(error, nothing, nothing, nothing)


def _masked_l1(difference: Tensor, mask: Tensor) -> Tensor:
    """Sum of |difference| under the mask over the number of *all* pixels, as the release's sums imply."""
    return (difference * mask).abs().sum() / mask.numel()
