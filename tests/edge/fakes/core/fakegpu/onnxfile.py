"""Reads of an ONNX file what a builder needs: node names and kinds, and whether it has half-precision weights.

The onnx package is not installed on Python 3.6, so the few fields are read off the protobuf wire.
"""

from typing import Any, Iterator, List, NamedTuple, Tuple

#: TensorProto.DataType
FLOAT16 = 10


class Graph(NamedTuple):
    """nodes: (name, kind) in the file's order. half: some weights are float16."""

    nodes: List[Tuple[str, str]]
    half: bool

    @property
    def quantized(self) -> bool:
        return any(kind == "QuantizeLinear" for _, kind in self.nodes)


def read_graph(model: bytes) -> Graph:
    """Raises ValueError: not protobuf, or no graph in it."""
    graphs = [value for number, value in fields(model) if number == 7 and isinstance(value, bytes)]
    if len(graphs) != 1:
        raise ValueError("Failed to parse the ONNX model")
    nodes, half = [], False
    for number, value in fields(graphs[0]):
        if number == 1:
            node = dict(fields(value))
            nodes.append((node.get(3, b"").decode(), node.get(4, b"").decode()))
        elif number == 5:
            half = half or dict(fields(value)).get(2) == FLOAT16
    if not nodes:
        raise ValueError("the graph has no nodes")
    named = [(name or "%s_%d" % (kind, index), kind) for index, (name, kind) in enumerate(nodes)]
    return Graph(named, half)


def fields(message: bytes) -> Iterator[Tuple[int, Any]]:
    """(field number, int or bytes) of a protobuf message. Raises ValueError where it is none."""
    position = 0
    while position < len(message):
        key, position = varint(message, position)
        kind = key & 7
        if kind == 0:
            value, position = varint(message, position)
            yield key >> 3, value
            continue
        if kind == 2:
            size, position = varint(message, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("wire type %d at byte %d" % (kind, position))
        if position + size > len(message):
            raise ValueError("field of %d bytes ends behind the file" % size)
        yield key >> 3, message[position : position + size]
        position += size


def varint(message: bytes, position: int) -> Tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 70:
        byte = message[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
    raise ValueError("number without an end at byte %d" % position)
