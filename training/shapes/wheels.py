"""Road wheels of a car: where they are, which vertices are theirs, and how they move without being bent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from training.meshes.build import components
from training.meshes.model import CarMesh, MeshPart
from training.meshes.wheels import Wheel, wheel_parts
from training.shapes.lattice import Field

#: A tyre whose lowest point is higher than this above the ground, metres, is a spare wheel.
GROUND = 0.15
#: What lies within this many tyre radii of the axle, and this far (metres) beside the tyre, belongs to the wheel.
REACH, BESIDE = 1.04, 0.08
#: Wheel arches move with the wheel up to the first number of radii; the body moves freely from the second on.
ARCH, FREE = 1.15, 2.1
#: A wheel wider than this, metres, is steered or lacks a partner; another wheel in its place is no wider.
WIDEST_WHEEL = 0.36
#: Tyre radii of road cars, metres.
RADII = (0.24, 0.48)


class RoadWheel(NamedTuple):
    """centre: (3,), car frame. radius, width: of the tyre, metres. members: per part of the mesh, (V,) bool."""

    centre: np.ndarray
    radius: float
    width: float
    members: tuple[np.ndarray, ...]


class WheelStyle(NamedTuple):
    """A wheel to put on: its parts, centre at the origin, outer side towards +y; radius and width of its tyre; and how
    much wider (a factor) it is to be than the wheel it replaces."""

    parts: tuple[MeshPart, ...]
    radius: float
    width: float
    wider: float


def find_wheels(mesh: CarMesh) -> list[RoadWheel]:
    """The four road wheels (front left, front right, rear left, rear right), or none if they are not told apart.

    mesh: car frame, metres. Tyres are found by category; rims, discs and hub caps are whatever hangs together inside
    the tyre's cylinder.
    """
    lower, upper = mesh.bounds()
    pieces = [components(p) for p in mesh.parts]
    tyres = _standing_tyres(mesh, pieces, float(lower[2]))
    if not len(tyres):
        return []
    middle = (tyres[:, 0].min() + tyres[:, 0].max()) / 2, (lower[1] + upper[1]) / 2
    found = []
    for front in (True, False):
        for left in (True, False):
            here = tyres[((tyres[:, 0] > middle[0]) == front) & ((tyres[:, 1] > middle[1]) == left)]
            if len(here) < 8:
                return []
            low, high = here.min(0), here.max(0)
            size = high - low
            if not 0.85 < size[0] / max(size[2], 1e-6) < 1.18:
                return []
            centre, radius, width = (low + high) / 2, float(size[2]) / 2, float(size[1])
            found.append(RoadWheel(centre, radius, width, _members(mesh, pieces, centre, radius, width)))
    return found


def _standing_tyres(mesh: CarMesh, pieces: Sequence[np.ndarray], ground: float) -> np.ndarray:
    """Vertices (N, 3) of the tyres that reach down to the road: of the pieces that do and all that overlap them."""
    kept = [np.zeros((0, 3))]
    for part, label in zip(mesh.parts, pieces, strict=True):
        if part.category == "tyre":
            lowest = np.full(int(label.max()) + 1, np.inf)
            np.minimum.at(lowest, label, part.vertices[:, 2])
            kept.append(part.vertices[(lowest < ground + GROUND)[label]])
    return np.concatenate(kept).astype(np.float64)


def _members(
    mesh: CarMesh, pieces: Sequence[np.ndarray], centre: np.ndarray, radius: float, width: float
) -> tuple[np.ndarray, ...]:
    members = []
    for part, label in zip(mesh.parts, pieces, strict=True):
        offset = part.vertices - centre
        far = np.hypot(offset[:, 0], offset[:, 2]) > REACH * radius
        far |= np.abs(offset[:, 1]) > width / 2 + BESIDE
        outside = np.bincount(label, weights=far)
        members.append((outside == 0)[label])
    return tuple(members)


def middle_plane(wheels: Sequence[RoadWheel]) -> float:
    """y of the plane of symmetry: midway between left and right wheels; 0 without wheels."""
    return float(np.mean([w.centre[1] for w in wheels])) if wheels else 0.0


def body_rows(mesh: CarMesh, wheels: Sequence[RoadWheel]) -> list[np.ndarray]:
    """Per part (V,) bool: the vertices that belong to no wheel."""
    return [
        ~np.any([w.members[index] for w in wheels], axis=0) if wheels else np.ones(len(part.vertices), bool)
        for index, part in enumerate(mesh.parts)
    ]


def axles(wheels: Sequence[RoadWheel]) -> list[tuple[float, float, float]]:
    """x, z and radius of the front and the rear axle: the mean of its two wheels."""
    pairs = [wheels[i : i + 2] for i in range(0, len(wheels), 2)]
    return [
        (
            float(np.mean([w.centre[0] for w in p])),
            float(np.mean([w.centre[2] for w in p])),
            float(np.mean([w.radius for w in p])),
        )
        for p in pairs
    ]


def smooth(t: np.ndarray) -> np.ndarray:
    """0 below 0, 1 above 1, with no slope at either end (3 t^2 - 2 t^3)."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def with_arches(field: Field, wheels: Sequence[RoadWheel], scale: float) -> Field:
    """``field``, with the body around each wheel moved along with it: shifted by the wheel's shift, scaled as it is.

    scale: of the wheels about their own centres. Only x and z are held; the flanks keep the field's y.
    """
    spots = axles(wheels)
    shifts = [_shift(field, x, z, radius, wheels, scale) for x, z, radius in spots]

    def held(points: np.ndarray) -> np.ndarray:
        out = field(points)
        for (x, z, radius), (dx, dz) in zip(spots, shifts, strict=True):
            offset = points[:, [0, 2]] - (x, z)
            distance = np.hypot(offset[:, 0], offset[:, 1]) / radius
            share = 1.0 - smooth((distance - ARCH) / (FREE - ARCH))[:, None]
            wanted = (dx, dz) + (scale - 1.0) * offset
            out[:, [0, 2]] += share * (wanted - out[:, [0, 2]])
        return out

    return held


