"""A small convolutional network and a bundle of it: convolutions with and without Clip, a depthwise one, a sum, a
division with an epsilon, and a linear layer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import FORMAT, FORMAT_VERSION, sha256_file
from export.compare import run_graph
from export.graph import halve_weights

SIZE, POINTS = 32, 120
OUTPUTS = {"points": (1, POINTS, 3), "length": (1, 2)}


def small_model() -> onnx.ModelProto:
    """image (1, 3, 32, 32) to points and length, float32, opset 13."""
    rng = np.random.default_rng(3)
    arrays = {
        "stem.w": rng.normal(0, 0.4, (8, 3, 3, 3)), "stem.b": rng.normal(0, 0.5, 8),
        "deep.w": rng.normal(0, 0.4, (8, 1, 3, 3)), "deep.b": rng.normal(0, 0.5, 8),
        "flat.w": rng.normal(0, 0.4, (8, 8, 1, 1)), "flat.b": rng.normal(0, 0.5, 8),
        "last.w": rng.normal(0, 0.3, (64, 8, 3, 3)),
        "points.w": rng.normal(0, 0.05, (64, POINTS * 3)), "points.b": rng.normal(0, 0.2, POINTS * 3),
        "length.w": rng.normal(0, 0.1, (64, 2)), "low": 0.0, "high": 6.0, "epsilon": 1e-12,
    }  # fmt: skip
    constants = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in arrays.items()]
    constants += [numpy_helper.from_array(np.array([1, POINTS, 3], np.int64), "shape")]
    constants += [numpy_helper.from_array(np.array([1], np.int64), "axes")]

    def node(kind: str, inputs: list[str], output: str, **more: object) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], name=f"/{output}/{kind}", **more)  # type: ignore[arg-type]

    nodes = [
        node("Conv", ["image", "stem.w", "stem.b"], "stem", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Clip", ["stem", "low", "high"], "stem.clip"),
        node("Conv", ["stem.clip", "deep.w", "deep.b"], "deep", group=8, pads=[1, 1, 1, 1]),
        node("Clip", ["deep", "low", "high"], "deep.clip"),
        node("Conv", ["deep.clip", "flat.w", "flat.b"], "flat"),
        node("Add", ["flat", "stem.clip"], "sum"),
        node("Conv", ["sum", "last.w"], "last", pads=[1, 1, 1, 1]),
        node("Cast", ["last"], "cast", to=TensorProto.FLOAT),  # of float32 to float32, as autocast leaves them
        node("GlobalAveragePool", ["cast"], "mean"),
        node("Flatten", ["mean"], "code"),
        node("Mul", ["code", "code"], "squares"),
        node("ReduceSum", ["squares", "axes"], "norm", keepdims=1),
        node("Add", ["norm", "epsilon"], "above"),
        node("Sqrt", ["above"], "root"),
        node("Div", ["code", "root"], "unit"),
        node("Gemm", ["unit", "points.w", "points.b"], "flat.points"),
        node("Reshape", ["flat.points", "shape"], "points"),
        node("MatMul", ["unit", "length.w"], "length"),
    ]
    given = [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, SIZE, SIZE))]
    out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in OUTPUTS.items()]
    graph = helper.make_graph(nodes, "small", given, out, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def images(count: int, seed: int = 0) -> np.ndarray:
    """(N, 3, 32, 32) float32: noise on a ramp of its own."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(-1, 1, SIZE, dtype=np.float32) * rng.normal(0, 1, (count, 3, SIZE, 1)).astype(np.float32)
    return np.asarray(ramp + rng.normal(0, 0.3, ramp.shape[:2] + (SIZE, SIZE)), np.float32)


def small_bundle(folder: Path) -> Path:
    """A bundle of :func:`small_model`, stored as an export stores it."""
    folder.mkdir()
    path = folder / "reconstructor.onnx"
    onnx.save(small_model(), str(path))
    halve_weights(path)
    inputs = images(3, seed=9)
    np.savez(folder / "golden.npz", image=inputs, **run_graph(path, inputs))
    files = {
        name: {"sha256": sha256_file(str(folder / name)), "bytes": (folder / name).stat().st_size}
        for name in ("reconstructor.onnx", "golden.npz")
    }
    manifest = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "name": "small", "network": {},
        "input": {
            "name": "image", "shape": [1, 3, SIZE, SIZE], "mean": [0.5] * 3, "std": [0.25] * 3, "margin": 0.1,
        },
        "outputs": {name: {"shape": list(shape)} for name, shape in OUTPUTS.items()},
        "length_prior_m": {"mean": 4.4, "std": 0.4}, "precisions": {"fp32": {"file": "reconstructor.onnx"}},
        "files": files, "carpc1": {},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
