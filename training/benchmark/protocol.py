"""CarPC-1: which bodies, which views, which ground truth, and how one cloud is scored.

Everything is fixed and seeded: the same bundle on the same meshes gives the same figures on every run.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from edge.pose import Pose
from edge.runtime.outputs import BodyClass, Length
from training.benchmark import attributes, metrics
from training.benchmark.metrics import Target
from training.benchmark.store import Store, code_fingerprint, mesh_fingerprint
from training.meshes import depth, visible
from training.meshes.model import CarMesh
from training.render.camera import stand

NAME = "CarPC-1"
#: 2: the occluded condition, retrieval, EMD on every view.
VERSION = 2
SEED = 20180118
CONDITIONS = ("plain", "clutter", "occluded")
VIEWS = 24
ELEVATIONS = (0.0, 30.0)
FOCALS_MM = (28.0, 85.0)
TRUTH_POINTS = 100_000
#: Size of control clouds: as many points as the product streams at most.
CLOUD_POINTS = 16_384
#: Controls, in the order of the tables; made in training.benchmark.controls.
CONTROL_NAMES = ("mean", "median-maps", "medoid", "cluster", "retrieval", "oracle", "oracle-box", "noise")
#: Body classes that count as three-box saloons.
SALOONS = frozenset({"saloon", "sedan"})

#: Flat record of one scored cloud, e.g. {"8192.f1": 42.0, "all.f1": 40.1, "cd_l2": 3.2}.
Record = dict[str, float]


class Answer(NamedTuple):
    """What is made of one picture; None is what is not told.

    points: (N, 3), canonical frame. timings: milliseconds per stage. confidence: (N,) probability that a point lies
    within edge.runtime.outputs.NEAR of the surface. classes: names of all classes that could have been answered.
    """

    points: np.ndarray
    timings: dict[str, float]
    confidence: np.ndarray | None = None
    pose: Pose | None = None
    length: Length | None = None
    body_class: BodyClass | None = None
    classes: tuple[str, ...] = ()


#: What is scored: a picture (S, S, 3) uint8 RGB to an answer.
Predictor = Callable[[np.ndarray], Answer]


class View(NamedTuple):
    """One view of a body: degrees, degrees, millimetres (35 mm equivalent), and the seed of everything random in it."""

    azimuth: float
    elevation: float
    focal: float
    seed: int

    @property
    def direction(self) -> np.ndarray:
        """Unit vector (3,) from the car's centre to the camera, canonical frame: -R^T t of its camera, made 1 long.

        Neither the aim of the lens nor the cut of the crop moves the camera.
        """
        return np.asarray(stand(self.azimuth, self.elevation))


class Truth(NamedTuple):
    """Ground truth of one body, canonical frame.

    outside: what can be seen from outside; the benchmark. surface: all surfaces; the second table.
    extents: (3,) of the bounding box, longest 1.
    """

    mesh: CarMesh
    outside: Target
    surface: Target
    extents: np.ndarray

    @property
    def saloon(self) -> bool:
        return self.mesh.body_class in SALOONS


def views_of(name: str, count: int = VIEWS) -> list[View]:
    """The views of a body: even azimuths, each moved by up to half a step; drawn from the body's name alone."""
    rng = np.random.default_rng([SEED, zlib.crc32(name.encode())])
    drawn = rng.random((count, 3))
    step = 360.0 / count
    low, high = np.log(FOCALS_MM)
    return [
        View(
            float((index + draw[0] - 0.5) * step % 360.0),
            float(ELEVATIONS[0] + draw[1] * (ELEVATIONS[1] - ELEVATIONS[0])),
            float(np.exp(low + draw[2] * (high - low))),
            int(rng.integers(2**31)),
        )
        for index, draw in enumerate(drawn)
    ]


def outside_points(mesh: CarMesh, store: Store, count: int, seed: int = 0) -> np.ndarray:
    """Outside-visible cloud (count, 3) float32 of a canonical mesh, cached."""
    key = f"{mesh_fingerprint(mesh)}-{code_fingerprint([visible, depth])}-{count}-{seed}"
    return store.get("outside", key, lambda: {"points": visible.outside_cloud(mesh, count, seed=seed)})["points"]


def surface_points(mesh: CarMesh, store: Store, count: int, seed: int = 0) -> np.ndarray:
    """Cloud (count, 3) float32 on all surfaces of a canonical mesh, cached."""
    key = f"{mesh_fingerprint(mesh)}-{code_fingerprint([visible, depth])}-{count}-{seed}"
    return store.get("surface", key, lambda: {"points": visible.surface_cloud(mesh, count, seed=seed)})["points"]


def extents_of(mesh: CarMesh) -> np.ndarray:
    """Length, width and height (3,) of the bounding box."""
    lower, upper = mesh.bounds()
    return np.asarray(upper - lower, dtype=np.float64)


def truth_of(mesh: CarMesh, store: Store, count: int = TRUTH_POINTS) -> Truth:
    """Ground truth of one body; ``mesh`` in any frame."""
    mesh = mesh.canonical()
    outside, surface = outside_points(mesh, store, count), surface_points(mesh, store, count)
    return Truth(mesh, Target(outside), Target(surface), extents_of(mesh))


def score(cloud: np.ndarray, truth: Truth, sizes: Sequence[int] = metrics.SIZES) -> Record:
    """The figures of one cloud (N, 3) in the canonical frame, at these sizes. Only if these are all of them also those
    that have no size (of all surfaces, squared and earth mover's distance), which take most of the time."""
    record: Record = {"points": float(len(cloud))}
    for size in sizes:
        chosen = metrics.subsample(cloud, size) if size else cloud
        record |= _named(str(size) if size else "whole", metrics.figures(chosen, truth.outside))
    if tuple(sizes) != metrics.SIZES:
        return record
    record |= _named("all", metrics.figures(cloud, truth.surface))
    record["cd_l2"] = metrics.chamfer_l2(cloud, truth.outside)
    record["emd"] = metrics.earth_mover(cloud, truth.outside)
    return record


def _named(prefix: str, figures: metrics.Figures) -> Record:
    return {f"{prefix}.{key}": float(value) for key, value in figures._asdict().items() if key != "points"}


def answered(answer: Answer, truth: Truth, view: View, sizes: Sequence[int] = metrics.SIZES) -> Record:
    """All figures of one answer: those of the cloud, and of whatever else it tells (training.benchmark.attributes)."""
    record = score(answer.points, truth, sizes)
    if answer.pose is not None:
        record |= attributes.pose_record(answer.pose, view.direction)
    if answer.length is not None:
        record |= attributes.length_record(answer.length, truth.mesh.length_m)
    if answer.body_class is not None:
        record |= attributes.class_record(answer.body_class, answer.classes, truth.mesh.body_class)
    if answer.confidence is not None:
        distance = metrics.distances(answer.points, truth.outside.tree)
        record |= attributes.confidence_record(answer.confidence, distance)
    return record


def score_views(
    predict: Predictor, truth: Truth, pictures: Sequence[np.ndarray], sizes: Sequence[int] = metrics.SIZES
) -> Iterator[Record]:
    """Predict and score each picture (S, S, 3) of one body, in the order of its views. sizes: see :func:`score`.

    The record also holds "ms.STAGE".
    """
    for picture, view in zip(pictures, views_of(truth.mesh.name, len(pictures)), strict=True):
        answer = predict(picture)
        yield answered(answer, truth, view, sizes) | {f"ms.{stage}": value for stage, value in answer.timings.items()}
