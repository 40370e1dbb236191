"""Deformations a stylist would name: roof, belt, bonnet, tail, rakes, overhangs, taper; each a smooth symmetric field.

Amplitudes are drawn from fixed ranges chosen from what road cars of one class differ by; no test body was looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from training.meshes.model import CarMesh
from training.meshes.visible import sample_surface
from training.shapes.lattice import Field, fold
from training.shapes.wheels import RoadWheel, axles, body_rows, middle_plane, smooth

#: Slices of the profile along x, and points it is taken from.
SLICES, POINTS = 48, 8192
#: Belt line as a part of the height where there is no side glass to tell it.
BELT = 0.64
#: Standard deviation of each warp: parts of the height (roof to tail), of the length (rakes, overhangs), of the
#: half-width (taper, tumblehome).
SPREAD = {
    "roof": 0.05,
    "belt": 0.025,
    "bonnet": 0.04,
    "boot": 0.03,
    "screen_rake": 0.03,
    "rear_rake": 0.03,
    "front_overhang": 0.02,
    "rear_overhang": 0.025,
    "wheelbase": 0.03,
    "nose_taper": 0.04,
    "tail_taper": 0.04,
    "tumblehome": 0.05,
    "sill": 0.02,
}
#: How far the tail is let down or raised, see :func:`tail_rise`; every other car keeps its own.
TAIL = (-0.7, 0.8)
#: A tail shorter than this part of the length behind the roof is no boot: what lies there (a spare wheel) stays down.
LEAST_DECK = 0.16


class Landmarks(NamedTuple):
    """Where things are, car frame, metres, y measured from the middle plane.

    lower, upper: (3,) of the folded car. belt: z of the lower edge of the side windows. cowl, rear_base: x where the
    windscreen and the rear window meet the belt. roof_front, roof_rear: x of the ends of the roof. front, rear: x of
    the axles. stations: (SLICES,) x; profile: (SLICES,) height of the car's middle there.
    """

    lower: np.ndarray
    upper: np.ndarray
    belt: float
    cowl: float
    roof_front: float
    roof_rear: float
    rear_base: float
    front: float
    rear: float
    stations: np.ndarray
    profile: np.ndarray


def surface_points(mesh: CarMesh, wheels: Sequence[RoadWheel], count: int = POINTS, seed: int = 0) -> np.ndarray:
    """Points (count, 3) float32 on the body without its wheels; fixed by ``seed``."""
    vertices, faces = mesh.merged()
    body = np.concatenate(body_rows(mesh, wheels))
    kept = faces[body[faces].all(axis=1)]
    return sample_surface(vertices, kept, count, np.random.default_rng(seed))[0]


def belt_height(mesh: CarMesh, wheels: Sequence[RoadWheel]) -> float | None:
    """Height of the lower edge of the side windows, or None without side glass in the middle half of the car."""
    lower, upper = mesh.bounds()
    middle, half = middle_plane(wheels), (upper[1] - lower[1]) / 2
    glass = [p.vertices for p in mesh.parts if p.category == "glass"]
    if not glass:
        return None
    points = np.concatenate(glass)
    x = (points[:, 0] - lower[0]) / (upper[0] - lower[0])
    aside = (np.abs(points[:, 1] - middle) > 0.55 * half) & (x > 0.3) & (x < 0.7)
    if aside.sum() < 6:
        return None
    belt = float(np.percentile(points[aside, 2], 10))
    return belt if 0.45 < belt / upper[2] < 0.85 else None


def landmarks(mesh: CarMesh, wheels: Sequence[RoadWheel]) -> Landmarks:
    """Measure a car; every car gets an answer, boxes too."""
    middle = middle_plane(wheels)
    points, _ = fold(surface_points(mesh, wheels), middle)
    every, _ = fold(mesh.merged()[0], middle)
    lower, upper = every.min(0), every.max(0)
    lower[1] = 0.0
    edges = np.linspace(lower[0], upper[0], SLICES + 1)
    inner = points[points[:, 1] < 0.55 * upper[1]]
    index = np.clip(np.searchsorted(edges, inner[:, 0]) - 1, 0, SLICES - 1)
    profile = np.full(SLICES, -np.inf)
    np.maximum.at(profile, index, inner[:, 2])
    stations = (edges[:-1] + edges[1:]) / 2
    known = np.isfinite(profile)
    profile = np.interp(stations, stations[known], profile[known])
    top = float(np.percentile(profile, 96))
    belt = belt_height(mesh, wheels) or BELT * top
    level = (profile - belt) / max(top - belt, 1e-3)
    roof = np.flatnonzero(level > 0.85)
    first, last = int(roof.min()), int(roof.max())
    ahead, behind = np.flatnonzero(level[last:] < 0.3), np.flatnonzero(level[: first + 1] < 0.3)
    cowl = stations[last + int(ahead.min())] if len(ahead) else stations[-1]
    base = stations[int(behind.max())] if len(behind) else stations[0]
    spots = axles(wheels) or [(0.6 * upper[0], 0.3, 0.3), (0.6 * lower[0], 0.3, 0.3)]
    return Landmarks(
        lower, upper, belt, float(cowl), float(stations[last]), float(stations[first]), float(base),
        spots[0][0], spots[1][0], stations, profile,
    )  # fmt: skip


def draw_warps(rng: np.random.Generator, body_class: str) -> dict[str, float]:
    """Amplitudes by SPREAD's names, and "tail": normal, cut at 2 deviations; vans and open cars keep their tail."""
    drawn = {name: spread * float(np.clip(rng.normal(), -2, 2)) for name, spread in SPREAD.items()}
    tail = float(rng.uniform(*TAIL)) if rng.random() < 0.5 else 0.0
    drawn["tail"] = 0.0 if body_class in ("pickup", "convertible", "van") else tail
    return drawn


