"""Export: folded, re-opened, compared, sealed, and refused when it is not what was asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from edge.bundle import load_bundle
from edge.errors import DataError
from export.__main__ import main
from export.bundle import compare, record_figures, write_bundle
from export.fold import fold_batch_norm
from export.graph import ExportError, assert_graph, export_onnx, halve_fc_weights
from training import checkpoint
from training.networks.lin2018 import Lin2018


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an untrained network whose running statistics are settled."""
    torch.manual_seed(0)
    network = Lin2018(bn_momentum=0.5)
    with torch.no_grad():
        for _ in range(6):
            network(torch.rand(8, 3, 64, 64), 64)
    path = tmp_path_factory.mktemp("run") / "last.pt"
    state = network.state_dict()
    checkpoint.save(
        path,
        {
            "settings": "{}",
            "network_name": "lin2018",
            "network": state,
            "average": state,
            "step": 1,
            "samples": 2,
            "seconds": 3.0,
        },
    )
    return path


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    out = run.parent / "toy"
    write_bundle(run, out, "toy")
    return out


def test_folding_changes_nothing() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3), nn.BatchNorm1d(3)
    )
    with torch.no_grad():
        for _ in range(20):
            network(torch.rand(8, 3, 4, 4) * 3)
    image = torch.rand(5, 3, 4, 4)
    folded = fold_batch_norm(network)
    torch.testing.assert_close(folded(image), network.eval()(image), atol=1e-5, rtol=1e-4)
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in folded.modules())


def test_bundle_opens_on_the_device_side(bundle: Path) -> None:
    opened = load_bundle(str(bundle))
    assert opened.name == "toy" and opened.input_size == 64 and opened.output_shape == (1, 8, 4, 128, 128)
    model = assert_graph(bundle / "reconstructor.onnx", (1, 3, 64, 64), (1, 8, 4, 128, 128))
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    golden = np.load(bundle / "golden.npz")
    assert golden["image"].dtype == np.float32 and golden["maps"].shape[1:] == (8, 4, 128, 128)
    assert (bundle / "reconstructor.onnx").stat().st_size < 60e6
    checks = opened.manifest["checks"]["max_difference_to_pytorch"]
    assert checks["exported"]["geometry"] <= checks["exported"]["tolerance"][0]
    assert opened.manifest["network"]["gflop"] == pytest.approx(1.95, abs=0.03)


def _results(sha256: str) -> dict[str, object]:
    """The parts of training.benchmark's results.json that are read."""
    row = {"name": "toy", "kind": "network", "condition": "plain", "mean": {"8192": {"f1": 12.5}}}
    control = {"name": "mean", "kind": "control", "condition": "plain", "mean": {"8192": {"f1": 36.0}}}
    return {"bundles": [{"name": "toy", "sha256": sha256}], "bodies": {"suv": {}}, "rows": [control, row]}


def test_figures_are_recorded_without_touching_the_files(bundle: Path) -> None:
    sha256 = load_bundle(str(bundle)).manifest["files"]["reconstructor.onnx"]["sha256"]
    record_figures(bundle, _results(sha256))
    wanted = {"fp32": {"test_bodies": 1, "conditions": {"plain": {"8192": {"f1": 12.5}}}}}
    assert load_bundle(str(bundle)).manifest["carpc1"] == wanted


def test_figures_of_another_network_are_refused(bundle: Path) -> None:
    with pytest.raises(DataError, match="the results hold no row of reconstructor.onnx of .*toy"):
        record_figures(bundle, _results("0" * 64))
    with pytest.raises(DataError, match="these are no benchmark results \\(no 'bundles'\\)"):
        record_figures(bundle, {})


def test_other_folders_are_never_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(DataError, match="exists and is no bundle; give another --out"):
        write_bundle(run, tmp_path, "toy")
    assert (tmp_path / "mine.txt").read_text() == "keep me"
    assert not list(tmp_path.parent.glob("*.part"))


def test_a_difference_is_refused() -> None:
    maps = np.zeros((1, 8, 4, 2, 2), np.float32)
    wrong = maps.copy()
    wrong[0, 0, 2] = 0.01
    with pytest.raises(ExportError, match="the shipped graph differs from PyTorch by 0.01 in x, y or depth"):
        compare(wrong, maps, "shipped")
    wrong[:] = np.nan
    with pytest.raises(ExportError, match="differs from PyTorch by nan"):
        compare(wrong, maps, "exported")


def test_wrong_graphs_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    export_onnx(nn.Conv2d(3, 4, 1), torch.zeros(1, 3, 8, 8), path)
    assert_graph(path, (1, 3, 8, 8), (1, 4, 8, 8))
    with pytest.raises(ExportError, match="declares"):
        assert_graph(path, (1, 3, 9, 8), (1, 4, 8, 8))
    model = onnx.load(str(path))
    model.ir_version = 10
    onnx.save(model, str(path))
    with pytest.raises(ExportError, match="IR version 10"):
        assert_graph(path, (1, 3, 8, 8), (1, 4, 8, 8))
    model.ir_version = 7
    model.opset_import[0].version = 14
    onnx.save(model, str(path))
    with pytest.raises(ExportError, match="has opsets"):
        assert_graph(path, (1, 3, 8, 8), (1, 4, 8, 8))


def test_halved_weights_that_overflow_are_refused(tmp_path: Path) -> None:
    layer = nn.Linear(300, 300)
    nn.init.constant_(layer.weight, 1e5)
    export_onnx(nn.Sequential(nn.Flatten(), layer), torch.zeros(1, 3, 10, 10), tmp_path / "g.onnx")
    with pytest.raises(ExportError, match="overflow float16"):
        halve_fc_weights(tmp_path / "g.onnx")


def test_command_line_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str], bundle: Path) -> None:
    assert main(["bundle", "--checkpoint", str(tmp_path / "no.pt"), "--out", str(tmp_path / "b")]) != 0
    assert "no checkpoint at" in capsys.readouterr().err
    (tmp_path / "r.json").write_text("{")
    assert main(["figures", str(bundle), str(tmp_path / "r.json")]) != 0
    assert "cannot be read" in capsys.readouterr().err
