"""Small graphs, node by node, for the lint, and what it finds in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from export.lint import Finding, Network, lint_network

Dim = int | str


def save(
    path: Path, nodes: Sequence[NodeProto], constants: dict[str, Any] | None = None, size: Sequence[Dim] = (1, 3, 8, 8),
    out: Sequence[Dim] | None = None, opset: int = 13, ir: int = 7,
) -> Path:
    """A graph from ``image`` to ``y``. out: shape of ``y``, that of ``image`` when left out."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, size)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, size if out is None else out)
    weights = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "g", [image], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)
    onnx.save(model, str(path))
    return path


def node(kind: str, inputs: str, outputs: str = "y", **attributes: Any) -> NodeProto:
    """A node named as its operator in small letters; inputs and outputs parted by spaces, ``-`` for none."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, outputs.split(), kind.lower(), **attributes)


def found(path: Path, target: str, precision: str = "fp32", samples: np.ndarray | None = None) -> list[Finding]:
    """Findings for one target."""
    (verdict,) = lint_network(Network(path, precision, samples), [target])
    return list(verdict.findings)


def sentences(path: Path, target: str = "nano-jp46", **more: Any) -> list[str]:
    """What the findings for one target say."""
    return [finding.sentence for finding in found(path, target, **more)]
