"""What was learnt of one car in the frames before: its shape averaged over the sides it was seen from, and its colours.

The points of a cloud correspond from frame to frame (they are the same points of the same template), and every frame
is predicted in the car's own frame: their mean over frames needs no alignment. Errors of one view hardly differ
from frame to frame, those of different views do: so what counts is from how many directions the car was seen, not in
how many frames. Constant memory and time.
"""

from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from edge.bundle import Bundle
from edge.geometry import Cloud
from edge.pose import Pose
from edge.runtime.outputs import NEAR, BodyClass, Length, confidence_of
from edge.runtime.paint import Paint

#: Directions around the car that are averaged apart, and frames that a direction remembers.
SECTORS, FRAMES = 24, 8
#: Which part of a point's squared error all views share (measured: over 24 views of nine cars the mean distance to the
#: true car fell from 1.16 to 1.00 % of its length).
SHARED = 0.74
#: A cloud that is so far from the mean, canonical units, so many times in a row, is of another car.
FAR, TIMES = 0.05, 5


class Known(NamedTuple):
    """points: (N, 3) float32 and confidence: (N,) float32 or None of the mean. sectors: directions it was seen from."""

    points: np.ndarray
    confidence: Optional[np.ndarray]
    sectors: int


def corresponds(bundle: Bundle) -> bool:
    """Whether the points of the bundle's clouds are the same ones in each frame; those of maps or cells are not."""
    return "points" in bundle.outputs or "vertices" in bundle.outputs


class Memory:
    """Of one car at a time. Belongs to one thread.

    paint: its colours.
    """

    def __init__(self) -> None:
        self._number: Any = None
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._sectors: Dict[int, Tuple[np.ndarray, np.ndarray]] = {}
        self._seen: Dict[int, int] = {}
        self._weight = self._sum = np.zeros(0)
        self._far = 0
        self.paint = Paint()
        self._length = np.zeros(2)
        self._classes: Dict[str, float] = {}

    def of(self, number: Any) -> "Memory":
        """The memory of the car of this number: itself, emptied if the last car was another one."""
        if number != self._number:
            self.forget()
            self._number = number
        return self

    def shape(self, cloud: Cloud, pose: Optional[Pose]) -> Known:
        """Add a frame's cloud and return the mean so far.

        A point counts with one over the square of the error it expects. Frames from one direction are averaged first,
        the newest counting an eighth at least, and then the directions.
        """
        # Column by column: NumPy is several times as fast along an axis as over rows of three.
        points = np.asarray(cloud.points, np.float64, order="F")
        weight = weights_of(cloud)
        if len(self._weight) and (len(points) != len(self._weight) or self._is_other(points)):
            number = self._number
            self.forget()
            self._number = number
        if not len(self._weight):
            self._weight, self._sum = np.zeros(len(points)), np.zeros_like(points)
        sector = 0 if pose is None else int(pose.azimuth % 360.0 * SECTORS / 360.0) % SECTORS
        self._seen[sector] = self._seen.get(sector, 0) + 1
        if sector in self._sectors:
            old_weight, old_points = self._sector(sector)
            self._weight -= old_weight
            self._sum -= old_weight[:, None] * old_points
            part = max(1.0 / self._seen[sector], 1.0 / FRAMES)
            weight = old_weight + part * (weight - old_weight)
            points = old_points + part * (points - old_points)
        self._sectors[sector] = weight.astype(np.float32), points.astype(np.float32)
        weight, points = self._sector(sector)  # as it is kept, so that later the very same is taken away
        self._weight += weight
        self._sum += weight[:, None] * points
        mean = (self._sum / self._weight[:, None]).astype(np.float32, order="C")
        return Known(mean, self._confidence(cloud), len(self._sectors))

    def length(self, length: Optional[Length]) -> Optional[Length]:
        """The mean so far, weighted by one over the square of the error that each frame expects."""
        if length is None:
            return None
        weight = 1.0 / max(length.relative_error, 1e-3) ** 2
        # The latest hundred frames or so: after that a new one still counts a hundredth.
        self._length *= min(1.0, 99.0 * weight / max(self._length[0], 1e-9))
        self._length += weight * np.array([1.0, np.log(length.metres)])
        return Length(float(np.exp(self._length[1] / self._length[0])), length.relative_error)

    def body(self, body: Optional[BodyClass]) -> Optional[BodyClass]:
        """The class that was the most probable over the frames, with the mean of its probability."""
        if body is None:
            return None
        self._classes = {name: 0.98 * value for name, value in self._classes.items()}
        self._classes[body.name] = self._classes.get(body.name, 0.0) + body.probability
        best = max(self._classes, key=lambda name: self._classes[name])
        total = sum(self._classes.values())
        return BodyClass(best, float(body.probability if total <= 0 else self._classes[best] / total))

    def _sector(self, sector: int) -> Tuple[np.ndarray, np.ndarray]:
        weight, points = self._sectors[sector]
        return weight.astype(np.float64), points.astype(np.float64)

    def _is_other(self, points: np.ndarray) -> bool:
        away = np.linalg.norm(points - self._sum / self._weight[:, None], axis=1).mean()
        self._far = self._far + 1 if away > FAR else 0
        return self._far >= TIMES

    def _confidence(self, cloud: Cloud) -> Optional[np.ndarray]:
        """Of the mean: views share most of their error, and the rest shrinks with their number."""
        if cloud.confidence is None:
            return None
        count = len(self._sectors)
        error = 1 / np.sqrt((self._weight / count).astype(np.float32))
        return confidence_of(error * np.float32(np.sqrt(SHARED + (1.0 - SHARED) / count)))


def weights_of(cloud: Cloud) -> np.ndarray:
    """(N,) float64: one over the square of the expected error of each point; ones where it is not known."""
    if cloud.confidence is None:
        return np.ones(len(cloud.points))
    error = np.float32(-NEAR) / np.log1p(-np.clip(cloud.confidence, np.float32(1e-3), np.float32(1 - 1e-6)))
    return np.asarray(1 / np.square(error), np.float64)
