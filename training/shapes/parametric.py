"""Seeded parametric car bodies: every class of everyday car, from 1980s boxes to today's shapes."""

from __future__ import annotations

import numpy as np

from training.meshes.model import CATEGORIES, CarMesh, MeshPart
from training.shapes.equipment import draw_equipment
from training.shapes.fittings import COLOURS, fittings, wheel_width
from training.shapes.loft import Skin, loft
from training.shapes.profiles import Profiles
from training.shapes.proportions import CLASSES, draw_proportions
from training.shapes.regions import outlined, with_arches, with_bed

__all__ = ["CLASSES", "parametric_car"]


def parametric_car(body_class: str, seed: int) -> CarMesh:
    """A car of a class of :data:`CLASSES`, the same for the same seed.

    Car frame (x forward, y left, z up, wheels on z = 0, centred in x and y), metres, exactly symmetric, closed as seen
    from outside. Raises SettingsError for an unknown class.
    """
    known = CLASSES.index(body_class) if body_class in CLASSES else 0
    rng = np.random.default_rng([known, seed])
    proportions = draw_proportions(body_class, rng)
    equipment = draw_equipment(body_class, proportions, rng)
    profiles = Profiles(proportions)
    skin = outlined(loft(profiles), profiles, equipment)
    if equipment.bed:
        skin = with_bed(skin, profiles, equipment)
    skin = with_arches(skin, profiles, wheel_width(profiles)[1] - 0.09)
    half = skin_parts(skin, equipment.paint) + fittings(profiles, equipment, equipment.paint)
    parts = [mirrored(part) for part in half]
    x = np.concatenate([part.vertices[:, 0] for part in parts])
    middle = np.array([(float(x.min()) + float(x.max())) / 2, 0.0, 0.0])
    name = f"param-{body_class}-{seed:04d}"
    car = CarMesh(
        name=name, source="parametric", licence="Apache-2.0", attribution="carcloud", body_class=body_class,
        ancestry=name, parts=tuple(parts), length_m=float(x.max()) - float(x.min()),
    )  # fmt: skip
    return car.transformed(lambda vertices: vertices - middle)


def skin_parts(skin: Skin, paint: tuple[float, float, float]) -> list[MeshPart]:
    """One part a label of the skin's left half."""
    parts = []
    for index in np.unique(skin.label):
        category = CATEGORIES[index]
        used, inverse = np.unique(skin.faces[skin.label == index], return_inverse=True)
        vertices, faces = skin.position[used].astype(np.float32), inverse.reshape(-1, 3).astype(np.int32)
        parts.append(MeshPart(f"body_{category}", category, vertices, faces, COLOURS.get(category, paint)))  # type: ignore[arg-type]
    return parts


def mirrored(part: MeshPart) -> MeshPart:
    """A left half and its mirror image; vertices on the middle plane are shared."""
    count = len(part.vertices)
    away = part.vertices[:, 1] != 0
    place = np.where(away, count + np.cumsum(away) - 1, np.arange(count)).astype(np.int32)
    other = part.vertices[away] * np.array([1, -1, 1], np.float32)
    faces = np.concatenate([part.faces, place[part.faces][:, ::-1]])
    return MeshPart(part.name, part.category, np.concatenate([part.vertices, other]), faces, part.colour)
