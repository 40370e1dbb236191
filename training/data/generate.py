"""Making a data set: what is there already, what is missing, and an index that never lists anything unfinished."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from edge.errors import DataError
from training.data.crew import Task, run_crew
from training.data.plan import ShapePlan, ShardSettings, planned
from training.data.shape import STAGES
from training.data.shards import INDEX, Entry, finished, read_index, write_index
from training.meshes.model import CarMesh

#: Seconds between two writings of the index; what was finished since is found again by its own meta.
INDEX_EVERY = 5.0
#: Triangles a parametric body has, about: only to order the work.
USUAL_TRIANGLES = 10_000


class Outcome(NamedTuple):
    """entries: of the index, by name. left_out: shapes that could not be made, and why. made: shapes made just now.

    seconds: of a worker's time that these took, by stage.
    """

    entries: list[Entry]
    left_out: dict[str, str]
    made: int
    seconds: dict[str, float]


def generate(root: Path, meshes: Iterable[CarMesh], settings: ShardSettings, workers: int = 2) -> Outcome:
    """Make every shard that is not finished yet.

    Shards and index depend on meshes and settings alone: not on the number of workers, nor on how often the run was
    interrupted, however roughly. A shape that cannot be made is left out and named. Raises DataError if no EGL is
    available, workers die one after another, the folder holds shards of another version or is in use.
    """
    if workers < 1:
        raise DataError(f"--workers is {workers}; give at least 1")
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {root} ({error}); give --out a folder you may write to") from error
    with _alone(root):
        known = {e["name"]: e for e in read_index(root)["shards"]} if (root / INDEX).is_file() else {}
        for rest in root.glob("*.part"):
            rest.unlink()
        cars = list(meshes)
        plans, bodies = planned(cars, settings), {car.name: car for car in cars}
        entries, missing = _survey(root, plans, known)
        left_out: dict[str, str] = {}
        seconds = dict.fromkeys(STAGES, 0.0)
        write_index(root, settings, entries, left_out)
        written, before = time.monotonic(), len(entries)
        with tqdm(total=len(plans), initial=before, unit="shape", desc="shards", mininterval=1.0) as bar:
            for made in run_crew(Task(root, settings.size, bodies), _big_first(missing, bodies), workers):
                if made.entry is None:
                    left_out[made.name] = made.problem
                    bar.write(f"{made.name} is left out: {made.problem}")
                else:
                    entries.append(made.entry)
                    for stage, spent in made.seconds.items():
                        seconds[stage] += spent
                if time.monotonic() - written > INDEX_EVERY:
                    write_index(root, settings, entries, left_out)
                    written = time.monotonic()
                bar.update()
        write_index(root, settings, entries, left_out)
    return Outcome(sorted(entries, key=lambda e: str(e["name"])), left_out, len(entries) - before, seconds)


def _survey(root: Path, plans: list[ShapePlan], known: dict[str, Entry]) -> tuple[list[Entry], list[ShapePlan]]:
    """Entries of the finished shapes, and the plans of the others."""
    entries, missing = [], []
    for plan in tqdm(plans, desc="looking what is there", unit="shape", mininterval=1.0, delay=2.0):
        entry = finished(root, plan, known.get(plan.name))
        if entry is None:
            missing.append(plan)
        else:
            entries.append(entry)
    return entries, missing


def _big_first(plans: list[ShapePlan], bodies: dict[str, CarMesh]) -> list[ShapePlan]:
    """The costly shapes first, so that no worker is left alone with one at the end."""
    triangles = {name: sum(len(part.faces) for part in body.parts) for name, body in bodies.items()}

    def cost(plan: ShapePlan) -> tuple[int, str]:
        return -triangles.get(plan.body, USUAL_TRIANGLES) * (2 if plan.kind == "original" else 1), plan.name

    return sorted(plans, key=cost)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the folder: a lock that ends with the process, leaves no file and so survives no kill."""
    folder = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(f"another run is writing to {root}; wait for it, or give another --out") from error
        yield
    finally:
        os.close(folder)
