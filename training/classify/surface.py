"""Appearance on the car instead of in the picture: an encoder's features where the predicted surface is seen.

As the 3-D patches of Krause et al., "3D Object Representations for Fine-Grained Categorization", 3dRR 2013: what is
looked at is found on the car by its shape and pose, so that the same place of two cars is compared from any viewpoint.
Here the places are boxes of the car's bounding box, left and right taken together, because cars are symmetrical.
"""

from __future__ import annotations

import numpy as np

from edge.geometry import SEEN, Cloud, even_stride
from edge.pose import Pose, project
from edge.runtime.colour import looked_up

#: Regions along the car and upwards.
ALONG, UP = 6, 3
REGIONS = ALONG * UP
#: Points of the cloud whose features are looked up.
POINTS = 4096


def regions_of(points: np.ndarray) -> np.ndarray:
    """(N,) int, the region of each canonical point (N, 3): from the tail to the nose, and from below upwards."""
    low, high = points.min(0), points.max(0)
    share = (points - low) / np.maximum(high - low, 1e-6)
    along, up = (np.minimum((share[:, axis] * count).astype(int), count - 1) for axis, count in ((0, ALONG), (2, UP)))
    return np.asarray(along * UP + up)


def seen_points(points: np.ndarray, pose: Pose, crop_bgr: np.ndarray) -> np.ndarray:
    """(N,) bool: the points (N, 3) that the camera sees in the square crop (S, S, 3)."""
    marked = looked_up(Cloud(points), pose, (0, 0, len(crop_bgr)), crop_bgr).mark
    return np.zeros(len(points), bool) if marked is None else np.asarray(marked == SEEN)


def shares(place: np.ndarray, owner: np.ndarray, height: int, width: int) -> np.ndarray:
    """(REGIONS, height x width) float32: how much each cell of a map counts in the sum of each region's points.

    place: crop coordinates (N, 2), looked up bilinearly; the map's border goes on outside. owner: (N,) their regions.
    """
    x = np.clip((place[:, 0] + 1) * width / 2 - 0.5, 0, width - 1)
    y = np.clip((place[:, 1] + 1) * height / 2 - 0.5, 0, height - 1)
    left, top = np.minimum(x.astype(int), max(width - 2, 0)), np.minimum(y.astype(int), max(height - 2, 0))
    dx, dy = x - left, y - top
    table = np.zeros(REGIONS * height * width)
    corners = ((0, 0, (1 - dx) * (1 - dy)), (1, 0, dx * (1 - dy)), (0, 1, (1 - dx) * dy), (1, 1, dx * dy))
    for right, below, weight in corners:
        column, row = np.minimum(left + right, width - 1), np.minimum(top + below, height - 1)
        table += np.bincount((owner * height + row) * width + column, weight, len(table))
    return table.reshape(REGIONS, height * width).astype(np.float32)


def pooled(
    points: np.ndarray, pose: Pose, crop_bgr: np.ndarray, maps: list[list[np.ndarray]]
) -> tuple[list[np.ndarray], np.ndarray]:
    """For each list of maps, (C, h, w) each, sums (REGIONS, all their channels) over the seen points of each region;
    and how many these are, (REGIONS,) float32."""
    points = points[even_stride(len(points), POINTS)]
    seen = np.flatnonzero(seen_points(points, pose, crop_bgr))
    owner, place = regions_of(points)[seen], project(points[seen], pose)[0]
    sums = [
        np.concatenate([shares(place, owner, *v.shape[1:]) @ v.reshape(len(v), -1).T for v in group], 1)
        for group in maps
    ]
    return sums, np.bincount(owner, minlength=REGIONS).astype(np.float32)
