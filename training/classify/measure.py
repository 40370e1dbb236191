"""Accuracy, how sure it is, and the difference that shape makes: on the same photos, so that they may be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

#: Draws of the bootstrap over test photos, and the interval that is told, per cent.
DRAWS, INTERVAL = 2000, 95.0
#: Viewpoint differences, degrees, between which accuracy is told apart.
STEPS = (0.0, 5.0, 15.0, 30.0, 180.0)


def interval(right: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Mean of values (M,), one for each test photo, and the interval of that by bootstrap over photos (Efron 1979).

    right: 1 where an answer is right and 0 where not, a mean of these over several trainings, or the difference of two
    such: paired, because it is taken on the same photos.
    """
    rows = np.random.default_rng(seed).integers(0, len(right), (DRAWS, len(right)))
    low, high = np.percentile(right[rows].mean(1), [(100 - INTERVAL) / 2, (100 + INTERVAL) / 2])
    return {"mean": _rounded(right.mean()), "low": _rounded(low), "high": _rounded(high)}


def confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """(C, C) int: photos of the class of the row that were taken for the class of the column."""
    table = np.zeros((classes, classes), int)
    np.add.at(table, (labels, answers), 1)
    return table


def per_class(table: np.ndarray) -> list[float | None]:
    """Share of right answers for each class of a confusion matrix; None for one without test photos."""
    totals = table.sum(1)
    shares = table.diagonal() / np.maximum(totals, 1)
    return [_rounded(share) if total else None for share, total in zip(shares, totals, strict=True)]


def mean_per_class(table: np.ndarray) -> float:
    """Mean over the classes with test photos, as Stanford Cars is often judged."""
    return _rounded(np.mean([share for share in per_class(table) if share is not None]))


def subset(labels: np.ndarray, rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """``count`` of the rows of each class, or all it has, by chance."""
    picked = [rng.permutation(rows[labels[rows] == label])[:count] for label in np.unique(labels[rows])]
    return np.sort(np.concatenate(picked))


def folded(azimuth: np.ndarray) -> np.ndarray:
    """Degrees from the nose, 0..180, whichever side: of a car both sides look alike."""
    return np.abs((np.asarray(azimuth, np.float64) + 180.0) % 360.0 - 180.0)


def nearest_view(azimuth: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """(M,) degrees from each test photo to the nearest viewpoint among the training photos of its class."""
    angles = folded(azimuth)
    found = np.full(len(test), np.inf)
    for place, row in enumerate(test):
        same = train[labels[train] == labels[row]]
        if len(same):
            found[place] = np.abs(angles[same] - angles[row]).min()
    return found


def by_distance(right: np.ndarray, distance: np.ndarray) -> list[dict[str, Any]]:
    """Accuracy of those of (R, M) answers, R trainings and M photos, whose distance lies between two STEPS; bins
    without answers are left out. Whole photos are drawn for the interval: a photo's answers hang together."""
    rows = []
    draws = np.random.default_rng(0).integers(0, right.shape[1], (DRAWS, right.shape[1]))
    for low, high in zip(STEPS, STEPS[1:], strict=False):
        here = (distance >= low) & (distance < high)
        if here.any():
            good, count = (right * here).sum(0), here.sum(0)
            drawn = good[draws].sum(1) / np.maximum(count[draws].sum(1), 1)
            ends = np.percentile(drawn, [(100 - INTERVAL) / 2, (100 + INTERVAL) / 2])
            found = {"mean": good.sum() / count.sum(), "low": ends[0], "high": ends[1]}
            found = {name: _rounded(value) for name, value in found.items()}
            rows.append({"from": low, "to": high, "answers": int(count.sum()), **found})
    return rows


def sizes_of(labels: np.ndarray, train: np.ndarray, wanted: Sequence[int] = (4, 8, 16, 32)) -> list[int]:
    """Those numbers of training photos a class that are fewer than most classes have."""
    usual = float(np.median(np.bincount(labels[train])[np.unique(labels[train])]))
    return [size for size in wanted if size < usual]


def _rounded(value: Any) -> float:
    return round(float(value), 4)
