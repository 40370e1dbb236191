"""Other precisions of a graph: what they compute, and what TensorRT's parser and ONNX Runtime ask of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.calibration import Range, ranges
from export.graph import ExportError, halve_weights
from export.half import beyond_half, halve
from export.plain import plain_graph
from export.quantise import CPU, TENSORRT, Recipe, activations, convolutions, quantise, scale_of
from export.sensitivity import LIMITS, Judge, choose, run_model
from tests.export.small import OUTPUTS, images, small_model

LAYERS = ["/stem/Conv", "/deep/Conv", "/flat/Conv", "/last/Conv"]


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return plain_graph(small_model())


@pytest.fixture(scope="module")
def held(model: onnx.ModelProto) -> dict[str, Range]:
    return ranges(model, {*activations(model, TENSORRT), *activations(model, CPU)}, images(16))


def moved(model: onnx.ModelProto, other: onnx.ModelProto, exact: bool = True) -> float:
    """Mean difference of the points, on pictures not used otherwise."""
    inputs = images(8, seed=5)
    return float(np.abs(run_model(other, inputs, exact)["points"] - run_model(model, inputs, exact)["points"]).mean())


def checked(model: onnx.ModelProto) -> onnx.ModelProto:
    """A graph that is valid, of the default operators alone, from and to float32."""
    onnx.checker.check_model(model, full_check=True)
    assert {entry.domain: entry.version for entry in model.opset_import} == {"": 13} and model.ir_version <= 8
    for value in [*model.graph.input, *model.graph.output]:
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT
    assert {value.name for value in model.graph.output} == set(OUTPUTS)
    return model


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_a_plain_graph_has_its_weights_in_float32_and_no_idle_casts(tmp_path: Path) -> None:
    path = tmp_path / "stored.onnx"
    onnx.save(small_model(), str(path))
    assert halve_weights(path) > 0
    stored = onnx.load(str(path))
    plain = checked(plain_graph(stored))
    assert "Cast" in Counter(node.op_type for node in stored.graph.node)
    assert "Cast" not in Counter(node.op_type for node in plain.graph.node)
    assert {value.dtype for value in constants(plain).values()} == {np.dtype("float32"), np.dtype("int64")}
    assert moved(stored, plain) < 1e-7


def test_a_constant_node_of_floats_is_refused() -> None:
    model = small_model()
    value = numpy_helper.from_array(np.ones(3, np.float32))
    model.graph.node.insert(0, helper.make_node("Constant", [], ["ones"], value=value))
    with pytest.raises(ExportError, match="ones is a Constant node; export the bundle again"):
        plain_graph(model)


def test_half_computes_in_float16_but_for_an_epsilon(model: onnx.ModelProto) -> None:
    half = checked(halve(model))
    assert beyond_half(model) == {"/above/Add": "epsilon"}
    kinds = Counter(value.dtype.name for value in constants(half).values())
    assert kinds == {"float16": 12, "float32": 1, "int64": 2}  # the epsilon, and the two shapes
    assert constants(half)["epsilon"] == np.float32(1e-12)
    assert 0 < moved(model, half) < 1e-3
    # One on the way in, two around the epsilon, one for each output.
    assert Counter(node.op_type for node in half.graph.node)["Cast"] == 3 + len(OUTPUTS)


def test_half_leaves_what_it_is_told(model: onnx.ModelProto) -> None:
    half = checked(halve(model, ["/stem/Conv", "/points/Reshape"]))
    assert constants(half)["stem.w"].dtype == np.float32
    assert constants(half)["deep.w.half"].dtype == np.float16
    assert 0 < moved(model, half) < 1e-3


def test_half_gives_an_output_that_is_read_inside_as_well(model: onnx.ModelProto) -> None:
    model = onnx.ModelProto.FromString(model.SerializeToString())
    model.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, (1, 8, 16, 16)))
    half = halve(model)
    onnx.checker.check_model(half, full_check=True)
    found = run_model(half, images(1), True)["sum"]
    assert found.dtype == np.float32 and found.std() > 0.1


def test_a_resize_keeps_its_scales(model: onnx.ModelProto) -> None:
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    nodes = [helper.make_node("Resize", ["image", "", "scales"], ["large"], name="resize", mode="nearest")]
    out = helper.make_tensor_value_info("large", TensorProto.FLOAT, (1, 3, 64, 64))
    graph = helper.make_graph(nodes, "g", list(model.graph.input), [out], [scales])
    half = halve(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7))
    onnx.checker.check_model(half, full_check=True)
    assert constants(half)["scales"].dtype == np.float32
    assert run_model(half, images(1), False)["large"].shape == (1, 3, 64, 64)


def test_tensorrts_recipe_is_symmetric_and_at_convolutions_alone(
    model: onnx.ModelProto, held: dict[str, Range]
) -> None:
    assert convolutions(model) == LAYERS
    quantised = checked(quantise(model, held, LAYERS, TENSORRT))
    made = {name: node for node in quantised.graph.node for name in node.output}
    values = constants(quantised)
    kinds = Counter(node.op_type for node in quantised.graph.node)
    assert kinds["QuantizeLinear"] == kinds["DequantizeLinear"] == 2 * len(LAYERS)
    for node in quantised.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = values[node.input[2]]
            assert zero.dtype == np.int8 and not zero.any()
        if node.op_type == "Conv":
            assert [made[name].op_type for name in node.input[:2]] == ["DequantizeLinear"] * 2
            assert values[made[made[node.input[1]].input[0]].input[0]].dtype == np.float32
            assert all(values[name].dtype == np.float32 for name in node.input[2:])
    # The sum's other branch is not what the convolution before it was given in INT8.
    assert next(node for node in quantised.graph.node if node.op_type == "Add").input[1] == "stem.clip"
    assert 0 < moved(model, quantised) < 0.02


def test_kernels_lie_on_the_grid_of_their_channel(model: onnx.ModelProto, held: dict[str, Range]) -> None:
    values = constants(quantise(model, held, LAYERS, TENSORRT))
    whole = values["stem.w.grid"] / values["stem.w.grid.scale"].reshape(-1, 1, 1, 1)
    assert np.abs(whole - np.round(whole)).max() < 1e-4 and np.abs(whole).max() == pytest.approx(127)
    assert np.abs(values["stem.w.grid"] - constants(model)["stem.w"]).max() <= values["stem.w.grid.scale"].max() / 2


def test_layers_that_are_not_chosen_stay_as_they_are(model: onnx.ModelProto, held: dict[str, Range]) -> None:
    for recipe in (TENSORRT, CPU):
        quantised = checked(quantise(model, held, ["/deep/Conv"], recipe))
        assert "stem.w" in constants(quantised) and "deep.w" not in constants(quantised)
        assert 0 < moved(model, quantised) < 0.02


def test_a_cpu_gets_integer_kernels(model: onnx.ModelProto, held: dict[str, Range], tmp_path: Path) -> None:
    quantised = checked(quantise(model, held, LAYERS, CPU))
    values = constants(quantised)
    assert values["stem.w.q"].dtype == np.int8 and np.abs(values["stem.w.q"]).max() == 63  # 7 bits
    assert values["/stem/Conv.bias.q"].dtype == np.int32 and values["image.zero"].dtype == np.uint8
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(quantised.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    # The last convolution has an output to quantise as well, so that all four are fused, and both Clips are gone.
    assert kinds["QLinearConv"] == 4 and kinds["QLinearAdd"] == 1 and kinds["Clip"] == kinds["FusedConv"] == 0
    assert 0 < moved(model, quantised, exact=False) < 0.02


def test_a_scale_cuts_a_lonely_outlier_and_keeps_zero() -> None:
    values = np.random.default_rng(0).normal(0, 1, 4000).astype(np.float32)
    alone = scale_of(Range(values, -4.0, 4.0), True)
    cut = scale_of(Range(values, -4.0, 40.0), True)
    assert alone.zero == 0 and alone.scale <= 4 / 127 + 1e-9
    assert cut.scale < 0.5 * 40 / 127
    above = scale_of(Range(np.abs(values), 0.5, 4.0), False)
    assert above.zero == 0 and above.kind is np.uint8  # 0 is a number of it though nothing is below 0.5
    both = scale_of(Range(values, -1.0, 3.0), False)
    assert both.zero == pytest.approx(64, abs=1)
    assert scale_of(Range(np.zeros(4, np.float32), 0.0, 0.0), True).scale == 1.0


@pytest.mark.parametrize("recipe", [TENSORRT, CPU])
def test_a_dead_channel_is_no_division_by_zero(recipe: Recipe, held: dict[str, Range]) -> None:
    model = small_model()
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "flat.w")
    values = numpy_helper.to_array(weights).copy()
    values[2] = 0
    weights.CopyFrom(numpy_helper.from_array(values, "flat.w"))
    plain = plain_graph(model)
    assert moved(plain, quantise(plain, held, LAYERS, recipe)) < 0.02


def test_the_most_sensitive_stay_until_the_cloud_holds_still(model: onnx.ModelProto) -> None:
    def make(chosen: Sequence[str]) -> onnx.ModelProto:
        """A graph whose stem is off by 1, or whose depthwise kernel is by a thousandth, if they are chosen."""
        worse = onnx.ModelProto.FromString(model.SerializeToString())
        for tensor in worse.graph.initializer:
            off = {"stem.b": ("a", 1.0), "deep.b": ("b", 0.2), "flat.b": ("c", 1e-5)}.get(tensor.name)
            if off is not None and off[0] in chosen:
                value = numpy_helper.to_array(tensor) + np.float32(off[1])
                tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
        return worse

    judge = Judge(model, images(4), exact=False)
    assert judge.part == "points" and judge.move(model) == 0
    choice = choose(make, ["c", "b", "a"], judge)
    assert choice.kept == ("a", "b") and list(choice.ranking) == ["a", "b", "c"]
    assert choice.moved <= LIMITS["points"] < choice.ranking["b"]
    assert choose(make, ["c"], judge).kept == ()
    assert choose(make, ["c", "b", "a"], judge, share=1e6).ranking == {}  # nothing had to be told apart
