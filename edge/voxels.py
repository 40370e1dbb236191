"""Occupancy on a grid of cells to points on its surface: the edge vertices of marching cubes, without the triangles.

Lorensen, Cline, "Marching Cubes", SIGGRAPH 1987: where two neighbouring values are on either side of the threshold,
the surface crosses the line between them, at a place found by linear interpolation.
"""

from typing import Sequence, Tuple

import numpy as np

from edge.geometry import Cloud, even_stride


def surface_points(
    occupancy: np.ndarray,
    lower: Sequence[float],
    upper: Sequence[float],
    max_points: int = 0,
    threshold: float = 0.0,
) -> Cloud:
    """Logits of cells to a cloud without confidence, on the surface where they pass ``threshold``.

    occupancy: (X, Y, Z), at least 2 cells each, above the threshold = inside. lower, upper: corners (3,) of the box
    that the cells fill evenly, canonical frame. max_points: if positive, at most so many points, at an even stride.

    The grid is first doubled, linearly between cell centres (trilinear), which makes four times as many points of the
    same surface: a car in 64 x 48 x 32 cells gives about 20,000. A surface needs an empty cell beyond it: where the
    inside reaches the box's side there is no point. A cloud without any point is valid: the network saw no car.
    Raises ValueError for an occupancy that is no grid.
    """
    values = np.asarray(occupancy, np.float32)
    if values.ndim != 3 or min(values.shape) < 2:
        raise ValueError("occupancy has shape %s, wanted (X, Y, Z) of at least 2 cells each" % (values.shape,))
    start = np.asarray(lower, np.float64)
    cell = (np.asarray(upper, np.float64) - start) / values.shape
    values, first = _cut(values, threshold)
    if not values.size:
        return Cloud(np.zeros((0, 3), np.float32))
    for axis in range(3):
        values = _doubled(values, axis)
    # The first doubled centre lies a quarter of a cell after the side of the part cut out.
    points = np.concatenate([_crossings(values, axis, threshold) for axis in range(3)])
    points = points[even_stride(len(points), max_points)]
    start = start + (np.array(first) + 0.25) * cell
    return Cloud((points * (cell / 2) + start).astype(np.float32))


def _cut(values: np.ndarray, threshold: float) -> Tuple[np.ndarray, Tuple[int, int, int]]:
    """The part (a view) around what is inside, two cells wider, and its first cell; an empty part if nothing is inside.

    The car fills a third of its box, and the rest would only cost time.
    """
    inside = values > threshold
    parts, first = [], []
    for axis in range(3):
        others = tuple(n for n in range(3) if n != axis)
        used = np.flatnonzero(inside.any(axis=others))
        if not used.size:
            return values[:0], (0, 0, 0)
        begin = max(int(used[0]) - 2, 0)
        parts.append(slice(begin, int(used[-1]) + 3))
        first.append(begin)
    return values[tuple(parts)], (first[0], first[1], first[2])


def _doubled(values: np.ndarray, axis: int) -> np.ndarray:
    """Twice as many values along an axis: a quarter of a cell before and after each centre, constant at the ends."""
    values = np.moveaxis(values, axis, 0)
    before = np.concatenate([values[:1], values[:-1]])
    after = np.concatenate([values[1:], values[-1:]])
    result = np.empty((2 * len(values),) + values.shape[1:], np.float32)
    result[0::2] = np.float32(0.75) * values + np.float32(0.25) * before
    result[1::2] = np.float32(0.75) * values + np.float32(0.25) * after
    return np.moveaxis(result, 0, axis)


def _crossings(values: np.ndarray, axis: int, threshold: float) -> np.ndarray:
    """Places (N, 3) float32, in cells from the first centre, where the values pass the threshold along an axis."""
    values = np.moveaxis(values, axis, 0)
    inside = values > threshold
    where = np.nonzero(inside[1:] != inside[:-1])
    one, other = values[:-1][where], values[1:][where]
    places = np.stack(where, 1).astype(np.float32)
    places[:, 0] += (np.float32(threshold) - one) / (other - one)
    # The moved axis is first: back to its place.
    order = {0: [0, 1, 2], 1: [1, 0, 2], 2: [1, 2, 0]}[axis]
    return places[:, order]
