"""Batches: repeatable, sliced over processes, and mirrored without lying about the shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from edge.geometry import cube_corner_views
from tests.training.toys import ellipsoid_depth, toy_data
from training import pseudo_renderer
from training.augment import mirror_depth
from training.batches import Pool, shape_weights, shrink_depth, validation_batches
from training.settings import Settings, Stage

SETTINGS = Settings("lin2018", ())


def test_step_and_seed_alone_decide_a_batch() -> None:
    data, stage = toy_data(), Stage("s", 1, map_size=64, batch=4)
    first, again, other = (Pool(data, SETTINGS).sample(stage, step, 64) for step in (7, 7, 8))
    assert torch.equal(first.image, again.image) and torch.equal(first.depth, again.depth)
    assert not torch.equal(first.image, other.image)
    assert first.image.shape == (4, 3, 64, 64) and first.depth.shape == (4, 8, 64, 64)
    assert first.image.min() >= 0 and first.image.max() <= 1
    for one, two in zip(first.targets, again.targets, strict=True):
        assert torch.equal(one, two) and len(one) == 4


def test_processes_share_one_global_batch() -> None:
    data, stage = toy_data(), Stage("s", 1, map_size=64, batch=4)
    whole = Pool(data, SETTINGS).sample(stage, 3, 64)
    parts = [Pool(data, SETTINGS).sample(stage, 3, 64, rank, 2) for rank in (0, 1)]
    assert torch.equal(whole.image, torch.cat([part.image for part in parts]))
    assert torch.equal(whole.depth, torch.cat([part.depth for part in parts]))


def test_depth_is_there_only_where_a_loss_looks_at_it() -> None:
    data = toy_data()
    code = Pool(data, SETTINGS).sample(Stage("s", 1, loss="code", batch=4), 0, 64)
    assert code.depth is None and code.rotation is None and code.shape.shape == (4,)
    bare = replace(data, fixed_depth=data.fixed_depth[:, :0])
    assert Pool(bare, SETTINGS).sample(Stage("s", 1, batch=4), 0, 64).depth is None
    with_maps = Pool(data, SETTINGS).sample(Stage("s", 1, map_size=64, batch=4), 0, 64)
    assert torch.equal(Pool(bare, SETTINGS).sample(Stage("s", 1, batch=4), 0, 64).image, with_maps.image)
    assert validation_batches(bare, 0, 64, 4, 4)[0].depth is None


def test_mirrored_depth_is_the_depth_of_the_mirrored_car() -> None:
    views = cube_corner_views()
    rng = np.random.default_rng(0)
    cloud = torch.from_numpy(rng.uniform([-0.4, 0.05, -0.1], [0.4, 0.2, 0.1], (40000, 3)).astype(np.float32))[None]
    logit = torch.ones(1, cloud.shape[1])
    rotations = torch.from_numpy(views.rotations)[None]

    def mask(points: torch.Tensor) -> torch.Tensor:
        rendered = pseudo_renderer.render(points, logit, rotations, 32, views.width, views.distance, upscale=1)
        return rendered.logit > 0

    mirrored = mask(cloud * torch.tensor([1.0, -1.0, 1.0]))
    assert (mirrored == mirror_depth(mask(cloud))).float().mean().item() > 0.99
    assert (mirrored == mask(cloud)).float().mean().item() < 0.95, "the toy must tell left from right"


def test_mirrored_novel_views_stay_true() -> None:
    data = toy_data()
    stage = Stage("s", 1, loss="novel", map_size=128, batch=16, novel_views=2)
    batch = Pool(data, SETTINGS).sample(stage, 0, 64)
    assert batch.rotation is not None
    determinant = torch.linalg.det(batch.rotation)
    torch.testing.assert_close(determinant, torch.ones_like(determinant))
    # Ellipsoids are symmetric: whatever was mirrored must still be the exact map of one of the three bodies.
    for rotation, depth in zip(batch.rotation.flatten(0, 1).numpy(), batch.depth.flatten(0, 1).numpy(), strict=True):
        errors = []
        for shape in range(3):
            axes = np.stack([np.full(3, 0.5), *_toy_axes()], 1)[shape]
            errors.append(np.abs(ellipsoid_depth(axes, rotation[None], 128)[0] - depth).mean())
        assert min(errors) < 2e-3


def _toy_axes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(0.15, 0.3, 3), rng.uniform(0.1, 0.2, 3)


def test_a_class_counts_with_the_square_root_of_its_size() -> None:
    weights = shape_weights(["sports"] * 9 + ["van"])
    assert weights.sum() == pytest.approx(1)
    assert weights[-1] / weights[:9].sum() == pytest.approx(1 / 3)


def test_shrinking_averages_hits_only() -> None:
    depth = torch.tensor([[1.0, 3.0, 0.0, 0.0], [2.0, 0.0, 0.0, 5.0], [0, 0, 0, 0], [0, 0, 0, 0]])
    small = shrink_depth(depth[None], 2)[0]
    assert small[0, 0].item() == 2.0, "the mean of the three hits"
    assert small[0, 1].item() == 0.0, "one hit of four is background"


def test_validation_pictures_are_spread_and_plain() -> None:
    data = toy_data(2, 6)
    batches = validation_batches(data, 64, 64, 4, 3)
    assert sum(len(b.image) for b in batches) == 4
    assert batches[0].image.shape[1:] == (3, 64, 64)
    assert batches[0].targets.camera.shape == (3, 6) and batches[0].targets.length.tolist() == [4.0] * 3
