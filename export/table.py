"""The precisions of a bundle side by side: CarPC-1, megabytes, milliseconds here, milliseconds on a Jetson Nano."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge.bundle import PRECISIONS, Bundle, load_bundle
from edge.runtime.board import usable_cores
from export.estimate import estimate_model, load_graph

#: Runs of each network before it counts, and those that count.
WARM_UP, ROUNDS = 10, 100
CONDITIONS = ("plain", "clutter", "occluded")
#: Points at which CarPC-1's main table scores.
SIZE = "8192"


class Time(NamedTuple):
    """Milliseconds: the median of all rounds. ratio: to FP32's in the same round, the median."""

    ms: float
    ratio: float


def measure(bundle: Bundle, precisions: list[str], threads: int, rounds: int = ROUNDS) -> dict[str, Time]:
    """Times of the networks alone on the CPU, by precision: in one process, and in turn, so that what else the machine
    does falls on all of them. threads: 0 is one for each core."""
    from edge.runtime.backends import open_backend

    image = np.random.default_rng(0).normal(0, 1, bundle.graph.input_shape).astype(np.float32)
    backends = {p: open_backend(bundle, "ort", threads, graph=bundle.graph_at(p)) for p in precisions}
    taken: dict[str, list[float]] = {p: [] for p in precisions}
    for turn in range(WARM_UP + rounds):
        for precision, backend in backends.items():
            start = time.perf_counter()
            backend.run({bundle.input_name: image})
            if turn >= WARM_UP:
                taken[precision].append((time.perf_counter() - start) * 1e3)
    for backend in backends.values():
        backend.close()
    first = np.array(taken["fp32"])
    return {p: Time(float(np.median(ms)), float(np.median(np.array(ms) / first))) for p, ms in taken.items()}


def table(path: str, rounds: int = ROUNDS) -> str:
    """Markdown: a row for each precision that the bundle ``path`` holds. Raises BundleError."""
    bundle = load_bundle(path)
    held = bundle.manifest["precisions"]
    precisions = [name for name in PRECISIONS if name in held]
    cores = usable_cores()
    one, every = (measure(bundle, precisions, threads, rounds) for threads in (1, 0))
    rows = [
        f"| precision | MB | F@2 plain, clutter, occluded | F@1 plain | pred->GT plain | direction, median | "
        f"CPU ms, 1 thread | CPU ms, {cores} threads | Nano ms, estimated |",
        "| --- " * 9 + "|",
    ]
    for name in precisions:
        megabytes = Path(bundle.graph_at(name).path).stat().st_size / 1e6
        rows.append(
            f"| {name} | {megabytes:.1f} | {_figures(bundle.manifest, name)} | {_time(one[name])} | "
            f"{_time(every[name])} | {nano(bundle, name)} |"
        )
    return "\n".join(rows)


def _time(found: Time) -> str:
    return f"{found.ms:.1f} ({found.ratio:.2f} of FP32's)"


def _figures(manifest: dict[str, Any], name: str) -> str:
    """Four cells of CarPC-1; dashes where nothing is recorded."""
    conditions = manifest["carpc1"].get(name, {}).get("conditions", {})
    f2 = ", ".join(f"{conditions[c][SIZE]['f2']:.1f}" if c in conditions else "-" for c in CONDITIONS)
    plain = conditions.get("plain")
    if plain is None:
        return f"{f2} | - | - | -"
    degrees = f"{plain['pose']['direction_deg']:.1f}" if "pose" in plain else "-"
    return f"{f2} | {plain[SIZE]['f1']:.1f} | {plain[SIZE]['pred_to_gt']:.2f} | {degrees}"


def nano(bundle: Bundle, name: str) -> str:
    """The Jetson Nano's estimate of a precision, or why there is none."""
    if name.startswith("int8"):
        return "refused: no INT8 on Maxwell" if name == "int8" else "not for its GPU"
    found = estimate_model(load_graph(Path(bundle.graph.path)), name)
    return f"{found.ms:.1f} ({found.low:.1f} to {found.high:.1f})" + (", derived" if name == "fp32" else "")
