"""What can be scored besides bundles: ONNX files without a manifest, checkpoints of registered networks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import load_bundle, sha256_file
from edge.errors import BackendError, BundleError, DataError, SettingsError
from edge.runtime.backends import open_backend
from tests.edge.helpers import TINY_BUNDLE, copy_tiny_bundle
from tests.training.benchmark_cars import constants
from training import checkpoint
from training.benchmark import measure, plain, subjects
from training.networks import NETWORKS
from training.networks.base import BINS, CLASSES, Network, Prediction

PICTURE = np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8)


class Toy(Network):
    """Answers everything but maps, the points by the picture's mean."""

    source = "a test"
    mean, std = (0.25, 0.25, 0.25), (0.5, 0.5, 0.5)

    def __init__(self, image_size: int = 16) -> None:
        super().__init__()
        self.input_size = image_size
        self.layer = torch.nn.Conv2d(3, 1, 1, bias=False)
        self.register_buffer("basis", torch.zeros(1, 50, 3))
        torch.nn.init.constant_(self.layer.weight, 1 / 3)

    def forward(self, image: torch.Tensor) -> Prediction:
        level = self.layer(image).mean(dim=(1, 2, 3))
        azimuth = torch.zeros(len(image), 2 * BINS)
        azimuth[:, 6] = 50.0
        classes = torch.zeros(len(image), len(CLASSES))
        classes[:, 3] = 5.0
        return Prediction(
            points=self.basis + level[:, None, None],
            error=torch.full((len(image), 50), 0.02),
            azimuth=azimuth,
            camera=torch.tensor([[0.1, 0.0, 0.0, 0.0, 0.0, 0.0]]),
            length=torch.log(torch.tensor([[4.2, 0.05]])),
            classes=classes,
        )


def with_int8(folder: Path) -> Path:
    """The tiny bundle, its INT8 network being the FP32 one of a picture with more contrast."""
    bundle = Path(copy_tiny_bundle(str(folder)))
    model = onnx.load(str(bundle / "reconstructor.onnx"))
    image = model.graph.input[0].name
    model.graph.node.insert(0, helper.make_node("Mul", [image, "gain"], ["brighter"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1.25, np.float32), "gain"))
    for node in list(model.graph.node)[1:]:
        node.input[:] = ["brighter" if name == image else name for name in node.input]
    onnx.save(model, str(bundle / "reconstructor.int8.onnx"))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["precisions"] = {"fp32": {"file": "reconstructor.onnx"}, "int8": {"file": "reconstructor.int8.onnx"}}
    file = bundle / "reconstructor.int8.onnx"
    manifest["files"][file.name] = {"sha256": sha256_file(str(file)), "bytes": file.stat().st_size}
    manifest["network"] = {"nano_ms_estimate": {"ms": 3.0}}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def test_a_bundle_is_scored_in_the_precision_asked_for(tmp_path: Path) -> None:
    bundle = with_int8(tmp_path)
    single, int8 = (subjects.bundle_subject(str(bundle), precision) for precision in ("fp32", "int8"))
    assert (single.name, int8.name) == ("tiny", "tiny-int8") and single.sha256 != int8.sha256
    assert single.cost["nano_ms"] == 3.0 and "nano_ms" not in int8.cost  # Maxwell has no INT8
    clouds = [subjects.predictor(subject)(PICTURE).points for subject in (single, int8)]
    assert clouds[0].shape != clouds[1].shape or np.abs(clouds[0] - clouds[1]).max() > 1e-3
    with pytest.raises(BundleError, match="holds no fp16 network, it has fp32, int8"):
        subjects.bundle_subject(str(bundle), "fp16")


def test_tensorrts_int8_is_computed_as_it_is_written(tmp_path: Path) -> None:
    bundle = load_bundle(str(with_int8(tmp_path)))
    image = np.random.default_rng(1).normal(0, 1, bundle.graph.input_shape).astype(np.float32)
    wanted = open_backend(bundle, "ort", graph=bundle.graph_at("int8")).run({bundle.input_name: image})
    found = plain.ExactBackend(bundle.graph_at("int8"), 1).run({bundle.input_name: image})
    assert list(found) == list(bundle.outputs)
    np.testing.assert_allclose(found["maps"], wanted["maps"], atol=1e-4)


