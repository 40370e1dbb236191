"""How the stream and the machine are doing, for the status and for /metrics, with one word to it."""

import os
import threading
import time
from typing import Callable, Dict, NamedTuple, Optional, Tuple

from edge.runtime.board import Board, read_board, read_trips
from edge.server.hub import Hub, State, Status

#: Seconds for which one reading of the machine serves everybody: it opens some forty small files.
PERIOD = 2.0
#: Below this many clouds a second the stream is called slow; with a cloud older than this many seconds, late.
SLOW_RATE, LATE_AGE = 5.0, 0.5
#: Where the application keeps what counts an answer by its status code: the server refuses some requests before it.
COUNT_ANSWER = "carcloud.count_answer"
#: The words of :func:`quality`.
QUALITIES = ("good", "slow", "late", "hot", "idle", "off")


class Reading(NamedTuple):
    """The machine at one moment. hot: zones at or above the degrees from which the kernel slows it down, sorted.

    memory_bytes: resident memory of this process; None where the kernel does not tell.
    """

    board: Board
    hot: Tuple[str, ...]
    memory_bytes: Optional[int]


class Machine:
    """Reads the machine at most once in ``period`` seconds, whoever asks. Safe to use from any thread.

    root: where ``sys``, ``proc``, ``etc`` and ``var`` lie. clock: seconds.
    """

    def __init__(
        self, root: str = "/", period: float = PERIOD, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._root, self._period, self._clock = root, period, clock
        self._trips = read_trips(root)
        self._lock = threading.Lock()
        self._at = 0.0
        self._reading: Optional[Reading] = None

    def read(self) -> Reading:
        """The newest reading."""
        with self._lock:
            now = self._clock()
            if self._reading is None or now - self._at >= self._period:
                board = read_board(self._root)
                hot = sorted(name for name, degrees in board.temperatures.items()
                             if degrees >= self._trips.get(name, float("inf")))
                self._reading = Reading(board, tuple(hot), resident_bytes(self._root))
                self._at = now
            return self._reading


def resident_bytes(root: str = "/") -> Optional[int]:
    """Resident memory of this process (Linux: the second number of ``/proc/self/statm`` is in pages)."""
    try:
        with open(os.path.join(root, "proc/self/statm"), encoding="ascii") as handle:
            return int(handle.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None


def quality(status: Status, hot: Tuple[str, ...] = ()) -> str:
    """One word for how well it goes; of several that hold, the first.

    "off": no pictures come. "idle": pictures come, and no car is in them. "hot": a zone is at or above the degrees
    from which the kernel slows the machine down. "late": the newest cloud is older than half a second. "slow": fewer
    than five clouds a second. "good": none of these.
    """
    if status.state is State.NO_CAR:
        return "idle"
    if status.state is not State.LIVE:
        return "off"
    if hot:
        return "hot"
    if status.age_s is None or status.age_s > LATE_AGE:
        return "late"
    return "slow" if status.fps < SLOW_RATE else "good"


#: What the camera's side counts: "captured" and "skipped" frames, "reconnects"; without those it does not count.
Counts = Callable[[], Dict[str, int]]


class Snapshot(NamedTuple):
    """Everything of one moment. counts: see :data:`Counts`. requests: answers so far by status code."""

    status: Status
    pictures: int
    counts: Dict[str, int]
    reading: Reading
    quality: str
    requests: Dict[int, int]
    uptime_s: float


class Telemetry:
    """Collects what hub, camera, machine and application know. Safe to use from any thread."""

    def __init__(self, hub: Hub, counts: Optional[Counts] = None, machine: Optional[Machine] = None) -> None:
        self._hub = hub
        self._counts = counts
        self._machine = machine or Machine()
        self._started = time.monotonic()
        self._requests: Dict[int, int] = {}
        self._lock = threading.Lock()

    def count_answer(self, code: int) -> None:
        """One more request was answered with this status code."""
        with self._lock:
            self._requests[code] = self._requests.get(code, 0) + 1

    def snapshot(self) -> Snapshot:
        """Everything now."""
        status, reading, picture = self._hub.status(), self._machine.read(), self._hub.picture
        with self._lock:
            requests = dict(self._requests)
        counts = {} if self._counts is None else self._counts()
        return Snapshot(
            status, 0 if picture is None else picture.seq, counts, reading, quality(status, reading.hot), requests,
            time.monotonic() - self._started)
