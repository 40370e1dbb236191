"""Rear wings on stilts: which cars carry one, and the same car without it.

Race wings change a silhouette much and stand on few road cars, so they are a choice: importers name a wing's parts
``wing...``.
"""

from __future__ import annotations

from dataclasses import replace

from training.meshes.build import on_the_ground
from training.meshes.model import CarMesh, MeshPart

PREFIX = "wing"


def is_wing(part: MeshPart) -> bool:
    """Whether a part belongs to a removable wing."""
    return part.name.startswith(PREFIX)


def has_wings(mesh: CarMesh) -> bool:
    """Whether the car has a removable wing."""
    return any(is_wing(part) for part in mesh.parts)


def without_wings(mesh: CarMesh) -> CarMesh:
    """The car without its wing: car frame, wheels on z = 0, centred again; the same object if it has none."""
    if not has_wings(mesh):
        return mesh
    return on_the_ground(replace(mesh, parts=tuple(part for part in mesh.parts if not is_wing(part))))
