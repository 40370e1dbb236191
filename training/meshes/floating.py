"""Pieces that float: clusters of a car's outer surface well away from the rest of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import generate_binary_structure, label
from scipy.spatial import cKDTree

from training.meshes.depth import scene_of
from training.meshes.model import CATEGORIES, CarMesh
from training.meshes.texture import face_areas
from training.meshes.visible import sample_surface, seen_from_outside, sphere_directions

#: Side of the cubes in which surface counts as joined, metres.
CUBE = 0.03
#: Points drawn per square metre: eight a cube's face.
DENSITY = 8 / CUBE**2
#: Most cubes along an edge: 7.5 m of them.
MOST_CUBES = 250
#: Most points drawn; detailed cars have 60 square metres of surface, inner one included.
MOST_POINTS = 600_000
#: How far a wheel may be from the body, for there are bodies without axles; anything else may not be at all. Metres.
WHEEL_GAP = 0.25


class Piece(NamedTuple):
    """A cluster apart from the car. category: of most of its points. centre: car frame, metres. size: longest edge of
    its box, metres. gap: distance to the rest, metres."""

    category: str
    centre: tuple[float, float, float]
    size: float
    gap: float


def floating_pieces(mesh: CarMesh, gap: float = 0.05, smallest: float = 0.04) -> list[Piece]:
    """Pieces of at least ``smallest`` metres, more than ``gap`` metres from the rest, that one sees from outside.

    mesh: car frame, metres. Seats and steering wheels do not count, and wheels only beyond :data:`WHEEL_GAP`.
    """
    vertices, faces = mesh.merged()
    area = float(face_areas(vertices[faces]).sum())
    count = int(min(MOST_POINTS, max(20_000, area * DENSITY)))
    points, normals, category = _labelled_points(mesh, count)
    # A mesh of wrong scale must not ask for a grid of gigabytes.
    cube = max(CUBE, float(np.ptp(points, axis=0).max()) / MOST_CUBES)
    cells = np.floor((points - points.min(0)) / cube).astype(np.int64)
    grid = np.zeros(cells.max(0) + 1, bool)
    grid[tuple(cells.T)] = True
    cluster = label(grid, generate_binary_structure(3, 3))[0][tuple(cells.T)]
    sizes = np.bincount(cluster)
    main = int(sizes.argmax())
    if (cluster == main).all():
        return []
    tree = cKDTree(points[cluster == main])
    scene = scene_of(mesh)
    found = []
    for number in np.flatnonzero(sizes):
        own = cluster == number
        kind = CATEGORIES[int(np.bincount(category[own]).argmax())]
        size = float(np.ptp(points[own], axis=0).max())
        if number == main or size < smallest or kind == "interior":
            continue
        away = float(tree.query(points[own])[0].min())
        allowed = WHEEL_GAP if kind in ("tyre", "rim") else gap
        few = np.flatnonzero(own)[:: max(1, int(own.sum()) // 50)]
        if away > allowed and seen_from_outside(scene, points[few], normals[few], sphere_directions(64)).any():
            x, y, z = (float(v) for v in points[own].mean(0))
            found.append(Piece(kind, (x, y, z), size, away))
    return found


def _labelled_points(mesh: CarMesh, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points and normals (N, 3) all over the surface, part by part, and their categories' indices (N,)."""
    areas = np.array([float(face_areas(p.vertices[p.faces]).sum()) for p in mesh.parts])
    shares = np.ceil(count * areas / areas.sum()).astype(int)
    rng = np.random.default_rng(0)
    points, normals, category = [], [], []
    for part, number, size in zip(mesh.parts, shares, areas, strict=True):
        if size <= 0:
            continue
        spots, ways, _ = sample_surface(part.vertices, part.faces, int(number), rng)
        points.append(spots)
        normals.append(ways)
        category.append(np.full(int(number), CATEGORIES.index(part.category)))
    return np.concatenate(points), np.concatenate(normals), np.concatenate(category)
