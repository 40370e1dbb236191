"""Arithmetic on shapes, which tracing leaves in a graph, computed once here: every shape of a bundle is static.

``Tensor.unflatten`` alone is traced to a ``Mod``, which TensorRT 8.2 does not have (onnx-tensorrt, docs/operators.md).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

#: Larger constants are weights, and left alone.
LARGEST = 4096


def fold_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph in which nodes that depend on shapes and small constants only are constants, with all shapes inferred.

    Shapes that follow from what was folded are found in the next round, until a round folds nothing.
    """
    while True:
        model = shape_inference.infer_shapes(model, data_prop=True)
        if not _fold_once(model):
            return model


def _fold_once(model: onnx.ModelProto) -> int:
    """Fold what can be with the shapes known now, in place. Returns the number of nodes folded, ``Constant`` apart."""
    graph = model.graph
    shapes = {}
    for value in [*graph.input, *graph.value_info]:
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[value.name] = np.array([d.dim_value for d in dims], np.int64)
    known = {t.name: numpy_helper.to_array(t) for t in graph.initializer if int(np.prod(t.dims)) <= LARGEST}
    outputs = {value.name for value in graph.output}
    rest, folded = [], 0
    for node in graph.node:
        result = None
        if outputs.isdisjoint(node.output):
            if node.op_type == "Shape" and node.input[0] in shapes:
                result = [shapes[node.input[0]]]
            elif all(not name or name in known for name in node.input):
                result = _evaluate(node, known, model)
        if result is None or any(value.size > LARGEST for value in result):
            rest.append(node)
            continue
        folded += node.op_type != "Constant"
        for name, value in zip(node.output, result, strict=True):
            known[name] = value
            graph.initializer.append(numpy_helper.from_array(value, name))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in rest]
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in kept for name in node.input} | outputs
    unused = [tensor for tensor in graph.initializer if tensor.name not in used]
    for tensor in unused:
        graph.initializer.remove(tensor)
    return folded


def _evaluate(node: onnx.NodeProto, known: dict[str, np.ndarray], model: onnx.ModelProto) -> list[np.ndarray]:
    names = list(dict.fromkeys(name for name in node.input if name))
    evaluator = ReferenceEvaluator(node, opsets={entry.domain: entry.version for entry in model.opset_import})
    values = evaluator.run(None, {name: known[name] for name in names})
    return [np.asarray(value) for value in values]
