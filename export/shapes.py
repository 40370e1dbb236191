"""What tracing leaves in a graph although it is known beforehand: arithmetic on shapes, and padding.

``Tensor.unflatten`` alone is traced to a ``Mod``, which TensorRT 8.2 does not have (:mod:`export.operators`).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
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
    set_nodes(model, rest)
    drop_unused(graph)
    return folded


def set_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    """Put these nodes, which may be those of the graph itself, in the place of its own."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove, in place, constants that nobody reads any more; ONNX Runtime warns of each."""
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used]:
        graph.initializer.remove(tensor)


def _evaluate(node: onnx.NodeProto, known: dict[str, np.ndarray], model: onnx.ModelProto) -> list[np.ndarray]:
    names = list(dict.fromkeys(name for name in node.input if name))
    evaluator = ReferenceEvaluator(node, opsets={entry.domain: entry.version for entry in model.opset_import})
    values = evaluator.run(None, {name: known[name] for name in names})
    return [np.asarray(value) for value in values]


def fold_padding(model: onnx.ModelProto) -> onnx.ModelProto:
    """Zeros put around a picture by a ``Pad`` of its own become the ``pads`` of the convolution behind it, in place.

    PyTorch's convolutions pad evenly, so that "same" padding at stride 2 is a module of its own there; ONNX's need not.
    A padding costs a Nano as much time to start as a small convolution.
    """
    graph = model.graph
    constants = {t.name: t for t in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {value.name for value in graph.output}
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        behind = readers.get(pad.output[0], [])
        sides = _zeros_around(pad, constants)
        if sides is None or len(behind) != 1 or behind[0].op_type != "Conv" or pad.output[0] in outputs:
            continue
        conv = behind[0]
        own = next((a for a in conv.attribute if a.name == "pads"), None)
        if conv.input[0] != pad.output[0] or any(a.name == "auto_pad" and a.s != b"NOTSET" for a in conv.attribute):
            continue
        if own is None:
            conv.attribute.append(helper.make_attribute("pads", sides))
        else:
            own.ints[:] = [a + b for a, b in zip(own.ints, sides, strict=True)]
        conv.input[0] = pad.input[0]
        graph.node.remove(pad)
    drop_unused(graph)
    return model


def _zeros_around(pad: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> list[int] | None:
    """Top, left, bottom, right of a Pad of a (B, C, H, W) tensor by zeros; None for any other Pad."""
    if any(a.name == "mode" and a.s != b"constant" for a in pad.attribute) or pad.input[1] not in constants:
        return None
    value = constants.get(pad.input[2]) if len(pad.input) > 2 and pad.input[2] else None
    if len(pad.input) > 2 and pad.input[2] and (value is None or float(numpy_helper.to_array(value)) != 0.0):
        return None
    sides = [int(n) for n in numpy_helper.to_array(constants[pad.input[1]])]
    if len(sides) != 8 or any(sides[n] for n in (0, 1, 4, 5)) or min(sides) < 0:
        return None
    return [sides[2], sides[3], sides[6], sides[7]]
