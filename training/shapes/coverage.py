"""How near the nearest training shape comes to each test body: with meshes alone, with variants, with parametric ones.

Every figure here is an oracle's: the test body itself picks its nearest shape. It bounds what copying a training shape
could score, and shows what each way of widening adds. Test bodies are measured against, never used to make a shape or
to choose a setting.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

import training.shapes
from training.benchmark import metrics
from training.benchmark.metrics import Target
from training.benchmark.protocol import TRUTH_POINTS, extents_of, outside_points
from training.benchmark.store import Store, code_fingerprint, fingerprint, mesh_fingerprint
from training.meshes import checks, depth, floating, visible
from training.meshes.model import CarMesh
from training.progress import track
from training.shapes import augment, lattice, swap, warps, wheels
from training.shapes.parametric import parametric_car
from training.workers import Workers

#: Points of a shape that are scored, and directions its visibility is tested along.
POINTS, DIRECTIONS = 8192, 64
#: Points of shape and test body from which F@1 is estimated first, and how many of the best are then scored in full.
ESTIMATE_POINTS, SCORED = 1024, 8
#: Threshold of the estimate: the F@1 of CarPC-1.
THRESHOLD = metrics.THRESHOLDS[0]
#: Code a variant depends on; parametric bodies are told apart by their geometry.
CODE = [augment, lattice, swap, warps, wheels, checks, depth, floating, visible]
#: Widening kinds that are measured alone, and what each draws.
ABLATION: Mapping[str, Mapping[str, float]] = {
    "stretch": {"stretch": 1.0},
    "warps": {"warps": 1.0},
    "lattice": {"lattice": 1.0},
    "morph": {"morph": 1.0},
    "swap": {"swap": 1.0},
    "wheels, wings": {"wheels": 1.0, "wings": 1.0},
}


class Shape(NamedTuple):
    """A training shape's cloud: name, kind ("mesh", "parametric", "variant", or "variant: KIND" of the ablation),
    points (POINTS, 3) float32 and extents (3,), canonical."""

    name: str
    kind: str
    points: np.ndarray
    extents: np.ndarray


class Body(NamedTuple):
    """A test body: name, ground truth with its tree, ESTIMATE_POINTS of it, extents (3,), canonical."""

    name: str
    target: Target
    some: np.ndarray
    extents: np.ndarray


class Order(NamedTuple):
    """A shape to be made: number of the ``source`` mesh (or -1), class and seed of a parametric body, chances (a
    dict as JSON text) of a variant."""

    name: str
    kind: str
    source: int
    body_class: str
    seed: int
    chances: str


class Nearest(NamedTuple):
    """The nearest shape to a test body and its figures, percent."""

    shape: str
    kind: str
    f1: float
    f2: float


def orders(
    meshes: Sequence[CarMesh], variants: int, parametric: int, ablation: int, classes: Sequence[str], seed: int
) -> list[Order]:
    """Everything to be made: the meshes, ``variants`` of each, ``parametric`` of each class, and ``ablation`` of each
    mesh for every widening kind alone."""
    found = [Order(m.name, "mesh", i, "", 0, "") for i, m in enumerate(meshes)]
    families = [("variant", dict(augment.CHANCES), variants)]
    families += [(f"variant: {kind}", dict(chances), ablation) for kind, chances in ABLATION.items()]
    for kind, chances, count in families:
        label = kind.partition(": ")[2] or "all"
        for index, mesh in enumerate(meshes):
            for k in range(count):
                found.append(Order(f"{mesh.name} ({label} {k})", kind, index, "", seed + k, json.dumps(chances)))
    for body_class in classes:
        for k in range(parametric):
            found.append(Order(f"param-{body_class}-{seed + k:04d}", "parametric", -1, body_class, seed + k, ""))
    return found


class Maker:
    """Makes shapes from orders; holds the meshes, their fingerprints and the cache. Fit to live in a worker process."""

    def __init__(self, meshes: Sequence[CarMesh], store: Store) -> None:
        self.meshes, self.store = list(meshes), store
        self.prints = [mesh_fingerprint(m) for m in self.meshes]
        self.code = code_fingerprint(CODE)
        self.parametric_code = _parametric_code()
        self.donors = fingerprint(*self.prints)

    def shape(self, order: Order) -> Shape:
        """The shape of an order, made now or read from the cache."""
        arrays = self.store.get("shape", self.key(order), lambda: self._make(order))
        return Shape(order.name, order.kind, arrays["points"], arrays["extents"])

    def key(self, order: Order) -> str:
        """Hash of all an order's cloud depends on."""
        if order.kind == "mesh":
            return fingerprint(self.prints[order.source], self.code, POINTS, DIRECTIONS)
        if order.kind == "parametric":
            return fingerprint(order, self.parametric_code, POINTS, DIRECTIONS)
        return fingerprint(self.prints[order.source], self.donors, order.seed, order.chances, self.code, POINTS)

    def _make(self, order: Order) -> dict[str, np.ndarray]:
        mesh = self._mesh(order).canonical()
        points = visible.outside_cloud(mesh, POINTS, directions=DIRECTIONS)
        return {"points": points, "extents": extents_of(mesh)}

    def _mesh(self, order: Order) -> CarMesh:
        if order.kind == "parametric":
            return parametric_car(order.body_class, order.seed)
        mesh = self.meshes[order.source]
        if order.kind == "mesh":
            return mesh
        rng = np.random.default_rng([order.seed, int(self.prints[order.source][:8], 16)])
        return augment.vary(mesh, self.meshes, rng, json.loads(order.chances))[0]


