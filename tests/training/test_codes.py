"""The shape space: exact on what it was made from, and a target that pictures can be regressed to."""

from __future__ import annotations

import numpy as np
import torch

from edge.geometry import cube_corner_views
from tests.training.toys import ellipsoid_depth, toy_data
from training.codes import CodeHead, ShapeSpace
from training.losses import code_loss
from training.networks.lin2018 import Lin2018


def test_codes_keep_the_distances_between_shapes() -> None:
    depth = toy_data(6).fixed_depth
    space = ShapeSpace(depth, 48)
    assert space.codes.shape == (6, 5), "six shapes span five directions"
    maps = space._maps(depth)
    wanted = torch.cdist(maps, maps) / space.scale
    torch.testing.assert_close(torch.cdist(space.codes, space.codes), wanted, atol=1e-3, rtol=1e-3)
    variance = space.codes.var(0, unbiased=False)
    torch.testing.assert_close(variance[0], torch.tensor(1.0), atol=1e-4, rtol=1e-4)
    assert (variance.diff() <= 1e-6).all(), "components come in order of variance"


def test_a_shape_in_between_gets_a_code_in_between() -> None:
    views = cube_corner_views().rotations
    widths = (0.16, 0.22, 0.28)
    depth = np.stack([ellipsoid_depth(np.array([0.5, w, 0.15]), views, 128) for w in widths])
    space = ShapeSpace(depth[[0, 2]], 8)
    codes = space.project(depth)[:, 0]
    assert min(codes[0], codes[2]) < codes[1] < max(codes[0], codes[2])


def test_code_loss_by_hand_and_its_gradient_reaches_the_encoder_only() -> None:
    assert code_loss(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.zeros(2, 2)).total.item() == 2.5
    network = Lin2018()
    head = CodeHead(network, 4)
    torch.nn.init.normal_(head.head.weight)  # it starts at zero, which lets no gradient through
    code_loss(head(torch.rand(3, 3, 64, 64)), torch.zeros(3, 4)).total.backward()
    encoder = {id(p) for p in network.encoder_parameters()}
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == (id(parameter) in encoder), name
