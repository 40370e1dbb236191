"""A parametric car for the synthetic source: a lofted body, a glazed cabin and four wheels, drawn from a seed.

Canonical frame (x forward, y left, z up), length 1, wheels on the ground plane z = 0. Own geometry, no mesh file.
"""

from typing import List, NamedTuple, Tuple

import numpy as np

#: Materials: index into ``ToyCar.colours``.
PAINT, GLASS, TRIM, LAMP_FRONT, LAMP_REAR, SILL = range(6)
STATIONS, RING = 72, 40


class Wheel(NamedTuple):
    """centre: (3,). side: +1 left, -1 right. radius: canonical units."""

    centre: np.ndarray
    side: int
    radius: float


class Surface(NamedTuple):
    """Quads of one lofted surface. corners: (Q, 4, 3). normals: (Q, 3), outwards. material: (Q,)."""

    corners: np.ndarray
    normals: np.ndarray
    material: np.ndarray


class ToyCar(NamedTuple):
    """surfaces: in drawing order. seams: door lines of the left side, to be mirrored. colours: (6, 3) linear RGB."""

    surfaces: Tuple[Surface, ...]
    wheels: Tuple[Wheel, ...]
    seams: Tuple[np.ndarray, ...]
    colours: np.ndarray
    width: float
    height: float


class Shape(NamedTuple):
    """What the seed decides, canonical units."""

    width: float
    height: float
    belt: float
    nose: float
    tail: float
    clearance: float
    cowl: float
    roof_front: float
    roof_rear: float
    deck: float
    wheelbase: float
    radius: float


PAINTS = (
    (0.62, 0.05, 0.05),
    (0.04, 0.13, 0.42),
    (0.55, 0.57, 0.6),
    (0.8, 0.8, 0.78),
    (0.03, 0.25, 0.2),
    (0.75, 0.33, 0.02),
)


def make_car(seed: int) -> ToyCar:
    """The car of a seed; seed 0 is a red saloon, the others vary in form and paint. Deterministic."""
    rng = np.random.RandomState(seed)
    stretch = (lambda low, high: (low + high) / 2.0) if seed == 0 else rng.uniform
    height = stretch(0.29, 0.35)
    shape = Shape(
        width=stretch(0.39, 0.43),
        height=height,
        belt=height * stretch(0.62, 0.66),
        nose=height * stretch(0.50, 0.56),
        tail=height * stretch(0.58, 0.64),
        clearance=stretch(0.035, 0.05),
        cowl=stretch(0.2, 0.26),
        roof_front=stretch(0.04, 0.1),
        roof_rear=stretch(-0.28, -0.16),
        deck=stretch(-0.47, -0.36),
        wheelbase=stretch(0.57, 0.62),
        radius=stretch(0.07, 0.08),
    )
    paint = PAINTS[seed % len(PAINTS)]
    colours = np.array(
        [paint, (0.015, 0.02, 0.025), (0.012, 0.012, 0.013), (0.85, 0.87, 0.9), (0.5, 0.015, 0.01), (0.05, 0.05, 0.055)]
    )
    wheels = tuple(
        Wheel(np.array([x, side * (shape.width / 2 - 0.004), shape.radius]), side, shape.radius)
        for x in (shape.wheelbase / 2 + 0.01, -shape.wheelbase / 2 + 0.01)
        for side in (1, -1)
    )
    seams = tuple(_seam(shape, x) for x in (0.17, -0.055, -0.235))
    return ToyCar((_body(shape), _cabin(shape)), wheels, seams, colours, shape.width, shape.height)


def _plan(shape: Shape, x: np.ndarray) -> np.ndarray:
    """Half width of the body seen from above: a superellipse, so that the corners are round."""
    return shape.width / 2 * np.power(np.clip(1 - np.abs(x / 0.5) ** 5.0, 0, 1), 1 / 3.2)


