"""Wheels: plain round ones for bodies that come without, and those with one picture cut into tyre and rim."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from training.meshes.build import make_part
from training.meshes.model import MeshPart
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
