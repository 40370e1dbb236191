"""Light and surroundings: sky, sun, ground, boxes of clutter, or a clean backdrop."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from training.render.appearance import linear, random_paint

PLAIN, GRADIENT, STREET = 0, 1, 2
#: Ground patterns of the background shader.
ASPHALT, PARKING, ROAD, PAVING, GRASS = 0, 1, 2, 3, 4
#: Box styles of the background shader.
SOLID, WINDOWS, HEDGE, GLOSSY = 0, 1, 2, 3
MAX_BOXES = 16


@dataclass(frozen=True)
class Light:
    """Sun and sky. Colours are linear rgb (3,); sun_direction is a unit vector towards the sun."""

    sun_direction: np.ndarray
    sun_colour: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    clouds: float
    exposure: float
    shadow_strength: float
    shadow_softness: float


@dataclass(frozen=True)
class Backdrop:
    """What stands behind and below the car.

    kind: PLAIN, GRADIENT or STREET. colour_a, colour_b: linear rgb of the backdrop. blend: (3,) gradient direction and
    noise. ground: linear rgb. pattern: style, scale, turn, seed. contact: strength and reach of the contact shadow.
    skyline: height (sine of the elevation), blocks a radian, seed, softness (0 houses, 1 trees).
    boxes: (B, 12): centre x, y, bottom above ground, turn; half length, half width, height, style; rgb, unused.
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


