"""A camera that comes back: watched from outside the thread that reads it, and opened again when it fails."""

import threading
from enum import Enum
from typing import Any, Callable, NamedTuple, Optional

from edge.errors import SourceError
from edge.runtime.capture import JOIN_S
from edge.runtime.reader import Clock, Reader
from edge.runtime.restart import DaemonRestart
from edge.runtime.sources import Frame, Source
from edge.runtime.sources.cameras import Camera


class CameraState(Enum):
    """What a supervised camera does; the value is the word users see."""

    OPENING = "opening"
    LIVE = "live"
    STALLED = "stalled"
    REOPENING = "reopening"
    FAILED = "failed"


class Event(NamedTuple):
    """What happened to a camera. sentence: "" if there is nothing to say. then: what is done about it, or ""."""

    state: CameraState
    sentence: str
    then: str = ""

    @property
    def text(self) -> str:
        """Both in one line."""
        return ". ".join(part.rstrip(".") for part in (self.sentence, self.then) if part)


class Limits(NamedTuple):
    """Patience, in seconds. begin: for a camera that fails at once, before others go on. stall: without a frame, while
    live. open: from opening to the first frame; OpenCV itself may take 30 s. grace: for a read to return that was asked
    to. join: for the same, at the very end.
    """

    begin: float = 1.0
    stall: float = 5.0
    open: float = 40.0
    grace: float = 2.0
    join: float = JOIN_S


LIMITS = Limits()
#: No wait lasts longer without a sign of life, seconds.
BEAT_S = 1.0


class Backoff:
    """How long to wait before the next try: twice as long each time, from ``first`` to ``most`` seconds.

    After ``healthy`` seconds of frames it begins anew; before, a camera that comes and goes is tried ever less often.
    """

    def __init__(self, first: float = 0.5, most: float = 30.0, healthy: float = 60.0) -> None:
        self._first, self._most, self._healthy = first, most, healthy
        self._delay = first

    def next(self, lived: float) -> float:
        """Seconds to wait. lived: how long the camera has given frames since the last try."""
        if lived >= self._healthy:
            self._delay = self._first
        delay, self._delay = self._delay, min(2 * self._delay, self._most)
        return delay


