"""What a camera does to a picture: exposure, white balance, softness, noise, JPEG."""

from __future__ import annotations

import cv2
import numpy as np


def camera_effects(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A new picture (H, W, 3) uint8 like a phone or web camera would give it; same size, deterministic by ``rng``."""
    picture: np.ndarray = _soften(rgb, rng).astype(np.float32)
    gain = 2 ** rng.normal(0, 0.12) * (1 + rng.normal(0, 0.03, 3))
    contrast, level = rng.uniform(0.85, 1.15), rng.uniform(-10, 10)
    picture = (picture * gain - 128) * contrast + 128 + level
    if rng.random() < 0.3:
        grey = picture.mean(axis=2, keepdims=True)
        picture = grey + (picture - grey) * rng.uniform(0.4, 1.3)
    if rng.random() < 0.7:
        noise = rng.standard_normal(picture.shape, np.float32) * np.float32(rng.uniform(0.5, 7))
        picture += noise
    result = np.clip(picture, 0, 255).astype(np.uint8)
    return _jpeg(result, int(rng.integers(35, 96))) if rng.random() < 0.6 else result


def _soften(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    draw = rng.random()
    if draw < 0.35:
        return cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.3, 1.1))
    if draw < 0.5:
        side = int(rgb.shape[0] * rng.uniform(0.45, 0.9))
        small = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, rgb.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    if draw < 0.58:
        return cv2.filter2D(rgb, -1, _motion_kernel(rng))
    return rgb


def _motion_kernel(rng: np.random.Generator, side: int = 5) -> np.ndarray:
    kernel = np.zeros((side, side), np.float32)
    angle, centre = rng.uniform(0, np.pi), side // 2
    ends = [(round(centre + s * centre * np.cos(angle)), round(centre + s * centre * np.sin(angle))) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return kernel / kernel.sum()


def _jpeg(rgb: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])
