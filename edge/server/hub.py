"""The hub: one slot between the pipeline and whoever asks. Newest wins, nobody queues, each frame is encoded once."""

import collections
import threading
import time
from enum import Enum
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, List, NamedTuple, Optional, Set, Tuple, TypeVar, Union

import cv2

from edge import wire

if TYPE_CHECKING:
    from edge.pose import Pose
    from edge.runtime.following import Sight
    from edge.runtime.pipeline import Glimpse, Result

#: Seconds without a new frame after which a live stream is called stalled.
STALLED_AFTER = 3.0
#: Seconds that a followed car may be hidden before the state says that none is in view.
BLINK = 0.5
#: Seconds over which the frame rate is measured.
RATE_WINDOW = 3.0


class State(Enum):
    """What the stream does; the value is the word users see."""

    STARTING = "starting"
    OPENING = "opening"
    LIVE = "live"
    NO_CAR = "no car in view"
    STALLED = "stalled"
    REOPENING = "reopening"
    ENDED = "source ended"
    FAILED = "failed"
    STOPPED = "stopped"


#: While the camera is in one of these, no picture can say how the stream is.
CAMERA_AWAY = (State.OPENING, State.STALLED, State.REOPENING)


class Busy(Exception):
    """As many requests wait for a frame as the hub allows."""