def _parametric_code() -> str:
    """Hash of every module of this package: a parametric body is drawn by many of them."""
    names = [m.name for m in pkgutil.iter_modules(training.shapes.__path__)]
    kept = [n for n in names if n not in ("cli", "coverage", "report")]
    return code_fingerprint([importlib.import_module(f"training.shapes.{n}") for n in kept])


#: The maker of this process: meshes are sent to a worker once, not with every order.
_MAKER: list[Maker] = []


def _start(meshes: Sequence[CarMesh], store: Store) -> None:
    _MAKER[:] = [Maker(meshes, store)]


def _work(order: Order) -> Shape:
    return _MAKER[0].shape(order)


def shapes_of(meshes: Sequence[CarMesh], wanted: Sequence[Order], store: Store, workers: int = 1) -> list[Shape]:
    """The shapes of all orders, in their order; made in ``workers`` processes, cached one by one."""
    with Workers(workers, partial(_start, list(meshes), store)) as crew:
        return crew.map(_work, wanted, "shapes")


def bodies_of(tests: Sequence[CarMesh], store: Store, points: int = TRUTH_POINTS) -> list[Body]:
    """Test bodies with the benchmark's ground truth."""
    found = []
    for mesh in track([t.canonical() for t in tests], "test bodies"):
        cloud = outside_points(mesh, store, points)
        some = metrics.subsample(cloud, ESTIMATE_POINTS)
        found.append(Body(mesh.name, Target(cloud), some, extents_of(mesh)))
    return found


def fitted(shape: Shape, body: Body, boxed: bool) -> np.ndarray:
    """The shape's cloud as it is scored: as it is, or stretched onto the length, width and height of the test body."""
    return shape.points * (body.extents / shape.extents) if boxed else shape.points


def estimate(shape: Shape, body: Body, boxed: bool) -> float:
    """F@1 in percent from ESTIMATE_POINTS of each against all points of the other; within about 2."""
    cloud = fitted(shape, body, boxed)
    accuracy = metrics.distances(cloud[:ESTIMATE_POINTS], body.target.tree)
    return metrics.f_score(accuracy, metrics.distances(body.some, cKDTree(cloud)), THRESHOLD)


