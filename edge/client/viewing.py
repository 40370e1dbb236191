"""What a window shows of one or several servers: colours, cut, freeze, places side by side, and a line for each."""

import threading
import time
from enum import Enum
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from edge.client.pull import NoCloud, PullClient
from edge.client.trust import SYSTEM, Trust
from edge.errors import CarcloudError
from edge.geometry import Cloud
from edge.wire import Packet

#: Seconds one request may wait, so that a stop is noticed.
TURN = 1.0
#: Devices in a row; distance of their cars from side to side and from row to row, canonical units.
IN_A_ROW, BESIDE, BEHIND = 4, 0.8, 1.5
#: From where the cars are looked at first: from before, the left and above. Room around them, for perspective, too.
FRONT, ROOM = (0.75, 0.55, 0.4), 1.2
#: Surface of a car of length 1, and the sizes of points that are drawn, pixels.
SURFACE, SMALLEST, LARGEST = 2.0, 2.0, 12.0
#: Step and upper end of the confidence cut.
STEP, MOST = 0.05, 0.95
GREY = (0.55, 0.55, 0.55)
#: Colours of what was seen, mirrored and filled in (``edge.geometry``).
MARKS = np.array([[0.85, 0.85, 0.85], [0.25, 0.55, 0.95], [0.95, 0.6, 0.2]])
#: Low to high, for confidence and height.
RAMP = np.array([[0.27, 0.0, 0.33], [0.13, 0.57, 0.55], [0.99, 0.91, 0.14]])


class Mode(Enum):
    """What the colours mean; the value is the word users see."""

    PICTURE = "colours of the picture"
    CONFIDENCE = "confidence"
    SOURCE = "where the colour is from: seen, mirrored, filled in"
    HEIGHT = "height"


def paint(cloud: Cloud, mode: Mode) -> np.ndarray:
    """(N, 3) float64 in 0..1; grey where the cloud does not hold what the mode shows."""
    grey = np.tile(GREY, (len(cloud.points), 1))
    if mode is Mode.PICTURE:
        return grey if cloud.rgb is None else cloud.rgb / 255.0
    if mode is Mode.CONFIDENCE:
        return grey if cloud.confidence is None else ramp(cloud.confidence)
    if mode is Mode.SOURCE:
        return grey if cloud.mark is None else MARKS[np.minimum(cloud.mark, len(MARKS) - 1)]
    return ramp(cloud.points[:, 2] / 0.4 + 0.5)


def ramp(values: np.ndarray) -> np.ndarray:
    """Colours (N, 3) for values (N,) from 0 to 1."""
    places = np.linspace(0, 1, len(RAMP))
    return np.stack([np.interp(values, places, RAMP[:, channel]) for channel in range(3)], axis=1)


def cut(cloud: Cloud, least: float) -> Cloud:
    """The points whose confidence is ``least`` or more; all of them where it is not known."""
    if cloud.confidence is None or least <= 0:
        return cloud
    keep = cloud.confidence >= least
    rest = {name: plane[keep] for name, plane in cloud._asdict().items() if plane is not None}
    return Cloud(**rest)


def beside(count: int) -> np.ndarray:
    """Where the cars of so many devices stand, (count, 3): side by side from left to right, seen from before them, in
    rows of four, the middle at the origin."""
    index = np.arange(count)
    row, column = index // IN_A_ROW, index % IN_A_ROW
    places = np.stack([-BEHIND * row, BESIDE * column, np.zeros(count)], axis=1)
    return places - (places.max(0) + places.min(0)) / 2 if count else places


def framing(points: np.ndarray, aspect: float) -> Tuple[np.ndarray, float]:
    """Where to look to from FRONT so that points (N, 3) fill a picture of this aspect (width by height): the middle
    (3,), and how much is to be seen above and below it."""
    axis = np.asarray(FRONT) / np.linalg.norm(FRONT)
    right = np.cross((0.0, 0.0, 1.0), axis)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(axis, right), axis])
    seen = points @ axes.T
    low, high = seen.min(0), seen.max(0)
    wide, tall, _ = (high - low) / 2
    return (low + high) / 2 @ axes, ROOM * float(max(tall, wide / aspect))


