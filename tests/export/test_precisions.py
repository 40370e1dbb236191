"""Further precisions of a bundle: made, stored so that a kill leaves what verifies, compared, and their figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from edge.bundle import PRECISIONS, load_bundle, read_manifest
from edge.errors import BundleError, DataError, SettingsError
from edge.ply import atomic_file
from edge.runtime.backends import open_backend
from export import calibration, guests, precisions
from export.__main__ import main
from export.bundle import record_figures, write_bundle
from export.calibration import Pictures, gather
from export.estimate import estimate
from export.precisions import FILES, put, write_precisions
from export.table import measure, table
from tests.edge.helpers import FINDING_BUNDLE, POSED_BUNDLE, red_cars
from tests.export.killed import Killed, kill_at
from tests.export.small import OUTPUTS, images, small_bundle
from tests.export.test_bundle_export import Everything, save
from training.networks import NETWORKS


def pictures(*_: object) -> Pictures:
    """In the place of shards and photos."""
    return Pictures(images(12), images(16, seed=4), {"rendered": 12, "held_out_rendered": 16})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """A bundle with every precision, and what was said."""
    said: list[str] = []
    folder = small_bundle(tmp_path_factory.mktemp("made") / "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precisions, "gather", pictures)
        write_precisions(folder, Path("shards"), None, say=said.append)
        yield folder, said


def test_every_precision_is_in_the_bundle_and_runs(made: tuple[Path, list[str]]) -> None:
    folder, said = made
    bundle = load_bundle(str(folder))
    assert list(bundle.manifest["precisions"]) == list(PRECISIONS) == ["fp32", *FILES]
    inputs = images(1, seed=7)
    wanted = open_backend(bundle, "ort").run({"image": inputs})
    for name in FILES:
        with open_backend(bundle, "ort", graph=bundle.graph_at(name)) as backend:
            found = backend.run({"image": inputs})
        assert list(found) == list(OUTPUTS) and {value.dtype for value in found.values()} == {np.dtype("float32")}
        assert 0 < np.abs(found["points"] - wanted["points"]).max() < 0.05
    assert said[0] == "without --photos the network is calibrated on rendered pictures alone"
    assert said[1] == "12 rendered, 16 held out rendered pictures"
    assert [line.split(":")[0] for line in said[2:]] == list(FILES.values())


def test_the_manifest_tells_how_each_was_made_and_how_far_it_is_off(made: tuple[Path, list[str]]) -> None:
    held = read_manifest(str(made[0]))["precisions"]
    for name in FILES:
        entry = held[name]
        assert list(entry["golden_difference"]) == list(entry["moved"]) == list(OUTPUTS)
        assert 0 < entry["golden_difference"]["points"] < 0.1 and entry["moved"]["points"]["mean"] > 0
    assert held["fp16"]["float32_nodes"] == ["/above/Add"] and "calibration" not in held["fp16"]
    for name in ("int8", "int8-cpu"):
        assert held[name]["calibration"] == {"rendered": 12, "held_out_rendered": 16}
        assert held[name]["quantised"] + len(held[name]["kept_float32"]) == 4
        # What stays is the head of the ranking.
        assert held[name]["kept_float32"] == list(held[name]["sensitivity"])[: len(held[name]["kept_float32"])]


def test_files_suit_old_readers_and_tensorrt(made: tuple[Path, list[str]]) -> None:
    for file in FILES.values():
        model = onnx.load(str(made[0] / file))
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 13)]
        assert model.ir_version <= 8
        # TensorRT's parser wants kernels that come from no Cast.
        cast = {name for node in model.graph.node if node.op_type == "Cast" for name in node.output}
        assert not cast & {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
        if file != FILES["fp16"]:
            assert cast  # linear layers are stored as float16
            assert not cast & {node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    kinds = {t.data_type for t in onnx.load(str(made[0] / FILES["int8"])).graph.initializer}
    assert onnx.TensorProto.INT32 not in kinds and onnx.TensorProto.UINT8 not in kinds


def test_made_again_nothing_is_written(made: tuple[Path, list[str]]) -> None:
    folder = made[0]
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    said: list[str] = []
    write_precisions(folder, Path("shards"), None, ["int8-cpu"], said.append)
    assert said[-1].endswith("as it was, nothing written")
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_precision_nobody_knows_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_bundle(tmp_path / "small")
    assert main(["precisions", str(folder), "--data", "shards", "--only", "int4"]) == SettingsError.exit_code
    assert "--only does not know 'int4'; give a comma list out of: fp16, int8, int8-cpu" in capsys.readouterr().err


def entry(file: str = FILES["int8"]) -> dict[str, Any]:
    return {"file": file, "made": "by a test"}


def test_figures_go_with_the_file_they_were_measured_on(tmp_path: Path) -> None:
    folder = small_bundle(tmp_path / "small")
    assert put(folder, "int8", b"one", entry())
    manifest = read_manifest(str(folder))
    manifest["carpc1"] = {"fp32": {"conditions": {}}, "int8": {"conditions": {}}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert not put(folder, "int8", b"one", entry())
    assert put(folder, "int8", b"one", dict(entry(), made="otherwise"))  # the same file, told of differently
    assert set(read_manifest(str(folder))["carpc1"]) == {"fp32", "int8"}
    assert put(folder, "int8", b"two", entry())
    assert set(read_manifest(str(folder))["carpc1"]) == {"fp32"}
    assert (folder / FILES["int8"]).read_bytes() == b"two"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_kill_leaves_a_bundle_that_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, after: bool
) -> None:
    folder = small_bundle(tmp_path / "small")
    put(folder, "int8", b"old", entry())
    kill_at(monkeypatch, number, after)
    with pytest.raises(Killed):
        put(folder, "int8", b"new", entry())
    manifest = load_bundle(str(folder)).manifest  # verifies every file
    assert ("int8" in manifest["precisions"]) == (FILES["int8"] in manifest["files"])
    monkeypatch.setattr(guests, "atomic_file", atomic_file)
    put(folder, "int8", b"new", entry())
    assert load_bundle(str(folder)).manifest["precisions"]["int8"] == entry()
    assert (folder / FILES["int8"]).read_bytes() == b"new"


def test_a_bundle_exported_anew_holds_none_of_the_old_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NETWORKS, "everything", Everything)
    run = save(tmp_path / "run.pt", "everything", Everything(pretrained=False))
    out = tmp_path / "toy"
    write_bundle(run, out, "toy")
    put(out, "fp16", b"of the old one", entry(FILES["fp16"]))
    write_bundle(run, out, "toy")
    manifest = load_bundle(str(out)).manifest
    assert set(manifest["precisions"]) == {"fp32"} and not (out / FILES["fp16"]).exists()


def results(sha256: str) -> dict[str, Any]:
    """The parts of training.benchmark's results.json that are read."""
    mean = {"8192": {"f1": 12.5, "f2": 80.25, "pred_to_gt": 1.2}, "pose": {"direction_deg": 2.5}}
    row = {"name": "small-int8", "kind": "network", "condition": "plain", "mean": mean}
    return {"bundles": [{"name": "small-int8", "sha256": sha256}], "bodies": [{"name": "suv"}], "rows": [row]}


