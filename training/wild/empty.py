"""Scenes without a car, as a camera that pans sees them: streets, yards and car parks, all bays free.

The very surroundings that stand behind the cars of the training pictures (:mod:`training.render.scene`), all round the
camera; what stands in for a car is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from edge.geometry import look_rotation
from training.meshes.model import CarMesh, MeshPart
from training.render.appearance import Dress, Materials, random_dress, random_materials
from training.render.camera import Camera
from training.render.effects import Veil, develop
from training.render.light import Light, random_light
from training.render.occluders import moved, random_thing
from training.render.renderer import PreparedCar, Renderer
from training.render.scene import CAR, GLOSSY, Backdrop, street
from training.render.shader_scene import MAX_BOXES

#: Pictures are so large, width and height in pixels; a finder makes them smaller still.
SIZE = (400, 300)
#: What is drawn of each scene, once: all that the camera sees while it pans, so many times as wide and as high as a
#: picture. To draw every look costs a second each.
WIDER = (1.92, 4 / 3)
#: Looks at one scene and looks a second: what a device does while it follows a car.
LOOKS, RATE = 12, 4.0
#: How often something passes close to the lens: somebody, a post, a bush, a bin.
PASSING = 0.3


@dataclass(frozen=True)
class Scene:
    """backdrop, light: what is there. eye: (3,) where the camera stands, car lengths. heading: degrees, halfway through
    its turn; pan: by how much it turns a second. pitch: degrees, positive = upwards. view: degrees across the picture.
    seed: of the camera's own errors."""

    backdrop: Backdrop
    light: Light
    eye: np.ndarray
    heading: float
    pan: float
    pitch: float
    view: float
    seed: int


