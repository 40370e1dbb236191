"""What every experiment works on: the test bodies of CarPC-1 with their truth and pictures, and the shipped network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge.bundle import load_bundle
from edge.runtime.backends import open_backend
from edge.runtime.reconstructor import Reconstruction, Reconstructor
from training.benchmark import attributes, metrics, protocol
from training.benchmark.pictures import Pictures, pictures_of
from training.benchmark.protocol import Truth
from training.benchmark.run import test_bodies
from training.benchmark.store import Store, fingerprint
from training.meshes.model import CarMesh

#: Points of a cloud that are scored, as in the benchmark's main table.
POINTS = 8192
#: Of the true surface's 100,000 points so many are asked how far the cloud is, which takes most of a score's time. The
#: distances of the cloud's points are to all 100,000. No figure's expectation changes by it.
ASKED = 20000


class Bench(NamedTuple):
    """Where things are. bundle: name or folder. meshes, glb: see training.meshes. cache: the benchmark's. views: of
    each body, the benchmark's first ones. bodies: names of those to use, none for all test bodies."""

    bundle: str
    meshes: Path
    glb: tuple[Path, ...]
    cache: Path
    views: int = 24
    bodies: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What results depend on besides an experiment's own code: the network and the pictures."""
        manifest = load_bundle(self.bundle).manifest
        return fingerprint(manifest["files"]["reconstructor.onnx"]["sha256"], self.views, self.bodies)


class Figures(NamedTuple):
    """Of one cloud against the truth: distances in hundredths of the car's length, F-scores in percent. direction:
    degrees between the camera's predicted and true direction, NaN if it is not told or not asked."""

    pred_to_gt: float
    gt_to_pred: float
    f1: float
    f2: float
    direction: float = float("nan")


def bodies(bench: Bench) -> list[CarMesh]:
    """The test bodies, canonical. DataError if there is none, or one of the names is none."""
    found = test_bodies(bench.meshes, bench.glb)
    return [mesh for mesh in found if not bench.bodies or mesh.name in bench.bodies]


def truth(mesh: CarMesh, bench: Bench) -> Truth:
    """The true surface of a body."""
    found = protocol.truth_of(mesh, Store(bench.cache))
    found.outside.points = metrics.subsample(found.outside.points, ASKED)
    return found


def pictures(mesh: CarMesh, condition: str, bench: Bench) -> Pictures:
    """Its pictures, (V, 128, 128, 3) uint8 RGB."""
    return pictures_of(mesh, condition, bench.views, Store(bench.cache))


@functools.lru_cache(maxsize=4)
def network(bundle: str) -> Reconstructor:
    """The bundle's network on one thread of ONNX Runtime, without colours."""
    opened = load_bundle(bundle)
    return Reconstructor(opened, open_backend(opened, "ort", threads=1), 0, colour=False)


def reconstruct(rgb: np.ndarray, bench: Bench) -> Reconstruction:
    """What the shipped network makes of a picture (S, S, 3) uint8 RGB, of any size, that is the car's crop."""
    return network(bench.bundle).reconstruct(np.ascontiguousarray(rgb[..., ::-1]))


def figures(cloud: np.ndarray, true: Truth, made: Reconstruction | None = None, view: Any = None) -> Figures:
    """Score a canonical cloud (N, 3); with ``made`` and the benchmark's view also its direction."""
    found = metrics.figures(metrics.subsample(cloud, POINTS), true.outside)
    degrees = float("nan")
    if made is not None and made.pose is not None and view is not None:
        degrees = attributes.pose_record(made.pose, view.direction)["pose.direction_deg"]
    return Figures(found.pred_to_gt, found.gt_to_pred, found.f1, found.f2, degrees)


def mean(values: Sequence[Figures]) -> dict[str, float]:
    """Means of the figures, of the direction the median; rounded to what is worth telling."""
    table = np.array(values, np.float64)
    told = {name: round(float(table[:, column].mean()), 3) for column, name in enumerate(Figures._fields[:4])}
    known = table[~np.isnan(table[:, 4]), 4]
    return told | ({"direction": round(float(np.median(known)), 2)} if len(known) else {})


class Experiment(NamedTuple):
    """One question. name: of its file of results. run: measures, with a progress of its own; its result goes into JSON.
    write: from the results and a folder for pictures to Markdown, whose pictures are linked relative to the page."""

    name: str
    run: Callable[[Bench], dict[str, Any]]
    write: Callable[[dict[str, Any], Path], str]
