"""Export: folded, re-opened, compared, sealed, and refused when it is not what was asked for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.bundle import load_bundle
from edge.errors import DataError, SettingsError
from export.__main__ import main
from export.bundle import golden_images, load_network, record_figures, write_bundle
from export.compare import compare, movement
from export.graph import ExportError, assert_graph
from export.lowrank import thin_linear
from export.manifest import command_of
from tests.edge.helpers import FINDING_BUNDLE
from training import checkpoint
from training.networks import NETWORKS
from training.networks.base import BINS, CLASSES, Network, Prediction
from training.networks.lin2018 import Lin2018

POINTS, VERTICES = 40, 6


class Everything(Network):
    """Every field of a prediction, small: a convolution, and linear layers from its mean."""

    source = "tests"
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    grid = (-0.5, -0.25, -0.25, 0.5, 0.25, 0.25)

    def __init__(self, image_size: int = 16, pretrained: bool = True) -> None:
        super().__init__()
        if pretrained:
            raise AssertionError("an export must not look for somebody else's weights")
        self.input_size = image_size
        self.encoder = nn.Sequential(nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU6())
        sizes = {"points": POINTS * 3, "error": POINTS, "maps": 8 * 4 * 16, "occupancy": 4 * 2 * 2}
        sizes |= {"vertices": VERTICES * 3, "azimuth": 2 * BINS, "camera": 6, "length": 2, "classes": len(CLASSES)}
        self.heads = nn.ModuleDict({name: nn.Linear(64, size) for name, size in sizes.items()})
        self.faces = torch.tensor([[0, 1, 2], [3, 4, 5]])

    def forward(self, image: Tensor) -> Prediction:
        code = self.encoder(image).mean((2, 3))
        out = {name: head(code) for name, head in self.heads.items()}
        out["points"] = out["points"].unflatten(1, (POINTS, 3))
        out["maps"] = out["maps"].unflatten(1, (8, 4, 4, 4))
        out["occupancy"] = out["occupancy"].unflatten(1, (4, 2, 2))
        out["vertices"] = out["vertices"].unflatten(1, (VERTICES, 3))
        return Prediction(**out)


def save(path: Path, name: str, network: nn.Module, **more: Any) -> Path:
    """A checkpoint as training writes it."""
    state = network.state_dict()
    rest = {"settings": "{}", "step": 1, "samples": 2, "seconds": 3.0, **more}
    checkpoint.save(path, {"network_name": name, "network": state, "average": state, **rest})
    return path


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(NETWORKS, "everything", Everything)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of an untrained network whose running statistics are settled."""
    torch.manual_seed(0)
    network = Everything(pretrained=False)
    with torch.no_grad():
        for _ in range(6):
            network(torch.randn(8, 3, 16, 16))
    folder = tmp_path_factory.mktemp("run")
    return save(folder / "last.pt", "everything", network, arguments={"image_size": 24}, command="train it --well")


@pytest.fixture(scope="module")
def bundle(run: Path) -> Path:
    out = run.parent / "toy"
    write_bundle(run, out, "toy")
    return out


@pytest.fixture(scope="module")
def lin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save(tmp_path_factory.mktemp("lin") / "last.pt", "lin2018", Lin2018(init_std=0.02))


def test_every_field_is_an_output(bundle: Path) -> None:
    opened = load_bundle(str(bundle))
    assert opened.name == "toy" and opened.input_size == 24  # the checkpoint's arguments, not the class's default
    assert list(opened.outputs) == list(Prediction._fields)
    assert opened.outputs["points"] == (1, POINTS, 3) and opened.outputs["maps"] == (1, 8, 4, 4, 4)
    assert opened.mean.tolist() == pytest.approx(Everything.mean) and opened.classes == CLASSES
    assert np.load(opened.file("faces.npy")).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert_graph(bundle / "reconstructor.onnx", {"image": (1, 3, 24, 24)}, opened.outputs)


