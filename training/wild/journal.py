"""What a played clip gave, kept in little memory however long it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np

from edge.geometry import Cloud
from edge.runtime.reconstructor import Reconstruction
from training.wild.play import Moment

#: Most frames whose picture and clouds are kept; of a longer clip every second, every fourth ... frame.
KEPT = 48
#: Longest side of the kept pictures, pixels.
LARGEST = 640


class Line(NamedTuple):
    """One frame in numbers. box: of the followed car, x, y, width, height in pixels; number: which car it is. Both and
    the directions, degrees, are None without a car, and these also for a network that does not tell them."""

    frame: int
    number: int | None
    box: tuple[float, float, float, float] | None
    azimuth: float | None
    elevation: float | None
    certainty: float | None
    directions: int


class Kept(NamedTuple):
    """A frame to look at. image: (h, w, 3) uint8 BGR, made smaller by ``scale``. Boxes stay in pixels of the frame."""

    line: Line
    image: np.ndarray
    scale: float
    reconstruction: Reconstruction | None
    single: Cloud | None


@dataclass
class Moves:
    """Mean movement of a cloud's points from frame to frame, canonical units, of one car at a time."""

    last: np.ndarray | None = None
    number: int | None = None
    frame: int = -2
    values: list[float] = field(default_factory=list)

    def add(self, frame: int, number: int | None, points: np.ndarray) -> None:
        """Points (N, 3) of the next frame; counted if the same car was there in the frame before."""
        same = frame == self.frame + 1 and number == self.number
        if self.last is not None and same and len(points) == len(self.last):
            self.values.append(float(np.linalg.norm(points - self.last, axis=1).mean()))
        self.last, self.number, self.frame = points, number, frame

    def figures(self) -> dict[str, float] | None:
        """Percent of the car's longest edge a frame: the mean over all, and over the second half."""
        if not self.values:
            return None
        half = self.values[len(self.values) // 2 :]
        return {"mean": 100 * float(np.mean(self.values)), "second_half": 100 * float(np.mean(half))}


class Journal:
    """Takes every :class:`Moment` of a clip by :meth:`add`.

    corresponds: whether a cloud's points are the same ones in every frame, so that their movement means something.
    """

    def __init__(self, corresponds: bool) -> None:
        self.lines: list[Line] = []
        self.kept: list[Kept] = []
        self.single, self.mean = Moves(), Moves()
        self.last: Reconstruction | None = None
        self.cars: list[int] = []
        self._corresponds, self._stride = corresponds, 1

    def add(self, moment: Moment) -> None:
        """The next frame."""
        line = line_of(moment)
        self.lines.append(line)
        if line.number is not None and line.number not in self.cars:
            self.cars.append(line.number)
        if moment.reconstruction is not None and moment.single is not None:
            self.last = moment.reconstruction
            if self._corresponds:
                self.single.add(moment.number, line.number, moment.single.points)
                self.mean.add(moment.number, line.number, moment.reconstruction.cloud.points)
        if moment.number % self._stride == 0:
            self._keep(moment, line)

    def movement(self, averaged: bool) -> dict[str, Any] | None:
        """Movement of single clouds, and of averaged ones with the ratios; None where there is none to tell."""
        single, mean = self.single.figures(), self.mean.figures()
        if single is None or mean is None:
            return None
        found: dict[str, Any] = {"single": {name: round(value, 4) for name, value in single.items()}}
        if averaged:
            found["averaged"] = {name: round(value, 4) for name, value in mean.items()}
            found["ratio"] = {name: round(single[name] / max(mean[name], 1e-9), 2) for name in single}
        return found

    def _keep(self, moment: Moment, line: Line) -> None:
        scale = min(1.0, LARGEST / max(moment.image.shape[:2]))
        image = cv2.resize(moment.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        self.kept.append(Kept(line, image, scale, moment.reconstruction, moment.single))
        if len(self.kept) > KEPT:
            self.kept, self._stride = self.kept[::2], 2 * self._stride


def line_of(moment: Moment) -> Line:
    """A frame in numbers."""
    made, followed = moment.reconstruction, moment.sight.followed
    box = next((track.box for track in moment.sight.cars if track.number == followed), None)
    pose = None if made is None else made.pose
    if made is None or box is None:
        return Line(moment.number, None, None, None, None, None, 0)
    if pose is None:
        return Line(moment.number, followed, box, None, None, None, made.directions)
    return Line(moment.number, followed, box, pose.azimuth, pose.elevation, pose.certainty, made.directions)
