"""The pseudo-renderer against exact depth maps of ellipsoids, and fusion against edge.geometry."""

from __future__ import annotations

import numpy as np
import torch

from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, back_project, cube_corner_views, pixel_grid
from tests.training.toys import ellipsoid_depth, random_rotations
from training import pseudo_renderer

AXES = np.array([0.5, 0.2, 0.15])


def _maps(size: int) -> np.ndarray:
    """True maps of the ellipsoid in all fixed views, mask logit +-5: (8, 4, size, size)."""
    depth = ellipsoid_depth(AXES, cube_corner_views().rotations, size)
    grid = np.broadcast_to(pixel_grid(size, VIEW_WIDTH), (8, 2, size, size))
    return np.concatenate([grid, depth[:, None], np.where(depth > 0, 5.0, -5.0)[:, None]], 1).astype(np.float32)


def test_fuse_is_the_numpy_implementation() -> None:
    maps = np.random.default_rng(0).normal(size=(8, 4, 16, 16)).astype(np.float32)
    views = cube_corner_views()
    points, logit = pseudo_renderer.fuse(
        torch.from_numpy(maps)[None], torch.from_numpy(views.rotations), views.distance
    )
    np.testing.assert_allclose(points[0].numpy(), back_project(maps[:, :3], views).reshape(-1, 3), atol=1e-5)
    np.testing.assert_array_equal(logit[0].numpy(), maps[:, 3].reshape(-1))


def test_fused_truth_lies_on_the_surface() -> None:
    maps = _maps(64)
    points, logit = pseudo_renderer.fuse(
        torch.from_numpy(maps)[None], torch.from_numpy(cube_corner_views().rotations), VIEW_DISTANCE
    )
    on = points[0][logit[0] > 0].numpy()
    np.testing.assert_allclose(((on / AXES) ** 2).sum(1), 1, atol=1e-3)


def test_render_gives_the_true_novel_views() -> None:
    rotations = random_rotations(np.random.default_rng(1), 3)
    points, logit = pseudo_renderer.fuse(
        torch.from_numpy(_maps(128))[None], torch.from_numpy(cube_corner_views().rotations), VIEW_DISTANCE
    )
    rendered = pseudo_renderer.render(
        points, logit, torch.from_numpy(rotations)[None], 128, VIEW_WIDTH, VIEW_DISTANCE, upscale=5
    )
    truth = torch.from_numpy(ellipsoid_depth(AXES, rotations, 128))[None]
    agree = ((rendered.logit > 0) == (truth > 0)).float().mean().item()
    assert agree > 0.97
    counted = (truth > 0) & (rendered.logit > 0) & rendered.single
    assert counted.sum() > 0.3 * (truth > 0).sum()
    # Max-pooling takes the nearest of up to 25 fine cells, so depth is early by part of a pixel's slope, not wrong.
    assert (rendered.depth - truth)[counted].abs().median().item() < 0.01


def test_nearer_point_wins_and_empty_pixels_are_off() -> None:
    points = torch.tensor([[[0.002, 0.002, 0.3], [0.004, 0.004, -0.3]]])
    rotation = torch.eye(3).view(1, 1, 3, 3)
    rendered = pseudo_renderer.render(points, torch.tensor([[2.0, 3.0]]), rotation, 128, 1.0, 1.0, upscale=5)
    assert abs(rendered.depth[0, 0, 64, 64].item() - 0.7) < 1e-4
    assert rendered.logit[0, 0, 64, 64].item() == 3.0
    assert rendered.logit[0, 0, 0, 0].item() == -1.0
    assert int(rendered.single.sum()) == 1


def test_gradients_reach_depth_and_logit() -> None:
    maps = torch.from_numpy(_maps(32))[None].requires_grad_()
    points, logit = pseudo_renderer.fuse(maps, torch.from_numpy(cube_corner_views().rotations), VIEW_DISTANCE)
    # Not along an axis: there top and bottom of the ellipsoid fall into the same cells, and no pixel counts.
    rotation = torch.from_numpy(random_rotations(np.random.default_rng(2), 1))[None]
    rendered = pseudo_renderer.render(points, logit, rotation, 32, VIEW_WIDTH, VIEW_DISTANCE)
    (rendered.depth * rendered.single + rendered.logit).sum().backward()
    assert maps.grad is not None
    assert maps.grad[:, :, 2].abs().sum() > 0 and maps.grad[:, :, 3].abs().sum() > 0
