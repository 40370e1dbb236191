"""A camera that fails as the test's script says, and a clock that jumps over every wait in which nothing can happen."""

import os
import threading
import weakref
from typing import Any, Callable, List, Optional, Tuple, Union

import numpy as np

from edge.runtime.reader import Clock
from edge.runtime.sources import Frame, Source
from edge.runtime.sources.cameras import Camera

#: What a life is made of: a frame, once the test wants one; silence, until it is told to stop; a read that hangs in
#: the driver, until :meth:`FlakyCamera.unplug`; or an error, which is raised.
FRAME, SILENCE, HANG = "frame", "silence", "hang"
#: A life is its items and silence thereafter, or the error with which the opening fails, or HANG, in the opening.
Life = Union[List[Union[str, Exception]], Exception, str]


class FlakyCamera:
    """Has one life after the other, the last one again and again. opened: how often it was tried."""

    def __init__(self, *lives: Life) -> None:
        self.lives = list(lives)
        self.opened = 0
        self.held = 0
        self.blocked = ""  # SILENCE or HANG while a thread is in it
        self.lock = threading.Lock()
        self.wanted = threading.Semaphore(0)
        self.sources: "weakref.WeakSet[Source]" = weakref.WeakSet()
        self._plug = threading.Event()

    def camera(self, daemon: bool = False) -> Camera:
        """As ``find_camera`` gives it."""
        return Camera("csi://0", self._open, daemon)

    def unplug(self) -> None:
        """Let go what hangs."""
        with self.lock:
            self.blocked = ""
            self._plug.set()

    def hang(self) -> None:
        """Hang in the driver."""
        with self.lock:
            self._plug.clear()
            self.blocked = HANG
        assert self._plug.wait(60)

    def _open(self) -> Source:
        self.opened += 1
        life = self.lives.pop(0) if len(self.lives) > 1 else self.lives[0]
        if isinstance(life, Exception):
            raise type(life)(*life.args)
        assert self.held == 0, "the device is still held"
        if isinstance(life, str):
            self.hang()
            life = []
        source = FlakySource(self, life)
        self.sources.add(source)
        return source


class FlakySource(Source):
    """One life of a FlakyCamera; holds a file, as a device does."""

    def __init__(self, owner: FlakyCamera, life: List[Union[str, Exception]]) -> None:
        super().__init__("csi://0")
        self._owner = owner
        self._life = list(life)
        self._seq = 0
        self._stopped = threading.Event()
        self._file: Optional[int] = os.open(os.devnull, os.O_RDONLY)
        owner.held += 1

    def read(self) -> Optional[Frame]:
        item = self._life.pop(0) if self._life else SILENCE
        if isinstance(item, Exception):
            raise type(item)(*item.args)  # another one: an error holds on to all it was raised through
        if item == FRAME:
            return self._frame()
        if item == HANG:
            self._owner.hang()
            return None
        with self._owner.lock:
            if not self._stopped.is_set():
                self._owner.blocked = SILENCE
        assert self._stopped.wait(60)
        return None

    def _frame(self) -> Optional[Frame]:
        while not self._owner.wanted.acquire(timeout=0.01):
            if self._stopped.is_set():
                return None
        self._seq += 1
        return Frame(np.full((48, 64, 3), self._seq, np.uint8), self._seq, 0.0, "")

    def describe(self) -> str:
        return "flaky camera, 64 x 48"

    def stop(self) -> None:
        with self._owner.lock:
            self._stopped.set()
            if self._owner.blocked == SILENCE:
                self._owner.blocked = ""

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._owner.held -= 1


class JumpingClock(Clock):
    """Time that stands still while the camera's thread works, and jumps to the end of a wait when it cannot.

    idle: whether nothing but time can end the wait. later: what is to happen, and when.
    """

    def __init__(self) -> None:
        self.time = 1000.0
        self.idle: Callable[[], bool] = lambda: False
        self.later: List[Tuple[float, Callable[[], Any]]] = []

    def now(self) -> float:
        return self.time

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        if not self.idle():
            changed.wait(0.05)
            return
        end = self.time + seconds
        if self.later and self.later[0][0] <= end:
            self.time, action = self.later.pop(0)
            action()
        else:
            self.time = end
