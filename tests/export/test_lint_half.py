"""What the lint says of FP16: constants, means of squares, and activations on samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.graph import ExportError
from export.lint import require_clean
from tests.export.graphs import found, node, save


def test_constants_beyond_fp16(tmp_path: Path) -> None:
    for value, level, said in ((7e4, "error", "holds 7e+04, and FP16 ends at 65504"),
                               (1e-8, "warning", "1e-08 at most, is zero in FP16")):  # fmt: skip
        path = save(tmp_path / "g.onnx", [node("Mul", "image w")], {"w": np.float32([value, 0.0] * 4)})
        assert found(path, "cpu") == []
        (finding,) = found(path, "nano-jp46")
        assert finding.level == level and finding.node == "mul" and said in finding.sentence
    for value in (6e4, 1e-6, -np.inf):
        path = save(tmp_path / "g.onnx", [node("Mul", "image w")], {"w": np.float32([value, 0.0] * 4)})
        assert found(path, "nano-jp46") == []


def test_means_of_squares_are_warned_of(tmp_path: Path) -> None:
    for nodes in ([node("Pow", "image two", "s")], [node("Mul", "image image", "s")]):
        path = save(tmp_path / "g.onnx", [*nodes, node("ReduceMean", "s", axes=[1])], {"two": np.float32(2)},
                    out=(1, 1, 8, 8))  # fmt: skip
        (finding,) = found(path, "orin-jp7")
        assert finding.level == "warning" and "it averages squares, which overflow FP16 from 256 on" in finding.sentence
        assert found(path, "cpu") == []
    path = save(tmp_path / "g.onnx", [node("Mul", "image two", "s"), node("ReduceMean", "s", axes=[1])],
                {"two": np.float32(2)}, out=(1, 1, 8, 8))  # fmt: skip
    assert found(path, "orin-jp7") == []


@pytest.mark.parametrize(("largest", "level"), [(4e4, "error"), (1e4, "warning"), (5e3, ""), (np.inf, "error")])
def test_activations_near_the_end_of_fp16(largest: float, level: str, tmp_path: Path) -> None:
    path = save(tmp_path / "g.onnx", [node("Mul", "image w", "m"), node("Tanh", "m")], {"w": np.float32(100)})
    samples = np.zeros((2, 3, 8, 8), np.float32)
    samples[1, 2, 3, 4] = -largest / 100
    assert found(path, "nano-jp46") == [] and found(path, "cpu", samples=samples) == []
    findings = found(path, "nano-jp46", samples=samples)
    assert [(finding.node, finding.level) for finding in findings] == ([("mul", level)] if level else [])
    if level:
        assert f"it reaches {largest:.3g} on the samples, and FP16 ends at 65504" in findings[0].sentence
        assert "scale its weights down and what follows up" in findings[0].sentence


def test_numbers_that_are_none_are_an_error(tmp_path: Path) -> None:
    path = save(tmp_path / "g.onnx", [node("Sqrt", "image", "m"), node("Tanh", "m")])
    findings = found(path, "nano-jp46", samples=np.full((1, 3, 8, 8), -1, np.float32))
    assert [(finding.node, finding.level) for finding in findings] == [("sqrt", "error"), ("tanh", "error")]
    assert "it reaches nan on the samples" in findings[0].sentence


def test_a_network_that_does_not_run_on_the_samples_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "g.onnx", [node("Relu", "image")])
    with pytest.raises(ExportError, match="the network does not run on the samples in ONNX Runtime"):
        require_clean(path, samples=np.zeros((1, 5, 8, 8), np.float32))
