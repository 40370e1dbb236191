"""What a car looks like: random paint and materials per part category."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from training.meshes.model import CATEGORIES

#: Share of car colours on the road (rounded from the yearly popularity reports of the paint makers), and how to draw
#: one: hue, saturation and value ranges in sRGB.
PAINTS: tuple[tuple[float, str, tuple[float, float], tuple[float, float], tuple[float, float]], ...] = (
    (0.24, "white", (0.08, 0.16), (0.0, 0.05), (0.85, 0.97)),
    (0.17, "black", (0.55, 0.70), (0.0, 0.25), (0.02, 0.12)),
    (0.16, "grey", (0.55, 0.65), (0.0, 0.12), (0.22, 0.5)),
    (0.13, "silver", (0.55, 0.65), (0.0, 0.06), (0.6, 0.8)),
    (0.10, "blue", (0.57, 0.65), (0.5, 0.95), (0.2, 0.7)),
    (0.09, "red", (-0.02, 0.02), (0.75, 1.0), (0.35, 0.8)),
    (0.03, "green", (0.28, 0.45), (0.3, 0.8), (0.15, 0.55)),
    (0.03, "brown", (0.05, 0.1), (0.3, 0.6), (0.2, 0.5)),
    (0.03, "yellow", (0.08, 0.15), (0.7, 1.0), (0.7, 0.95)),
    (0.02, "any", (0.0, 1.0), (0.2, 1.0), (0.2, 0.9)),
)


@dataclass(frozen=True)
class Materials:
    """Per category of :data:`training.meshes.model.CATEGORIES`.

    albedo: (11, 4) float32, linear rgb and roughness. finish: (11, 4) float32, metallic flake, clear coat, glow, noise.
    """

    albedo: np.ndarray
    finish: np.ndarray


def linear(srgb: tuple[float, float, float] | np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear, (3,) float32."""
    return np.power(np.clip(np.asarray(srgb, np.float32), 0, 1), 2.2)


def random_paint(rng: np.random.Generator) -> np.ndarray:
    """A linear rgb colour (3,) as seen on roads."""
    shares = np.array([entry[0] for entry in PAINTS])
    _, _, hue, saturation, value = PAINTS[int(rng.choice(len(PAINTS), p=shares / shares.sum()))]
    drawn = colorsys.hsv_to_rgb(rng.uniform(*hue) % 1.0, rng.uniform(*saturation), rng.uniform(*value))
    return linear(drawn)


def _grey(rng: np.random.Generator, low: float, high: float, tint: float = 0.03) -> np.ndarray:
    return linear(rng.uniform(low, high) * (1 + rng.uniform(-tint, tint, 3)))


def random_materials(rng: np.random.Generator) -> Materials:
    """Paint, a second colour, glass, tyres, rims, lamps and trim of one car."""
    return painted(random_paint(rng), rng)


def painted(paint: np.ndarray, rng: np.random.Generator) -> Materials:
    """Materials around a given linear paint colour (3,)."""
    matt = rng.random() < 0.06
    flake = float(rng.uniform(0.15, 0.8)) if rng.random() < 0.6 and not matt else 0.0
    coat = 0.1 if matt else float(rng.uniform(0.6, 1.1))
    dirt = float(rng.uniform(0, 0.25))
    second = paint if rng.random() < 0.45 else (_grey(rng, 0.05, 0.25) if rng.random() < 0.7 else random_paint(rng))
    trim = _grey(rng, 0.05, 0.3) if rng.random() < 0.85 else paint
    rim = _grey(rng, 0.5, 0.85) if rng.random() < 0.75 else _grey(rng, 0.06, 0.3)
    lamp_glow = float(rng.uniform(0.3, 1.2)) if rng.random() < 0.15 else 0.05
    amber = linear((0.85, 0.45, 0.1)) if rng.random() < 0.1 else _grey(rng, 0.7, 0.95)
    rows = {
        "paint": (paint, rng.uniform(0.05, 0.3), flake, coat, 0.0, dirt),
        "paint_2": (second, rng.uniform(0.1, 0.4), flake * 0.5, coat * 0.8, 0.0, dirt),
        "glass": (_grey(rng, 0.02, 0.3, 0.15), 0.03, 0.0, rng.uniform(0.8, 1.5), 0.0, 0.1),
        "tyre": (_grey(rng, 0.05, 0.2), 0.85, 0.0, 0.04, 0.0, 0.4),
        "rim": (rim, 0.25, rng.uniform(0.4, 0.9), 0.5, 0.0, 0.1),
        "light_front": (amber, 0.08, 0.3, 1.2, lamp_glow, 0.5),
        "light_rear": (linear((rng.uniform(0.45, 0.8), 0.03, 0.04)), 0.1, 0.0, 1.0, lamp_glow, 0.3),
        "chrome": (_grey(rng, 0.7, 0.9), 0.05, 1.0, 1.0, 0.0, 0.0),
        "trim": (trim, 0.5, 0.0, 0.3, 0.0, 0.1),
        "interior": (_grey(rng, 0.04, 0.3, 0.1), 0.9, 0.0, 0.02, 0.0, 0.2),
        "underbody": (_grey(rng, 0.03, 0.15), 0.9, 0.0, 0.02, 0.0, 0.2),
    }
    table = np.array([[*rows[name][0], *rows[name][1:]] for name in CATEGORIES], np.float32)
    return Materials(np.ascontiguousarray(table[:, :4]), np.ascontiguousarray(table[:, 4:]))


@dataclass(frozen=True)
class Dress:
    """What one car wears over its mesh, as uniforms of the car shader. See :mod:`training.render.shader_car`.

    livery: (4,) 0 none, 1 lower body, 2 roof, 3 bumpers in another colour; a share for its height or x; 1 = door seams;
    dirt. livery_colour: (3,) linear. wheel_look: (4,) spokes, twist, width, darkness between. plate_look: (4,) tint (0
    white, 1 yellow at the rear, 2 yellow), seed, 1 = light letters on dark, unused. plates: whether there are any.
    seam_strength: 0..1.
    """

    livery: np.ndarray
    livery_colour: np.ndarray
    wheel_look: np.ndarray
    plate_look: np.ndarray
    plates: bool
    seam_strength: float


def random_dress(rng: np.random.Generator) -> Dress:
    """Liveries are rare, seams and plates common, spokes five to twenty."""
    kind = float(rng.choice([0, 1, 2, 3], p=[0.8, 0.06, 0.04, 0.1]))
    share = {1.0: rng.uniform(0.1, 0.35), 2.0: 0.0, 3.0: rng.uniform(0.42, 0.46)}.get(kind, 0.0)
    colour = _grey(rng, 0.05, 0.22) if kind != 2 or rng.random() < 0.6 else linear(np.full(3, 0.9))
    dirt = rng.uniform(0, 0.3) if rng.random() < 0.7 else rng.uniform(0.3, 0.8)
    spokes = float(rng.choice([5, 6, 7, 8, 10, 14, 20], p=[0.35, 0.1, 0.12, 0.13, 0.2, 0.05, 0.05]))
    wheel = (spokes, rng.normal(0, 0.25), rng.uniform(0.3, 0.65), rng.uniform(0.5, 1.0))
    tint = float(rng.choice([0, 1, 2], p=[0.8, 0.12, 0.08]))
    return Dress(
        np.array([kind, share, float(rng.random() < 0.75), dirt]), np.asarray(colour), np.array(wheel),
        np.array([tint, rng.random(), float(rng.random() < 0.07), 0.0]), bool(rng.random() < 0.85),
        float(rng.uniform(0.4, 1.0)),
    )
