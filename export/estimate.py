"""Milliseconds a Jetson Nano needs for an ONNX graph: a per-layer roofline, fitted to published measurements.

    t = sum over layers of  max(FLOP / rate, bytes / 12 GB/s) + 55 us        TensorRT, FP16, batch 1, 921.6 MHz

The constants are a fit to the fifteen networks that NVIDIA measured on the board (``export/published.py``); nothing
here was measured on a device of the project. What counts as a layer, and what it is fused into: docs/estimate.md.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edge.bundle import resolve
from edge.errors import DataError
from export.graph import ExportError
from export.shapes import fold_shapes

#: Operations per second of dense layers: 91 % of the GPU's peak at FP16, because 3x3 convolutions use Winograd's trick.
DENSE = 430e9
#: Operations per second of depthwise convolutions, from one network (MobileNet-v2: 15.6 ms).
DEPTHWISE = 9e9
#: Bytes per second, 47 % of the memory's.
BANDWIDTH = 12e9
#: Seconds that every layer costs whatever it does.
LAUNCH = 55e-6
#: Bytes of a number, and how many times the rates above are reached, by what is computed in. The fit saw FP16 only:
#: FP32 follows from it, because Maxwell does twice as many operations on pairs of half-floats.
PRECISION = {"fp16": (2, 1.0), "fp32": (4, 0.5)}
#: Left-one-out predictions of the fit are 0.69 to 1.24 times what was observed: turned round, and rounded.
BAND = (0.8, 1.4)

#: Layers that do arithmetic; one-input element-wise nodes after them are computed with them.
MATRIX = ("Conv", "ConvTranspose", "Gemm", "MatMul")
#: Nodes that change no value, or only where it lies. TensorRT lets the inputs of a Concat be written into its output.
FREE = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast", "Concat")
ELEMENTWISE = (
    *("Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Softplus", "Erf"),
    *("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Exp", "Log", "Neg", "Abs", "Max", "Min", "Sin", "Cos", "Where"),
    "BatchNormalization",
)

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """One kernel. kind: the operator, "+" those fused into it. flop: a multiply-add is two. bytes: in and out."""

    name: str
    kind: str
    flop: float
    bytes: float
    seconds: float


class Estimate(NamedTuple):
    """Milliseconds of the network alone. low, high: where the truth most likely lies. layers: in the graph's order."""

    ms: float
    low: float
    high: float
    layers: tuple[Layer, ...]

    @property
    def gflop(self) -> float:
        """1e9 operations of all layers."""
        return sum(layer.flop for layer in self.layers) / 1e9

    def record(self) -> dict[str, float]:
        """For a manifest."""
        return {"ms": round(self.ms, 2), "low": round(self.low, 2), "high": round(self.high, 2)}


def load_graph(path: Path) -> onnx.ModelProto:
    """The graph of an ONNX file, a bundle's folder, or a shipped bundle's name. Raises DataError."""
    folder = Path(resolve(str(path)))
    file = folder / "reconstructor.onnx" if folder.is_dir() else folder
    try:
        model = onnx.load(str(file))
    except (OSError, DecodeError) as error:
        raise DataError(
            f"{file} cannot be read as an ONNX graph ({error}); give a bundle's folder or a .onnx"
        ) from None
    return model


def estimate(path: Path, precision: str = "fp16") -> Estimate:
    """The estimate for what :func:`load_graph` reads, which should be the network in FP32: what an engine computes in
    is the builder's choice.

    precision: one of :data:`PRECISION`. Raises DataError, or ExportError: shapes are not static.
    """
    return estimate_model(load_graph(path), precision)


def estimate_model(model: onnx.ModelProto, precision: str = "fp16") -> Estimate:
    """The same for a graph in memory. Weights may be graph inputs without values: only shapes count."""
    if precision not in PRECISION:
        raise DataError(
            f"there is no estimate for {precision!r}: a Nano's GPU (Maxwell) computes in {' or '.join(PRECISION)}, and "
            "would emulate INT8 more slowly than FP16"
        )
    layers = tuple(_Walk(model, precision).layers())
    if not layers:
        raise ExportError("the graph computes nothing from its input; there is nothing to estimate")
    ms = 1e3 * sum(layer.seconds for layer in layers)
    return Estimate(ms, ms * BAND[0], ms * BAND[1], layers)


class _Kernel:
    """A layer while nodes are still being fused into it."""

    def __init__(self, node: onnx.NodeProto, flop: float, rate: float, elements: int) -> None:
        self.name = node.name or node.output[0]
        self.kinds = [node.op_type]
        self.flop, self.rate, self.elements = flop, rate, elements

    def finish(self, precision: str) -> Layer:
        width, speed = PRECISION[precision]
        moved = width * self.elements
        seconds = max(self.flop / (speed * self.rate), moved / BANDWIDTH) + LAUNCH
        return Layer(self.name, "+".join(self.kinds), self.flop, moved, seconds)