def empty_street(rng: np.random.Generator) -> Backdrop:
    """What stands on three sides of a place in a street, without any car. No place is kept free for one either: no
    shade of a car is on the ground."""
    azimuth = float(rng.uniform(0, 360))
    sides = [street(rng, azimuth + turn) for turn in (0.0, 120.0, 240.0)]
    boxes = np.concatenate([side.boxes[~np.isin(side.boxes[:, 7], (CAR, GLOSSY))][: MAX_BOXES // 3] for side in sides])
    return replace(sides[0], boxes=boxes, neighbours=(), contact=(0.0, 0.1))


def random_scene(rng: np.random.Generator) -> Scene:
    """A place, the weather, and how the camera is held: at the height of a chest or a roof, panning to one side."""
    backdrop, light = empty_street(rng), random_light(rng)
    eye = np.array([rng.uniform(-0.3, 0.3), rng.uniform(-0.3, 0.3), rng.uniform(0.2, 0.5)])
    view = float(rng.uniform(42, 70))
    # All that is seen must fit into one wide picture.
    pan = float(rng.choice([-1.0, 1.0]) * min(rng.uniform(4, 30), (100 - view) * RATE / LOOKS))
    heading, pitch = float(rng.uniform(0, 360)), float(np.clip(rng.normal(-3, 5), -12, 8))
    return Scene(backdrop, light, eye, heading, pan, pitch, view, int(rng.integers(1 << 31)))


def lens(view_deg: float, size: tuple[int, int]) -> np.ndarray:
    """K (3, 3) of a camera that sees so many degrees across a picture of ``size``."""
    focal = size[0] / 2 / np.tan(np.radians(view_deg) / 2)
    return np.array([[focal, 0, size[0] / 2], [0, focal, size[1] / 2], [0, 0, 1.0]])


def turned(scene: Scene, look: float) -> np.ndarray:
    """R (3, 3) of the camera at a look, 0 .. LOOKS - 1."""
    turn = np.radians(scene.heading + scene.pan * (look - (LOOKS - 1) / 2) / RATE)
    tilt = np.radians(scene.pitch)
    back = -np.cos(tilt) * np.cos(turn), -np.cos(tilt) * np.sin(turn), -np.sin(tilt)
    return look_rotation(back).astype(np.float64)


def wide_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height in pixels of the picture that holds every look of pictures of ``size``."""
    return round(size[0] * WIDER[0]), round(size[1] * WIDER[1])


def wide_camera(scene: Scene, size: tuple[int, int]) -> Camera:
    """The camera whose one picture, of :func:`wide_size`, holds every look of pictures of ``size``."""
    R = turned(scene, (LOOKS - 1) / 2)
    corners = np.array([[x, y, 1.0] for x in (0, size[0]) for y in (0, size[1])])
    looks = [R @ turned(scene, look).T @ np.linalg.inv(lens(scene.view, size)) @ corners.T for look in (0, LOOKS - 1)]
    rays = np.concatenate([look[:2] / look[2] for look in looks], axis=1)
    low, high = rays.min(1), rays.max(1)
    whole = np.array(wide_size(size))
    focal = float(np.min(whole / (high - low)))
    middle = whole / 2 - focal * (low + high) / 2
    K = np.array([[focal, 0, middle[0]], [0, focal, middle[1]], [0, 0, 1.0]])
    return Camera(K, R, -R @ scene.eye)


def needle() -> CarMesh:
    """The renderer draws nothing without a car; this one is a needle on the ground, too thin for any pixel, and only
    what is behind it is used."""
    thin = 1e-4
    corners = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0.5, thin, 0], [0.5, 0, thin]], np.float32)
    faces = np.array([[0, 1, 2], [0, 1, 3], [0, 2, 3], [1, 2, 3]], np.int32)
    part = MeshPart("needle", "underbody", corners, faces)
    return CarMesh("needle", "drawn here", "Apache-2.0", "nobody", "sedan", "needle", (part,), 4.5)


class EmptyStreets:
    """Draws car-free scenes, the same ones for the same seed. Use as a context manager. Raises DataError without EGL.

    size: width and height of the pictures in pixels.
    """

    def __init__(self, seed: int = 0, size: tuple[int, int] = SIZE) -> None:
        self.size, self._seed = size, seed
        self._renderer = Renderer(wide_size(size), supersample=1)
        rng = np.random.default_rng(seed)
        self._materials: Materials = random_materials(rng)
        self._dress: Dress = random_dress(rng)
        self._needle: PreparedCar = self._renderer.prepare(needle())

    def __enter__(self) -> EmptyStreets:
        return self

    def __exit__(self, *_: object) -> None:
        self._renderer.close()

    def pictures(self, scene_number: int) -> Iterator[np.ndarray]:
        """The looks at one scene, (h, w, 3) uint8 BGR each."""
        rng = np.random.default_rng([self._seed, scene_number])
        scene = random_scene(rng)
        veil = self._passing(scene, rng)
        start, speed = rng.uniform(-0.7, 0.7), -np.sign(scene.pan) * rng.uniform(0.1, 0.5)
        camera = wide_camera(scene, self.size)
        wide = self._renderer.draw(
            self._needle, camera, self._materials, self._dress, scene.light, scene.backdrop
        ).back
        for look in range(LOOKS):
            # A camera that turns where it stands sees a homography of what it saw.
            back = lens(scene.view, self.size) @ turned(scene, look) @ camera.R.T @ np.linalg.inv(camera.K)
            radiance = cv2.warpPerspective(wide, back, self.size, borderMode=cv2.BORDER_REPLICATE)
            if veil is not None:
                place = moved(veil, (int((start + speed * look / RATE) * self.size[0]), 0))
                radiance = radiance + (place.rgb - radiance) * place.cover[..., None]
            # One camera, one set of errors: the same draw in each of its pictures.
            rgb = develop(radiance, self.size, np.random.default_rng(scene.seed))
            yield np.ascontiguousarray(rgb[..., ::-1])

    def _passing(self, scene: Scene, rng: np.random.Generator) -> Veil | None:
        """Something near the lens, out of focus, in some of the scenes."""
        if rng.random() >= PASSING:
            return None
        thing = random_thing(rng, (self.size[1], self.size[0]), scene.light)
        return Veil(thing.rgb, np.asarray(cv2.GaussianBlur(thing.cover, (0, 0), rng.uniform(0.5, 3.0))))