def _shift(
    field: Field, x: float, z: float, radius: float, wheels: Sequence[RoadWheel], scale: float
) -> tuple[float, float]:
    """How far an axle moves in x and z: with the field in x; in z as far as its scaled tyres stay on the road."""
    track = float(np.mean([abs(w.centre[1] - middle_plane(wheels)) for w in wheels]))
    dx = float(field(np.array([[x, track, z]]))[0, 0])
    return dx, (scale - 1.0) * radius


def wheel_move(field: Field, wheel: RoadWheel, wheels: Sequence[RoadWheel], scale: float) -> np.ndarray:
    """Where a wheel's centre goes (3,): with its axle in x and z, its outer face with the flank in y."""
    middle = middle_plane(wheels)
    pairs = axles(wheels)
    x, z, radius = min(pairs, key=lambda axle: abs(axle[0] - wheel.centre[0]))
    dx, _ = _shift(field, x, z, radius, wheels, scale)
    side = 1.0 if wheel.centre[1] >= middle else -1.0
    outer = abs(wheel.centre[1] - middle) + wheel.width / 2
    face = outer + float(field(np.array([[x, outer, z]]))[0, 1])
    height = wheel.centre[2] + (scale - 1.0) * wheel.radius
    return np.array([wheel.centre[0] + dx, middle + side * (face - scale * wheel.width / 2), height])


def taken_wheel(mesh: CarMesh, wheel: RoadWheel) -> list[MeshPart]:
    """The parts of one wheel, its centre at the origin, its outer side towards +y."""
    side = 1.0 if wheel.centre[1] >= 0 else -1.0
    parts = []
    for part, rows in zip(mesh.parts, wheel.members, strict=True):
        picked = chosen(part, rows)
        if picked is not None:
            offset = (picked.vertices - wheel.centre) * (1.0, side, 1.0)
            parts.append(replace(picked, vertices=offset.astype(np.float32)))
    return parts


def made_wheel(radius: float, width: float, rim: float) -> list[MeshPart]:
    """A plain wheel, its centre at the origin, its outer side towards +y."""
    wheel = Wheel((0.0, 0.0, 0.0), radius, rim, width)
    return [p for p in wheel_parts(wheel) if p is not None]


def placed_wheel(
    mesh: CarMesh, wheel: RoadWheel, centre: np.ndarray, middle: float, scale: float, style: WheelStyle | None
) -> list[MeshPart]:
    """One wheel of ``mesh`` scaled about its centre, the centre moved to ``centre``; or another in its place.

    Another wheel keeps radius, centre and outer face, and is mirrored on the right.
    """
    if style is None:
        own = [chosen(part, rows) for part, rows in zip(mesh.parts, wheel.members, strict=True)]
        return [
            replace(p, vertices=((p.vertices - wheel.centre) * scale + centre).astype(np.float32))
            for p in own
            if p is not None
        ]
    side = 1.0 if wheel.centre[1] >= middle else -1.0
    radius, width = scale * wheel.radius, scale * min(wheel.width, WIDEST_WHEEL)
    place = centre + (0.0, side * (scale * wheel.width - width * style.wider) / 2, 0.0)
    factors = np.array([radius / style.radius, side * width * style.wider / style.width, radius / style.radius])
    return [replace(p, vertices=(p.vertices * factors + place).astype(np.float32)) for p in style.parts]


def chosen(part: MeshPart, rows: np.ndarray) -> MeshPart | None:
    """The faces of a part whose vertices (V,) bool are all chosen; None if there are none."""
    faces = part.faces[rows[part.faces].all(axis=1)]
    if not len(faces):
        return None
    used, inverse = np.unique(faces, return_inverse=True)
    return replace(part, vertices=part.vertices[used], faces=inverse.reshape(-1, 3).astype(np.int32))
