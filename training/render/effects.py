"""From linear radiance to the picture a camera gives: focus, exposure, shake, noise, tone, sharpening, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Veil:
    """Things in front of the car, at the fine size. rgb: (H, W, 3) float32 linear; cover: (H, W) float32, 0..1."""

    rgb: np.ndarray
    cover: np.ndarray


def tone(linear: np.ndarray, exposure: float = 1.0) -> np.ndarray:
    """Linear radiance to display values 0..1, the ACES-like curve of K. Narkowicz (2015)."""
    c: np.ndarray = linear * np.float32(exposure)
    c = (c * (2.51 * c + 0.03)) / (c * (2.43 * c + 0.59) + 0.14)
    return np.asarray(cv2.pow(np.clip(c, 0, 1), 1 / 2.2))


def shrink(display: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Display values 0..1 to a picture (h, w, 3) uint8."""
    small = cv2.resize(display, size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small * 255 + 0.5, 0, 255), np.uint8)


def defocus(back: np.ndarray, near: np.ndarray, distance: float, strength: float) -> np.ndarray:
    """Blur the background as its distance from the plane of focus asks for.

    near: one over the distance. distance: of what is in focus. strength: diameter of the circle of confusion at
    infinity, in parts of the picture's width.
    """
    radius = strength * back.shape[1]
    if radius < 0.6:
        return back
    # A lens draws circles, but behind two levels of them nobody sees where one ends: mix sharp, half and full.
    share = np.clip(1.0 - near * np.float32(distance), 0, 1)
    half, full = (cv2.blur(cv2.blur(back, (k, k)), (k, k)) for k in (_odd(radius * 0.4), _odd(radius)))
    low, high = np.clip(share * 2, 0, 1)[..., None], np.clip(share * 2 - 1, 0, 1)[..., None]
    mixed = back + (half - back) * low
    return np.asarray(mixed + (full - mixed) * high)


def expose(linear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Auto exposure with a camera's errors, white balance and fall-off to the corners; still linear."""
    small = cv2.resize(linear, (16, 16), interpolation=cv2.INTER_AREA)
    meant = float(np.exp(np.log(small.mean(axis=2) + 0.02).mean()))
    gain = 0.21 / meant**0.9 * 2 ** rng.normal(0.0, 0.4) * (1 + rng.normal(0, 0.035, 3))
    picture = linear * gain.astype(np.float32)
    if rng.random() < 0.5:
        y, x = np.mgrid[-1 : 1 : picture.shape[0] * 1j, -1 : 1 : picture.shape[1] * 1j].astype(np.float32)
        centre, fall = rng.uniform(-0.6, 0.6, 2), rng.uniform(0.02, 0.16)
        picture *= (1 - fall * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2))[..., None].astype(np.float32)
    if rng.random() < 0.6:    # light that strays in the lens around what is too bright
        bright = np.maximum(picture - 0.9, 0)
        picture += rng.uniform(0.05, 0.2) * cv2.GaussianBlur(bright, (0, 0), picture.shape[1] * rng.uniform(0.01, 0.04))
    return np.asarray(picture)


def develop(linear: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """One picture (h, w, 3) uint8 of the linear radiance (H, W, 3) float32 that reaches the lens; deterministic."""
    picture = _soften(expose(linear, rng), rng)
    if rng.random() < 0.85:
        # Shot noise grows with the root of the light, read noise does not; the fine pixels average it again.
        shot, read = 2 ** rng.uniform(-8.5, -5.4), 2 ** rng.uniform(-10.5, -8.2)
        sigma = np.sqrt(np.maximum(picture, 0) * np.float32(shot**2 * 4) + np.float32(read**2))
        noise = cv2.GaussianBlur(rng.standard_normal(picture.shape, np.float32), (0, 0), rng.uniform(0.5, 1.1))
        picture = picture + 2 * noise * sigma
    picture = tone(np.maximum(picture, 0))
    picture = _grade(picture, rng)
    if rng.random() < 0.45:   # sharpening, as small cameras do it
        radius = rng.uniform(0.7, 1.8)
        picture = picture + rng.uniform(0.2, 0.9) * (picture - cv2.GaussianBlur(picture, (0, 0), radius))
    fine: np.ndarray = np.asarray(np.clip(picture * 255 + 0.5, 0, 255), np.uint8)
    if rng.random() < 0.12:   # a small car in a large photo: few pixels, enlarged
        side = int(size[0] * rng.uniform(0.4, 0.9))
        fine = cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.8:
            fine = _jpeg(fine, int(rng.integers(45, 96)))
        return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_LINEAR))
    if rng.random() < 0.7:
        fine = _jpeg(fine, int(rng.integers(35, 96)))
    return np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA))


def _grade(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Contrast, level and saturation of different makers' cameras; display values in and out."""
    picture = (picture - 0.45) * np.float32(rng.uniform(0.88, 1.25)) + np.float32(0.45 + rng.uniform(-0.05, 0.04))
    grey = picture.mean(axis=2, keepdims=True)
    keep = 0.0 if rng.random() < 0.02 else rng.uniform(0.6, 1.2)
    return np.asarray(grey + (picture - grey) * np.float32(keep))


def _odd(radius: float) -> int:
    return 2 * max(int(round(radius / 2)), 1) + 1


def _soften(linear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lens and shake: nearly always a little softness, sometimes much."""
    scale, draw = linear.shape[1] / 256, rng.random()
    if draw < 0.55:
        return np.asarray(cv2.GaussianBlur(linear, (0, 0), rng.uniform(0.4, 0.9) * scale))
    if draw < 0.72:
        return np.asarray(cv2.GaussianBlur(linear, (0, 0), rng.uniform(0.9, 2.2) * scale))
    if draw < 0.82:
        return np.asarray(cv2.filter2D(linear, -1, _shake(rng, rng.uniform(2, 9) * scale)))
    return linear


def _shake(rng: np.random.Generator, length: float) -> np.ndarray:
    """Kernel of a straight move of so many pixels; its centre of mass is the middle, so labels stay true."""
    side = 2 * int(np.ceil(length / 2)) + 3
    kernel, angle, centre = np.zeros((side, side), np.float32), rng.uniform(0, np.pi), side // 2
    for s in np.linspace(-0.5, 0.5, 4 * side):
        x, y = centre + s * length * np.cos(angle), centre + s * length * np.sin(angle)
        left, top = int(x), int(y)
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            kernel[top + dy, left + dx] += (1 - abs(x - left - dx)) * (1 - abs(y - top - dy))
    return kernel / kernel.sum()


def _jpeg(rgb: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])
