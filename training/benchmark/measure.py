"""Time and memory of a network by itself, in a process of its own."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np

from edge.errors import DataError
from training.benchmark import subjects
from training.benchmark.pictures import SIZE
from training.benchmark.subjects import Subject
from training.progress import track
from training.workers import follow_parent

#: Threads of the timed network: the goal's two cores.
THREADS = 2
WARM_UP, RUNS = 3, 20


def measure(task: tuple[Subject, str, int]) -> dict[str, float]:
    """Open a network in this process, which should be a fresh one: subject, backend, points of a cloud.

    ms_two_threads: median milliseconds of the network alone, batch 1. peak_megabytes: what the process grew by at its
    peak, from before the network was opened (its libraries loaded) to the last cloud; only where Linux tells it.
    """
    subject, backend, max_points = task
    _load_libraries(subject)
    before = _restart_peak()
    predict = subjects.predictor(subject, backend, max_points, THREADS)
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    times = [predict(picture).timings["network"] for _ in range(WARM_UP + RUNS)][WARM_UP:]
    found = {"ms_two_threads": round(float(np.median(times)), 3)}
    peak = _kilobytes("VmHWM")
    if before is not None and peak is not None:
        found["peak_megabytes"] = round((peak - before) * 1024 / 1e6, 1)
    return found


def measure_all(found: Sequence[Subject], backend: str, max_points: int) -> dict[str, dict[str, float]]:
    """:func:`measure` of every network by name, one after another: nothing else of this run takes their cores."""
    networks = [subject for subject in found if subject.kind != "clouds"]
    measured = {}
    for subject in track(networks, "measuring"):
        # Spawned, not forked: a fork would begin with all that this process has loaded.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), follow_parent) as pool:
            try:
                measured[subject.name] = pool.submit(measure, (subject, backend, max_points)).result()
            except BrokenProcessPool as error:
                raise DataError(
                    f"the process that measured {subject.name} died (often: out of memory); what is scored is kept in "
                    "the cache, so run the same command again"
                ) from error
    return measured


def _load_libraries(subject: Subject) -> None:
    """Import what opens and runs the network: a library's own memory is not the network's."""
    if subject.kind != "checkpoint":
        import onnxruntime  # noqa: F401
    if subject.kind != "bundle":
        import training.networks  # noqa: F401  (and with it torch)


def _restart_peak() -> int | None:
    """Resident kilobytes now, counted from which the peak is; None where it cannot be told."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return _kilobytes("VmRSS")


def _kilobytes(field: str) -> int | None:
    status = Path("/proc/self/status")
    match = re.search(rf"^{field}:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.is_file() else None
    return int(match.group(1)) if match else None
