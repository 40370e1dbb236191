"""Losses by hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import fixed_view_loss, novel_view_loss
from training.pseudo_renderer import Rendered


def test_fixed_view_loss_by_hand() -> None:
    grid = torch.zeros(2, 1, 2)
    depth = torch.tensor([[[[1.0, 0.0]]]])
    maps = torch.tensor([0.1, 0.0, -0.2, 0.0, 1.3, 9.0, 2.0, -2.0]).view(1, 1, 4, 1, 2)
    loss = fixed_view_loss(maps, depth, grid, geometry_weight=10)
    assert loss.grid.item() == pytest.approx((0.1 + 0.2) / 2)
    assert loss.depth.item() == pytest.approx(0.3 / 2), "background depth must not count"
    assert loss.mask.item() == pytest.approx(math.log(1 + math.exp(-2)))
    assert loss.total.item() == pytest.approx(10 * 0.3 + loss.mask.item())


def test_depth_counts_only_where_the_predicted_mask_is_on() -> None:
    maps = torch.zeros(1, 1, 4, 1, 1)
    maps[0, 0, 3] = -1
    loss = fixed_view_loss(maps, torch.ones(1, 1, 1, 1), torch.zeros(2, 1, 1), 1.0)
    assert loss.depth.item() == 0


def test_novel_view_loss_leaves_collisions_out() -> None:
    logit = torch.full((1, 1, 1, 3), 2.0)
    single = torch.tensor([[[[True, False, True]]]])
    rendered = Rendered(torch.tensor([[[[1.5, 7.0, 1.0]]]]), logit, single)
    loss = novel_view_loss(rendered, torch.ones(1, 1, 1, 3), 1.0)
    assert loss.depth.item() == pytest.approx(0.5 / 3)
