"""What photos without 3-D truth teach: a silhouette, and that a car stays the same however its picture is turned.

Both parts of the silhouette's loss are distances to points, as in a Chamfer distance: what is predicted must fall into
the mask, by a distance transform of it, and the mask's outline must be reached. Neither needs a picture to be drawn of
the cloud, and both pull from afar, where a rendered silhouette (Insafutdinov, Dosovitskiy, NeurIPS 2018; Kato et al.,
CVPR 2018) has no gradient. The pseudo-renderer of this repository has none with regard to places at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from training.unlabelled.photos import EXTENT, SIDE, Photo

#: Distance, crop units, from which a point's loss hardly grows: what is so far off is a post before the car, a mask of
#: another car or a wrong pose, and must not decide.
FAR = 0.1
#: An outline counts as reached when a point is so near, crop units: points drawn for a step are about so far apart.
SLACK = 0.012
#: Points of an outline.
OUTLINE = 128


class Silhouettes(NamedTuple):
    """Of N photos, crop coordinates. distance: (N, 1, S, S) to the mask, 0 in it. sure: (N, 1, S, S), how surely a
    pixel within the picture does not show the car. outline: (N, OUTLINE, 2)."""

    distance: Tensor
    sure: Tensor
    outline: Tensor

    def part(self, rows: Tensor) -> Silhouettes:
        """Some of the photos."""
        return Silhouettes(self.distance[rows], self.sure[rows], self.outline[rows])


def silhouettes_of(photos: Sequence[Photo]) -> Silhouettes:
    """What the losses need of the photos' masks."""
    pixel = 2 * EXTENT / SIDE
    distance = [distance_transform_edt(photo.mask <= 0.5) * pixel for photo in photos]
    sure = [(1 - photo.mask) * photo.inside for photo in photos]
    outline = [_outline(photo.mask > 0.5) for photo in photos]
    far, free = (torch.from_numpy(np.stack(part).astype(np.float32))[:, None] for part in (distance, sure))
    return Silhouettes(far, free, torch.from_numpy(np.stack(outline)))


def _outline(mask: np.ndarray) -> np.ndarray:
    """(OUTLINE, 2) float32 crop coordinates of pixels on the edge of a mask (S, S) bool, evenly along it."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    pixels = np.concatenate([line[:, 0] for line in found]).astype(np.float32)
    some = pixels[np.linspace(0, len(pixels) - 1, OUTLINE).round().astype(int)]
    return np.asarray((some + 0.5) * (2 * EXTENT / SIDE) - EXTENT, np.float32)


def saturating(distance: Tensor) -> Tensor:
    """Distances as they are while they are small, at most FAR."""
    return FAR * (1 - (-distance / FAR).exp())


def outside_loss(place: Tensor, silhouettes: Silhouettes) -> Tensor:
    """How far points seen at places (B, P, 2) lie beyond the masks: (B,) means over points, crop units."""
    grid = (place / EXTENT)[:, None]
    away = functional.grid_sample(silhouettes.distance, grid, padding_mode="border", align_corners=False)[:, 0, 0]
    sure = functional.grid_sample(silhouettes.sure, grid.detach(), align_corners=False)[:, 0, 0]
    return (saturating(away) * sure).mean(1)


def contour_loss(place: Tensor, silhouettes: Silhouettes) -> Tensor:
    """How far outlines are from the next of the points seen at places (B, P, 2): (B,) means, crop units."""
    outline = silhouettes.outline
    with torch.no_grad():
        nearest = torch.cdist(outline, place).argmin(2)
    there = place.gather(1, nearest[..., None].expand(-1, -1, 2))
    away = ((outline - there).square().sum(2) + 1e-12).sqrt()
    return saturating((away - SLACK).clamp_min(0)).mean(1)


def apart(first: Tensor, second: Tensor) -> Tensor:
    """Mean distance of corresponding points (B, P, D): (B,)."""
    return ((first - second).square().sum(2) + 1e-12).sqrt().mean(1)


def group_loss(half: Tensor, groups: Tensor) -> Tensor:
    """Mean distance of points (B, R, 3) to the mean of their group, groups: (B,) int64; scalar."""
    own = (groups[:, None] == groups).to(half.dtype)
    mean = torch.einsum("ab,brd->ard", own / own.sum(1, keepdim=True), half)
    return apart(half, mean).mean()
