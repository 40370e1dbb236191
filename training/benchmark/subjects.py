"""What is scored: a bundle, an ONNX file, a network with a checkpoint, or clouds of another program."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edge.bundle import Bundle, load_bundle, sha256_file
from edge.runtime.backends import Backend, open_backend
from edge.runtime.reconstructor import Reconstructor
from training.benchmark import clouds
from training.benchmark.plain import ExactBackend, TorchBackend, open_checkpoint, open_onnx, torch_network
from training.benchmark.protocol import CLOUD_POINTS, Answer, Predictor


@dataclass(frozen=True)
class Subject:
    """One row of the tables: what it is, where it is, and what it costs. Small, so that it can go to other processes.

    name: what the tables call it. path: bundle folder, ONNX file, checkpoint or folder of clouds. sha256: of the file
    that decides the result. network: its name in the registry, for a checkpoint. training: provenance, of a bundle.
    precision: which of a bundle's networks (``edge.bundle.PRECISIONS``).
    """

    name: str
    kind: Literal["bundle", "onnx", "checkpoint", "clouds"]
    path: str
    sha256: str
    network: str = ""
    cost: dict[str, float] = field(default_factory=dict)
    training: Any = None
    missing: tuple[str, ...] = ()
    precision: str = "fp32"


def bundle_subject(name_or_path: str, precision: str = "fp32") -> Subject:
    """A bundle by name or folder, in one of its precisions. BundleError if it is missing, damaged, or without that."""
    bundle = load_bundle(name_or_path)
    network = bundle.manifest.get("network", {})
    path = Path(bundle.graph_at(precision).path)
    cost = file_cost(path)
    if "gflop" in network:
        cost["gflop"] = float(network["gflop"])
    if "parameters" in network:
        cost["parameters_m"] = float(network["parameters"]) / 1e6
    # Estimated at export (python -m export), where the estimator is: of an engine in FP16, whatever it is built from.
    for key, value in network.get("nano_ms_estimate", {}).items() if precision in ("fp32", "fp16") else ():
        cost[f"nano_{key}"] = float(value)
    sha256, training = bundle.manifest["files"][path.name]["sha256"], bundle.manifest.get("training")
    name = bundle.name if precision == "fp32" else f"{bundle.name}-{precision}"
    return Subject(name, "bundle", bundle.path, sha256, cost=cost, training=training, precision=precision)


def file_cost(path: Path) -> dict[str, float]:
    """megabytes of an ONNX file, and megabytes_fp16 of all its floating-point constants at two bytes a number.

    Not of the parameters alone: what a network needs besides, such as a shape basis, has to be stored as well. Without
    the package onnx (pip install -e '.[export]') the second is not counted, and the table has a dash.
    """
    size = {"megabytes": path.stat().st_size / 1e6}
    if importlib.util.find_spec("onnx") is None:
        return size
    import onnx

    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    tensors = onnx.load(str(path)).graph.initializer
    numbers = sum(math.prod(tensor.dims) for tensor in tensors if tensor.data_type in kinds)
    return size | {"megabytes_fp16": 2 * numbers / 1e6}


def onnx_subject(path: Path) -> Subject:
    """Any ONNX file with the contract of docs/bundle.md. BackendError says how it differs from it."""
    open_onnx(path)
    return Subject(path.stem, "onnx", str(path), sha256_file(str(path)), cost=file_cost(path))


def checkpoint_subject(network: str, path: Path) -> Subject:
    """A network of the registry with the averaged weights of a training checkpoint, run by PyTorch."""
    import torch

    from training.networks.cost import count

    built = open_checkpoint(network, path)
    cost = count(built, torch.zeros(1, 3, built.input_size, built.input_size))
    numbers = sum(value.numel() for value in built.state_dict().values() if value.is_floating_point())
    figures = {"gflop": cost.gflop, "parameters_m": cost.parameters / 1e6, "megabytes_fp16": 2 * numbers / 1e6}
    name = f"{network}-{path.parent.name or path.stem}"
    return Subject(name, "checkpoint", str(path), sha256_file(str(path)), network, figures)


def clouds_subject(
    folder: Path, bodies: list[str], conditions: tuple[str, ...], views: int, worst: bool, say: Callable[[str], None]
) -> Subject:
    """Clouds of another program. DataError for missing, empty or unreadable ones (:mod:`training.benchmark.clouds`)."""
    found = clouds.survey(folder, bodies, conditions, views, worst)
    for line in found.warnings:
        say(f"warning: {folder}: {line}")
    if found.missing:
        named = ", ".join(found.missing[:4])
        say(f"{folder}: {len(found.missing)} missing clouds get the worst score, such as {named}")
    name = folder.resolve().name
    return Subject(name, "clouds", str(folder), found.sha256, missing=tuple(found.missing))


def predictor(
    subject: Subject, backend: str = "auto", max_points: int = CLOUD_POINTS, threads: int = 1
) -> Predictor:
    """The product's own reconstruction, on one thread. The picture is the crop: no box is given.

    Rendered pictures leave the margin that a finder's box and the bundle's margin would leave; in "clutter" and
    "occluded" they are cropped with the error a finder makes. Not for clouds, which are there already.
    """
    if subject.kind == "bundle":
        return reconstruction(load_bundle(subject.path), backend, max_points, threads, subject.precision)
    if subject.kind == "onnx":
        return reconstruction(open_onnx(Path(subject.path)), backend, max_points, threads)
    import torch

    # One thread, as ONNX Runtime: comparable, and several processes do not fight for the cores.
    torch.set_num_threads(threads)
    network = open_checkpoint(subject.network, Path(subject.path))
    bundle = torch_network(network, subject.name, subject.path)
    return _predictor(Reconstructor(bundle, TorchBackend(network), max_points))


def reconstruction(
    bundle: Bundle, backend: str, max_points: int, threads: int = 1, precision: str = "fp32"
) -> Predictor:
    """A bundle's network in a precision as a predictor. "int8", which is TensorRT's, is computed as it is written."""
    graph = bundle.graph_at(precision)
    if precision == "int8" and backend in ("auto", "ort"):
        opened: Backend = ExactBackend(graph, threads)
    else:
        opened = open_backend(bundle, backend, threads=threads, graph=graph)
    return _predictor(Reconstructor(bundle, opened, max_points))


def _predictor(reconstructor: Reconstructor) -> Predictor:
    def predict(rgb: np.ndarray) -> Answer:
        made = reconstructor.reconstruct(np.ascontiguousarray(rgb[..., ::-1]))
        return Answer(
            made.cloud.points, made.timings, made.cloud.confidence, made.pose, made.length, made.body_class,
            reconstructor.bundle.classes,
        )

    return predict


def cloud_of(subject: Subject, body: str, condition: str, view: int) -> np.ndarray:
    """One cloud of another program, (N, 3); an empty one where it is missing and that was allowed."""
    path = clouds.find(Path(subject.path), body, condition, view)
    return np.zeros((0, 3), np.float32) if path is None else clouds.read(path)


def told_apart(subjects: list[Subject], say: Callable[[str], None]) -> list[Subject]:
    """Each subject once, each under its own name: of two with one name the later gets a part of its hash."""
    found: list[Subject] = []
    for subject in subjects:
        if any((subject.kind, subject.sha256) == (other.kind, other.sha256) for other in found):
            say(f"{subject.path} was given twice and is scored once")
            continue
        if any(subject.name == other.name for other in found):
            subject = dataclasses.replace(subject, name=f"{subject.name}-{subject.sha256[:6]}")
        found.append(subject)
    return found
