"""Scoring of one subject on one body under one condition: the unit of work that is spread over processes."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import edge
import edge.runtime
import edge.runtime.backends
import training.networks
from training.benchmark import attributes, clouds, metrics, plain, protocol, subjects
from training.benchmark.pictures import pictures_of
from training.benchmark.protocol import Answer, Predictor, Record
from training.benchmark.store import Store, code_fingerprint, files_fingerprint, fingerprint, with_imports
from training.benchmark.subjects import Subject
from training.meshes.model import CarMesh

#: What decides a network's figures besides our own code; their versions stand in results.json.
LIBRARIES = ("numpy", "scipy", "onnxruntime", "torch", "opencv-python-headless", "open3d-cpu", "moderngl")
#: Our own code that makes a cloud of a network's outputs.
DEVICE_CODE = (edge, edge.runtime, edge.runtime.backends)


@dataclass(frozen=True)
class Task:
    """One subject, one canonical test body, one condition. sizes: of the clouds, see ``protocol.score``."""

    subject: Subject
    mesh: CarMesh
    condition: str
    views: int
    cache: Path
    backend: str = "auto"
    max_points: int = protocol.CLOUD_POINTS
    truth_points: int = protocol.TRUTH_POINTS
    sizes: tuple[int, ...] = metrics.SIZES


def score_body(task: Task) -> list[Record]:
    """The records of all views, with "ms.STAGE" for networks; cached, so that a run that is cut off goes on."""
    store = Store(task.cache)
    truth = protocol.truth_of(task.mesh, store, task.truth_points)
    pictures = pictures_of(task.mesh, task.condition, task.views, store)
    code = [metrics, protocol, attributes, clouds, plain, subjects, *DEVICE_CODE]
    subject = task.subject
    key = fingerprint(
        (subject.kind, subject.sha256, subject.network, task.mesh.name, task.condition, task.backend, task.max_points),
        task.sizes,
        (code_fingerprint(code), network_code(), sorted(versions().items()), processor()),
        fingerprint(truth.outside.points, truth.surface.points),
        pictures.fingerprint,
    )

    def make() -> dict[str, np.ndarray]:
        records = list(protocol.score_views(opened(task), truth, list(pictures.rgb), task.sizes))
        return {"records": np.array(json.dumps(records))}

    return list(json.loads(str(store.get("scored", key, make)["records"])))


def opened(task: Task) -> Predictor:
    """The subject as a predictor. Clouds are given in the order of the views, whatever the picture."""
    if task.subject.kind != "clouds":
        return subjects.predictor(task.subject, task.backend, task.max_points)
    views = iter(range(task.views))

    def read(rgb: np.ndarray) -> Answer:
        return Answer(subjects.cloud_of(task.subject, task.mesh.name, task.condition, next(views)), {})

    return read


def predicted(task: Task, view: int) -> np.ndarray:
    """The cloud of one view again, for the report's pictures."""
    if task.subject.kind == "clouds":
        return subjects.cloud_of(task.subject, task.mesh.name, task.condition, view)
    rgb = pictures_of(task.mesh, task.condition, task.views, Store(task.cache)).rgb[view]
    return opened(task)(rgb).points


@functools.cache
def network_code() -> str:
    """Hash of the registry's networks and of what they are built from: a checkpoint holds their weights only."""
    return files_fingerprint(with_imports(training.networks))


def versions() -> dict[str, str]:
    """Installed versions of LIBRARIES; those that are not installed are left out."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """Name of the CPU as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