def test_figures_are_recorded_by_precision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = small_bundle(tmp_path / "small")
    put(folder, "int8", b"one", entry())
    sha256 = read_manifest(str(folder))["files"][FILES["int8"]]["sha256"]
    (tmp_path / "results.json").write_text(json.dumps(results(sha256)))
    words = ["figures", str(folder), str(tmp_path / "results.json")]
    assert main([*words, "--precision", "int8"]) == 0
    assert set(read_manifest(str(folder))["carpc1"]) == {"int8"}
    assert main(words) == DataError.exit_code  # these are not of the FP32 file
    assert main([*words, "--precision", "fp16"]) == DataError.exit_code
    said = capsys.readouterr().err
    assert "holds no fp16 network, it has fp32, int8; type: python -m export precisions" in said
    with pytest.raises(DataError, match="benchmark --bundle .*small --precision int8"):
        record_figures(folder, results("0" * 64), "int8")


def test_the_table_has_a_row_for_each_precision(made: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made[0]
    record_figures(folder, results(read_manifest(str(folder))["files"][FILES["int8"]]["sha256"]), "int8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(str(folder), 2).splitlines()]
    assert [row[0] for row in rows] == ["precision", "---", *PRECISIONS] and len({len(row) for row in rows}) == 1
    found = {row[0]: row for row in rows[2:]}
    assert found["int8"][2:6] == ["80.2, -, -", "12.5", "1.20", "2.5"]
    assert found["fp16"][2:6] == ["-, -, -", "-", "-", "-"]
    assert found["fp32"][6].endswith("(1.00 of FP32's)") and found["fp32"][8].endswith(", derived")
    assert found["int8"][8] == "refused: no INT8 on Maxwell" and found["int8-cpu"][8] == "not for its GPU"
    times = measure(load_bundle(str(folder)), ["fp32", "int8-cpu"], 1, 3)
    assert times["fp32"].ratio == 1 and times["int8-cpu"].ms > 0


def test_the_nano_needs_longer_in_fp32_and_has_no_int8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = small_bundle(tmp_path / "small")
    half, single = estimate(path), estimate(path, "fp32")
    assert [2 * layer.bytes for layer in half.layers] == [layer.bytes for layer in single.layers]
    assert single.ms > half.ms and single.gflop == half.gflop
    assert main(["estimate", str(path), "--precision", "fp32"]) == 0
    assert "TensorRT, FP32, batch 1" in capsys.readouterr().out
    assert main(["estimate", str(path), "--precision", "int8"]) == DataError.exit_code
    assert "a Nano's GPU (Maxwell) computes in fp16 or fp32" in capsys.readouterr().err


class Renders:
    """In the place of a data set: pictures of one colour each."""

    images = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 64, 64, 3), np.uint8)


