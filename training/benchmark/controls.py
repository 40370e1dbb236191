"""Controls: what one scores without a network. A network that does not beat them has learnt nothing.

Made of training bodies only. An *oracle* uses the ground truth of the test body to choose or fit: a bound, no method.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.cluster.vq import kmeans2

from edge.errors import DataError
from edge.geometry import cube_corner_views
from training.benchmark import metrics, protocol, volume
from training.benchmark.metrics import Target
from training.benchmark.protocol import (
    CLOUD_POINTS,
    SEED,
    Truth,
    extents_of,
    outside_points,
    score,
)
from training.benchmark.store import Store, code_fingerprint, fingerprint, mesh_fingerprint
from training.benchmark.summary import Row
from training.meshes import depth, visible
from training.meshes.depth import orthographic_depth
from training.meshes.model import CarMesh
from training.progress import track
from training.workers import Workers

#: Points a candidate is judged on when an oracle or the medoid is chosen.
CHOICE_POINTS = 8192
#: Points of the surface whose distance fills a volume: closer together than its voxels.
VOLUME_POINTS = 65_536
CLUSTERS = 8
#: Side of the fixed-view maps that are averaged: the network's own.
MAP_SIZE = 128


class Body(NamedTuple):
    """A training body: canonical mesh, outside-visible cloud (CLOUD_POINTS, 3), box extents (3,)."""

    mesh: CarMesh
    points: np.ndarray
    extents: np.ndarray

    @property
    def name(self) -> str:
        return self.mesh.name


#: The clouds a control would guess, best guess chosen per test body where there are several.
Guesses = dict[str, np.ndarray]


def body_of(task: tuple[CarMesh, Path]) -> Body:
    """A canonical mesh as a body; second: cache folder."""
    mesh, cache = task
    return Body(mesh, outside_points(mesh, Store(cache), CLOUD_POINTS), extents_of(mesh))


def bodies_of(meshes: Iterable[CarMesh], store: Store, workers: Workers | None = None) -> list[Body]:
    """Training bodies with their clouds. DataError if there are none."""
    tasks = [(mesh.canonical(), store.folder) for mesh in meshes]
    bodies = (workers or Workers()).map(body_of, tasks, "training bodies")
    if not bodies:
        raise DataError(
            "no training bodies, so no controls; fetch the meshes (python -m training meshes --help) "
            "or leave the controls out with --rows network,noise"
        )
    return bodies


def volume_arrays(task: tuple[Body, Path]) -> dict[str, np.ndarray]:
    """Signed-distance volume of one body, "field" float16 and "extents"; cached. Second: cache folder."""
    body, cache = task
    store = Store(cache)

    def make() -> dict[str, np.ndarray]:
        made = volume.volume_of(body.mesh, outside_points(body.mesh, store, VOLUME_POINTS))
        return {"field": made.field.astype(np.float16), "extents": made.extents}

    key = f"{mesh_fingerprint(body.mesh)}-{code_fingerprint([volume])}-{fingerprint(body.points, volume.GRID)}"
    return store.get("volume", key, make)


def volumes_of(bodies: Sequence[Body], store: Store, workers: Workers | None = None) -> list[volume.Volume]:
    """Signed-distance volumes of the bodies, cached."""
    tasks = [(body, store.folder) for body in bodies]
    found = (workers or Workers()).map(volume_arrays, tasks, "mean shapes")
    return [volume.Volume(arrays["field"].astype(np.float32), arrays["extents"]) for arrays in found]


def mean_car(bodies: Sequence[Body], store: Store) -> np.ndarray:
    """Cloud (N, 3) of the mean signed-distance volume in the mean box, at most CLOUD_POINTS points."""
    mean = volume.mean_volume(volumes_of(bodies, store))
    return metrics.subsample(volume.crossings(mean.field, mean.extents), CLOUD_POINTS)


def median_car(bodies: Sequence[Body]) -> np.ndarray:
    """Cloud (N, 3) of the median fixed-view maps: the best constant output of a network of Lin's kind."""
    views = cube_corner_views()
    depths = [orthographic_depth(b.mesh, views.rotations, views.width, views.distance, MAP_SIZE) for b in bodies]
    return volume.median_maps(depths, views, CLOUD_POINTS).points


def closeness(candidate: np.ndarray, target: Target) -> float:
    """How good a guess is when the best one is to be chosen: F@1 on CHOICE_POINTS points."""
    return metrics.figures(metrics.subsample(candidate, CHOICE_POINTS), target).f1


def kin(a: Body, b: Body) -> bool:
    """Whether two bodies share an ancestor (or are one)."""
    return a.mesh.ancestry == b.mesh.ancestry


def closeness_column(task: tuple[np.ndarray, list[np.ndarray | None]]) -> list[float]:
    """Closeness of several candidate clouds to one ground-truth cloud; NaN where a candidate is None."""
    points, candidates = task
    target = Target(points)
    return [np.nan if candidate is None else closeness(candidate, target) for candidate in candidates]


def closeness_table(bodies: Sequence[Body], store: Store, workers: Workers) -> np.ndarray:
    """(B, B) F@1 of training body a (row) as a guess for training body b (column), NaN among kin; cached."""
    key = fingerprint(code_fingerprint([metrics]), *(item for b in bodies for item in (b.points, b.mesh.ancestry)))

    def make() -> dict[str, np.ndarray]:
        tasks = [(b.points, [None if kin(a, b) else a.points for a in bodies]) for b in bodies]
        return {"f1": np.array(workers.map(closeness_column, tasks, "training bodies compared")).T}

    return store.get("closeness", key, make)["f1"]


