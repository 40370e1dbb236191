"""Pictures on meshes: colour of a triangle, and cutting a triangle soup along the borders in its picture.

Free car meshes often carry body, windows, lamps and plates in one picture. The renderer wants one plain colour
per part and repaints the body, so such soups are cut into parts here by what the picture shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: Barycentric sample positions inside a triangle: centroid, and three towards each corner and each edge.
SAMPLES = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4], [4, 4, 1], [4, 1, 4], [1, 4, 4]], np.float32)
SAMPLES /= SAMPLES.sum(1, keepdims=True)


class Soup(NamedTuple):
    """Triangles with a picture.

    vertices: (V, 3) float32. faces: (F, 3) int32. uv: (F, 3, 2) float32, origin bottom left, or None.
    image: (H, W, 3) float32 sRGB in 0..1, row 0 at the top, or None.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray | None = None
    image: np.ndarray | None = None

    def corners(self) -> np.ndarray:
        """Triangle corners (F, 3, 3)."""
        return self.vertices[self.faces]


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB in 0..1 to linear RGB (IEC 61966-2-1)."""
    srgb = np.asarray(srgb, np.float32)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0.04045) + 0.055) / 1.055) ** 2.4)


def sample_picture(image: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Nearest pixels of ``image`` (H, W, 3) at ``uv`` (..., 2), repeating outside 0..1. Returns (..., 3)."""
    height, width = image.shape[:2]
    uv = np.nan_to_num(uv)
    column = np.floor((uv[..., 0] % 1.0) * width).astype(np.int64) % width
    row = np.floor(((1.0 - uv[..., 1]) % 1.0) * height).astype(np.int64) % height
    return image[row, column]


def face_samples(soup: Soup) -> tuple[np.ndarray, np.ndarray]:
    """sRGB colours (F, S, 3) and positions (F, S, 3) at the sample points of each triangle."""
    if soup.uv is None or soup.image is None:
        raise ValueError(f"{soup.name} has no picture")
    uv = np.einsum("sk,fkc->fsc", SAMPLES, soup.uv)
    positions = np.einsum("sk,fkc->fsc", SAMPLES, soup.corners())
    return sample_picture(soup.image, uv), positions


def face_areas(corners: np.ndarray) -> np.ndarray:
    """Areas (F,) of triangles given by their corners (F, 3, 3)."""
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def mean_colour(soup: Soup) -> tuple[float, float, float]:
    """Area-weighted mean of the picture over the triangles, linear RGB."""
    colours, _ = face_samples(soup)
    weight = face_areas(soup.corners()) + 1e-12
    red, green, blue = np.average(to_linear(colours).mean(1), axis=0, weights=weight)
    return float(red), float(green), float(blue)


def main_colour(soup: Soup, black: float = 0.14, share: float = 0.25) -> tuple[float, float, float]:
    """Area-weighted most frequent colour of the picture over the triangles (bins of 1/8), linear RGB.

    Pixels darker than ``black`` (underside, seals) do not count where at least ``share`` of the area is lighter.
    """
    colours, _ = face_samples(soup)
    weight = np.repeat(face_areas(soup.corners()) + 1e-12, len(SAMPLES))
    flat = colours.reshape(-1, 3)
    lighter = flat.max(-1) >= black
    if weight[lighter].sum() > share * weight.sum():
        flat, weight = flat[lighter], weight[lighter]
    bins = np.minimum((flat * 8).astype(np.int64), 7) @ np.array([64, 8, 1])
    chosen = bins == np.bincount(bins, weights=weight, minlength=512).argmax()
    red, green, blue = np.average(to_linear(flat[chosen]), axis=0, weights=weight[chosen])
    return float(red), float(green), float(blue)


def quarter(corners: np.ndarray, uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split each triangle into four at the edge midpoints: (F, 3, k) to (4F, 3, k)."""
    out = []
    for values in (corners, uv):
        a, b, c = values[:, 0], values[:, 1], values[:, 2]
        ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
        quarters = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        out.append(np.concatenate([np.stack(q, 1) for q in quarters]))
    return out[0], out[1]


def split_by_picture(
    soup: Soup, classify: Callable[[np.ndarray, np.ndarray], np.ndarray], finest: float = 0.02, depth: int = 6
) -> dict[int, Soup]:
    """Cut a soup into one soup a label.

    classify: maps sRGB colours (..., 3) and positions (..., 3) to integer labels (...).
    A triangle whose samples disagree is quartered until its longest edge is below ``finest`` (units of the mesh)
    or it was quartered ``depth`` times; then the majority of its samples decides.
    """
    corners, uv = soup.corners(), np.asarray(soup.uv)
    done: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for level in range(depth + 1):
        piece = Soup(soup.name, corners.reshape(-1, 3), np.arange(len(corners) * 3).reshape(-1, 3), uv, soup.image)
        labels = classify(*face_samples(piece))
        edge = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
        mixed = (labels != labels[:, :1]).any(1) & (edge > finest) & (level < depth)
        done.append((corners[~mixed], uv[~mixed], _majority(labels[~mixed])))
        if not mixed.any():
            break
        corners, uv = quarter(corners[mixed], uv[mixed])
    corners, uv, labels = (np.concatenate([d[i] for d in done]) for i in range(3))
    result = {}
    for label in np.unique(labels):
        own = labels == label
        faces = np.arange(int(own.sum()) * 3, dtype=np.int32).reshape(-1, 3)
        vertices = corners[own].reshape(-1, 3).astype(np.float32)
        result[int(label)] = Soup(soup.name, vertices, faces, uv[own], soup.image)
    return result


def _majority(labels: np.ndarray) -> np.ndarray:
    """Most frequent label of each row; the smaller label wins a tie."""
    if not len(labels):
        return np.zeros(0, np.int64)
    values = np.unique(labels)
    counts = np.stack([(labels == v).sum(1) for v in values])
    return values[counts.argmax(0)]
