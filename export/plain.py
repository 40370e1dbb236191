"""A bundle's graph as other precisions start from it: float32 constants, and no cast that changes nothing."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, shape_inference

from export.graph import MAX_IR, OPSET, ExportError
from export.shapes import drop_unused, set_nodes


def plain_graph(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which constants stored as float16 (:func:`export.graph.halve_weights`) are float32 initializers, and
    casts of float32 to float32, which tracing under autocast leaves, are gone.

    Raises ExportError for a float ``Constant`` node: constants have to be initializers.
    """
    model = shape_inference.infer_shapes(model)
    graph = model.graph
    types = element_types(model)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    renamed: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
        if node.op_type == "Constant" and types.get(node.output[0]) == TensorProto.FLOAT:
            raise ExportError(f"{node.output[0]} is a Constant node; export the bundle again, with constants folded")
        target = next((a.i for a in node.attribute if a.name == "to"), None) if node.op_type == "Cast" else None
        if target == TensorProto.FLOAT and node.output[0] not in outputs:
            if node.input[0] in constants:
                values = numpy_helper.to_array(constants[node.input[0]]).astype(np.float32)
                graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
                continue
            if types.get(node.input[0]) == TensorProto.FLOAT:
                renamed[node.output[0]] = node.input[0]
                continue
        kept.append(node)
    set_nodes(model, kept)
    del graph.value_info[:]
    return seal(model)


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """The kind of number of each tensor (``TensorProto``), as far as shape inference tells."""
    graph = model.graph
    found = {tensor.name: int(tensor.data_type) for tensor in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        found[value.name] = int(value.type.tensor_type.elem_type)
    return found


def seal(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop, in place, constants nobody reads, and operator sets but ONNX's own: ONNX Runtime 1.10 refuses others."""
    drop_unused(model.graph)
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    model.ir_version = min(model.ir_version, MAX_IR)
    return model
