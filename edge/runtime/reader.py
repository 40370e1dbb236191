"""The thread that opens a camera, reads it, and gives it back."""

import threading
import time
from typing import Callable, Optional

from edge.errors import SourceError
from edge.runtime.sources import Frame, Source


class Clock:
    """Time as the supervisor sees it; tests bring their own."""

    def now(self) -> float:
        """Seconds."""
        return time.monotonic()

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        """Wait for a notification, at most so many seconds; may return earlier."""
        changed.wait(seconds)


class Reader:
    """One life of a camera: opened, read and given back in a thread of its own.

    Nobody else touches the camera, because a device that hangs in a driver's read must not be released from outside.
    frame: the newest one that nobody took. arrived: when. described: once it is open. done: the device is given back.
    error: why it ended. All guarded by ``changed``.
    """

    def __init__(self, open_camera: Callable[[], Source], changed: threading.Condition, clock: Clock) -> None:
        self.frame: Optional[Frame] = None
        self.started = self.arrived = clock.now()
        self.described = ""
        self.done = False
        self.error: Optional[Exception] = None
        self._open = open_camera
        self._changed = changed
        self._clock = clock
        self._source: Optional[Source] = None
        self._stopping = False
        self.thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Ask it to end. It does so after the read, or the opening, that it is in."""
        with self._changed:
            self._stopping = True
            if self._source is not None:
                self._source.stop()

    def _run(self) -> None:
        error: Optional[Exception] = None
        try:
            self._live(self._open())
        except Exception as caught:  # noqa: BLE001  the supervisor's: this thread has nobody to tell
            error = caught
        with self._changed:
            self.error, self.done, self._source = error, True, None
            self._changed.notify_all()

    def _live(self, source: Source) -> None:
        try:
            described = source.describe()
            with self._changed:
                self._source, self.described = source, described
                self._changed.notify_all()
            while self._wanted():
                frame = source.read()
                if frame is None:
                    if self._wanted():
                        raise SourceError(source.ending or "%s gives no more pictures" % source.uri)
                    return
                with self._changed:
                    self.frame, self.arrived = frame, self._clock.now()
                    self._changed.notify_all()
        finally:
            source.close()

    def _wanted(self) -> bool:
        with self._changed:
            return not self._stopping
