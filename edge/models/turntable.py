"""Pictures of a car's cloud from around it, in NumPy: no window, no GPU, a hundredth of a second each."""

from typing import List, Optional, Sequence, Tuple

import cv2
import numpy as np

from edge.geometry import Cloud, look_rotation

#: Directions of a strip: degrees from before the nose to the car's left, and above the horizon.
AZIMUTHS = (35, 80, 125, 170, 215, 260, 305, 350)
ELEVATION = 18.0
#: A frame of the strip, pixels, and car lengths across it.
FRAME, SPAN = (240, 150), 1.22
BACKGROUND, SHADOW = (246, 244, 242), 0.45
#: Drawn so many times larger and averaged down.
OVERSAMPLE = 2
#: Where the light comes from: right, down, forward of the camera. Share of it that is everywhere.
LIGHT, AMBIENT = (-0.35, -0.75, -0.6), 0.55
#: Points whose normal points away from the viewer by more than this (a cosine) are not drawn.
AWAY = 0.3
#: Radius of a point, car lengths, of a cloud of 16,384 points.
RADIUS, POINTS = 0.0066, 16384
#: Shades of clouds without colours: low to high, BGR.
LOW, HIGH = (110, 80, 50), (225, 215, 190)


def draw_strip(cloud: Cloud, normals: Optional[np.ndarray] = None) -> np.ndarray:
    """The cloud from eight directions, side by side: (150, 1920, 3) uint8 BGR. normals: (N, 3) of its points."""
    return np.concatenate([draw_frame(cloud, azimuth, normals) for azimuth in AZIMUTHS], 1)


def draw_frame(
    cloud: Cloud, azimuth: float, normals: Optional[np.ndarray] = None, frame: Tuple[int, int] = FRAME,
    elevation: float = ELEVATION,
) -> np.ndarray:
    """A canonical cloud seen from ``azimuth`` and ``elevation`` degrees, orthographic, (height, width, 3) uint8 BGR.

    frame: width and height in pixels. Lit where ``normals`` (N, 3) are known, with a shadow on the ground.
    A cloud without points gives the empty background.
    """
    width, height = frame[0] * OVERSAMPLE, frame[1] * OVERSAMPLE
    image = np.empty((height, width, 3), np.float32)
    image[:] = BACKGROUND
    points = np.asarray(cloud.points, np.float32)
    if len(points):
        rotation = _rotation(azimuth, elevation)
        scale, radius = width / SPAN, RADIUS * np.sqrt(min(POINTS / len(points), 16.0)) * width / SPAN
        _shade_ground(image, points, rotation, scale)
        colours = _colours(cloud)
        if normals is not None:
            lit = np.clip(normals @ (rotation.T @ (np.array(LIGHT, np.float32) / np.linalg.norm(LIGHT))), 0, 1)
            colours = colours * (AMBIENT + (1 - AMBIENT) * lit)[:, None]
            facing = normals @ rotation[2] < AWAY  # the rest is hidden behind these, and would only cost time
            points, colours = points[facing], colours[facing]
        _splat(image, points @ rotation.T, scale, radius, colours)
    small = cv2.resize(image, frame, interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(np.rint(small), 0, 255).astype(np.uint8))


def _rotation(azimuth: float, elevation: float) -> np.ndarray:
    a, e = np.radians(azimuth), np.radians(elevation)
    direction = (float(np.cos(e) * np.cos(a)), float(np.cos(e) * np.sin(a)), float(np.sin(e)))
    return look_rotation(direction).astype(np.float32)


def _colours(cloud: Cloud) -> np.ndarray:
    """(N, 3) float32 BGR."""
    if cloud.rgb is not None:
        return cloud.rgb[:, ::-1].astype(np.float32)
    z = cloud.points[:, 2]
    share = ((z - z.min()) / max(float(np.ptp(z)), 1e-6)).astype(np.float32)[:, None]
    return np.array(LOW, np.float32) * (1 - share) + np.array(HIGH, np.float32) * share


def _columns_rows(seen: np.ndarray, scale: float, shape: Sequence[int]) -> Tuple[np.ndarray, np.ndarray]:
    return (np.floor(seen[:, 0] * scale + shape[1] / 2).astype(np.intp),
            np.floor(seen[:, 1] * scale + shape[0] / 2).astype(np.intp))


def _shade_ground(image: np.ndarray, points: np.ndarray, rotation: np.ndarray, scale: float) -> None:
    """A soft shadow where the car stands on the ground, at half the picture's resolution: nobody sees more of it."""
    flat = points.copy()
    flat[:, 2] = points[:, 2].min()
    high, wide = image.shape[0] // 2, image.shape[1] // 2
    column, row = _columns_rows(flat @ rotation.T, scale / 2, (high, wide))
    inside = (column >= 0) & (column < wide) & (row >= 0) & (row < high)
    dark = np.zeros((high, wide), np.float32)
    dark[row[inside], column[inside]] = 1
    reach = max(3, int(0.015 * scale) | 1)
    soft = cv2.GaussianBlur(cv2.dilate(dark, np.ones((reach, reach), np.uint8)), (0, 0), 0.0125 * scale)
    image *= (1 - SHADOW * cv2.resize(soft, image.shape[1::-1], interpolation=cv2.INTER_LINEAR))[:, :, None]


def _splat(image: np.ndarray, seen: np.ndarray, scale: float, radius: float, colours: np.ndarray) -> None:
    """Discs for points ``seen`` (N, 3) in the camera's frame, the nearest on top. Points whose disc would leave the
    picture are left out."""
    high, wide = image.shape[:2]
    column, row = _columns_rows(seen, scale, image.shape)
    reach = int(np.ceil(radius))
    inside = np.flatnonzero((column >= reach) & (column < wide - reach) & (row >= reach) & (row < high - reach))
    if not len(inside):
        return
    # Farthest first: of several points in a pixel the last one stays. 16 bits are sorted by their digits.
    depth = seen[inside, 2]
    low, range_ = float(depth.min()), max(float(np.ptp(depth)), 1e-6)
    inside = inside[np.argsort(((1 - (depth - low) / range_) * np.float32(65535)).astype(np.uint16), kind="stable")]
    offsets = np.array([y * wide + x for x, y in _disc(radius)])
    pixel = (row[inside] * wide + column[inside])[:, None] + offsets
    owner = np.full(high * wide, -1, np.intp)
    owner[pixel.reshape(-1)] = np.repeat(inside, len(offsets))
    drawn = owner >= 0
    image.reshape(-1, 3)[drawn] = colours[owner[drawn]]
    _close(image, drawn.reshape(high, wide).astype(np.float32), 2 * reach + 3)


def _close(image: np.ndarray, drawn: np.ndarray, width: int) -> None:
    """Gaps up to ``width`` pixels wide take the colours around them. drawn: (H, W) float32, 1 where points are."""
    whole = cv2.morphologyEx(drawn, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    gaps = (whole > 0) & (drawn == 0)
    if gaps.any():
        size = (2 * width + 1, 2 * width + 1)
        share = cv2.blur(drawn, size)
        image[gaps] = cv2.blur(image * drawn[:, :, None], size)[gaps] / np.maximum(share[gaps], 1e-6)[:, None]


def _disc(radius: float) -> List[Tuple[int, int]]:
    """Pixels x, y of a disc around 0, 0."""
    reach, squared = int(np.ceil(radius)), max(radius, 0.8) ** 2
    grid = range(-reach, reach + 1)
    return [(x, y) for y in grid for x in grid if x * x + y * y <= squared]
