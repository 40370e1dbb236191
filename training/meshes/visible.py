"""Ground-truth clouds: points spread evenly over the surface, all of it or what can be seen from outside.

Free car meshes hide 20-50 % of their surface inside. Visible is a point that sees infinity along at least one of
the directions, with every triangle (glass too) opaque and both sides of a triangle alike.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from edge.errors import DataError
from training.meshes.depth import scene_of
from training.meshes.model import CATEGORIES, CarMesh
from training.meshes.texture import face_areas

#: Fewest directions the benchmark allows.
FEWEST_DIRECTIONS = 64
#: How far above the surface a ray starts, canonical units (0.1 mm on a 5 m car): less than skins are apart.
LIFT = 2e-5
#: Directions closer to the surface's plane than this (sine) are not tried: a ray would scrape its own triangle.
GRAZING = 0.03


class Surface(NamedTuple):
    """Points on a car's surface. points: (N, 3) float32. normals: (N, 3) float32, unit, towards where the point can be
    seen from. parts: (N,) uint8, index into ``training.meshes.model.CATEGORIES``."""

    points: np.ndarray
    normals: np.ndarray
    parts: np.ndarray


def sphere_directions(count: int) -> np.ndarray:
    """``count`` unit vectors (count, 3) float32 spread evenly over the sphere (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    z = 1 - 2 * index / count
    azimuth = np.pi * (1 + 5**0.5) * index
    radius = np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), z], axis=1).astype(np.float32)


def sample_surface(
    vertices: np.ndarray, faces: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Area-uniform points (count, 3) float32 on triangles, the unit normal (count, 3) and the index (count,) of each
    point's triangle.

    Stratified along the cumulated area, so that every part gets its share to within one point.
    """
    corners = vertices[faces].astype(np.float64)
    areas = face_areas(corners)
    cumulated = np.cumsum(areas)
    if not len(areas) or cumulated[-1] <= 0:
        raise DataError("the mesh has no surface; delete the mesh cache and run: python -m training meshes fetch")
    ticks = (np.arange(count) + rng.random(count)) * (cumulated[-1] / count)
    chosen = np.minimum(np.searchsorted(cumulated, ticks, side="right"), len(areas) - 1)
    # Uniform in a triangle: Osada et al. 2002, section 3.1.
    root, along = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    a, b, c = (corners[chosen, k] for k in range(3))
    points = (1 - root) * a + root * (1 - along) * b + root * along * c
    normals = np.cross(b - a, c - a)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    return points.astype(np.float32), normals.astype(np.float32), chosen


def surface_cloud(mesh: CarMesh, count: int = 100_000, seed: int = 0) -> np.ndarray:
    """Area-uniform points (count, 3) float32 on all surfaces, hidden ones too; same frame as ``mesh``."""
    vertices, faces = mesh.merged()
    rng = np.random.default_rng(seed)
    points = sample_surface(vertices, faces, count, rng)[0]
    return points[rng.permutation(count)]


def seen_from_outside(scene: Any, points: np.ndarray, normals: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """On which side each point (N, 3) on a surface with unit normals (N, 3) sees infinity along any direction.

    (N,) int8: 1 on the normal's side, -1 on the other one, 0 not at all.
    """
    import open3d

    seen = np.zeros(len(points), np.int8)
    for direction in directions:
        cosine = normals @ direction
        rows = np.flatnonzero((seen == 0) & (np.abs(cosine) > GRAZING))
        if not len(rows):
            continue
        side = np.sign(cosine[rows])
        lifted = points[rows] + normals[rows] * (LIFT * side)[:, None]
        rays = np.concatenate([lifted, np.broadcast_to(direction, lifted.shape)], axis=1).astype(np.float32)
        seen[rows] = np.where(scene.test_occlusions(open3d.core.Tensor(rays)).numpy(), 0, side)
    return seen


def outside_cloud(mesh: CarMesh, count: int = 100_000, directions: int = 96, seed: int = 0) -> np.ndarray:
    """The points of :func:`outside_surface`, (count, 3) float32."""
    return outside_surface(mesh, count, directions, seed).points


def outside_surface(mesh: CarMesh, count: int = 100_000, directions: int = 96, seed: int = 0) -> Surface:
    """Area-uniform points, ``count``, on the surface visible from outside; in random order.

    mesh: in the canonical frame. directions: at least 64, spread over the whole sphere. Same seed, same cloud.
    DataError if less than 1 % of the surface is visible.
    """
    if directions < FEWEST_DIRECTIONS:
        raise ValueError(f"{directions} directions are too few, the benchmark asks for {FEWEST_DIRECTIONS} or more")
    rng = np.random.default_rng(seed)
    vertices, faces = mesh.merged()
    of_face = np.repeat([CATEGORIES.index(part.category) for part in mesh.parts], [len(p.faces) for p in mesh.parts])
    scene, ways = scene_of(mesh), sphere_directions(directions)[rng.permutation(directions)]
    kept: list[Surface] = []
    have = 0
    while have < count:
        points, normals, triangles = sample_surface(vertices, faces, max(count, 1000), rng)
        side = seen_from_outside(scene, points, normals, ways)
        rows = np.flatnonzero(side)
        if len(rows) < 0.01 * count:
            raise DataError(
                f"less than 1 % of {mesh.name}'s surface is visible from outside: the mesh is enclosed by another;"
                " leave it out or mend it"
            )
        outward = normals[rows] * side[rows, None].astype(np.float32)
        kept.append(Surface(points[rows], outward, of_face[triangles[rows]].astype(np.uint8)))
        have += len(rows)
    order = rng.permutation(have)[:count]
    return Surface(*(np.concatenate(column)[order] for column in zip(*kept, strict=True)))
