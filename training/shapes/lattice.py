"""Free-form deformation: a left-right symmetric Bernstein lattice over a car, and the guard against fold-overs.

Sederberg and Parry, "Free-form deformation of solid geometric models", SIGGRAPH 1986. Every field here is a function
of *folded* points (x, |y|, z): what it gives for the left half is mirrored, so that symmetry is kept to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import comb

#: Folded points (N, 3) float64, y >= 0, to displacements (N, 3).
Field = Callable[[np.ndarray], np.ndarray]
#: Degrees along x, y, z of the lattices drawn at random and of those fitted to another body.
RANDOM_DEGREES, FIT_DEGREES = (6, 3, 4), (7, 5, 5)
#: Smallest Jacobian of a deformation that is let through: nothing is squeezed to less than this part of its volume.
LEAST_JACOBIAN = 0.2
#: Points of the half car at which the Jacobian is looked at, along x, y, z.
GUARD_GRID = (40, 9, 16)
GAINS = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25, 0.1, 0.0)


class Lattice(NamedTuple):
    """lower, upper: (3,) corners of its box, symmetric in y. moves: (l+1, m+1, n+1, 3) of the control points, in the
    units of the box; x and z moves even and y moves odd about the middle plane."""

    lower: np.ndarray
    upper: np.ndarray
    moves: np.ndarray


def bernstein(t: np.ndarray, degree: int) -> np.ndarray:
    """Bernstein polynomials (N, degree + 1) at t (N,), clipped to 0..1."""
    t = np.clip(np.asarray(t, np.float64), 0.0, 1.0)[:, None]
    index = np.arange(degree + 1)
    return comb(degree, index) * t**index * (1.0 - t) ** (degree - index)


def weights(lower: np.ndarray, upper: np.ndarray, degrees: tuple[int, int, int], points: np.ndarray) -> np.ndarray:
    """Weight (N, l+1, m+1, n+1) of every control point at points (N, 3); points outside the box count as on it."""
    t = (points - lower) / np.maximum(upper - lower, 1e-9)
    x, y, z = (bernstein(t[:, axis], degree) for axis, degree in enumerate(degrees))
    return x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]


def displacement(lattice: Lattice, points: np.ndarray) -> np.ndarray:
    """Displacement (N, 3) float64 of points (N, 3)."""
    count = np.array(lattice.moves.shape[:3]) - 1
    share = weights(lattice.lower, lattice.upper, (int(count[0]), int(count[1]), int(count[2])), points)
    return share.reshape(len(points), -1) @ lattice.moves.reshape(-1, 3)


def symmetric(moves: np.ndarray) -> np.ndarray:
    """The symmetric part of control moves (l+1, m+1, n+1, 3): mean with the mirror image."""
    return (moves + moves[:, ::-1] * np.array([1.0, -1.0, 1.0])) / 2


def random_lattice(rng: np.random.Generator, lower: np.ndarray, upper: np.ndarray, amplitude: float) -> Lattice:
    """Control points moved at random by ``amplitude`` (standard deviation, as a part of the box along each axis).

    The surface moves by about a quarter of that, since Bernstein weights average. The lowest layer keeps its height
    within a third: the car stands on its wheels.
    """
    shape = tuple(d + 1 for d in RANDOM_DEGREES)
    moves = rng.normal(size=(*shape, 3)) * amplitude * (upper - lower)
    moves[:, :, 0, 2] /= 3
    return Lattice(lower, upper, symmetric(moves) * np.sqrt(2.0))


def fit_lattice(
    source: np.ndarray,
    target: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    rounds: int = 8,
    stiffness: float = 1.0,
) -> Lattice:
    """The lattice over the box that carries folded points ``source`` (N, 3) onto ``target`` (M, 3) as far as it bends.

    Iterated closest points in both directions with ridge regression of the control moves (after Amberg et al. 2007,
    with a lattice in place of per-vertex transforms); the ridge falls from 30 to 1 times ``stiffness``.
    """
    share = weights(lower, upper, FIT_DEGREES, source)
    half = share.shape[2] // 2
    left, right = share[:, :, half:], share[:, :, :half][:, :, ::-1]
    even, odd = (left + right).reshape(len(source), -1), (left - right).reshape(len(source), -1)
    tree = cKDTree(target)
    moved = source.copy()
    halves = np.zeros((even.shape[1], 3))
    for step in range(rounds):
        ridge = stiffness * 30.0 ** (1 - step / max(rounds - 1, 1))
        forth, back = tree.query(moved)[1], cKDTree(moved).query(target)[1]
        rows = np.concatenate([np.arange(len(source)), back])
        wanted = np.concatenate([target[forth], target]) - source[rows]
        for axis, basis in enumerate((even, odd, even)):
            chosen = basis[rows]
            gram = chosen.T @ chosen + ridge * np.eye(chosen.shape[1])
            halves[:, axis] = np.linalg.solve(gram, chosen.T @ wanted[:, axis])
            moved[:, axis] = source[:, axis] + basis @ halves[:, axis]
    moves = halves.reshape(*left.shape[1:], 3)
    mirror = moves[:, ::-1] * np.array([1.0, -1.0, 1.0])
    return Lattice(lower, upper, np.concatenate([mirror, moves], axis=1))


def fold(points: np.ndarray, middle: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) as (x, |y - middle|, z) float64, and the side (N,) of each: 1, or -1 for y < middle."""
    folded = np.asarray(points, np.float64).copy()
    side = np.where(folded[:, 1] >= middle, 1.0, -1.0)
    folded[:, 1] = np.abs(folded[:, 1] - middle)
    return folded, side


