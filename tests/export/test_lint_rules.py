"""The lint's rules, one by one: each finds what it is for, on the targets it holds for, and passes what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper

from edge.targets import TARGETS
from tests.export.graphs import found, node, save, sentences

#: Everything with TensorRT; everything with a TensorRT 8; everything with one from 8.6 on.
ENGINES = [name for name in TARGETS if name != "cpu"]
EIGHT = ["nano-jp46", "orin-jp5", "orin-jp6", "x86-trt"]
NEWER = ["orin-jp6", "orin-jp7", "x86-trt"]
SCALES = {"scales": np.float32([1, 1, 2, 2])}
QUANTISED = {"scale": np.float32(0.1)}


def test_ir_version(tmp_path: Path) -> None:
    path = save(tmp_path / "g.onnx", [node("Relu", "image")], ir=10)
    (refused,), (warned,) = found(path, "cpu"), found(path, "nano-jp46")
    assert refused.level == "error" and "it has IR version 10, and ONNX Runtime 1.10 refuses it" in refused.sentence
    assert warned.level == "warning" and "TensorRT 8.2 may not know it" in warned.sentence
    assert found(save(path, [node("Relu", "image")], ir=8), "cpu") == []


def test_foreign_domains(tmp_path: Path) -> None:
    path = save(tmp_path / "g.onnx", [node("Relu", "image")])
    model = onnx.load(str(path))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 5))
    onnx.save(model, str(path))
    assert sentences(path) == []
    (told,) = sentences(path, "cpu")
    assert "it imports the domain ai.onnx.ml, which no node uses" in told and "delete the entry" in told
    model.graph.node[0].domain = "ai.onnx.ml"
    onnx.save(model, str(path))
    for target, reader in (("nano-jp46", "TensorRT 8.2"), ("cpu", "ONNX Runtime 1.10")):
        (told,) = sentences(path, target)
        assert f"it is of the domain ai.onnx.ml, of which {reader} has nothing without a plugin" in told


def test_external_data(tmp_path: Path) -> None:
    path = save(tmp_path / "g.onnx", [node("Add", "image w")], {"w": np.ones((1, 3, 8, 8), np.float32)})
    model = onnx.load(str(path))
    onnx.save(model, str(path), save_as_external_data=True, location="g.data", size_threshold=0)
    for target in ("nano-jp46", "cpu"):
        (told,) = sentences(path, target)
        assert "1 of its constants, w first, lie in a file beside it" in told and "save it whole" in told


def test_an_output_of_no_fixed_size_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "g.onnx", [node("Reshape", "image shape")], {"shape": np.int64([1, -1])}, out=(1, "points"))
    assert sentences(path) == []  # what is declared loosely is known all the same
    nodes = [node("NonZero", "image", "where"), node("Cast", "where", to=TensorProto.FLOAT)]
    path = save(path, nodes, out=(4, "found"))
    (told,) = sentences(path, "orin-jp5")
    assert "output y on Jetson Orin, JetPack 5.1: it has no fixed size in dimension 1 (found)" in told


def test_a_node_that_makes_no_fixed_size_is_named(tmp_path: Path) -> None:
    nodes = [
        node("NonZero", "image", "where"), node("Cast", "where", "number", to=TensorProto.FLOAT),
        node("ReduceSum", "number", keepdims=0),
    ]  # fmt: skip
    path = save(tmp_path / "g.onnx", nodes, out=())
    (finding,) = found(path, "orin-jp5")
    assert finding.node == "nonzero"
    assert "the shape of where, which it makes, depends on the picture" in finding.sentence
    (absent,) = sentences(path)  # that it is not there at all is told once
    assert "TensorRT 8.2 has no NonZero; multiply by a mask of zeros and ones instead of taking indices" in absent


def case(nodes: list[NodeProto], constants: dict[str, Any], said: str, wrong: list[str], **more: Any) -> Any:
    return pytest.param(nodes, constants, said, wrong, more, id=said[:40])


@pytest.mark.parametrize(
    ("nodes", "constants", "said", "wrong", "more"),
    [
        case([node("HardSwish", "image")], {}, "TensorRT 8.2 has no HardSwish; export at opset 13", ["nano-jp46"]),
        case([node("Mod", "image d")], {"d": np.float32(2)}, "TensorRT 8.2 has no Mod; fold", ["nano-jp46"]),
        case([node("Gelu", "image")], {}, "has no Gelu; write it with Erf", EIGHT),
        case([node("Swish", "image")], {}, "has no Swish; write it as Sigmoid and Mul", ENGINES),
        case([node("Det", "image")], {}, "has no Det; write it with other operators", ENGINES, out=(1, 3)),
        case([node("Invented", "image")], {}, "has no Invented; write it with other operators", ENGINES),
        case([node("Resize", "image - scales", coordinate_transformation_mode="tf_crop_and_resize")], SCALES,
             "does not resize with coordinate_transformation_mode tf_crop_and_resize; use half_pixel", ENGINES,
             out=(1, 3, 16, 16)),
        case([node("Resize", "image - scales", mode="linear", antialias=1)], SCALES,
             "does not resize with antialias; leave it out", ENGINES, out=(1, 3, 16, 16)),
        case([node("Resize", "image - scales", nearest_mode="trunc")], SCALES,
             "does not resize with nearest_mode trunc; use floor", ENGINES, out=(1, 3, 16, 16)),
        case([node("Resize", "image - scales", mode="linear", keep_aspect_ratio_policy="not_larger")], SCALES,
             "does not resize with keep_aspect_ratio_policy not_larger; use stretch", ENGINES, out=(1, 3, 16, 16)),
        case([node("Add", "k one", "many"), node("TopK", "image many", "y at", axis=1)],
             {"k": np.int64([1]), "one": np.int64([0])}, "its input K is computed, and TensorRT 8.",
             ["nano-jp46", "orin-jp5"], out=(1, 1, 8, 8)),
        case([node("TopK", "image k", "y at")], {"k": np.int64([3840])}, "its K is 3840, and TensorRT", ENGINES,
             size=(1, 5000), out=(1, 3840)),
        case([node("Abs", "g", "gain"), node("InstanceNormalization", "image gain g")], {"g": np.ones(3, np.float32)},
             "its input scale is computed", ["nano-jp46", "orin-jp5"]),
        case([node("Abs", "a", "axis"), node("ReduceSum", "image axis")], {"a": np.int64([1])},
             "its input axes is computed", ENGINES, out=(1, 1, 8, 8)),
        case([node("Cast", "half", "w", to=TensorProto.FLOAT), node("Conv", "image w")],
             {"half": np.ones((3, 3, 1, 1), np.float16)},
             "its kernel comes out of Cast, and TensorRT 8.", EIGHT),
        case([node("Abs", "v", "w"), node("Conv", "image w")], {"v": np.ones((3, 3, 1, 1), np.float32)},
             "its kernel comes out of Abs, and TensorRT 8.2 wants a constant", ["nano-jp46"]),
        case([node("QuantizeLinear", "image scale zero", "q"), node("DequantizeLinear", "q scale zero")],
             {**QUANTISED, "zero": np.int8(3)}, "its zero point is not 0, and TensorRT", ENGINES, count=2),
        case([node("QuantizeLinear", "image scale zero", "q"), node("DequantizeLinear", "q scale zero")],
             {**QUANTISED, "zero": np.uint8(0)}, "it is of UINT8, and TensorRT", ENGINES, count=2),
        case([node("QuantizeLinear", "image scale", "q"), node("DequantizeLinear", "q scale")], QUANTISED,
             "it is of UINT8, and TensorRT", ENGINES, count=2),
        case([node("DequantizeLinear", "b scale", "bias"), node("Add", "image bias")],
             {**QUANTISED, "b": np.int32([[[[1]]]])}, "it is of INT32, as quantisers write a bias, and", ENGINES),
        case([node("Cast", "image", "i", to=TensorProto.INT64), node("Add", "i big", "j"),
              node("Cast", "j", to=TensorProto.FLOAT)], {"big": np.int64([2**40])},
             "its constant big holds integers beyond 32 bits, which TensorRT 8.", EIGHT),
        case([node("Cast", "image", "d", to=TensorProto.DOUBLE), node("Add", "d w", "e"),
              node("Cast", "e", to=TensorProto.FLOAT)], {"w": np.float64([1])},
             "its constant w is of 64-bit floats, which TensorRT", ENGINES, level="warning"),
        case([node("Einsum", "image w", equation="...,... -> ...")], {"w": np.ones((1, 3, 8, 8), np.float32)},
             "has an ellipsis, which TensorRT 8.", EIGHT),
        case([node("Einsum", "image", equation="abii->abi")], {}, "has a diagonal, which", EIGHT, out=(1, 3, 8)),
        case([node("Einsum", "image w", equation="abij,abij->abij")], {"w": np.ones((1, 3, 1, 8), np.float32)},
             "has broadcasting, which TensorRT 8.", EIGHT),
        case([node("MaxPool", "image", "y i", kernel_shape=[1, 1]), node("Cast", "i", "j", to=TensorProto.FLOAT)], {},
             "gives its first output only; compute the other on the CPU", ENGINES),
        case([node("MaxPool", "image", kernel_shape=[1], strides=[1])], {}, "pools in two or three dimensions only",
             ENGINES, size=(1, 3, 8)),
        case([node("MaxPool", "image", kernel_shape=[2, 2], dilations=[2, 2])], {}, "does not pool with dilations",
             ENGINES, out=(1, 3, 6, 6)),
        case([node("ScatterND", "image at new", reduction="add")],
             {"at": np.int64([[0]]), "new": np.ones((1, 3, 8, 8), np.float32)}, "scatters without reduction", ENGINES),
        case([node("GridSample", "image grid")], {"grid": np.zeros((1, 2, 2, 2, 3), np.float32)},
             "samples 4-D tensors only", NEWER, size=(1, 3, 2, 2, 2), also=["nano-jp46"]),
        case([node("NonMaxSuppression", "b s n", "i"), node("Cast", "i", to=TensorProto.FLOAT)],
             {"b": np.zeros((1, 4, 4), np.float32), "s": np.zeros((1, 1, 4), np.float32), "n": np.int64([2])},
             "as an experiment only and pads what it gives; give boxes and scores", ["nano-jp46"], out=(4, 3),
             also=list(TARGETS)),
    ],
)  # fmt: skip
def test_a_restriction_is_told_where_it_holds(
    nodes: list[NodeProto], constants: dict[str, Any], said: str, wrong: list[str], more: dict[str, Any], tmp_path: Path
) -> None:
    level, count, also = more.pop("level", "error"), more.pop("count", 1), more.pop("also", [])
    path = save(tmp_path / "g.onnx", nodes, constants, **more)
    told = {name: [f for f in found(path, name) if said in f.sentence] for name in TARGETS}
    assert [name for name in TARGETS if told[name]] == [name for name in TARGETS if name in wrong]
    for name in wrong:
        assert len(told[name]) == count and {finding.level for finding in told[name]} == {level}
        assert all(finding.node and f"node {finding.node} (" in finding.sentence for finding in told[name])
    for name in set(TARGETS) - set(wrong) - set(also):
        assert found(path, name) == []


def test_what_is_right_passes_everywhere(tmp_path: Path) -> None:
    """Neighbours of the cases above, none of which any target refuses."""
    far = np.iinfo(np.int64).max
    nodes = [
        node("Slice", "image start end axes", "cut"),  # to the end
        node("Clip", "cut low high", "clipped"),  # a bound that bounds nothing
        node("Resize", "clipped - scales", "large", mode="linear", coordinate_transformation_mode="align_corners"),
        node("QuantizeLinear", "large scale zero", "q"),
        node("DequantizeLinear", "q scale zero", "d"),
        node("DequantizeLinear", "w8 scale zero", "w"),
        node("Conv", "d w b", "c"),
        node("Einsum", "c c", "e", equation="nchw,nchw->nchw"),
        node("MaxPool", "e", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("TopK", "p k", "y at", axis=1),
    ]
    constants = {
        "start": np.int64([1]), "end": np.int64([far]), "axes": np.int64([2]), "low": np.float32(-3.4e38),
        "high": np.float32(3.4e38), **SCALES, "scale": np.float32(0.1), "zero": np.int8(0),
        "w8": np.ones((3, 3, 1, 1), np.int8), "b": np.zeros(3, np.float32), "k": np.int64([2]),
    }  # fmt: skip
    path = save(tmp_path / "g.onnx", nodes, constants, out=(1, 2, 7, 8))
    assert {name: sentences(path, name) for name in TARGETS} == {name: [] for name in TARGETS}


def test_subgraphs_are_looked_into(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("t", TensorProto.FLOAT, (1, 3, 8, 8))
    branches = {f"{name}_branch": helper.make_graph([node("HardSwish", "image", "t")], name, [], [value])
                for name in ("then", "else")}  # fmt: skip
    path = save(tmp_path / "g.onnx", [node("If", "yes", **branches)], {"yes": np.bool_(True)})
    assert [finding.node for finding in found(path, "nano-jp46")] == ["hardswish"]
    assert found(path, "orin-jp5") == []
