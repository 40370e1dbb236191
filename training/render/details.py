"""Measures of a car that the shader needs to draw wheels, seams and number plates where they belong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.meshes.model import CATEGORIES
from training.render.geometry import Soup
from training.render.occlusion import parallel_matrix

_GLASS, _TYRE, _RIM = (CATEGORIES.index(name) for name in ("glass", "tyre", "rim"))
#: A European number plate in metres.
PLATE_M = (0.52, 0.115)
#: A rim of fewer triangles than this is a bare disc, and the shader paints spokes on it.
BARE_RIM = 260


@dataclass(frozen=True)
class Details:
    """In canonical units. wheels: (4, 4) x, z, radius (0 = none found), 1 where the rim is bare. seams: (3,) x of the
    front, middle and rear door seam, all 0 without wheels. levels: (4,) heights of sill, belt line and roof, and half
    the width. plates: (2, 4) front, rear: x where the plate's depth begins, height, half width (0 = no place), half
    height.
    """

    wheels: np.ndarray
    seams: np.ndarray
    levels: np.ndarray
    plates: np.ndarray


def measure(soup: Soup, length_m: float, depth_from: Callable[[np.ndarray], np.ndarray]) -> Details:
    """Look for wheels, belt line and plate places. depth_from: clip matrix (4, 4) to depth map (S, S), 0..1."""
    wheels = find_wheels(soup)
    lower, upper = soup.position.min(0), soup.position.max(0)
    glass = soup.position[soup.category == _GLASS]
    belt = lower[2] + 0.6 * (upper[2] - lower[2])
    if len(glass) > 8:
        belt = float(np.clip(np.percentile(glass[:, 2], 12), lower[2] + 0.4 * (upper[2] - lower[2]), belt + 0.1))
    sill, roof = lower[2] + 0.18 * (upper[2] - lower[2]), upper[2]
    seams = np.zeros(3)
    if (wheels[:, 2] > 0).all():
        front, rear = wheels[:2, 0].mean(), wheels[2:, 0].mean()
        radius = wheels[:, 2].mean()
        seams = np.array([front - 1.35 * radius, 0.47 * front + 0.53 * rear, rear + 1.05 * radius])
        sill = float(wheels[:, 1].mean() - 0.1 * radius)
    plates = np.stack([find_plate(soup, length_m, depth_from, end, belt) for end in (1.0, -1.0)])
    return Details(wheels, seams, np.array([sill, belt, roof, np.abs(soup.position[:, 1]).max()]), plates)


def find_wheels(soup: Soup) -> np.ndarray:
    """Centre and radius from the tyres at the four corners: (4, 4), front left, front right, rear left, rear right.

    A corner whose tyre is no round thing of a plausible size gets radius 0.
    """
    found = np.zeros((4, 4))
    tyre = soup.position[soup.category == _TYRE]
    kinds = soup.category[soup.faces[:, 0]]
    rims = soup.position[soup.faces[kinds == _RIM]].mean(axis=1) if (kinds == _RIM).any() else np.zeros((0, 3))
    low = tyre[tyre[:, 2] < soup.position[:, 2].min() + 0.2] if len(tyre) else tyre
    for corner, (ahead, left) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
        here = low[(low[:, 0] * ahead > 0) & (low[:, 1] * left > 0)] if len(low) else low
        if len(here) < 8:
            continue
        (x0, _, z0), (x1, _, z1) = here.min(0), here.max(0)
        radius, centre = (z1 - z0) / 2, ((x0 + x1) / 2, (z0 + z1) / 2)
        if not 0.03 < radius < 0.14 or abs((x1 - x0) / (z1 - z0) - 1) > 0.15:
            continue
        near = np.hypot(rims[:, 0] - centre[0], rims[:, 2] - centre[1]) < radius
        bare = (near & (rims[:, 1] * left > 0)).sum() < BARE_RIM
        found[corner] = *centre, radius, float(bare)
    return found


def find_plate(
    soup: Soup, length_m: float, depth_from: Callable[[np.ndarray], np.ndarray], end: float, belt: float
) -> np.ndarray:
    """Where a plate fits on the nose (end = 1) or the tail (-1): (4,), see :class:`Details`; zeros if nowhere.

    The place is the flattest and most upright one in the middle, between a hand above the ground and the belt line.
    """
    depth = depth_from(parallel_matrix(np.array([end, 0.0, 0.0])))
    side = depth.shape[0]
    # The parallel camera sees y in -1..1 across and z in -1..1 downwards; depth 0..1 is six car lengths.
    x_of = end * (3.0 - 6.0 * depth)
    half_w, half_h = PLATE_M[0] / 2 / length_m, PLATE_M[1] / 2 / length_m
    ground = soup.position[:, 2].min()
    columns = np.abs((np.arange(side) + 0.5) / side * 2 - 1) < half_w * 0.9
    best, place = np.inf, np.zeros(4)
    for height in np.arange(ground + 0.3 / length_m, min(belt, ground + 1.1 / length_m) - half_h, 0.02 / length_m):
        rows = np.clip(((0.5 - 0.5 * np.array([height + half_h, height - half_h])) * side).astype(int), 0, side - 1)
        # parallel_matrix keeps the OpenCV camera's y downwards, so row 0 of the map is the top.
        window = x_of[rows[0] : rows[1] + 1, columns] * end
        if window.size == 0 or window.min() < -0.5:
            continue
        lean, bulge = np.ptp(window.mean(axis=1)), np.ptp(window.mean(axis=0))
        wanted = ground + (0.45 if end > 0 else 0.75) / length_m
        cost = 2.5 * lean + bulge + 0.08 * abs(height - wanted) + 0.3 * (0.5 - window.mean())
        if lean < 0.02 and bulge < 0.05 and np.abs(window).max() > 0.3 and cost < best:
            best = cost
            place = np.array([end * (window.min() - 0.02), height, half_w, half_h])
    return place
