"""One benchmark run: bodies, ground truth, pictures, rows, results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edge.bundle import DEFAULT, SHIPPED
from edge.errors import DataError
from training.benchmark import controls, goals, measure, protocol, retrieval, scoring, subjects
from training.benchmark.pictures import pictures_of
from training.benchmark.plan import Plan
from training.benchmark.protocol import Truth
from training.benchmark.record import Clock, results_of, timings_of
from training.benchmark.scoring import Task
from training.benchmark.store import Store
from training.benchmark.subjects import Subject
from training.benchmark.summary import Row
from training.meshes.library import TEST, load_cars, split_of
from training.meshes.model import CarMesh
from training.workers import Workers


class Outcome(NamedTuple):
    """results: what stands in results.json, the same on every run. timings: what is not.

    tasks: by (row name, condition, body), how to predict a cloud again, for the report's pictures. tests: canonical.
    """

    results: dict[str, Any]
    timings: dict[str, Any]
    tasks: dict[tuple[str, str, str], Task]
    tests: list[CarMesh]


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


def truth_task(task: tuple[CarMesh, int, Path]) -> Truth:
    """Ground truth of one mesh; number of points, cache folder."""
    mesh, points, cache = task
    return protocol.truth_of(mesh, Store(cache), points)


def picture_task(task: tuple[CarMesh, str, int, Path]) -> tuple[str, list[float]]:
    """Draw the pictures of one body: their hash and how much of the car each hides. Mesh, condition, views, cache."""
    made = pictures_of(*task[:3], Store(task[3]))
    return made.fingerprint, [round(float(h), 4) for h in made.hidden]


def networks_of(plan: Plan) -> list[Subject]:
    """Every network to score, opened once to see that it can be: what was asked for, or every shipped bundle.

    Lin 2018, trained on the same data, is among them in any case: the comparison is with it.
    """
    if "network" not in plan.rows:
        return []
    found = [subjects.bundle_subject(name, precision) for name in plan.bundles for precision in plan.precisions]
    found += [subjects.onnx_subject(path) for path in plan.onnx]
    found += [subjects.checkpoint_subject(name, path) for name, path in plan.networks]
    names = [goals.REFERENCE] if found or plan.clouds else shipped_bundles()
    shipped = [subjects.bundle_subject(str(Path(SHIPPED) / name)) for name in names]
    return [*found, *(s for s in shipped if all(s.sha256 != other.sha256 for other in found))]


def shipped_bundles() -> list[str]:
    """Names of the bundles that ship with the package: the default one first, Lin 2018 last."""
    names = sorted(path.parent.name for path in Path(SHIPPED).glob("*/manifest.json"))
    return sorted(names, key=lambda name: (name != DEFAULT, name == goals.REFERENCE))


def score_subjects(
    plan: Plan, found: Sequence[Subject], test: Sequence[CarMesh], workers: Workers
) -> tuple[list[Row], dict[tuple[str, str, str], Task]]:
    """One row a subject and condition; all of it spread over the workers at once."""
    tasks = {
        (s.name, condition, mesh.name): Task(
            s, mesh, condition, plan.views, plan.cache, plan.backend, plan.max_points, plan.truth_points,
            plan.sizes,
        )
        for s in found
        for condition in plan.conditions
        for mesh in test
    }
    done = dict(zip(tasks, workers.map(scoring.score_body, list(tasks.values()), "scoring"), strict=True))
    rows = []
    for subject in found:
        kind = "clouds" if subject.kind == "clouds" else "network"
        for condition in plan.conditions:
            records = {mesh.name: done[subject.name, condition, mesh.name] for mesh in test}
            rows.append(Row(subject.name, kind, condition, records, cost=subject.cost))
    return rows, tasks


def control_rows(
    plan: Plan, train: Sequence[CarMesh], test: list[CarMesh], store: Store, workers: Workers
) -> tuple[list[Row], retrieval.Choice | None]:
    """The controls asked for, in the order of the tables."""
    wanted = [name for name in protocol.CONTROL_NAMES if name in plan.rows]
    bodies = controls.bodies_of(train, store, workers) if set(wanted) - {"noise"} else []
    # What several controls need is made first, by all workers; afterwards each control finds it in the cache.
    if {"medoid", "retrieval"} & set(wanted):
        controls.closeness_table(bodies, store, workers)
    if {"mean", "cluster"} & set(wanted):
        controls.volumes_of(bodies, store, workers)
    meshes = [body.mesh for body in bodies]
    plain = [name for name in wanted if name != "retrieval"]
    tasks = [(name, meshes, test, plan.truth_points, store.folder) for name in plain]
    rows = {name: [row] for name, row in zip(plain, workers.map(controls.control_task, tasks, "controls"), strict=True)}
    choice = None
    if "retrieval" in wanted:
        rows["retrieval"], choice = retrieval.retrieval_rows(
            bodies, test, plan.conditions, plan.views, plan.truth_points, store, workers
        )
    return [row for name in wanted for row in rows[name]], choice


def run(plan: Plan, say: Callable[[str], None]) -> Outcome:
    """The whole benchmark."""
    clock = Clock()
    # Networks first: a wrong name should not cost minutes of ground truth.
    found = networks_of(plan)
    store = Store(plan.cache)
    train, test = load_bodies(plan.meshes, plan.glb)
    names = [mesh.name for mesh in test]
    found += [subjects.clouds_subject(f, names, plan.conditions, plan.views, plan.worst, say) for f in plan.clouds]
    found = subjects.told_apart(found, say)
    missing = sorted(TEST - set(names))
    if missing:
        say(f"test bodies not here, so not scored: {', '.join(missing)}; further meshes can be given with --glb DIR")
    say(f"{len(test)} test bodies, {len(train)} training bodies, {plan.views} views")
    with Workers(plan.workers) as workers:
        clock.lap("loading")
        truths = workers.map(truth_task, [(m, plan.truth_points, store.folder) for m in test], "ground truth")
        clock.lap("ground truth")
        pairs = [(mesh, condition) for mesh in test for condition in plan.conditions]
        drawn = workers.map(picture_task, [(*pair, plan.views, store.folder) for pair in pairs], "pictures")
        pictures = {(m.name, condition): made for (m, condition), made in zip(pairs, drawn, strict=True)}
        clock.lap("pictures")
        rows, tasks = score_subjects(plan, found, test, workers)
        clock.lap("scoring")
        more, choice = control_rows(plan, train, test, store, workers)
        clock.lap("controls")
    # Alone on the machine, after the workers have gone.
    measured = measure.measure_all(found, plan.backend, plan.max_points)
    clock.lap("measuring")
    rows += more
    results = results_of(plan, found, truths, train, missing, rows, pictures, choice)
    return Outcome(results, timings_of(rows, measured, plan, clock), tasks, test)
