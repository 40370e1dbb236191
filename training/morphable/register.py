"""Carrying one template onto any car: what makes the points of all cars correspond.

Three steps, each on the left half, folded points (x, |y|, z), on cars scaled to one box:
the wheels are put over each other along x; a coarse lattice bends the rest (training.shapes.lattice); then single
points follow their nearest neighbours, their moves smoothed over ever smaller neighbourhoods (non-rigid iterated
closest points: Amberg, Romdhani, Vetter, CVPR 2007; the smoothing in place of their stiffness term, as in coherent
point drift, Myronenko and Song, PAMI 2010). Wheels are matched with wheels only, and neighbours that face
another way count as farther off.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from training.meshes.model import CATEGORIES
from training.meshes.visible import Surface
from training.shapes.lattice import displacement, fit_lattice

#: Width and height of the box in which cars are matched, length 1: those of an ordinary car.
PROPORTIONS = np.array([1.0, 0.44, 0.33])
#: How far apart two opposite normals put two points, canonical units: a skin's two sides do not match.
FACING = 0.05
#: Neighbourhoods (standard deviation, canonical units) over which moves are smoothed, from coarse to fine.
RADII = (0.08, 0.08, 0.05, 0.05, 0.035, 0.035, 0.025, 0.025, 0.018, 0.018, 0.013, 0.013)
#: Neighbours that smooth a point's move.
NEIGHBOURS = 48
#: Points on which the lattice is fitted, each side.
LATTICE_POINTS = 1500
WHEEL = np.isin(np.arange(len(CATEGORIES)), [CATEGORIES.index("tyre"), CATEGORIES.index("rim")])
#: Fewest wheel points, as a share, for them to be trusted.
LEAST_WHEEL = 0.01


class HalfCar(NamedTuple):
    """The left half of a car, its box scaled to :data:`PROPORTIONS`. points, normals: (N, 3) float64, y >= 0.
    wheel: (N,) bool."""

    points: np.ndarray
    normals: np.ndarray
    wheel: np.ndarray


def half_car(surface: Surface, box: np.ndarray) -> HalfCar:
    """A canonical car's surface, folded and scaled. box: (3,) its edges, canonical: the longest is 1."""
    scale = PROPORTIONS / box
    points, normals = surface.points * scale, surface.normals / scale
    right = points[:, 1] < 0
    points[right, 1] *= -1
    normals[right, 1] *= -1
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return HalfCar(points.astype(np.float64), normals.astype(np.float64), WHEEL[surface.parts])


class Template:
    """The car that is carried onto the others. half: its points; smoothing weights are prepared once."""

    def __init__(self, half: HalfCar) -> None:
        self.half = half
        tree = cKDTree(features(half.points, half.normals))
        distance, self._near = tree.query(features(half.points, half.normals), NEIGHBOURS)
        self._distance = distance.astype(np.float64)
        self._smoothers: dict[float, csr_matrix] = {}
        self.coarse = _spread(half.points, LATTICE_POINTS)

    def smoother(self, radius: float) -> csr_matrix:
        """Row-normalised Gaussian weights (N, N) of the neighbours within about twice the radius.

        The neighbours of a point end at about 0.04; wider smoothing is narrower smoothing repeated.
        """
        if radius not in self._smoothers:
            weight = np.exp(-0.5 * (self._distance / radius) ** 2)
            weight /= weight.sum(1, keepdims=True)
            count = len(self.half.points)
            rows = np.repeat(np.arange(count + 0), NEIGHBOURS)
            self._smoothers[radius] = csr_matrix((weight.ravel(), (rows, self._near.ravel())), (count, count))
        return self._smoothers[radius]


