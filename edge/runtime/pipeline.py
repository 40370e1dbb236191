"""Frames in, results out, until the source ends or somebody says stop."""

import signal
import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional

import numpy as np

from edge.runtime.capture import NewestFrame
from edge.runtime.following import Follower, Sight
from edge.runtime.memory import Memory, corresponds
from edge.runtime.reconstructor import Box, Reconstruction, Reconstructor
from edge.runtime.sources import Frame
from edge.runtime.stage import Stage

#: How often a waiting pipeline looks at its stop event, seconds.
POLL_S = 0.2
#: Weight of the newest interval in the running rate.
SMOOTHING = 0.1


class Result(NamedTuple):
    """What one frame gave.

    seq: of the frame, within its source. frame: (H, W, 3) uint8 BGR, the camera picture; do not write to it.
    timings: milliseconds for "capture" (waiting for the frame), "crop", "network", "fusion" and, with a pose, "colour";
    "find" where cars are looked for, "average" where clouds are averaged; "handover" (waiting for the second stage).
    captured: ``time.monotonic()`` seconds. name: the frame's file name or "". rate: results a second, running mean.
    sight: the cars that are seen, None where nobody looks for them.
    """

    seq: int
    frame: np.ndarray
    reconstruction: Reconstruction
    timings: Dict[str, float]
    captured: float
    name: str = ""
    rate: float = 0.0
    sight: Optional[Sight] = None


class Glimpse(NamedTuple):
    """A frame without a car to reconstruct. Fields as in :class:`Result`."""

    seq: int
    frame: np.ndarray
    timings: Dict[str, float]
    captured: float
    name: str
    rate: float
    sight: Sight


class Rate:
    """Running mean (exponential) of the time between events, as events a second."""

    def __init__(self, smoothing: float = SMOOTHING) -> None:
        self._smoothing = smoothing
        self._last: Optional[float] = None
        self._period = 0.0

    def tick(self, now: float) -> float:
        """Count an event at ``now`` seconds; returns the new rate, 0 before the second event."""
        if self._last is not None:
            period = now - self._last
            self._period = period if self._period == 0 else self._period + self._smoothing * (period - self._period)
        self._last = now
        return self.value

    @property
    def value(self) -> float:
        """Events a second."""
        return 1.0 / self._period if self._period > 0 else 0.0


class Work(NamedTuple):
    """What the first stage hands to the second. made: None without a car. given: ``time.perf_counter()`` seconds."""

    frame: Frame
    timings: Dict[str, float]
    sight: Optional[Sight]
    made: Optional[Reconstruction]
    given: float


class Pipeline:
    """Runs the reconstructor on the newest frame, again and again, and hands each Result to ``sink``.

    Two stages overlap: while the processor averages, colours and hands out one cloud in a thread of its own, the next
    frame is looked at and goes through the network, which elsewhere than here runs on a GPU. One frame at a time in
    each; the rate is that of the slower one.

    sink: called in the second stage's thread; should return soon, its time is not counted in any stage.
    box: where the car is in every frame; with neither box nor follower it is taken to fill the picture.
    follower: finds the car; frames without any go to ``unseen`` instead. average: whether the cloud of one car is
    averaged over the frames it was seen in, as far as the bundle's points correspond.
    """

    def __init__(
        self,
        newest: NewestFrame,
        reconstructor: Reconstructor,
        sink: Callable[[Result], Any],
        box: Optional[Box] = None,
        follower: Optional[Follower] = None,
        unseen: Callable[[Glimpse], Any] = lambda glimpse: None,
        average: bool = False,
    ) -> None:
        self._newest = newest
        self._reconstructor = reconstructor
        self._sink = sink
        self._box = box
        self._follower = follower
        self._unseen = unseen
        self._memory = Memory() if average and corresponds(reconstructor.bundle) else None
        self._rate = Rate()
        self.processed = 0

    @property
    def rate(self) -> float:
        """Results a second, running mean."""
        return self._rate.value

    def run(self, stop: threading.Event) -> str:
        """Work until ``stop`` is set or the source ends; returns the sentence that says which.

        Raises SourceError (the camera vanished), BackendError, SettingsError (box outside the picture).
        Does not close anything: who opened the source and the backend closes them.
        """
        seq = 0
        with Stage(self._finish, "clouds") as second:
            while not stop.is_set():
                start = time.perf_counter()
                frame = self._wait(seq, stop)
                if frame is None:
                    break
                second.give(self._begin(frame, (time.perf_counter() - start) * 1e3))
                seq = frame.seq
        return "stopped" if stop.is_set() else self._newest.source.ending

    def _wait(self, after_seq: int, stop: threading.Event) -> Optional[Frame]:
        while not stop.is_set():
            frame = self._newest.get(after_seq, POLL_S)
            if frame is not None or self._newest.ended:
                return frame
        return None

    def _begin(self, frame: Frame, waited: float) -> Work:
        """First stage: where the car is, and what the network makes of it."""
        timings, box, sight, made = {"capture": waited}, self._box, None, None
        if self._follower is not None:
            box, sight = self._follower.look(frame.image, frame.captured)
            timings["find"] = sight.milliseconds
        if sight is None or box is not None:
            made = self._reconstructor.predict(frame.image, box)
            if self._follower is not None and sight is not None:
                self._follower.learn(sight, made)
        return Work(frame, timings, sight, made, time.perf_counter())

    def _finish(self, work: Work) -> None:
        """Second stage: what became of it before, its colours, and those who wait for it."""
        frame, sight, timings = work.frame, work.sight, work.timings
        waited = (time.perf_counter() - work.given) * 1e3
        self.processed += 1
        if work.made is None:
            assert sight is not None, "without a finder every frame has a cloud"
            rate = self._rate.tick(time.monotonic())
            self._unseen(Glimpse(frame.seq, frame.image, timings, frame.captured, frame.name, rate, sight))
            return
        memory = None if self._memory is None else self._memory.of(sight and sight.followed)
        made = self._reconstructor.finish(work.made, frame.image, memory)
        timings = dict(timings, **made.timings)
        timings["handover"] = waited
        rate = self._rate.tick(time.monotonic())
        self._sink(Result(frame.seq, frame.image, made, timings, frame.captured, frame.name, rate, sight))


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the old handlers come back afterwards. Main thread only.

    A second signal while the first is being obeyed raises KeyboardInterrupt, for a shutdown that hangs.
    """
    stop = threading.Event()

    def obey(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    old = {number: signal.signal(number, obey) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
