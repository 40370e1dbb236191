"""Pictures of one photo that differ in known ways: zoomed, shifted, rolled, mirrored, in other light."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from training.unlabelled.photos import EXTENT, SIDE, Photo

#: Ranges of the variants: zoom, shift in crop coordinates, roll in degrees, gain of brightness.
ZOOM, SHIFT, ROLL, GAIN = (0.92, 1.12), 0.06, 6.0, (0.8, 1.2)


def drawn(count: int, rng: np.random.Generator) -> np.ndarray:
    """Matrices (count, 2, 3) float32 from a variant's crop coordinates to the photo's; the first is the photo as it is,
    the second its mirror image, and so is every second of the others."""
    result = np.zeros((count, 2, 3), np.float32)
    for row in range(count):
        zoom, angle, shift = rng.uniform(*ZOOM), np.radians(rng.uniform(-ROLL, ROLL)), rng.uniform(-SHIFT, SHIFT, 2)
        if row < 2:
            zoom, angle, shift = 1.0, 0.0, np.zeros(2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        result[row, :, :2] = zoom * turn @ np.diag([1.0 - 2.0 * (row % 2), 1.0])
        result[row, :, 2] = shift
    return result


def warped(photo: Photo, matrix: np.ndarray, size: int, gain: float = 1.0) -> np.ndarray:
    """The variant (size, size, 3) uint8 RGB of a photo; what lies beyond it repeats its border."""
    to_crop = np.array([[2 / size, 0, 1 / size - 1], [0, 2 / size, 1 / size - 1], [0, 0, 1]])
    half = SIDE / 2
    to_pixel = np.array([[half / EXTENT, 0, half - 0.5], [0, half / EXTENT, half - 0.5]])
    move = to_pixel @ np.vstack([matrix, [0, 0, 1]]) @ to_crop
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    made = cv2.warpAffine(photo.rgb, move, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(made.astype(np.float32) * gain + 0.5, 0, 255).astype(np.uint8) if gain != 1.0 else made


def moved(place: Tensor, matrix: Tensor) -> Tensor:
    """Places (B, P, 2) in variants' crop coordinates as those of the photos. matrix: (B, 2, 3)."""
    return place @ matrix[:, :, :2].transpose(1, 2) + matrix[:, None, :, 2]


def is_mirrored(matrix: Tensor) -> Tensor:
    """(B,) bool of matrices (B, 2, 3)."""
    return torch.linalg.det(matrix[:, :, :2]) < 0


def sides_swapped(points: Tensor, swap: Tensor) -> Tensor:
    """Points (B, 2 N, X), the left half first; where ``swap`` (B,), the right half first: in a mirrored picture the
    left of the car is seen where its right was."""
    left, right = points.chunk(2, 1)
    return torch.where(swap[:, None, None], torch.cat([right, left], 1), points)
