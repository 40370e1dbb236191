"""The Nano's time: published networks within the documented band, and the rules of what a layer is."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from edge.errors import DataError
from export.__main__ import main
from export.estimate import LAUNCH, estimate, estimate_model
from export.graph import ExportError
from export.published import PUBLISHED, RATIO, check


def graph(*nodes: onnx.NodeProto, **weights: tuple[int, ...]) -> onnx.ModelProto:
    """A model from ``image`` (1, 8, 16, 16) to ``out``, its weights without values."""
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 8, 16, 16))]
    inputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in weights.items()]
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    built = helper.make_graph(list(nodes), "g", inputs, [out])
    return helper.make_model(built, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def conv(source: str, weight: str, out: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, weight], [out], pads=[1, 1, 1, 1], **attributes)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "densenet121"])
def test_published_networks_are_met(name: str) -> None:
    (row,) = check((name,))
    assert RATIO[0] <= row.ratio <= RATIO[1]


def test_operations_are_those_published() -> None:
    # "GFLOP counted", next to the measured times.
    for name, gflop in (("resnet18", 3.63), ("squeezenet1_1", 0.70), ("alexnet", 1.43), ("resnet50", 8.18)):
        assert estimate_model(PUBLISHED[name].build()).gflop == pytest.approx(gflop, rel=0.02)


def test_depthwise_layers_are_slow() -> None:
    (row,) = check(("mobilenet_v2 at 300x300",))
    assert row.predicted == pytest.approx(15.6, rel=0.05)
    dense = estimate_model(graph(conv("image", "w", "out"), w=(8, 8, 3, 3)))
    wise = estimate_model(graph(conv("image", "w", "out", group=8), w=(8, 1, 3, 3)))
    assert wise.gflop == pytest.approx(dense.gflop / 8) and wise.ms > dense.ms


def test_activations_are_fused_and_joins_are_not() -> None:
    one = graph(conv("image", "w", "a"), helper.make_node("Relu", ["a"], ["out"]), w=(8, 8, 3, 3))
    (layer,) = estimate_model(one).layers
    assert layer.kind == "Conv+Relu" and layer.flop == 2 * 8 * 8 * 9 * 256
    assert layer.bytes == 2 * (2 * 8 * 256 + 8 * 8 * 9)
    assert layer.seconds == pytest.approx(layer.bytes / 12e9 + LAUNCH)
    joined = graph(conv("image", "w", "a"), helper.make_node("Add", ["a", "image"], ["out"]), w=(8, 8, 3, 3))
    assert [layer.kind for layer in estimate_model(joined).layers] == ["Conv", "Add"]


def test_an_activation_of_what_others_read_stands_alone() -> None:
    relu, add = helper.make_node("Relu", ["a"], ["b"]), helper.make_node("Add", ["a", "b"], ["out"])
    model = graph(conv("image", "w", "a"), relu, add, w=(8, 8, 3, 3))
    assert [layer.kind for layer in estimate_model(model).layers] == ["Conv", "Relu", "Add"]


def test_reshaping_and_joining_cost_nothing() -> None:
    nodes = (helper.make_node("Concat", ["image", "image"], ["a"], axis=1), helper.make_node("Flatten", ["a"], ["b"]))
    linear = helper.make_node("Gemm", ["b", "w"], ["out"])
    assert [layer.kind for layer in estimate_model(graph(*nodes, linear, w=(4096, 10))).layers] == ["Gemm"]


def test_every_part_of_a_split_is_a_copy() -> None:
    split = helper.make_node("Split", ["image"], ["a", "b"], axis=1)
    layers = estimate_model(graph(split, helper.make_node("Add", ["a", "b"], ["out"]))).layers
    assert [(layer.kind, layer.bytes) for layer in layers[:2]] == [("Split", 2 * 8 * 256)] * 2 and len(layers) == 3


def test_shapes_must_be_known() -> None:
    model = graph(conv("image", "w", "out"), w=(8, 8, 3, 3))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    with pytest.raises(ExportError, match="is not static; export the graph with batch 1 and fixed sizes"):
        estimate_model(model)


def test_shipped_bundle_by_name_and_band() -> None:
    result = estimate(Path("lin2018"))
    assert 7 < result.ms < 9 and result.low == pytest.approx(0.8 * result.ms) and result.high > result.ms


def test_command_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    onnx.save(graph(conv("image", "w", "out"), w=(8, 8, 3, 3)), str(path))
    assert main(["estimate", str(path), "--layers"]) == 0
    printed = capsys.readouterr().out
    assert "estimated, not measured" in printed and "MFLOP" in printed
    assert main(["estimate", "--check"]) == 0
    assert "outside 0.69 to 1.24: none" in capsys.readouterr().out
    assert main(["estimate"]) != 0
    assert "nothing to estimate" in capsys.readouterr().err
    path.write_bytes(b"no graph")
    assert main(["estimate", str(path)]) != 0
    assert "cannot be read as an ONNX graph" in capsys.readouterr().err
    with pytest.raises(DataError, match="cannot be read"):
        estimate(tmp_path)
