"""Batch augmentation on tensors, seeded: zoom and shift, colour, background, erasing, mirror."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from training.constants import alike
from training.settings import Settings

#: Fixed views are ordered z, y, x (edge.geometry.cube_corner_views); mirroring the car swaps y = +1 and -1.
MIRRORED_VIEWS = (2, 3, 0, 1, 6, 7, 4, 5)
_CAMERA_MIRROR = torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0, 1.0])


def mirror_depth(depth: Tensor) -> Tensor:
    """Fixed-view depth (..., 8, S, S) of the car mirrored in its own vertical plane (y -> -y)."""
    return depth[..., MIRRORED_VIEWS, :, :].flip(-1)


def augment(
    image: Tensor, mask: Tensor, size: int, settings: Settings, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(B, 3, S, S) in 0..1 and silhouette (B, 1, S, S) in 0..1 to (B, 3, size, size) in 0..1, and how it was zoomed.

    The zoom is (B, 2, 3): it maps crop coordinates of the result to those of the picture. generator: on the device of
    the pictures; one seed draws differently on another kind of device.
    """
    image = _background(image, mask, settings.augment_background, generator)
    theta = _zoom(len(image), settings.augment_zoom, settings.augment_aspect, generator)
    grid = functional.affine_grid(theta, [len(image), 3, size, size], align_corners=False)
    image = functional.grid_sample(image, grid, padding_mode="border", align_corners=False)
    image = _colour(image, settings.augment_colour, generator)
    return _erase(image, settings.augment_erase, generator).clamp(0, 1), theta


def zoomed_camera(camera: Tensor, theta: Tensor) -> Tensor:
    """Cameras (B, 6), ``edge.pose.CAMERA``, of zoomed pictures; theta (B, 2, 3) as from :func:`augment`."""
    wide, high = theta[:, 0, 0], theta[:, 1, 1]
    x, y = (camera[:, 2] - theta[:, 0, 2]) / wide, (camera[:, 3] - theta[:, 1, 2]) / high
    log_scale = camera[:, 4] - 0.5 * (wide * high).log()
    return torch.stack([camera[:, 0], camera[:, 1], x, y, log_scale, camera[:, 5]], 1)


def mirrored_camera(camera: Tensor) -> Tensor:
    """Cameras (B, 6) of the pictures mirrored left to right: roll and x change sign (the azimuth does, too)."""
    return camera * alike(_CAMERA_MIRROR, camera)


def uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> Tensor:
    """Random numbers from ``low`` to ``high``, on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def _background(image: Tensor, mask: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Put a share of the cars before smooth random colour fields: what surrounds a car must not matter."""
    batch, _, side, _ = image.shape
    coarse = uniform((batch, 3, 5, 5), 0, 1, generator) * uniform((batch, 3, 1, 1), 0.3, 1, generator)
    field = functional.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=False).clamp(0, 1)
    chosen = (uniform((batch, 1, 1, 1), 0, 1, generator) < share).to(image.dtype)
    blend = chosen * (1 - mask)
    return image * (1 - blend) + field * blend


def _zoom(batch: int, amount: float, aspect: float, generator: torch.Generator) -> Tensor:
    theta = torch.zeros(batch, 2, 3, device=generator.device)
    theta[:, 0, 0] = 1 - uniform((batch,), -amount / 2, amount, generator)
    theta[:, 1, 1] = theta[:, 0, 0] * uniform((batch,), 1 - aspect, 1 + aspect, generator)
    theta[:, :, 2] = uniform((batch, 2), -amount / 2, amount / 2, generator)
    return theta


def _colour(image: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    batch = image.shape[0]
    gain = uniform((batch, 1, 1, 1), 1 - amount, 1 + amount, generator)
    tint = uniform((batch, 3, 1, 1), 1 - amount / 3, 1 + amount / 3, generator)
    contrast = uniform((batch, 1, 1, 1), 1 - amount, 1 + amount, generator)
    mean = image.mean((1, 2, 3), keepdim=True)
    image = (image - mean) * contrast + mean * gain
    grey = image.mean(1, keepdim=True)
    saturation = uniform((batch, 1, 1, 1), 1 - 2 * amount, 1 + amount, generator)
    image = (grey + (image - grey) * saturation) * tint
    noise = torch.randn(image.shape, generator=generator, device=generator.device)
    return image + noise * uniform((batch, 1, 1, 1), 0, 0.03, generator)


def _erase(image: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Cover a random rectangle of a share of the pictures with one colour: posts, people, other cars."""
    batch, _, height, width = image.shape
    chosen = uniform((batch,), 0, 1, generator) < share
    corner = uniform((batch, 2), 0, 1, generator)
    extent = uniform((batch, 2), 0.08, 0.35, generator)
    colour = uniform((batch, 3), 0, 1, generator)

    def within(axis: int, side: int) -> Tensor:
        """Which of ``side`` lines lie in each rectangle, (B, side) bool."""
        first, line = (corner[:, axis, None] * side).long(), torch.arange(side, device=generator.device)
        return (line >= first) & (line < first + (extent[:, axis, None] * side).long() + 1)

    rows, columns = within(0, height), within(1, width)
    covered = chosen[:, None, None] & rows[:, :, None] & columns[:, None]
    return torch.where(covered[:, None], colour[:, :, None, None], image)
