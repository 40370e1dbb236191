"""A log played into a hub, as the pipeline would fill it: what is shown when, and the thread that shows it."""

import bisect
import json
import logging
import threading
import time
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from edge import wire
from edge.client.log import CLOUD, PICTURE, STATUS, Entry, LogReader
from edge.errors import CarcloudError, LogError
from edge.pose import Pose
from edge.runtime.following import Sight
from edge.runtime.outputs import BodyClass, Length
from edge.runtime.pipeline import Glimpse, Result
from edge.runtime.reconstructor import Reconstruction
from edge.runtime.tracking import Track
from edge.server.hub import Hub, State

LOG = logging.getLogger("carcloud.replay")
#: Pause between the end and the beginning of a log that is looped, seconds.
LOOP_PAUSE = 0.2
#: What the server measures of its own sending; it will do so again.
OWN_TIMINGS = ("encode", "jpeg")


class Cue(NamedTuple):
    """Something to show. cloud: None for a picture without a car. picture: None if none was recorded. status: the
    newest state before it, or nothing."""

    time_us: int
    cloud: Optional[Entry]
    picture: Optional[Entry]
    status: Dict[str, Any]


def cues(log: LogReader) -> List[Cue]:
    """What is shown when, in order: each cloud with the picture that was taken nearest to it, and each picture without
    a car. Raises LogError if there is no cloud at all."""
    if not log.of_kind(CLOUD):
        raise LogError("%s holds no cloud; record again while the server sees a car" % log.path)
    pictures = [entry for entry in log.of_kind(PICTURE) if "X-Crop" in _headers(entry)]
    seen = sorted((_captured(entry), entry.start, entry) for entry in pictures)
    taken = [time_us for time_us, _, _ in seen]
    found: List[Cue] = []
    status = next((entry.facts for entry in log.of_kind(STATUS)), {})  # the first is written after the first clouds
    for entry in log.entries:
        if entry.kind == STATUS:
            status = entry.facts
        elif entry.kind == CLOUD:
            found.append(Cue(entry.time_us, entry, _nearest(_captured(entry), taken, seen), status))
        elif entry.kind == PICTURE and "X-Crop" not in _headers(entry):
            found.append(Cue(entry.time_us, None, entry, status))
    return found


def _headers(entry: Entry) -> Dict[str, str]:
    return dict(entry.facts.get("headers") or {})


def _captured(entry: Entry) -> float:
    """When the frame of a record was taken, microseconds since the log began."""
    return entry.time_us - 1e3 * float(entry.facts.get("age_ms") or 0.0)


def _nearest(time_us: float, taken: List[float], seen: List[Tuple[float, int, Entry]]) -> Optional[Entry]:
    index = bisect.bisect(taken, time_us)
    around = [number for number in (index - 1, index) if 0 <= number < len(taken)]
    return seen[min(around, key=lambda number: abs(taken[number] - time_us))][2] if around else None


def restore(log: LogReader, cue: Cue, seq: int, now: float) -> Any:
    """The Result, or without a cloud the Glimpse, that a cue stands for, as old as it was when it was recorded.

    now: ``time.monotonic()`` seconds. Raises LogError or WireError for a record that is damaged.
    """
    try:
        return _restore(log, cue, seq, now)
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise LogError("%s: what is said of the frame at %.3f s makes no sense: %r; leave it out"
                       % (log.path, cue.time_us / 1e6, error))


