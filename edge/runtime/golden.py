"""The golden check: the bundle's own sample through a backend, compared with what the export saw, output by output."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from edge.bundle import Bundle, Graph
from edge.errors import BundleError
from edge.runtime.backends.base import Backend

#: FP32 limits. Places: 0.001 of a car's length (4 mm). Masks: one pixel or cell in a thousand. Expected distances: a
#: twentieth. Logits, camera, length: a hundredth of the largest value, or of 1.
POINT_LIMIT, MASK_LIMIT, ERROR_LIMIT, VALUE_LIMIT = 1e-3, 1e-3, 0.05, 0.01
#: Of the finder: scores, 0..1; boxes, in the units of their code (a tenth or a fifth of an anchor's edge), of anchors
#: with a score above SEEN.
SCORE_LIMIT, BOX_LIMIT, SEEN = 0.005, 0.02, 0.1
#: How many times further an engine of a precision may be off (docs/engines.md says what is expected of each).
SLACK = {"fp32": 1.0, "fp16": 5.0, "int8": 30.0, "int8-cpu": 30.0}


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


def check_golden(bundle: Bundle, backend: Backend, precision: str = "fp32") -> GoldenReport:
    """Run ``golden.npz``: ``image`` (N, 3, S, S), normalised as the network wants it, and each output (N, ...).

    precision: what the backend computes in; limits are :data:`SLACK` times those of FP32.
    Raises BundleError if the file is missing or holds something else, BackendError from the network.
    """
    image, wanted = _read(bundle, "golden.npz", bundle.graph)
    found = compare(bundle, backend, image, wanted)
    return GoldenReport(tuple(d._replace(limit=d.limit * SLACK[precision]) for d in found), len(image))


def check_network(bundle: Bundle, network: str, backend: Backend, precision: str) -> Optional[GoldenReport]:
    """The same for one network of the bundle: "reconstructor", "finder" or "silhouette".

    None where the bundle, an older one, has no golden outputs of its finder or silhouette network.
    """
    if network == "reconstructor":
        return check_golden(bundle, backend, precision)
    spec = bundle.finder if network == "finder" else bundle.silhouette
    file = bundle.manifest.get(network, {}).get("golden")
    if spec is None or file is None:
        return None
    image, wanted = _read(bundle, file, spec.graph)
    found = _run(backend, spec.graph.input_name, image, wanted)
    if network == "finder":
        deviations = _compare_boxes(wanted, found)
    else:
        wrong = (wanted["mask"] > 0) != (found["mask"] > 0)
        deviations = [Deviation("masks of the silhouette", float((wrong | np.isnan(found["mask"])).mean()), MASK_LIMIT)]
    return GoldenReport(tuple(d._replace(limit=d.limit * SLACK[precision]) for d in deviations), len(image))


def _read(bundle: Bundle, name: str, graph: Graph) -> Tuple[np.ndarray, Dict[str, np.ndarray]]:
    """Pictures (N, 3, S, S) and the outputs (N, ...) of each name, float32. Raises BundleError."""
    path = bundle.file(name)
    try:
        with np.load(path, allow_pickle=False) as stored:
            image = stored["image"].astype(np.float32)
            wanted = {name: stored[name].astype(np.float32) for name in graph.outputs}
    except (OSError, ValueError, KeyError) as error:
        raise BundleError("%s cannot be read (%s); export the bundle again" % (path, error))
    expected = dict({"image": graph.input_shape[1:]}, **{name: shape[1:] for name, shape in graph.outputs.items()})
    for name, value in dict(wanted, image=image).items():
        if value.shape != (len(image),) + expected[name] or not len(image):
            raise BundleError(
                "%s holds %d pictures and %s %s, which do not fit the manifest; export the bundle again"
                % (path, len(image), name, value.shape)
            )
    return image, wanted


def _run(backend: Backend, input_name: str, image: np.ndarray, names: Any) -> Dict[str, np.ndarray]:
    """Outputs (N, ...) float32 of each name, of pictures (N, 3, S, S), one at a time."""
    found: Dict[str, List[np.ndarray]] = {name: [] for name in names}
    for sample in image:
        given = backend.run({input_name: sample[None]})
        for name, values in found.items():
            values.append(np.array(given[name][0], np.float32))
    return {name: np.stack(values) for name, values in found.items()}


def compare(bundle: Bundle, backend: Backend, image: np.ndarray, wanted: Dict[str, np.ndarray]) -> List[Deviation]:
    """Run pictures (N, 3, S, S) and compare with the outputs ``wanted`` (N, ...) of each name."""
    found = _run(backend, bundle.input_name, image, wanted)
    deviations: List[Deviation] = []
    for name, value in wanted.items():
        deviations += _compare(name, value, found[name], bundle.threshold)
    return deviations


def _compare_boxes(wanted: Dict[str, np.ndarray], found: Dict[str, np.ndarray]) -> List[Deviation]:
    """Scores, and the boxes of the anchors that some class is seen at (where nothing is, boxes mean nothing)."""
    scores = float(np.abs(found["scores"] - wanted["scores"]).max())
    seen = wanted["scores"].max(2) > SEEN
    boxes = np.abs(found["boxes"] - wanted["boxes"]).max(2)[seen]
    return [
        Deviation("scores of the finder", scores, SCORE_LIMIT),
        Deviation("boxes of the finder", float(boxes.max()) if boxes.size else 0.0, BOX_LIMIT),
    ]


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