class Table:
    """F-scores of shapes against test bodies, each computed once and cached."""

    def __init__(self, shapes: Sequence[Shape], bodies: Sequence[Body], store: Store) -> None:
        self.shapes, self.bodies, self.store = list(shapes), list(bodies), store
        code = code_fingerprint([metrics])
        self.body_keys = [fingerprint(b.name, b.target.points, code, ESTIMATE_POINTS) for b in bodies]
        self.keys = [fingerprint(s.points, s.extents) for s in shapes]
        everything = fingerprint(*self.body_keys)
        rough = [
            store.get("estimate", f"{key}-{everything}", lambda shape=shape: {"f1": self._estimates(shape)})["f1"]  # type: ignore[misc]
            for key, shape in track(list(zip(self.keys, shapes, strict=True)), "estimates")
        ]
        #: (shapes, bodies, 2): estimated F@1 as it is and in the body's box.
        self.rough = np.stack(rough)

    def _estimates(self, shape: Shape) -> np.ndarray:
        return np.array([[estimate(shape, body, boxed) for boxed in (False, True)] for body in self.bodies])

    def exact(self, row: int, column: int, boxed: bool) -> tuple[float, float]:
        """F@1 and F@2 of a shape against a test body: POINTS points, CarPC-1's metric."""

        def make() -> dict[str, np.ndarray]:
            cloud = fitted(self.shapes[row], self.bodies[column], boxed)
            scored = metrics.figures(cloud, self.bodies[column].target)
            return {"f": np.array([scored.f1, scored.f2])}

        found = self.store.get("exact", f"{self.keys[row]}-{self.body_keys[column]}-{int(boxed)}", make)["f"]
        return float(found[0]), float(found[1])

    def nearest(self, rows: Sequence[int], column: int, boxed: bool, scored: int = SCORED) -> Nearest:
        """The best of some shapes for a test body by F@1: the ``scored`` best by estimate are scored in full."""
        picked = np.asarray(rows)[np.argsort(-self.rough[rows, column, int(boxed)], kind="stable")[:scored]]
        full = [(self.exact(int(row), column, boxed), int(row)) for row in picked]
        (f1, f2), row = max(full, key=lambda item: (item[0], -item[1]))
        return Nearest(self.shapes[row].name, self.shapes[row].kind, f1, f2)

    def rows(self, *kinds: str) -> list[int]:
        """Shapes of some kinds."""
        return [i for i, s in enumerate(self.shapes) if s.kind in kinds]


#: Name of a set of shapes to the kinds in it.
SETS: Mapping[str, tuple[str, ...]] = {
    "meshes": ("mesh",),
    "meshes + variants": ("mesh", "variant"),
    "meshes + parametric": ("mesh", "parametric"),
    "all": ("mesh", "variant", "parametric"),
}


def coverage(table: Table, curve_orders: int = 3) -> dict:
    """Everything that is reported, fit for JSON: per set and test body the nearest shape, the ablation, the curve."""
    sets = {name: table.rows(*kinds) for name, kinds in SETS.items()}
    alone = {name: table.rows("mesh", f"variant: {name}") for name in ABLATION if table.rows(f"variant: {name}")}
    jobs = [("sets", *item) for item in sets.items()] + [("ablation", *item) for item in alone.items()]
    result: dict = {"bodies": [b.name for b in table.bodies], "sets": {}, "ablation": {}}
    for group, name, rows in track(jobs, "nearest shapes"):
        entry = {
            kind: {b.name: table.nearest(rows, c, boxed)._asdict() for c, b in enumerate(table.bodies)}
            for kind, boxed in (("as it is", False), ("box fitted", True))
        }
        result[group][name] = {"shapes": len(rows), **entry}
    result["curve"] = {name: curve(table, rows, curve_orders) for name, rows in sets.items() if len(rows) > 1}
    return result


def curve(table: Table, rows: Sequence[int], repeats: int) -> list[dict[str, float]]:
    """Mean F@1 over the test bodies of the nearest of 8, 16 ... shapes drawn at random; mean of ``repeats`` draws."""
    sizes = [int(2**k) for k in range(3, 20) if 2**k < len(rows)] + [len(rows)]
    points = []
    for size in track(sizes, f"curve of {len(rows)}"):
        means = {"as it is": 0.0, "box fitted": 0.0}
        draws = repeats if size < len(rows) else 1
        for draw in range(draws):
            some = np.random.default_rng([draw, len(rows)]).permutation(rows)[:size]
            for kind, boxed in (("as it is", False), ("box fitted", True)):
                best = [table.nearest(some.tolist(), c, boxed, scored=3).f1 for c in range(len(table.bodies))]
                means[kind] += float(np.mean(best)) / draws
        points.append({"shapes": size, **means})
    return points


def floors(tests: Sequence[CarMesh], bodies: Sequence[Body], store: Store) -> dict[str, dict[str, float]]:
    """What the test body itself, sampled a second time on POINTS points, would score."""
    found = {}
    for mesh, body in zip(tests, bodies, strict=True):
        scored = metrics.figures(outside_points(mesh.canonical(), store, POINTS, seed=1), body.target)
        found[body.name] = {"f1": scored.f1, "f2": scored.f2}
    return found
