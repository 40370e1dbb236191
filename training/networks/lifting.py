"""From where landmarks are seen to how they are moved from the mean car's: the step that makes shape easy to learn.

Given the pose, the mean car's landmarks are projected and compared with those that were found; each difference, put
back into the car's frame, is the part of the landmark's displacement that lies in the picture's plane. Shape is nearly
linear in these. Without them a network must learn rotation and projection by itself, which took twenty times as many
pictures for less (docs/networks.md). A first step of analysis by synthesis, as when a morphable model is fitted
(Blanz and Vetter, SIGGRAPH 1999).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from training.networks.base import BINS

#: Landmarks move by a few hundredths of a car's length: times this they are of the size that layers expect.
LARGE = 10.0


def rotation(cosine: Tensor, sine: Tensor, camera: Tensor) -> Tensor:
    """Canonical to camera frame (B, 3, 3), rows right, down, forward; as ``edge.pose.Pose.rotation``.

    cosine, sine: (B,) of the azimuth. camera: (B, 6), edge.pose.CAMERA.
    """
    up, level = camera[:, 0].sin(), camera[:, 0].cos()
    x, y, z = level * cosine, level * sine, up  # from the car to the camera
    nothing = torch.zeros_like(x)
    right = torch.stack([-sine, cosine, nothing], 1)
    down = torch.stack([z * cosine, z * sine, -(x * cosine + y * sine)], 1)
    turn, straight = camera[:, 1:2].sin(), camera[:, 1:2].cos()
    forward = torch.stack([-x, -y, -z], 1)
    return torch.stack([straight * right - turn * down, turn * right + straight * down, forward], 1)


def likely_azimuth(azimuth: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine (B,) of the mean direction under the bins (B, 2 * BINS), each with its offset."""
    centres = torch.arange(BINS, device=azimuth.device) * (2 * math.pi / BINS)
    chance, offset = azimuth[:, :BINS].softmax(1), azimuth[:, BINS:].clamp(-0.75, 0.75) * (2 * math.pi / BINS)
    x = (chance * (centres.cos() - offset * centres.sin())).sum(1)
    y = (chance * (centres.sin() + offset * centres.cos())).sum(1)
    length = (x * x + y * y + 1e-6).sqrt()
    return x / length, y / length


def both_sides(left: Tensor) -> Tensor:
    """Points (..., N, 3) of the left half and then their mirror images, (..., 2 N, 3)."""
    return torch.cat([left, mirrored(left)], -2)


def mirrored(points: Tensor) -> Tensor:
    """Points or vectors (..., 3) on the other side of the car's middle plane."""
    return points * torch.tensor([1.0, -1.0, 1.0], device=points.device, dtype=points.dtype)


def project(points: Tensor, turned: Tensor, camera: Tensor) -> tuple[Tensor, Tensor]:
    """Canonical points (B, N, 3) or (N, 3) to crop coordinates (B, N, 2) and crop units per canonical unit (B, N, 1).

    turned: (B, 3, 3) of :func:`rotation`. As ``edge.pose.project``.
    """
    cam = points @ turned.transpose(1, 2)
    scale = camera[:, 4].exp()[:, None] / (1 + camera[:, 5:6] * cam[..., 2]).clamp(0.05, 20.0)
    return cam[..., :2] * scale[..., None] + camera[:, None, 2:4], scale[..., None]


class Expected(NamedTuple):
    """Where the mean car's landmarks would be seen. place: (B, 2 L, 2), crop coordinates, the left ones first. scale:
    (B, 2 L, 1), crop units per canonical unit there. turned: (B, 3, 3), canonical to camera frame."""

    place: Tensor
    scale: Tensor
    turned: Tensor


def expected(landmarks: Tensor, azimuth: Tensor, camera: Tensor) -> Expected:
    """landmarks: (L, 3) of the mean car, left half. azimuth, camera: as in a Prediction; their gradient ends here,
    since the pose has its own truth to learn from."""
    camera = camera.detach()
    turned = rotation(*likely_azimuth(azimuth.detach()), camera)
    place, scale = project(both_sides(landmarks), turned, camera)
    return Expected(place, scale, turned)


def displaced(place: Tensor, wanted: Expected) -> Tensor:
    """What the landmarks' places (B, 2 L, 2) say of the shape, (B, 6 L + 9).

    Displacements of left and (mirrored) right landmarks, the viewing direction and its products.
    """
    turned = wanted.turned
    moved = LARGE * ((place - wanted.place) / wanted.scale) @ turned[:, :2]
    left, right = moved.chunk(2, 1)
    forward = turned[:, 2]
    products = (forward[:, :, None] * forward[:, None]).flatten(1)[:, [0, 1, 2, 4, 5, 8]]
    return torch.cat([left.flatten(1), mirrored(right).flatten(1), forward, products], 1)
