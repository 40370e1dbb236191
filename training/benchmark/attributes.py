"""What a network tells besides the shape, and how good it is: camera, length, body class, confidence of each point.

A figure that is not finite gets the worst value there is, as a bad cloud does: never a crash, never a gap in a mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import spearmanr

from edge.pose import Pose
from edge.runtime.outputs import NEAR, BodyClass, Length

#: Degrees of azimuth beyond which the car's front was taken for its rear. Confusing them turns the car by 180 degrees,
#: seen from the side as from before; the sign of one component would overlook it in side views.
FLIPPED = 120.0
#: A length is at most so wrong, percent of the true one.
WORST_LENGTH = 100.0
#: Groups of equally many points, the least confident first.
DECILES = 10
#: Bins of the predicted probability, even between 0 and 1.
BINS = 10
#: Share of Laplace-distributed errors that are smaller than their expected size, percent: 1 - 1/e.
LAPLACE = 100.0 * (1.0 - np.exp(-1.0))
#: Names of bodies' classes for which a network has another word.
ALIASES = {"saloon": "sedan", "wagon": "estate"}

Record = dict[str, float]


def angle_between(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees, 0..180, between two directions (3,); 180 if either has none."""
    cross, dot = float(np.linalg.norm(np.cross(a, b))), float(np.dot(a, b))
    # The arc cosine of nearly equal directions would lose half the digits.
    return float(np.degrees(np.arctan2(cross, dot))) if np.isfinite(cross + dot) and (cross or dot) else 180.0


def pose_record(pose: Pose, direction: np.ndarray) -> Record:
    """How far the predicted viewing direction is from the true one.

    direction: (3,) from the car's centre to the camera, canonical frame. direction_deg: angle between both (the median
    error of viewpoint estimation: Tulsiani and Malik, "Viewpoints and Keypoints", CVPR 2015). azimuth_deg: of the
    azimuths alone. flipped: 100 if that exceeds :data:`FLIPPED`, else 0.
    """
    off = abs(pose.azimuth - float(np.degrees(np.arctan2(direction[1], direction[0]))))
    off = abs((off + 180.0) % 360.0 - 180.0) if np.isfinite(off) else 180.0
    return {
        "pose.direction_deg": angle_between(pose.direction, direction),
        "pose.azimuth_deg": off,
        "pose.flipped": 100.0 * (off > FLIPPED),
    }


def length_record(length: Length, true_m: float) -> Record:
    """error: percent of the true length. covered: 100 if that is less than the error the network expected, else 0."""
    error = 100.0 * abs(length.metres - true_m) / true_m
    error = min(error, WORST_LENGTH) if np.isfinite(error) else WORST_LENGTH
    return {"length.error": error, "length.covered": 100.0 * (error <= 100.0 * length.relative_error)}


def class_record(found: BodyClass, known: Sequence[str], true: str) -> Record:
    """right: 100 or 0; nothing for a body of a class that the network does not know."""
    true = ALIASES.get(true, true)
    return {"class.right": 100.0 * (found.name == true)} if true in known else {}


def confidence_record(confidence: np.ndarray, distance: np.ndarray) -> Record:
    """How well the confidence of points tells how near the surface they are.

    confidence: (N,) probability that a point lies within NEAR of it. distance: (N,) how far it does, canonical units.
    rank: Spearman's correlation of expected and true distance, 0 where either is constant (the expected distance falls
    as the confidence grows, so ranks need nothing else). decile_1..10: mean distance x 100, the least confident tenth
    first. promised, kept: mean confidence, and share of points within NEAR, percent. Per bin of the confidence that
    holds any point: bin_K.share of points, bin_K.promised and bin_K.kept times that share, percent (so that means over
    views are those of all points).
    """
    if not len(confidence):
        return {}
    sure = np.nan_to_num(np.clip(np.asarray(confidence, np.float64), 0.0, 1.0), nan=0.0)
    near = distance <= NEAR
    varied = np.ptp(sure) > 0 and np.ptp(distance) > 0
    record = {
        "confidence.rank": float(spearmanr(-sure, distance).statistic) if varied else 0.0,
        "confidence.promised": 100.0 * float(sure.mean()),
        "confidence.kept": 100.0 * float(near.mean()),
    }
    # Of equal confidences neither comes first by chance: each point gets the mean distance of those like it.
    _, group = np.unique(sure, return_inverse=True)
    typical = np.bincount(group, distance) / np.bincount(group)
    ordered = typical[np.sort(group)]
    for place, tenth in enumerate(np.array_split(ordered, DECILES), 1):
        if len(tenth):
            record[f"confidence.decile_{place}"] = 100.0 * float(tenth.mean())
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    for index in range(BINS):
        here = bins == index
        record[f"confidence.bin_{index}.share"] = 100.0 * float(here.mean())
        record[f"confidence.bin_{index}.promised"] = 100.0 * float((sure * here).mean())
        record[f"confidence.bin_{index}.kept"] = 100.0 * float((near & here).mean())
    return record
