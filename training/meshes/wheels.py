"""Wheels: plain round ones for bodies without, those of one picture cut into tyre and rim, and rims without a name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from training.meshes.build import make_part
from training.meshes.model import Category, MeshPart
from training.meshes.texture import Soup, mean_colour, split_by_picture

SEGMENTS = 40


class Wheel(NamedTuple):
    """centre: of the wheel, car frame. radius: of the tyre. rim: radius of the rim. width: of the tyre. Metres."""

    centre: tuple[float, float, float]
    radius: float
    rim: float
    width: float


def wheel_parts(wheel: Wheel) -> list[MeshPart | None]:
    """Tyre and rim of a wheel whose axle lies along y; the outer side is the one away from y = 0."""
    half, outer, inner = wheel.width / 2, wheel.radius, wheel.rim
    shoulder = min(0.25 * (outer - inner) + 0.01, half / 2)
    # Profiles as (radius, y) rows, revolved about the axle; positive y points outwards.
    tyre = [(inner, -half), (outer - shoulder, -half), (outer, -half + shoulder), (outer, half - shoulder)]
    tyre += [(outer - shoulder, half), (inner, half), (inner, half - 0.02)]
    rim = [(inner, half - 0.02), (0.8 * inner, half - 0.05), (0.25 * inner, half - 0.03), (0.0, half - 0.03)]
    back = [(inner, -half), (0.0, -half)]
    return [
        _revolve(wheel, "tyre", "tyre", tyre, (0.012, 0.012, 0.012)),
        _revolve(wheel, "rim", "rim", rim, (0.35, 0.35, 0.36)),
        _revolve(wheel, "wheel_back", "underbody", back, (0.01, 0.01, 0.01)),
    ]


def _revolve(
    wheel: Wheel, name: str, category: str, profile: list[tuple[float, float]], colour: tuple[float, float, float]
) -> MeshPart | None:
    angle = np.arange(SEGMENTS) * (2 * np.pi / SEGMENTS)
    radius, along = np.array(profile).T
    side = 1.0 if wheel.centre[1] >= 0 else -1.0
    points = np.stack(
        [
            radius[:, None] * np.cos(angle) + wheel.centre[0],
            np.broadcast_to(side * along[:, None], (len(profile), SEGMENTS)) + wheel.centre[1],
            radius[:, None] * np.sin(angle) + wheel.centre[2],
        ],
        axis=-1,
    ).reshape(-1, 3)
    ring = np.arange(len(profile) - 1)[:, None] * SEGMENTS
    here, there = np.arange(SEGMENTS)[None], (np.arange(SEGMENTS)[None] + 1) % SEGMENTS
    a, b, c, d = ring + here, ring + there, ring + SEGMENTS + here, ring + SEGMENTS + there
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([b, d, c], -1).reshape(-1, 3)])
    return make_part(name, category, points, faces, colour)


def split_wheel(soup: Soup) -> list[MeshPart | None]:
    """Tyre and rim of one wheel in the car frame with one picture: what lies inside two thirds of the radius is rim."""
    lower, upper = soup.vertices.min(0), soup.vertices.max(0)
    centre, radius = (lower + upper) / 2, (upper[2] - lower[2]) / 2

    def classify(colours: np.ndarray, positions: np.ndarray) -> np.ndarray:
        del colours
        distance = np.hypot(positions[..., 0] - centre[0], positions[..., 2] - centre[2])
        return (distance < 0.66 * radius).astype(np.int64)

    pieces = split_by_picture(soup, classify)
    return [
        make_part("rim", "rim", p.vertices, p.faces, mean_colour(p))
        if label
        else make_part("tyre", "tyre", p.vertices, p.faces, (0.01, 0.01, 0.01))
        for label, p in pieces.items()
    ]


def with_rims(
    parts: Sequence[MeshPart | None], kinds: tuple[Category, ...] = ("chrome", "trim", "light_front")
) -> list[MeshPart]:
    """The parts of a car, with faces of ``kinds`` that lie in a tyre's opening made rims, where no rim is named.

    Faces darker than 0.04 are the gaps between spokes and stay. The tyres' parts may be joined: they are told apart by
    the corner of the car they stand at.
    """
    present = [part for part in parts if part is not None]
    tyres = [part.vertices for part in present if part.category == "tyre"]
    if not tyres or any(part.category == "rim" for part in present):
        return present
    points = np.concatenate(tyres)
    middle = (points.min(0) + points.max(0)) / 2
    result: list[MeshPart | None] = []
    for part in present:
        if part.category not in kinds or max(part.colour) < 0.04:
            result.append(part)
            continue
        centres = part.vertices[part.faces].mean(1)
        inside = np.zeros(len(centres), bool)
        for front in (True, False):
            for left in (True, False):
                own = points[((points[:, 0] > middle[0]) == front) & ((points[:, 1] > middle[1]) == left)]
                inside |= _in_opening(centres, own) if len(own) else False
        result.append(make_part(part.name, part.category, part.vertices, part.faces[~inside], part.colour))
        result.append(make_part("rim", "rim", part.vertices, part.faces[inside], part.colour))
    return [part for part in result if part is not None]


def _in_opening(points: np.ndarray, tyre: np.ndarray, share: float = 0.8) -> np.ndarray:
    """Whether each point (N, 3) lies within ``share`` of a tyre's radius of its axle, and not beside it."""
    lower, upper = tyre.min(0), tyre.max(0)
    centre, radius = (lower + upper) / 2, (upper[2] - lower[2]) / 2
    near = np.hypot(points[:, 0] - centre[0], points[:, 2] - centre[2]) < share * radius
    return near & (points[:, 1] > lower[1] - 0.03) & (points[:, 1] < upper[1] + 0.03)
