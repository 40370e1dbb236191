"""ONNX files of two nodes, written byte by byte: the onnx package is not installed on Python 3.6."""

import struct
from typing import Any

#: TensorProto.DataType
FLOAT, INT8, FLOAT16 = 1, 3, 10


def number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def part(field: int, value: Any) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes(encoded + bytearray([value]))


def _node(kind: str, name: str, inputs: str, output: str, *attributes: bytes) -> bytes:
    body = b"".join(part(1, name_) for name_ in inputs.split()) + part(2, output) + part(3, name) + part(4, kind)
    return part(1, body + b"".join(part(5, attribute) for attribute in attributes))


def _constant(name: str, kind: int, raw: bytes) -> bytes:
    """A scalar initializer."""
    return part(5, number(2, kind) + part(8, name) + part(9, raw))


def _value(field: int, name: str, size: Any) -> bytes:
    """Input (field 11) or output (12) of one float32 axis; a name as its size leaves the size open."""
    axis = part(1, part(2, size) if isinstance(size, str) else number(1, size))
    return part(field, part(1, name) + part(2, part(1, number(1, FLOAT) + part(2, axis))))


def tiny_onnx(precision: str = "fp32", size: Any = 4) -> bytes:
    """y = x * 2 for x and y (size,) float32.

    "fp16": the factor is a float16. "int8": x is quantised in steps of 0.5 instead of doubled, and y has them, too.
    """
    if precision == "int8":
        constants = _constant("step", FLOAT, struct.pack("<f", 0.5)) + _constant("zero", INT8, b"\0")
        nodes = _node("QuantizeLinear", "q", "x step zero", "q") + _node("DequantizeLinear", "dq", "q step zero", "y")
    else:
        half = precision == "fp16"
        raw = b"\x00\x40" if half else struct.pack("<f", 2.0)
        constants = _constant("factor", FLOAT16 if half else FLOAT, raw)
        to_float = part(1, "to") + number(3, FLOAT) + number(20, 2)
        nodes = _node("Cast", "cast", "factor", "wide", to_float) + _node("Mul", "double", "x wide", "y")
    graph = nodes + part(2, "tiny") + constants + _value(11, "x", size) + _value(12, "y", size)
    return number(1, 7) + part(7, graph) + part(8, number(2, 13))
