"""The lint as a whole: the network it is there to refuse, its tables, its command, and the bundles that ship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor

from edge.bundle import SHIPPED, sha256_file
from edge.errors import DataError
from edge.targets import TARGETS
from export import operators
from export.__main__ import main
from export.bundle import write_bundle
from export.graph import ExportError
from export.lint import lint, require_clean, serves
from export.operators import tables, versions_of
from tests.export.graphs import found, node, save, sentences
from tests.export.test_bundle_export import Everything
from tests.export.test_bundle_export import save as checkpoint
from training.networks import NETWORKS
from training.networks.base import Prediction

NANO = "Jetson Nano, JetPack 4.6.1 to 4.6.6"


def bad(path: Path, opset: int) -> Path:
    """All that a Nano does not read: a batch of any size, sampling, layer normalisation, cubic resizing."""
    nodes = [
        node("Resize", "image - scales", "large", mode="cubic"),
        node("GridSample", "large grid", "sampled"),
        node("LayerNormalization", "sampled gain", "y"),
    ]
    constants = {
        "scales": np.float32([1, 1, 2, 2]), "grid": np.zeros((1, 8, 8, 2), np.float32), "gain": np.ones(8, np.float32),
    }  # fmt: skip
    return save(path, nodes, constants, ("batch", 3, 8, 8), (1, 3, 8, 8), opset)


SENTENCES = {
    "input image": f"input image on {NANO}: it has no fixed size in dimension 0 (batch), and the runtime is set up for "
    "one; export it with a fixed shape, without dynamic_axes",
    "resize": f"node resize (Resize) on {NANO}: TensorRT 8.2 does not resize with mode cubic; use nearest or linear",
    "gridsample": f"node gridsample (GridSample) on {NANO}: TensorRT 8.2 has no GridSample; crop and resize the "
    "picture before the network, or use Resize within it",
    "layernormalization": f"node layernormalization (LayerNormalization) on {NANO}: TensorRT 8.2 has no "
    "LayerNormalization; use batch normalisation, or export at opset 13, which writes it as ReduceMean, Sub, Pow, Sqrt "
    "and Div",
}


def test_a_bad_network_is_refused_for_the_nano_in_four_sentences(tmp_path: Path) -> None:
    findings = found(bad(tmp_path / "bad.onnx", 13), "nano-jp46")
    assert sorted(finding.sentence for finding in findings) == sorted(SENTENCES.values())
    assert {finding.node for finding in findings} == {"", "resize", "gridsample", "layernormalization"}
    assert {finding.level for finding in findings} == {"error"} and {f.file for f in findings} == {"bad.onnx"}


def test_at_a_new_opset_a_fifth_sentence_tells_it(tmp_path: Path) -> None:
    told = sentences(bad(tmp_path / "bad.onnx", 17))
    newer = "it is written in opset 17, and opset 13 is the newest that is read there; export it with opset_version=13"
    assert set(told) - set(SENTENCES.values()) == {f"the network on {NANO}: {newer} and dynamo=False"}
    assert len(told) == 5


def test_require_clean_tells_them_all(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        require_clean(bad(tmp_path / "bad.onnx", 13))
    assert "bad.onnx would not run on every target:\n" in str(caught.value)
    assert all(sentence in str(caught.value) for sentence in SENTENCES.values())
    assert "on Jetson Orin, JetPack 5.1: TensorRT 8.5 has no LayerNormalization" in str(caught.value)
    assert "has no GridSample" not in str(caught.value).replace(SENTENCES["gridsample"], "")


def test_the_command_prints_sentences_and_a_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(bad(tmp_path / "bad.onnx", 13))
    assert main(["lint", path, "--target", "nano-jp46"]) == 1
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed[:4]) == sorted(f"error: bad.onnx: {sentence}" for sentence in SENTENCES.values())
    assert printed[4:] == ["nano-jp46: bad.onnx: refused, 4 errors, 0 warnings"]
    good = str(save(tmp_path / "good.onnx", [node("Relu", "image")]))
    assert main(["lint", good]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name}: good.onnx: passes, 0 warnings" for name in TARGETS]
    assert main(["lint", good, "--target", "nano"]) == 2
    assert "unknown target 'nano'; known are nano-jp46" in capsys.readouterr().err


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a network")
    for name in ("text.onnx", "none.onnx"):
        with pytest.raises(DataError, match=f"{name} cannot be read as an ONNX file .*give a bundle or an .onnx file"):
            lint(tmp_path / name)


def test_targets_touch_the_tables_of_their_range() -> None:
    assert {name: versions_of(target) for name, target in TARGETS.items()} == {
        "nano-jp46": ("8.2",), "orin-jp5": ("8.5",), "orin-jp6": ("8.6", "10"), "orin-jp7": ("10", "11"),
        "x86-trt": ("8.6", "10", "11"), "cpu": (),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "since"),
    [("Conv", "8.2"), ("ScatterND", "8.2"), ("GridSample", "8.5"), ("HardSwish", "8.5"), ("Mod", "8.5"),
     ("NonZero", "8.5"), ("Trilu", "8.5"), ("IsInf", "8.6"), ("LayerNormalization", "8.6"),
     ("GroupNormalization", "8.6"), ("Gelu", "10"), ("Swish", "11")],
)  # fmt: skip
def test_an_operator_is_there_from_a_version_on(operator: str, since: str) -> None:
    known = tables()
    assert known.operators[operator] == known.versions[known.versions.index(since) :]


def test_the_tables_hold_together() -> None:
    known = tables()
    assert known.versions == ("8.2", "8.5", "8.6", "10", "11") and len(known.operators) > 190
    assert set(known.constants) | set(known.advice) <= set(known.operators)
    assert all(need.until in known.versions for needs in known.constants.values() for need in needs)
    for operator, versions in known.operators.items():
        assert versions == () or versions == known.versions[known.versions.index(versions[0]) :], operator


def test_a_row_of_the_wrong_length_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads(Path(operators.__file__).with_name("operators.json").read_text())
    content["operators"]["Abs"] = "yy"
    (tmp_path / "operators.json").write_text(json.dumps(content))
    monkeypatch.setattr(operators, "__file__", str(tmp_path / "operators.py"))
    with pytest.raises(ValueError, match="Abs has the marks 'yy', wanted y or - for each of"):
        operators.tables.__wrapped__()


def test_which_targets_run_a_precision() -> None:
    served = {precision: [name for name, target in TARGETS.items() if serves(precision, target)]
              for precision in ("fp32", "fp16", "int8", "int8-cpu")}  # fmt: skip
    assert served == {
        "fp32": list(TARGETS), "fp16": ["orin-jp7", "x86-trt"],
        "int8": ["orin-jp5", "orin-jp6", "orin-jp7", "x86-trt"], "int8-cpu": ["cpu"],
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(p.name for p in Path(SHIPPED).iterdir() if (p / "manifest.json").is_file()))
def test_shipped_bundles_pass_every_target(name: str) -> None:
    verdicts = lint(Path(name))
    assert [finding.sentence for verdict in verdicts for finding in verdict.findings] == []
    assert {verdict.target for verdict in verdicts} == set(TARGETS)
    held = json.loads((Path(SHIPPED) / name / "manifest.json").read_text())["files"]
    assert {verdict.file for verdict in verdicts} == {file for file in held if file.endswith(".onnx")}


def spoiled(folder: Path, file: str, weight: float) -> Path:
    """A copy of a shipped bundle in which one constant of one network is as large as that."""
    shutil.copytree(Path(SHIPPED) / "lin2018", folder)
    model = onnx.load(str(folder / file))
    bias = next(n.input[2] for n in model.graph.node if n.op_type == "Conv")
    tensor = next(t for t in model.graph.initializer if t.name == bias)
    values = numpy_helper.to_array(tensor).copy()
    values[0] = weight
    tensor.CopyFrom(numpy_helper.from_array(values, bias))
    onnx.save(model, str(folder / file))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][file]["sha256"] = sha256_file(str(folder / file))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize("file", ["reconstructor.onnx", "finder.onnx"])
def test_every_network_of_a_bundle_is_run_on_its_pictures(file: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        require_clean(spoiled(tmp_path / "b", file, 4e4))
    lines = str(caught.value).splitlines()[1:]
    assert all(line.startswith(f"  {file}: node ") for line in lines)
    assert any("on the samples" in line for line in lines)


class Remainder(Everything):
    """A network with an operator that the Nano lacks."""

    def forward(self, image: Tensor) -> Prediction:
        given = super().forward(image)
        return given._replace(length=torch.fmod(given.length, 0.5))


def test_a_bundle_that_a_target_cannot_run_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "remainder", Remainder)
    run = checkpoint(tmp_path / "last.pt", "remainder", Remainder(24, pretrained=False), arguments={"image_size": 24})
    with pytest.raises(ExportError, match=r"reconstructor.onnx: node .* \(Mod\) on Jetson Nano, .* has no Mod; fold"):
        write_bundle(run, tmp_path / "b", "b")
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
