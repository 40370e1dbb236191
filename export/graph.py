"""PyTorch to ONNX at opset 13, re-opened and asserted; large weights stored in half the bytes.

torch's newer exporter writes opset 18 whatever it is asked (and only logs it), which neither TensorRT 8.2 nor
the last ONNX Runtime for Python 3.6 reads: hence ``dynamo=False``, and a check of what was really written.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from edge.errors import BundleError
from export.shapes import fold_padding, fold_shapes, set_nodes
from training.networks.base import Network

OPSET = 13
MAX_IR = 8
#: Constants with more numbers than this are stored as float16; the others together are a few hundred kilobytes.
SMALLEST = 4096
#: Appended to the name of a constant that is stored as float16.
HALF = ".half"

Shape = tuple[int, ...]


class ExportError(BundleError):
    """The exported graph is not what was asked for."""


class _Outputs(nn.Module):
    """The picture as the only argument (tracing turns other defaults into tensors), the given fields as a tuple."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(image).given().values())


def predict(network: Network, image: Tensor) -> dict[str, Tensor]:
    """What ``network`` gives for (B, 3, S, S), by field name in order. Raises ExportError when that is nothing."""
    with torch.no_grad():
        given = network.eval()(image).given()
    if not given:
        raise ExportError(f"{type(network).__name__} gives no output at all; there is nothing to export")
    return given


def export_onnx(network: Network, image: Tensor, path: Path) -> dict[str, Shape]:
    """Trace ``network(image)`` to ``path``: input ``image``, the given fields as outputs, static shapes, opset 13.

    Returns the shapes of the outputs by name, in the graph's order. Raises ExportError.
    """
    given = predict(network, image)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)  # what torch leaves, fold_shapes does
        torch.onnx.export(
            _Outputs(network).eval(),
            (image,),
            str(path),
            input_names=["image"],
            output_names=list(given),
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=True,
        )
    onnx.save(fold_padding(fold_shapes(onnx.load(str(path)))), str(path))
    return {name: tuple(value.shape) for name, value in given.items()}


def halve_weights(path: Path, smallest: int = SMALLEST) -> int:
    """Store float32 constants of more than ``smallest`` numbers as float16, cast back in the graph.

    Returns the bytes saved; the computation stays float32. ONNX Runtime folds the casts away when it loads the file.
    Kernels of convolutions stay as they are: TensorRT's parser, up to 8.x, refuses one that comes out of a ``Cast``.
    Raises ExportError when a number overflows float16.
    """
    model = onnx.load(str(path))
    _name_constants(model, smallest)
    saved = 0
    casts = []
    kernels = {node.input[1] for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")}
    # Nor does TensorRT fold a QuantizeLinear into a kernel that is no constant.
    kernels |= {node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    for tensor in model.graph.initializer:
        large = tensor.data_type == TensorProto.FLOAT and int(np.prod(tensor.dims)) > smallest
        if not large or tensor.name in kernels:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.isfinite(half).all():
            raise ExportError(f"weights {tensor.name} overflow float16 (largest {np.abs(values).max():.3g})")
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, name + HALF))
        casts.append(helper.make_node("Cast", [name + HALF], [name], name=name + ".cast", to=TensorProto.FLOAT))
        saved += values.nbytes - half.nbytes
    set_nodes(model, [*casts, *model.graph.node])
    onnx.save(model, str(path))
    return saved


def _name_constants(model: onnx.ModelProto, smallest: int) -> None:
    """Turn large ``Constant`` nodes, which tracing makes of tensors that are no parameters, into initializers."""
    rest = []
    for node in model.graph.node:
        value = node.attribute[0].t if node.op_type == "Constant" and node.attribute[0].name == "value" else None
        if value is None or value.data_type != TensorProto.FLOAT or int(np.prod(value.dims)) <= smallest:
            rest.append(node)
        else:
            model.graph.initializer.append(numpy_helper.from_array(numpy_helper.to_array(value), node.output[0]))
    set_nodes(model, rest)


def assert_graph(path: Path, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> onnx.ModelProto:
    """Re-open ``path`` and check opset, IR version, names, order, static shapes. Raises ExportError.

    What the devices have of its operators is for :mod:`export.lint` to say.
    """
    model = onnx.load(str(path))
    onnx.checker.check_model(model, full_check=True)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        raise ExportError(f"{path.name} has opsets {opsets}, wanted only the default domain at {OPSET}")
    if model.ir_version > MAX_IR:
        raise ExportError(f"{path.name} has IR version {model.ir_version}; ONNX Runtime 1.10 reads up to {MAX_IR}")
    for values, wanted in ((model.graph.input, inputs), (model.graph.output, outputs)):
        found = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        if list(found.items()) != list(wanted.items()):
            raise ExportError(f"{path.name} declares {found}, wanted {dict(wanted)}")
    return model