def medoid(bodies: Sequence[Body], store: Store) -> Body:
    """The training body that is the best guess for all other training bodies, by mean F@1 (no test body is asked)."""
    table = closeness_table(bodies, store, Workers())
    means = [float(np.nanmean(row)) if np.isfinite(row).any() else 0.0 for row in table]
    return bodies[int(np.argmax(means))]


def cluster_cars(bodies: Sequence[Body], store: Store, count: int = CLUSTERS) -> Guesses:
    """Mean car of each of ``count`` k-means clusters of the volumes and their boxes."""
    volumes = volumes_of(bodies, store)
    fields = np.stack([v.field.reshape(-1) for v in volumes])
    boxes = np.stack([v.extents for v in volumes])
    fields, boxes = fields - fields.mean(0), boxes - boxes.mean(0)
    # Shape and proportions weigh the same; the rows of U * s hold the same mutual distances as the fields themselves.
    u, s, _ = np.linalg.svd(fields @ fields.T)
    features = u * np.sqrt(s)
    features = np.concatenate([features / np.linalg.norm(features), boxes / max(np.linalg.norm(boxes), 1e-9)], axis=1)
    count = min(count, len(bodies))
    tries = [kmeans2(features, count, minit="++", rng=SEED + i) for i in range(20)]
    _, labels = min(tries, key=lambda t: float(((features - t[0][t[1]]) ** 2).sum()))
    guesses: Guesses = {}
    for label in sorted(set(labels.tolist())):
        members = [i for i, own in enumerate(labels.tolist()) if own == label]
        mean = volume.mean_volume([volumes[i] for i in members])
        name = "mean of " + ", ".join(bodies[i].name for i in members)
        guesses[name] = metrics.subsample(volume.crossings(mean.field, mean.extents), CLOUD_POINTS)
    return guesses


def constant_row(name: str, cloud: np.ndarray, truths: Sequence[Truth], note: str = "") -> Row:
    """The same cloud guessed for every test body."""
    records = {t.mesh.name: [score(cloud, t)] for t in truths}
    return Row(name, "control", "any", records, {t.mesh.name: note for t in truths} if note else {})


def oracle_row(name: str, guesses: Callable[[Truth], Guesses], truths: Sequence[Truth]) -> Row:
    """For each test body the guess closest to its ground truth."""
    row = Row(name, "oracle", "any", {})
    for truth in track(truths, name):
        offered = guesses(truth)
        best = max(offered, key=lambda key: closeness(offered[key], truth.outside))
        row.records[truth.mesh.name] = [score(offered[best], truth)]
        row.notes[truth.mesh.name] = best
    return row


def boxed(bodies: Sequence[Body], truth: Truth) -> Guesses:
    """Training bodies stretched onto the length, width and height of a test body."""
    return {b.name: (b.points * (truth.extents / b.extents)).astype(np.float32) for b in bodies}


def medoid_row(bodies: Sequence[Body], truths: Sequence[Truth], store: Store) -> Row:
    """The medoid guessed for every test body."""
    body = medoid(bodies, store)
    return constant_row("medoid", body.points, truths, body.name)


def cluster_row(bodies: Sequence[Body], truths: Sequence[Truth], store: Store) -> Row:
    """For each test body the closest cluster mean."""
    guesses = cluster_cars(bodies, store)
    return oracle_row("cluster", lambda truth: guesses, truths)


def noise_row(truths: Sequence[Truth], store: Store) -> Row:
    """Ground truth sampled a second time: what a perfect cloud of each size would score."""
    records = {t.mesh.name: [score(outside_points(t.mesh, store, CLOUD_POINTS, seed=1), t)] for t in truths}
    return Row("noise", "floor", "any", records)


#: Every control that does not look at the picture, by name: bodies are the training bodies.
MAKERS: dict[str, Callable[[Sequence[Body], Sequence[Truth], Store], Row]] = {
    "mean": lambda bodies, truths, store: constant_row("mean", mean_car(bodies, store), truths),
    "median-maps": lambda bodies, truths, store: constant_row("median-maps", median_car(bodies), truths),
    "medoid": lambda bodies, truths, store: medoid_row(bodies, truths, store),
    "cluster": lambda bodies, truths, store: cluster_row(bodies, truths, store),
    "oracle": lambda bodies, truths, store: oracle_row("oracle", lambda t: {b.name: b.points for b in bodies}, truths),
    "oracle-box": lambda bodies, truths, store: oracle_row("oracle-box", lambda t: boxed(bodies, t), truths),
    "noise": lambda bodies, truths, store: noise_row(truths, store),
}


def control_row(name: str, bodies: Sequence[Body], truths: Sequence[Truth], store: Store) -> Row:
    """One control, cached: it changes only with the meshes and with the code that scores them."""
    key = fingerprint(
        name,
        code_fingerprint([metrics, protocol, volume, depth, visible, sys.modules[__name__]]),
        *(mesh_fingerprint(b.mesh) for b in bodies if name != "noise"),
        *(fingerprint(t.outside.points, t.surface.points) for t in truths),
    )

    def make() -> dict[str, np.ndarray]:
        row = MAKERS[name](bodies, truths, store)
        return {"row": np.array(json.dumps(dataclasses.asdict(row)))}

    return Row(**json.loads(str(store.get("control", key, make)["row"])))


def control_task(task: tuple[str, list[CarMesh], list[CarMesh], int, Path]) -> Row:
    """One control for another process: name, canonical training and test meshes, points of the truth, cache folder."""
    name, train, test, points, cache = task
    store = Store(cache)
    bodies = [] if name == "noise" else bodies_of(train, store)
    return control_row(name, bodies, [protocol.truth_of(mesh, store, points) for mesh in test], store)
