"""Clouds of a clip against the car that it shows, by the benchmark's own measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import DataError
from training.benchmark import metrics, protocol
from training.benchmark.run import truth_task
from training.benchmark.store import Store
from training.meshes.library import load_cars
from training.wild.journal import Kept

#: Points of a cloud that are scored: as many, evenly chosen, as the benchmark's tables score.
SCORED = 8192
NAMES = ("pred_to_gt", "gt_to_pred", "f1", "f2", "f5")


def target_of(name: str, meshes: Path, glb: Sequence[Path], cache: Path) -> metrics.Target:
    """The outside of one car, as the benchmark samples it. Raises DataError if there is no such car."""
    cars = {car.name: car for car in load_cars(meshes, glb)}
    if name not in cars:
        raise DataError(f"there is no car {name!r} for --truth; choose one of: {', '.join(sorted(cars))}")
    return truth_task((cars[name].canonical(), protocol.TRUTH_POINTS, Store(cache).folder)).outside


def score(points: np.ndarray, target: metrics.Target) -> list[float]:
    """Accuracy and completeness (percent of the longest edge), F@1, F@2 and F@5 (percent) of a cloud (N, 3)."""
    some = points[np.linspace(0, len(points) - 1, min(SCORED, len(points))).astype(int)] if len(points) else points
    return [float(value) for value in metrics.figures(some, target)[: len(NAMES)]]


def truth_figures(kept: Sequence[Kept], last: np.ndarray, target: metrics.Target, averaged: bool) -> dict[str, Any]:
    """Mean score of the kept frames' single clouds and, where clouds are averaged, of the last mean and the ratio of
    the F@1 scores."""
    singles = [score(one.single.points, target) for one in kept if one.single is not None]
    mean = np.mean(singles, axis=0)
    found: dict[str, Any] = {"scored_frames": len(singles), "single": _named(mean)}
    if averaged:
        best = score(last, target)
        found["averaged"] = _named(best)
        found["f1_ratio"] = round(best[2] / max(float(mean[2]), 1e-9), 3)
    return found


def _named(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 2) for name, value in zip(NAMES, values)}
