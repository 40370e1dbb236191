"""Cut a skin along the zero lines of functions, and replace what lies inside by a recess."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from training.shapes.loft import Skin

#: Values nearer to zero than this (metres) count as zero: a cut that close to a vertex goes through it.
SNAP = 2e-3


#: Distance-like function of x, y, z (V,) in the unbent frame: positive inside.
Outline = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def split(skin: Skin, values: np.ndarray, where: np.ndarray) -> tuple[Skin, np.ndarray]:
    """Subdivide faces so that none is crossed by the zero line of ``values``.

    values: (V,) float, linear along edges. where: (F,) bool, faces that are to be cut; neighbours are subdivided with
    them, so that no crack opens. Returns the new skin and inside (F',) bool: descendants of ``where`` with values > 0.
    """
    v = np.where(np.abs(values) < SNAP, 0.0, values)
    faces, total = skin.faces, len(skin.position)
    edges = np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1)
    low, high = edges.min(-1), edges.max(-1)
    key = low.astype(np.int64) * total + high
    crossed = (v[low] * v[high] < 0) & where[:, None]
    unique = np.unique(key[crossed])
    a, b = unique // total, unique % total
    t = (v[a] / np.where(v[a] == v[b], 1.0, v[a] - v[b]))[:, None]
    position = np.concatenate([skin.position, skin.position[a] + t * (skin.position[b] - skin.position[a])])
    origin = np.concatenate([skin.origin, skin.origin[a] + t * (skin.origin[b] - skin.origin[a])])
    v = np.concatenate([v, np.zeros(len(unique))])
    place = np.minimum(np.searchsorted(unique, key), max(len(unique) - 1, 0))
    cut = unique[place] == key if len(unique) else np.zeros(key.shape, bool)
    pieces, parent = _subdivide(faces, np.where(cut, total + place, -1))
    # The sum of a piece's values has the sign of the side it is on: its vertices are on one side or on the line.
    inside = where[parent] & (v[pieces].sum(1) > 0)
    return Skin(position, origin, pieces, skin.patch[parent], skin.label[parent]), inside


def _subdivide(faces: np.ndarray, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pieces (F', 3) and their parents (F',). middle: (F, 3), vertex on the edge from corner k to k + 1, or -1."""
    number = np.arange(len(faces))
    count = (middle >= 0).sum(1)
    pieces, parents = [faces[count == 0]], [number[count == 0]]
    for cuts in (1, 2, 3):
        rows = number[count == cuts]
        # Turn each face so that its first edge is cut (one cut) or its last edge is whole (two cuts).
        turn = np.argmax(middle[rows] >= 0, 1) if cuts == 1 else (np.argmin(middle[rows], 1) + 1) % 3
        order = (turn[:, None] + np.arange(3)) % 3
        a, b, c = np.take_along_axis(faces[rows], order, 1).T
        m, n, o = np.take_along_axis(middle[rows], order, 1).T
        parts = {
            1: [(a, m, c), (m, b, c)],
            2: [(m, b, n), (a, m, n), (a, n, c)],
            3: [(a, m, o), (m, b, n), (o, n, c), (m, n, o)],
        }
        for part in parts[cuts]:
            pieces.append(np.stack(part, -1))
            parents.append(rows)
    return np.concatenate(pieces), np.concatenate(parents)


def paint(skin: Skin, outlines: Outline | Sequence[Outline], patches: tuple[int, ...], label: int) -> Skin:
    """Give what lies inside all outlines on the given strips another label, cut cleanly.

    One outline after the other is cut, so that corners where two of them meet stay sharp whatever the triangles' size.
    """
    several = outlines if isinstance(outlines, Sequence) else (outlines,)
    skin, inside = _within(skin, several, np.isin(skin.patch, patches))
    return replace(skin, label=np.where(inside, label, skin.label))


def paint_line(skin: Skin, line: Outline, within: Outline, width: float, patches: tuple[int, ...], label: int) -> Skin:
    """A thin line of the given width (metres) where ``line`` is zero and ``within`` positive."""
    # Two cuts, not one along |line| - width / 2: that is not linear between vertices further apart than the width.
    sides: tuple[Outline, ...] = (
        within, lambda x, y, z: line(x, y, z) + width / 2, lambda x, y, z: width / 2 - line(x, y, z),
    )  # fmt: skip
    return paint(skin, sides, patches, label)


def _within(skin: Skin, outlines: Sequence[Outline], where: np.ndarray) -> tuple[Skin, np.ndarray]:
    """Cut along all outlines, but only faces that have a vertex inside each: elsewhere a cut would be for nothing."""
    for outline in outlines:
        where = where & (_values(skin, outline, where)[skin.faces].max(1) > SNAP)
    for outline in outlines:
        skin, where = split(skin, _values(skin, outline, where), where)
    return skin, where


def _values(skin: Skin, outline: Outline, where: np.ndarray) -> np.ndarray:
    """The outline's values (V,) at the vertices of the faces ``where``, 0 at the others."""
    used = np.zeros(len(skin.origin), bool)
    used[skin.faces[where]] = True
    values = np.zeros(len(skin.origin))
    values[used] = outline(*skin.origin[used].T)
    return values


def open_edges(faces: np.ndarray) -> np.ndarray:
    """Edges (E, 2) that belong to one face only."""
    edges = np.sort(np.stack([faces, np.roll(faces, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    return unique[count == 1]


def recess(
    skin: Skin, gone: np.ndarray, axis: int, level: float, middle: tuple[float, float], label: int, patch: int
) -> Skin:
    """Take the faces ``gone`` (F,) bool away and close the hole by a pocket with a flat bottom.

    axis: direction the walls run along, level: where they end on it. middle: the bottom's centre on the two other
    axes, in their order; the bottom is a fan about it.
    """
    left, hole = skin.faces[~gone], skin.faces[gone]
    # The rim is where kept and removed faces met; a removed edge on the middle plane is no rim.
    mine, rim = open_edges(left), open_edges(hole)
    both = set(map(tuple, mine.tolist())) & set(map(tuple, rim.tolist()))
    rim = np.array(sorted(both), np.int64).reshape(-1, 2)
    # Edges on the mirror plane stay open in the half; they close when the other half is added.
    used, local = np.unique(rim, return_inverse=True)
    local = local.reshape(-1, 2)
    wall = skin.position[used].copy()
    wall[:, axis] = level
    centre = np.insert(np.asarray(middle, float), axis, level)[None]
    total = len(skin.position)
    bottom = total + local
    hub = np.full(len(rim), total + len(used))
    added = np.concatenate(
        [
            np.stack([rim[:, 0], rim[:, 1], bottom[:, 1]], -1),
            np.stack([rim[:, 0], bottom[:, 1], bottom[:, 0]], -1),
            np.stack([hub, bottom[:, 0], bottom[:, 1]], -1),
        ]
    )
    position = np.concatenate([skin.position, wall, centre])
    return Skin(
        position,
        np.concatenate([skin.origin, wall, centre]),
        np.concatenate([left, added]),
        np.concatenate([skin.patch[~gone], np.full(len(added), patch)]),
        np.concatenate([skin.label[~gone], np.full(len(added), label)]),
    )
