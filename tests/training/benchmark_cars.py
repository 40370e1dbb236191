"""Toy cars for the benchmark's tests: two boxes, a body and a cabin."""

from __future__ import annotations

import numpy as np
import trimesh

from training.meshes.model import CarMesh, MeshPart


def box(extents: tuple[float, float, float], centre: tuple[float, float, float], name: str = "paint") -> MeshPart:
    """A closed box."""
    made = trimesh.creation.box(extents)
    vertices = (np.asarray(made.vertices) + centre).astype(np.float32)
    return MeshPart(name, "paint", vertices, np.asarray(made.faces, np.int32))


def toy_car(
    name: str, width: float = 1.8, cabin: float = 2.0, place: float = 0.0, body_class: str = "sedan"
) -> CarMesh:
    """4 m long, ``width`` wide, with a cabin of a length at a place, metres; all inner surfaces are kept."""
    parts = (box((4.0, width, 0.7), (0, 0, 0.35)), box((cabin, width * 0.8, 0.6), (place, 0, 1.0)))
    return CarMesh(name, "toy", "CC0", "nobody", body_class, name, parts, 4.0)