def test_photos_are_cut_as_the_device_cuts_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import training.data.dataset

    monkeypatch.setattr(training.data.dataset, "load_dataset", lambda *_, **__: Renders)
    bundle = load_bundle(FINDING_BUNDLE)
    photos = tmp_path / "photos"
    (photos / "deeper").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no photo .*; give another folder, or leave --photos out"):
        gather(bundle, tmp_path, photos, 4, 4)
    cv2.imwrite(str(photos / "empty.png"), np.zeros((240, 320, 3), np.uint8))
    with pytest.raises(DataError, match="no car was found on any of 1 photos"):
        gather(bundle, tmp_path, photos, 4, 4)
    for name in ("a.jpg", "deeper/b.png"):
        cv2.imwrite(str(photos / name), red_cars((1, 1)))
    found = gather(bundle, tmp_path, photos, 4, 4)
    assert found.counts == {"rendered": 4, "held_out_rendered": 4, "photos": 1, "held_out_photos": 1}
    assert found.calibration.shape == found.held_out.shape == (5, 3, bundle.input_size, bundle.input_size)
    red, green = ((found.calibration[-1, c] * bundle.std[c] + bundle.mean[c]).mean() for c in (0, 1))
    assert red > green + 0.1  # a car, RGB
    with pytest.raises(DataError, match="has no finder to cut cars from photos; type: python -m export finder"):
        gather(load_bundle(POSED_BUNDLE), tmp_path, photos, 4, 4)


def test_ranges_hold_every_number_and_a_sample_of_them() -> None:
    from tests.export.small import small_model

    inputs = images(3)
    found = calibration.ranges(small_model(), ["image", "points"], inputs)
    assert found["image"].low == inputs.min() and found["image"].high == inputs.max()
    assert found["image"].values.shape == (3 * calibration.SAMPLES,) and found["points"].values.shape == (3 * 360,)


def test_a_bundle_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no bundle at"):
        write_precisions(tmp_path, tmp_path, None)
