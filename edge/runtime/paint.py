"""The colours of one car over the frames in which it was seen.

In a frame only one share of the points is looked up, evenly spread over the car, and the others keep the colours they
have: at video rate a colour is a frame old at most, and the look-up, which costs a small board more than anything
else here, costs half.
"""

from typing import Callable, List, NamedTuple, Optional

import numpy as np

from edge.geometry import FILLED, MIRRORED, SEEN, Cloud
from edge.runtime.colour import filled

#: Parts of the points that take turns: every SHARES-th point is one.
SHARES = 2
#: Weight of the newest colour, at least.
FRESH = 0.1


#: Points of a cloud, a slice of them, with ``rgb`` and ``mark``, or without if none of them is seen:
#: :func:`edge.runtime.colour.looked_up`.
Look = Callable[[Cloud, slice], Cloud]


class _Kind(NamedTuple):
    """times: (N,) float32, in how many frames a point got a colour of this kind. mean: (3, N) float32 of these."""

    times: np.ndarray
    mean: np.ndarray


class Paint:
    """Of one car. Constant memory and time; belongs to one thread."""

    def __init__(self, shares: int = SHARES) -> None:
        self._shares = shares
        self._kinds: List[List[_Kind]] = []
        self._rgb = np.zeros((0, 3), np.uint8)
        self._mark = np.zeros(0, np.uint8)
        self._turn: Optional[int] = None

    def add(self, cloud: Cloud, look: Look) -> Cloud:
        """Look up the colours of a share of the points, of all of them until each has one, and return the cloud with
        what is known of all: where the camera looks now its colours count, elsewhere those that it saw last, and what
        was never seen is filled in (FILLED).

        As long as nothing was seen the cloud comes back as it is.
        """
        if len(cloud.points) != len(self._mark):
            self._begin(len(cloud.points))
        turns = range(self._shares) if self._turn is None else (self._turn,)
        known = [self._take(turn, cloud, look) for turn in turns]
        if not all(known):
            return cloud
        self._turn = (turns[-1] + 1) % self._shares
        return cloud._replace(rgb=self._rgb.copy(), mark=self._mark.copy())

    def _begin(self, count: int) -> None:
        self._rgb, self._mark, self._turn = np.zeros((count, 3), np.uint8), np.full(count, FILLED, np.uint8), None
        sizes = [len(range(turn, count, self._shares)) for turn in range(self._shares)]
        # A channel a row: NumPy is several times as fast along an axis as over rows of three.
        self._kinds = [[_Kind(np.zeros(n, np.float32), np.zeros((3, n), np.float32)) for _ in range(2)] for n in sizes]

    def _take(self, turn: int, cloud: Cloud, look: Look) -> bool:
        """Look at one share; whether anything is known of its colours now, if it has points at all."""
        share = slice(turn, None, self._shares)
        part = look(cloud, share)
        if part.rgb is None or part.mark is None:  # nothing to be seen in this frame
            part = part._replace(rgb=self._rgb[share], mark=np.full(len(part.points), FILLED, np.uint8))
        assert part.rgb is not None and part.mark is not None
        now = part.rgb.T.astype(np.float32, order="C")
        rgb, mark = now.copy(), np.full(len(part.mark), FILLED, np.uint8)
        # The mirror image first, so that what was seen itself stands over it.
        for kind, (times, mean) in zip((MIRRORED, SEEN), self._kinds[turn]):
            new = part.mark == kind
            times += new
            mean += np.where(new, np.maximum(1 / np.maximum(times, 1), np.float32(FRESH)), np.float32(0)) * (now - mean)
            there = times > 0
            np.copyto(rgb, mean, where=there)
            mark[there] = kind
        painted = filled(part._replace(rgb=np.rint(rgb).astype(np.uint8).T.copy(), mark=mark))
        assert painted.rgb is not None
        self._rgb[share], self._mark[share] = painted.rgb, mark
        return not len(mark) or bool((mark != FILLED).any())
