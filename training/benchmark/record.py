"""What a run writes down: results.json, the same on every run, and timings.json, which is not."""

from __future__ import annotations

import datetime
import time
from collections.abc import Sequence
from typing import Any

import training.benchmark
import training.meshes
import training.render
import training.shapes
from training.benchmark import metrics, protocol, retrieval, scoring
from training.benchmark.plan import Plan
from training.benchmark.protocol import Truth
from training.benchmark.store import code_fingerprint, mesh_fingerprint
from training.benchmark.subjects import Subject
from training.benchmark.summary import Row, summarise, times_of
from training.meshes.model import CarMesh


class Clock:
    """Seconds of each part of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = time.perf_counter()

    def lap(self, name: str) -> None:
        """What has passed since the last lap belongs to ``name``."""
        now = time.perf_counter()
        self.seconds[name] = round(now - self._start, 1)
        self._start = now


def timings_of(
    rows: Sequence[Row], measured: dict[str, dict[str, float]], plan: Plan, clock: Clock
) -> dict[str, Any]:
    """timings.json: milliseconds a picture and stage of the networks, each by itself, and seconds of the run."""
    return {
        "device": f"{scoring.processor()}, 1 thread",
        "finished": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "workers": plan.workers,
        "seconds": clock.seconds,
        "networks": measured,
        "rows": [
            {"name": row.name, "condition": row.condition, "ms": times_of(row)} for row in rows if times_of(row)
        ],
    }


def results_of(
    plan: Plan,
    found: Sequence[Subject],
    truths: Sequence[Truth],
    train: Sequence[CarMesh],
    missing: list[str],
    rows: Sequence[Row],
    pictures: dict[tuple[str, str], tuple[str, list[float]]],
    choice: retrieval.Choice | None,
) -> dict[str, Any]:
    """The rows with all that is needed to read them later, and nothing that differs between two runs."""
    classes = {t.mesh.name: t.mesh.body_class for t in truths}
    return {
        "protocol": {
            "name": protocol.NAME,
            "version": protocol.VERSION,
            "views": plan.views,
            "conditions": list(plan.conditions),
            "elevations_deg": list(protocol.ELEVATIONS),
            "focals_mm": list(protocol.FOCALS_MM),
            "truth_points": plan.truth_points,
            "cloud_points": plan.max_points,
            "thresholds": list(metrics.THRESHOLDS),
            "distance_cap": metrics.WORST,
            "seed": protocol.SEED,
        },
        "bundles": [
            {"name": s.name, "precision": s.precision, "sha256": s.sha256, "training": s.training}
            for s in found
            if s.kind == "bundle"
        ],
        "subjects": [
            {"name": s.name, "kind": s.kind, "sha256": s.sha256, "missing": list(s.missing)} for s in found
        ],
        "retrieval": None if choice is None else {
            "neighbours": choice.neighbours,
            "leave_one_body_out_f1": {str(count): round(f1, 4) for count, f1 in choice.f1.items()},
            "gallery_views": retrieval.GALLERY_VIEWS,
            "gallery_conditions": list(retrieval.GALLERY_CONDITIONS),
            "weights_sha256": retrieval.weights_sha256(),
        },
        "bodies": [
            {
                "name": t.mesh.name,
                "body_class": t.mesh.body_class,
                "source": t.mesh.source,
                "saloon": t.saloon,
                "extents": [round(float(e), 4) for e in t.extents],
            }
            for t in truths
        ],
        "missing_bodies": missing,
        "training_bodies": sorted(mesh.name for mesh in train),
        "views": {t.mesh.name: views_of(t.mesh.name, plan, pictures) for t in truths},
        "hashes": hashes_of(truths, train, pictures),
        "rows": [summarise(row, classes, protocol.SALOONS) for row in rows],
    }


def views_of(
    name: str, plan: Plan, pictures: dict[tuple[str, str], tuple[str, list[float]]]
) -> list[dict[str, Any]]:
    """Where each view was taken from, and how much of the car it hides under each condition."""
    return [
        {
            "azimuth": round(view.azimuth, 2),
            "elevation": round(view.elevation, 2),
            "focal_mm": round(view.focal, 1),
            "hidden": {condition: pictures[name, condition][1][index] for condition in plan.conditions},
        }
        for index, view in enumerate(protocol.views_of(name, plan.views))
    ]


def hashes_of(
    truths: Sequence[Truth], train: Sequence[CarMesh], pictures: dict[tuple[str, str], tuple[str, list[float]]]
) -> dict[str, Any]:
    """What two runs must share for their figures to be the same: meshes, pictures, code, libraries."""
    packages = (training.benchmark, training.meshes, training.render, training.shapes)
    code = {package.__name__.rpartition(".")[2]: code_fingerprint([package]) for package in packages}
    code |= {"networks": scoring.network_code(), "edge": code_fingerprint(scoring.DEVICE_CODE)}
    return {
        "test_meshes": {t.mesh.name: mesh_fingerprint(t.mesh) for t in truths},
        "training_meshes": {mesh.name: mesh_fingerprint(mesh) for mesh in sorted(train, key=lambda m: m.name)},
        "pictures": {f"{body}/{condition}": made[0] for (body, condition), made in pictures.items()},
        "code": code,
        "libraries": scoring.versions(),
    }
