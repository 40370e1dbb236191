"""From a CarMesh to vertex buffers: crease normals, welding, convex hull."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import ConvexHull

from edge.errors import DataError
from training.meshes.model import CATEGORIES, CarMesh


@dataclass(frozen=True)
class Soup:
    """One indexed triangle list of a whole car in the canonical frame.

    position, normal: (V, 3) float32. category: (V,) float32 index into CATEGORIES.
    faces: (F, 3) int32. hull: (H, 3) float32 vertices of the convex hull, enough for any projected box.
    """

    position: np.ndarray
    normal: np.ndarray
    category: np.ndarray
    faces: np.ndarray
    hull: np.ndarray


def crease_normals(position: np.ndarray, faces: np.ndarray, crease_deg: float = 40.0) -> np.ndarray:
    """Normals per face corner: the area-weighted mean over the faces around it that bend less than the crease.

    position: (V, 3), welded. faces: (F, 3). Returns (F, 3, 3) float32 unit normals. Face orientation is not
    trusted: a neighbour turned the other way counts with its sign changed.
    """
    corner = position[faces]
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]).astype(np.float64)
    unit = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-20)
    order = np.argsort(faces.ravel(), kind="stable")
    key = faces.ravel()[order]
    start = np.flatnonzero(np.r_[True, key[1:] != key[:-1]])
    size = np.diff(np.r_[start, key.size])
    group_size, group_start = np.repeat(size, size), np.repeat(start, size)
    # Every corner is paired with every corner around the same vertex, itself included.
    first = np.repeat(np.arange(key.size), group_size)
    offset = np.arange(first.size) - np.repeat(np.cumsum(group_size) - group_size, group_size)
    second = group_start[first] + offset
    face_a, face_b = order[first] // 3, order[second] // 3
    bend = np.einsum("ij,ij->i", unit[face_a], unit[face_b])
    weight = np.where(np.abs(bend) > np.cos(np.radians(crease_deg)), np.sign(bend), 0.0)
    total = np.empty((key.size, 3))
    for axis in range(3):
        total[:, axis] = np.bincount(first, weight * cross[face_b, axis], key.size)
    normal = np.empty_like(total)
    normal[order] = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)
    return normal.reshape(-1, 3, 3).astype(np.float32)


def weld(position: np.ndarray, faces: np.ndarray, grid: float = 2e-5) -> tuple[np.ndarray, np.ndarray]:
    """Merge vertices that fall into one grid cell. Returns positions (W, 3) and the faces (F, 3) on them."""
    cell = np.round(position / grid).astype(np.int64) + (1 << 19)
    _, index, inverse = np.unique(
        (cell[:, 0] << 42) | (cell[:, 1] << 21) | cell[:, 2], return_index=True, return_inverse=True
    )
    return position[index], inverse.ravel()[faces]


def build_soup(mesh: CarMesh) -> Soup:
    """Canonical, welded, smoothed and indexed. Raises DataError if the mesh has no triangle with an area."""
    mesh = mesh.canonical()
    position, faces = mesh.merged()
    kinds = np.concatenate([np.full(len(p.faces), CATEGORIES.index(p.category), np.int64) for p in mesh.parts])
    position, faces = weld(position, faces)
    corner = position[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    solid = area > 1e-12
    if not solid.any():
        raise DataError(f"car {mesh.name} has no triangle with an area; import it again: python -m training meshes")
    faces, kinds = faces[solid], kinds[solid]
    normal = crease_normals(position, faces)
    quantised = np.round(normal.reshape(-1, 3) * 127).astype(np.int64) + 128
    key = (faces.ravel().astype(np.int64) << 28) | (np.repeat(kinds, 3) << 24)
    key |= (quantised[:, 0] << 16) | (quantised[:, 1] << 8) | quantised[:, 2]
    _, index, inverse = np.unique(key, return_index=True, return_inverse=True)
    return Soup(
        position[faces.ravel()[index]].astype(np.float32),
        normal.reshape(-1, 3)[index],
        np.repeat(kinds, 3)[index].astype(np.float32),
        inverse.reshape(-1, 3).astype(np.int32),
        position[faces.ravel()][_hull(position[faces.ravel()])].astype(np.float32),
    )


def _hull(points: np.ndarray) -> np.ndarray:
    # "QJ" joggles: flat or nearly flat inputs are no error.
    return np.asarray(ConvexHull(points.astype(np.float64), qhull_options="QJ").vertices)
