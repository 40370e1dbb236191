"""Pictures of a car: one chosen view for the benchmark, random ones for training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.meshes.model import CarMesh
from training.render.appearance import random_materials
from training.render.camera import Camera, Framing, frame_camera
from training.render.effects import camera_effects
from training.render.renderer import PreparedCar, Renderer
from training.render.scene import plain_backdrop, random_backdrop, random_light

Condition = Literal["plain", "clutter"]
CONDITIONS: tuple[str, ...] = ("plain", "clutter")


@dataclass(frozen=True)
class Picture:
    """A picture of a car and how it was taken.

    rgb: (S, S, 3) uint8. mask: (S, S) uint8, coverage by the car, 255 = wholly. box: x, y, width, height of the whole
    car in pixels of this picture (may leave it). camera: OpenCV convention, world = canonical frame.
    """

    rgb: np.ndarray
    mask: np.ndarray
    camera: Camera
    box: tuple[float, float, float, float]
    azimuth_deg: float
    elevation_deg: float
    focal_mm: float
    condition: str

    @property
    def K(self) -> np.ndarray:
        return self.camera.K

    @property
    def R(self) -> np.ndarray:
        return self.camera.R

    @property
    def t(self) -> np.ndarray:
        return self.camera.t


def render_view(
    mesh: CarMesh, azimuth_deg: float, elevation_deg: float, focal_mm: float, condition: Condition, seed: int,
    size: int = 128, renderer: Renderer | None = None,
) -> Picture:
    """One view of a car, deterministic by ``seed``.

    azimuth 0 = camera before the nose, 90 = on the car's left. condition "plain": neutral backdrop, car centred with
    margin 0.1, no camera effects; "clutter": surroundings, shadow, jittered crop, camera effects. Pass one Renderer of
    the same size for many views (without one, each call opens its own, about a second). Raises DataError without EGL.
    """
    if condition not in CONDITIONS:
        raise ValueError(f"condition {condition!r} is none of {', '.join(CONDITIONS)}")
    if renderer is None:
        with Renderer(size) as own:
            return _take(own, mesh, (azimuth_deg, elevation_deg, focal_mm), condition, np.random.default_rng(seed))
    return _take(renderer, mesh, (azimuth_deg, elevation_deg, focal_mm), condition, np.random.default_rng(seed))


def random_view(mesh: CarMesh, rng: np.random.Generator, renderer: Renderer) -> Picture:
    """One training picture: any azimuth, mostly low elevations, 28-85 mm, 15 % plain and the rest cluttered."""
    elevation = abs(rng.normal(0, 12)) if rng.random() < 0.8 else rng.uniform(0, 45)
    focal = float(np.exp(rng.uniform(np.log(28), np.log(85))))
    view = (float(rng.uniform(0, 360)), float(min(elevation, 45)), focal)
    return _take(renderer, mesh, view, "plain" if rng.random() < 0.15 else "clutter", rng)


def _take(
    renderer: Renderer, mesh: CarMesh, view: tuple[float, float, float], condition: str, rng: np.random.Generator
) -> Picture:
    car = renderer.prepare(mesh)
    clutter = condition == "clutter"
    framing = _random_framing(rng) if clutter else Framing(fill=float(rng.uniform(0.4, 0.8)))
    camera = frame_camera(car.soup.hull, *view, renderer.size[0], framing)
    light, materials = random_light(rng), random_materials(rng)
    backdrop = random_backdrop(rng, view[0]) if clutter else plain_backdrop(rng)
    rgb, mask = renderer.draw(car, camera, materials, light, backdrop)
    return Picture(
        camera_effects(rgb, rng) if clutter else rgb, mask, camera, camera.box(car.soup.hull), *view, condition
    )


def _random_framing(rng: np.random.Generator) -> Framing:
    shift, aim = rng.uniform(-0.08, 0.08, 2), rng.uniform(-0.12, 0.12, 2)
    return Framing(
        fill=float(rng.uniform(0.3, 0.85)), scale=float(rng.uniform(0.9, 1.25)), roll_deg=float(rng.normal(0, 2)),
        shift=(float(shift[0]), float(shift[1])), aim=(float(aim[0]), float(aim[1])),
    )


__all__ = ["CONDITIONS", "Condition", "Picture", "PreparedCar", "random_view", "render_view"]
