"""A trained silhouette network on what it never saw: the benchmark's pictures of the test bodies, and judged photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from training.benchmark import protocol
from training.benchmark.pictures import SIZE, draw
from training.benchmark.store import Store, code_fingerprint, fingerprint, mesh_fingerprint
from training.meshes.model import CarMesh
from training.progress import track
from training.silhouette.photos import Photo
from training.silhouette.score import Predictor, mean, score, score_photos

#: Conditions of the benchmark in which the car is not alone.
CONDITIONS = ("clutter", "occluded")


class Judged(NamedTuple):
    """IoU of each picture. name: a body, or of a photo its file. where: the condition, or "photos"."""

    where: str
    name: str
    iou: float


def silhouettes_of(mesh: CarMesh, condition: str, views: int, store: Store) -> dict[str, np.ndarray]:
    """The benchmark's pictures of a canonical mesh, ``rgb`` (V, S, S, 3) and ``mask`` (V, S, S) uint8, cached."""
    import training.render as rendering
    import training.shapes as shapes

    wanted = protocol.views_of(mesh.name, views)
    key = fingerprint(mesh_fingerprint(mesh), code_fingerprint([rendering, shapes]), condition, SIZE, *wanted)

    def make() -> dict[str, np.ndarray]:
        drawn = [draw(mesh, view, condition) for view in wanted]
        return {name: np.stack([getattr(picture, name) for picture in drawn]) for name in ("rgb", "mask")}

    return store.get("silhouettes", key, make)


def judge(
    predict: Predictor, bodies: Sequence[CarMesh], views: int, store: Store, photos: Sequence[Photo]
) -> list[Judged]:
    """Score every picture and every photo."""
    judged = []
    for mesh in track(bodies, "bodies"):
        for condition in CONDITIONS:
            pictures = silhouettes_of(mesh, condition, views, store)
            scores = score(predict, pictures["rgb"], pictures["mask"])
            judged += [Judged(condition, mesh.name, value) for value in scores]
    scores = score_photos(predict, photos, SIZE)
    return judged + [Judged("photos", photo.name, value) for photo, value in zip(photos, scores, strict=True)]


def table(judged: Sequence[Judged]) -> list[str]:
    """Lines: mean and tenth percentile of each condition, then of its bodies, or its worst photos."""
    lines = []
    for where in dict.fromkeys(row.where for row in judged):
        rows = [row for row in judged if row.where == where]
        values = np.array([row.iou for row in rows])
        low = np.quantile(values, 0.1)
        lines.append(f"{where}: IoU {values.mean():.4f}, a tenth below {low:.3f}, {len(rows)} pictures")
        if where == "photos":
            parts = [f"{row.name} {row.iou:.3f}" for row in sorted(rows, key=lambda row: row.iou)[:5]]
        else:
            names = dict.fromkeys(row.name for row in rows)
            parts = [f"{name} {mean(row.iou for row in rows if row.name == name):.3f}" for name in names]
        lines.append("  " + ", ".join(parts))
    return lines


def summary(judged: Sequence[Judged]) -> dict[str, float]:
    """Mean IoU by condition, for a file."""
    places = dict.fromkeys(row.where for row in judged)
    return {where: round(mean(row.iou for row in judged if row.where == where), 4) for where in places}


def load_predictor(path: Path) -> Predictor:
    """A run's averaged network. Raises DataError."""
    from training import checkpoint
    from training.silhouette.network import rebuilt
    from training.silhouette.score import predictor

    network = rebuilt(checkpoint.load(path), path)
    return predictor(network.to(torch.device("cpu")))
