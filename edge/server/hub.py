"""The hub: one slot between the pipeline and whoever asks. Newest wins, nobody queues, each frame is encoded once."""

import collections
import threading
import time
from enum import Enum
from typing import TYPE_CHECKING, Any, Deque, Dict, List, NamedTuple, Optional, Tuple

import cv2

from edge import wire

if TYPE_CHECKING:
    from edge.runtime.pipeline import Result

#: Seconds without a new frame after which a live stream is called stalled.
STALLED_AFTER = 3.0
#: Seconds over which the frame rate is measured.
RATE_WINDOW = 3.0


class State(Enum):
    """What the stream does; the value is the word users see."""

    STARTING = "starting"
    LIVE = "live"
    STALLED = "stalled"
    ENDED = "source ended"
    LOST = "camera lost"
    FAILED = "failed"
    STOPPED = "stopped"


class Busy(Exception):
    """As many requests wait for a frame as the hub allows."""


class Status(NamedTuple):
    """A snapshot of the hub. seq and points are 0, age_s and facts None before the first frame.

    facts: what the network tells of the newest frame's car, see ``Reconstruction.facts``.
    """

    state: State
    message: str
    seq: int
    points: int
    fps: float
    age_s: Optional[float]
    timings_ms: Dict[str, float]
    waiting: int
    errors: Tuple[str, ...]
    facts: Optional[Dict[str, Any]] = None


class Slot:
    """One published frame. Its encodings are made at the first request, once, and then shared.

    seq counts publications, not camera frames: a client that sees a gap knows that *it* was too slow. An idle
    server encodes nothing, and the first to ask does not have to wait for the next frame.
    costs: shared by the hub's slots; what encoding took the last time somebody asked.
    """

    def __init__(
        self, seq: int, result: "Result", published: float, epoch_offset: float, jpeg_quality: int,
        costs: Dict[str, float],
    ) -> None:
        self.seq = seq
        self.result = result
        self.published = published
        self._epoch_offset = epoch_offset
        self._jpeg_quality = jpeg_quality
        self._cloud: Optional[bytes] = None
        self._jpeg: Optional[bytes] = None
        self._costs = costs
        self._lock = threading.Lock()
        self._jpeg_lock = threading.Lock()

    @property
    def age(self) -> float:
        """Seconds since the frame was captured."""
        return max(0.0, time.monotonic() - self.result.captured)

    def cloud(self) -> bytes:
        """The frame in wire format. Raises WireError if the cloud cannot be sent."""
        with self._lock:
            if self._cloud is None:
                start = time.perf_counter()
                self._cloud = wire.encode(
                    self.result.reconstruction.cloud, self.seq, int(self.result.captured * 1e6),
                    int(self.published * 1e6), int(self._epoch_offset * 1e6),
                )
                self._costs["encode"] = (time.perf_counter() - start) * 1e3
            return self._cloud

    def jpeg(self) -> bytes:
        """The camera picture as JPEG."""
        with self._jpeg_lock:
            if self._jpeg is None:
                start = time.perf_counter()
                done, data = cv2.imencode(".jpg", self.result.frame, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality])
                if not done:
                    raise ValueError("OpenCV cannot encode a picture of shape %s as JPEG" % (self.result.frame.shape,))
                self._jpeg = data.tobytes()
                self._costs["jpeg"] = (time.perf_counter() - start) * 1e3
            return self._jpeg

    def timings(self) -> Dict[str, float]:
        """Milliseconds per stage; "encode" and "jpeg" only if somebody ever asked, and then of the last time."""
        return dict(self.result.timings, **self._costs)


