"""Trained runs on the test bodies, by the benchmark's own code (training/benchmark)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.benchmark import protocol
from training.benchmark import run as benchmark
from training.benchmark.plan import Plan
from training.benchmark.store import Store
from training.benchmark.subjects import checkpoint_subject
from training.benchmark.summary import summarise
from training.benchmark.tables import MAIN
from training.meshes.library import TEST
from training.workers import Workers

CONDITIONS = ("plain", "clutter")


@dataclass(frozen=True)
class Bodies:
    """Where test bodies are, where the benchmark keeps what it has made, and how it is run."""

    meshes: Path
    glb: tuple[Path, ...]
    cache: Path
    views: int = protocol.VIEWS
    workers: int = 1
    truth_points: int = protocol.TRUTH_POINTS


def scored(
    checkpoints: Mapping[str, tuple[str, Path]], bodies: Bodies, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """By run and condition, what stands in the benchmark's results.json: "mean", "median", "worst_decile"; the figures
    of clouds at the size of the main table only, which takes a third of the time of all.

    checkpoints: by run, its network and its checkpoint. What was scored before is read from the cache.
    Raises DataError without test bodies, or for a checkpoint that does not fit its network.
    """
    subjects = {run: checkpoint_subject(network, path) for run, (network, path) in checkpoints.items()}
    test = benchmark.test_bodies(bodies.meshes, bodies.glb)
    missing = sorted(TEST - {mesh.name for mesh in test})
    if missing:
        say(f"test bodies not here, so not scored: {', '.join(missing)}; further meshes can be given with --glb DIR")
    plan = Plan(
        (), bodies.meshes, bodies.glb, bodies.cache, rows=("network",), conditions=CONDITIONS, views=bodies.views,
        truth_points=bodies.truth_points, workers=bodies.workers, sizes=(int(MAIN),),
    )  # fmt: skip
    folder = Store(bodies.cache).folder
    with Workers(bodies.workers) as workers:
        # Made first and once each: otherwise two processes might draw the same pictures.
        workers.map(benchmark.truth_task, [(mesh, plan.truth_points, folder) for mesh in test], "ground truth")
        pictures = [(mesh, condition, plan.views, folder) for mesh in test for condition in CONDITIONS]
        workers.map(benchmark.picture_task, pictures, "pictures")
        rows, _ = benchmark.score_subjects(plan, list(subjects.values()), test, workers)
    classes = {mesh.name: mesh.body_class for mesh in test}
    summaries = {(row.name, row.condition): summarise(row, classes, protocol.SALOONS) for row in rows}
    wanted = ("mean", "median", "worst_decile")
    return {
        run: {c: {part: summaries[subject.name, c][part] for part in wanted} for c in CONDITIONS}
        for run, subject in subjects.items()
    }
