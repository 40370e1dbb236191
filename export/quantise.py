"""INT8: explicit QuantizeLinear and DequantizeLinear nodes around the convolutions of a graph.

Two recipes. TensorRT's: symmetric, zero point 0, at the inputs and kernels of convolutions alone, biases in float32
(NVIDIA, TensorRT developer guide, explicit quantization; its parser refuses an int32 bias). ONNX Runtime's for CPUs:
what it fuses to integer kernels, which is also the outputs and the biases. Scales of activations are those of the least
squared error on calibration pictures (as OMSE in Choukroun et al., ICCV workshops 2019), of kernels the largest weight
of each output channel.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.calibration import Range
from export.plain import seal
from export.shapes import set_nodes

#: Parts of the largest value among which the best scale is sought.
FRACTIONS = np.linspace(0.3, 1.0, 36)


class Recipe(NamedTuple):
    """How a graph is quantised.

    symmetric: int8 activations with zero point 0, otherwise uint8 with one of their own. steps: the largest quantised
    weight; 63 leaves a bit unused, for processors whose 8-bit products saturate at 16 bits (x86 before VNNI).
    integer: outputs, sums and biases are quantised too and kernels stored as int8, otherwise kernels stay float32, on
    the grid of their scales, with a pair of nodes behind: TensorRT before 8.6 takes no int8 constants.
    """

    symmetric: bool
    steps: int
    integer: bool


TENSORRT = Recipe(symmetric=True, steps=127, integer=False)
CPU = Recipe(symmetric=False, steps=63, integer=True)


class Scale(NamedTuple):
    """value = scale * (quantised - zero). kind: type of the quantised numbers."""

    scale: float
    zero: int
    kind: type


def convolutions(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that can be quantised: convolutions with a constant kernel, in the graph's order."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1] in constants]


def activations(model: onnx.ModelProto, recipe: Recipe) -> list[str]:
    """Tensors whose ranges :func:`quantise` needs if all convolutions are quantised."""
    return sorted(_Plan(model, convolutions(model), recipe).pairs)


def scale_of(values: Range, symmetric: bool) -> Scale:
    """The scale with the least squared error on a sample; 0 is always a quantised number."""
    low, high = min(values.low, 0.0), max(values.high, 0.0)
    kind, least, most = (np.int8, -127, 127) if symmetric else (np.uint8, 0, 255)
    best, scale = np.inf, Scale(1.0, 0, kind)
    for fraction in FRACTIONS:
        width = fraction * (2 * max(high, -low) if symmetric else high - low)
        if width <= 0:  # a tensor of zeros
            return scale
        step = float(np.float32(width / (most - least)))
        zero = 0 if symmetric else int(np.clip(np.round(-fraction * low / step), 0, 255))
        back = (np.clip(np.round(values.values / step) + zero, least, most) - zero) * step
        error = float(np.square(back - values.values, dtype=np.float64).mean())
        if error < best:
            best, scale = error, Scale(step, zero, kind)
    return scale


def quantise(
    model: onnx.ModelProto, ranges: Mapping[str, Range], layers: Collection[str], recipe: Recipe
) -> onnx.ModelProto:
    """A copy of a plain graph (:mod:`export.plain`) in which the convolutions named ``layers`` are quantised.

    ranges: of the tensors of :func:`activations`. Inputs and outputs of the graph stay float32.
    """
    plan = _Plan(model, layers, recipe)
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    writer = _Writer(copy, {name: scale_of(ranges[name], recipe.symmetric) for name in plan.pairs}, recipe)
    for value in copy.graph.input:
        writer.pair(value.name)
    for node in copy.graph.node:
        if node.name in plan.dropped:
            continue
        node.output[0] = plan.dropped_outputs.get(node.output[0], node.output[0])
        writer.add(node, node.name in plan.layers)
    set_nodes(copy, writer.nodes)
    copy.graph.initializer.extend(writer.constants.values())
    del copy.graph.value_info[:]
    return seal(copy)


class _Plan:
    """Where pairs of nodes go.

    pairs: tensors that get one. dropped: nodes (Clip) that the range of the pair behind them makes superfluous, and the
    names that their inputs' tensors take on.
    """

    def __init__(self, model: onnx.ModelProto, layers: Collection[str], recipe: Recipe) -> None:
        self.layers = set(layers)
        self.pairs: set[str] = set()
        self.dropped: set[str] = set()
        self.dropped_outputs: dict[str, str] = {}
        readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        outputs = {value.name for value in model.graph.output}
        for node in model.graph.node:
            if node.name in self.layers:
                self.pairs.add(node.input[0])
                if recipe.integer and node.output[0] not in outputs:
                    self._output(node, readers)
            elif node.op_type == "Add" and recipe.integer and all(name in self.pairs for name in node.input):
                self._output(node, readers)

    def _output(self, node: onnx.NodeProto, readers: Mapping[str, list[onnx.NodeProto]]) -> None:
        """Quantise what a node gives, behind the Clip that follows it, if one does; that Clip is then done by the
        saturation of the quantised numbers, whose range lies within the Clip's."""
        name = node.output[0]
        behind = readers.get(name, [])
        if len(behind) == 1 and behind[0].op_type == "Clip":
            self.dropped.add(behind[0].name)
            self.dropped_outputs[name] = behind[0].output[0]
            name = behind[0].output[0]
        self.pairs.add(name)