def _lines(shape: Shape, x: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Lower and upper outline of the body below the cabin, seen from the side."""
    upper = np.interp(
        x,
        [-0.5, -0.485, -0.46, shape.deck, shape.cowl, 0.4, 0.47, 0.5],
        [
            shape.tail * 0.8,
            shape.tail * 0.93,
            shape.tail,
            shape.belt,
            shape.belt,
            shape.nose * 1.08,
            shape.nose * 0.95,
            shape.nose * 0.72,
        ],
    )
    lower = np.interp(
        x, [-0.5, -0.46, -0.36, 0.36, 0.46, 0.5], [0.1, 0.065, shape.clearance, shape.clearance, 0.055, 0.085]
    )
    return lower, upper


def _body(shape: Shape) -> Surface:
    x = -0.5 * np.cos(np.linspace(0, np.pi, STATIONS))
    lower, upper = _lines(shape, x)
    ring = np.linspace(-np.pi / 2, 1.5 * np.pi, RING + 1)
    half = np.maximum(_plan(shape, x), 0.25 * shape.width * (np.abs(x) < 0.4999))
    y = half[:, None] * _power(np.cos(ring), 0.42)[None]
    middle, reach = (lower + upper) / 2, (upper - lower) / 2
    z = middle[:, None] + reach[:, None] * _power(np.sin(ring), 0.5)[None]
    surface = _quads(np.broadcast_to(x[:, None], y.shape), y, z)
    centre = surface.corners.mean(1)
    low, high = _lines(shape, centre[:, 0])
    rise = (centre[:, 2] - low) / np.maximum(high - low, 1e-6)
    out = np.abs(centre[:, 1]) / (shape.width / 2)
    material = np.full(len(centre), PAINT)
    material[rise < 0.17] = SILL
    lamp = (rise > 0.55) & (rise < 0.86)
    material[(centre[:, 0] > 0.452) & lamp & (out > 0.52)] = LAMP_FRONT
    material[(centre[:, 0] < -0.458) & lamp & (out > 0.5)] = LAMP_REAR
    material[(centre[:, 0] > 0.475) & (rise > 0.2) & (rise < 0.55) & (out < 0.62)] = TRIM
    return surface._replace(material=material)


def _cabin(shape: Shape) -> Surface:
    x = np.linspace(shape.deck, shape.cowl, STATIONS)
    rise = np.interp(x, [shape.deck, shape.roof_rear, shape.roof_front, shape.cowl], [0, 1, 1, 0])
    rise = rise + 0.05 * np.sin(np.pi * (x - shape.deck) / (shape.cowl - shape.deck)) * (rise >= 0.999)
    rise = np.convolve(np.pad(rise, 3, mode="edge"), np.ones(7) / 7, mode="valid")
    rise = rise / rise.max()
    ring = np.linspace(0, np.pi, RING + 1)
    lift = _power(np.sin(ring), 0.55)[None] * rise[:, None]
    half = _plan(shape, x)[:, None] * 0.95
    y = half * _power(np.cos(ring), 0.42)[None] * (1 - 0.27 * lift)
    z = shape.belt - 0.012 + (shape.height - shape.belt + 0.012) * lift
    surface = _quads(np.broadcast_to(x[:, None], y.shape), y, z)
    centre, normal = surface.corners.mean(1), surface.normals
    at, level = centre[:, 0], (centre[:, 2] - shape.belt) / (shape.height - shape.belt)
    side = np.abs(normal[:, 1]) > 0.72
    pillars = np.abs(at - (-0.055)) < 0.012
    window = side & (level > 0.1) & (level < 0.84) & ~pillars
    up = np.clip(level, 0, 1)
    window &= (at < shape.cowl - 0.035 - 0.12 * up) & (at > shape.deck + 0.05 + 0.1 * up)
    inner = np.abs(centre[:, 1]) < 0.86 * 0.95 * _plan(shape, at) * (1 - 0.27 * up)
    screen = ~side & inner & (np.abs(normal[:, 0]) > 0.3) & (level > 0.08) & (level < 0.93)
    return surface._replace(material=np.where(window | screen, GLASS, PAINT))


def _seam(shape: Shape, x: float) -> np.ndarray:
    """A door gap on the left side, from the sill to the belt: (N, 3)."""
    lower, upper = _lines(shape, np.array([x]))
    ring = np.linspace(-0.95, 0.8, 16)
    y = float(_plan(shape, np.array([x]))[0]) * _power(np.cos(ring), 0.42)
    z = float(lower[0] + upper[0]) / 2 + float(upper[0] - lower[0]) / 2 * _power(np.sin(ring), 0.5)
    return np.stack([np.full_like(y, x), y + 0.001, z], 1)


def _power(value: np.ndarray, exponent: float) -> np.ndarray:
    return np.sign(value) * np.abs(value) ** exponent


def _quads(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Surface:
    """Quads of a grid (stations, ring) with normals away from the surface's own middle."""
    grid = np.stack([x, y, z], -1)
    corners = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], 2).reshape(-1, 4, 3)
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    length = np.linalg.norm(normals, axis=1)
    keep: List[bool] = list(length > 1e-9)
    corners, normals = corners[keep], normals[keep] / length[keep][:, None]
    middle = np.array([0.0, 0.0, float(z.mean())])
    inward = np.sum(normals * (corners.mean(1) - middle), 1) < 0
    normals[inward] *= -1
    return Surface(corners, normals, np.zeros(len(corners), np.int64))
