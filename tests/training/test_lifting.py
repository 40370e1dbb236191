"""Lifting: the projection agrees with the device's, and displacements come back where the pose is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.pose import Pose
from edge.pose import project as device_project
from training.networks.base import BINS
from training.networks.finder import Finder, spread_rows
from training.networks.lifting import LARGE, displaced, expected, likely_azimuth, project, rotation
from training.objectives.morphable import shown

CAMERA = torch.tensor([[0.2, 0.05, 0.1, -0.2, 0.5, 0.6], [-0.03, -0.1, 0.0, 0.1, 0.2, 0.2]])
AZIMUTH = torch.tensor([2.1, -0.7])
DIRECTION = torch.stack([AZIMUTH.cos(), AZIMUTH.sin()], 1)


def _heads(azimuth: torch.Tensor) -> torch.Tensor:
    """Logits and offsets that say one azimuth each, without doubt."""
    place = azimuth.remainder(2 * np.pi) / (2 * np.pi) * BINS
    best = place.round().long() % BINS
    heads = torch.zeros(len(azimuth), 2 * BINS)
    heads[torch.arange(len(azimuth)), best] = 60.0
    heads[torch.arange(len(azimuth)), BINS + best] = place - place.round()
    return heads


def test_projection_is_the_device_s() -> None:
    points = torch.randn(2, 40, 3, generator=torch.Generator().manual_seed(0)) * 0.3
    turned = rotation(DIRECTION, CAMERA)
    place = project(points, turned, CAMERA).place
    for row in range(2):
        elevation, roll, x, y, log_scale, perspective = CAMERA[row].tolist()
        pose = Pose(
            float(np.degrees(AZIMUTH[row])), float(np.degrees(elevation)), float(np.degrees(roll)), x, y,
            float(np.exp(log_scale)), perspective,
        )  # fmt: skip
        np.testing.assert_allclose(turned[row], pose.rotation, atol=1e-6)
        np.testing.assert_allclose(place[row], device_project(points[row].numpy(), pose)[0], atol=1e-5)


def test_the_likely_azimuth_is_the_heads_one() -> None:
    angles = torch.linspace(-3.1, 3.1, 50)
    direction = likely_azimuth(_heads(angles))
    turned = torch.atan2(direction[:, 1], direction[:, 0]) - angles
    assert torch.atan2(turned.sin(), turned.cos()).abs().max() < np.radians(0.1)


def test_displacements_in_the_picture_s_plane_come_back() -> None:
    generator = torch.Generator().manual_seed(1)
    landmarks = torch.rand(16, 3, generator=generator) * torch.tensor([1.0, 0.2, 0.3]) - torch.tensor([0.5, 0.0, 0.15])
    moves = torch.randn(2, 16, 3, generator=generator) * 0.02
    mirror = torch.tensor([1.0, -1.0, 1.0])
    cars = landmarks + moves
    turned = rotation(DIRECTION, CAMERA)
    place = project(torch.cat([cars, cars * mirror], 1), turned, CAMERA).place
    told = displaced(place, *expected(landmarks, _heads(AZIMUTH), CAMERA))
    assert told.shape == (2, 6 * 16 + 9)
    left = told[:, :48].unflatten(1, (16, 3)) / LARGE
    forward = turned[:, None, 2]
    flat = moves - (moves * forward).sum(2, keepdim=True) * forward
    # Perspective mixes in a little of the displacement in depth.
    assert (left - flat).norm(dim=2).mean() < 0.15 * flat.norm(dim=2).mean()


def test_a_likelihood_is_taught_to_stand_at_the_true_place() -> None:
    finder = Finder(16, 8)
    place = torch.tensor([[[0.3, -0.4]]]).expand(1, 128, 2)
    logits = torch.zeros(1, 128, 256, requires_grad=True)
    optimiser = torch.optim.Adam([logits], 0.3)
    for _ in range(200):
        optimiser.zero_grad()
        loss = finder.loss(logits, place)
        loss.backward()
        optimiser.step()
    found = (logits.softmax(2) @ finder.grid)[..., :2]
    assert (found - place).abs().max() < 0.02
    assert finder.loss(logits, torch.full((1, 128, 2), 3.0)) == 0  # beyond the crop


def test_rows_are_spread() -> None:
    points = np.random.default_rng(0).random((500, 3))
    rows = spread_rows(points, 20)
    assert len(set(rows)) == 20
    gaps = np.linalg.norm(points[rows][:, None] - points[rows][None], axis=2) + np.eye(20)
    assert gaps.min() > 0.2
    assert np.array_equal(rows, spread_rows(points, 20))


@pytest.mark.parametrize("front", [0.2, -0.2])
def test_a_cell_shows_what_is_in_front(front: float) -> None:
    camera = torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    turned = rotation(torch.tensor([[1.0, 0.0]]), camera)  # from before the nose
    points = torch.tensor([[[front, 0.05, 0.05], [-0.5, 0.05, 0.05], [0.0, 5.0, 0.0]]])
    place, hit = shown(points, turned, camera, 8)
    assert hit.sum() == 1  # the third is beyond the crop
    torch.testing.assert_close(place[hit][0], points[0, 0])
