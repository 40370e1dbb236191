"""Stand-ins for hardware in the runtime's tests: a capture that obeys a script, a source under the test's control."""

import queue
import time
from typing import Any, List, Optional, Tuple

import numpy as np

from edge.runtime.sources import Frame, Source


class ScriptedCapture:
    """Stands in for ``cv2.VideoCapture``: reads follow ``script`` (True: a picture), the last entry for ever."""

    def __init__(self, script: List[bool], opened: bool = True) -> None:
        self.script = list(script)
        self.opened = opened
        self.released = False
        self.reads = 0

    def isOpened(self) -> bool:
        return self.opened

    def read(self) -> Tuple[bool, Optional[np.ndarray]]:
        self.reads += 1
        good = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return good, np.full((4, 6, 3), self.reads, np.uint8) if good else None

    def get(self, prop: int) -> float:
        return {3: 6.0, 4: 4.0, 5: 30.0}.get(prop, 0.0)

    def release(self) -> None:
        self.released = True


class HandFedSource(Source):
    """Gives what the test puts in: a number (a frame of that seq), None (the end) or an error (raised)."""

    def __init__(self, on_demand: bool = False) -> None:
        super().__init__("hand-fed", on_demand)
        self.box: "queue.Queue[Any]" = queue.Queue()
        self.closed = False
        self.reads = 0

    def read(self) -> Optional[Frame]:
        self.reads += 1
        item = self.box.get()
        if isinstance(item, Exception):
            raise item
        if item is None:
            self.ending = "hand-fed ended"
            return None
        return Frame(np.full((48, 64, 3), 10 * item, np.uint8), item, time.monotonic(), "frame %d" % item)

    def stop(self) -> None:
        self.box.put(None)

    def close(self) -> None:
        self.closed = True


def wait_for(condition: Any, seconds: float = 30.0) -> None:
    """Wait until ``condition()`` is true; an AssertionError if it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited %g s in vain" % seconds
        time.sleep(0.002)
