"""NVIDIA's own ONNX parser and builder read every network that ships. TensorRT-RTX builds without a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import SHIPPED, load_bundle
from export.graph import ExportError
from export.lint import networks_of, require_clean
from export.operators import tables

trt = pytest.importorskip("tensorrt_rtx", reason="NVIDIA's parser is not here; type: pip install tensorrt-rtx")

NETWORKS = [
    (folder.name, network.path.name)
    for folder in sorted(Path(SHIPPED).iterdir())
    if (folder / "manifest.json").is_file()
    for network in networks_of(load_bundle(str(folder)))
    if network.precision != "int8-cpu"  # which is not for TensorRT
]


def parsed(content: bytes) -> tuple[Any, Any, list[str]]:
    """A builder, the network it parsed, and the parser's complaints."""
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    parser.parse(content)
    return builder, network, [parser.get_error(n).desc() for n in range(parser.num_errors)]


def built(content: bytes) -> int:
    """Bytes of the engine for an RTX 30xx, compute capability 8.6."""
    builder, network, complaints = parsed(content)
    assert complaints == []
    settings = builder.create_builder_config()
    settings.num_compute_capabilities = 1
    settings.set_compute_capability(trt.ComputeCapability.SM86, 0)
    engine = builder.build_serialized_network(network, settings)
    assert engine is not None
    return int(engine.nbytes)


@pytest.mark.parametrize(("bundle", "file"), NETWORKS)
def test_shipped_networks_build(bundle: str, file: str) -> None:
    content = (Path(SHIPPED) / bundle / file).read_bytes()
    assert built(content) > len(content) / 8  # its weights are in it


def test_the_newest_column_of_the_tables_is_what_the_parser_says() -> None:
    """TensorRT-RTX 1.7 is of the age of TensorRT 11; it comes without the plugin behind DeformConv."""
    log = trt.Logger(trt.Logger.ERROR)
    network = trt.Builder(log).create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    known = tables().operators
    differ = [name for name, versions in known.items() if parser.supports_operator(name) != ("11" in versions)]
    assert differ == ["DeformConv"]


def quantised(path: Path, integer_bias: bool) -> bytes:
    """A quantised convolution, written to ``path``."""
    tensors = {
        "q": np.ones((4, 3, 1, 1), np.int8), "scale": np.float32(0.1), "zero": np.int8(0),
        "b": np.ones(4, np.int32), "bzero": np.int32(0),
    }  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["image", "scale", "zero"], ["x8"], "quantise"),
        helper.make_node("DequantizeLinear", ["x8", "scale", "zero"], ["x"], "dequantise"),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["w"], "kernel"),
        helper.make_node("DequantizeLinear", ["b", "scale", "bzero"], ["bias"], "bias"),
        helper.make_node("Conv", ["x", "w", "bias"], ["y"], "conv"),
    ]
    bias = numpy_helper.from_array(np.ones(4, np.float32), "bias")
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()]
    if not integer_bias:
        nodes, constants = nodes[:3] + nodes[4:], [*constants[:3], bias]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, 8, 8))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4, 8, 8))
    graph = helper.make_graph(nodes, "g", [image], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7), str(path))
    return path.read_bytes()


def test_an_integer_bias_is_refused_by_nvidia_and_by_the_lint(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    assert parsed(quantised(path, integer_bias=True))[2] != []
    with pytest.raises(ExportError, match=r"node bias .* on PC .* of INT32, as quantisers write a bias"):
        require_clean(path, "int8")
    assert built(quantised(path, integer_bias=False)) > 0
    require_clean(path, "int8")
