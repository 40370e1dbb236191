"""Helpers shared by the edge tests: where the fixtures lie, small pictures, small bundles."""

import os
import shutil
import sys
from typing import Tuple

import numpy as np

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fixtures")
#: A bundle whose network draws a car of two ellipsoids in closed form; see fixtures/make_tiny_bundle.py.
TINY_BUNDLE = os.path.join(FIXTURES, "tiny_bundle")
#: A bundle whose network gives points on a box, their error, and pose, length and class; by the same script.
POSED_BUNDLE = os.path.join(FIXTURES, "posed_bundle")
#: The same with a finder that takes a red square, an eighth of the picture wide, for a car a quarter of it wide.
FINDING_BUNDLE = os.path.join(FIXTURES, "finding_bundle")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def copy_tiny_bundle(folder: str) -> str:
    """A copy of the tiny bundle that a test may damage; returns its path."""
    return copy_bundle(TINY_BUNDLE, folder)


def copy_bundle(source: str, folder: str) -> str:
    """A copy of a bundle that a test may damage; returns its path."""
    target = os.path.join(str(folder), "bundle")
    shutil.copytree(source, target)
    return target


def picture(width: int = 80, height: int = 60, seed: int = 0) -> np.ndarray:
    """A picture (height, width, 3) uint8 BGR without meaning: a gradient and some noise."""
    ramp = np.linspace(0, 200, width).astype(np.uint8)
    image = np.repeat(np.repeat(ramp[None, :, None], height, 0), 3, 2)
    image[..., 1] = 255 - image[..., 1]
    return image + np.random.RandomState(seed).randint(0, 50, image.shape).astype(np.uint8)


def red_cars(*cells: Tuple[int, int], width: int = 320, height: int = 240) -> np.ndarray:
    """A grey picture (height, width, 3) uint8 BGR with a red square, which FINDING_BUNDLE takes for a car, in each of
    the given (column, row) of its eight times eight cells."""
    image = np.full((height, width, 3), 90, np.uint8)
    for column, row in cells:
        left, top, wide, high = column * width // 8, row * height // 8, width // 8, height // 8
        image[top : top + high, left : left + wide] = (0, 0, 255)
    return image


def write_picture(path: str, width: int = 80, height: int = 60, seed: int = 0) -> str:
    """Writes :func:`picture` in the format of the path's extension; returns the path as text."""
    import cv2

    path = str(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    assert cv2.imwrite(path, picture(width, height, seed)), path
    return path


def write_clip(path: str, frames: int = 10, fps: float = 20.0, width: int = 64, height: int = 48) -> str:
    """An MJPG clip (.avi) whose frame i is of grey level 20 * i, so that frames can be told apart."""
    import cv2

    path = str(path)
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), fps, (width, height))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((height, width, 3), 20 * index, np.uint8))
    writer.release()
    return path


def python() -> str:
    """The interpreter that runs the tests."""
    return sys.executable
