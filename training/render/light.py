"""Sun and sky, or the lamps of a studio."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Light:
    """Colours are linear rgb (3,); sun_direction is a unit vector towards the sun.

    clouds: 0 none .. 1. shadow_strength: 0 (overcast) .. 1. shadow_softness: in parts of the shadow map's width.
    exposure: for pictures that are not exposed by what they show. studio: (4,) strength of the soft boxes (0: open
    sky), turn, width, seed.
    """

    sun_direction: np.ndarray
    sun_colour: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    clouds: float
    exposure: float
    shadow_strength: float
    shadow_softness: float
    studio: np.ndarray = field(default_factory=lambda: np.zeros(4))


def sun_at(azimuth_deg: float, elevation_deg: float) -> np.ndarray:
    """Unit vector (3,) towards the sun, canonical frame."""
    a, e = np.radians([azimuth_deg, elevation_deg])
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])


def random_light(rng: np.random.Generator) -> Light:
    """Sunny, hazy, overcast, low sun or dim: the light of everyday photos."""
    mood = rng.choice(["sunny", "hazy", "overcast", "low", "dim"], p=[0.28, 0.22, 0.34, 0.1, 0.06])
    power, sky, height, shadow, clouds = {
        "sunny": (rng.uniform(1.8, 2.8), rng.uniform(0.35, 0.7), rng.uniform(25, 75), rng.uniform(0.75, 1.0), 0.8),
        "hazy": (rng.uniform(0.8, 1.5), rng.uniform(0.6, 1.0), rng.uniform(20, 75), rng.uniform(0.3, 0.7), 0.7),
        "overcast": (rng.uniform(0.05, 0.25), rng.uniform(0.8, 1.2), rng.uniform(30, 80), 0.0, 1.0),
        "low": (rng.uniform(1.5, 2.5), rng.uniform(0.25, 0.5), rng.uniform(6, 22), rng.uniform(0.6, 1.0), 0.8),
        "dim": (rng.uniform(0.1, 0.6), rng.uniform(0.2, 0.4), rng.uniform(20, 80), rng.uniform(0.0, 0.6), 0.4),
    }[mood]
    warm = {"low": 0.45, "dim": 0.25}.get(str(mood), 0.08) * rng.uniform(0.5, 1.2)
    blue = {"sunny": 0.5, "hazy": 0.2, "low": 0.35}.get(str(mood), 0.05) * rng.uniform(0.6, 1.2)
    tint = np.array([1 + 0.3 * warm, 1 - 0.25 * warm, 1 - 1.0 * warm])
    return Light(
        sun_direction=sun_at(rng.uniform(0, 360), float(height)),
        sun_colour=power * tint,
        zenith=sky * np.array([1 - blue, 1 - 0.45 * blue, 1 + 0.25 * blue]) * rng.uniform(0.6, 1.0),
        horizon=sky * rng.uniform(1.0, 1.5) * np.array([1, 0.98, 0.96]) * (0.7 + 0.3 * tint),
        clouds=float(clouds * rng.uniform(0.2, 1.0)),
        exposure=float(0.72 * (1.6 / (power * 0.5 + sky)) ** 0.6 * 2 ** rng.uniform(-0.5, 0.5)),
        shadow_strength=float(shadow),
        shadow_softness=float(rng.uniform(0.002, 0.03)),
    )


def studio_light(rng: np.random.Generator) -> Light:
    """Soft boxes in a room, as in a catalogue: no sun to speak of, long clean reflections."""
    light = random_light(rng)
    grey = np.full(3, rng.uniform(0.45, 0.8))
    panels = np.array([rng.uniform(1.0, 2.6), rng.uniform(0, 6.3), rng.uniform(0.15, 0.5), rng.uniform(0, 6.3)])
    return replace(
        light, sun_direction=sun_at(rng.uniform(0, 360), rng.uniform(50, 80)), sun_colour=np.full(3, 0.3),
        zenith=grey * 0.9, horizon=grey, clouds=0.0, exposure=float(rng.uniform(0.7, 1.1)), shadow_strength=0.4,
        shadow_softness=0.05, studio=panels,
    )
