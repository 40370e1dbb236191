"""Where the cars are in a picture: the bundle's detector."""

import time
from typing import List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from edge.bundle import Bundle, FinderSpec
from edge.runtime.anchors import centred, decode, make_anchors, overlap, suppress
from edge.runtime.backends import Backend, open_backend
from edge.runtime.outputs import check_finite
from edge.runtime.reconstructor import Box, normalise

#: Score from which a box is taken for a car. Tight close-ups score low; people and walls stay far below.
THRESHOLD = 0.35
#: Score from which a box is remembered at all.
FAINT = 0.2
#: Boxes that overlap by more, or lie so far within a better one, are of one car; so many cars are told apart.
SAME, WITHIN, MOST = 0.5, 0.8, 16
#: A box whose shorter edge has fewer pixels is no car that could be reconstructed.
SMALLEST = 16


class Detection(NamedTuple):
    """box: x, y, width, height in pixels, within the picture. score: 0..1."""

    box: Box
    score: float


def open_finder(
    bundle: Bundle, backend: str = "auto", threads: int = 0, precision: str = "auto", engines: Optional[str] = None
) -> Optional["Finder"]:
    """The bundle's finder in a backend of its own, None for a bundle without one. Raises BackendError."""
    if bundle.finder is None:
        return None
    return Finder(bundle.finder, open_backend(bundle, backend, threads, bundle.finder.graph, precision, engines))


class Finder:
    """Finds cars. Reuses its buffers, so it belongs to one thread. Closes its backend.

    threshold: score from which a box counts. milliseconds: what the last picture took. faint: boxes of the last picture
    with a score from FAINT up to the threshold: no car by themselves, but a car that was there a moment ago.
    """

    def __init__(self, spec: FinderSpec, backend: Backend, threshold: float = THRESHOLD) -> None:
        self.threshold = threshold
        self.milliseconds = 0.0
        self.faint: List[Detection] = []
        self._spec, self.backend = spec, backend
        self._anchors = make_anchors(spec.anchors)
        self._code = np.asarray(spec.anchors["code_scales"], np.float32)
        self._input = backend.buffer(spec.graph.input_shape)

    def __enter__(self) -> "Finder":
        return self

    def __exit__(self, *_: object) -> None:
        self.backend.close()

    def find(self, image_bgr: np.ndarray) -> List[Detection]:
        """Cars in a picture (H, W, 3) uint8, the likeliest first. Raises BackendError.

        The picture is stretched to the detector's square, as it was when the detector learnt.
        """
        start = time.perf_counter()
        size = self._input.shape[2]
        small = cv2.resize(image_bgr, (size, size), interpolation=cv2.INTER_AREA)
        normalise(small, self._spec.mean, self._spec.std, self._input[0])
        outputs = self.backend.run({self._spec.graph.input_name: self._input})
        check_finite(outputs)
        found = self._cars(outputs["boxes"][0], outputs["scores"][0], image_bgr.shape[1], image_bgr.shape[0])
        self.faint = [one for one in found if one.score < self.threshold]
        self.milliseconds = (time.perf_counter() - start) * 1e3
        return [one for one in found if one.score >= self.threshold]

    def find_still(self, image_bgr: np.ndarray) -> List[Detection]:
        """As :meth:`find`, for a picture by itself, to which no other comes that would show an error: a car is what is
        found in the picture and, at the same place, in its mirror image. The lower score counts.

        Cars hardly differ from their mirror images. ``milliseconds`` is of both looks.
        """
        found = self.find(image_bgr)
        if not found:
            return []
        first, width = self.milliseconds, image_bgr.shape[1]
        mirrored = [one._replace(box=_flipped(one.box, width)) for one in self.find(image_bgr[:, ::-1])]
        self.milliseconds += first
        if not mirrored:
            return []
        same = overlap(*(np.stack([centred(one.box) for one in looks]) for looks in (found, mirrored)))
        scores = np.where(same > SAME, [one.score for one in mirrored], 0.0).max(1)
        return [one._replace(score=min(one.score, float(s))) for one, s in zip(found, scores) if s > 0]

    def _cars(self, offsets: np.ndarray, scores: np.ndarray, width: int, height: int) -> List[Detection]:
        """offsets: (N, 4) and scores: (N, classes) as the detector gives them."""
        car = scores[:, self._spec.car]
        rows = np.flatnonzero(car >= min(FAINT, self.threshold))
        boxes = decode(offsets[rows], self._anchors[rows], self._code)
        kept = suppress(boxes, car[rows], SAME, WITHIN, MOST)
        found = [(within(boxes[row], width, height), float(car[rows[row]])) for row in kept]
        return [Detection(box, score) for box, score in found if box is not None]


def _flipped(box: Box, width: int) -> Box:
    return (width - box[0] - box[2], box[1], box[2], box[3])


def within(box: np.ndarray, width: int, height: int) -> Optional[Box]:
    """A box (4,), centre and size in parts of a picture, as pixels within it; None if too little is left."""
    x0, x1 = (box[0] - box[2] / 2) * width, (box[0] + box[2] / 2) * width
    y0, y1 = (box[1] - box[3] / 2) * height, (box[1] + box[3] / 2) * height
    left, top = max(0.0, float(x0)), max(0.0, float(y0))
    right, bottom = min(float(width), float(x1)), min(float(height), float(y1))
    if min(right - left, bottom - top) < SMALLEST:
        return None
    return (left, top, right - left, bottom - top)


def by_prominence(detections: List[Detection], size: Tuple[int, int]) -> List[Detection]:
    """The cars of a picture of ``size`` (width, height), the one that it is most likely of first: large, near the
    middle, and surely a car."""
    return sorted(detections, key=lambda found: -prominence(found.box, size) * found.score)


def prominence(box: Box, size: Tuple[int, int]) -> float:
    """How much a box (x, y, width, height) stands out in a picture of ``size`` (width, height): its area, in parts of
    the picture's, halved where its centre lies half the picture's diagonal from the middle."""
    x, y, w, h = box
    away = np.hypot((x + w / 2) / size[0] - 0.5, (y + h / 2) / size[1] - 0.5)
    return float(w * h / (size[0] * size[1]) * 0.5 ** (away / 0.5))