def point_size(count: int, pixels: float) -> float:
    """Edge of the squares that close a car of ``count`` points. pixels: to a car's length."""
    return float(np.clip(pixels * np.sqrt(SURFACE / max(count, 1)), SMALLEST, LARGEST))


class Feed:
    """Pulls one server's clouds in a thread, for ever. A server that goes away is waited for; one that refuses is not.

    Use with ``with``. newest: the last cloud, or None.
    """

    def __init__(self, url: str, token: Optional[str] = None, trust: Trust = SYSTEM) -> None:
        self._client = PullClient(url, token, trust)
        self.name = self._client.name
        self.newest: Optional[Packet] = None
        self._taken: Optional[float] = None
        self._failure: Optional[CarcloudError] = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Feed":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    @property
    def failure(self) -> Optional[CarcloudError]:
        """What ended it: a missing token, or bytes that are no cloud."""
        return self._failure

    def line(self, now: float) -> str:
        """How it is, in words. now: ``time.monotonic()`` seconds."""
        if self._failure is not None:
            return "%s: %s" % (self.name, self._failure)
        if self.newest is None or self._taken is None:
            return "%s: %s" % (self.name, "no cloud yet" if self._client.connected else "no answer, trying again")
        age = now - self._taken
        text = "%s: %d points, age %s, lost %d" % (
            self.name, len(self.newest.cloud.points), "%.0f ms" % (1e3 * age) if age < 2 else "%.0f s" % age,
            self._client.skipped)
        return text if self._client.connected else text + ", no answer, trying again"

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                packet = self._client.next(TURN)
            except NoCloud:
                continue
            except CarcloudError as error:
                self._failure = error
                return
            age = self._client.age
            self._taken = time.monotonic() - (age if age == age else 0.0)
            self.newest = packet


class View:
    """What the user chose: mode, confidence cut, frozen; changed by keys.

    changed: whether anything was chosen since :meth:`compose` was last asked.
    """

    #: Each key and what it does, for the help.
    KEYS: Dict[str, str] = {
        "C": "next colours", "+": "higher confidence cut", "-": "lower confidence cut", "F": "freeze, and go on",
        "S": "screenshot", "R": "look from the start again", "Q": "end"}

    def __init__(self, mode: Mode = Mode.PICTURE, least: float = 0.0) -> None:
        self.mode, self.least, self.frozen = mode, least, False
        self.changed = True
        self._shown: List[Optional[Packet]] = []

    def press(self, key: str) -> bool:
        """Do what a key says; False if it is none of the view's own (the window's are S, R and Q)."""
        if key == "C":
            modes = list(Mode)
            self.mode = modes[(modes.index(self.mode) + 1) % len(modes)]
        elif key in "+-":
            step = STEP if key == "+" else -STEP
            self.least = round(min(MOST, max(0.0, self.least + step)), 2)
        elif key == "F":
            self.frozen = not self.frozen
        else:
            return False
        self.changed = True
        return True

    def compose(self, newest: Sequence[Optional[Packet]]) -> Optional[Tuple[np.ndarray, np.ndarray]]:
        """Points and colours (N, 3) float64 of all devices' newest clouds, each in its place; of the last ones while
        frozen. None if nothing changed."""
        shown = self._shown if self.frozen and any(self._shown) else list(newest)
        same = len(shown) == len(self._shown) and all(a is b for a, b in zip(shown, self._shown))
        if same and not self.changed:
            return None
        self._shown, self.changed = shown, False
        points, colours = [np.zeros((0, 3))], [np.zeros((0, 3))]
        for packet, place in zip(shown, beside(len(shown))):
            if packet is not None:
                cloud = cut(packet.cloud, self.least)
                points.append(cloud.points.astype(np.float64) + place)
                colours.append(paint(cloud, self.mode))
        return np.concatenate(points), np.concatenate(colours)

    def line(self) -> str:
        """What is chosen, in words."""
        text = self.mode.value
        if self.least > 0:
            text += ", confidence from %.2f" % self.least
        return text + (", frozen" if self.frozen else "")
