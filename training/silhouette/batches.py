"""Batches of crops and silhouettes, chosen by seed and step alone: shards, photos, and what is put before both."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from training.augment import augment, uniform
from training.batches import shape_weights, step_generator
from training.data.dataset import CarDataset
from training.settings import Settings
from training.silhouette.photos import Photo

#: Shares of pictures: with another car pasted beside (half of them before the car), and made coarse as far cars are.
PASTED, COARSE = 0.3, 0.2
#: How far away another car is put, in parts of half the picture's side, and how large, relative to the car.
AWAY, LARGE = (0.7, 1.5), (0.6, 1.3)
#: Half the width of a bar, half an edge of a block, in parts of half the picture's side.
THIN, BLOCK = (0.02, 0.09), (0.08, 0.4)


class Crops(NamedTuple):
    """image: (B, 3, S, S) RGB in 0..1. mask: (B, 1, S, S) in 0..1, coverage by what is visible of the car."""

    image: Tensor
    mask: Tensor


class Source:
    """What batches are drawn from. photo_share: of a batch's crops; without photos all are of the shards."""

    def __init__(
        self, data: CarDataset, photos: Sequence[Photo], settings: Settings, photo_share: float,
        device: torch.device | str = "cpu",
    ) -> None:
        self.data, self.photos, self.settings, self.device = data, photos, settings, torch.device(device)
        self.weights = shape_weights(data.classes, data.real, settings.parametric_share)
        self.photo_share = photo_share if photos else 0.0
        # What stands before a car is cut out of its silhouette here; augment knows nothing of that.
        self._augment = dataclasses.replace(settings, augment_erase=0.0)

    def sample(self, step: int, batch: int, size: int) -> Crops:
        """The augmented batch of one step, on the device."""
        rng = np.random.default_rng([self.settings.seed, step])
        generator = step_generator(self.settings.seed, step, self.device)
        real = round(batch * self.photo_share)
        rgb, mask = self._rendered(batch - real, rng)
        if real:
            side = self.data.images.shape[1]
            drawn = [self.photos[int(row)].drawn(side, rng) for row in rng.integers(0, len(self.photos), real)]
            rgb = np.concatenate([rgb, np.stack([crop[0] for crop in drawn])])
            mask = np.concatenate([mask, np.stack([crop[1] for crop in drawn])])
        image = torch.from_numpy(rgb).to(self.device).permute(0, 3, 1, 2).float() / 255
        crops = Crops(image, torch.from_numpy(mask).to(self.device)[:, None].float() / 255)
        flip = _chosen(batch, 0.5, generator)
        crops = Crops(*(torch.where(flip, plane.flip(-1), plane) for plane in crops))
        crops = pasted(crops, generator)
        image, theta = augment(crops.image, crops.mask, size, self._augment, generator)
        grid = functional.affine_grid(theta, [batch, 1, size, size], align_corners=False)
        mask_ = functional.grid_sample(crops.mask, grid, padding_mode="border", align_corners=False)
        return covered(coarse(Crops(image, mask_), generator), self.settings.augment_erase, generator)

    def _rendered(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pictures of the shards; shapes are drawn by ``shape_weights``, as in training.batches."""
        shapes = rng.choice(len(self.data.names), size=count, p=self.weights)
        first, end = (np.searchsorted(self.data.shape_index, shapes, side) for side in ("left", "right"))
        rows = first + (rng.random(count) * (end - first)).astype(np.int64)
        return self.data.images[rows], self.data.masks[rows]


def pasted(crops: Crops, generator: torch.Generator) -> Crops:
    """Put the cars of other crops of the batch beside some of the cars, behind or before them."""
    batch, _, side, _ = crops.image.shape
    angle = uniform((batch,), -0.6, 0.6, generator) + torch.pi * (uniform((batch,), 0, 1, generator) < 0.5)
    away, scale = uniform((batch,), *AWAY, generator), 1 / uniform((batch,), *LARGE, generator)
    theta = torch.zeros(batch, 2, 3, device=crops.image.device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, 0, 2], theta[:, 1, 2] = -angle.cos() * away * scale, -angle.sin() * away * scale
    grid = functional.affine_grid(theta, [batch, 1, side, side], align_corners=False)
    other = Crops(*(functional.grid_sample(plane.roll(1, 0), grid, align_corners=False) for plane in crops))
    region = other.mask * _chosen(batch, PASTED, generator)
    before = _chosen(batch, 0.5, generator).to(region.dtype)
    region = region * (before + (1 - before) * (1 - crops.mask))
    return Crops(crops.image * (1 - region) + other.image * region, crops.mask * (1 - region * before))


def coarse(crops: Crops, generator: torch.Generator) -> Crops:
    """Some pictures lose their finest detail, as those of cars that are far away."""
    size = crops.image.shape[-1]
    half = functional.avg_pool2d(crops.image, 2)
    blurred = functional.interpolate(half, size=(size, size), mode="bilinear", align_corners=False)
    return crops._replace(image=torch.where(_chosen(len(half), COARSE, generator), blurred, crops.image))


def covered(crops: Crops, share: float, generator: torch.Generator) -> Crops:
    """Put a bar or a block before a share of the pictures, of one colour or of another picture's pixels."""
    batch, _, size, _ = crops.image.shape
    axis = (torch.arange(size, device=crops.image.device) + 0.5) / size * 2 - 1
    centre = uniform((batch, 2, 1, 1), -0.9, 0.9, generator)
    x, y = axis[None, None, :] - centre[:, 0], axis[None, :, None] - centre[:, 1]
    bar = uniform((batch, 1, 1), 0, 1, generator) < 0.5
    # Posts and branches are mostly upright.
    angle = torch.where(bar, 0.25, 1.0) * torch.pi / 2 * uniform((batch, 1, 1), -1, 1, generator)
    across, along = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    thin, wide, high = (uniform((batch, 1, 1), *limits, generator) for limits in (THIN, BLOCK, BLOCK))
    width, height = torch.where(bar, thin, wide), torch.where(bar, 3.0, high)
    region = ((across.abs() < width) & (along.abs() < height))[:, None] & _chosen(batch, share, generator)
    colour = uniform((batch, 3, 1, 1), 0, 1, generator).expand_as(crops.image)
    fill = torch.where(_chosen(batch, 0.5, generator), colour, crops.image.roll(1, 0).flip(-2))
    return Crops(torch.where(region, fill, crops.image), crops.mask * ~region)


def _chosen(batch: int, share: float, generator: torch.Generator) -> Tensor:
    """(B, 1, 1, 1) bool, true of a share."""
    return uniform((batch, 1, 1, 1), 0, 1, generator) < share