class SupervisedCamera(Source):
    """A source that outlives its camera: closed when it stalls or vanishes, and opened again, ever less often.

    A thread reads the camera, and whoever calls ``read`` watches it. While a read hangs in the driver the device is not
    opened a second time; that is said, and goes on when the device is given back. Frames are numbered through.

    tell: called with each :class:`Event`, by the thread that opens or reads. wait: whether a camera that has never
    given a frame is waited for, too; otherwise that is an error. restart: of the daemon behind the camera, from the
    second try on, and at once where a read hangs; once a try. beat: called while ``read`` goes on, with or without a
    camera, at least each few seconds. reconnects: how often the camera has come back.
    """

    def __init__(
        self, camera: Camera, tell: Callable[[Event], Any], wait: bool = False,
        restart: Optional[DaemonRestart] = None, clock: Optional[Clock] = None, limits: Limits = LIMITS,
        beat: Callable[[], Any] = lambda: None,
    ) -> None:  # fmt: skip
        super().__init__(camera.uri)
        self.reconnects = 0
        self._camera = camera
        self._tell_event = tell
        self._patient = wait
        self._restart = restart
        self._clock = clock or Clock()
        self._limits = limits
        self._beat = beat
        self._backoff = Backoff()
        self._changed = threading.Condition()
        self._stopping = False
        self._reader: Optional[Reader] = None
        self._described = ""
        self._seq = 0
        self._live_since: Optional[float] = None  # None while it is not live
        self._lost_at = self._clock.now()
        self._tries = 0

    def open(self) -> "SupervisedCamera":
        """Begin. What fails at once, such as a device that is not there, is raised here, unless it is to be waited for:
        SourceError. A camera that takes longer opens while others go on, and ``read`` tells what became of it."""
        self._tell(CameraState.OPENING)
        self._reader = reader = self._new_reader()
        if self._patient:
            return self
        self._sleep(self._limits.begin, lambda: bool(reader.done or reader.described))
        if reader.done and reader.error is not None:
            self._fail(reader.error)
        return self

    def read(self) -> Optional[Frame]:
        """The next frame, whatever becomes of the camera meanwhile; None after ``stop``.

        Raises SourceError if the camera has never given a frame and is not to be waited for, and what is no fault of
        the camera.
        """
        while not self._stopping:
            if self._reader is None:
                self._reader = self._new_reader()
            frame = self._next(self._reader)
            if frame is not None:
                return self._count(frame)
            if not self._stopping:
                self._recover(self._reader)
        self.ending = "%s was stopped" % self.uri
        return None

    def describe(self) -> str:
        reader = self._reader
        if reader is not None and reader.described:
            self._described = reader.described
        return self._described or "%s, not open yet" % self.uri

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        reader = self._reader
        if reader is not None:
            reader.stop()

    def close(self) -> None:
        """Give the camera back. Raises SourceError if a read hangs. May be called twice."""
        self.stop()
        reader = self._reader
        if reader is None:
            return
        reader.thread.join(self._limits.join)
        if reader.thread.is_alive():
            raise SourceError("%s hangs in a read and cannot be closed; unplug it or kill this process" % self.uri)

    def _new_reader(self) -> Reader:
        return Reader(self._camera.open, self._changed, self._clock)

    def _next(self, reader: Reader) -> Optional[Frame]:
        """The reader's next frame; None if it ended, if none came in time, or after ``stop``."""
        asked = self._clock.now()  # nobody may have listened for a while, which is no fault of the camera
        with self._changed:
            while not self._stopping:
                if reader.frame is not None:
                    frame, reader.frame = reader.frame, None
                    return frame
                limit = self._limits.open if self._live_since is None else self._limits.stall
                left = max(reader.arrived, asked) + limit - self._clock.now()
                if reader.done or left <= 0:
                    return None
                self._beat()
                self._clock.wait(self._changed, min(left, BEAT_S))
        return None

    def _count(self, frame: Frame) -> Frame:
        """The frame under its number in this source; the first one after a pause says that the camera is back."""
        if self._live_since is None:
            self._live_since = self._clock.now()
            self._tries = 0
            back = ""
            if self._seq > 0:
                self.reconnects += 1
                back = "%s is back after %.1f s" % (self.uri, self._live_since - self._lost_at)
            self._tell(CameraState.LIVE, back)
        self._seq += 1
        return frame._replace(seq=self._seq)

    def _recover(self, reader: Reader) -> None:
        """Have the device given back, and wait until it may be opened again; afterwards there is no reader."""
        now = self._clock.now()
        lived = 0.0
        if self._live_since is not None:
            lived, self._lost_at, self._live_since = now - self._live_since, now, None
        sentence = self._give_back(reader)
        state = CameraState.REOPENING if self._seq > 0 else CameraState.OPENING
        while not self._stopping:
            self._tries += 1
            delay, lived, held = self._backoff.next(lived), 0.0, not reader.done
            if held:
                sentence = (
                    "a read of %s hangs in the driver, which holds the device; unplug it if that lasts" % self.uri
                )
            self._tell(state, sentence, "Trying again in %g s" % delay)
            # A device that is held is waited for, and when it is given back that was long enough.
            self._sleep(delay, lambda: held and reader.done)  # noqa: B023  called here and now
            if self._restart is not None and (not reader.done if held else self._tries > 1):
                trouble = self._restart.run(self._stops)
                if trouble:
                    self._tell(state, trouble)
                self._sleep(self._limits.grace, lambda: reader.done)
            if reader.done:
                self._reader = None
                return

    def _give_back(self, reader: Reader) -> str:
        """What is wrong, in a sentence, after the reader had time to end. Raises what no second try mends."""
        error: Exception
        if reader.done:
            error = reader.error or SourceError("%s ended" % self.uri)
        else:
            error = SourceError(self._silence(reader))
            if self._seq > 0:
                self._tell(CameraState.STALLED, str(error))
            reader.stop()
            self._sleep(self._limits.grace, lambda: reader.done)
        if isinstance(error, OSError):  # a device file may go between two looks at it
            error = SourceError("%s: %s" % (self.uri, error))
        if not isinstance(error, SourceError) or (self._seq == 0 and not self._patient):
            self._fail(error)
        return str(error)

    def _silence(self, reader: Reader) -> str:
        """What is wrong with a camera that is silent."""
        if self._seq == 0 and not reader.described:
            return "%s hangs while it is opened; unplug it, or restart its daemon" % self.uri
        return "%s has given no picture for %.0f s" % (self.uri, self._clock.now() - reader.arrived)

    def _stops(self) -> bool:
        """Whether it was stopped; asked while something else is waited for."""
        self._beat()
        return self._stopping

    def _sleep(self, seconds: float, over: Callable[[], bool]) -> None:
        """Wait so long, or until it is over, or until ``stop``."""
        deadline = self._clock.now() + seconds
        with self._changed:
            while not self._stopping and not over():
                left = deadline - self._clock.now()
                if left <= 0:
                    return
                self._beat()
                self._clock.wait(self._changed, min(left, BEAT_S))

    def _fail(self, error: Exception) -> None:
        self._tell(CameraState.FAILED, str(error))
        raise error

    def _tell(self, state: CameraState, sentence: str = "", then: str = "") -> None:
        self._tell_event(Event(state, sentence, then))