def sun_at(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Unit vector (3,) towards the sun, canonical frame."""
    a, e = np.radians([azimuth_deg, elevation_deg])
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


def random_light(rng: np.random.Generator) -> Light:
    """Sunny, hazy, overcast, low sun or dim: the light of everyday photos."""
    mood = rng.choice(["sunny", "hazy", "overcast", "low", "dim"], p=[0.35, 0.2, 0.25, 0.12, 0.08])
    power, sky, height, shadow, clouds = {
        "sunny": (rng.uniform(1.8, 2.8), rng.uniform(0.35, 0.7), rng.uniform(25, 75), rng.uniform(0.75, 1.0), 0.7),
        "hazy": (rng.uniform(0.8, 1.5), rng.uniform(0.6, 1.0), rng.uniform(20, 75), rng.uniform(0.3, 0.7), 0.5),
        "overcast": (rng.uniform(0.05, 0.35), rng.uniform(0.8, 1.2), rng.uniform(30, 80), 0.0, 1.0),
        "low": (rng.uniform(1.5, 2.5), rng.uniform(0.25, 0.5), rng.uniform(6, 22), rng.uniform(0.6, 1.0), 0.8),
        "dim": (rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.4), rng.uniform(20, 80), rng.uniform(0.0, 0.6), 0.2),
    }[mood]
    warm = {"low": 0.45, "dim": 0.25}.get(str(mood), 0.08) * rng.uniform(0.5, 1.2)
    blue = {"sunny": 0.55, "hazy": 0.25, "low": 0.35}.get(str(mood), 0.05) * rng.uniform(0.6, 1.2)
    tint = np.array([1 + 0.3 * warm, 1 - 0.25 * warm, 1 - 1.0 * warm])
    return Light(
        sun_direction=sun_at(rng.uniform(0, 360), float(height)),
        sun_colour=power * tint,
        zenith=sky * np.array([1 - blue, 1 - 0.45 * blue, 1 + 0.25 * blue]) * rng.uniform(0.6, 1.0),
        horizon=sky * rng.uniform(1.0, 1.5) * np.array([1, 0.98, 0.96]) * (0.7 + 0.3 * tint),
        clouds=float(clouds * rng.random()),
        exposure=float(0.72 * (1.6 / (power * 0.5 + sky)) ** 0.6 * 2 ** rng.uniform(-0.7, 0.6)),
        shadow_strength=float(shadow),
        shadow_softness=float(rng.uniform(0.002, 0.03)),
    )


def plain_backdrop(rng: np.random.Generator) -> Backdrop:
    """White to light grey, no ground, no shadow: the clean condition of the benchmark."""
    grey = linear(np.full(3, rng.uniform(0.9, 1.0)))
    return _backdrop(PLAIN, rng, colour_a=grey, colour_b=grey)


def random_backdrop(rng: np.random.Generator, azimuth_deg: float) -> Backdrop:
    """Any backdrop; clutter stands on the far side of the car from a camera at ``azimuth_deg``."""
    draw = rng.random()
    if draw < 0.12:
        colour = random_paint(rng) if rng.random() < 0.5 else linear(np.full(3, rng.uniform(0.1, 1.0)))
        contact = (float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.03, 0.2))) if rng.random() < 0.6 else (0.0, 0.1)
        return _backdrop(PLAIN, rng, colour_a=colour, colour_b=colour, contact=contact)
    if draw < 0.27:
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.5)
        blend = np.array([np.cos(angle) * reach, np.sin(angle) * reach, rng.uniform(0, 1.5)])
        a, b = (linear(rng.uniform(0.1, 1.0) * rng.uniform(low, 1.0, 3)) for low in (0.8, 0.4))
        contact = (float(rng.uniform(0.3, 0.9)), float(rng.uniform(0.03, 0.2))) if rng.random() < 0.5 else (0.0, 0.1)
        return _backdrop(GRADIENT, rng, colour_a=a, colour_b=b, blend=blend, contact=contact)
    return street(rng, azimuth_deg)


def street(rng: np.random.Generator, azimuth_deg: float) -> Backdrop:
    """A street, a car park, a yard: ground with a pattern, skyline, parked boxes, houses, hedges, poles."""
    style = int(rng.choice([ASPHALT, PARKING, ROAD, PAVING, GRASS], p=[0.2, 0.25, 0.25, 0.18, 0.12]))
    ground = linear(rng.uniform(0.2, 0.65) * (1 + rng.uniform(-0.06, 0.06, 3)))
    if style == GRASS:
        green = rng.random() < 0.6
        ground = linear((0.3, 0.42, 0.18)) * rng.uniform(0.5, 1.3) if green else linear((0.55, 0.48, 0.38))
    scale = {PARKING: rng.uniform(0.5, 0.65), ROAD: rng.uniform(0.8, 2.0)}.get(style, rng.uniform(0.06, 0.5))
    turn = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.15) if style in (PARKING, ROAD) else rng.uniform(0, 6.3)
    trees = float(rng.random() < 0.45)
    skyline = np.array([rng.uniform(0.03, 0.45), rng.uniform(1.5, 9), rng.uniform(0, 50), trees])
    leaves, wall = (0.22, 0.3, 0.15), (0.2, 0.8)
    colour = linear(leaves) * rng.uniform(0.4, 1.4) if trees else linear(rng.uniform(*wall, 3) * 0.4 + 0.3)
    if rng.random() < 0.15:
        skyline[0] = 0.0
    return _backdrop(
        STREET, rng, ground=ground, pattern=np.array([style, scale, turn, rng.uniform(0, 20)]),
        contact=(float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.04, 0.2))),
        skyline=skyline, skyline_colour=colour * rng.uniform(0.5, 1.0), boxes=_clutter(rng, azimuth_deg),
    )


def _backdrop(kind: int, rng: np.random.Generator, **given: Any) -> Backdrop:
    white = np.ones(3)
    defaults: dict[str, Any] = {
        "colour_a": white, "colour_b": white, "blend": np.zeros(3), "ground": linear(np.full(3, rng.uniform(0.3, 0.7))),
        "pattern": np.array([0, 1.0, 0, rng.uniform(0, 20)]), "contact": (0.0, 0.1),
        # Even over a plain backdrop the paint mirrors a horizon that is not perfectly flat.
        "skyline": np.array([rng.uniform(0, 0.2), rng.uniform(1, 6), rng.uniform(0, 50), float(rng.random() < 0.5)]),
        "skyline_colour": linear(rng.uniform(0.15, 0.5, 3)),
    }
    return Backdrop(kind=kind, **{**defaults, **given})


def _clutter(rng: np.random.Generator, azimuth_deg: float) -> np.ndarray:
    boxes: list[list[float]] = []
    for _ in range(int(rng.integers(0, 5))):
        away = np.radians(azimuth_deg + 180 + rng.uniform(-75, 75))
        near = rng.uniform(1.0, 4.0)
        x, y, turn = near * np.cos(away), near * np.sin(away), float(rng.choice([0, np.pi / 2])) + rng.normal(0, 0.1)
        boxes += parked_car(rng, x, y, turn)
    for _ in range(int(rng.integers(0, 5))):
        away = np.radians(azimuth_deg + 180 + rng.uniform(-70, 70))
        kind = rng.choice(["house", "hedge", "pole", "wall"], p=[0.35, 0.25, 0.2, 0.2])
        reach = rng.uniform(4, 15) if kind == "house" else rng.uniform(1.2, 6)
        half = {"house": (rng.uniform(1, 4), rng.uniform(1, 3)), "hedge": (rng.uniform(0.3, 3), rng.uniform(0.1, 0.5)),
                "pole": (0.02, 0.02), "wall": (rng.uniform(0.5, 4), 0.04)}[str(kind)]
        height = {"house": rng.uniform(1.5, 6), "hedge": rng.uniform(0.2, 1.2), "pole": rng.uniform(0.7, 2.5),
                  "wall": rng.uniform(0.2, 0.8)}[str(kind)]
        style = {"house": WINDOWS, "hedge": HEDGE}.get(str(kind), SOLID)
        colour = linear((0.25, 0.36, 0.16)) if kind == "hedge" else linear(0.3 + 0.6 * rng.random(3) * rng.random())
        reach += max(half) * 0.7
        boxes.append([reach * np.cos(away), reach * np.sin(away), 0.0, rng.uniform(0, 3.2), *half, height, style,
                      *colour, 0.0])
    return np.asarray(boxes[:MAX_BOXES], np.float32).reshape(-1, 12)


def parked_car(rng: np.random.Generator, x: float, y: float, turn: float) -> list[list[float]]:
    """A lower body on a dark undercarriage and a dark cabin: enough to be taken for a car out of focus."""
    paint, length, width = random_paint(rng), rng.uniform(0.4, 0.52), rng.uniform(0.18, 0.21)
    back = rng.uniform(-0.12, 0.02)
    cabin_x, cabin_y = x + back * np.cos(turn), y + back * np.sin(turn)
    dark = linear(np.full(3, rng.uniform(0.03, 0.2)))
    return [
        [x, y, 0.0, turn, length * 0.9, width * 0.9, 0.08, SOLID, *(dark * 0.3), 0.0],
        [x, y, 0.06, turn, length, width, rng.uniform(0.12, 0.17), GLOSSY, *paint, 0.0],
        [cabin_x, cabin_y, 0.16, turn, length * rng.uniform(0.5, 0.62), width * 0.86, rng.uniform(0.12, 0.18), GLOSSY,
         *dark, 0.0],
    ]
