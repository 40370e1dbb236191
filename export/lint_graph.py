"""What the rules of the lint ask of a graph, gathered once: nodes, constants, who makes and reads what, shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, shape_inference

from edge.targets import Target

ERROR, WARNING = "error", "warning"
#: The two spellings of ONNX's own domain.
DEFAULT_DOMAINS = ("", "ai.onnx")


class Problem(NamedTuple):
    """One thing wrong on one target.

    node: name of the node, "" when it is none. level: ERROR or WARNING. where: the node, input or file, as a sentence
    begins. why, instead: how it goes on.
    """

    node: str
    level: str
    where: str
    why: str
    instead: str


class Reader(NamedTuple):
    """A node that reads a tensor as its input number ``place``."""

    node: onnx.NodeProto
    place: int


class Facts(NamedTuple):
    """A graph.

    nodes: all, those of subgraphs too. constants: tensors by name, of initializers and ``Constant`` nodes. makers: the
    node that makes a tensor. readers: who reads it. shapes: of the tensors of the main graph, None for each dimension
    that is not fixed. largest: largest magnitude of each float tensor on samples, {} without samples.
    """

    model: onnx.ModelProto
    nodes: list[onnx.NodeProto]
    constants: Mapping[str, TensorProto]
    makers: Mapping[str, onnx.NodeProto]
    readers: Mapping[str, list[Reader]]
    shapes: Mapping[str, tuple[int | None, ...]]
    largest: Mapping[str, float]


#: A rule: what is wrong with a graph on a target whose TensorRT is of these versions, () for none.
Rule = Callable[[Facts, Target, tuple[str, ...]], Iterator[Problem]]


def gather(model: onnx.ModelProto, largest: Mapping[str, float] | None = None) -> Facts:
    """The facts of a model whose external data, if any, was not loaded."""
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, TensorProto] = {}
    for graph in _graphs(model.graph):
        nodes.extend(graph.node)
        constants.update((tensor.name, tensor) for tensor in graph.initializer)
    makers: dict[str, onnx.NodeProto] = {}
    readers: dict[str, list[Reader]] = {}
    for node in nodes:
        makers.update((name, node) for name in node.output if name)
        for index, name in enumerate(node.input):
            readers.setdefault(name, []).append(Reader(node, index))
        if node.op_type == "Constant":
            constants.update((node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value")
    return Facts(model, nodes, constants, makers, readers, _shapes(model), largest or {})


def named(node: onnx.NodeProto) -> str:
    """Its name, or that of what it makes."""
    return node.name or (node.output[0] if node.output else "")


def spoken(node: onnx.NodeProto) -> str:
    """The node as a sentence begins."""
    return f"node {named(node)} ({node.op_type})"


def error(node: onnx.NodeProto, why: str, instead: str) -> Problem:
    """An error of a node."""
    return Problem(named(node), ERROR, spoken(node), why, instead)


def warning(node: onnx.NodeProto, why: str, instead: str) -> Problem:
    """A warning of a node."""
    return Problem(named(node), WARNING, spoken(node), why, instead)


def tensorrt(versions: tuple[str, ...]) -> str:
    """The versions as a sentence names them: TensorRT 8.6, 10 and 11."""
    return "TensorRT " + " and ".join([", ".join(versions[:-1]), versions[-1]] if len(versions) > 1 else versions)


def attribute(node: onnx.NodeProto, name: str, default: str) -> str:
    """A text attribute."""
    return next((a.s.decode() for a in node.attribute if a.name == name), default)


def given(node: onnx.NodeProto, index: int) -> str:
    """Name of an input, "" when it is left out."""
    return str(node.input[index]) if len(node.input) > index else ""


def values(tensor: TensorProto) -> np.ndarray:
    """The numbers of a constant; none where they lie in a file beside the graph."""
    if tensor.data_location == TensorProto.EXTERNAL:
        return np.zeros(0)
    return numpy_helper.to_array(tensor)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for found in node.attribute:
            if found.type == onnx.AttributeProto.GRAPH:
                yield from _graphs(found.g)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    shapes: dict[str, tuple[int | None, ...]] = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in [*graph.input, *graph.value_info, *graph.output]:
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            shapes[value.name] = tuple(d.dim_value if d.dim_value > 0 else None for d in dims)
    return shapes