def tail_rise(car: Landmarks, amount: float) -> np.ndarray:
    """How far the top of the car rises at each of its stations (SLICES,), metres: saloon to hatchback and back.

    amount > 0 draws a straight line from the end of the roof to the tail, a fastback's at first and a hatchback's at 1,
    and lifts what lies below it; amount < 0 lets the top behind the rear axle down, at -1 to a deck above the belt.
    """
    x, top = car.stations, float(np.percentile(car.profile, 96))
    over, length = max(top - car.belt, 0.1), float(car.upper[0] - car.lower[0])
    room = (car.roof_rear - car.lower[0]) / length
    if amount >= 0 and room < LEAST_DECK:
        rise = np.zeros_like(x)
    elif amount >= 0:
        back = np.clip((car.roof_rear - x) / max(car.roof_rear - car.lower[0], 0.05 * length), 0, 1)
        deck = float(np.median(car.profile[x < car.lower[0] + 0.12 * length]))
        end = deck + amount * max(top - 0.15 * over - deck, 0.0)
        line = np.minimum(top - (top - end) * back, top) - 0.25 * (end - car.belt) * smooth((back - 0.85) / 0.15)
        rise = np.where(x < car.roof_rear, np.maximum(line - car.profile, 0.0), 0.0) * min(3 * amount, 1.0)
    else:
        start = car.rear + 0.05 * length
        rise = -amount * smooth((start - x) / (0.12 * length)) * np.minimum(car.belt + 0.06 * over - car.profile, 0.0)
    return gaussian_filter1d(rise, 1.0, mode="nearest")


def warp_field(car: Landmarks, amounts: dict[str, float]) -> Field:
    """The displacement field of the named warps together, each taken at the undeformed place."""
    length, height = float(car.upper[0] - car.lower[0]), float(car.upper[2])
    a = {name: amounts.get(name, 0.0) for name in (*SPREAD, "tail")}
    rise, over, foot = tail_rise(car, a["tail"]), max(height - car.belt, 0.1), 0.45 * height
    screen, window = max(car.cowl - car.roof_rear, 0.1), max(car.roof_front - car.rear_base, 0.1)

    def field(points: np.ndarray) -> np.ndarray:
        x, y, z = points.T
        bonnet = smooth((x - car.cowl + 0.1 * length) / (0.15 * length))
        boot = smooth((car.rear_base + 0.1 * length - x) / (0.15 * length))
        above, deck = np.clip((z - car.belt) / over, 0, 1.2), smooth((z - 0.3 * height) / (0.35 * height))
        nose = np.clip((x - car.front) / max(car.upper[0] - car.front, 0.05 * length), 0, 1)
        tail = np.clip((car.rear - x) / max(car.rear - car.lower[0], 0.05 * length), 0, 1)
        between = np.clip((x - car.rear) / max(car.front - car.rear, 0.1 * length), 0, 1) - 0.5
        dx = length * (
            a["screen_rake"] * smooth(above) * smooth((x - car.roof_rear) / screen)
            + a["rear_rake"] * smooth(above) * smooth((car.roof_front - x) / window)
            + a["front_overhang"] * nose
            - a["rear_overhang"] * tail
            + a["wheelbase"] * between
        )
        sill = smooth(z / (0.25 * height)) * (1 - smooth((z - 0.25 * height) / (0.35 * height)))
        dz = height * (
            a["roof"] * above * (1 - bonnet) * (1 - boot)
            + a["belt"] * smooth(z / car.belt) * (1 - np.clip(above, 0, 1))
            + a["bonnet"] * deck * bonnet
            + a["boot"] * deck * boot
            + a["sill"] * sill
        )
        room = np.maximum(np.interp(x, car.stations, car.profile) - foot, 0.15 * height)
        lift = np.interp(x, car.stations, rise) * np.clip((z - foot) / room, 0, 1.1)
        lean = a["tumblehome"] * smooth(above) + a["nose_taper"] * nose**2 + a["tail_taper"] * tail**2
        # What is raised to the roof leans inwards as a greenhouse does.
        lean = lean - 0.2 * np.clip(lift / over, -0.3, 1)
        return np.stack([dx, y * lean, dz + lift], axis=1)

    return field