def register(template: Template, target: HalfCar) -> tuple[np.ndarray, np.ndarray]:
    """The template's points on the target: positions (N, 3) and the target's unit normals there (N, 3), float64.

    Both in the target's frame, that of :func:`half_car`.
    """
    wheels = _wheels_match(template.half, target)
    moved = _by_wheels(template.half, target) if wheels else template.half.points.copy()
    moved = _by_lattice(template, moved, target)
    normals = template.half.normals
    groups = _groups(template.half, target, wheels)
    for radius in RADII:
        move, weight = np.zeros_like(moved), np.zeros(len(moved))
        for rows, goal, tree, few in groups:
            found = tree.query(features(moved[rows], normals[rows]))[1]
            move[rows] += goal.points[found] - moved[rows]
            weight[rows] += 1.0
            back = cKDTree(features(moved[rows], normals[rows])).query(few)[1]
            step = goal.points[: len(few)] - moved[rows][back]
            np.add.at(move, rows[back], step)
            np.add.at(weight, rows[back], 1.0)
        smooth = template.smoother(min(radius, 0.03))
        total, share = move, weight
        for _ in range(max(1, round((radius / 0.03) ** 2))):
            total, share = smooth @ total, smooth @ share
        moved = moved + total / share[:, None]
        moved[:, 1] = np.maximum(moved[:, 1], 0.0)
        normals = _normals_at(moved, normals, groups)
    return moved, normals


def features(
    points: np.ndarray, normals: np.ndarray, apart: float = FACING, kind: type[np.floating] = np.float32
) -> np.ndarray:
    """Points and facing in one space (N, 6). apart: how far from each other opposite normals put two points."""
    return np.concatenate([points, normals * (apart / 2)], axis=1).astype(kind)


def _spread(points: np.ndarray, count: int) -> np.ndarray:
    """Rows of a random choice, the same each time."""
    return np.random.default_rng(0).permutation(len(points))[:count]


def _wheels_match(template: HalfCar, target: HalfCar) -> bool:
    """Whether both cars' wheels are labelled, front and rear."""
    for car in (template, target):
        for side in (car.points[:, 0] > 0, car.points[:, 0] < 0):
            if (car.wheel & side).sum() < LEAST_WHEEL * len(car.points):
                return False
    return True


def _by_wheels(template: HalfCar, target: HalfCar) -> np.ndarray:
    """The template's points with x bent so that the axles lie over the target's."""
    axles = []
    for car in (template, target):
        along = car.points[car.wheel, 0]
        low, high = along[along < 0], along[along > 0]
        axles.append(np.array([-0.5, (low.min() + low.max()) / 2, (high.min() + high.max()) / 2, 0.5]))
    out = template.points.copy()
    out[:, 0] = np.interp(out[:, 0], axles[0], axles[1])
    return out


def _by_lattice(template: Template, points: np.ndarray, target: HalfCar) -> np.ndarray:
    """Points bent by the lattice that carries a choice of them onto a choice of the target's."""
    box = np.maximum(PROPORTIONS, 1e-6) / 2 * 1.02
    goal = target.points[_spread(target.points, LATTICE_POINTS)]
    lattice = fit_lattice(points[template.coarse], goal, -box, box, rounds=6, stiffness=1.0)
    out = points + displacement(lattice, points)
    out[:, 1] = np.maximum(out[:, 1], 0.0)
    return out


Group = tuple[np.ndarray, HalfCar, cKDTree, np.ndarray]


def _groups(template: HalfCar, target: HalfCar, wheels: bool) -> list[Group]:
    """Rows of the template, the target's points they may go to, a tree of these, and some that look back."""
    sides = [(template.wheel, target.wheel), (~template.wheel, ~target.wheel)] if wheels else []
    if not wheels:
        sides = [(np.ones(len(template.points), bool), np.ones(len(target.points), bool))]
    groups = []
    for mine, theirs in sides:
        goal = HalfCar(*(column[theirs] for column in target))
        found = features(goal.points, goal.normals)
        rows = np.flatnonzero(mine)
        groups.append((rows, goal, cKDTree(found), found[: len(rows)]))
    return groups


def _normals_at(moved: np.ndarray, normals: np.ndarray, groups: list[Group]) -> np.ndarray:
    """The target's normals at the moved points, mean of a few neighbours that face alike."""
    out = np.empty_like(normals)
    for rows, goal, tree, _ in groups:
        found = tree.query(features(moved[rows], normals[rows]), min(4, len(goal.points)))[1]
        out[rows] = goal.normals[found].mean(1)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
