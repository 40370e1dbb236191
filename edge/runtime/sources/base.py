"""What a frame and a source are, and the clock of the sources that have none of their own."""

import threading
import time
from typing import NamedTuple, Optional

import numpy as np


class Frame(NamedTuple):
    """One picture from a source.

    image: (H, W, 3) uint8, BGR; the receiver owns it. seq: 1, 2, ... within the source.
    captured: ``time.monotonic()`` seconds when it was taken. name: file name or "", for people.
    """

    image: np.ndarray
    seq: int
    captured: float
    name: str = ""


class Source:
    """Gives frames, one ``read`` at a time, to one thread.

    uri: how the user named it, without credentials: safe to print.
    on_demand: it has no clock; the next frame is ready whenever it is asked for, and none is worth skipping.
    ending: after ``read`` gave None, the sentence that says why.
    """

    def __init__(self, uri: str, on_demand: bool = False) -> None:
        self.uri = uri
        self.on_demand = on_demand
        self.ending = ""

    def read(self) -> Optional[Frame]:
        """The next frame; waits for it. None at the end, or after ``stop``. Raises SourceError."""
        raise NotImplementedError

    def describe(self) -> str:
        """What it is and its size and rate where they are known, in one line without credentials."""
        return self.uri

    def stop(self) -> None:
        """Ask a ``read`` that waits in another thread to return; the only method another thread may call."""

    def close(self) -> None:
        """Give the file or device back. May be called twice."""


class Pacer:
    """Keeps a source at ``fps`` frames a second; 0 means that it never waits."""

    def __init__(self, fps: float) -> None:
        self._period = 1.0 / fps if fps > 0 else 0.0
        self._due = 0.0
        self._stopped = threading.Event()

    def wait(self) -> bool:
        """Sleep until the next frame is due. False if ``stop`` was called.

        A reader that falls behind by more than a period starts a new count: no burst follows a pause.
        """
        now = time.monotonic()
        if self._due < now - self._period:
            self._due = now
        if self._due > now:
            self._stopped.wait(self._due - now)
        self._due += self._period
        return not self._stopped.is_set()

    def stop(self) -> None:
        """End the wait now and every later one at once."""
        self._stopped.set()