class _Writer:
    """The nodes and constants of the quantised graph."""

    def __init__(self, model: onnx.ModelProto, scales: Mapping[str, Scale], recipe: Recipe) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._scales, self._recipe = scales, recipe
        self._stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    def add(self, node: onnx.NodeProto, quantised: bool) -> None:
        """A node; a convolution with its kernel, if it is quantised."""
        for place, name in enumerate(node.input):
            # TensorRT fuses a pair into the convolution behind it, and would compute other readers of it in INT8.
            if name in self._scales and (self._recipe.integer or (quantised and place == 0)):
                node.input[place] = f"{name}.dequantised"
        if quantised:
            source = node.input[0].removesuffix(".dequantised")
            self._kernel(node, self._scales[source].scale)
        self.nodes.append(node)
        for name in node.output:
            self.pair(name)

    def pair(self, name: str) -> None:
        """The two nodes behind an activation, if it is one that gets them."""
        if name in self._scales:
            scale, zero, kind = self._scales[name]
            self._nodes(name, np.float32(scale), np.asarray(zero, kind), None)

    def _nodes(self, name: str, scale: np.ndarray | np.float32, zero: np.ndarray, axis: int | None) -> None:
        """QuantizeLinear and DequantizeLinear of the tensor ``name``."""
        grid = [self._constant(f"{name}.scale", np.asarray(scale)), self._constant(f"{name}.zero", zero)]
        pair = [
            helper.make_node("QuantizeLinear", [name, *grid], [f"{name}.q"], name=f"{name}.quantise"),
            helper.make_node("DequantizeLinear", [f"{name}.q", *grid], [f"{name}.dequantised"], f"{name}.dequantise"),
        ]
        for node in pair if axis is not None else ():
            node.attribute.append(helper.make_attribute("axis", axis))
        self.nodes += pair

    def _kernel(self, node: onnx.NodeProto, source: float) -> None:
        """Quantise kernel and bias of a convolution, whose input has the scale ``source``."""
        name, weights = node.input[1], self._stored[node.input[1]]
        largest = np.abs(weights).reshape(len(weights), -1).max(1)
        scale = np.where(largest > 0, largest / self._recipe.steps, 1.0).astype(np.float32)
        shape = (-1,) + (1,) * (weights.ndim - 1)
        whole = np.clip(np.round(weights / scale.reshape(shape)), -self._recipe.steps, self._recipe.steps)
        node.input[1] = f"{name}.dequantised"
        if not self._recipe.integer:
            # On the grid already: what TensorRT rounds cannot differ, and the file can be packed.
            stored = self._constant(f"{name}.grid", (whole * scale.reshape(shape)).astype(np.float32))
            if f"{stored}.q" not in {out for made in self.nodes for out in made.output}:
                self._nodes(stored, scale, np.zeros(len(scale), np.int8), 0)
            node.input[1] = f"{stored}.dequantised"
            return
        self._constant(f"{name}.q", whole.astype(np.int8))
        self._dequantise(name, scale, np.int8)
        if len(node.input) > 2:
            bias, step = node.input[2], (scale.astype(np.float64) * source).astype(np.float32)
            most = np.iinfo(np.int32).max
            whole = np.clip(np.round(self._stored[bias] / step.astype(np.float64)), -most, most)
            unique = f"{node.name}.bias"  # its scale is that of this node's input
            self._constant(f"{unique}.q", whole.astype(np.int32))
            self._dequantise(unique, step, np.int32)
            node.input[2] = f"{unique}.dequantised"

    def _dequantise(self, name: str, scale: np.ndarray, kind: type) -> None:
        grid = [self._constant(f"{name}.scale", scale), self._constant(f"{name}.zero", np.zeros(len(scale), kind))]
        node = helper.make_node(
            "DequantizeLinear", [f"{name}.q", *grid], [f"{name}.dequantised"], name=f"{name}.dequantise", axis=0
        )
        if not any(made.name == node.name for made in self.nodes):
            self.nodes.append(node)

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.constants[name] = numpy_helper.from_array(np.array(value), name)
        return name