def moved(field: Field, points: np.ndarray, middle: float) -> np.ndarray:
    """Points (N, 3) float64 moved by a field on folded points, the same way on both sides of y = ``middle``."""
    folded, side = fold(points, middle)
    out = folded + field(folded)
    out[:, 1] = middle + side * out[:, 1]
    return out


def least_jacobian(field: Field, lower: np.ndarray, upper: np.ndarray) -> float:
    """Smallest determinant of the Jacobian of p + field(p) on a grid over the folded box; at most 0 is a fold-over."""
    axes = [np.linspace(low, high, count) for low, high, count in zip(lower, upper, GUARD_GRID, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    out = (grid.reshape(-1, 3) + field(grid.reshape(-1, 3))).reshape(grid.shape)
    columns = [
        np.diff(out, axis=axis)[tuple(slice(0, -1) if other != axis else slice(None) for other in range(3))]
        / (axes[axis][1] - axes[axis][0])
        for axis in range(3)
    ]
    return float(np.linalg.det(np.stack(columns, axis=-1)).min())


def safe_gain(family: Callable[[float], Field], lower: np.ndarray, upper: np.ndarray) -> float:
    """The largest of GAINS at which ``family(gain)`` folds nothing over the folded box, 0 if none is safe."""
    for gain in GAINS[:-1]:
        if least_jacobian(family(gain), lower, upper) >= LEAST_JACOBIAN:
            return gain
    return GAINS[-1]


def refined(vertices: np.ndarray, faces: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Triangles split until no edge exceeds ``longest``, so that they can bend: vertices (V', 3), faces (F', 3).

    An edge is halved for both its triangles or for none, also across parts that meet in it: no crack opens.
    """
    vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
    while True:
        ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1)
        long = np.linalg.norm(vertices[ends[..., 0]] - vertices[ends[..., 1]], axis=-1) > longest
        if not long.any():
            return vertices.astype(np.float32), faces.astype(np.int32)
        pairs, inverse = np.unique(np.sort(ends[long], axis=-1), axis=0, return_inverse=True)
        middle = np.full(faces.shape, -1)
        middle[long] = len(vertices) + inverse.reshape(-1)
        vertices = np.concatenate([vertices, (vertices[pairs[:, 0]] + vertices[pairs[:, 1]]) / 2])
        faces = np.concatenate([faces[~long.any(axis=1)], *_split(faces, middle, long)])


def _split(faces: np.ndarray, middle: np.ndarray, long: np.ndarray) -> list[np.ndarray]:
    """Triangles with one, two or three halved edges cut into two, three or four; middle: (F, 3) vertex on edge k."""
    pieces = []
    for turn in range(3):
        a, b, c = (np.roll(faces, -turn, axis=1)[:, k] for k in range(3))
        ab, bc, ca = (np.roll(middle, -turn, axis=1)[:, k] for k in range(3))
        cut = np.roll(long, -turn, axis=1)
        one, two = cut[:, 0] & ~cut[:, 1] & ~cut[:, 2], cut[:, 0] & cut[:, 1] & ~cut[:, 2]
        for rows, corners in (
            (one, ((a, ab, c), (ab, b, c))),
            (two, ((ab, b, bc), (a, ab, bc), (a, bc, c))),
            (cut.all(axis=1) & (turn == 0), ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))),
        ):
            pieces += [np.stack([k[rows] for k in triangle], axis=1) for triangle in corners]
    return pieces