def _restore(log: LogReader, cue: Cue, seq: int, now: float) -> Any:
    headers = _headers(cue.picture) if cue.picture is not None else {}
    frame = _picture(log, cue.picture)
    made = cue.cloud if cue.cloud is not None else cue.picture
    captured = now - float(made.facts.get("age_ms") or 0.0) / 1e3 if made is not None else now
    timings = {str(name): float(value) for name, value in (cue.status.get("timings_ms") or {}).items()
               if name not in OWN_TIMINGS}
    rate, sight = float(cue.status.get("fps") or 0.0), _sight(headers)
    if cue.cloud is None:
        return Glimpse(seq, frame, timings, captured, "", rate, sight or Sight((), None, 0.0))
    cloud = wire.decode(log.body(cue.cloud)).cloud
    crop = [int(number) for number in headers.get("X-Crop", "").split(",") if number]
    box = (crop[0], crop[1], crop[2]) if len(crop) == 3 else (0, 0, min(frame.shape[:2]))
    length, body = cue.status.get("length"), cue.status.get("body_class")
    reconstruction = Reconstruction(
        cloud, box, timings, _pose(headers, cue.status),
        Length(length["metres"], length["plus_minus"] / length["metres"]) if length else None,
        BodyClass(body["name"], body["probability"]) if body else None, int(cue.status.get("directions") or 0))
    return Result(seq, frame, reconstruction, timings, captured, "", rate, sight)


def _picture(log: LogReader, entry: Optional[Entry]) -> np.ndarray:
    """(H, W, 3) uint8 BGR; grey where none was recorded."""
    if entry is None:
        return np.full((240, 320, 3), 90, np.uint8)
    frame = cv2.imdecode(np.frombuffer(log.body(entry), np.uint8), cv2.IMREAD_COLOR)
    if frame is None:
        raise LogError("%s: the picture at byte %d cannot be decoded; leave it out" % (log.path, entry.start))
    return frame


def _pose(headers: Dict[str, str], status: Dict[str, Any]) -> Optional[Pose]:
    numbers = [float(number) for number in headers.get("X-Pose", "").split(",") if number]
    if len(numbers) != 7:
        return None
    certainty = (status.get("pose") or {}).get("certainty", 1.0)
    return Pose(*(numbers + [float(certainty)]))


def _sight(headers: Dict[str, str]) -> Optional[Sight]:
    """What was seen of cars; None where nobody looked for them."""
    if "X-Cars" not in headers:
        return None
    cars, followed = [], None
    for car in json.loads(headers["X-Cars"]):
        left, top, width, high = (float(value) for value in car["box"])
        cars.append(Track(int(car["number"]), (left, top, width, high), float(car["score"]), 2, float(car["unseen_s"])))
        followed = int(car["number"]) if car["followed"] else followed
    return Sight(tuple(cars), followed, 0.0)


class Player:
    """Plays a log into a hub from a thread, at the speed at which it was recorded.

    speed: times as fast. loop: begin again at the end. Use with ``with``; failure: what it died of, or None.
    """

    def __init__(self, log: LogReader, hub: Hub, speed: float = 1.0, loop: bool = False) -> None:
        self.cues = cues(log)
        self.failure: Optional[Exception] = None
        self.damaged = 0
        self._log, self._hub, self._speed, self._loop = log, hub, speed, loop
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)

    def __enter__(self) -> "Player":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._play()
        except Exception as error:  # noqa: BLE001  a bug: said in the page, and the traceback kept
            LOG.exception("event=player_died")
            self.failure = error
            self._hub.set_state(State.FAILED, "the replay died of %r; the console has the details" % error)

    def _play(self) -> None:
        seq = 0
        while True:
            began = time.monotonic()
            for cue in self.cues:
                due = began + (cue.time_us - self.cues[0].time_us) / 1e6 / self._speed
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
                seq += 1
                self._show(cue, seq)
            if not self._loop:
                sentence = "the recording ended after %d clouds" % sum(cue.cloud is not None for cue in self.cues)
                self._hub.set_state(State.ENDED, sentence)
                return
            if self._stop.wait(LOOP_PAUSE):
                return

    def _show(self, cue: Cue, seq: int) -> None:
        try:
            shown = restore(self._log, cue, seq, time.monotonic())
        except CarcloudError as error:
            self.damaged += 1
            self._hub.record_error(str(error))
            return
        if cue.cloud is None:
            self._hub.publish_unseen(shown)
        else:
            self._hub.publish(shown)
