"""The rasteriser: OpenGL through moderngl and EGL, no window; Mesa's llvmpipe does it on a CPU."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import cv2
import moderngl
import numpy as np

from edge.errors import DataError
from training.meshes.model import CarMesh
from training.render import shaders
from training.render.appearance import Materials
from training.render.camera import Camera
from training.render.geometry import Soup, build_soup
from training.render.occlusion import openness, parallel_matrix
from training.render.scene import MAX_BOXES, Backdrop, Light

KEPT_CARS = 4


@dataclass
class PreparedCar:
    """A car on the graphics side. soup: its triangles; ground: height of the floor below it; the rest is OpenGL's."""

    soup: Soup
    ground: float
    footprint: tuple[float, float]
    paint: moderngl.VertexArray
    depth: moderngl.VertexArray
    buffers: tuple[moderngl.Buffer, ...]

    def release(self) -> None:
        for item in (self.paint, self.depth, *self.buffers):
            item.release()


def open_context(backend: str = "egl") -> moderngl.Context:
    """A windowless OpenGL 3.3 context. Raises DataError, with what to install, where there is none."""
    # One thread a process: pictures are spread over processes, and llvmpipe reads this once.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    try:
        return moderngl.create_context(standalone=True, require=330, backend=backend)
    except Exception as error:  # glcontext raises bare Exception for every cause
        raise DataError(
            f"no windowless OpenGL 3.3 (EGL) on this machine: {error}. "
            "Type: apt-get install --no-install-recommends libegl1 libgl1-mesa-dri"
        ) from error


class Renderer:
    """Draws cars into an RGB picture and a silhouette. Use as a context manager, or call :meth:`close`.

    size: side in pixels, or (width, height). supersample: each pixel of the car is the mean of so many squared.
    shadow_size: side of the sun's shadow map, which covers two car lengths.
    Raises DataError if the machine has no EGL.
    """

    def __init__(self, size: int | tuple[int, int] = 128, supersample: int = 2, shadow_size: int = 256) -> None:
        self.size = (size, size) if isinstance(size, int) else size
        self._context = ctx = open_context()
        self._car = ctx.program(vertex_shader=shaders.CAR_VERTEX, fragment_shader=shaders.CAR_FRAGMENT)
        self._depth = ctx.program(vertex_shader=shaders.CAR_VERTEX, fragment_shader=shaders.DEPTH_FRAGMENT)
        self._back = ctx.program(vertex_shader=shaders.BACKGROUND_VERTEX, fragment_shader=shaders.BACKGROUND_FRAGMENT)
        corners = ctx.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4").tobytes())
        self._quad = ctx.vertex_array(self._back, [(corners, "2f", "corner")])
        # The car at twice the size and averaged: on llvmpipe half the price of 4x multisampling, and it smooths glints
        # as well. The background is soft anyway, and its shader dear: once a pixel will do.
        self._fine = (self.size[0] * supersample, self.size[1] * supersample)
        self._foreground = ctx.framebuffer(ctx.renderbuffer(self._fine, 4), ctx.depth_renderbuffer(self._fine))
        self._background = ctx.framebuffer(ctx.renderbuffer(self.size, 4))
        self._shadow = ctx.depth_texture((shadow_size, shadow_size))
        self._shadow.compare_func = ""
        self._shadow.repeat_x = self._shadow.repeat_y = False
        self._sun = ctx.framebuffer(depth_attachment=self._shadow)
        self._cars: OrderedDict[int, tuple[CarMesh, PreparedCar]] = OrderedDict()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the context and everything in it back."""
        self._cars.clear()
        self._context.release()

    def prepare(self, mesh: CarMesh) -> PreparedCar:
        """Upload a car; the last few cars are kept, so that repeated calls are free."""
        if id(mesh) in self._cars:
            return self._cars[id(mesh)][1]
        soup = build_soup(mesh)
        self._cars[id(mesh)] = (mesh, self._upload(soup))
        if len(self._cars) > KEPT_CARS:
            self._cars.popitem(last=False)[1][1].release()
        return self._cars[id(mesh)][1]

    def draw(
        self, car: PreparedCar, camera: Camera, materials: Materials, light: Light, backdrop: Backdrop
    ) -> tuple[np.ndarray, np.ndarray]:
        """One picture: rgb (H, W, 3) uint8 and coverage of the car (H, W) uint8, 255 where it covers the pixel."""
        ctx = self._context
        ctx.enable_only(moderngl.DEPTH_TEST)
        sun_matrix = parallel_matrix(light.sun_direction)
        if light.shadow_strength > 0:
            self._depth_from(car.depth, sun_matrix)
        values = _shared(camera, light, backdrop, car, sun_matrix)
        matrix = _clip_matrix(camera, self.size)
        self._foreground.use()
        self._foreground.clear(depth=1.0)
        self._shadow.use(0)
        _write(self._car, {**values, "matrix": matrix.T, "albedo": materials.albedo, "finish": materials.finish})
        car.paint.render(moderngl.TRIANGLES)
        front = cv2.resize(_read(self._foreground), self.size, interpolation=cv2.INTER_AREA)
        self._background.use()
        ctx.disable(moderngl.DEPTH_TEST)
        _write(self._back, {**values, **_surroundings(camera, backdrop, car, self.size)})
        self._quad.render(moderngl.TRIANGLE_STRIP)
        mask = np.ascontiguousarray(front[..., 3])
        # The car's colours are already multiplied by its coverage: it was averaged over black.
        behind = cv2.multiply(_read(self._background)[..., :3], cv2.merge([255 - mask] * 3), scale=1 / 255)
        return cv2.add(np.ascontiguousarray(front[..., :3]), behind), mask

    def _upload(self, soup: Soup) -> PreparedCar:
        ctx = self._context
        occlusion, useful = self._openness(soup)
        layout = np.column_stack([soup.position, soup.normal, soup.category, occlusion]).astype("f4")
        vertices, indices = ctx.buffer(layout.tobytes()), ctx.buffer(soup.faces[useful].astype("i4").tobytes())
        names = ("position", "normal", "category", "occlusion")
        paint = ctx.vertex_array(self._car, [(vertices, "3f 3f 1f 1f", *names)], indices)
        depth = ctx.vertex_array(self._depth, [(vertices, "3f 20x", "position")], indices)
        half = np.abs(soup.position).max(0)
        ground = float(soup.position[:, 2].min())
        return PreparedCar(soup, ground, (float(half[0]), float(half[1])), paint, depth, (vertices, indices))

    def _depth_from(self, array: moderngl.VertexArray, matrix: np.ndarray) -> None:
        """Draw a depth array into the sun's map."""
        self._sun.use()
        self._sun.clear(depth=1.0)
        _write(self._depth, {"matrix": matrix.T})
        array.render(moderngl.TRIANGLES)

    def _openness(self, soup: Soup) -> tuple[np.ndarray, np.ndarray]:
        ctx = self._context
        vertices = ctx.buffer(soup.position.astype("f4").tobytes())
        indices = ctx.buffer(soup.faces.astype("i4").tobytes())
        array = ctx.vertex_array(self._depth, [(vertices, "3f", "position")], indices)
        ctx.enable_only(moderngl.DEPTH_TEST)

        def depth_from(matrix: np.ndarray) -> np.ndarray:
            self._depth_from(array, matrix)
            return np.frombuffer(self._shadow.read(), np.float32).reshape(self._shadow.size)

        result = openness(soup, depth_from)
        for item in (array, vertices, indices):
            item.release()
        return result


