"""Boxes of a single-shot detector: its anchors, what it says of each, and one box where several are of one thing.

Liu et al., "SSD: single shot multibox detector", ECCV 2016, with the box coding of Ren et al., "Faster R-CNN", 2015.
Boxes here are (N, 4) float32: centre x, centre y, width, height, in parts of the picture.
"""

from typing import Any, Dict, List, Sequence

import numpy as np

#: Edges of a box relative to its anchor grow by at most this exponent: a wild output must not become infinite.
LARGEST_EXPONENT = 6.0


def make_anchors(spec: Dict[str, Any]) -> np.ndarray:
    """Anchors (N, 4), in the order of the detector's outputs: map after map, row by row, then the kinds of a cell.

    spec: ``maps``, cells along a side of each map; ``scales``, of each map; ``first``, (scale, ratio) of each anchor of
    the first map; ``ratios``, of those of the others, which have one more anchor between their scale and the next, of
    the ratio 1; ``last_scale``, what stands for the next scale of the last map. Raises KeyError, TypeError or
    ValueError where it is no such thing.
    """
    scales = [float(scale) for scale in spec["scales"]] + [float(spec["last_scale"])]
    rows: List[np.ndarray] = []
    for number, cells in enumerate(spec["maps"]):
        if number == 0:
            kinds = [(float(scale), float(ratio)) for scale, ratio in spec["first"]]
        else:
            kinds = [(scales[number], float(ratio)) for ratio in spec["ratios"]]
            kinds.append(((scales[number] * scales[number + 1]) ** 0.5, 1.0))
        shapes = np.array([(scale * ratio**0.5, scale / ratio**0.5) for scale, ratio in kinds], np.float32)
        middles = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        grid = np.stack(np.meshgrid(middles, middles), 2).reshape(-1, 1, 2)
        centres = np.broadcast_to(grid, (cells * cells, len(kinds), 2))
        sizes = np.broadcast_to(shapes, (cells * cells, len(kinds), 2))
        rows.append(np.concatenate([centres, sizes], 2).reshape(-1, 4))
    return np.ascontiguousarray(np.concatenate(rows), np.float32)


def decode(offsets: np.ndarray, anchors: np.ndarray, code_scales: np.ndarray) -> np.ndarray:
    """The detector's numbers (N, 4), y, x, height, width, to boxes (N, 4).

    code_scales: (4,), what each number was multiplied by, in that order.
    """
    scaled = offsets / code_scales
    boxes = np.empty_like(anchors)
    boxes[:, 0] = scaled[:, 1] * anchors[:, 2] + anchors[:, 0]
    boxes[:, 1] = scaled[:, 0] * anchors[:, 3] + anchors[:, 1]
    boxes[:, 2] = np.exp(np.minimum(scaled[:, 3], LARGEST_EXPONENT)) * anchors[:, 2]
    boxes[:, 3] = np.exp(np.minimum(scaled[:, 2], LARGEST_EXPONENT)) * anchors[:, 3]
    return boxes


def centred(box: Sequence[float]) -> np.ndarray:
    """A box x, y, width, height as :func:`overlap` has it: centre and size (4,) float64."""
    x, y, w, h = box
    return np.array([x + w / 2, y + h / 2, w, h], np.float64)


def overlap(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) and others (M, 4), centres and sizes in any unit."""
    shared = _shared(boxes, others)
    both = (boxes[:, 2] * boxes[:, 3])[:, None] + (others[:, 2] * others[:, 3])[None] - shared
    result = shared / np.maximum(both, 1e-12)
    return np.asarray(result, np.float32)


def _shared(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Areas (N, M) that boxes (N, 4) and others (M, 4) have in common."""
    low = np.maximum((boxes[:, :2] - boxes[:, 2:] / 2)[:, None], (others[:, :2] - others[:, 2:] / 2)[None])
    high = np.minimum((boxes[:, :2] + boxes[:, 2:] / 2)[:, None], (others[:, :2] + others[:, 2:] / 2)[None])
    return np.asarray(np.clip(high - low, 0, None).prod(2))


def suppress(boxes: np.ndarray, scores: np.ndarray, most: float, inside: float, limit: int) -> np.ndarray:
    """Rows (K,) of the best boxes, best first, at most ``limit``.

    No two overlap by more than ``most``, and of none is more than the part ``inside`` within a better one: the rear
    window of a car is no car behind it.
    """
    order = np.argsort(-scores, kind="stable")
    kept: List[int] = []
    while order.size and len(kept) < limit:
        best, order = int(order[0]), order[1:]
        kept.append(best)
        one, rest = boxes[best : best + 1], boxes[order]
        within = _shared(one, rest)[0] / np.maximum(rest[:, 2] * rest[:, 3], 1e-12)
        order = order[(overlap(one, rest)[0] <= most) & (within <= inside)]
    return np.array(kept, np.int64)
