"""One photo of a car as people put them on the web: the whole car, mostly from a front corner, anywhere, any colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from edge.photosets.base import Box
from training.meshes.model import CarMesh
from training.render.appearance import random_dress, random_materials
from training.render.camera import FILM_MM, Camera, Framing, photo_camera
from training.render.effects import defocus, develop
from training.render.light import random_light, studio_light
from training.render.renderer import Layers, Renderer
from training.render.scene import STREET, random_backdrop

#: Corner views, seen from before the nose, and how often each kind of view is taken: front corner, rear corner, flank,
#: anything. As in listings of used cars.
CORNER_DEG, KINDS = 38.0, (0.45, 0.2, 0.15, 0.2)
#: Side of the sun's shadow map: sharper than for the small pictures of the training data.
SHADOW_SIZE = 1024


@dataclass(frozen=True)
class Snapshot:
    """A picture and how it was taken.

    rgb: (H, W, 3) uint8. box: the whole car's, within the picture. camera: OpenCV convention, world = canonical frame,
    pixel centres at integer + 0.5. azimuth_deg: 0 before the nose, 90 on the car's left. focal_mm: 35 mm equivalent.
    """

    rgb: np.ndarray
    box: Box
    camera: Camera
    azimuth_deg: float
    elevation_deg: float
    focal_mm: float


def take(renderer: Renderer, mesh: CarMesh, rng: np.random.Generator) -> Snapshot:
    """A photo of the renderer's size; the same for the same state of ``rng``."""
    car = renderer.prepare(mesh)
    azimuth, elevation = _azimuth(rng), float(np.clip(rng.normal(5, 5), -1, 25))
    focal = float(np.exp(rng.uniform(np.log(28), np.log(85))))
    camera = _camera(renderer, car.soup.hull, (azimuth, elevation, focal), rng)
    backdrop = random_backdrop(rng, azimuth)
    light = studio_light(rng) if backdrop.kind != STREET and rng.random() < 0.7 else random_light(rng)
    layers = renderer.draw(car, camera, random_materials(rng), random_dress(rng), light, backdrop)
    rgb = develop(_radiance(layers, float(rng.uniform(0.0, 0.012))), renderer.size, rng)
    return Snapshot(rgb, _within(camera.box(car.soup.hull), renderer.size), camera, azimuth, elevation, focal)


def encode_jpeg(rgb: np.ndarray, quality: int = 92) -> bytes:
    """A JPEG file of an RGB picture (H, W, 3) uint8."""
    return bytes(cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def _azimuth(rng: np.random.Generator) -> float:
    kind, side = int(rng.choice(len(KINDS), p=KINDS)), float(rng.choice([-1, 1]))
    if kind == 3:
        return float(rng.uniform(0, 360))
    middle = (CORNER_DEG, 180 - CORNER_DEG, 90.0)[kind]
    return float((side * middle + rng.normal(0, 9)) % 360)


def _camera(
    renderer: Renderer, hull: np.ndarray, view: tuple[float, float, float], rng: np.random.Generator
) -> Camera:
    """Camera in pixels of the picture, whose longer edge is the film's."""
    aim = rng.uniform(-0.04, 0.04, 2)
    framing = Framing(
        fill=float(rng.uniform(0.5, 0.85)), roll_deg=float(rng.normal(0, 1)), aim=(float(aim[0]), float(aim[1]))
    )
    photo = photo_camera(hull, *view, framing)
    width, height = renderer.size
    zoom = max(width, height) / FILM_MM
    K = np.array([[zoom * view[2], 0, width / 2], [0, zoom * view[2], height / 2], [0, 0, 1.0]])
    return Camera(K, photo.R, photo.t)


def _radiance(layers: Layers, strength: float) -> np.ndarray:
    back = defocus(layers.back, layers.near, layers.distance, strength)
    return np.where(layers.kind[..., None] > 0, layers.car, back)


def _within(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box in a picture of (width, height)."""
    left, top = max(box[0], 0.0), max(box[1], 0.0)
    right, bottom = min(box[0] + box[2], float(size[0])), min(box[1] + box[3], float(size[1]))
    return left, top, max(right - left, 0.0), max(bottom - top, 0.0)