class Hub:
    """One slot, a condition, and the state in words. Safe to use from any thread.

    max_waiting: how many requests may wait for the next frame at once. jpeg_quality: 1..100.
    """

    def __init__(self, max_waiting: int = 32, jpeg_quality: int = 80) -> None:
        self.max_waiting = max_waiting
        self._jpeg_quality = jpeg_quality
        self._changed = threading.Condition()
        self._slot: Optional[Slot] = None
        self._state = State.STARTING
        self._message = ""
        self._waiting = 0
        self._closed = False
        self._costs: Dict[str, float] = {}
        self._published: Deque[float] = collections.deque(maxlen=240)
        self._errors: Deque[str] = collections.deque(maxlen=8)

    def publish(self, result: "Result") -> None:
        """Put a frame into the slot, replace the one before, wake all who wait. The hub is live from now on."""
        now = time.monotonic()
        with self._changed:
            seq = self._slot.seq + 1 if self._slot is not None else 1
            self._slot = Slot(seq, result, now, time.time() - now, self._jpeg_quality, self._costs)
            self._published.append(now)
            if not self._closed:
                self._state, self._message = State.LIVE, ""
            self._changed.notify_all()

    def set_state(self, state: State, message: str = "") -> None:
        """Say what no frame can say: the source ended, the camera is lost. The last cloud stays."""
        with self._changed:
            self._state, self._message = state, message
            if message and state in (State.LOST, State.FAILED):
                self._note(message)

    def record_error(self, message: str) -> None:
        """Keep a sentence for the status; the same sentence twice in a row is kept once."""
        with self._changed:
            self._note(message)

    def _note(self, message: str) -> None:
        if not self._errors or self._errors[-1] != message:
            self._errors.append(message)

    @property
    def closed(self) -> bool:
        """Whether the server is stopping."""
        return self._closed

    @property
    def newest(self) -> Optional[Slot]:
        """The newest frame, or None before the first."""
        return self._slot

    def wait(self, after: int, timeout: float) -> Optional[Slot]:
        """The newest frame with a number above ``after``, waiting up to ``timeout`` seconds; None if none came.

        A number above the newest one is from an earlier life of this server: it gets the newest frame at once.
        Raises Busy if it would have to wait and ``max_waiting`` others do.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            if self._slot is not None and after > self._slot.seq:
                return self._slot
            if self._is_newer(after) or timeout <= 0 or self._closed:
                return self._slot if self._is_newer(after) else None
            if self._waiting >= self.max_waiting:
                raise Busy()
            self._waiting += 1
            try:
                while not self._is_newer(after) and not self._closed:
                    left = deadline - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
            finally:
                self._waiting -= 1
            return self._slot if self._is_newer(after) else None

    def _is_newer(self, after: int) -> bool:
        return self._slot is not None and self._slot.seq > after

    def status(self) -> Status:
        """A consistent snapshot; a live stream whose last frame is old is reported as stalled."""
        now = time.monotonic()
        with self._changed:
            slot, state, message = self._slot, self._state, self._message
            if state is State.LIVE and slot is not None and now - slot.published > STALLED_AFTER:
                state, message = State.STALLED, "no new frame for %.0f s" % (now - slot.published)
            return Status(
                state, message, slot.seq if slot else 0,
                len(slot.result.reconstruction.cloud.points) if slot else 0,
                _rate([t for t in self._published if now - t <= RATE_WINDOW], now),
                slot.age if slot else None, slot.timings() if slot else {}, self._waiting, tuple(self._errors),
                slot.result.reconstruction.facts() if slot else None,
            )

    def close(self) -> None:
        """Wake everybody who waits, empty-handed; from now on nobody waits."""
        with self._changed:
            self._closed = True
            self._state, self._message = State.STOPPED, "the server is stopping"
            self._changed.notify_all()


def _rate(times: List[float], now: float) -> float:
    """Frames per second from the publication times of the last seconds.

    Counts intervals, not frames; a stream that stopped falls off because the time since the last frame counts once
    it is longer than the mean interval.
    """
    if len(times) < 2:
        return 0.0
    mean = (times[-1] - times[0]) / (len(times) - 1)
    silence = now - times[-1]
    span = times[-1] - times[0] + max(0.0, silence - mean)
    return (len(times) - 1) / span if span > 0 else 0.0
