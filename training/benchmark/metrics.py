"""The figures of CarPC-1: how far a predicted cloud is from a ground-truth cloud.

Every cloud is in the canonical frame (longest edge of the car = 1) and is scored as it is: no ICP, no rescale, no
centring. All nearest-neighbour figures use all points and are deterministic; only CD-L2 and EMD, whose size is part of
their definition, use a fixed seeded subsample.

Bad clouds get a bad score, never a crash: any distance is capped at :data:`WORST`, a point that is not finite lies
:data:`WORST` away from everything, and an empty cloud scores as if every distance were :data:`WORST`. So no cloud can
score worse than an empty one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

#: Any distance is capped here: one car length, in canonical units.
WORST = 1.0
#: F-score thresholds, as a part of the longest edge; unsquared.
THRESHOLDS = (0.01, 0.02, 0.05)
CD_POINTS = 2048
EMD_POINTS = 1024
#: Sizes at which every cloud is scored; 0 is the whole cloud.
SIZES = (0, 8192, 2048)
SEED = 1


class Figures(NamedTuple):
    """Nearest-neighbour figures of one cloud against one ground truth.

    pred_to_gt, gt_to_pred: mean unsquared distance x 100, i.e. percent of the longest edge.
    f1, f2, f5: F-scores in percent at 1, 2 and 5 % of the longest edge.
    points: how many points were scored.
    """

    pred_to_gt: float
    gt_to_pred: float
    f1: float
    f2: float
    f5: float
    points: int


class Target:
    """Ground truth with its search tree, built once and asked often.

    points: (N, 3) float, canonical frame, finite, N >= 1.
    """

    def __init__(self, points: np.ndarray) -> None:
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
            raise ValueError(f"ground truth must be finite points (N >= 1, 3), got shape {points.shape}")
        self.tree = cKDTree(points)
        # Neighbouring queries visit the same leaves: asking in the tree's own order is about three times faster.
        self.points = points[self.tree.indices]
        self.cd_points = subsample(points, CD_POINTS, SEED + 1)
        self.emd_points = subsample(points, EMD_POINTS, SEED + 1)


def distances(points: np.ndarray, tree: cKDTree) -> np.ndarray:
    """Distance of each point (N, 3) to the nearest one in ``tree``: (N,) float64, capped at :data:`WORST`."""
    out = np.full(len(points), WORST)
    finite = np.isfinite(points).all(axis=1)
    if finite.any():
        out[finite] = np.minimum(tree.query(points[finite], workers=1)[0], WORST)
    return out


def directed(cloud: np.ndarray, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """Distances of every cloud point to the ground truth and of every ground-truth point to the cloud."""
    cloud = np.asarray(cloud, dtype=np.float64).reshape(-1, 3)
    finite = cloud[np.isfinite(cloud).all(axis=1)]
    if not len(finite):
        return np.full(max(len(cloud), 1), WORST), np.full(len(target.points), WORST)
    tree = cKDTree(finite)
    accuracy = np.full(len(cloud), WORST)
    accuracy[: len(finite)] = distances(finite[tree.indices], target.tree)
    return accuracy, distances(target.points, tree)


def f_score(accuracy: np.ndarray, completeness: np.ndarray, threshold: float) -> float:
    """Harmonic mean, in percent, of the parts of both clouds that lie within ``threshold`` (unsquared) of the other."""
    precision, recall = float((accuracy <= threshold).mean()), float((completeness <= threshold).mean())
    return 0.0 if precision + recall == 0 else 200.0 * precision * recall / (precision + recall)


def figures(cloud: np.ndarray, target: Target) -> Figures:
    """Score all points of ``cloud`` (N, 3; N may be 0) against ``target``."""
    accuracy, completeness = directed(cloud, target)
    f1, f2, f5 = (f_score(accuracy, completeness, t) for t in THRESHOLDS)
    return Figures(100.0 * float(accuracy.mean()), 100.0 * float(completeness.mean()), f1, f2, f5, len(cloud))


def subsample(points: np.ndarray, count: int, seed: int = SEED) -> np.ndarray:
    """``count`` points without repetition, fixed by ``seed`` and the set of points alone, whatever their order.

    A cloud of at most ``count`` points comes back whole. Row order of the result carries no meaning.
    """
    points = np.asarray(points).reshape(-1, 3)
    ordered = points[np.lexsort(points.T)]
    if len(points) <= count:
        return ordered
    return ordered[np.random.default_rng(seed).permutation(len(points))[:count]]


def chamfer_l2(cloud: np.ndarray, target: Target) -> float:
    """CD-L2: sum over both directions of the mean squared distance, x 1000, on 2,048 points of each cloud."""
    accuracy, completeness = directed(subsample(cloud, CD_POINTS), Target(target.cd_points))
    return 1000.0 * float((accuracy**2).mean() + (completeness**2).mean())


def earth_mover(cloud: np.ndarray, target: Target) -> float:
    """EMD: mean distance of the best one-to-one assignment of 1,024 points each, x 100 (percent of the longest edge).

    Exact (Jonker and Volgenant, as scipy solves it). A cloud with fewer points repeats them in a fixed order; the
    cost of a pair is capped at :data:`WORST`.
    """
    chosen = subsample(cloud, EMD_POINTS)
    if not len(chosen):
        return 100.0 * WORST
    chosen = np.resize(chosen.astype(np.float64), (EMD_POINTS, 3))
    lost = ~np.isfinite(chosen).all(axis=1)
    chosen[lost] = 0.0
    wanted = np.resize(target.emd_points, (EMD_POINTS, 3))
    # Not by the binomial formula and a matrix product: it is quicker, but leaves 1e-8 where the distance is 0.
    cost = np.minimum(cdist(chosen, wanted), WORST)
    cost[lost] = WORST
    return 100.0 * float(cost[linear_sum_assignment(cost)].mean())
