"""A small renderer for the synthetic source: perspective, painter's order, sky and sun shading, a soft shadow.

NumPy does the geometry of a frame at once, ``cv2.fillConvexPoly`` fills the quads on a canvas of twice the size,
which is then averaged down. No depth buffer: both lofted surfaces are nearly convex, so that quads that face away
can be left out and the rest drawn from back to front.
"""

from typing import Tuple

import cv2
import numpy as np

from edge.runtime.sources.toycar import GLASS, LAMP_FRONT, LAMP_REAR, PAINT, Surface, ToyCar, Wheel

SCALE = 2
#: cv2 takes fixed-point coordinates with so many fractional bits.
BITS = 4
SUN = np.array([0.35, -0.55, 0.76]) / np.linalg.norm([0.35, -0.55, 0.76])
ELEVATION_DEG, DISTANCE = 17.0, 2.7
#: The car's widest appearance covers this part of the picture, as a crop with a margin of 0.1 would.
FILL = 0.83
#: From the arch inwards: radius in wheel radii, shift outwards, colour BGR.
WHEEL_LAYERS = (
    (1.24, 0.0, (10, 9, 9)),
    (1.0, 0.003, (30, 28, 28)),
    (0.68, 0.004, (165, 160, 155)),
    (0.6, 0.005, (40, 38, 37)),
)
FULL_CIRCLE = np.linspace(0, 2 * np.pi, 36, endpoint=False)
#: Strength of the mirror image of the sky, and of the sun's highlight, by material.
GLOSS = {PAINT: (0.55, 0.7), GLASS: (0.95, 0.9), LAMP_FRONT: (0.5, 0.8), LAMP_REAR: (0.4, 0.6)}


