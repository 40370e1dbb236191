"""Toy training data: ellipsoids instead of cars. Stands in for shards, so that the loop is tested in seconds."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch

from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, cube_corner_views, pixel_grid
from training.data.dataset import CarDataset
from training.loop import Trainer


def ellipsoid_depth(axes: np.ndarray, rotations: np.ndarray, size: int) -> np.ndarray:
    """Orthographic depth (V, size, size) of an ellipsoid with semi-axes ``axes``, solved exactly; 0 = background."""
    x, y = pixel_grid(size, VIEW_WIDTH)
    maps = []
    for rotation in rotations.astype(np.float64):
        origin = x[..., None] * rotation[0] + y[..., None] * rotation[1]
        o, d = origin / axes, rotation[2] / axes
        a, b, c = (d * d).sum(), (o * d).sum(-1), (o * o).sum(-1) - 1
        root = b * b - a * c
        depth = (-b - np.sqrt(np.maximum(root, 0))) / a + VIEW_DISTANCE
        maps.append(np.where(root > 0, depth, 0))
    return np.stack(maps).astype(np.float32)


def random_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 3, 3) rotations, uniform."""
    q, _ = np.linalg.qr(rng.normal(size=(count, 3, 3)))
    return (q * np.sign(np.linalg.det(q))[:, None, None]).astype(np.float32)


def toy_data(shapes: int = 3, pictures: int = 4, size: int = 80, seed: int = 0) -> CarDataset:
    """Pictures are noise with the ellipsoid's size painted in, enough for a loss to fall."""
    rng = np.random.default_rng(seed)
    axes = np.stack([np.full(shapes, 0.5), rng.uniform(0.15, 0.3, shapes), rng.uniform(0.1, 0.2, shapes)], 1)
    rotations = random_rotations(rng, shapes * 6).reshape(shapes, 6, 3, 3)
    images = rng.integers(0, 60, (shapes * pictures, size, size, 3), dtype=np.uint8)
    masks = np.zeros((shapes * pictures, size, size), np.uint8)
    index = np.repeat(np.arange(shapes), pictures).astype(np.int32)
    for n, shape in enumerate(index):
        half_w, half_h = int(size * axes[shape, 0] * 0.8), int(size * axes[shape, 2])
        window = (n, slice(size // 2 - half_h, size // 2 + half_h), slice(size // 2 - half_w, size // 2 + half_w))
        images[window] += np.uint8(150)
        masks[window] = 255
    return CarDataset(
        images,
        masks,
        index,
        np.stack([ellipsoid_depth(a, cube_corner_views().rotations, 128) for a in axes]).astype(np.float16),
        np.stack([ellipsoid_depth(a, r, 128) for a, r in zip(axes, rotations, strict=True)]).astype(np.float16),
        rotations,
        [f"toy-{n}" for n in range(shapes)],
        ["toy"] * shapes,
        ["toy"] * shapes,
        # Nothing that trains on these toys looks at cameras or sizes: one frontal camera, four metres long.
        K=np.tile(np.array([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1]], np.float32), (len(index), 1, 1)),
        R=np.tile(np.eye(3, dtype=np.float32), (len(index), 1, 1)),
        t=np.tile(np.array([0, 0, 2], np.float32), (len(index), 1)),
        view=np.tile(np.array([0, 0, 35], np.float32), (len(index), 1)),
        box=np.tile(np.array([0, 0, size, size], np.float32), (len(index), 1)),
        hidden=np.zeros(len(index), np.float32),
        conditions=["plain"] * len(index),
        length_m=np.full(shapes, 4.0, np.float32),
        extents_m=(8 * axes * 0.5).astype(np.float32),
        real=np.ones(shapes, bool),
    )


#: Arguments of the flagship's network that make it small; its template has as many points.
SMALL = {"image_size": 64, "pretrained": False, "components": 4, "hidden": 32, "points": 400}


def killed_at(trainer: Trainer, step: int) -> None:
    """Train until ``step``, save there as the loop does now and then, and be killed."""
    update = trainer._update

    def stop(*arguments: Any) -> Any:
        if trainer.step == step:
            trainer.save()
            raise KeyboardInterrupt
        return update(*arguments)

    trainer._update = stop  # type: ignore[method-assign]
    with contextlib.suppress(KeyboardInterrupt):
        trainer.train()
    assert trainer.step == step


def same(one: Any, other: Any) -> bool:
    """Whether two checkpoints' contents are equal, bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
