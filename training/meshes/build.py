"""From triangles as the sources give them to a :class:`CarMesh`: axes, scale, welding, thin extras, ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from edge.errors import DataError
from training.meshes.model import CATEGORIES, CarMesh, MeshPart

#: Anything thinner than this (metres) in two directions that sticks out of the car is dropped: aerials, spikes.
THIN = 0.02
#: Axis changes to x forward, y left, z up; rows give the new axes in the source's.
NOSE_PLUS_Z = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)
NOSE_MINUS_Z = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]], np.float32)
TORCS_AXES = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)


def geometry_nodes(scene: Any) -> list[tuple[str, np.ndarray, str]]:
    """Node name, transform (4, 4) and geometry name of each placed mesh of a ``trimesh.Scene``, in a fixed order.

    trimesh gives the nodes of meshes with several materials random names, so they are ordered by mesh and place.
    """
    placed = [(str(node), *scene.graph[node]) for node in scene.graph.nodes_geometry]
    found = [(node, np.asarray(transform, np.float64), str(geometry)) for node, transform, geometry in placed]
    return sorted(found, key=lambda item: (item[2], item[1].round(6).ravel().tolist()))


def make_part(
    name: str, category: str, vertices: np.ndarray, faces: np.ndarray, colour: Sequence[float] | np.ndarray
) -> MeshPart | None:
    """A welded part without degenerate triangles, or None when nothing is left.

    vertices: (V, 3), metres. faces: (F, 3). colour: linear RGB, clipped to 0..1.
    """
    if category not in CATEGORIES:
        raise ValueError(f"unknown category {category!r}")
    vertices, faces = weld(np.asarray(vertices, np.float32), np.asarray(faces, np.int64))
    if not len(faces):
        return None
    red, green, blue = (float(c) for c in np.clip(colour, 0.0, 1.0))
    return MeshPart(name, category, vertices, faces, (red, green, blue))  # type: ignore[arg-type]


def weld(vertices: np.ndarray, faces: np.ndarray, grid: float = 1e-5) -> tuple[np.ndarray, np.ndarray]:
    """Join vertices closer than about ``grid``; drop degenerate and repeated triangles and unused vertices."""
    if not len(faces):
        return np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32)
    used, inverse = np.unique(faces, return_inverse=True)
    vertices, faces = vertices[used], inverse.reshape(-1, 3)
    keys = np.round(vertices.astype(np.float64) / grid).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    vertices, faces = vertices[first], inverse.reshape(-1)[faces]
    good = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[good]
    area = np.linalg.norm(
        np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]]), axis=1
    )
    faces = faces[area > 1e-10]
    # A sheet drawn twice, once for each side, would count twice in area-uniform clouds.
    faces = faces[np.sort(np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1])]
    used, inverse = np.unique(faces, return_inverse=True)
    return vertices[used].astype(np.float32), inverse.reshape(-1, 3).astype(np.int32)


def components(part: MeshPart) -> np.ndarray:
    """Label (V,) of the connected piece each vertex belongs to."""
    rows = part.faces[:, [0, 1, 2]].ravel()
    columns = part.faces[:, [1, 2, 0]].ravel()
    count = len(part.vertices)
    graph = coo_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def without_thin_extras(parts: Sequence[MeshPart], thin: float = THIN) -> tuple[MeshPart, ...]:
    """Parts without rods that stick out: pieces thinner than ``thin`` in two directions, outside the rest's box."""
    labels = [components(p) for p in parts]
    rods = [
        {k for k in range(int(label.max()) + 1) if _is_rod(part.vertices[label == k], thin)}
        for part, label in zip(parts, labels)
    ]
    solid = [p.vertices[~np.isin(lab, list(r))] for p, lab, r in zip(parts, labels, rods)]
    rest = np.concatenate(solid)
    if not len(rest):
        return tuple(parts)
    lower, upper = rest.min(0) - thin / 2, rest.max(0) + thin / 2
    kept = []
    for part, label, rod in zip(parts, labels, rods):
        out = {k for k in rod if _sticks_out(part.vertices[label == k], lower, upper)}
        faces = part.faces[~np.isin(label[part.faces[:, 0]], list(out))]
        remade = make_part(part.name, part.category, part.vertices, faces, part.colour)
        if remade is not None:
            kept.append(remade)
    return tuple(kept)


def _is_rod(points: np.ndarray, thin: float) -> bool:
    """Whether the points' second longest principal extent is below ``thin`` and the longest above 5 cm."""
    centred = points - points.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2] if len(points) > 2 else np.eye(3)
    extents = np.sort(np.ptp(centred @ axes.T, axis=0))[::-1]
    return bool(extents[0] > 0.05 and extents[1] < thin)


def _sticks_out(points: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> bool:
    return bool((points.min(0) < lower).any() or (points.max(0) > upper).any())


def make_car(parts: Sequence[MeshPart | None], **about: Any) -> CarMesh:
    """A car on the ground plane z = 0, centred in x and y; ``about`` holds the other fields of :class:`CarMesh`.

    Parts of the same name, category and colour are joined. DataError if no triangle is left.
    """
    kept = without_thin_extras(joined(parts, str(about.get("name"))))
    return on_the_ground(CarMesh(parts=kept, length_m=0.0, **about))


def joined(parts: Sequence[MeshPart | None], name: str) -> tuple[MeshPart, ...]:
    """One part for each name, category and colour, in the order they first come. DataError if there is none.

    name: of the car, for the message.
    """
    groups: dict[tuple, list[MeshPart]] = {}
    for part in parts:
        if part is not None:
            groups.setdefault((part.name, part.category, part.colour), []).append(part)
    if not groups:
        raise DataError(f"mesh {name} holds no triangles; delete the mesh cache and fetch it again")
    return tuple(_join(group) for group in groups.values())


def on_the_ground(car: CarMesh) -> CarMesh:
    """The car with its lowest point on z = 0 and its bounding box centred in x and y; ``length_m`` is measured."""
    lower, upper = car.bounds()
    origin = np.array([(lower[0] + upper[0]) / 2, (lower[1] + upper[1]) / 2, lower[2]])
    return replace(car.transformed(lambda vertices: vertices - origin), length_m=float(upper[0] - lower[0]))


def _join(parts: list[MeshPart]) -> MeshPart:
    offsets = np.cumsum([0] + [len(p.vertices) for p in parts[:-1]])
    faces = np.concatenate([p.faces + o for p, o in zip(parts, offsets)]).astype(np.int32)
    return replace(parts[0], vertices=np.concatenate([p.vertices for p in parts]), faces=faces)
