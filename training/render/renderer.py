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
from training.render import shader_car, shader_scene, shaders, uniforms
from training.render.appearance import Dress, Materials
from training.render.camera import Camera
from training.render.details import Details, measure
from training.render.fleet import pick
from training.render.geometry import Soup, build_soup
from training.render.light import Light
from training.render.occlusion import openness, parallel_matrix
from training.render.scene import Backdrop, Neighbour

#: Cars whose buffers are kept, besides the fleet's.
KEPT_CARS = 4
#: Width and height of the panorama that the paint mirrors.
PANORAMA = (192, 96)


@dataclass
class PreparedCar:
    """A car on the graphics side. soup: its triangles; ground: height of the floor below it; the rest is OpenGL's."""

    soup: Soup
    details: Details
    ground: float
    footprint: tuple[float, float]
    paint: moderngl.VertexArray
    depth: moderngl.VertexArray
    flat: moderngl.VertexArray
    buffers: tuple[moderngl.Buffer, ...]

    def release(self) -> None:
        for item in (self.paint, self.depth, self.flat, *self.buffers):
            item.release()


@dataclass(frozen=True)
class Layers:
    """What one exposure is made of, before the camera: all at the fine size (H, W), linear radiance.

    car, back: (H, W, 3) float32. kind: (H, W) uint8, 0 beside the car, else 1 + index into CATEGORIES. near: (H, W)
    float32, one over the distance of the background in car lengths, 0 = far away. distance: of the car.
    """

    car: np.ndarray
    kind: np.ndarray
    back: np.ndarray
    near: np.ndarray
    distance: float


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
    """Draws cars into layers of linear radiance with their labels. Use as a context manager, or call :meth:`close`.

    size: side in pixels, or (width, height). supersample: each pixel is the mean of so many squared. shadow_size: side
    of the sun's shadow map, which covers two car lengths. Raises DataError if the machine has no EGL.
    """

    def __init__(self, size: int | tuple[int, int] = 128, supersample: int = 2, shadow_size: int = 256) -> None:
        self.size = (size, size) if isinstance(size, int) else size
        self.fine = (self.size[0] * supersample, self.size[1] * supersample)
        self._context = ctx = open_context()
        self._car = ctx.program(vertex_shader=shader_car.CAR_VERTEX, fragment_shader=shader_car.CAR_FRAGMENT)
        self._depth = ctx.program(vertex_shader=shaders.DEPTH_VERTEX, fragment_shader=shaders.DEPTH_FRAGMENT)
        self._flat = ctx.program(vertex_shader=shaders.DEPTH_VERTEX, fragment_shader=shaders.FLAT_FRAGMENT)
        self._back, self._round = (
            ctx.program(vertex_shader=shaders.FRAME_VERTEX, fragment_shader=source)
            for source in (shader_scene.BACKGROUND_FRAGMENT, shader_scene.PANORAMA_FRAGMENT)
        )
        corners = ctx.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4").tobytes())
        self._back_quad, self._round_quad = (
            ctx.vertex_array(program, [(corners, "2f", "corner")]) for program in (self._back, self._round)
        )
        # Everything at twice the size and averaged after the tone curve: on llvmpipe half the price of 4x
        # multisampling, and it smooths glints and textures as well as edges.
        self._foreground = ctx.framebuffer(
            [ctx.renderbuffer(self.fine, 4, dtype="f2"), ctx.renderbuffer(self.fine, 1)],
            ctx.depth_renderbuffer(self.fine),
        )
        self._background = ctx.framebuffer(
            ctx.renderbuffer(self.fine, 4, dtype="f2"), ctx.depth_renderbuffer(self.fine)
        )
        self._panorama = ctx.texture(PANORAMA, 4, dtype="f2")
        self._panorama.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        self._panorama.repeat_x, self._panorama.repeat_y = True, False
        self._around = ctx.framebuffer(self._panorama)
        self._shadow = ctx.depth_texture((shadow_size, shadow_size))
        self._shadow.compare_func = ""
        self._shadow.repeat_x = self._shadow.repeat_y = False
        self._sun = ctx.framebuffer(depth_attachment=self._shadow)
        self._cars: OrderedDict[int, tuple[CarMesh, PreparedCar]] = OrderedDict()
        self._standing: dict[int, PreparedCar] = {}

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give the context and everything in it back."""
        self._enter()
        self._cars.clear()
        self._standing.clear()
        self._context.release()

    def prepare(self, mesh: CarMesh) -> PreparedCar:
        """Upload a car; the last few cars are kept, so that repeated calls are free."""
        if id(mesh) in self._cars:
            return self._cars[id(mesh)][1]
        self._enter()
        self._cars[id(mesh)] = (mesh, self._upload(mesh, 48))
        if len(self._cars) > KEPT_CARS:
            self._cars.popitem(last=False)[1][1].release()
        return self._cars[id(mesh)][1]

    def standing(self, share: float) -> PreparedCar:
        """The car at ``share`` of the way through the fleet; kept until :meth:`close`."""
        mesh = pick(share)
        if id(mesh) not in self._standing:
            self._enter()
            self._standing[id(mesh)] = self._upload(mesh, 24)
        return self._standing[id(mesh)]

    def draw(
        self, car: PreparedCar, camera: Camera, materials: Materials, dress: Dress, light: Light, backdrop: Backdrop
    ) -> Layers:
        """The layers of one picture."""
        ctx = self._enter()
        for other in backdrop.neighbours:  # before anything is drawn: to prepare a car uses the sun's map
            self.standing(other.pick)
        ctx.enable_only(moderngl.DEPTH_TEST)
        ctx.depth_func = "<="
        sun_matrix = parallel_matrix(light.sun_direction)
        if light.shadow_strength > 0:
            self._depth_from(car.depth, sun_matrix)
        shared = uniforms.shared(camera, light, sun_matrix)
        around = uniforms.surroundings(camera, light, backdrop, car.ground, car.footprint, self.size)
        matrix = uniforms.clip_matrix(camera, self.size)
        self._shadow.use(0)
        self._panorama.use(1)
        self._draw_panorama({**shared, **around}, car.ground)
        own = uniforms.car(materials, dress, car.details, car.ground)
        self._foreground.use()
        self._foreground.clear(depth=1.0)
        uniforms.write(self._car, {**shared, **own, "matrix": matrix.T, "panorama": 1})
        car.paint.render(moderngl.TRIANGLES)
        front, kind = _read(self._foreground), _read_label(self._foreground)
        self._background.use()
        self._background.clear(depth=1.0)
        uniforms.write(self._back, {**shared, **around, "matrix": matrix.T})
        self._back_quad.render(moderngl.TRIANGLE_STRIP)
        for other in backdrop.neighbours:
            self._draw_neighbour(other, car.ground, matrix, shared, camera)
        behind = _read(self._background)
        distance = float(np.linalg.norm(camera.eye))
        return Layers(front[..., :3], kind, behind[..., :3], behind[..., 3], distance)

    def draw_other(
        self, other: Neighbour, ground: float, camera: Camera, light: Light
    ) -> tuple[np.ndarray, np.ndarray]:
        """Another car alone: linear rgb (H, W, 3) float32 and cover (H, W) float32 at the fine size.

        ground: height of the floor. It mirrors the panorama of the last :meth:`draw`.
        """
        self.standing(other.pick)
        self._enter().enable_only(moderngl.DEPTH_TEST)
        self._foreground.use()
        self._foreground.clear(depth=1.0)
        self._panorama.use(1)
        shared = uniforms.shared(camera, light, np.eye(4))
        self._draw_neighbour(other, ground, uniforms.clip_matrix(camera, self.size), shared, camera)
        seen = _read(self._foreground)
        return seen[..., :3], (_read_label(self._foreground) > 0).astype(np.float32)

    def silhouette(self, car: PreparedCar, camera: Camera) -> np.ndarray:
        """Coverage by the whole car, (h, w) uint8, 255 = wholly, at the picture's size."""
        self._enter().enable_only(moderngl.DEPTH_TEST)
        self._foreground.use()
        self._foreground.clear(depth=1.0)
        uniforms.write(self._flat, {"matrix": uniforms.clip_matrix(camera, self.size).T})
        car.flat.render(moderngl.TRIANGLES)
        pixels = np.frombuffer(self._foreground.read(components=1), np.uint8).reshape(self.fine[::-1])[::-1]
        return np.asarray(cv2.resize(pixels, self.size, interpolation=cv2.INTER_AREA))

    def _enter(self) -> moderngl.Context:
        """Make this renderer's context the current one: there may be several, and drawing into another's crashes."""
        self._context.__enter__()
        return self._context

    def _draw_panorama(self, values: dict[str, Any], ground: float) -> None:
        self._context.disable(moderngl.DEPTH_TEST)
        self._around.use()
        uniforms.write(self._round, {**values, "middle": np.array([0.0, 0.0, ground + 0.15])})
        self._round_quad.render(moderngl.TRIANGLE_STRIP)
        self._panorama.build_mipmaps()
        self._context.enable(moderngl.DEPTH_TEST)

    def _draw_neighbour(
        self, other: Neighbour, ground: float, matrix: np.ndarray, shared: dict[str, Any], camera: Camera
    ) -> None:
        car = self.standing(other.pick)
        place = uniforms.placed(other, ground, car.ground)
        own = uniforms.car(other.materials, other.dress, car.details, car.ground)
        moved = uniforms.seen_from(place, other, shared, camera)
        uniforms.write(self._car, {**shared, **own, **moved, "matrix": (matrix @ place).T, "panorama": 1})
        car.paint.render(moderngl.TRIANGLES)

    def _upload(self, mesh: CarMesh, directions: int) -> PreparedCar:
        ctx = self._context
        soup = build_soup(mesh)
        occlusion, useful, details = self._inspect(soup, mesh.length_m, directions)
        layout = np.column_stack([soup.position, soup.normal, soup.category, occlusion]).astype("f4")
        vertices, indices = ctx.buffer(layout.tobytes()), ctx.buffer(soup.faces[useful].astype("i4").tobytes())
        names = ("position", "normal", "category", "occlusion")
        paint = ctx.vertex_array(self._car, [(vertices, "3f 3f 1f 1f", *names)], indices)
        depth, flat = (
            ctx.vertex_array(program, [(vertices, "3f 20x", "position")], indices)
            for program in (self._depth, self._flat)
        )
        half = np.abs(soup.position).max(0)
        ground = float(soup.position[:, 2].min())
        footprint = (float(half[0]), float(half[1]))
        return PreparedCar(soup, details, ground, footprint, paint, depth, flat, (vertices, indices))

    def _depth_from(self, array: moderngl.VertexArray, matrix: np.ndarray) -> None:
        """Draw a depth array into the sun's map."""
        self._sun.use()
        self._sun.clear(depth=1.0)
        uniforms.write(self._depth, {"matrix": matrix.T})
        array.render(moderngl.TRIANGLES)

    def _inspect(self, soup: Soup, length_m: float, directions: int) -> tuple[np.ndarray, np.ndarray, Details]:
        ctx = self._context
        vertices = ctx.buffer(soup.position.astype("f4").tobytes())
        indices = ctx.buffer(soup.faces.astype("i4").tobytes())
        array = ctx.vertex_array(self._depth, [(vertices, "3f", "position")], indices)
        ctx.enable_only(moderngl.DEPTH_TEST)

        def depth_from(matrix: np.ndarray) -> np.ndarray:
            self._depth_from(array, matrix)
            return np.frombuffer(self._shadow.read(), np.float32).reshape(self._shadow.size)

        occlusion, useful = openness(soup, depth_from, directions)
        details = measure(soup, length_m, depth_from)
        for item in (array, vertices, indices):
            item.release()
        return occlusion, useful, details


def _read(target: moderngl.Framebuffer) -> np.ndarray:
    """Colour of a framebuffer, (H, W, 4) float32, row 0 at the top."""
    pixels = np.frombuffer(target.read(components=4, dtype="f2"), np.float16)
    return pixels.reshape(target.height, target.width, 4)[::-1].astype(np.float32)


def _read_label(target: moderngl.Framebuffer) -> np.ndarray:
    """The label attachment, (H, W) uint8, row 0 at the top."""
    pixels = np.frombuffer(target.read(components=1, attachment=1, alignment=1), np.uint8)
    return np.ascontiguousarray(pixels.reshape(target.height, target.width)[::-1])