def test_golden_outputs_are_pytorchs(bundle: Path, run: Path) -> None:
    golden = np.load(bundle / "golden.npz")
    network = load_network(run).network
    with torch.no_grad():
        wanted = network(torch.from_numpy(golden["image"])).given()
    assert sorted(golden.files) == sorted([*wanted, "image"])
    for name, value in wanted.items():
        np.testing.assert_allclose(golden[name], value.numpy(), atol=2e-3, err_msg=name)
    # The smooth pattern is in 0..1 before it is normalised.
    assert -2.6 < golden["image"].min() < -1 and 1 < golden["image"].max() < 2.5


def test_manifest_says_what_was_measured(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    checks = manifest["checks"]["max_difference_to_pytorch"]
    assert set(checks["exported"]) == {*Prediction._fields, "maps geometry", "maps logit"} - {"maps"}
    assert all(entry["difference"] <= entry["tolerance"] for found in checks.values() for entry in found.values())
    assert manifest["training"]["command"] == "train it --well"
    ms = manifest["network"]["nano_ms_estimate"]
    assert 0 < ms["low"] < ms["ms"] < ms["high"] and manifest["grid"] == list(Everything.grid)


def test_training_command_is_the_networks_own() -> None:
    assert command_of({"network_name": "x", "command": "typed"}) == "typed"
    typed = "python -m training train --config a/b.toml --data /home/me/shards --run='/my data/run'"
    assert command_of({"network_name": "x", "command": typed}) == (
        "python -m training train --config a/b.toml --data shards --run=run"
    )
    assert command_of({"network_name": "x", "config": "a/b.toml"}) == "python -m training train --config a/b.toml"
    assert command_of({"network_name": "x"}).endswith("--config training/configs/x.toml")


def test_what_outputs_need_must_be_there(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Everything, "grid", None)
    with pytest.raises(ExportError, match="Everything gives occupancy but no grid of six numbers"):
        write_bundle(run, tmp_path / "b", "b")
    assert not list(tmp_path.iterdir())


def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "last.pt", "lin2018", nn.Linear(2, 2))
    with pytest.raises(DataError, match="does not fit the network lin2018 of this version"):
        load_network(path)


def test_lin2018_gives_maps_only(lin: Path, tmp_path: Path) -> None:
    manifest = write_bundle(lin, tmp_path / "lin", "lin")
    opened = load_bundle(str(tmp_path / "lin"))
    assert opened.outputs == {"maps": (1, 8, 4, 128, 128)}
    assert not {"grid", "classes"} & set(manifest) and {"views", "fusion"} <= set(manifest)
    assert manifest["network"]["gflop"] == pytest.approx(1.95, abs=0.05)
    size = (tmp_path / "lin" / "reconstructor.onnx").stat().st_size
    parameters = manifest["network"]["parameters"]
    assert 2 * parameters < size < 2.2 * parameters  # the kernels of convolutions take four bytes


def test_thin_layers_are_smaller_and_their_loss_is_told(run: Path, bundle: Path, tmp_path: Path) -> None:
    thin = write_bundle(run, tmp_path / "thin", "thin", fc_rank=16)
    full = load_bundle(str(bundle)).manifest
    record = thin["checks"]["low_rank"]
    # At this rank only the heads of points, error, maps and azimuth get smaller.
    assert sorted(record["layers"]) == [f"heads.{name}" for name in ("azimuth", "error", "maps", "points")]
    assert thin["network"]["parameters"] == full["network"]["parameters"] - record["numbers_saved"]
    moved = record["difference_to_full"]
    assert 0 < moved["points"]["mean"] <= moved["points"]["max"] and moved["camera"] == {"mean": 0.0, "max": 0.0}
    assert load_bundle(str(tmp_path / "thin")).outputs == load_bundle(str(bundle)).outputs


@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
def test_a_matrix_of_that_rank_is_kept_whole(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(*shape))
    with torch.no_grad():
        network[1].weight.copy_(torch.randn(shape[1], 5) @ torch.randn(5, shape[0]))
    thin, (layer,) = thin_linear(network, 5)
    assert layer.name == "1" and layer.energy == pytest.approx(1) and layer.saved == 1500 - 400
    image = torch.randn(4, shape[0])
    torch.testing.assert_close(thin(image), network(image), atol=1e-4, rtol=1e-4)
    _, (less,) = thin_linear(network, 3)
    values = torch.linalg.svdvals(network[1].weight.detach()).square()
    assert less.energy == pytest.approx(float(values[:3].sum() / values.sum()), abs=1e-5)


