"""``synthetic://car?seed=0``: a turning car drawn here, so that nobody needs a camera or a clip."""

import time
from typing import Optional

import numpy as np

from edge.errors import SourceError
from edge.runtime.sources.base import Frame, Pacer, Source
from edge.runtime.sources.sketch import Sketch
from edge.runtime.sources.toycar import make_car
from edge.runtime.sources.uri import Parameters, SourceUri

#: Frame rate of the motion when frames are given as fast as asked (fps=0).
NOMINAL_FPS = 30.0


class SyntheticSource(Source):
    """A car on a turntable. Frame n of a seed and size is always the same picture.

    seed: form and paint. width, height: pixels. fps: rate, 0 for as fast as asked. turn: seconds a turn.
    frames: end after so many, 0 for never.
    """

    def __init__(self, uri: SourceUri) -> None:
        if uri.target.rstrip("/") != "car":
            raise SourceError("source %s: only synthetic://car is known" % uri.text)
        parameters = Parameters(uri, ("seed", "width", "height", "fps", "turn", "frames"))
        self._size = (parameters.integer("width", 640, 64, 4096), parameters.integer("height", 480, 64, 4096))
        self.fps = parameters.number("fps", NOMINAL_FPS, 0, 1000)
        self._frames = parameters.integer("frames", 0, 0, 10**9)
        self._step = 2 * np.pi / (parameters.number("turn", 12.0, 0.1, 3600) * (self.fps or NOMINAL_FPS))
        super().__init__(uri.text, on_demand=self.fps == 0)
        self._pacer = Pacer(self.fps)
        self._sketch = Sketch(make_car(parameters.integer("seed", 0, 0, 2**31 - 1)), *self._size)
        self._seq = 0

    def read(self) -> Optional[Frame]:
        if not self._pacer.wait():
            self.ending = self.ending or "%s was stopped" % self.uri
            return None
        if self._frames and self._seq >= self._frames:
            self.ending = "%s ended after %d frames" % (self.uri, self._seq)
            return None
        captured = time.monotonic()
        image = self._sketch.draw(self._seq * self._step - 0.7)
        self._seq += 1
        return Frame(image, self._seq, captured, "")

    def describe(self) -> str:
        rate = "%.4g frames/s" % self.fps if self.fps else "as fast as asked"
        return "drawn car %s, %d x %d, %s" % (self.uri, self._size[0], self._size[1], rate)

    def stop(self) -> None:
        self._pacer.stop()
