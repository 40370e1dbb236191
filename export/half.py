"""FP16: the same graph whose numbers are float16, between a float32 input and float32 outputs.

TensorRT 11 knows no precision flags: the precision stands in the graph. Engines of earlier versions are built from it
as well.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from export.plain import element_types, seal
from export.shapes import set_nodes

#: The least float16 that keeps all its digits: a constant below it (an epsilon) would lose them, or become 0.
LEAST = float(np.finfo(np.float16).tiny)
MOST = float(np.finfo(np.float16).max)
#: Inputs that have to be float32 whatever the others are, by operator.
SINGLE = {"Resize": (1, 2), "Upsample": (1,)}


def halve(model: onnx.ModelProto, keep: Collection[str] = ()) -> onnx.ModelProto:
    """A copy of a plain graph (:mod:`export.plain`) that computes in float16, apart from the nodes named in ``keep``.

    Nodes with a constant that float16 cannot hold stay float32 as well (:func:`beyond_half`). A cast stands where
    float16 meets float32: one for each tensor, however many nodes read it.
    """
    model = shape_inference.infer_shapes(model)
    types = element_types(model)
    single = set(keep) | set(beyond_half(model))
    writer = _Writer(model, types)
    for value in model.graph.input:
        writer.made[value.name] = TensorProto.FLOAT
    for node in model.graph.node:
        writer.add(node, TensorProto.FLOAT if node.name in single else TensorProto.FLOAT16)
    for value in model.graph.output:
        if writer.made.get(value.name) == TensorProto.FLOAT16:
            writer.widen(value.name)
    set_nodes(model, writer.nodes)
    model.graph.initializer.extend(writer.constants)
    del model.graph.value_info[:]
    return seal(model)


def beyond_half(model: onnx.ModelProto) -> dict[str, str]:
    """Nodes with a constant that float16 cannot hold, too large or too small, and which constant."""
    wrong = {}
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        sizes = np.abs(numpy_helper.to_array(tensor))
        # Among many weights a few tiny ones are no loss; a scalar is an epsilon, and its loss a division by zero.
        tiny = sizes.size == 1 and 0 < float(sizes.max()) < LEAST
        if sizes.size and (float(sizes.max()) > MOST or tiny):
            wrong[tensor.name] = f"{float(sizes.max()):g}"
    return {node.name: name for node in model.graph.node for name in node.input if name in wrong}


class _Writer:
    """The nodes of the new graph, and what kind of number each tensor has in it."""

    def __init__(self, model: onnx.ModelProto, types: dict[str, int]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.made: dict[str, int] = {}
        self._types = types
        self._stored = {tensor.name: tensor for tensor in model.graph.initializer}
        self._cast: dict[tuple[str, int], str] = {}

    def add(self, node: onnx.NodeProto, kind: int) -> None:
        """A node whose floating-point numbers are of ``kind``."""
        node = onnx.NodeProto.FromString(node.SerializeToString())
        fixed = SINGLE.get(node.op_type, ())
        for place, name in enumerate(node.input):
            if self._types.get(name) == TensorProto.FLOAT:
                node.input[place] = self._as(name, TensorProto.FLOAT if place in fixed else kind)
        self.nodes.append(node)
        for name in node.output:
            if self._types.get(name) == TensorProto.FLOAT:
                self.made[name] = kind

    def widen(self, name: str) -> None:
        """Give the graph's output ``name``, which is float16, as float32."""
        half = f"{name}.half"
        for node in self.nodes:
            for names in (node.input, node.output):
                for place, found in enumerate(names):
                    if found == name:
                        names[place] = half
        self.nodes.append(helper.make_node("Cast", [half], [name], name=f"{name}.single", to=TensorProto.FLOAT))

    def _as(self, name: str, kind: int) -> str:
        """The tensor ``name`` as numbers of ``kind``; made if need be."""
        stored = self._stored.get(name)
        if (stored is None and self.made[name] == kind) or (stored is not None and kind == TensorProto.FLOAT):
            return name
        if (name, kind) not in self._cast:
            new = f"{name}.{'half' if kind == TensorProto.FLOAT16 else 'single'}"
            if stored is not None:
                values = numpy_helper.to_array(stored).astype(np.float16)
                self.constants.append(numpy_helper.from_array(values, new))
            else:
                self.nodes.append(helper.make_node("Cast", [name], [new], name=f"{new}.cast", to=kind))
            self._cast[name, kind] = new
        return self._cast[name, kind]
