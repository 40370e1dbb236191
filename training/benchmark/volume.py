"""Average shapes: truncated signed distance on a common cuboid, and fixed-view maps.

Both answer "what is the best guess without looking at the picture". The volume averages where surfaces are; the maps
average what a network of Lin's kind is trained to put out, so the median map is the very output of a network that
learnt to ignore its input.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from edge.geometry import Cloud, Views, fuse, pixel_grid
from training.meshes.depth import scene_of
from training.meshes.model import CarMesh
from training.meshes.visible import sphere_directions

#: Voxels along x, y and z of the common cuboid, margins included (reference: shape space, 128 along the length).
GRID = (132, 60, 48)
#: Empty voxels between the cuboid and the edge of the grid, on each side.
PAD = 2
#: Signed distances are cut off here, in canonical units: beyond it, neighbouring sheets would blur each other.
TRUNCATION = 0.05
#: Directions that decide whether a voxel can be seen from outside.
DIRECTIONS = 64


class Volume(NamedTuple):
    """One body on the common cuboid.

    field: GRID float32, positive outside, |field| <= TRUNCATION, canonical units. extents: (3,) of the box it had.
    """

    field: np.ndarray
    extents: np.ndarray


def voxel_centres(extents: np.ndarray) -> np.ndarray:
    """Centres (GRID + (3,)) float32 of the voxels when the cuboid has these ``extents``."""
    axes = [
        ((np.arange(n, dtype=np.float32) + 0.5 - n / 2) / (n - 2 * PAD)) * float(e)
        for n, e in zip(GRID, extents, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float32)


def outside(mesh: CarMesh, points: np.ndarray, directions: int = DIRECTIONS) -> np.ndarray:
    """Whether each point (N, 3) sees the open in at least one direction: (N,) bool."""
    from open3d.core import Tensor

    scene, seen = scene_of(mesh), np.zeros(len(points), dtype=bool)
    for direction in sphere_directions(directions):
        left = np.flatnonzero(~seen)
        rays = np.concatenate([points[left], np.broadcast_to(direction, (len(left), 3))], axis=1).astype(np.float32)
        free = ~scene.test_occlusions(Tensor(rays)).numpy()
        seen[left[free]] = True
    return seen


def volume_of(mesh: CarMesh, surface: np.ndarray) -> Volume:
    """Truncated signed distance of a canonical mesh, whose outside-visible cloud (N, 3) is ``surface``.

    Open meshes are no trouble: a voxel is outside if it sees the open. The left half is computed and mirrored.
    """
    lower, upper = mesh.bounds()
    extents = (upper - lower).astype(np.float32)
    left = voxel_centres(extents)[:, GRID[1] // 2 :]
    centres = left.reshape(-1, 3)
    distance = cKDTree(surface).query(centres, distance_upper_bound=TRUNCATION, workers=1)[0]
    field = np.minimum(distance, TRUNCATION).astype(np.float32)
    field[~outside(mesh, centres)] *= -1
    half = field.reshape(left.shape[:3])
    return Volume(np.concatenate([half[:, ::-1], half], axis=1), extents)


def crossings(field: np.ndarray, extents: np.ndarray) -> np.ndarray:
    """Points (N, 3) float32 where ``field`` changes sign between neighbouring voxels, linearly interpolated.

    They are the vertices marching cubes would give; their density is even enough for scoring.
    """
    centres = voxel_centres(extents)
    found = []
    for axis in range(3):
        a, b = [np.take(field, range(s, field.shape[axis] - 1 + s), axis) for s in (0, 1)]
        where = np.nonzero((a > 0) != (b > 0))
        start, value = centres[where], (a[where] / (a[where] - b[where]))
        point = start.copy()
        point[:, axis] += value * float(extents[axis]) / (GRID[axis] - 2 * PAD)
        found.append(point)
    return np.concatenate(found).astype(np.float32)


def mean_volume(volumes: list[Volume]) -> Volume:
    """Average field on the average box."""
    return Volume(np.mean([v.field for v in volumes], axis=0), np.mean([v.extents for v in volumes], axis=0))


def median_maps(depths: list[np.ndarray], views: Views, max_points: int = 0) -> Cloud:
    """Cloud of the per-pixel median of the bodies' depth maps, kept where most bodies have a surface.

    depths: per body (V, S, S), 0 where there is no car (training.meshes.depth). The median minimises the L1 depth loss
    of Lin 2018 for a constant output, and the share of bodies the mask loss.
    """
    stack = np.where(np.stack(depths) == 0, np.nan, np.stack(depths))
    count, size = stack.shape[1], stack.shape[2]
    share = np.isfinite(stack).mean(axis=0)
    stack[:, share == 0] = 0.0
    depth = np.nanmedian(stack, axis=0)
    grid = np.broadcast_to(pixel_grid(size, views.width), (count, 2, size, size))
    maps = np.concatenate([grid, depth[:, None], (share - 0.5)[:, None]], axis=1).astype(np.float32)
    return fuse(maps, views, 0.0, max_points)