class Sketch:
    """Draws one car from any side. width, height: pixels of the picture."""

    def __init__(self, car: ToyCar, width: int, height: int) -> None:
        self._car = car
        self._size = (width * SCALE, height * SCALE)
        self._canvas = np.empty((height * SCALE, width * SCALE, 3), np.uint8)
        angle = np.radians(ELEVATION_DEG)
        forward = np.array([-np.cos(angle), 0.0, -np.sin(angle)])
        right = np.array([0.0, 1.0, 0.0])
        self._axes = np.stack([right, np.cross(forward, right), forward])
        self._eye = np.array([0.0, 0.0, car.height / 2]) - DISTANCE * forward
        self._focal = 1.0
        self._focal = self._fit()
        self._background = self._make_background()

    def draw(self, azimuth: float) -> np.ndarray:
        """The car turned by ``azimuth`` radians about z, as (height, width, 3) uint8 BGR."""
        turn = _turn(azimuth)
        canvas = self._canvas
        np.copyto(canvas, self._background)
        self._draw_shadow(canvas, turn)
        for wheel in self._car.wheels:
            self._draw_tread(canvas, wheel, turn)
        for surface in self._car.surfaces:
            self._draw_surface(canvas, surface, turn)
        for side in (1, -1):
            middle = np.array([0.0, side * self._car.width / 2, 0.1])
            if self._faces(np.array([0.0, float(side), 0.0]) @ turn.T, middle @ turn.T):
                for seam in self._car.seams:
                    line = self._pixels((seam * [1, side, 1]) @ turn.T)
                    cv2.polylines(canvas, [line], False, (18, 16, 16), SCALE, cv2.LINE_AA, BITS)
        for wheel in self._car.wheels:
            if self._faces(np.array([0.0, float(wheel.side), 0.0]) @ turn.T, wheel.centre @ turn.T):
                self._draw_wheel(canvas, wheel, turn)
        return cv2.resize(canvas, None, fx=1.0 / SCALE, fy=1.0 / SCALE, interpolation=cv2.INTER_AREA)

    def _fit(self) -> float:
        """Focal length at which the car, from its widest side, covers FILL of the picture."""
        points = self._car.surfaces[0].corners.reshape(-1, 3)
        half = np.zeros(2)
        for azimuth in np.linspace(0, np.pi, 13):
            camera = (points @ _turn(azimuth).T - self._eye) @ self._axes.T
            half = np.maximum(half, np.abs(camera[:, :2] / camera[:, 2:]).max(0))
        return float(FILL * min(self._size[0] / 2 / half[0], self._size[1] / 2 / half[1]))

    def _project(self, points: np.ndarray) -> np.ndarray:
        camera = (points - self._eye) @ self._axes.T
        pixels = camera[..., :2] / camera[..., 2:] * self._focal
        return pixels + np.array(self._size) / 2.0

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        return np.round(self._project(points) * (1 << BITS)).astype(np.int32)

    def _faces(self, normal: np.ndarray, point: np.ndarray) -> bool:
        return float(normal @ (self._eye - point)) > 0

    def _draw_surface(self, canvas: np.ndarray, surface: Surface, turn: np.ndarray) -> None:
        normals = surface.normals @ turn.T
        centres = surface.corners.mean(1) @ turn.T
        view = self._eye - centres
        distance = np.linalg.norm(view, axis=1)
        view /= distance[:, None]
        seen = np.flatnonzero(np.sum(normals * view, 1) > -0.02)
        seen = seen[np.argsort(-distance[seen])]
        colours = _shade(normals[seen], view[seen], surface.material[seen], self._car.colours)
        quads = self._pixels(surface.corners[seen] @ turn.T)
        for quad, colour in zip(quads, colours.tolist()):
            cv2.fillConvexPoly(canvas, quad, colour, cv2.LINE_8, BITS)

    def _draw_tread(self, canvas: np.ndarray, wheel: Wheel, turn: np.ndarray) -> None:
        """The tyre's running surface: both rims' hull, nearly black."""
        depth = wheel.side * 0.075
        rims = np.concatenate([_circle(wheel, 1.0, 0.0), _circle(wheel, 1.0, -depth)])
        hull = cv2.convexHull(self._pixels(rims @ turn.T))
        cv2.fillConvexPoly(canvas, hull, (17, 16, 16), cv2.LINE_AA, BITS)

    def _draw_wheel(self, canvas: np.ndarray, wheel: Wheel, turn: np.ndarray) -> None:
        """Arch, tyre, rim and five spokes, from the outside."""
        for radius, out, colour in WHEEL_LAYERS:
            ring = _circle(wheel, radius, wheel.side * out)
            if radius > 1:  # the arch ends at the sill
                ring[:, 2] = np.maximum(ring[:, 2], wheel.radius * 0.5)
            cv2.fillConvexPoly(canvas, self._pixels(ring @ turn.T), colour, cv2.LINE_AA, BITS)
        hub = _circle(wheel, 0.14, wheel.side * 0.006)
        for step in range(5):
            angle = 2 * np.pi * step / 5 + 0.3
            tip = _circle(wheel, 0.63, wheel.side * 0.006, angle + np.array([-0.13, 0.13]))
            root = _circle(wheel, 0.14, wheel.side * 0.006, angle + np.array([0.8, -0.8]))
            spoke = self._pixels(np.concatenate([tip, root]) @ turn.T)
            cv2.fillConvexPoly(canvas, spoke, (185, 180, 176), cv2.LINE_AA, BITS)
        cv2.fillConvexPoly(canvas, self._pixels(hub @ turn.T), (140, 136, 132), cv2.LINE_AA, BITS)

    def _draw_shadow(self, canvas: np.ndarray, turn: np.ndarray) -> None:
        """Dark ground under the car, blurred: drawn at an eighth of the size."""
        small = np.zeros((self._size[1] // 8, self._size[0] // 8), np.uint8)
        for grow, level, blur in ((1.04, 90, 9), (0.94, 205, 5)):
            outline = np.array([[0.48, 0.16], [0.4, 0.2], [-0.4, 0.2], [-0.48, 0.16]])
            outline = np.concatenate([outline, outline[::-1] * [1, -1]]) * grow
            ground = np.concatenate([outline, np.zeros((len(outline), 1))], 1) + (0.0, 0.0, 0.0)
            polygon = np.round(self._project(ground @ turn.T) / 8).astype(np.int32)
            layer = cv2.fillConvexPoly(np.zeros_like(small), polygon, level, cv2.LINE_AA)
            small = np.maximum(small, cv2.GaussianBlur(layer, (blur | 1, blur | 1), 0))
        shade = cv2.resize(small, self._size, interpolation=cv2.INTER_LINEAR)
        top, bottom = _rows(shade)
        light = cv2.cvtColor(255 - shade[top:bottom], cv2.COLOR_GRAY2BGR)
        canvas[top:bottom] = cv2.multiply(canvas[top:bottom], light, scale=1 / 255.0)

    def _make_background(self) -> np.ndarray:
        """A photographer's sweep: floor and wall that meet in a soft gradient, with a vignette."""
        width, height = self._size
        v = np.linspace(0, 1, height)[:, None]
        wall = np.array([196.0, 188.0, 180.0]) + np.array([44.0, 46.0, 48.0]) * np.clip(v / 0.55, 0, 1)[..., None]
        floor = np.array([150.0, 150.0, 152.0]) + np.array([52.0, 50.0, 48.0]) * np.clip(1.25 - v, 0, 1)[..., None]
        blend = 1 / (1 + np.exp(-(v - 0.52) * 26))[..., None]
        u = np.linspace(-1, 1, width)[None]
        vignette = (1 - 0.16 * (u**2 + (2 * v - 1) ** 2))[..., None]
        return np.clip((wall * (1 - blend) + floor * blend) * vignette, 0, 255).astype(np.uint8)


def _turn(azimuth: float) -> np.ndarray:
    c, s = np.cos(azimuth), np.sin(azimuth)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def _circle(wheel: Wheel, radius: float, out: float, angles: np.ndarray = FULL_CIRCLE) -> np.ndarray:
    """Points (N, 3) of a circle about a wheel's axis; radius in wheel radii, out: shift along y."""
    r = radius * wheel.radius
    return wheel.centre + np.stack([r * np.cos(angles), np.full(angles.shape, out), r * np.sin(angles)], 1)


def _rows(mask: np.ndarray) -> Tuple[int, int]:
    used = np.flatnonzero(mask.any(1))
    return int(used[0]), int(used[-1]) + 1


def _sky(direction: np.ndarray) -> np.ndarray:
    """Linear RGB (N, 3) of the surroundings: bright horizon, bluish zenith, grey floor."""
    up = direction[:, 2:]
    height = np.clip(up, 0, 1)
    above = np.array([0.95, 0.97, 1.0]) * (1 - 0.55 * height) + np.array([-0.1, 0.0, 0.12]) * height
    below = np.array([0.2, 0.2, 0.21]) * (1 + 0.9 * np.clip(1 + up * 3, 0, 1))
    mix = 1 / (1 + np.exp(-up * 18))
    return below * (1 - mix) + above * mix


def _shade(normals: np.ndarray, view: np.ndarray, material: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """BGR (N, 3) 0..255 of quads: diffuse sun and sky, a mirrored sky by Schlick's Fresnel term, a sun highlight."""
    base = colours[material]
    sun = np.clip(normals @ SUN, 0, 1)[:, None]
    ambient = 0.38 + 0.34 * normals[:, 2:]
    facing = np.clip(np.sum(normals * view, 1), 0, 1)[:, None]
    mirror = 2 * np.sum(normals * view, 1)[:, None] * normals - view
    gloss = np.array([GLOSS.get(index, (0.12, 0.2)) for index in range(len(colours))])[material]
    fresnel = (0.06 + 0.94 * (1 - facing) ** 5) * gloss[:, :1]
    highlight = np.clip(mirror @ SUN, 0, 1)[:, None] ** 90 * gloss[:, 1:]
    linear = base * (ambient + 0.85 * sun) * (1 - fresnel) + _sky(mirror) * fresnel + highlight
    return (255 * np.clip(linear, 0, 1) ** (1 / 2.2))[:, ::-1]
