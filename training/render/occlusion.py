"""What of a car the sky reaches: soft shade in wheel arches and under bumpers, and triangles that nobody can see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge.geometry import look_rotation
from training.render.geometry import Soup

#: Half the side of the square that a parallel camera covers, in car lengths.
REACH = 1.0
#: How far behind the front-most surface a point still counts as seen, in the depth units of :func:`parallel_matrix`.
BIAS = 0.0015


def parallel_matrix(direction: np.ndarray) -> np.ndarray:
    """Clip matrix (4, 4) of a parallel camera that stands in a direction and sees the car and the ground around it."""
    steep = abs(direction[2]) > 0.999
    up = (1.0, 0.0, 0.0) if steep else (0.0, 0.0, 1.0)
    R = look_rotation((float(direction[0]), float(direction[1]), float(direction[2])), up).astype(np.float64)
    matrix = np.eye(4)
    matrix[:3, :3] = R / REACH
    matrix[2] /= 3.0
    return matrix


def even_directions(count: int, lowest: float) -> np.ndarray:
    """Even directions (Fibonacci) from the zenith down to a height ``lowest`` (sine), (count, 3)."""
    z = 1 - (np.arange(count) + 0.5) / count * (1 - lowest)
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - z * z)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)


def openness(
    soup: Soup, depth_from: Callable[[np.ndarray], np.ndarray], directions: int = 48
) -> tuple[np.ndarray, np.ndarray]:
    """Sky seen per vertex and whether a face can be seen at all.

    depth_from: clip matrix to depth map (S, S), 0..1. Returns (V,) float32 in 0.15..1 and (F,) bool.
    """
    centres = soup.position[soup.faces].mean(axis=1)
    points, count = np.concatenate([soup.position, centres]), len(soup.position)
    seen_at_all = np.zeros(len(points), bool)
    seen, front, back = (np.zeros(count, np.float32) for _ in range(3))
    for direction in even_directions(directions, -0.8):
        matrix = parallel_matrix(direction)
        depth = depth_from(matrix)
        clip = points @ (matrix[:3, :3].T * 0.5).astype(np.float32) + 0.5
        cell = np.clip((clip[:, :2] * depth.shape[0]).astype(np.int32), 0, depth.shape[0] - 1)
        visible = clip[:, 2] < depth[cell[:, 1], cell[:, 0]] + BIAS
        seen_at_all |= visible
        weight = np.float32(direction[2] + 0.4)
        if weight > 0:
            seen += weight * visible[:count]
            facing = soup.normal @ direction.astype(np.float32)
            front += weight * (facing > 0.05)
            back += weight * (facing < -0.05)
    # The sign of a normal is not trusted: compare with the better lit of its two sides.
    ratio = np.minimum(seen / np.maximum(np.maximum(front, back), 0.3), 1.0)
    useful = seen_at_all[soup.faces].any(axis=1) | seen_at_all[count:]
    return (0.15 + 0.85 * ratio).astype(np.float32), useful
