"""Golden outputs of finder and silhouette network: what is stored is what the device is asked, and can be failed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.bundle import SHIPPED, load_bundle, read_manifest
from edge.errors import BundleError, DataError
from edge.runtime.backends import open_backend
from edge.runtime.golden import check_network
from export import golden
from export.__main__ import main
from export.guests import keep
from tests.edge.helpers import POSED_BUNDLE, copy_bundle

SECTIONS = ("finder", "silhouette")


@pytest.mark.parametrize("section", SECTIONS)
def test_the_shipped_bundle_gives_its_own_golden_outputs(section: str) -> None:
    bundle = load_bundle(str(Path(SHIPPED, "morphable")), verify=False)
    spec = bundle.finder if section == "finder" else bundle.silhouette
    assert spec is not None
    with open_backend(bundle, "ort", 1, spec.graph) as backend:
        report = check_network(bundle, section, backend, "fp32")
    assert report is not None and report.good and report.samples == golden.FRAMES
    stored = np.load(bundle.file(f"golden-{section}.npz"))
    if section == "finder":  # a car is in each picture
        assert (stored["scores"][:, :, bundle.finder.car].max(1) > 0.5).all()  # type: ignore[union-attr]
    else:
        assert ((stored["mask"] > 0).mean((1, 2, 3)) > 0.1).all()


@pytest.mark.parametrize(("section", "name", "change", "word"), [
    ("finder", "scores", 0.006, "scores of the finder"), ("finder", "boxes", 0.03, "boxes of the finder"),
    ("silhouette", "mask", 1.0, "masks of the silhouette"), ("silhouette", "mask", float("nan"), "masks"),
])
def test_other_outputs_fail(tmp_path: Path, section: str, name: str, change: float, word: str) -> None:
    folder = Path(copy_bundle(str(Path(SHIPPED, "morphable")), str(tmp_path)))
    stored = dict(np.load(folder / f"golden-{section}.npz"))
    bundle = load_bundle(str(folder), verify=False)
    spec = bundle.finder if section == "finder" else bundle.silhouette
    assert spec is not None

    class Off:
        """A backend that gives the golden outputs, one of them changed."""

        def __init__(self) -> None:
            self.number = -1

        def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            self.number += 1
            given = {n: np.array(stored[n][self.number : self.number + 1]) for n in spec.graph.outputs}
            given[name] = given[name] + np.float32(change)
            return given

    report = check_network(bundle, section, Off(), "fp32")  # type: ignore[arg-type]
    assert report is not None and not report.good and word in report.worst.text


def test_a_bundle_without_golden_outputs_of_a_network_has_nothing_to_check(tmp_path: Path) -> None:
    bundle = load_bundle(POSED_BUNDLE)
    assert check_network(bundle, "finder", None, "fp32") is None  # type: ignore[arg-type]
    with pytest.raises(DataError, match="holds no silhouette network; put one in: python -m export silhouette"):
        golden.write_golden(Path(POSED_BUNDLE), "silhouette")


def test_the_command_stores_them_anew_and_an_export_keeps_them(tmp_path: Path) -> None:
    folder = Path(copy_bundle(str(Path(SHIPPED, "morphable")), str(tmp_path)))
    before = read_manifest(str(folder))
    assert main(["golden", str(folder)]) == 0
    manifest = read_manifest(str(folder))
    assert sorted(manifest["files"]) == sorted(before["files"]) and load_bundle(str(folder))
    new: dict = {"files": {}}
    for section in SECTIONS:
        keep(folder, tmp_path, new, section)
        assert (tmp_path / new[section]["golden"]).is_file() and new[section]["golden"] in new["files"]


def test_a_bundle_without_further_networks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy_bundle(POSED_BUNDLE, str(tmp_path))
    assert main(["golden", folder]) == DataError.exit_code
    assert "has neither finder nor silhouette; there is nothing to store" in capsys.readouterr().err
    with pytest.raises(BundleError, match="no bundle at"):
        golden.write_golden(tmp_path / "nothing", "finder")