def test_an_onnx_file_without_manifest_is_scored_by_the_contract(tmp_path: Path) -> None:
    bundle = load_bundle("lin2018")
    path = tmp_path / "mine.onnx"
    shutil.copy(bundle.file("reconstructor.onnx"), path)
    subject = subjects.onnx_subject(path)
    assert subject.name == "mine" and subject.sha256 == bundle.manifest["files"]["reconstructor.onnx"]["sha256"]
    got = subjects.predictor(subject)(PICTURE)
    wanted = subjects.predictor(subjects.bundle_subject("lin2018"))(PICTURE)
    assert np.array_equal(got.points, wanted.points) and got.timings["network"] > 0
    assert np.array_equal(got.confidence, wanted.confidence)
    assert (got.pose, got.length, got.body_class) == (None, None, None)


def test_a_plain_file_may_give_any_output_of_the_contract(tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((1, 40, 3))
    classes = np.eye(len(CLASSES))[None, 1] * 9
    file = constants(
        tmp_path / "all.onnx", points=points, error=np.full((1, 40), 0.01), azimuth=np.zeros((1, 2 * BINS)),
        camera=np.zeros((1, 6)), length=np.log([[4.5, 0.1]]), classes=classes,
    )  # fmt: skip
    got = subjects.predictor(subjects.onnx_subject(file))(PICTURE)
    assert np.allclose(got.points, points[0]) and np.allclose(got.confidence, 1 - np.exp(-2))
    assert got.length is not None and got.length.metres == pytest.approx(4.5)
    assert got.body_class is not None and got.body_class.name == CLASSES[1] and got.classes == CLASSES
    assert got.pose is not None and got.pose.azimuth == 0.0


def test_occupancy_of_a_plain_file_fills_the_unit_cube(tmp_path: Path) -> None:
    network = plain.open_onnx(constants(tmp_path / "v.onnx", occupancy=np.zeros((1, 8, 4, 4))))
    assert network.grid is not None and network.grid.tolist() == [[-0.5] * 3, [0.5] * 3]
    assert network.outputs == {"occupancy": (1, 8, 4, 4)} and network.views is None


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


@pytest.mark.parametrize(
    "outputs",
    [
        {"classes": np.zeros((1, len(CLASSES)))},
        {"points": np.zeros((1, 5, 3)), "colour": np.zeros((1, 5, 3))},
        {"points": np.zeros((1, 5, 3)), "error": np.zeros((1, 6))},
        {"points": np.zeros((1, 5, 3)), "classes": np.zeros((1, 3))},
        {"maps": np.zeros((1, 3, 4, 8, 8))},
    ],
)
def test_outputs_that_fit_no_contract_are_refused(tmp_path: Path, outputs: dict[str, np.ndarray]) -> None:
    with pytest.raises(BackendError, match=r"gives .*it must .* give some of points \(1, N, 3\), error \(1, N\)"):
        subjects.onnx_subject(constants(tmp_path / "wrong.onnx", **outputs))


def test_a_file_that_is_no_network_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"text")
    with pytest.raises(BackendError, match="refuses .*a.onnx"):
        subjects.onnx_subject(tmp_path / "a.onnx")


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint as training writes it, of a network that has learnt nothing."""
    monkeypatch.setitem(NETWORKS, "toy", Toy)
    path = tmp_path / "run" / "last.pt"
    checkpoint.save(path, {"network_name": "toy", "average": Toy().state_dict()})
    return path


def test_a_checkpoint_is_run_by_pytorch_with_the_networks_own_normalisation(trained: Path) -> None:
    subject = subjects.checkpoint_subject("toy", trained)
    assert subject.name == "toy-run"
    # 3 weights and 150 numbers of a buffer; 3 multiply-adds a pixel.
    assert subject.cost == pytest.approx({"gflop": 6 * 256 / 1e9, "parameters_m": 3e-6, "megabytes_fp16": 306e-6})
    grey = np.full((16, 16, 3), 51, np.uint8)
    got = subjects.predictor(subject)(grey)
    # (51 / 255 - 0.25) / 0.5, once: neither the backend nor anything else normalises again.
    assert np.allclose(got.points, -0.1, atol=1e-6) and got.points.shape == (50, 3)
    assert np.allclose(got.confidence, 1 - np.exp(-1)) and got.timings["network"] > 0
    assert got.pose is not None and got.pose.azimuth == 90.0
    assert got.length is not None and got.length.metres == pytest.approx(4.2)
    assert got.body_class is not None and got.body_class.name == "suv" and got.classes == CLASSES


def test_a_checkpoint_is_built_with_the_arguments_it_was_trained_with(trained: Path, tmp_path: Path) -> None:
    state = {"network_name": "toy", "average": Toy().state_dict(), "arguments": {"image_size": 32}}
    checkpoint.save(tmp_path / "large.pt", state)
    subject = subjects.checkpoint_subject("toy", tmp_path / "large.pt")
    assert plain.open_checkpoint("toy", tmp_path / "large.pt").input_size == 32
    assert subject.cost["gflop"] == pytest.approx(6 * 1024 / 1e9)
    assert subjects.predictor(subject)(PICTURE).points.shape == (50, 3)


def test_checkpoints_of_other_networks_are_refused(trained: Path, tmp_path: Path) -> None:
    state = checkpoint.load(trained)
    del state["format"]
    checkpoint.save(tmp_path / "other.pt", {**state, "network_name": "mine"})
    with pytest.raises(SettingsError, match="holds a network 'mine', not 'toy'; type --network mine"):
        plain.open_checkpoint("toy", tmp_path / "other.pt")
    state["average"].pop("basis")
    checkpoint.save(tmp_path / "old.pt", state)
    with pytest.raises(DataError, match="does not fit the network toy"):
        plain.open_checkpoint("toy", tmp_path / "old.pt")


def test_the_cost_of_a_bundle_is_read_and_counted(tmp_path: Path) -> None:
    bundle = Path(copy_tiny_bundle(str(tmp_path)))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["network"] |= {"parameters": 1_500_000, "gflop": 1.25, "nano_ms_estimate": {"ms": 9, "low": 7, "high": 12}}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    cost = subjects.bundle_subject(str(bundle)).cost
    assert (cost["parameters_m"], cost["gflop"]) == (1.5, 1.25)
    assert (cost["nano_ms"], cost["nano_low"], cost["nano_high"]) == (9.0, 7.0, 12.0)
    file = bundle / "reconstructor.onnx"
    numbers = sum(
        np.prod(t.dims, dtype=int) for t in onnx.load(str(file)).graph.initializer if t.data_type == TensorProto.FLOAT
    )
    assert cost["megabytes_fp16"] == pytest.approx(2 * numbers / 1e6) and numbers > 0
    assert cost["megabytes"] == file.stat().st_size / 1e6


def test_time_and_memory_are_measured_in_a_fresh_process() -> None:
    found = measure.measure_all([subjects.bundle_subject(TINY_BUNDLE)], "auto", 1000)
    assert found["tiny"]["ms_two_threads"] > 0
    assert 0 < found["tiny"]["peak_megabytes"] < 500


def test_two_of_one_name_are_told_apart_and_one_given_twice_is_scored_once() -> None:
    said: list[str] = []
    tiny = subjects.bundle_subject(TINY_BUNDLE)
    other = subjects.Subject("tiny", "onnx", "tiny.onnx", "abcdef123456")
    got = subjects.told_apart([tiny, tiny, other], said.append)
    assert [subject.name for subject in got] == ["tiny", "tiny-abcdef"]
    assert said == [f"{tiny.path} was given twice and is scored once"]
