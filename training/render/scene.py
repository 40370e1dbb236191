"""Surroundings of the car: a clean backdrop, or a street with what stands in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.render.appearance import Dress, Materials, linear, random_dress, random_materials, random_paint
from training.render.shader_scene import MAX_BOXES

PLAIN, GRADIENT, STREET = 0, 1, 2
#: Ground patterns of the scene shader.
ASPHALT, PARKING, ROAD, PAVING, GRASS, SETTS = 0, 1, 2, 3, 4, 5
#: Box styles of the scene shader. CAR stands in for a neighbour where no mesh is drawn: in mirrors and shadows.
SOLID, WINDOWS, HEDGE, GLOSSY, MASONRY, FENCE, TREE, PERSON, CAR = 0, 1, 2, 3, 4, 5, 6, 8, 9
#: Most neighbours of one scene.
MAX_NEIGHBOURS = 4


@dataclass(frozen=True)
class Neighbour:
    """Another car. pick: 0..1, which of the fleet. x, y: of its middle, in lengths of the pictured car; turn: about z,
    radians. scale: its length over that of the pictured car."""

    pick: float
    x: float
    y: float
    turn: float
    scale: float
    materials: Materials
    dress: Dress


@dataclass(frozen=True)
class Backdrop:
    """What stands behind and below the car.

    kind: PLAIN, GRADIENT or STREET. colour_a, colour_b: linear rgb of the backdrop. blend: (3,) gradient direction and
    noise. ground: linear rgb. pattern: style, scale, turn, seed. contact: strength and reach of the contact shadow.
    skyline: height (sine of the elevation), blocks a radian, seed, softness (0 houses, 1 trees).
    boxes: (B, 12): centre x, y, bottom above ground, turn; half length, half width, height, style; rgb, variety 0..1.
    """

    kind: int
    colour_a: np.ndarray
    colour_b: np.ndarray
    blend: np.ndarray
    ground: np.ndarray
    pattern: np.ndarray
    contact: tuple[float, float]
    skyline: np.ndarray
    skyline_colour: np.ndarray
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 12), np.float32))
    neighbours: tuple[Neighbour, ...] = ()


def plain_backdrop(rng: np.random.Generator) -> Backdrop:
    """White to light grey, no ground, no shadow: the clean condition of the benchmark."""
    grey = linear(np.full(3, rng.uniform(0.9, 1.0)))
    return _backdrop(PLAIN, rng, colour_a=grey, colour_b=grey)


def random_backdrop(rng: np.random.Generator, azimuth_deg: float) -> Backdrop:
    """Any backdrop; clutter stands on the far side of the car from a camera at ``azimuth_deg``."""
    draw = rng.random()
    contact = (float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.03, 0.15))) if rng.random() < 0.75 else (0.0, 0.1)
    if draw < 0.05:
        colour = random_paint(rng) if rng.random() < 0.4 else linear(np.full(3, rng.uniform(0.1, 1.0)))
        return _backdrop(PLAIN, rng, colour_a=colour, colour_b=colour, contact=contact)
    if draw < 0.12:
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.5)
        blend = np.array([np.cos(angle) * reach, np.sin(angle) * reach, rng.uniform(0, 1.5)])
        a, b = (linear(rng.uniform(0.1, 1.0) * rng.uniform(low, 1.0, 3)) for low in (0.9, 0.75))
        return _backdrop(GRADIENT, rng, colour_a=a, colour_b=b, blend=blend, contact=contact)
    return street(rng, azimuth_deg)


def street(rng: np.random.Generator, azimuth_deg: float) -> Backdrop:
    """A street, a car park, a yard: ground with a pattern, skyline, walls, trees, other cars, people."""
    style = int(rng.choice([ASPHALT, PARKING, ROAD, PAVING, GRASS, SETTS], p=[0.26, 0.2, 0.26, 0.1, 0.08, 0.1]))
    ground = linear(rng.uniform(0.28, 0.62) * (1 + rng.uniform(-0.05, 0.05, 3)))
    if style == GRASS:
        green = rng.random() < 0.6
        ground = linear((0.36, 0.42, 0.24)) * rng.uniform(0.5, 1.2) if green else linear((0.5, 0.45, 0.37))
    scale = {PARKING: rng.uniform(0.5, 0.65), ROAD: rng.uniform(0.8, 2.0)}.get(style, rng.uniform(0.06, 0.3))
    # Streets run with the car or across it.
    turn = float(rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.12))
    trees = float(rng.random() < 0.6)
    skyline = np.array([rng.uniform(0.04, 0.35), rng.uniform(1.5, 7), rng.uniform(0, 50), trees])
    if rng.random() < 0.1:
        skyline[0] = 0.0
    colour = _leaves(rng) if trees else _wall(rng)
    neighbours = _neighbours(rng, azimuth_deg, turn)
    boxes = [box for other in neighbours for box in stand_in(other)] + _things(rng, azimuth_deg, turn)
    return _backdrop(
        STREET, rng, ground=ground, pattern=np.array([style, scale, turn, rng.uniform(0, 20)]),
        contact=(float(rng.uniform(0.85, 1.0)), float(rng.uniform(0.05, 0.15))), skyline=skyline,
        skyline_colour=colour * rng.uniform(0.5, 1.0), neighbours=tuple(neighbours),
        boxes=np.asarray(boxes[:MAX_BOXES], np.float32).reshape(-1, 12),
    )


def _backdrop(kind: int, rng: np.random.Generator, **given: Any) -> Backdrop:
    white = np.ones(3)
    defaults: dict[str, Any] = {
        "colour_a": white, "colour_b": white, "blend": np.zeros(3), "ground": linear(np.full(3, rng.uniform(0.3, 0.7))),
        "pattern": np.array([0, 1.0, 0, rng.uniform(0, 20)]), "contact": (0.0, 0.1),
        # Even over a plain backdrop the paint mirrors a horizon that is not perfectly flat.
        "skyline": np.array([rng.uniform(0, 0.3), rng.uniform(1, 6), rng.uniform(0, 50), float(rng.random() < 0.5)]),
        "skyline_colour": linear(rng.uniform(0.15, 0.5, 3)),
    }
    return Backdrop(kind=kind, **{**defaults, **given})


def _leaves(rng: np.random.Generator) -> np.ndarray:
    """Linear green, olive, or autumn colour of foliage, (3,)."""
    tone = np.array([[0.30, 0.36, 0.2], [0.24, 0.31, 0.2], [0.4, 0.41, 0.24], [0.45, 0.36, 0.2], [0.34, 0.3, 0.26]])
    return linear(tone[int(rng.choice(5, p=[0.35, 0.3, 0.15, 0.1, 0.1]))]) * rng.uniform(0.6, 1.4)


def _wall(rng: np.random.Generator) -> np.ndarray:
    """Linear colour of plaster, brick, concrete or wood, (3,)."""
    tones = [(0.8, 0.76, 0.68), (0.62, 0.6, 0.57), (0.55, 0.33, 0.26), (0.74, 0.66, 0.5), (0.4, 0.3, 0.23), (0.85,) * 3]
    tone = np.array(tones[int(rng.choice(6, p=[0.25, 0.25, 0.15, 0.15, 0.08, 0.12]))])
    return linear(tone * rng.uniform(0.7, 1.1) * (1 + rng.uniform(-0.06, 0.06, 3)))


def _away(rng: np.random.Generator, azimuth_deg: float, spread: float) -> float:
    return float(np.radians(azimuth_deg + 180 + rng.uniform(-spread, spread)))


def _neighbours(rng: np.random.Generator, azimuth_deg: float, turn: float) -> list[Neighbour]:
    """Parked beside, behind or across the street; none between the camera and the car, none inside it."""
    found: list[Neighbour] = []
    wanted = int(rng.choice([0, 1, 2, 3, MAX_NEIGHBOURS], p=[0.25, 0.27, 0.22, 0.16, 0.1]))
    side, rows = rng.uniform(0.5, 0.75), rng.random() < 0.5
    for index in range(3 * wanted):
        if len(found) == wanted:
            break
        if rows:    # beside the car in the same row of bays, or nose to tail along the kerb
            place = float(rng.choice([-1, 1])) * (1 + index // 2)
            bays, gap = rng.random() < 0.5, rng.uniform(1.1, 1.5)
            x, y = (rng.normal(0, 0.06), place * side) if bays else (place * gap, rng.normal(0, 0.05))
            heading = float(rng.choice([0.0, np.pi])) + rng.normal(0, 0.03)
        else:
            away, reach = _away(rng, azimuth_deg, 65), rng.uniform(1.1, 5.0)
            x, y = reach * np.cos(away), reach * np.sin(away)
            heading = turn + float(rng.choice([0.0, np.pi / 2, np.pi])) + rng.normal(0, 0.08)
        view = np.radians(azimuth_deg)
        nearer = x * np.cos(view) + y * np.sin(view)
        crowded = any(np.hypot(x - o.x, y - o.y) < 0.55 for o in found)
        if abs(y) < 0.45 and abs(x) < 1.05 or nearer > 0.25 or crowded or np.hypot(x, y) > 6:
            continue
        found.append(Neighbour(float(rng.random()), float(x), float(y), heading, float(rng.uniform(0.92, 1.1)),
                               random_materials(rng), random_dress(rng)))
    return found


def _things(rng: np.random.Generator, azimuth_deg: float, turn: float) -> list[list[float]]:
    """Walls, houses, hedges, fences, trees, poles and people, behind the car."""
    boxes: list[list[float]] = []
    if rng.random() < 0.55:    # one long front close behind, as in most pictures of parked cars
        kind = str(rng.choice(["house", "wall", "hedge", "fence"], p=[0.35, 0.3, 0.2, 0.15]))
        boxes.append(_front(rng, kind, azimuth_deg, rng.uniform(0.9, 3.5)))
    for _ in range(int(rng.integers(1, 7))):
        kinds, shares = ["house", "hedge", "pole", "wall", "tree", "person"], [0.28, 0.1, 0.12, 0.1, 0.32, 0.08]
        kind = str(rng.choice(kinds, p=shares))
        if kind in ("house", "wall", "hedge"):
            boxes.append(_front(rng, kind, azimuth_deg, rng.uniform(4, 14)))
            continue
        away = _away(rng, azimuth_deg, 60)
        reach, tall = rng.uniform(1.3, 8), rng.uniform(0.8, 2.2)
        half, style, colour = (0.015, 0.015), SOLID, linear(rng.uniform(0.2, 0.6) * np.ones(3))
        if kind == "tree":
            tall = rng.uniform(0.8, 2.6)
            half, style, colour = (tall * rng.uniform(0.3, 0.55), rng.uniform(0.015, 0.05)), TREE, _leaves(rng)
        elif kind == "person":
            tall, style, colour = rng.uniform(0.35, 0.43), PERSON, linear(rng.uniform(0.1, 0.8, 3))
        boxes.append([reach * np.cos(away), reach * np.sin(away), 0.0, turn, *half, tall, style, *colour, rng.random()])
    return boxes


def _front(rng: np.random.Generator, kind: str, azimuth_deg: float, reach: float) -> list[float]:
    """A long thing whose near face stands ``reach`` behind the middle of the car, facing along or across it."""
    away = _away(rng, azimuth_deg, 25)
    # Walls stand square to the car more often than not.
    facing = round(away / (np.pi / 2)) * np.pi / 2 + rng.normal(0, 0.06) if rng.random() < 0.7 else away
    deep = {"house": rng.uniform(1, 3), "hedge": rng.uniform(0.1, 0.3)}.get(kind, 0.03)
    half = (rng.uniform(1.0, 3.0) + 0.4 * reach, deep)
    heights = {"house": rng.uniform(1.2, 4), "hedge": rng.uniform(0.2, 0.7), "wall": rng.uniform(0.25, 0.8)}
    tall = heights.get(kind, 0.35)
    style = {"house": WINDOWS, "hedge": HEDGE, "fence": FENCE}.get(kind, MASONRY)
    colour = _leaves(rng) if kind == "hedge" else _wall(rng)
    reach = max(reach, 0.75) + deep
    along = rng.uniform(-0.5, 0.5) * half[0]
    x = reach * np.cos(facing) - along * np.sin(facing)
    y = reach * np.sin(facing) + along * np.cos(facing)
    return [x, y, 0.0, facing + np.pi / 2, *half, tall, style, *colour, rng.random()]


def stand_in(other: Neighbour) -> list[list[float]]:
    """A neighbour as two boxes, for mirrors and shadows."""
    paint, dark = other.materials.albedo[0, :3], other.materials.albedo[2, :3] * 0.5
    return parked_car(other.x, other.y, other.turn, 0.5 * other.scale, paint, dark, CAR)


def parked_car(
    x: float, y: float, turn: float, half_length: float, paint: np.ndarray, dark: np.ndarray, style: int = GLOSSY
) -> list[list[float]]:
    """A lower body and a dark cabin: enough to be taken for a car out of focus."""
    back = -0.06
    cabin_x, cabin_y = x + back * np.cos(turn), y + back * np.sin(turn)
    return [
        [x, y, 0.04, turn, half_length, half_length * 0.4, 0.16, style, *paint, 0.0],
        [cabin_x, cabin_y, 0.2, turn, half_length * 0.56, half_length * 0.34, 0.12, style, *dark, 0.0],
    ]

