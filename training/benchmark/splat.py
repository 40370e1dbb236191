"""Pictures of point clouds in NumPy: z-buffered discs, shaded by height and by the light on an estimated surface."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from edge.geometry import look_rotation

#: Low to high, RGB in 0..1: night blue, teal, sand.
RAMP = np.array([[0.20, 0.23, 0.52], [0.10, 0.52, 0.68], [0.40, 0.80, 0.62], [1.00, 0.86, 0.45]])
BACKGROUND = np.array([0.965, 0.968, 0.975])
LIGHT = np.array([0.35, 0.45, 0.82])
#: Drawn at this many times the size, then averaged down.
OVERSAMPLE = 3


def height_colours(points: np.ndarray) -> np.ndarray:
    """Colour (N, 3) in 0..1 of points (N, 3) by their height, from -0.2 to 0.2 car lengths."""
    place = np.clip((points[:, 2] + 0.2) / 0.4, 0, 1) * (len(RAMP) - 1)
    low = np.minimum(place.astype(int), len(RAMP) - 2)
    share = (place - low)[:, None]
    return RAMP[low] * (1 - share) + RAMP[low + 1] * share


def normals(points: np.ndarray, neighbours: int = 16) -> np.ndarray:
    """Unit normals (N, 3) of the planes through each point's neighbours; their sign is arbitrary."""
    if len(points) < 3:
        return np.tile([0.0, 0.0, 1.0], (len(points), 1))
    near = cKDTree(points).query(points, k=min(neighbours, len(points)), workers=1)[1]
    around = points[near] - points[near].mean(axis=1, keepdims=True)
    return np.linalg.eigh(np.einsum("nki,nkj->nij", around, around))[1][:, :, 0]


def draw_cloud(
    points: np.ndarray,
    direction: tuple[float, float, float],
    width: int,
    height: int,
    span: float = 1.15,
    radius: float = 0.0085,
) -> np.ndarray:
    """Orthographic picture (height, width, 3) uint8 RGB of canonical points (N, 3), seen from ``direction``.

    span: width of the picture and radius: of a point, in car lengths. Points that are not finite are left out; a
    cloud without points gives the empty background.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    wide, high = width * OVERSAMPLE, height * OVERSAMPLE
    image = np.broadcast_to(BACKGROUND, (high * wide, 3)).copy()
    if len(points):
        up = (0.0, -1.0, 0.0) if abs(direction[2]) > 0.99 * float(np.linalg.norm(direction)) else (0.0, 0.0, 1.0)
        rotation = look_rotation(direction, up).astype(np.float64)
        colours = _lit(points, rotation)
        cam, scale = points @ rotation.T, wide / span
        column, row = cam[:, 0] * scale + wide / 2, cam[:, 1] * scale + high / 2
        _splat(image, column, row, cam[:, 2], colours, radius * scale, wide)
    small = image.reshape(height, OVERSAMPLE, width, OVERSAMPLE, 3).mean(axis=(1, 3))
    return (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8)


def _lit(points: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Height colours, darker where the surface turns from the light and towards the back of the cloud."""
    normal = normals(points)
    # A normal of unknown sign is turned to the viewer: what shows is the side that faces him.
    normal *= np.where(normal @ rotation[2] > 0, -1.0, 1.0)[:, None]
    light = 0.6 + 0.4 * np.clip(normal @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
    depth = points @ rotation[2]
    fog = np.clip((depth - depth.min()) / max(float(np.ptp(depth)), 1e-9), 0, 1)
    return height_colours(points) * (light * (1.0 - 0.12 * fog))[:, None]


def _splat(
    image: np.ndarray,
    column: np.ndarray,
    row: np.ndarray,
    depth: np.ndarray,
    colours: np.ndarray,
    radius: float,
    wide: int,
) -> None:
    """Draw discs into ``image`` (pixels, 3), nearest on top, each a little darker towards its rim."""
    high, reach = len(image) // wide, max(1, int(np.ceil(radius)))
    nearest = np.full(len(image), np.inf)
    offsets = [(x, y) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    base_x, base_y = np.floor(column).astype(int), np.floor(row).astype(int)
    for x, y in offsets:
        far = (base_x + x + 0.5 - column) ** 2 + (base_y + y + 0.5 - row) ** 2
        inside = (far <= max(radius, 0.8) ** 2) & (base_x + x >= 0) & (base_x + x < wide)
        chosen = np.flatnonzero(inside & (base_y + y >= 0) & (base_y + y < high))
        # Farthest first, so that of several points in one pixel the nearest is written last.
        chosen = chosen[np.argsort(-depth[chosen], kind="stable")]
        pixel = (base_y[chosen] + y) * wide + base_x[chosen] + x
        # A disc bulges towards the viewer: neighbours on one surface then meet without flicker.
        bulge = depth[chosen] + 0.004 * far[chosen] / max(radius, 0.8) ** 2
        front = bulge < nearest[pixel]
        pixel, bulge, chosen = pixel[front], bulge[front], chosen[front]
        nearest[pixel] = bulge
        image[pixel] = colours[chosen] * (1.0 - 0.12 * far[chosen] / max(radius, 0.8) ** 2)[:, None]