def _read(target: moderngl.Framebuffer) -> np.ndarray:
    """RGBA of a framebuffer, (H, W, 4) uint8, row 0 at the top."""
    pixels = np.frombuffer(target.read(components=4), np.uint8)
    return np.ascontiguousarray(pixels.reshape(target.height, target.width, 4)[::-1])


def _write(program: moderngl.Program, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name in program:
            member = program[name]
            if isinstance(value, np.ndarray):
                member.write(np.ascontiguousarray(value, "f4").tobytes())
            else:
                member.value = value


def _shared(
    camera: Camera, light: Light, backdrop: Backdrop, car: PreparedCar, sun_matrix: np.ndarray
) -> dict[str, Any]:
    above = 0.8 * light.sun_colour * max(light.sun_direction[2], 0) + (light.zenith + light.horizon) / 2
    return {
        "eye": camera.eye, "ground": car.ground, "exposure": light.exposure,
        "sunDirection": light.sun_direction, "sunColour": light.sun_colour, "zenith": light.zenith,
        "horizon": light.horizon, "groundLit": backdrop.ground * above, "clouds": light.clouds,
        "skyline": backdrop.skyline, "skylineColour": backdrop.skyline_colour * above,
        "sunMatrix": sun_matrix.T, "shadowStrength": light.shadow_strength, "shadowSoftness": light.shadow_softness,
    }


def _surroundings(camera: Camera, backdrop: Backdrop, car: PreparedCar, size: tuple[int, int]) -> dict[str, Any]:
    boxes = np.zeros((MAX_BOXES, 12), np.float32)
    boxes[: len(backdrop.boxes)] = backdrop.boxes
    boxes[:, 2] += car.ground
    to_pixel = np.array([[size[0] / 2, 0, size[0] / 2], [0, -size[1] / 2, size[1] / 2], [0, 0, 1.0]])
    rays = camera.R.T @ np.linalg.inv(camera.K) @ to_pixel
    return {
        "rays": rays.T, "kind": backdrop.kind, "colourA": backdrop.colour_a, "colourB": backdrop.colour_b,
        "blend": backdrop.blend, "groundColour": backdrop.ground, "pattern": backdrop.pattern,
        "footprint": np.array([*car.footprint, *backdrop.contact]), "boxes": len(backdrop.boxes),
        "boxPlace": boxes[:, :4], "boxShape": boxes[:, 4:8], "boxColour": boxes[:, 8:],
    }


def _clip_matrix(camera: Camera, size: tuple[int, int], near: float = 0.02, far: float = 50.0) -> np.ndarray:
    """OpenGL clip matrix (4, 4) of an OpenCV camera: y is turned up, depth 0..far to -1..1."""
    K, (width, height) = camera.K, size
    lens = np.array([
        [2 * K[0, 0] / width, 0, 2 * K[0, 2] / width - 1, 0],
        [0, -2 * K[1, 1] / height, 1 - 2 * K[1, 2] / height, 0],
        [0, 0, (far + near) / (far - near), -2 * far * near / (far - near)],
        [0, 0, 1, 0],
    ])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = camera.R, camera.t
    return lens @ pose