class Status(NamedTuple):
    """A snapshot of the hub. seq and points are 0, age_s and facts None before the first frame.

    facts: what the network tells of the newest frame's car, see ``Reconstruction.facts``. cars: what is seen of cars,
    None where nobody looks for them.
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
    sight: Optional["Sight"] = None


class Picture:
    """One camera picture, with or without a car; its JPEG is made at the first request, once, and then shared.

    seq counts pictures. crop: left, top, side in pixels of the square that the network saw, None without a car. pose:
    of the camera in that square, None if the network does not tell it.
    """

    def __init__(
        self, seq: int, seen: Union["Result", "Glimpse"], jpeg_quality: int, costs: Dict[str, float],
    ) -> None:
        self.seq = seq
        self.frame = seen.frame
        self.captured = seen.captured
        self.sight = seen.sight
        made = getattr(seen, "reconstruction", None)
        self.crop: Optional[Tuple[int, int, int]] = None if made is None else made.crop_box
        self.pose: Optional["Pose"] = None if made is None else made.pose
        self._timings = seen.timings
        self._jpeg_quality = jpeg_quality
        self._costs = costs
        self._jpeg: Optional[bytes] = None
        self._lock = threading.Lock()

    @property
    def age(self) -> float:
        """Seconds since the picture was taken."""
        return max(0.0, time.monotonic() - self.captured)

    def jpeg(self) -> bytes:
        """The picture as JPEG."""
        with self._lock:
            if self._jpeg is None:
                start = time.perf_counter()
                done, data = cv2.imencode(".jpg", self.frame, [cv2.IMWRITE_JPEG_QUALITY, self._jpeg_quality])
                if not done:
                    raise ValueError("OpenCV cannot encode a picture of shape %s as JPEG" % (self.frame.shape,))
                self._jpeg = data.tobytes()
                self._costs["jpeg"] = (time.perf_counter() - start) * 1e3
            return self._jpeg

    def timings(self) -> Dict[str, float]:
        """Milliseconds per stage; "encode" and "jpeg" only if somebody ever asked, and then of the last time."""
        return dict(self._timings, **self._costs)


class Slot:
    """One published cloud. Its encoding is made at the first request, once, and then shared.

    seq counts publications, not camera frames: a client that sees a gap knows that *it* was too slow. An idle
    server encodes nothing, and the first to ask does not have to wait for the next frame.
    costs: shared by the hub's slots; what encoding took the last time somebody asked.
    """

    def __init__(
        self, seq: int, result: "Result", published: float, epoch_offset: float, costs: Dict[str, float],
    ) -> None:
        self.seq = seq
        self.result = result
        self.published = published
        self._epoch_offset = epoch_offset
        self._cloud: Optional[bytes] = None
        self._costs = costs
        self._lock = threading.Lock()

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

    def timings(self) -> Dict[str, float]:
        """Milliseconds per stage; "encode" and "jpeg" only if somebody ever asked, and then of the last time."""
        return dict(self.result.timings, **self._costs)


Numbered = TypeVar("Numbered", Slot, Picture)


class Hub:
    """One slot for the newest cloud, one for the newest picture, a condition, and the state in words. Safe to use from
    any thread.

    max_waiting: how many requests may wait for the next frame at once. jpeg_quality: 1..100.
    """

    def __init__(self, max_waiting: int = 32, jpeg_quality: int = 80) -> None:
        self.max_waiting = max_waiting
        self._jpeg_quality = jpeg_quality
        self._changed = threading.Condition()
        self._slot: Optional[Slot] = None
        self._picture: Optional[Picture] = None
        self._state = State.STARTING
        self._message = ""
        self._camera: Tuple[State, str] = (State.LIVE, "")
        self._camera_said: Set[str] = set()
        self._waiting = 0
        self._closed = False
        self._costs: Dict[str, float] = {}
        self._published: Deque[float] = collections.deque(maxlen=240)
        self._last = 0.0
        self._errors: Deque[str] = collections.deque(maxlen=8)

    def publish(self, result: "Result") -> None:
        """Put a frame into the slot, replace the one before, wake all who wait. The hub is live from now on."""
        now = time.monotonic()
        with self._changed:
            seq = self._slot.seq + 1 if self._slot is not None else 1
            # A board without a clock battery starts in 1970, before which the wire has no times.
            self._slot = Slot(seq, result, now, max(0.0, time.time() - now), self._costs)
            self._published.append(now)
            self._see(result, now, State.LIVE, "")

    def publish_unseen(self, glimpse: "Glimpse") -> None:
        """A picture without a car, or in which the followed one is hidden: the last cloud stays, and grows old."""
        with self._changed:
            slot, now, sight = self._slot, time.monotonic(), glimpse.sight
            hidden = next((car for car in sight.cars if car.number == sight.followed), None)
            if hidden is not None and hidden.unseen <= BLINK and slot is not None:
                self._see(glimpse, now, State.LIVE, "")
                return
            message = "nothing in the picture is taken for a car"
            if hidden is not None:
                message = "car %d is hidden, or has left" % hidden.number
            if slot is not None:
                message += "; the cloud is of %.0f s ago" % (now - slot.result.captured)
            self._see(glimpse, now, State.NO_CAR, message)

    def _see(self, seen: Union["Result", "Glimpse"], now: float, state: State, message: str) -> None:
        seq = self._picture.seq + 1 if self._picture is not None else 1
        self._picture = Picture(seq, seen, self._jpeg_quality, self._costs)
        self._last = now
        if not self._closed:
            self._state, self._message = state, message
        self._changed.notify_all()

    def set_state(self, state: State, message: str = "") -> None:
        """Say what no frame can say: the source ended, the pipeline failed. The last cloud stays."""
        with self._changed:
            self._state, self._message = state, message
            if message and state is State.FAILED:
                self._note(message)

    def set_camera(self, state: State, sentence: str, then: str = "") -> None:
        """Say how the camera is: OPENING, LIVE, STALLED, REOPENING or FAILED. The last cloud stays.

        What was captured before the camera went may still be published; it does not make the stream live again.
        sentence: kept for the status as an event, too, once until the camera is live. then: what is done about it.
        """
        with self._changed:
            if state is State.LIVE:
                self._last = time.monotonic()  # the next picture has as much time as any other
            message = "" if state is State.LIVE else ". ".join(text.rstrip(".") for text in (sentence, then) if text)
            self._camera = state, message
            if sentence and sentence not in self._camera_said:
                self._note(sentence)
            self._camera_said = set() if state is State.LIVE else self._camera_said | {sentence}

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

    @property
    def picture(self) -> Optional[Picture]:
        """The newest camera picture, or None before the first."""
        return self._picture

    def wait(self, after: int, timeout: float) -> Optional[Slot]:
        """The newest cloud with a number above ``after``; see :meth:`wait_picture`."""
        return self._wait(lambda: self._slot, after, timeout)

    def wait_picture(self, after: int, timeout: float) -> Optional[Picture]:
        """The newest picture with a number above ``after``, waiting up to ``timeout`` seconds; None if none came.

        A number above the newest one is from an earlier life of this server: it gets the newest frame at once.
        Raises Busy if it would have to wait and ``max_waiting`` others do.
        """
        return self._wait(lambda: self._picture, after, timeout)

    def _wait(self, newest: Callable[[], Optional[Numbered]], after: int, timeout: float) -> Optional[Numbered]:
        deadline = time.monotonic() + timeout
        with self._changed:
            found = newest()
            if found is not None and after != found.seq:
                return found
            if timeout <= 0 or self._closed:
                return None
            if self._waiting >= self.max_waiting:
                raise Busy()
            self._waiting += 1
            try:
                while not self._closed:
                    found = newest()
                    if found is not None and found.seq > after:
                        return found
                    left = deadline - time.monotonic()
                    if left <= 0:
                        break
                    self._changed.wait(left)
            finally:
                self._waiting -= 1
            return None

    def status(self) -> Status:
        """A consistent snapshot; a live stream whose last frame is old is reported as stalled."""
        now = time.monotonic()
        with self._changed:
            slot, state, message = self._slot, self._state, self._message
            if state in (State.STARTING, State.LIVE, State.NO_CAR) and self._camera[0] in CAMERA_AWAY:
                state, message = self._camera
            elif state in (State.LIVE, State.NO_CAR) and now - self._last > STALLED_AFTER:
                state, message = State.STALLED, "no new frame for %.0f s" % (now - self._last)
            return Status(
                state, message, slot.seq if slot else 0,
                len(slot.result.reconstruction.cloud.points) if slot else 0,
                _rate([t for t in self._published if now - t <= RATE_WINDOW], now),
                slot.age if slot else None, self._timings(), self._waiting, tuple(self._errors),
                slot.result.reconstruction.facts() if slot else None,
                self._picture.sight if self._picture else None,
            )

    def _timings(self) -> Dict[str, float]:
        """Of the newest cloud, and of looking for cars in the newest picture."""
        timings = self._slot.timings() if self._slot else {}
        return dict(timings, **self._picture.timings()) if self._picture else timings

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
