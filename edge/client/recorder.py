"""Records what a server shows: clouds as they came over the wire, camera pictures as JPEG, its state once a second."""

import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import edge
from edge.client.log import CLOUD, PICTURE, SESSION, STATUS, LogWriter
from edge.client.pull import NoCloud, PictureClient, PullClient, Pulled, Puller
from edge.client.trust import SYSTEM, Trust
from edge.errors import CarcloudError, LogError, ServerError, WireError

#: Seconds one request may wait, so that a stop is noticed; and between two looks at the state, two syncs of the disk.
TURN, STATE_EVERY, SYNC_EVERY = 1.0, 1.0, 1.0


class Tally(NamedTuple):
    """How far a recording is. seconds: since it began. clouds, pictures: recorded. rate: clouds a second, of all of it.
    age: of the newest cloud when it came, seconds. lost: clouds that the server published and that did not get here.
    damaged: answers that were not understood. reconnects: attempts that failed. megabytes: of the log. connected:
    whether the server answers."""

    seconds: float
    clouds: int
    pictures: int
    rate: float
    age: float
    lost: int
    damaged: int
    reconnects: int
    megabytes: float
    connected: bool

    def sentence(self) -> str:
        """One line."""
        text = "%.0f s  %d clouds (%.1f a second), %d pictures, %.1f MB" % (
            self.seconds, self.clouds, self.rate, self.pictures, self.megabytes)
        if self.clouds:
            text += "  age %.0f ms  lost %d" % (self.age * 1e3, self.lost)
        if self.damaged:
            text += "  damaged %d" % self.damaged
        return text if self.connected else text + "  no answer from the server, trying again"


class Recorder:
    """Pulls from one server, in a thread for each kind of frame, and appends to a log, which stays the caller's.

    pictures: whether camera pictures are recorded, too. Use with ``with``; :meth:`wait` raises what went wrong:
    LogError (the disk is full) or ServerError (no token, or a certificate that ``trust`` does not accept). A server
    that goes away is waited for.
    """

    def __init__(
        self, log: LogWriter, url: str, token: Optional[str] = None, pictures: bool = True, trust: Trust = SYSTEM
    ) -> None:
        self._log = log
        self._clouds = PullClient(url, token, trust)
        self._pictures = PictureClient(url, token, trust)
        self._states = PullClient(url, token, trust)
        self.url = self._clouds.url
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failure: Optional[CarcloudError] = None
        self._counts: Dict[int, int] = {CLOUD: 0, PICTURE: 0}
        self._damaged = 0
        jobs: List[Callable[[], None]] = [self._record_clouds, self._record_states]
        if pictures:
            jobs.append(self._record_pictures)
        self._threads = [threading.Thread(target=self._run, args=(job,), daemon=True) for job in jobs]

    def __enter__(self) -> "Recorder":
        self._append(SESSION, {"carcloud": edge.__version__, "url": self.url, "unix_us": int(time.time() * 1e6)})
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for client in (self._clouds, self._pictures, self._states):
            client.close()

    def wait(self, seconds: float) -> None:
        """Wait so long. Raises what ended the recording, if anything did."""
        self._stop.wait(seconds)
        if self._failure is not None:
            raise self._failure

    def tally(self) -> Tally:
        """How far it is."""
        seconds, clouds = time.monotonic() - self._began, self._counts[CLOUD]
        client = self._clouds
        return Tally(
            seconds, clouds, self._counts[PICTURE], clouds / seconds if seconds > 0 else 0.0, client.age,
            client.skipped, self._damaged, client.reconnects, self._log.size / 1e6, client.connected)

    def _run(self, job: Callable[[], None]) -> None:
        try:
            job()
        except CarcloudError as error:
            with self._lock:
                self._failure = self._failure or error
            self._stop.set()

    def _append(self, kind: int, facts: Dict[str, Any], body: bytes = b"") -> None:
        with self._lock:
            if self._failure is not None and isinstance(self._failure, LogError):
                return
            now = self._log.began_us + int((time.monotonic() - self._began) * 1e6)
            self._log.append(kind, now, facts, body)
            if kind in self._counts:
                self._counts[kind] += 1

    def _record_clouds(self) -> None:
        while not self._stop.is_set():
            if self._next(self._clouds):
                self._append(CLOUD, {"age_ms": _rounded(self._clouds.age)}, self._clouds.body)

    def _record_pictures(self) -> None:
        while not self._stop.is_set():
            try:
                shot = self._next(self._pictures)
            except ServerError as error:
                if "404" in str(error):  # switched off at the server; the clouds go on
                    return
                raise
            if shot is not None:
                self._append(PICTURE, {
                    "seq": shot.seq, "age_ms": _rounded(self._pictures.age), "headers": shot.headers}, shot.jpeg)

    def _record_states(self) -> None:
        synced = time.monotonic()
        while not self._stop.wait(STATE_EVERY):
            state = self._states.status()
            if state is not None:
                self._append(STATUS, state)
            if time.monotonic() - synced >= SYNC_EVERY:
                # The lock is not held: frames go on while the disk works.
                self._log.sync()
                synced = time.monotonic()

    def _next(self, client: Puller[Pulled]) -> Optional[Pulled]:
        """The next frame; None if none came, or one that was not understood."""
        try:
            return client.next(TURN)
        except NoCloud:
            return None
        except WireError:
            with self._lock:
                self._damaged += 1
            self._stop.wait(TURN)  # whatever answers so will do it again
            return None


def _rounded(age: float) -> Optional[float]:
    """Milliseconds for JSON, which has no NaN."""
    return None if age != age else round(age * 1e3, 1)
