"""The comparison: every arm on the split, with fewer training photos, and from the other end of the car."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge.errors import DataError, SettingsError
from training.classify import measure
from training.classify.arms import ARMS, PAIRS, parts_of
from training.classify.features import Features
from training.classify.head import Fitted, fit_and_tell
from training.classify.photos import Examples
from training.progress import track

Results = dict[str, Any]
#: Draws of fewer training photos, whose accuracies are averaged; and the number a class by which viewpoints are judged.
REPEATS, FEW = 3, 4
#: Arms that the further tests are made with.
FURTHER = (
    "plain", "plain + shape", "plain + surface", "plain + grid", "encoder", "encoder + shape", "encoder + surface",
    "shape",
)  # fmt: skip


class Task:
    """Readable photos, their features, and who is on which side.

    arms: names out of ARMS. azimuth: the truth where it is known for all photos, else what the network says.
    DataError if nothing is left to learn from or to test on.
    """

    def __init__(self, examples: Examples, features: Features, arms: Sequence[str]) -> None:
        self.features, self.arms = features, list(arms)
        self.labels, self.classes = examples.labels, examples.classes
        read = features["read"]
        self.train = np.flatnonzero(read & ~examples.test)
        self.test = np.flatnonzero(read & examples.test)
        if len(np.unique(self.labels[self.train])) < 2 or not len(self.test):
            raise DataError("too few of the photos can be read to learn and to test; unpack the data set again")
        self.known_views = bool(np.isfinite(examples.azimuth).all())
        self.azimuth = examples.azimuth if self.known_views else features["azimuth"].astype(np.float64)
        self.parts = {arm: parts_of(arm, features, self.train) for arm in self.arms}

    def fit(self, arm: str, train: np.ndarray, test: np.ndarray) -> Fitted:
        return fit_and_tell(self.parts[arm], self.labels, train, test, len(self.classes))

    def right(self, arm: str, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """(M,) 1.0 where the answer is right."""
        return (self.fit(arm, train, test).chances.argmax(1) == self.labels[test]).astype(np.float64)


def compare(task: Task) -> Results:
    """All arms on the split: accuracies, confusion matrices, answers; and the differences that shape makes."""
    rows, right = {}, {}
    for arm in track(task.arms, "arms"):
        found = task.fit(arm, task.train, task.test)
        answers = found.chances.argmax(1)
        right[arm] = (answers == task.labels[task.test]).astype(np.float64)
        table = measure.confusion(task.labels[task.test], answers, len(task.classes))
        rows[arm] = {
            "accuracy": measure.interval(right[arm]), "mean_per_class": measure.mean_per_class(table),
            "per_class": measure.per_class(table), "penalty": found.penalty, "weight": found.weight,
            "confusion": table.tolist(), "answers": answers.tolist(),
        }  # fmt: skip
    return {"arms": rows, "differences": differences(right)}


def differences(right: dict[str, np.ndarray]) -> list[Results]:
    """What one arm has over another on the same photos, for the PAIRS that are there."""
    return [
        {"with": one, "without": other, **measure.interval(right[one] - right[other])}
        for one, other in PAIRS
        if one in right and other in right
    ]


def curve(task: Task, seed: int = 0) -> list[Results]:
    """Accuracy against the number of training photos a class, over REPEATS draws; and by viewpoint with FEW."""
    further = [arm for arm in FURTHER if arm in task.arms]
    rows = []
    for size in track(measure.sizes_of(task.labels, task.train), "fewer photos"):
        rng = np.random.default_rng([seed, size])
        draws = [measure.subset(task.labels, task.train, size, rng) for _ in range(REPEATS)]
        right = {arm: np.stack([task.right(arm, rows, task.test) for rows in draws]) for arm in further}
        row: Results = {
            "photos": size, "arms": {arm: measure.interval(values.mean(0)) for arm, values in right.items()},
            "differences": differences({arm: values.mean(0) for arm, values in right.items()}),
        }  # fmt: skip
        if size == FEW:
            far = np.stack([measure.nearest_view(task.azimuth, task.labels, rows, task.test) for rows in draws])
            row["by_view"] = {arm: measure.by_distance(values, far) for arm, values in right.items()}
        rows.append(row)
    return rows


def ends(task: Task) -> Results:
    """Learnt from one end of the car only, front or rear, and tested on the same end and on the other; both ways,
    so that every test photo counts once on each side. Empty if a class has no training photo of one end."""
    front = measure.folded(task.azimuth) < 90.0
    halves = [task.train[front[task.train]], task.train[~front[task.train]]]
    wanted = set(task.labels[task.train].tolist())
    if any(set(task.labels[rows].tolist()) != wanted for rows in halves):
        return {}
    right: dict[str, dict[str, np.ndarray]] = {"same": {}, "other": {}}
    for arm in track([arm for arm in FURTHER if arm in task.arms], "ends"):
        told = np.stack([task.right(arm, rows, task.test) for rows in halves])
        at_front = front[task.test]
        right["same"][arm] = np.where(at_front, told[0], told[1])
        right["other"][arm] = np.where(at_front, told[1], told[0])
    return {
        side: {
            "arms": {arm: measure.interval(values) for arm, values in found.items()}, "differences": differences(found)
        }
        for side, found in right.items()
    }  # fmt: skip


def run(task: Task, further: bool = True, seed: int = 0) -> Results:
    """Everything; without ``further`` only the comparison on the split."""
    found = compare(task)
    if further:
        found |= {"curve": curve(task, seed), "ends": ends(task)}
    return {
        "classes": task.classes, "train": len(task.train), "test": len(task.test),
        "views": "true" if task.known_views else "predicted", **found,
    }  # fmt: skip


def known_arms(wanted: str) -> list[str]:
    """Arms of a list with commas; "all" for all. SettingsError for another name."""
    if wanted == "all":
        return list(ARMS)
    names = [" + ".join(word.strip() for word in name.split("+")) for name in wanted.split(",") if name.strip()]
    unknown = [name for name in names if name not in ARMS]
    if unknown or not names:
        raise SettingsError(
            f"--features {wanted!r}: {unknown[0] if unknown else 'nothing'!r} is none of {', '.join(ARMS)}; or give all"
        )
    return names
