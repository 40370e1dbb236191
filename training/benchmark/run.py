"""One benchmark run: bodies, ground truth, pictures, rows, results."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import Bundle, load_bundle
from edge.errors import DataError
from edge.runtime.backends import open_backend
from edge.runtime.reconstructor import Reconstructor
from training.benchmark import controls, metrics, protocol
from training.benchmark.controls import Body
from training.benchmark.progress import track
from training.benchmark.protocol import Predictor, Truth
from training.benchmark.store import Store, code_fingerprint, fingerprint, mesh_fingerprint
from training.benchmark.summary import Row, summarise
from training.meshes.library import TEST, load_cars, split_of
from training.meshes.model import CarMesh

ROWS = ("network", *protocol.CONTROL_NAMES)
#: Side of the rendered pictures in pixels.
PICTURE_SIZE = 128


@dataclass(frozen=True)
class Plan:
    """What to run. rows: out of ROWS. views: a body and condition. max_points: of the streamed cloud."""

    bundles: tuple[str, ...]
    meshes: Path
    glb: tuple[Path, ...]
    cache: Path
    rows: tuple[str, ...] = ROWS
    conditions: tuple[str, ...] = protocol.CONDITIONS
    views: int = protocol.VIEWS
    backend: str = "auto"
    max_points: int = protocol.CLOUD_POINTS


def test_bodies(meshes: Path, glb: Sequence[Path]) -> list[CarMesh]:
    """Test bodies, canonical. DataError if there is none."""
    return load_bodies(meshes, glb)[1]


def load_bodies(meshes: Path, glb: Sequence[Path]) -> tuple[list[CarMesh], list[CarMesh]]:
    """Training and test bodies, canonical. DataError if there is no test body."""
    cars = [car.canonical() for car in load_cars(meshes, glb)]
    train = [car for car in cars if split_of(car.name) == "train"]
    test = [car for car in cars if split_of(car.name) == "test"]
    if not test:
        raise DataError(f"{meshes} holds no test body; run: python -m training meshes fetch --cache {meshes}")
    return train, test


def predictor(bundle: Bundle, backend: str = "auto", max_points: int = protocol.CLOUD_POINTS) -> Predictor:
    """The product's own reconstruction, on one thread. The picture is the crop: no box is given.

    Rendered pictures leave the margin that a finder's box and the bundle's margin would leave; in "clutter" they are
    cropped with the error a finder makes.
    """
    reconstructor = Reconstructor(bundle, open_backend(bundle, backend, threads=1), max_points)

    def predict(rgb: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        made = reconstructor.reconstruct(np.ascontiguousarray(rgb[..., ::-1]))
        return made.cloud.points, made.timings

    return predict


def pictures_of(mesh: CarMesh, condition: str, views: int, store: Store, renderer: Callable[[], Any]) -> np.ndarray:
    """The pictures (views, S, S, 3) uint8 RGB of one body, cached.

    mesh: canonical. renderer: opens the renderer, called only if something has to be drawn.
    """
    from training.render import appearance, camera, effects, geometry, scene, shaders
    from training.render import renderer as drawing
    from training.render import views as viewing

    code = code_fingerprint([appearance, camera, effects, geometry, scene, shaders, drawing, viewing])
    wanted = protocol.views_of(mesh.name, views)
    key = fingerprint(mesh_fingerprint(mesh), code, condition, PICTURE_SIZE, *wanted)

    def make() -> dict[str, np.ndarray]:
        size, own = PICTURE_SIZE, renderer()
        drawn = [
            viewing.render_view(mesh, v.azimuth, v.elevation, v.focal, condition, v.seed, size, own).rgb  # type: ignore[arg-type]
            for v in wanted
        ]
        return {"rgb": np.stack(drawn)}

    return store.get("pictures", key, make)["rgb"]


class Renderers:
    """Opens one renderer when it is first asked for, and closes it."""

    def __init__(self) -> None:
        self._open: Any = None

    def __call__(self) -> Any:
        if self._open is None:
            from training.render.renderer import Renderer

            self._open = Renderer(PICTURE_SIZE)
        return self._open

    def __enter__(self) -> Renderers:
        return self

    def __exit__(self, *_: object) -> None:
        if self._open is not None:
            self._open.close()


def network_rows(bundle: Bundle, plan: Plan, truths: Sequence[Truth], store: Store) -> list[Row]:
    """One row a condition."""
    predict = predictor(bundle, plan.backend, plan.max_points)
    rows = []
    with Renderers() as renderers:
        for condition in plan.conditions:
            row = Row(bundle.name, "network", condition, {}, cost=cost_of(bundle))
            for truth in track(truths, f"{bundle.name}, {condition}"):
                pictures = pictures_of(truth.mesh, condition, plan.views, store, renderers)
                row.records[truth.mesh.name] = list(protocol.score_views(predict, truth, list(pictures)))
            rows.append(row)
    return rows


def cost_of(bundle: Bundle) -> dict[str, float]:
    """Megabytes of the network's file, and operations and parameters where the manifest counts them."""
    network = bundle.manifest.get("network", {})
    cost = {"megabytes": Path(bundle.file("reconstructor.onnx")).stat().st_size / 1e6}
    if "gflop" in network:
        cost["gflop"] = float(network["gflop"])
    if "parameters" in network:
        cost["parameters_m"] = float(network["parameters"]) / 1e6
    return cost


