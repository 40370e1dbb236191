"""Finding the car and staying with it: the finder every few frames, the tracker always, the cloud's own box between.

The finder says that something is a car; where exactly it is, the cloud that was made of it tells in every frame for
nothing, since it lies over the picture by its pose.
"""

import threading
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from edge.pose import Pose, project
from edge.runtime.finder import Finder
from edge.runtime.reconstructor import Box, Reconstruction
from edge.runtime.tracking import Track, Tracker, alike

#: Seconds between two looks for cars while one is followed; without one, every frame is looked at.
INTERVAL = 0.25
#: A cloud whose box overlaps the tracked one by less does not move it: then one of them is wrong, and the finder says
#: which.
AGREE = 0.6


class Sight(NamedTuple):
    """What is seen of cars. cars: all that are believed. followed: number of the one that is reconstructed, or None; it
    is ``unseen`` while it is hidden. milliseconds: what looking took, 0 in a frame in which nobody looked."""

    cars: Tuple[Track, ...]
    followed: Optional[int]
    milliseconds: float


class Follower:
    """One car at a time. :meth:`look` and :meth:`learn` belong to one thread, :meth:`follow` may be called from any.

    interval: seconds between looks while a car is followed and seen; else every frame is looked at.
    """

    def __init__(self, finder: Finder, tracker: Optional[Tracker] = None, interval: float = INTERVAL) -> None:
        self._finder, self._tracker, self._interval = finder, tracker or Tracker(), interval
        self._looked, self._missed = -np.inf, False
        self._lock = threading.Lock()

    def look(self, image_bgr: np.ndarray, now: float) -> Tuple[Optional[Box], Sight]:
        """Box of the car to reconstruct in a picture (H, W, 3) taken at ``now``, seconds, None without any or while it
        is hidden; and what is seen. Raises BackendError.

        A network makes a cloud of whatever stands before a hidden car, and a mean would learn it: better none.
        """
        height, width = image_bgr.shape[:2]
        due = now - self._looked >= self._interval or now < self._looked
        if self._tracker.followed is None or self._missed or due:
            found = self._finder.find(image_bgr)
            self._looked, milliseconds = now, self._finder.milliseconds
            with self._lock:
                self._tracker.update(found, now, (width, height), self._finder.faint)
                track = self._tracker.followed
                self._missed = track is not None and track.unseen > 0
        else:
            milliseconds = 0.0
            with self._lock:
                self._tracker.glance(now)
        with self._lock:
            track, cars = self._tracker.followed, tuple(self._tracker.tracks)
        box = None if track is None else clipped(track.box, width, height)
        followed = None if track is None or box is None else track.number
        return None if self._missed else box, Sight(cars, followed, milliseconds)

    def learn(self, sight: Sight, reconstruction: Reconstruction) -> None:
        """Move the followed car's box to where its cloud lies over the picture, if the two agree at all.

        Not while the finder does not see the car: whatever the crop shows, a cloud fills it, and leads the box away.
        """
        if sight.followed is None or reconstruction.pose is None:
            return
        box = box_of_cloud(reconstruction.cloud.points, reconstruction.pose, reconstruction.crop_box)
        with self._lock:
            track = self._tracker.followed
            if box is not None and track is not None and track.number == sight.followed and (
                track.unseen <= self._interval
            ):
                if alike(box, track.box) >= AGREE:
                    self._tracker.refine(track.number, box)

    def follow(self, number: Optional[int]) -> bool:
        """Follow the car of this number, or, for None, whichever stands out. False if there is no such car."""
        with self._lock:
            return self._tracker.follow(number)


def box_of_cloud(points: np.ndarray, pose: Pose, crop: Tuple[int, int, int]) -> Optional[Box]:
    """x, y, width and height in pixels of a cloud (N, 3) that was made of the square ``crop`` (left, top, side) of a
    picture; None without points."""
    if not len(points):
        return None
    place = project(points, pose)[0]
    left, top, side = crop
    low, high = ((place.min(0) + 1) / 2 * side).tolist(), ((place.max(0) + 1) / 2 * side).tolist()
    return (left + low[0], top + low[1], high[0] - low[0], high[1] - low[1])


def clipped(box: Box, width: int, height: int) -> Optional[Box]:
    """The part of a box within the picture, None where that is nothing to speak of."""
    x, y, w, h = box
    left, top, right, bottom = max(0.0, x), max(0.0, y), min(float(width), x + w), min(float(height), y + h)
    if right - left < 0.25 * w or bottom - top < 0.25 * h or min(right - left, bottom - top) < 8:
        return None
    return (left, top, right - left, bottom - top)


def facts(sight: Sight) -> List[Dict[str, Any]]:
    """The cars for JSON: number, box in whole pixels, score, whether it is followed, seconds since it was found."""
    return [
        {
            "number": track.number, "box": [int(round(value)) for value in track.box], "score": round(track.score, 3),
            "followed": track.number == sight.followed, "unseen_s": round(track.unseen, 2),
        }
        for track in sight.cars
    ]  # fmt: skip
