"""PyTorch to ONNX at opset 13, re-opened and asserted; large weights stored in half the bytes.

torch's newer exporter writes opset 18 whatever it is asked (and only logs it), which neither TensorRT 8.2 nor
the last ONNX Runtime for Python 3.6 reads: hence ``dynamo=False``, and a check of what was really written.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from edge.errors import BundleError

OPSET = 13
MAX_IR = 8


class ExportError(BundleError):
    """The exported graph is not what was asked for."""


class _ImageToMaps(nn.Module):
    """The network with the picture as its only argument: tracing turns other defaults into tensors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.network(image)


def export_onnx(network: nn.Module, image: torch.Tensor, path: Path) -> None:
    """Trace ``network(image)`` to ``path``: input ``image``, output ``maps``, static shapes, opset 13."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            _ImageToMaps(network).eval(),
            (image,),
            str(path),
            input_names=["image"],
            output_names=["maps"],
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=True,
        )


def halve_fc_weights(path: Path, smallest: int = 1 << 16) -> int:
    """Store the weights of fully connected layers as float16, cast to float32 in the graph. Returns bytes saved.

    The computation stays float32. The fully connected stack of Lin 2018 is 22 of its 24 million
    parameters; stored so, the bundle is small enough for plain git. Convolutions are left alone: they are few,
    and TensorRT 8.2 wants their kernels as plain constants.
    """
    model = onnx.load(str(path))
    graph = model.graph
    multiplied = {name for node in graph.node if node.op_type in ("Gemm", "MatMul") for name in node.input[1:2]}
    saved = 0
    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.name not in multiplied or values.dtype != np.float32 or values.size < smallest:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.isfinite(half).all():
            raise ExportError(f"weights {tensor.name} overflow float16 (largest {np.abs(values).max():.3g})")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + ".half"))
        casts.append(helper.make_node("Cast", [name + ".half"], [name], name=name + ".cast", to=TensorProto.FLOAT))
        saved += values.nbytes - half.nbytes
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))
    return saved


def assert_graph(path: Path, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> onnx.ModelProto:
    """Re-open ``path`` and check opset, IR version, names, static shapes and domains. Raises ExportError."""
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        raise ExportError(f"{path.name} has opsets {opsets}, wanted only the default domain at {OPSET}")
    if model.ir_version > MAX_IR:
        raise ExportError(f"{path.name} has IR version {model.ir_version}; ONNX Runtime 1.10 reads up to {MAX_IR}")
    for wanted, values, shape in (
        ("image", model.graph.input, input_shape),
        ("maps", model.graph.output, output_shape),
    ):
        found = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        if found != {wanted: shape}:
            raise ExportError(f"{path.name} declares {found}, wanted {{{wanted!r}: {shape}}}")
    return model
