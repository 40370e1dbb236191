"""Perspective cameras around a car, framed so that the car fills a square crop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.geometry import look_rotation, square_box

#: Width of the "35 mm" film that focal lengths refer to, in millimetres.
FILM_MM = 36.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in the OpenCV convention; the world is the canonical car frame.

    K: (3, 3) float64, pixels of the picture (pixel centres at integer + 0.5). R: (3, 3), t: (3,), float64:
    ``p_cam = R @ p + t`` in car lengths.
    """

    K: np.ndarray
    R: np.ndarray
    t: np.ndarray

    @property
    def eye(self) -> np.ndarray:
        """Position of the camera in the canonical frame, (3,)."""
        return -self.R.T @ self.t

    def project(self, points: np.ndarray) -> np.ndarray:
        """Canonical points (N, 3) to pixels (N, 2)."""
        cam = np.asarray(points, np.float64) @ self.R.T + self.t
        return cam[:, :2] / cam[:, 2:] * self.K[[0, 1], [0, 1]] + self.K[:2, 2]

    def box(self, points: np.ndarray) -> tuple[float, float, float, float]:
        """Box x, y, width, height in pixels around the projection of canonical points (N, 3)."""
        pixels = self.project(points)
        (x, y), (right, bottom) = pixels.min(0), pixels.max(0)
        return float(x), float(y), float(right - x), float(bottom - y)


@dataclass(frozen=True)
class Framing:
    """How the car sits in the photo and the crop.

    fill: part of the photo's width (or of 2/3 of it in height) that the car takes: with the focal length it gives the
    distance. margin: crop beyond the box, as a part of its longer edge. scale, shift: jitter of the crop, relative to
    its side. aim: how far the lens points beside the car, in parts of the distance. roll_deg: turn about the lens.
    """

    fill: float = 0.6
    margin: float = 0.1
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    aim: tuple[float, float] = (0.0, 0.0)
    roll_deg: float = 0.0


def stand(azimuth_deg: float, elevation_deg: float) -> tuple[float, float, float]:
    """Unit direction from the car to the camera; azimuth 0 is before the nose, 90 on the car's left."""
    azimuth, elevation = np.radians(azimuth_deg), np.radians(elevation_deg)
    flat = np.cos(elevation)
    return float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation))


def frame_camera(
    hull: np.ndarray, azimuth_deg: float, elevation_deg: float, focal_mm: float, size: int, framing: Framing
) -> Camera:
    """A square picture of ``size`` pixels of the car with these hull points (H, 3), taken from a direction.

    focal_mm is 35 mm equivalent; it sets the distance, and so the strength of the perspective.
    """
    photo = photo_camera(hull, azimuth_deg, elevation_deg, focal_mm, framing)
    left, top, side = square_box(photo.box(hull), framing.margin)
    side, old = side * framing.scale, side
    left += (old - side) / 2 + framing.shift[0] * side
    top += (old - side) / 2 + framing.shift[1] * side
    zoom = size / side
    K = np.array([[zoom * focal_mm, 0, -left * zoom], [0, zoom * focal_mm, -top * zoom], [0, 0, 1.0]])
    return Camera(K, photo.R, photo.t)


def photo_camera(
    hull: np.ndarray, azimuth_deg: float, elevation_deg: float, focal_mm: float, framing: Framing
) -> Camera:
    """The uncropped camera; its pixels are millimetres on the film, principal point at 0."""
    direction = np.asarray(stand(azimuth_deg, elevation_deg))
    R = look_rotation(tuple(direction)).astype(np.float64)
    yaw, pitch, roll = framing.aim[0], framing.aim[1], np.radians(framing.roll_deg)
    turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1.0]])
    turn = turn @ _small_turn(yaw, pitch)
    closest = float(np.linalg.norm(hull, axis=1).max()) + 0.12
    distance, K = 2.0, np.diag([focal_mm, focal_mm, 1.0])
    for _ in range(6):
        distance = max(distance, closest)
        camera = Camera(K, turn @ R, turn @ np.array([0.0, 0.0, distance]))
        _, _, width, height = camera.box(hull)
        distance *= max(width, height * 1.5) / (framing.fill * FILM_MM)
    distance = max(distance, closest)
    return Camera(K, turn @ R, turn @ np.array([0.0, 0.0, distance]))


def widened(camera: Camera, corner: tuple[float, float], side: float, size: int) -> Camera:
    """The same view, cropped to a square of the given corner and side in pixels, scaled to ``size`` pixels."""
    zoom = size / side
    crop = np.array([[zoom, 0, -corner[0] * zoom], [0, zoom, -corner[1] * zoom], [0, 0, 1.0]])
    return Camera(crop @ camera.K, camera.R, camera.t)


def _small_turn(yaw: float, pitch: float) -> np.ndarray:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    return np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
