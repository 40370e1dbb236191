"""True poses for training: pinhole cameras to the virtual camera through the car's centre (edge.pose)."""

from __future__ import annotations

import numpy as np

#: Corners of a car's box at which the virtual camera's scale is fitted, canonical units.
CORNERS = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.21, 0.21) for z in (-0.16, 0.16)])


def virtual_cameras(k: np.ndarray, r: np.ndarray, t: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Azimuth (N,) in radians and camera (N, 6) as in ``edge.pose.CAMERA``, float32.

    k: (N, 3, 3), r: (N, 3, 3), t: (N, 3), OpenCV, world = canonical frame; the crop is the whole picture of ``size``
    pixels. The virtual axis goes through the car's centre; the scale is the least-squares one of the projected
    corners of an ordinary car's box, since off the picture's centre a true pinhole stretches outwards.
    """
    k, r, t = (np.asarray(a, np.float64) for a in (k, r, t))
    distance = np.linalg.norm(t, axis=1)
    rotation = _towards_axis(t / distance[:, None]) @ r
    centre = _crop(_pinhole(k, t), size)
    true = _crop(_pinhole(k[:, None], (r[:, None] @ CORNERS[..., None])[..., 0] + t[:, None]), size) - centre[:, None]
    cam = (rotation[:, None] @ CORNERS[..., None])[..., 0]
    flat = cam[..., :2] / (1 + cam[..., 2:] / distance[:, None, None])
    scale = (true * flat).sum((1, 2)) / (flat**2).sum((1, 2))
    direction = -rotation[:, 2]
    azimuth = np.arctan2(direction[:, 1], direction[:, 0])
    elevation = np.arcsin(np.clip(direction[:, 2], -1, 1))
    # Rows right of the camera and of one without roll: the angle between them, in the picture's plane.
    level = np.stack([-np.sin(azimuth), np.cos(azimuth), np.zeros_like(azimuth)], 1)
    roll = np.arctan2((rotation[:, 1] * level).sum(1), (rotation[:, 0] * level).sum(1))
    camera = np.stack([elevation, roll, centre[:, 0], centre[:, 1], np.log(scale), 1 / distance], 1)
    return azimuth.astype(np.float32), camera.astype(np.float32)


def _pinhole(k: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of camera-frame points (..., 3)."""
    image = (k @ points[..., None])[..., 0]
    return np.asarray(image[..., :2] / image[..., 2:])


def _crop(pixels: np.ndarray, size: int) -> np.ndarray:
    """Pixels to crop coordinates, -1..1 over the picture."""
    return pixels * (2.0 / size) - 1.0


def _towards_axis(ray: np.ndarray) -> np.ndarray:
    """The smallest rotations (N, 3, 3) that carry unit rays (N, 3) onto the z axis (Rodrigues)."""
    count = len(ray)
    cross = np.stack([ray[:, 1], -ray[:, 0], np.zeros(count)], 1)
    k = np.zeros((count, 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 2] = -cross[:, 2], cross[:, 1], -cross[:, 0]
    k -= k.transpose(0, 2, 1)
    return np.asarray(np.eye(3) + k + k @ k / (1 + ray[:, 2])[:, None, None])
