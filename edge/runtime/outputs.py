"""What a network's outputs mean: a cloud, a length, a body class."""

from typing import Dict, NamedTuple, Optional

import numpy as np

from edge.bundle import Bundle
from edge.errors import BackendError
from edge.geometry import Cloud, even_stride, fuse
from edge.pose import Pose, decode_pose
from edge.voxels import surface_points

#: A point's confidence is the probability that it lies within so much of the true surface, canonical units.
NEAR = 0.02


class Length(NamedTuple):
    """The car's length. relative_error: expected, as a part of it."""

    metres: float
    relative_error: float


class BodyClass(NamedTuple):
    """The most probable body class. probability: 0..1."""

    name: str
    probability: float


def check_finite(outputs: Dict[str, np.ndarray]) -> None:
    """Raises BackendError if any output holds NaN or infinity: later nobody could tell where it is from."""
    for name, value in outputs.items():
        good = np.isfinite(value)
        if not good.all():
            raise BackendError(
                "the network gave %d of %d numbers in its output %s that are not finite; it cannot compute on this "
                "machine, or its file is damaged. Type: carcloud doctor" % (good.size - good.sum(), good.size, name)
            )


def make_cloud(bundle: Bundle, outputs: Dict[str, np.ndarray], max_points: int = 0) -> Cloud:
    """The cloud from the best output there is: points, vertices, maps or occupancy, in this order.

    outputs: by name, batch of 1. max_points: if positive, at most so many points, at an even stride.
    Confidence is what :data:`NEAR` says where the network tells ``error``, the mask's probability for maps, and
    otherwise unknown. The cloud shares no memory with ``outputs``.
    """
    if "points" in outputs:
        points = outputs["points"][0]
        keep = even_stride(len(points), max_points)
        confidence = confidence_of(outputs["error"][0][keep]) if "error" in outputs else None
        return Cloud(points[keep].astype(np.float32), confidence)
    if "vertices" in outputs:
        vertices = outputs["vertices"][0]
        return Cloud(vertices[even_stride(len(vertices), max_points)].astype(np.float32))
    if bundle.views is not None:
        return fuse(outputs["maps"][0], bundle.views, bundle.threshold, max_points)
    assert bundle.grid is not None  # load_bundle sees to it that there is one with occupancy
    return surface_points(outputs["occupancy"][0], bundle.grid[0], bundle.grid[1], max_points)


def confidence_of(error: np.ndarray) -> np.ndarray:
    """Expected distances to the true surface (N,), canonical units, to confidences (N,) float32 in 0..1.

    The distance is taken to be exponentially distributed: P(distance < NEAR) = 1 - exp(-NEAR / expected).
    """
    return (-np.expm1(-NEAR / np.maximum(np.asarray(error, np.float32), 1e-6))).astype(np.float32)


def pose_of(outputs: Dict[str, np.ndarray]) -> Optional[Pose]:
    """Where the camera stood, or None if the network does not say."""
    if "azimuth" not in outputs or "camera" not in outputs:
        return None
    return decode_pose(outputs["azimuth"][0], outputs["camera"][0])


def length_of(outputs: Dict[str, np.ndarray]) -> Optional[Length]:
    """The predicted length, or None if the network does not say."""
    if "length" not in outputs:
        return None
    # Cut so that a network gone astray gives a silly number instead of an overflow.
    metres, error = np.exp(np.clip(outputs["length"][0].astype(np.float64), -10, 10))
    return Length(float(metres), float(error))


def class_of(bundle: Bundle, outputs: Dict[str, np.ndarray]) -> Optional[BodyClass]:
    """The most probable body class, or None if the network does not say."""
    if "classes" not in outputs:
        return None
    logits = outputs["classes"][0].astype(np.float64)
    chance = np.exp(logits - logits.max())
    best = int(chance.argmax())
    return BodyClass(bundle.classes[best], float(chance[best] / chance.sum()))
