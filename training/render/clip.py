"""A demo clip: a camera walks round one car in a car park, at a steady pace, the car always well in view."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from edge.errors import DataError
from edge.geometry import look_rotation
from training.meshes.model import CarMesh
from training.render.appearance import linear, painted, random_dress, random_paint
from training.render.camera import Camera, stand
from training.render.effects import shrink, tone
from training.render.light import Light, sun_at
from training.render.renderer import Renderer
from training.render.scene import HEDGE, PARKING, STREET, WINDOWS, Backdrop, parked_car

#: Paints that look well in the light of :func:`afternoon`, sRGB.
PAINTS = ((0.72, 0.07, 0.06), (0.07, 0.22, 0.55), (0.78, 0.8, 0.82), (0.85, 0.5, 0.06), (0.08, 0.32, 0.24))
FOCAL_MM = 50.0
#: From the camera to the middle of the car, in car lengths: about ten metres.
DISTANCE = 2.2


@dataclass(frozen=True)
class ClipSettings:
    """Length in seconds, frames a second, width and height in pixels, seed of paint, scene and start."""

    seconds: float = 8.0
    fps: float = 15.0
    size: tuple[int, int] = (640, 360)
    seed: int = 0


def afternoon(rng: np.random.Generator) -> Light:
    """Warm sun from the side, blue sky, a few clouds, crisp shadows."""
    return Light(
        sun_direction=sun_at(rng.uniform(20, 70), rng.uniform(32, 45)), sun_colour=2.3 * np.array([1.0, 0.93, 0.8]),
        zenith=np.array([0.20, 0.36, 0.68]), horizon=np.array([0.68, 0.76, 0.86]), clouds=0.8, exposure=0.85,
        shadow_strength=0.95, shadow_softness=0.004,
    )


def car_park(rng: np.random.Generator) -> Backdrop:
    """Asphalt with bays, hedges, a few parked cars and houses all round, beyond the camera's path."""
    boxes: list[list[float]] = []
    # Three cars of two boxes, three houses and three hedges.
    for turn in np.linspace(0, 2 * np.pi, 3, endpoint=False) + rng.uniform(0, 1):
        reach = rng.uniform(3.6, 4.6)
        heading, paint, dark = float(rng.normal(0, 0.05)) + np.pi / 2, random_paint(rng), linear(np.full(3, 0.12))
        boxes += parked_car(reach * np.cos(turn), reach * np.sin(turn), heading, 0.46, paint, dark)
    for turn in np.linspace(0, 2 * np.pi, 3, endpoint=False) + rng.uniform(0, 1.5):
        reach, wall = rng.uniform(9, 14), linear(rng.choice([0.75, 0.62, 0.5]) * np.array([1.0, 0.93, 0.84]))
        half = [rng.uniform(1.5, 3), rng.uniform(1.2, 2), rng.uniform(2, 4)]
        boxes.append([reach * np.cos(turn), reach * np.sin(turn), 0, turn + np.pi / 2, *half, WINDOWS, *wall, 0])
        green = linear((0.24, 0.36, 0.15))
        x, y = 6.0 * np.cos(turn + 0.8), 6.0 * np.sin(turn + 0.8)
        hedge = [rng.uniform(1.5, 3), 0.25, rng.uniform(0.25, 0.5)]
        boxes.append([x, y, 0, turn + 0.8 + np.pi / 2, *hedge, HEDGE, *green, 0])
    return Backdrop(
        kind=STREET, colour_a=np.ones(3), colour_b=np.ones(3), blend=np.zeros(3), ground=linear((0.40, 0.40, 0.41)),
        pattern=np.array([PARKING, 0.62, 0.0, 0.31]), contact=(0.8, 0.1),
        skyline=np.array([0.085, 7.0, rng.uniform(0, 40), 1.0]), skyline_colour=linear((0.25, 0.34, 0.2)),
        boxes=np.asarray(boxes, np.float32),
    )


def walk(hull: np.ndarray, count: int, size: tuple[int, int], start_deg: float) -> list[Camera]:
    """``count`` cameras once round the car (the last joins the first), the car centred and as large as fits.

    hull: (H, 3) canonical. size: width and height of the picture in pixels.
    """
    cameras = []
    for index in range(count):
        part = index / count
        elevation = 11 + 5 * np.sin(2 * np.pi * part)
        R = look_rotation(stand(start_deg + 360 * part, elevation)).astype(np.float64)
        camera = Camera(np.diag([FOCAL_MM, FOCAL_MM, 1.0]), R, np.array([0.0, 0.0, DISTANCE]))
        x, y, width, height = camera.box(hull)
        # A smooth minimum of what the width and the height allow: the zoom must not jerk where one takes over.
        wide, high = 0.84 * size[0] / width, 0.74 * size[1] / height
        zoom = (wide**-6 + high**-6) ** (-1 / 6)
        K = np.diag([FOCAL_MM * zoom, FOCAL_MM * zoom, 1.0])
        K[:2, 2] = size[0] / 2 - (x + width / 2) * zoom, size[1] / 2 - (y + height / 2) * zoom
        cameras.append(Camera(K, camera.R, camera.t))
    return cameras


def write_clip(mesh: CarMesh, target: Path, settings: ClipSettings) -> dict:
    """Render and encode (MPEG-4 part 2, which every OpenCV reads); returns and writes the sidecar ``target``.json.

    The sidecar holds the car's box x, y, width, height in pixels per frame, and whom to credit for the mesh. Neither
    file appears before it is complete. Raises DataError: no EGL, or the file cannot be written.
    """
    rng = np.random.default_rng(settings.seed)
    count = max(int(round(settings.seconds * settings.fps)), 1)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".part.{os.getpid()}.{target.name}")
    writer = cv2.VideoWriter(str(scratch), cv2.VideoWriter.fourcc(*"mp4v"), settings.fps, settings.size)
    if not writer.isOpened():
        raise DataError(f"cannot write {target}; give --out a file name that ends in .mp4, in a writable folder")
    fine = (settings.size[0] * 2, settings.size[1] * 2)
    light, scene = afternoon(rng), car_park(rng)
    look = np.random.default_rng([settings.seed, 1])
    materials, dress = painted(linear(PAINTS[settings.seed % len(PAINTS)]), look), random_dress(look)
    boxes = []
    try:
        with Renderer(fine, supersample=1, shadow_size=1024) as renderer:
            car = renderer.prepare(mesh)
            cameras = walk(car.soup.hull, count, fine, float(rng.uniform(0, 360)))
            for camera in tqdm(cameras, desc="frames", unit="frame", mininterval=1.0):
                layers = renderer.draw(car, camera, materials, dress, light, scene)
                radiance = np.where(layers.kind[..., None] > 0, layers.car, layers.back)
                small = shrink(tone(radiance, light.exposure), settings.size)
                writer.write(np.ascontiguousarray(small[..., ::-1]))
                boxes.append([round(value / 2, 2) for value in camera.box(car.soup.hull)])
        writer.release()
        sidecar = {
            "car": mesh.name, "source": mesh.source, "licence": mesh.licence, "attribution": mesh.attribution,
            "size": list(settings.size), "fps": settings.fps, "seed": settings.seed, "boxes": boxes,
        }
        os.replace(scratch, target)
    finally:
        writer.release()
        scratch.unlink(missing_ok=True)
    notes = target.with_suffix(".json")
    part = notes.with_name(f".part.{os.getpid()}.{notes.name}")
    part.write_text(json.dumps(sidecar) + "\n", encoding="utf-8")
    os.replace(part, notes)
    return sidecar
