"""What can be scored besides bundles: ONNX files without a manifest, checkpoints of registered networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from edge.bundle import load_bundle
from edge.errors import BackendError, DataError, SettingsError
from tests.edge.helpers import TINY_BUNDLE
from training import checkpoint
from training.benchmark import subjects
from training.networks import build

PICTURE = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)


def test_an_onnx_file_without_manifest_is_scored_by_the_contract(tmp_path: Path) -> None:
    bundle = load_bundle("lin2018")
    path = tmp_path / "mine.onnx"
    shutil.copy(bundle.file("reconstructor.onnx"), path)
    subject = subjects.onnx_subject(path)
    assert subject.name == "mine" and subject.sha256 == bundle.manifest["files"]["reconstructor.onnx"]["sha256"]
    got, timings = subjects.predictor(subject)(PICTURE)
    wanted, _ = subjects.predictor(subjects.bundle_subject("lin2018"))(PICTURE)
    assert np.array_equal(got, wanted) and timings["network"] > 0


def graph(path: Path, image: list[object], maps: list[object], name: str = "image") -> Path:
    """A file that declares these shapes; it is never run."""
    made = helper.make_graph(
        [helper.make_node("Identity", [name], ["maps"])],
        "wrong",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, image)],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, maps)],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("image", "maps", "name", "sentence"),
    [
        ([1, 3, 8, 8], [1, 3, 8, 8], "image", r"gives maps \(1, 3, 8, 8\); without a manifest it must"),
        (["N", 3, 8, 8], ["N", 3, 8, 8], "image", r"takes image \(N, 3, 8, 8\)"),
        ([1, 3, 8, 8], [1, 3, 8, 8], "input", r"takes input \(1, 3, 8, 8\) and gives .* it must take image"),
    ],
)
def test_other_onnx_files_are_refused_with_their_shapes(
    tmp_path: Path, image: list[object], maps: list[object], name: str, sentence: str
) -> None:
    with pytest.raises(BackendError, match=sentence):
        subjects.onnx_subject(graph(tmp_path / "wrong.onnx", image, maps, name))


def test_a_file_that_is_no_network_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"text")
    with pytest.raises(BackendError, match="refuses .*a.onnx"):
        subjects.onnx_subject(tmp_path / "a.onnx")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as training writes it, of a network that has learnt nothing."""
    torch.manual_seed(0)
    network = build("lin2018")
    path = tmp_path_factory.mktemp("run") / "last.pt"
    checkpoint.save(path, {"network_name": "lin2018", "average": network.state_dict()})
    return path


def test_a_checkpoint_is_run_by_pytorch(trained: Path) -> None:
    subject = subjects.checkpoint_subject("lin2018", trained)
    assert subject.cost["gflop"] == pytest.approx(1.95, abs=0.03)
    assert subject.cost["parameters_m"] == pytest.approx(24.2, abs=0.1)
    points, timings = subjects.predictor(subject, max_points=1000)(PICTURE)
    assert points.shape == (1000, 3) and np.isfinite(points).all() and timings["network"] > 0
    again, _ = subjects.predictor(subject, max_points=1000)(PICTURE)
    assert np.array_equal(points, again)


def test_checkpoints_of_other_networks_are_refused(trained: Path, tmp_path: Path) -> None:
    state = checkpoint.load(trained)
    del state["format"]
    checkpoint.save(tmp_path / "other.pt", {**state, "network_name": "mine"})
    with pytest.raises(SettingsError, match="holds a network 'mine', not 'lin2018'; type --network mine"):
        subjects.open_checkpoint("lin2018", tmp_path / "other.pt")
    state["average"].pop("pixel_bias")
    checkpoint.save(tmp_path / "old.pt", state)
    with pytest.raises(DataError, match="does not fit the network lin2018"):
        subjects.open_checkpoint("lin2018", tmp_path / "old.pt")


def test_two_of_one_name_are_told_apart_and_one_given_twice_is_scored_once() -> None:
    said: list[str] = []
    tiny = subjects.bundle_subject(TINY_BUNDLE)
    other = subjects.Subject("tiny", "onnx", "tiny.onnx", "abcdef123456")
    got = subjects.told_apart([tiny, tiny, other], said.append)
    assert [subject.name for subject in got] == ["tiny", "tiny-abcdef"]
    assert said == [f"{tiny.path} was given twice and is scored once"]
