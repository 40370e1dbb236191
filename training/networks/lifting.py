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
import torch.nn.functional as functional
from torch import Tensor

from training.constants import alike
from training.networks.base import BINS

#: Landmarks move by a few hundredths of a car's length: times this they are of the size that layers expect.
LARGE = 10.0


#: Cosine and sine of each bin's centre, and how they change with an offset of one bin: (2 BINS, 2).
_CENTRES = torch.arange(BINS) * (2 * math.pi / BINS)
_DIRECTIONS = torch.cat([
    torch.stack([_CENTRES.cos(), _CENTRES.sin()], 1),
    torch.stack([-_CENTRES.sin(), _CENTRES.cos()], 1) * (2 * math.pi / BINS),
])  # fmt: skip
# Rotations as linear functions of cosines and sines: three small products in place of forty single ones, each of which
# a Nano launches (docs/estimate.md). Rows: numbers of the matrix; columns: what they are multiplied with; then a rest.
#: Elevation and roll, and either a quarter of a turn ahead, from a camera: sines of these are sines and cosines.
_ANGLES = torch.zeros(4, 6)
_ANGLES[[0, 1], 0] = _ANGLES[[2, 3], 1] = 1.0
_QUARTERS = torch.tensor([0.0, 0.5, 0.0, 0.5]) * math.pi
#: (sin e, cos e, sin r, cos r) to roll [[cos r, -sin r, 0], [sin r, cos r, 0], [0, 0, 1]].
_ROLL = torch.zeros(9, 4), torch.zeros(9)
_ROLL[0][[0, 4], 3] = _ROLL[0][3, 2] = _ROLL[1][8] = 1.0
_ROLL[0][1, 2] = -1.0
#: The same to tilt [[1, 0, 0], [0, sin e, -cos e], [0, -cos e, -sin e]].
_TILT = torch.zeros(9, 4), torch.zeros(9)
_TILT[0][4, 0] = _TILT[1][0] = 1.0
_TILT[0][8, 0] = _TILT[0][5, 1] = _TILT[0][7, 1] = -1.0
#: (cos a, sin a) to [[-sin a, cos a, 0], [cos a, sin a, 0], [0, 0, 1]]: to the right, towards the camera, up.
_TURN = torch.zeros(9, 2), torch.zeros(9)
_TURN[0][[1, 3], 0] = _TURN[0][4, 1] = _TURN[1][8] = 1.0
_TURN[0][0, 1] = -1.0
#: What turns a point into its mirror image.
_MIRROR = torch.tensor([1.0, -1.0, 1.0])


def rotation(direction: Tensor, camera: Tensor) -> Tensor:
    """Canonical to camera frame (B, 3, 3), rows right, down, forward; as ``edge.pose.Pose.rotation``.

    direction: (B, 2), cosine and sine of the azimuth. camera: (B, 6), edge.pose.CAMERA.
    """
    constants = [alike(part, camera) for part in (_ANGLES, _QUARTERS, *_ROLL, *_TILT, *_TURN)]
    waves = functional.linear(camera, *constants[:2]).sin()
    roll, tilt, turn = (
        functional.linear(told, *constants[first : first + 2]).unflatten(1, (3, 3))
        for told, first in ((waves, 2), (waves, 4), (direction, 6))
    )
    return roll @ tilt @ turn


def likely_azimuth(azimuth: Tensor) -> Tensor:
    """Cosine and sine (B, 2) of the mean direction under the bins, each with its offset. azimuth: (B, 2 * BINS); what
    follows in longer rows is not looked at."""
    chance, offset = azimuth[:, :BINS].softmax(1), azimuth[:, BINS : 2 * BINS].clamp(-0.75, 0.75)
    mean = torch.cat([chance, chance * offset], 1) @ alike(_DIRECTIONS, azimuth)
    return mean / (mean.square().sum(1, keepdim=True) + 1e-6).sqrt()


def both_sides(left: Tensor) -> Tensor:
    """Points (..., N, 3) of the left half and then their mirror images, (..., 2 N, 3)."""
    return torch.cat([left, mirrored(left)], -2)


def mirrored(points: Tensor) -> Tensor:
    """Points or vectors (..., 3) on the other side of the car's middle plane."""
    return points * alike(_MIRROR, points)


class Projected(NamedTuple):
    """Points as a camera sees them. place: (B, N, 2), crop coordinates. scale: (B, N, 1), crop units per canonical unit
    there. centre: (B, 1, 2), where the car's centre is seen, and size: (B, 1, 1), the scale there."""

    place: Tensor
    scale: Tensor
    centre: Tensor
    size: Tensor


def project(points: Tensor, turned: Tensor, camera: Tensor) -> Projected:
    """Canonical points (B, N, 3) or (N, 3) seen by cameras (B, 6), ``edge.pose.CAMERA``. As ``edge.pose.project``.

    turned: (B, 3, 3) of :func:`rotation`.
    """
    cam = points @ turned.transpose(1, 2)
    centre, size = camera[:, None, 2:4], camera[:, 4:5, None].exp()
    scale = size / (1 + camera[:, 5:6, None] * cam[..., 2:]).clamp(0.05, 20.0)
    return Projected(cam[..., :2] * scale + centre, scale, centre, size)


def expected(landmarks: Tensor, azimuth: Tensor, camera: Tensor) -> tuple[Projected, Tensor]:
    """Where the mean car's landmarks would be seen, the left ones first, and canonical to camera frame (B, 3, 3).

    landmarks: (L, 3) of the mean car, left half. azimuth, camera: as in a Prediction (more columns of azimuth do not
    matter); their gradient ends here, since the pose has its own truth to learn from.
    """
    camera = camera.detach()
    turned = rotation(likely_azimuth(azimuth.detach()), camera)
    return project(both_sides(landmarks), turned, camera), turned


def displaced(place: Tensor, wanted: Projected, turned: Tensor) -> Tensor:
    """What the landmarks' places (B, 2 L, 2) say of the shape, (B, 6 L + 9).

    Displacements of left and (mirrored) right landmarks, the viewing direction and its products.
    """
    moved = LARGE * ((place - wanted.place) / wanted.scale) @ turned[:, :2]
    left, right = moved.chunk(2, 1)
    forward = turned[:, 2]
    products = (forward[:, :, None] * forward[:, None]).flatten(1)[:, [0, 1, 2, 4, 5, 8]]
    return torch.cat([left.flatten(1), mirrored(right).flatten(1), forward, products], 1)
