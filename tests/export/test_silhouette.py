"""A silhouette network into a bundle: checked, kept by a new export, written so that a kill leaves what verifies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from edge.bundle import FORMAT, FORMAT_VERSION, load_bundle, read_manifest
from edge.errors import BundleError, DataError
from edge.ply import atomic_file
from export import guests, silhouette
from export.__main__ import main
from export.compare import run_graph
from export.fold import fold_batch_norm
from export.graph import OPSET, ExportError
from tests.edge.helpers import POSED_BUNDLE, copy_bundle
from tests.export.killed import Killed, kill_at, verified
from training import checkpoint
from training.silhouette.network import CHANNELS, Silhouette

SMALL = [4, 4, 8, 8, 8]


def trained(folder: Path, seed: int = 0) -> Path:
    """A run folder with a small network."""
    torch.manual_seed(seed)
    network = Silhouette(64, tuple(SMALL))
    network.train()(torch.randn(8, 3, 64, 64))  # statistics that are not those it starts with
    arguments = {"image_size": 64, "channels": SMALL}
    checkpoint.save(
        folder / "last.pt",
        {
            "network_name": "silhouette", "settings": {"arguments": arguments}, "average": network.state_dict(),
            "command": "python -m training silhouette --data /home/me/shards", "samples": 640, "seconds": 12.3,
            "photos": ["a.jpg", "b.jpg"],
        },
    )  # fmt: skip
    (folder / "curve.csv").write_text("step,iou,iou_photos\n10,0.5,\n20,0.91,0.9\n")
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(copy_bundle(POSED_BUNDLE, str(tmp_path)))


def test_the_network_is_put_into_a_bundle(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_manifest(str(bundle))
    words = ["silhouette", str(bundle), "--run", str(trained(tmp_path / "run"))]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "written" in said and "trained on 640 crops" in said
    manifest = verified(bundle, "silhouette", silhouette.FILE)
    entry = manifest.pop("silhouette")
    assert manifest["files"].pop("silhouette.onnx") and manifest["files"].pop(entry["golden"])
    assert manifest == before
    assert entry["input"]["shape"] == [1, 3, 64, 64] and entry["outputs"] == {"mask": [1, 1, 64, 64]}
    assert entry["max_difference_to_pytorch"] < 1e-3 and entry["nano_ms_estimate"]["ms"] < 3
    assert entry["training"] == {
        "command": "python -m training silhouette --data shards", "samples": 640, "seconds": 12, "photos": 2,
        "validation": {"iou": 0.91, "iou_photos": 0.9},
    }  # fmt: skip
    spec = load_bundle(str(bundle)).silhouette
    assert spec is not None and spec.threshold == 0.5 and spec.graph.outputs == {"mask": (1, 1, 64, 64)}
    assert main(words) == 0
    assert "nothing written" in capsys.readouterr().out


def test_the_graph_is_what_pytorch_computes(bundle: Path, tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    silhouette.write_silhouette(bundle, run)
    network = Silhouette(64, tuple(SMALL)).eval()
    network.load_state_dict(checkpoint.load(run / "last.pt")["average"])
    image = np.random.default_rng(3).normal(size=(2, 3, 64, 64)).astype(np.float32)
    with torch.no_grad():
        wanted = network(torch.from_numpy(image)).numpy()
    assert np.allclose(run_graph(bundle / "silhouette.onnx", image)["mask"], wanted, atol=2e-3)


def test_the_network_that_is_trained_fits_a_nano(tmp_path: Path) -> None:
    content, milliseconds, difference = silhouette.make_graph(fold_batch_norm(Silhouette(128, CHANNELS)))
    assert milliseconds["ms"] < 3 and difference < 2e-3 and len(content) < 4e6
    model = onnx.load_from_string(content)
    assert model.opset_import[0].version == OPSET
    kinds = {node.op_type for node in model.graph.node}
    assert kinds <= {"Conv", "Relu", "Resize", "Add", "DepthToSpace", "Constant"}
    assert all(a.i == 1 for node in model.graph.node for a in node.attribute if a.name == "group")


def test_a_graph_that_differs_or_is_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    network = fold_batch_norm(Silhouette(64, tuple(SMALL)))
    monkeypatch.setattr(silhouette, "BUDGET_MS", 0.1)
    with pytest.raises(ExportError, match="more than 0.1; train one with fewer channels"):
        silhouette.make_graph(network)
    monkeypatch.setattr(silhouette, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match="differs from PyTorch"):
        silhouette.make_graph(network)


def test_a_run_without_a_checkpoint_or_of_another_network_is_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in bundle.iterdir()}
    assert main(["silhouette", str(bundle), "--run", str(tmp_path)]) == DataError.exit_code
    assert "no checkpoint" in capsys.readouterr().err
    checkpoint.save(tmp_path / "last.pt", {"network_name": "maps"})
    assert main(["silhouette", str(bundle), "--run", str(tmp_path)]) == DataError.exit_code
    assert "not of a silhouette" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in bundle.iterdir()} == before
    with pytest.raises(BundleError):
        silhouette.write_silhouette(tmp_path, trained(tmp_path / "run"))


def test_a_new_export_keeps_the_network(bundle: Path, tmp_path: Path) -> None:
    silhouette.write_silhouette(bundle, trained(tmp_path / "run"))
    new = tmp_path / "new"
    new.mkdir()
    manifest: dict[str, Any] = {"files": {}}
    guests.keep(bundle, new, manifest, "silhouette")
    assert (new / "silhouette.onnx").read_bytes() == (bundle / "silhouette.onnx").read_bytes()
    old = read_manifest(str(bundle))
    assert manifest == {
        "files": {"silhouette.onnx": old["files"]["silhouette.onnx"]}, "silhouette": old["silhouette"]
    }  # fmt: skip
    for other in (tmp_path / "nowhere", Path(POSED_BUNDLE)):
        untouched: dict[str, Any] = {"files": {}}
        guests.keep(other, new, untouched, "silhouette")
        assert untouched == {"files": {}}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_kill_leaves_a_bundle_that_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, after: bool
) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    manifest = {"format": FORMAT, "format_version": FORMAT_VERSION, "files": {}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    made = {"name": b"old"}
    monkeypatch.setattr(silhouette, "make_graph", lambda network: (made["name"], {"ms": 1.0}, 0.0))
    run = trained(tmp_path / "run")
    silhouette.write_silhouette(folder, run)
    made["name"] = b"new"
    kill_at(monkeypatch, number, after)
    with pytest.raises(Killed):
        silhouette.write_silhouette(folder, run)
    left = verified(folder, "silhouette", silhouette.FILE)
    assert ("silhouette" in left) == ((number, after) in ((1, False), (3, True)))
    monkeypatch.setattr(guests, "atomic_file", atomic_file)
    silhouette.write_silhouette(folder, run)
    verified(folder, "silhouette", silhouette.FILE)
    assert (folder / "silhouette.onnx").read_bytes() == b"new"