class _Walk:
    """One pass over a graph that gathers its nodes into kernels."""

    def __init__(self, model: onnx.ModelProto, precision: str) -> None:
        graph = fold_shapes(model).graph
        self.precision = precision
        self.nodes = list(graph.node)
        self.shapes: dict[str, Shape | None] = {t.name: tuple(t.dims) for t in graph.initializer}
        for value in [*graph.input, *graph.value_info, *graph.output]:
            dims = value.type.tensor_type.shape.dim
            known = value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims)
            self.shapes.setdefault(value.name, tuple(d.dim_value for d in dims) if known else None)
        #: Only the first input varies from picture to picture.
        first = next((v.name for v in graph.input if v.name not in {t.name for t in graph.initializer}), None)
        self.constants = {"", *(v.name for v in graph.input), *(t.name for t in graph.initializer)} - {first}
        self.readers: dict[str, int] = {}
        for name in [n for node in self.nodes for n in node.input] + [v.name for v in graph.output]:
            self.readers[name] = self.readers.get(name, 0) + 1

    def layers(self) -> list[Layer]:
        kernels: list[_Kernel] = []
        makers: dict[str, _Kernel] = {}  # the kernel into which what reads this tensor may be fused
        for node in self.nodes:
            varying = [name for name in node.input if name not in self.constants]
            if not varying or node.op_type in ("Shape", "Constant"):
                self.constants.update(node.output)
                continue
            if node.op_type in FREE:
                # A new shape does not part a layer from the activation behind it, a join of several does.
                if len(varying) == 1 and varying[0] in makers and self.readers[varying[0]] == 1:
                    makers[node.output[0]] = makers[varying[0]]
                continue
            if self._fuses(node, varying, makers):
                kernel = makers[varying[0]]
                kernel.kinds.append(node.op_type)
                kernel.elements += self._constants_size(node)
                kernel.elements += self._size(node.output[0]) - self._size(varying[0])
            elif node.op_type == "Split":  # a copy for each part
                for name in node.output:
                    kernel = _Kernel(node, 0.0, DENSE, 2 * self._size(name))
                    kernels.append(kernel)
            else:
                kernel = _Kernel(node, *self._work(node, varying))
                kernels.append(kernel)
            if node.op_type in MATRIX or node.op_type in ELEMENTWISE:
                makers[node.output[0]] = kernel
        return [kernel.finish(self.precision) for kernel in kernels]

    def _fuses(self, node: onnx.NodeProto, varying: list[str], makers: dict[str, _Kernel]) -> bool:
        alone = node.op_type in ELEMENTWISE and len(set(varying)) == 1
        return alone and varying[0] in makers and self.readers[varying[0]] == len(varying)

    def _work(self, node: onnx.NodeProto, varying: list[str]) -> tuple[float, float, int]:
        """Operations, operations per second, and numbers read and written."""
        output = sum(self._size(name) for name in node.output if name)
        read = sum(self._size(name) for name in set(varying))
        if node.op_type == "Gather":  # reads what it picks, not the whole table
            read = output
        elements = read + self._constants_size(node) + output
        flop, rate = float(output), DENSE
        if node.op_type in ("Conv", "ConvTranspose"):
            kernel = self._shape(node.input[1])
            spread = output if node.op_type == "Conv" else self._size(node.input[0])
            flop = 2.0 * spread * math.prod(kernel[1:])
            group = _integer(node, "group", 1)
            if group > 1 and group == self._shape(node.input[0])[1]:
                rate = DEPTHWISE
        elif node.op_type in ("Gemm", "MatMul"):
            left = self._shape(node.input[0])
            transposed = node.op_type == "Gemm" and _integer(node, "transA", 0)
            flop = 2.0 * output * (left[0] if transposed else left[-1])
        elif node.op_type in ("MaxPool", "AveragePool"):
            window = next(a.ints for a in node.attribute if a.name == "kernel_shape")
            flop = float(output * math.prod(window))
        elif node.op_type.startswith(("Global", "Reduce")):
            flop = float(read)
        return flop, rate, elements

    def _constants_size(self, node: onnx.NodeProto) -> int:
        """Numbers of the constants a node reads: weights, biases, tables; not of the shapes it is told."""
        if node.op_type in ("Resize", "Upsample", "Slice", "Pad", "Expand", "Tile"):
            return 0
        return sum(self._size(name) for name in node.input if name and name in self.constants)

    def _shape(self, name: str) -> Shape:
        shape = self.shapes.get(name)
        if shape is None or any(n < 0 for n in shape):
            raise ExportError(f"the shape of {name} is not static; export the graph with batch 1 and fixed sizes")
        return shape

    def _size(self, name: str) -> int:
        return math.prod(self._shape(name))


def _integer(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def layer_table(result: Estimate) -> str:
    """One line for each layer, the slowest share visible: milliseconds, MFLOP, megabytes, what it is."""
    rows = [f"{'ms':>8} {'MFLOP':>9} {'MB':>7}  layer"]
    for layer in result.layers:
        rows.append(
            f"{layer.seconds * 1e3:8.3f} {layer.flop / 1e6:9.1f} {layer.bytes / 1e6:7.2f}  {layer.kind}  {layer.name}"
        )
    return "\n".join(rows)