def test_a_rank_that_thins_nothing_is_refused(lin: Path, tmp_path: Path) -> None:
    for rank, sentence in ((0, "give 1 or more"), (4000, "makes no layer of this network smaller")):
        with pytest.raises(SettingsError, match=sentence):
            write_bundle(lin, tmp_path / "b", "b", fc_rank=rank)


def test_fewer_components_want_a_morphable_network_and_pictures(lin: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--components needs a morphable network, and --data"):
        write_bundle(lin, tmp_path / "b", "b", components=8)
    assert not (tmp_path / "b").exists()


def test_golden_images_stay_within_the_network() -> None:
    network = Everything(image_size=20, pretrained=False)
    images = golden_images(network, None)
    assert images.shape == (1, 3, 20, 20) and images.dtype == np.float32
    back = images * np.reshape(Everything.std, (1, 3, 1, 1)) + np.reshape(Everything.mean, (1, 3, 1, 1))
    assert back.min() > -1e-6 and back.max() < 1 + 1e-6


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


def test_a_bundle_exported_anew_keeps_its_finder(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "toy"
    write_bundle(run, out, "toy")
    finding = json.loads((Path(FINDING_BUNDLE) / "manifest.json").read_text())
    shutil.copy(Path(FINDING_BUNDLE) / "finder.onnx", out)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["finder"], manifest["files"]["finder.onnx"] = finding["finder"], finding["files"]["finder.onnx"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    write_bundle(run, out, "toy")
    found = load_bundle(str(out)).finder
    assert found is not None and found.classes == ("car", "person")
    assert Path(found.graph.path).read_bytes() == (Path(FINDING_BUNDLE) / "finder.onnx").read_bytes()


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
    with pytest.raises(ExportError, match="the shipped graph differs from PyTorch by 0.01 in maps geometry, more than"):
        compare({"maps": wrong}, {"maps": maps}, "shipped")
    wrong[:] = np.nan
    with pytest.raises(ExportError, match="differs from PyTorch by nan"):
        compare({"maps": wrong}, {"maps": maps}, "exported")
    points = np.zeros((1, 5, 3), np.float32)
    assert compare({"points": points + 1e-3}, {"points": points}, "shipped") == {"points": pytest.approx(1e-3)}
    with pytest.raises(ExportError, match="the exported graph differs from PyTorch by 0.001 in points"):
        compare({"points": points + 1e-3}, {"points": points}, "exported")
    with pytest.raises(ExportError, match="the exported graph gives points, PyTorch gives maps"):
        compare({"points": points}, {"maps": maps}, "exported")


def test_movement_of_maps_counts_what_becomes_points() -> None:
    maps = np.full((1, 8, 4, 2, 2), -1.0, np.float32)
    moved = maps.copy()
    maps[0, 0, 3, 0, 0] = 1.0
    moved[:, :, :3] += 0.5  # outside the mask
    moved[0, 0, :3, 0, 0] = maps[0, 0, :3, 0, 0] + 0.25
    assert movement({"maps": moved}, {"maps": maps})["maps geometry"] == {"mean": 0.25, "max": 0.25}


def test_command_line_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str], bundle: Path) -> None:
    assert main(["bundle", "--checkpoint", str(tmp_path / "no.pt"), "--out", str(tmp_path / "b")]) != 0
    assert "no checkpoint at" in capsys.readouterr().err
    (tmp_path / "r.json").write_text("{")
    assert main(["figures", str(bundle), str(tmp_path / "r.json")]) != 0
    assert "cannot be read" in capsys.readouterr().err


def test_command_line_prints_what_was_written(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "--checkpoint", str(run), "--out", str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert "Jetson Nano, estimated:" in printed and "azimuth:" in printed and "faces.npy" in printed