def run(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """The whole benchmark; returns what stands in results.json."""
    # Bundles first: a wrong name should not cost minutes of ground truth.
    bundles = [load_bundle(name) for name in plan.bundles] if "network" in plan.rows else []
    store = Store(plan.cache)
    train, test = load_bodies(plan.meshes, plan.glb)
    missing = sorted(TEST - {mesh.name for mesh in test})
    if missing:
        say(f"test bodies not here, so not scored: {', '.join(missing)}; further meshes can be given with --glb DIR")
    truths = [protocol.truth_of(mesh, store) for mesh in track(test, "ground truth")]
    bodies: list[Body] = []
    if set(plan.rows) - {"network", "noise"}:
        bodies = controls.bodies_of(train, store)
    say(f"{len(truths)} test bodies, {len(train)} training bodies, {plan.views} views")
    rows: list[Row] = []
    for bundle in bundles:
        rows += network_rows(bundle, plan, truths, store)
    for name in track([r for r in protocol.CONTROL_NAMES if r in plan.rows], "controls"):
        rows.append(controls.control_row(name, bodies, truths, store))
    return results(plan, bundles, truths, [mesh.name for mesh in train], missing, rows)


def results(
    plan: Plan,
    bundles: Sequence[Bundle],
    truths: Sequence[Truth],
    train: list[str],
    missing: list[str],
    rows: Sequence[Row],
) -> dict[str, Any]:
    """The rows with all that is needed to read them later."""
    saloons = {t.mesh.name: t.saloon for t in truths}
    return {
        "protocol": {
            "name": protocol.NAME,
            "version": protocol.VERSION,
            "views": plan.views,
            "conditions": list(plan.conditions),
            "elevations_deg": list(protocol.ELEVATIONS),
            "focals_mm": list(protocol.FOCALS_MM),
            "truth_points": protocol.TRUTH_POINTS,
            "cloud_points": plan.max_points,
            "thresholds": list(metrics.THRESHOLDS),
            "emd_every": protocol.EMD_EVERY,
            "distance_cap": metrics.WORST,
            "seed": protocol.SEED,
        },
        "device": f"{processor()}, 1 thread",
        "bundles": [
            {
                "name": b.name,
                "sha256": b.manifest["files"]["reconstructor.onnx"]["sha256"],
                "training": b.manifest.get("training"),
            }
            for b in bundles
        ],
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
        "training_bodies": sorted(train),
        "rows": [summarise(row, saloons) for row in rows],
    }


def processor() -> str:
    """Name of the CPU as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
