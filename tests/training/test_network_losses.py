"""Losses of the compared networks: heads, Chamfer distance, carved occupancy, and what keeps a mesh a mesh."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from edge.geometry import cube_corner_views, pixel_grid
from edge.pose import decode_pose
from edge.voxels import surface_points
from tests.training.toys import ellipsoid_depth
from training import losses_extras, losses_mesh, losses_points, losses_voxels
from training.networks import build
from training.networks.base import BINS, CLASSES, Prediction
from training.networks.mesh import Mesh
from training.networks.voxels import CELLS, Voxels


def _perfect(radians: Tensor) -> Tensor:
    """Azimuth outputs of a network that knows: likeliest the nearest bin, and the right offset of every bin."""
    place = torch.remainder(radians / (2 * math.pi), 1.0) * BINS
    way = torch.remainder(place[:, None] - torch.arange(BINS) + BINS / 2, BINS) - BINS / 2
    return torch.cat([-20 * way.abs(), way], 1)


def test_azimuth_loss_means_what_the_decoder_reads() -> None:
    radians = torch.tensor([0.0, 0.1, 2.0, -3.1, 6.25, 3.27])
    known = _perfect(radians)
    for outputs, angle in zip(known.numpy(), radians.tolist(), strict=True):
        decoded = math.radians(decode_pose(outputs, np.zeros(6, np.float32)).azimuth)
        assert math.remainder(decoded - angle, 2 * math.pi) == pytest.approx(0, abs=1e-3)
    assert losses_extras.azimuth_loss(known, radians)[1].item() == pytest.approx(0, abs=1e-6)
    exact = torch.tensor([0.0, 2 * math.pi / BINS * 5])
    assert losses_extras.azimuth_loss(_perfect(exact), exact)[0].item() < 1e-4
    turned = losses_extras.azimuth_loss(_perfect(exact), exact + math.pi)
    assert turned[0].item() > 10 and turned[1].item() > 1


def test_what_is_unknown_of_a_car_teaches_nothing() -> None:
    guess = Prediction(
        azimuth=torch.zeros(2, 2 * BINS), camera=torch.zeros(2, 6),
        length=torch.zeros(2, 2, requires_grad=True), classes=torch.zeros(2, len(CLASSES), requires_grad=True),
    )  # fmt: skip
    targets = losses_extras.Targets(
        torch.zeros(2), torch.zeros(2, 6), torch.tensor([math.nan, 4.0]), torch.tensor([-1, 3])
    )
    parts = losses_extras.loss(guess, targets)
    assert parts["camera"].item() == 0
    assert parts["length"].item() == pytest.approx(math.log(4.0))
    assert parts["classes"].item() == pytest.approx(math.log(len(CLASSES)))
    (parts["length"] + parts["classes"]).backward()
    for gradient in (guess.length.grad, guess.classes.grad):
        assert torch.isfinite(gradient).all() and not gradient[0].any() and gradient[1].any()
    nothing = targets._replace(length=torch.full((2,), math.nan), classes=torch.tensor([-1, -1]))
    parts = losses_extras.loss(guess, nothing)
    assert parts["length"].item() == 0 and parts["classes"].item() == 0


def test_expected_length_error_is_learnt() -> None:
    """The likelihood is greatest where the second number is the log of the mean relative error."""
    lengths = torch.tensor([4.0 * 1.2, 4.0 / 1.2])
    spread = torch.linspace(-4, 0, 401)
    losses = [
        losses_extras.length_loss(torch.tensor([[math.log(4.0), float(s)]] * 2), lengths).item() for s in spread
    ]
    assert spread[int(np.argmin(losses))].exp().item() == pytest.approx(math.log(1.2), rel=0.02)


def test_losses_say_what_a_prediction_lacks() -> None:
    some = Prediction(points=torch.zeros(1, 2, 3))
    with pytest.raises(ValueError, match="a prediction of points lacks heads"):
        losses_extras.loss(some, losses_extras.Targets(*[torch.zeros(1)] * 4))
    with pytest.raises(ValueError, match="a prediction of points has no occupancy"):
        losses_voxels.loss(some, torch.zeros(1, 2, 2, 2, dtype=torch.uint8))
    with pytest.raises(ValueError, match="has no points"):
        losses_points.loss(Prediction(maps=torch.zeros(1)), torch.zeros(1, 4, 3))


def test_chamfer_is_the_mean_distance_both_ways() -> None:
    a, b = torch.rand(2, 50, 3), torch.rand(2, 70, 3)
    table = torch.cdist(a, b)
    expected = table.min(2).values.mean() + table.min(1).values.mean()
    torch.testing.assert_close(losses_points.chamfer(a, b), expected, atol=1e-5, rtol=1e-4)
    same = a.clone().requires_grad_()
    losses_points.chamfer(same, a).backward()
    assert torch.isfinite(same.grad).all()
    shifted = a + torch.tensor([0.0, 0.001, 0.0])
    assert losses_points.chamfer(a, shifted).item() == pytest.approx(0.002, abs=2e-4)


def test_trees_and_the_table_agree_and_what_is_not_finite_is_refused() -> None:
    one, other = torch.rand(300, 3), torch.rand(200, 3)
    distance = torch.cdist(one, other)
    for by in (losses_points.by_tree, losses_points.by_table):
        there, back = by(one, other)
        torch.testing.assert_close(distance.gather(1, there[:, None])[:, 0], distance.min(1).values)
        torch.testing.assert_close(distance.gather(0, back[None])[0], distance.min(0).values)
    one[5, 1] = math.nan
    with pytest.raises(ValueError, match="the network has diverged, or the true cloud is damaged"):
        losses_points.chamfer(one[None], other[None])


def test_chamfer_is_blind_to_order_and_subsampling_takes_real_points() -> None:
    cloud = torch.rand(3, 200, 3)
    shuffled = losses_points.subsample(cloud, 199)
    assert shuffled.shape == (3, 199, 3)
    assert torch.cdist(shuffled, cloud, compute_mode="donot_use_mm_for_euclid_dist").min(2).values.max() == 0
    assert losses_points.subsample(cloud, 200) is cloud
    assert losses_points.chamfer(cloud, cloud.flip(1)).item() < 1e-3


def _box_depth(half: np.ndarray, size: int = 128) -> np.ndarray:
    """Depth (8, size, size) of a box with half edges ``half``, solved exactly (slabs); 0 = background."""
    views, maps = cube_corner_views(), []
    x, y = pixel_grid(size, views.width).astype(np.float64)
    for rotation in views.rotations.astype(np.float64):
        origin = x[..., None] * rotation[0] + y[..., None] * rotation[1]
        one, other = (-half - origin) / rotation[2], (half - origin) / rotation[2]
        near, far = np.minimum(one, other).max(-1), np.maximum(one, other).min(-1)
        maps.append(np.where(near < far, near + views.distance, 0))
    return np.stack(maps).astype(np.float32)


def test_carving_a_box_gives_the_box() -> None:
    half = np.array([0.5, 0.2, 0.16])
    carved = losses_voxels.carve(_box_depth(half), cube_corner_views(), CELLS, Voxels.grid)
    assert carved.shape == CELLS and carved.dtype == np.uint8
    centres = losses_voxels.cell_centres(CELLS, Voxels.grid)
    away = (np.abs(centres) - half).max(-1)
    assert (carved[away < -0.02] == 255).all(), "solid inside"
    assert (carved[away > 0.02] == 0).all(), "nothing outside"
    assert set(np.unique(carved)) - {0, 255}, "cells on the surface have a share"
    volume = carved.mean() / 255 * np.prod(2 * np.array(Voxels.grid[3:]))
    assert volume == pytest.approx(8 * half.prod(), rel=0.05)


def test_the_level_of_a_carved_surface_is_finer_than_a_cell() -> None:
    axes = np.array([0.5, 0.25, 0.2])
    depth = ellipsoid_depth(axes, cube_corner_views().rotations, 128)
    carved = losses_voxels.carve(depth, cube_corner_views(), CELLS, Voxels.grid)
    points = surface_points(carved.astype(np.float32) / 255 - 0.5, Voxels.grid[:3], Voxels.grid[3:]).points
    error = np.abs(np.linalg.norm(points / axes, axis=1) - 1) * np.linalg.norm(points, axis=1)
    assert np.median(error) < 0.004 and np.quantile(error, 0.95) < 0.012, "a cell is 0.016"
    assert len(points) > 12000


def test_a_pit_that_a_view_sees_into_is_open_and_wrong_depth_is_refused() -> None:
    views, cells, grid = cube_corner_views(), (16, 16, 16), (-0.5, -0.5, -0.5, 0.5, 0.5, 0.5)
    depth = _box_depth(np.array([0.3, 0.3, 0.3]))
    closed = losses_voxels.carve(depth, views, cells, grid)
    dented = np.where(depth > 0, depth + np.eye(8, dtype=np.float32)[0][:, None, None] * 0.2, 0)
    dented = losses_voxels.carve(dented.astype(np.float32), views, cells, grid)
    assert (dented <= closed).all() and dented.sum() < 0.95 * closed.sum()
    untouched = losses_voxels.carve(np.zeros((8, 16, 16), np.float32), views, cells, grid)
    assert not untouched.any(), "all views see through"
    with pytest.raises(ValueError, match=r"wanted \(8, S, S\)"):
        losses_voxels.carve(depth[:3], views, cells, grid)


def test_mesh_losses_let_it_move_but_not_crumple() -> None:
    network = build("mesh", image_size=64, pretrained=False)
    assert isinstance(network, Mesh) and network.faces is not None
    edges = losses_mesh.unique_edges(network.faces)
    assert len(edges) == len(network.faces) * 3 // 2
    moved = torch.tensor([0.1, 0.0, 0.2]).expand(1, 2578, 3)
    assert losses_mesh.laplacian(moved, edges).item() < 1e-4
    assert losses_mesh.laplacian(torch.randn(1, 2578, 3) * 0.1, edges).item() > 0.1
