"""Hard scenes for the whole edge side, made from the bundled clip: two cars, a car that leaves, none, darkness.

The pictures are as real as the clip's: its rendered car, its ground, its light. Nothing here knows about the runtime.
"""

import json
import os
from typing import List, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from tests.edge.helpers import ROOT

#: The clip that ships with the package, and where its car is in each frame.
DEMO_CLIP = os.path.join(ROOT, "edge", "clips", "demo.mp4")
DEMO_BOXES = os.path.join(ROOT, "edge", "clips", "demo.json")
#: Every third frame of fifteen a second: seconds from picture to picture.
EVERY, STEP = 3, 0.2
#: Edge lengths of the second car's picture over the first's in :func:`beside`.
SMALLER = 2.0 / 3.0
#: The blur of a car's outline reaches so far out of its box, in parts of the box's height.
MARGIN = 0.12

Box = Tuple[float, float, float, float]


class Shot(NamedTuple):
    """image: (360, 480, 3) uint8 BGR with one car. box: its x, y, width and height in pixels, as it was rendered."""

    image: np.ndarray
    box: Box


def demo(count: int, first: int = 0) -> List[Shot]:
    """``count`` shots of the walk round the car, from the clip's frame ``first`` on; the walk is a circle."""
    with open(DEMO_BOXES, encoding="utf-8") as file:
        boxes = json.load(file)["boxes"]
    clip = cv2.VideoCapture(DEMO_CLIP)
    frames: List[np.ndarray] = []
    while len(frames) < len(boxes):
        read, frame = clip.read()
        assert read, "%s has fewer frames than %s has boxes" % (DEMO_CLIP, DEMO_BOXES)
        frames.append(frame)
    clip.release()
    numbers = [(first + EVERY * index) % len(boxes) for index in range(count)]
    return [Shot(frames[number].copy(), tuple(boxes[number])) for number in numbers]  # type: ignore[arg-type]


def without_car(shot: Shot) -> np.ndarray:
    """The shot's picture with the car and its shadow gone: from the car's roof down there is bare ground.

    Its colour passes from that of the row above the car to that of the whole foreground, with some grain.
    """
    height, width = shot.image.shape[:2]
    top = max(1, int(shot.box[1] - MARGIN * shot.box[3]))
    above = cv2.GaussianBlur(shot.image[top - 1 : top].astype(np.float32), (0, 0), 12)
    below = np.median(shot.image[int(shot.box[1] + shot.box[3]) :].reshape(-1, 3), 0).astype(np.float32)
    down = np.linspace(0, 1, height - top, dtype=np.float32)[:, None, None]
    ground = above + np.sqrt(down) * (below - above)
    ground += np.random.RandomState(0).normal(0, 4, (height - top, width, 1)).astype(np.float32)
    picture = shot.image.copy()
    picture[top:] = np.clip(ground, 0, 255).astype(np.uint8)
    return picture


def beside(large: Shot, small: Shot, mirrored: bool = False) -> Tuple[np.ndarray, Tuple[Box, Box]]:
    """Two moments of the walk in one picture (360, 800, 3): ``large`` as it is, and ``small`` to the right of it at two
    thirds of its size; mirrored: to the left of it. And the boxes of the two cars."""
    height, width = large.image.shape[:2]
    wide, high = int(round(SMALLER * width)), int(round(SMALLER * height))
    picture = np.empty((height, width + wide, 3), np.uint8)
    start, at = (wide, 0) if mirrored else (0, width)
    picture[:, start : start + width] = large.image
    picture[height - high :, at : at + wide] = cv2.resize(small.image, (wide, high), interpolation=cv2.INTER_AREA)
    # Above the smaller picture: its own uppermost rows, drawn out.
    picture[: height - high, at : at + wide] = picture[height - high : height - high + 1, at : at + wide]
    x, y, w, h = large.box
    second = [SMALLER * value for value in small.box]
    return picture, ((x + start, y, w, h), (second[0] + at, second[1] + height - high, second[2], second[3]))


def turned_away(shot: Shot, part: float) -> np.ndarray:
    """What the camera sees when it turns right by ``part`` of its picture's width: at 1 nothing of the car any more.

    Next to the shot lies the same place without the car, mirrored, so that the ground goes on.
    """
    width = shot.image.shape[1]
    left = int(round(part * width))
    return np.hstack([shot.image, without_car(shot)[:, ::-1]])[:, left : left + width].copy()


def turning(shots: Sequence[Shot], parts: Sequence[float]) -> List[np.ndarray]:
    """One picture for each shot, turned away by the part of the same number."""
    return [turned_away(shot, part) for shot, part in zip(shots, parts)]


def lit(image: np.ndarray, light: float) -> np.ndarray:
    """The picture in ``light`` times its light: 1 as it is, 0 black."""
    return np.clip(image * np.float32(light), 0, 255).astype(np.uint8)
