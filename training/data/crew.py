"""Worker processes: each has its own renderer and gets one shape at a time over its own pipe.

No queue is shared, so a worker that is killed at any moment can neither block the others nor leave half a message
that somebody waits for; and the parent knows which shape it was at.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from edge.errors import CarcloudError, DataError
from training.data.plan import ShapePlan
from training.data.shape import Stopwatch, make_shape
from training.data.shards import Entry
from training.meshes.model import CarMesh
from training.render.renderer import Renderer
from training.workers import follow_parent

#: So many dead workers in a row, and it is not the shape's fault.
MOST_DEATHS = 3


class Made(NamedTuple):
    """What came of a shape: its entry, or None and the problem. seconds: by stage."""

    name: str
    entry: Entry | None
    problem: str
    seconds: dict[str, float]


class Task(NamedTuple):
    """What a worker needs from the start. size: of the pictures, pixels. bodies: all meshes by name."""

    root: Path
    size: int
    bodies: Mapping[str, CarMesh]


class _Worker:
    """A process, the parent's end of its pipe, and the shape it is at."""

    def __init__(self, task: Task) -> None:
        # spawn: an OpenGL context does not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.pipe, far = context.Pipe()
        self.plan: ShapePlan | None = None
        self.process = context.Process(target=_work, args=(task, far), daemon=True)
        with _environment("OMP_NUM_THREADS", "1"):
            self.process.start()
        far.close()  # else the pipe would not end with the worker

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def run_crew(task: Task, plans: Sequence[ShapePlan], workers: int) -> Iterator[Made]:
    """Make shapes, in the given order of starting; yields what came of each as it is done.

    A shape whose mesh is unusable, or at which a worker dies, is yielded with its problem and the rest goes on.
    Raises DataError if a worker cannot start or several die in a row.
    """
    waiting = deque(plans)
    crew = [_Worker(task) for _ in range(min(workers, len(waiting)))]
    deaths = 0
    try:
        while crew:
            for pipe in wait([worker.pipe for worker in crew]):
                worker = next(w for w in crew if w.pipe is pipe)
                try:
                    made = worker.pipe.recv()
                except (EOFError, OSError):
                    crew.remove(worker)
                    deaths += 1
                    yield _death(worker, deaths)
                    if len(waiting) > len(crew):
                        crew.append(_Worker(task))
                    continue
                if isinstance(made, str):
                    raise DataError(made)
                worker.plan = waiting.popleft() if waiting else None
                if worker.plan is None:
                    crew.remove(worker)
                    worker.stop()
                else:
                    with suppress(OSError):  # it died since: the end of its pipe is read next, and says so
                        worker.pipe.send(worker.plan)
                if made is not None:
                    deaths = 0
                    yield made
    finally:
        for worker in crew:
            worker.stop()


def _death(worker: _Worker, deaths: int) -> Made:
    """The report of a dead worker; DataError if this has no end."""
    worker.process.join()
    sentence = f"a worker died with exit code {worker.process.exitcode} (see its message above, if any)"
    advice = "finished shards are kept: run the same command again, with --workers 1 if memory is short"
    if worker.plan is None or deaths >= MOST_DEATHS:
        raise DataError(f"{sentence}, {deaths} in a row; {advice}")
    return Made(worker.plan.name, None, f"{sentence}; {advice}", {})


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set a variable for a process that is being started, if the user has not; OpenMP reads it once, on loading."""
    absent = name not in os.environ
    os.environ.setdefault(name, value)
    try:
        yield
    finally:
        if absent:
            del os.environ[name]


def _work(task: Task, pipe: Connection) -> None:
    """One worker: says None when it is ready, then answers every plan; a text says that it cannot start."""
    import cv2

    # Ctrl-C reaches the whole group: the parent alone deals with it. And nobody works for a parent that was killed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    follow_parent()
    cv2.setNumThreads(1)
    try:
        renderer = Renderer(task.size)
    except CarcloudError as error:
        pipe.send(str(error))
        return
    with renderer:
        pipe.send(None)
        while True:
            try:
                plan = pipe.recv()
            except (EOFError, OSError):
                return  # the parent has closed its end: no more work
            pipe.send(_make(task, plan, renderer))


def _make(task: Task, plan: ShapePlan, renderer: Renderer) -> Made:
    watch = Stopwatch()
    try:
        return Made(plan.name, make_shape(task.root, plan, task.bodies, renderer, watch), "", watch.seconds)
    except CarcloudError as error:
        return Made(plan.name, None, str(error), watch.seconds)
