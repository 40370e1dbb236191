"""Batches for one training step, chosen by seed and step alone, so that a resumed run sees the same ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from edge.errors import DataError
from training.augment import augment, mirror_depth
from training.data.dataset import CarDataset
from training.settings import Settings, Stage


class Batch(NamedTuple):
    """image (B, 3, S, S) in 0..1; depth (B, V, M, M), 0 = background; rotation (B, N, 3, 3) of novel views or None.

    shape: (B,) index of the shape.
    """

    image: Tensor
    depth: Tensor
    rotation: Tensor | None
    shape: Tensor


def step_generator(seed: int, step: int) -> torch.Generator:
    """A generator that depends on seed and step only."""
    state = np.random.SeedSequence([seed, step]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(state[0]) << 31 | int(state[1]))


def shrink_depth(depth: Tensor, size: int) -> Tensor:
    """(..., S, S) depth to (..., size, size): the mean over the hit pixels of each block, background below half."""
    factor = depth.shape[-1] // size
    if factor == 1:
        return depth
    if depth.shape[-1] != factor * size:
        raise DataError(f"depth maps of {depth.shape[-1]} pixels do not shrink to {size}")
    lead = depth.shape[:-2]
    flat = depth.reshape(-1, 1, *depth.shape[-2:])
    hit = functional.avg_pool2d((flat > 0).to(flat.dtype), factor)
    mean = functional.avg_pool2d(flat, factor) / hit.clamp_min(1e-6)
    return torch.where(hit >= 0.5, mean, torch.zeros_like(mean)).reshape(*lead, size, size)


def shape_weights(classes: list[str]) -> np.ndarray:
    """Share of each shape in the batches (M,): a class as a whole counts with the square root of its size.

    Free meshes are mostly sports cars; streets are not.
    """
    names, inverse, counts = np.unique(classes, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(counts[inverse])
    return np.asarray(weights / weights.sum())


def sample(
    data: CarDataset, settings: Settings, stage: Stage, step: int, input_size: int, rank: int = 0, world: int = 1
) -> Batch:
    """One augmented training batch; with ``world`` processes this is the ``rank``-th slice of the global one.

    Shapes are drawn by ``shape_weights``, then their pictures: a shape with more pictures is not seen more often.
    """
    generator = step_generator(settings.seed, step)
    rng = np.random.default_rng([settings.seed, step])
    shapes = rng.choice(len(data.fixed_depth), size=stage.batch, p=shape_weights(data.classes))
    pictures = np.array([rng.choice(np.flatnonzero(data.shape_index == shape)) for shape in shapes])
    image = torch.from_numpy(data.images[pictures]).permute(0, 3, 1, 2).float() / 255
    mask = torch.from_numpy(data.masks[pictures])[:, None].float() / 255
    flip = torch.from_numpy(rng.random(stage.batch) < 0.5)
    rotation = None
    if stage.loss == "code":
        # The encoder learns from shape numbers alone; a mirrored picture shows (near enough) the same shape.
        depth = torch.zeros(stage.batch, 1, stage.map_size, stage.map_size)
    elif stage.loss == "fixed":
        depth = torch.from_numpy(data.fixed_depth[shapes].astype(np.float32))
        depth = torch.where(flip[:, None, None, None], mirror_depth(depth), depth)
    else:
        views = np.stack([rng.permutation(data.novel_depth.shape[1])[: stage.novel_views] for _ in shapes])
        depth = torch.from_numpy(data.novel_depth[shapes[:, None], views].astype(np.float32))
        rotation = torch.from_numpy(data.novel_rotation[shapes[:, None], views])
        # The mirrored car seen by the mirrored camera gives the mirrored map: y -> -y and x_cam -> -x_cam.
        mirrored = rotation * torch.tensor([[-1.0], [1.0], [1.0]]) * torch.tensor([1.0, -1.0, 1.0])
        rotation = torch.where(flip[:, None, None, None], mirrored, rotation)
        depth = torch.where(flip[:, None, None, None], depth.flip(-1), depth)
    image = torch.where(flip[:, None, None, None], image.flip(-1), image)
    mask = torch.where(flip[:, None, None, None], mask.flip(-1), mask)
    image = augment(image, mask, input_size, settings, generator)
    part = slice(rank * stage.batch // world, (rank + 1) * stage.batch // world)
    depth = shrink_depth(depth, stage.map_size)
    shape = torch.from_numpy(shapes)[part]
    return Batch(image[part], depth[part], None if rotation is None else rotation[part], shape)


def validation_batches(data: CarDataset, map_size: int, input_size: int, count: int, batch: int) -> list[Batch]:
    """The same ``count`` un-augmented pictures each time, spread evenly over the set."""
    chosen = np.linspace(0, len(data.images) - 1, min(count, len(data.images))).astype(int)
    batches = []
    for start in range(0, len(chosen), batch):
        rows = chosen[start : start + batch]
        image = torch.from_numpy(data.images[rows]).permute(0, 3, 1, 2).float() / 255
        if image.shape[-1] != input_size:
            image = functional.interpolate(image, size=(input_size, input_size), mode="area")
        shapes = data.shape_index[rows]
        depth = torch.from_numpy(data.fixed_depth[shapes].astype(np.float32))
        batches.append(Batch(image, shrink_depth(depth, map_size), None, torch.from_numpy(shapes)))
    return batches
