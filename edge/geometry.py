"""Frames, fixed views, back-projection and fusion: the one NumPy implementation both sides use.

Frames (ISO 8855 / REP 103 for the car, OpenCV for cameras):

* *canonical*: right-handed, x forward, y left, z up; origin at the centre of the car's
  axis-aligned bounding box; longest edge (the length) = 1.
* *camera*: x right, y down, z along the viewing direction. ``p_cam = R @ p + t``.
"""

from typing import NamedTuple, Optional, Tuple

import numpy as np

#: Width of the square orthographic frame of a fixed view, in canonical units. Lin 2018 uses 1 for
#: objects whose bounding-box diagonal is 1; a car of length 1 and width up to 0.62 (the widest
#: in proportion we know of) projects onto 1.17 from a cube corner.
VIEW_WIDTH = 1.25
#: Distance from the camera plane of a fixed view to the origin, in canonical units.
VIEW_DISTANCE = 1.0


#: Where a point's colour is from: the picture, the picture of its mirror image, or points near by. edge.runtime.colour.
SEEN, MIRRORED, FILLED = 0, 1, 2


class Views(NamedTuple):
    """Orthographic fixed views.

    rotations: (V, 3, 3) float32, rows are the camera's x (right), y (down), z (forward) axes.
    width: side of the square frame, canonical units.
    distance: depth of the origin, canonical units.
    """

    rotations: np.ndarray
    width: float
    distance: float


class Cloud(NamedTuple):
    """A point cloud in the canonical frame.

    points: (N, 3) float32.
    confidence: (N,) float32 in 0..1, or None.
    rgb: (N, 3) uint8, or None.
    view: (N,) uint8, index of the fixed view that produced the point, or None.
    mark: (N,) uint8, where the colour is from: SEEN, MIRRORED or FILLED; or None.
    """

    points: np.ndarray
    confidence: Optional[np.ndarray] = None
    rgb: Optional[np.ndarray] = None
    view: Optional[np.ndarray] = None
    mark: Optional[np.ndarray] = None


def look_rotation(
    direction: Tuple[float, float, float], up: Tuple[float, float, float] = (0.0, 0.0, 1.0)
) -> np.ndarray:
    """Rotation (3, 3) of a camera that looks along ``-direction``, i.e. stands towards ``direction``.

    Rows are right, down, forward in the canonical frame. ``direction`` must not be parallel to ``up``.
    """
    forward = -np.asarray(direction, dtype=np.float64)
    norm = np.linalg.norm(forward)
    right = np.cross(forward, np.asarray(up, dtype=np.float64))
    if norm == 0 or np.linalg.norm(right) < 1e-9 * norm:
        raise ValueError("direction %r is zero or parallel to up %r" % (direction, up))
    forward = forward / norm
    right = right / np.linalg.norm(right)
    return np.stack([right, np.cross(forward, right), forward]).astype(np.float32)


def cube_corner_views(width: float = VIEW_WIDTH, distance: float = VIEW_DISTANCE) -> Views:
    """The eight fixed views of Lin, Kong, Lucey 2018: orthographic cameras at the cube's corners."""
    corners = [(x, y, z) for z in (1, -1) for y in (1, -1) for x in (1, -1)]
    return Views(np.stack([look_rotation(c) for c in corners]), float(width), float(distance))


def pixel_grid(size: int, width: float) -> np.ndarray:
    """Camera-frame x (columns) and y (rows) of the pixel centres: (2, size, size) float32."""
    axis = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5) * width
    x, y = np.meshgrid(axis, axis)
    return np.stack([x, y]).astype(np.float32)


def back_project(xyz: np.ndarray, views: Views) -> np.ndarray:
    """Camera-frame maps to the canonical frame.

    xyz: (V, 3, H, W), channels x, y, depth. Returns (V, H*W, 3) float32.
    """
    count = xyz.shape[0]
    cam = np.array(xyz.reshape(count, 3, -1), dtype=np.float32)
    cam[:, 2] -= views.distance
    return np.matmul(np.transpose(cam, (0, 2, 1)), views.rotations)


def project(points: np.ndarray, views: Views, view: int) -> np.ndarray:
    """Canonical points (N, 3) to the camera frame of one fixed view (N, 3): x, y, depth."""
    cam = np.asarray(points, dtype=np.float32) @ views.rotations[view].T
    cam[:, 2] += views.distance
    return cam


def even_stride(count: int, limit: int) -> np.ndarray:
    """Indices (int64) of at most ``limit`` of ``count`` things at an even stride; of all if ``limit`` is 0.

    Deterministic, so that a still car gives a still cloud.
    """
    if not limit or count <= limit:
        return np.arange(count, dtype=np.int64)
    return (np.arange(limit, dtype=np.int64) * count) // limit


def fuse(maps: np.ndarray, views: Views, threshold: float = 0.0, max_points: int = 0) -> Cloud:
    """Fixed-view maps to one cloud: keep pixels whose mask logit exceeds ``threshold`` (Lin 2018, fuse3D).

    maps: (V, 4, H, W) float32, channels x, y, depth (camera frame, canonical units), mask logit.
    max_points: if positive, at most so many points, taken at an even stride.
    A cloud without any point is valid (N = 0): the network saw no car.
    """
    if maps.ndim != 4 or maps.shape[1] != 4 or maps.shape[0] != views.rotations.shape[0]:
        raise ValueError("maps have shape %s, wanted (%d, 4, H, W)" % (maps.shape, views.rotations.shape[0]))
    count = maps.shape[0]
    logit = maps[:, 3].reshape(count, -1)
    keep = np.flatnonzero(logit > threshold)
    keep = keep[even_stride(keep.size, max_points)]
    pixels = logit.shape[1]
    view = keep // pixels
    cam = maps[:, :3].reshape(count, 3, pixels)[view, :, keep - view * pixels].astype(np.float32)
    cam[:, 2] -= views.distance
    points = np.empty((keep.size, 3), dtype=np.float32)
    for index in range(count):
        chosen = view == index
        points[chosen] = cam[chosen] @ views.rotations[index]
    confidence = 1.0 / (1.0 + np.exp(-np.clip(logit.reshape(-1)[keep], -30, 30)))
    return Cloud(points, confidence.astype(np.float32), None, view.astype(np.uint8))


def square_box(box: Tuple[float, float, float, float], margin: float) -> Tuple[float, float, float]:
    """Smallest square around a box, widened on each side by ``margin`` of the longer edge.

    box: x, y, width, height in pixels. Returns (left, top, side) in pixels; may leave the image.
    """
    x, y, w, h = box
    side = max(w, h) * (1.0 + 2.0 * margin)
    return x + w / 2.0 - side / 2.0, y + h / 2.0 - side / 2.0, side
