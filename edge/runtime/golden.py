"""The golden check: the bundle's own sample through a backend, compared with what the export saw, output by output."""

from typing import Callable, Dict, List, NamedTuple, Tuple

import numpy as np

from edge.bundle import Bundle
from edge.errors import BundleError
from edge.runtime.backends import Backend

#: FP32 limits. Places: 0.001 of a car's length (4 mm). Masks: one pixel or cell in a thousand. Expected distances: a
#: twentieth. Logits, camera, length: a hundredth of the largest value, or of 1.
POINT_LIMIT, MASK_LIMIT, ERROR_LIMIT, VALUE_LIMIT = 1e-3, 1e-3, 0.05, 0.01


class Deviation(NamedTuple):
    """How far one output, or one kind of number in it, is from the golden one.

    what: in words. error: the largest difference, or the part of the pixels that differ. limit: largest good error.
    """

    what: str
    error: float
    limit: float

    @property
    def good(self) -> bool:
        """Whether the error is within the limit (NaN is not)."""
        return self.error <= self.limit

    @property
    def text(self) -> str:
        return "%s differ by %.1e at most (limit %g)" % (self.what, self.error, self.limit)


class GoldenReport(NamedTuple):
    """deviations: of every output, in the bundle's order. samples: pictures compared."""

    deviations: Tuple[Deviation, ...]
    samples: int

    @property
    def good(self) -> bool:
        """Whether every output is within its limit."""
        return all(deviation.good for deviation in self.deviations)

    @property
    def worst(self) -> Deviation:
        """The output that comes closest to its limit, or exceeds it most."""
        return max(self.deviations, key=lambda d: np.inf if np.isnan(d.error) else d.error / d.limit)


def check_golden(bundle: Bundle, backend: Backend) -> GoldenReport:
    """Run ``golden.npz``: ``image`` (N, 3, S, S), normalised as the network wants it, and each output (N, ...).

    Raises BundleError if the file is missing or holds something else, BackendError from the network.
    """
    path = bundle.file("golden.npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            image = stored["image"].astype(np.float32)
            wanted = {name: stored[name].astype(np.float32) for name in bundle.outputs}
    except (OSError, ValueError, KeyError) as error:
        raise BundleError("%s cannot be read (%s); export the bundle again" % (path, error))
    size = bundle.input_size
    expected = dict({"image": (3, size, size)}, **{name: shape[1:] for name, shape in bundle.outputs.items()})
    for name, value in dict(wanted, image=image).items():
        if value.shape != (len(image),) + expected[name] or not len(image):
            raise BundleError(
                "%s holds %d pictures and %s %s, which do not fit the manifest; export the bundle again"
                % (path, len(image), name, value.shape)
            )
    return GoldenReport(tuple(compare(bundle, backend, image, wanted)), len(image))


def compare(bundle: Bundle, backend: Backend, image: np.ndarray, wanted: Dict[str, np.ndarray]) -> List[Deviation]:
    """Run pictures (N, 3, S, S) and compare with the outputs ``wanted`` (N, ...) of each name."""
    found: Dict[str, List[np.ndarray]] = {name: [] for name in wanted}
    for sample in image:
        given = backend.run({bundle.input_name: sample[None]})
        for name, values in found.items():
            values.append(np.array(given[name][0], np.float32))
    deviations: List[Deviation] = []
    for name, value in wanted.items():
        deviations += _compare(name, value, np.stack(found[name]), bundle.threshold)
    return deviations


def _compare(name: str, wanted: np.ndarray, found: np.ndarray, threshold: float) -> List[Deviation]:
    """Both (N, ...) float32. A NaN in ``found`` gives NaN or counts as different."""
    if name == "maps":
        mask = wanted[:, :, 3] > threshold
        # Where there is no car the coordinates mean nothing.
        distance = np.abs(found[:, :, :3] - wanted[:, :, :3]).max(2)[mask]
        wrong = mask != (found[:, :, 3] > threshold)
        return [
            Deviation("points of the maps", float(distance.max()) if distance.size else 0.0, POINT_LIMIT),
            Deviation("masks of the maps", float(wrong.mean()), MASK_LIMIT),
        ]
    difference, limit = _DIFFERENCES.get(name, (_of_largest, VALUE_LIMIT))
    return [Deviation(_WORDS.get(name, name), difference(wanted, found), limit)]


def _distance(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(np.abs(found - wanted).max())


def _relative(wanted: np.ndarray, found: np.ndarray) -> float:
    # Nobody can use an expected distance below a thousandth of the car's length.
    return float((np.abs(found - wanted) / np.maximum(np.abs(wanted), 1e-3)).max())


def _of_largest(wanted: np.ndarray, found: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / max(1.0, float(np.abs(wanted).max())))


def _other_side(wanted: np.ndarray, found: np.ndarray) -> float:
    return float((((wanted > 0) != (found > 0)) | np.isnan(found)).mean())


_DIFFERENCES: Dict[str, Tuple[Callable[[np.ndarray, np.ndarray], float], float]] = {
    "points": (_distance, POINT_LIMIT),
    "vertices": (_distance, POINT_LIMIT),
    "error": (_relative, ERROR_LIMIT),
    "occupancy": (_other_side, MASK_LIMIT),
}
_WORDS = {
    "error": "expected distances", "occupancy": "cells of the occupancy", "azimuth": "azimuth logits",
    "camera": "camera numbers", "length": "length numbers", "classes": "class logits",
}  # fmt: skip
