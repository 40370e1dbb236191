"""The rules of the lint: each looks for one thing, and says what is wrong, why, and what to use instead.

The tables they read are those of :mod:`export.operators`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto

from edge.targets import Target
from export.lint_graph import (
    DEFAULT_DOMAINS,
    ERROR,
    WARNING,
    Facts,
    Problem,
    attribute,
    error,
    given,
    tensorrt,
    values,
    warning,
)
from export.operators import tables

#: Highest IR version of a bundle's graphs: what ONNX Runtime 1.10, the last for Python 3.6, reads.
MAX_IR = 8
#: Types that TensorRT does not quantise to. INT32 is what quantisers for a CPU make of a bias.
UNQUANTISED = {TensorProto.INT32, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16}

Versions = tuple[str, ...]


def opset(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """ONNX's own operators of a newer opset than the target reads."""
    found = max((e.version for e in facts.model.opset_import if e.domain in DEFAULT_DOMAINS), default=1)
    if found > target.opset:
        why = f"it is written in opset {found}, and opset {target.opset} is the newest that is read there"
        yield Problem("", ERROR, "the network", why, f"export it with opset_version={target.opset} and dynamo=False")


def ir_version(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """A file format newer than ONNX Runtime 1.10 reads. TensorRT's parser only remarks on it."""
    found = facts.model.ir_version
    if found > MAX_IR:
        reader = f"{tensorrt(versions)} may not know it" if versions else "ONNX Runtime 1.10 refuses it"
        level = WARNING if versions else ERROR
        why = f"it has IR version {found}, and {reader}"
        yield Problem("", level, "the network", why, f"set ir_version to {MAX_IR} or less, or export with dynamo=False")


def domains(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """Operators that are not ONNX's own; ONNX Runtime 1.10 refuses domains it does not know even when none is used."""
    for node in facts.nodes:
        if node.domain not in DEFAULT_DOMAINS:
            reader = tensorrt(versions) if versions else "ONNX Runtime 1.10"
            yield error(node, f"it is of the domain {node.domain}, of which {reader} has nothing without a plugin",
                        "write it with ONNX's own operators")  # fmt: skip
    if not versions:
        used = {node.domain for node in facts.nodes}
        for entry in facts.model.opset_import:
            if entry.domain not in (*DEFAULT_DOMAINS, *used):
                why = f"it imports the domain {entry.domain}, which no node uses and ONNX Runtime 1.10 may not know"
                yield Problem("", ERROR, "the network", why, "delete the entry from opset_import")


def external_data(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """Weights in a file of their own, which a bundle does not carry."""
    apart = [t.name for t in facts.constants.values() if t.data_location == TensorProto.EXTERNAL]
    if apart:
        why = f"{len(apart)} of its constants, {apart[0]} first, lie in a file beside it, which a bundle does not carry"
        yield Problem("", ERROR, "the network", why, "save it whole: onnx.save(model, path)")


def static_shapes(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """An input or output of no fixed size; else the first node that makes a tensor of none."""
    graph = facts.model.graph
    weights = {tensor.name for tensor in graph.initializer}
    for what, found in (("input", graph.input), ("output", graph.output)):
        asked = [value for value in found if value.name not in weights]
        loose = [value for value in asked if None in facts.shapes.get(value.name, (None,))]
        for value in loose:
            why = f"{_open_dimensions(value)}, and the runtime is set up for one"
            yield Problem("", ERROR, f"{what} {value.name}", why, "export it with a fixed shape, without dynamic_axes")
        if loose:
            return
    known = tables().operators
    for node in graph.node:
        supported = node.domain in DEFAULT_DOMAINS and set(versions) <= set(known.get(node.op_type, ()))
        fixed = all(None not in facts.shapes.get(name, (None,)) for name in node.input if name in facts.makers)
        for name in node.output if supported and fixed else ():
            if name and name in facts.readers and None in facts.shapes.get(name, (None,)):
                yield error(node, f"the shape of {name}, which it makes, depends on the picture",
                            "make it with constants only, or leave the step to the CPU")  # fmt: skip
                return


def _open_dimensions(value: onnx.ValueInfoProto) -> str:
    if not value.type.tensor_type.HasField("shape"):
        return "it has no shape"
    dims = enumerate(value.type.tensor_type.shape.dim)
    loose = [f"{n} ({d.dim_param})" if d.dim_param else str(n) for n, d in dims if d.dim_value <= 0]
    return f"it has no fixed size in dimension {' and '.join(loose)}"


def absent(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """Operators that TensorRT's parser does not have."""
    known = tables()
    for node in facts.nodes:
        lacking = tuple(v for v in versions if v not in known.operators.get(node.op_type, ()))
        if lacking and node.domain in DEFAULT_DOMAINS:
            instead = known.advice.get(node.op_type, "write it with other operators (export/operators.json lists them)")
            yield error(node, f"{tensorrt(lacking)} has no {node.op_type}", instead)


def resizing(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """Ways of ``Resize`` that no TensorRT has: cubic, antialias, some coordinates."""
    can = tables().resize
    for node in facts.nodes if versions else ():
        if node.op_type != "Resize":
            continue
        mode = attribute(node, "mode", "nearest")
        checks = [
            ("mode", mode, can.modes),
            ("coordinate_transformation_mode", attribute(node, "coordinate_transformation_mode", "half_pixel"),
             can.transformations),
            ("keep_aspect_ratio_policy", attribute(node, "keep_aspect_ratio_policy", "stretch"), ("stretch",)),
        ]  # fmt: skip
        if mode == "nearest":
            checks.append(("nearest_mode", attribute(node, "nearest_mode", "round_prefer_floor"), can.rounding))
        for name, found, wanted in checks:
            if found not in wanted:
                yield error(node, f"{tensorrt(versions)} does not resize with {name} {found}",
                            f"use {' or '.join(wanted)}")  # fmt: skip
        if any(a.name == "antialias" and a.i for a in node.attribute):
            yield error(node, f"{tensorrt(versions)} does not resize with antialias", "leave it out, or average first")


def constant_inputs(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """Inputs that are computed where TensorRT wants constants."""
    known = tables()
    for node in facts.nodes:
        for need in known.constants.get(node.op_type, ()):
            name = given(node, need.place)
            strict = tuple(version for version in versions if version in known.until(need.until))
            if name and strict and name not in facts.constants:
                yield error(node, f"its input {need.name} is computed, and {tensorrt(strict)} wants a constant",
                            f"make {need.name} a constant (export.shapes folds what follows from shapes)")  # fmt: skip


def kernels(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """Kernels of convolutions that TensorRT 8 does not read: cast, or computed in another way than by dequantising."""
    known = tables()
    for node in facts.nodes:
        name = given(node, 1)
        if node.op_type not in ("Conv", "ConvTranspose") or name in facts.constants:
            continue
        maker = facts.makers[name].op_type if name in facts.makers else "a network's input"
        if maker == "DequantizeLinear":
            continue
        strict = tuple(v for v in versions if v in known.until("8.6" if maker == "Cast" else "8.2"))
        if strict:
            yield error(node, f"its kernel comes out of {maker}, and {tensorrt(strict)} wants a constant",
                        "store the kernel as float32")  # fmt: skip


def quantised(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """QuantizeLinear and DequantizeLinear: TensorRT knows signed bytes with the zero point 0, and no integer biases."""
    for node in facts.nodes if versions else ():
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        zero = facts.constants.get(given(node, 2))
        if zero is not None and np.any(values(zero) != 0):
            yield error(node, f"its zero point is not 0, and {tensorrt(versions)} quantises symmetrically only",
                        "quantise with symmetric activations and weights")  # fmt: skip
        kind = _quantised_type(facts, node)
        if kind in UNQUANTISED:
            bias = ", as quantisers write a bias" if kind == TensorProto.INT32 else ""
            instead = "leave the bias in float32" if bias else "quantise to INT8, with a zero point of that type"
            name = TensorProto.DataType.Name(kind)
            yield error(node, f"it is of {name}{bias}, and {tensorrt(versions)} wants INT8", instead)


def _quantised_type(facts: Facts, node: onnx.NodeProto) -> int:
    """Type of the quantised side; UNDEFINED where it cannot be told. Without a zero point ONNX takes UINT8."""
    zero = facts.constants.get(given(node, 2))
    if zero is not None:
        return int(zero.data_type)
    if node.op_type == "QuantizeLinear":
        return int(TensorProto.UINT8)
    source = facts.constants.get(given(node, 0))
    maker = facts.makers.get(given(node, 0))
    if source is not None:
        return int(source.data_type)
    quantises = maker is not None and maker.op_type == "QuantizeLinear"
    return _quantised_type(facts, maker) if maker is not None and quantises else int(TensorProto.UNDEFINED)


def integers(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """INT64 constants beyond INT32, to which TensorRT 8 clamps them. An end of ``Slice`` may be: it means the last."""
    old = tuple(version for version in versions if version in tables().until("8.6"))
    ends = np.iinfo(np.int32)
    for name, tensor in facts.constants.items() if old else ():
        if tensor.data_type != TensorProto.INT64:
            continue
        numbers = values(tensor)
        if not np.any((numbers < ends.min) | (numbers > ends.max)):
            continue
        for node, index in facts.readers.get(name, ()):
            if node.op_type != "Slice" or index not in (1, 2):
                yield error(node, f"its constant {name} holds integers beyond 32 bits, which {tensorrt(old)} clamps",
                            "keep integers within INT32")  # fmt: skip


def doubles(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """Constants of 64-bit floats, which TensorRT rounds."""
    for name, tensor in facts.constants.items() if versions else ():
        if tensor.data_type == TensorProto.DOUBLE:
            for node, _ in facts.readers.get(name, ()):
                yield warning(node, f"its constant {name} is of 64-bit floats, which {tensorrt(versions)} rounds to 32",
                              "store it as float32")  # fmt: skip


def largest_k(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """``TopK`` of more than TensorRT sorts."""
    limit = tables().largest_k
    for node in facts.nodes if versions else ():
        k = facts.constants.get(given(node, 1)) if node.op_type == "TopK" else None
        if k is not None and np.any(values(k) > limit):
            yield error(node, f"its K is {int(values(k).max())}, and {tensorrt(versions)} sorts {limit} at most",
                        "keep fewer, or sort on the CPU")  # fmt: skip


def einsum(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """``Einsum`` with an ellipsis, a diagonal or broadcasting, which TensorRT 8 does not compute."""
    old = tuple(version for version in versions if version in tables().until("8.6"))
    for node in facts.nodes if old else ():
        equation = attribute(node, "equation", "").replace(" ", "") if node.op_type == "Einsum" else ""
        terms = equation.split("->")[0].split(",")
        sizes: dict[str, set[int | None]] = {}
        for term, name in zip(terms, node.input, strict=False):
            for letter, size in zip(term, facts.shapes.get(name, ()), strict=False):
                sizes.setdefault(letter, set()).add(size)
        what = ""
        if "..." in equation:
            what = "an ellipsis"
        elif any(len(set(term)) != len(term) for term in terms):
            what = "a diagonal"
        elif any(len(found) > 1 for found in sizes.values()):
            what = "broadcasting"
        if what:
            why = f"{equation} has {what}, which {tensorrt(old)} does not compute"
            yield error(node, why, tables().advice["Einsum"])


def suppression(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """``NonMaxSuppression``, which is experimental in TensorRT 8.2: its output is padded."""
    old = tuple(version for version in versions if version in tables().until("8.2"))
    for node in facts.nodes if old else ():
        if node.op_type == "NonMaxSuppression":
            yield error(node, f"{tensorrt(old)} has it as an experiment only and pads what it gives",
                        tables().advice["NonMaxSuppression"])  # fmt: skip


def forms(facts: Facts, target: Target, versions: Versions) -> Iterator[Problem]:
    """Forms of single operators that TensorRT lacks: pooling in one dimension, indices of maxima, 5-D sampling."""
    for node in facts.nodes if versions else ():
        lists = {a.name: list(a.ints) for a in node.attribute}
        pools = node.op_type in ("AveragePool", "MaxPool", "LpPool")
        if pools and len(lists.get("kernel_shape", [0, 0])) < 2:
            yield error(node, f"{tensorrt(versions)} pools in two or three dimensions only",
                        "put a dimension of size 1 before it, or use ReduceMax or ReduceMean")  # fmt: skip
        if pools and any(step != 1 for step in lists.get("dilations", ())):
            yield error(node, f"{tensorrt(versions)} does not pool with dilations", "use a stride, or a larger kernel")
        if node.op_type in ("MaxPool", "LayerNormalization") and any(n in facts.readers for n in node.output[1:]):
            yield error(node, f"{tensorrt(versions)} gives its first output only", "compute the other on the CPU")
        modern = tuple(v for v in versions if v in tables().operators["GridSample"] and v not in tables().until("8.6"))
        if node.op_type == "GridSample" and modern and len(facts.shapes.get(given(node, 0), (1,) * 4)) != 4:
            yield error(node, f"{tensorrt(modern)} samples 4-D tensors only", "sample slice by slice")
        if node.op_type == "ScatterND" and attribute(node, "reduction", "none") != "none":
            yield error(node, f"{tensorrt(versions)} scatters without reduction only", "write it as MatMul with a mask")


#: Every rule but those about FP16.
RULES = (
    opset, ir_version, domains, external_data, static_shapes, absent, resizing, constant_inputs, kernels, quantised,
    integers, doubles, largest_k, einsum, suppression, forms,
)  # fmt: skip
