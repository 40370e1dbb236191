"""The newest frame of a source, captured in a thread of its own."""

import threading
import time
from types import TracebackType
from typing import Optional, Type

from edge.errors import SourceError
from edge.runtime.sources import Frame, Source

#: How long ``close`` waits for a read that hangs in a driver before it says so.
JOIN_S = 10.0


class NewestFrame:
    """Reads a source in a thread and keeps one frame: the newest wins, so that latency never builds up.

    A source without a clock (``source.on_demand``) is read only after its last frame was taken: nothing is live
    there, so nothing is worth skipping. The source is owned, and closed, by this object.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._changed = threading.Condition()
        self._frame: Optional[Frame] = None
        self._taken = True
        self._captured = 0
        self._skipped = 0
        self._error: Optional[Exception] = None
        self._ended = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    @property
    def captured(self) -> int:
        """Frames read so far."""
        return self._captured

    @property
    def skipped(self) -> int:
        """Frames that a newer one replaced before anybody took them."""
        return self._skipped

    @property
    def ended(self) -> bool:
        """Whether the source has come to its end (or was closed) and no untaken frame is left."""
        with self._changed:
            return self._ended and self._taken

    def get(self, after_seq: int = 0, timeout: Optional[float] = None) -> Optional[Frame]:
        """The newest frame with ``seq > after_seq``; waits at most ``timeout`` seconds for it (None: for ever).

        None when the time is over, or when the source has ended: see ``ended``.
        Raises SourceError when the source failed, once the frames before that are taken.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while True:
                if self._frame is not None and self._frame.seq > after_seq:
                    self._taken = True
                    self._changed.notify_all()
                    return self._frame
                if self._error is not None:
                    raise self._error
                if self._ended:
                    return None
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._changed.wait(left)

    def close(self) -> None:
        """Stop the thread, wait for it, close the source. Raises SourceError if a read hangs. May be called twice."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.source.stop()
        self._thread.join(JOIN_S)
        if self._thread.is_alive():
            raise SourceError(
                "%s hangs in a read and cannot be closed; unplug it or kill this process" % self.source.uri
            )
        self.source.close()

    def __enter__(self) -> "NewestFrame":
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            while self._wanted():
                frame = self.source.read()
                if frame is None:
                    break
                self._store(frame)
        except Exception as error:  # noqa: BLE001  whatever it is belongs to the reader: this thread has nobody to tell
            with self._changed:
                self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _wanted(self) -> bool:
        """Wait until the next frame is wanted; False to stop."""
        with self._changed:
            while self.source.on_demand and not self._taken and not self._stopping:
                self._changed.wait()
            return not self._stopping

    def _store(self, frame: Frame) -> None:
        with self._changed:
            self._captured += 1
            self._skipped += not self._taken
            self._frame = frame
            self._taken = False
            self._changed.notify_all()
