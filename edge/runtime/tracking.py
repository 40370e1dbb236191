"""Which box is which car, from frame to frame: simple online tracking by overlap and constant velocity.

After Bewley et al., "Simple online and realtime tracking", ICIP 2016, with a greedy choice in place of the Hungarian
method (a handful of cars) and an exponential mean in place of the Kalman filter. Boxes of low score keep a car that is
there and make none: Zhang et al., "ByteTrack", ECCV 2022.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from edge.runtime.anchors import centred, overlap
from edge.runtime.finder import Detection, prominence
from edge.runtime.reconstructor import Box

#: Boxes that overlap by less are of two cars.
LEAST = 0.25
#: A box of low score is a car's if they overlap by so much.
SURE = 0.5
#: Times that a new car must be found before it is believed, and what its scores must sum to: a single wrong box becomes
#: no car, and of boxes that are hardly above the threshold it takes three.
BELIEVED, EVIDENCE = 2, 1.0
#: Seconds that a car is kept without being found: behind a post, between two glances.
PATIENCE = 2.0
#: Seconds without a look (the camera was away) after which a car is another one, even where one was. More than the
#: seconds between two looks of the slowest machine, which finds the same car in each.
LAPSE = 10.0
#: Weight of the newest box in a car's place and size, and of the newest step in its velocity.
SMOOTH, STEADY = 0.6, 0.3
#: By how much more another car must stand out for it to be followed in place of the one that is, without being asked.
BETTER = 2.0


class Track(NamedTuple):
    """One car. number: never given twice. box: x, y, width, height in pixels, now. score: of its last detection.

    found: times it was found. unseen: seconds since then.
    """

    number: int
    box: Box
    score: float
    found: int
    unseen: float


class _Car:
    """A car's centre, size and velocity (pixels, pixels a second). number: 0 until it is believed."""

    def __init__(self, detection: Detection, now: float) -> None:
        self.number, self.score, self.found, self.seen = 0, detection.score, 1, now
        self.evidence = detection.score
        self.state = centred(detection.box)
        self.detected = self.state[:2].copy()
        self.velocity = np.zeros(2)
        self.now = now

    def move(self, now: float) -> None:
        """To where it should be at ``now``; the longer it is out of sight, the less it is believed to go on."""
        passed = max(0.0, now - self.now)
        self.velocity *= 0.5 ** (passed / 0.5) if now > self.seen else 1.0
        self.state[:2] += self.velocity * passed
        self.now = now

    def see(self, detection: Detection, now: float) -> None:
        """The car was found again. Its velocity is what its detections say: a refined box is another kind of box."""
        passed, found = now - self.seen, centred(detection.box)
        if passed > 0:
            self.velocity += STEADY * ((found[:2] - self.detected) / passed - self.velocity)
        self.detected, self.score, self.found = found[:2].copy(), detection.score, self.found + 1
        self.evidence += detection.score
        self.refine(detection.box)
        self.seen = self.now = now

    def refine(self, box: Box) -> None:
        """A better box, which counts ``SMOOTH``."""
        self.state += SMOOTH * (centred(box) - self.state)

    def track(self) -> Track:
        x, y, w, h = (float(value) for value in self.state)
        return Track(self.number, (x - w / 2, y - h / 2, w, h), self.score, self.found, max(0.0, self.now - self.seen))


class Tracker:
    """Cars that are believed to be there, and the one that is followed. Belongs to one thread.

    patience: seconds that a car is kept without being found.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._cars: List[_Car] = []
        self._last = 0
        self._followed: Optional[int] = None
        self._wanted: Optional[int] = None

    def update(
        self, detections: Sequence[Detection], now: float, size: Tuple[int, int], faint: Sequence[Detection] = ()
    ) -> None:
        """What the finder found in a picture of ``size`` (width, height) that was taken at ``now``, seconds.

        faint: boxes of low score, which keep cars that are believed and make none.
        """
        # Before cars are matched to boxes: after a long gap nothing says that what stands there is what stood there.
        self._cars = [car for car in self._cars if now - car.seen <= max(LAPSE, self.patience)]
        for car in self._cars:
            car.move(now)
        free = list(detections)
        for row, column in _pairs(self._cars, detections, LEAST):
            self._cars[row].see(detections[column], now)
            free.remove(detections[column])
        missed = [car for car in self._cars if car.number and car.seen < now]
        for row, column in _pairs(missed, faint, SURE):
            missed[row].see(faint[column], now)
        self._cars += [_Car(one, now) for one in free]
        for car in self._cars:
            if not car.number and car.found >= BELIEVED and car.evidence >= EVIDENCE:
                self._last += 1
                car.number = self._last
        self._forget(now)
        self._choose(size)

    def glance(self, now: float) -> None:
        """A frame in which nobody looked for cars: they move on as they did, and the unseen are forgotten in time."""
        for car in self._cars:
            car.move(now)
        self._forget(now)

    def refine(self, number: int, box: Box) -> None:
        """A better box of one car, such as the one its cloud fills; that it is a car at all, this does not confirm."""
        for car in self._cars:
            if car.number == number:
                car.refine(box)

    def follow(self, number: Optional[int]) -> bool:
        """Follow this car from now on, or, for None, whichever stands out. False if there is no such car."""
        if number is not None and (number == 0 or all(car.number != number for car in self._cars)):
            return False
        self._wanted = number
        if number is not None:
            self._followed = number
        return True

    @property
    def tracks(self) -> List[Track]:
        """The cars that are believed, in the order in which they came."""
        return [car.track() for car in self._cars if car.number]

    @property
    def followed(self) -> Optional[Track]:
        """The car that is followed, None without any."""
        return next((car.track() for car in self._cars if car.number == self._followed), None)

    def _forget(self, now: float) -> None:
        """Cars out of sight for too long; ones that were hardly there, sooner."""
        self._cars = [car for car in self._cars if now - car.seen <= (self.patience if car.number else 0.5)]
        numbers = [car.number for car in self._cars]
        if self._followed not in numbers:
            self._followed = None
        if self._wanted not in numbers:
            self._wanted = None

    def _choose(self, size: Tuple[int, int]) -> None:
        """The car to follow: the one that was asked for, else the one that stands out, but no hopping to and fro."""
        if self._wanted is not None:
            self._followed = self._wanted
            return
        tracks = self.tracks
        if not tracks:
            return
        best = max(tracks, key=lambda track: prominence(track.box, size))
        now = self.followed
        if now is None or prominence(best.box, size) > BETTER * prominence(now.box, size):
            self._followed = best.number


def alike(box: Sequence[float], other: Sequence[float]) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    return float(overlap(centred(box)[None], centred(other)[None])[0, 0])


def _pairs(cars: Sequence[_Car], found: Sequence[Detection], least: float) -> List[Tuple[int, int]]:
    """Rows of cars and of boxes that overlap by ``least`` or more, those that overlap most first, each once."""
    if not cars or not found:
        return []
    shared = overlap(np.stack([car.state for car in cars]), np.stack([centred(one.box) for one in found]))
    pairs: List[Tuple[int, int]] = []
    while True:
        row, column = np.unravel_index(int(shared.argmax()), shared.shape)
        if shared[row, column] < least:
            return pairs
        pairs.append((int(row), int(column)))
        shared[row], shared[:, column] = 0, 0
