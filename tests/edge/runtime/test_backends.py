"""edge.runtime.backends: what is opened, and each sentence of what is refused."""

import builtins
import json
import os
import shutil
from typing import Any, Callable, Dict

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import BackendError, BundleError
from edge.runtime.backends import Backend, open_backend
from edge.runtime.backends.ort import install_hint
from edge.runtime.golden import check_golden, compare
from tests.edge.helpers import POSED_BUNDLE, TINY_BUNDLE, copy_bundle, copy_tiny_bundle


@pytest.mark.parametrize("name", ["auto", "ort"])
def test_onnxruntime_runs_the_network_and_says_what_it_is(name: str) -> None:
    bundle = load_bundle(TINY_BUNDLE)
    with open_backend(bundle, name, 2) as backend:
        assert backend.name == "ort" and backend.detail.startswith("onnxruntime ") and "2 threads" in backend.detail
        maps = backend.run({"image": np.zeros((1, 3, 64, 64), np.float32)})
    assert set(maps) == {"maps"} and maps["maps"].shape == (1, 8, 4, 32, 32)
    with pytest.raises(BackendError, match="was closed; open it again"):
        backend.run({"image": np.zeros((1, 3, 64, 64), np.float32)})


@pytest.mark.parametrize(
    "name, threads, sentence",
    [
        ("trt", 0, "TensorRT's Python module does not import .No module.*; on a Jetson: sudo apt-get install"),
        ("cuda", 0, "unknown backend 'cuda'; this version has: auto, trt, ort, ort-cuda, ort-trt"),
        ("ort-trt", 0, "backend ort-trt needs an onnxruntime with TensorrtExecutionProvider, this one has .*CPU"),
        ("ort", -1, "threads is -1; give 0 .one per core. or a positive number"),
    ],
)
def test_what_cannot_be_opened_is_refused(name: str, threads: int, sentence: str) -> None:
    with pytest.raises(BackendError, match=sentence):
        open_backend(load_bundle(TINY_BUNDLE), name, threads)


def test_a_missing_onnxruntime_names_the_command(monkeypatch: Any) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(BackendError, match="does not import .No module.* Type: python3 -m pip install onnxruntime"):
        open_backend(load_bundle(TINY_BUNDLE))


def test_the_last_onnxruntime_for_python_36_is_named_there() -> None:
    assert install_hint((3, 6, 9)) == "python3 -m pip install onnxruntime==1.10.0"
    assert install_hint((3, 10, 1)) == "python3 -m pip install onnxruntime"


def changed(tmp_path: Any, change: Callable[[Dict[str, Any]], Any]) -> str:
    """A copy of the tiny bundle with another manifest."""
    folder = copy_tiny_bundle(tmp_path)
    path = os.path.join(folder, "manifest.json")
    with open(path) as handle:
        manifest = json.load(handle)
    change(manifest)
    with open(path, "w") as handle:
        json.dump(manifest, handle)
    return folder


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda m: m["input"].update(name="x"), "has input image and its manifest says x; export the bundle again"),
        (lambda m: m["outputs"].update(length={"shape": [1, 2]}), "has output maps and its manifest says length"),
        (lambda m: m["input"].update(shape=[1, 3, 32, 32]), r"of shape \(1, 3, 64, 64\) and its manifest says"),
        (lambda m: m["outputs"]["maps"].update(shape=[1, 8, 4, 9, 9]), r"output maps of shape \(1, 8, 4, 32, 32\)"),
    ],
)
def test_a_network_that_is_not_the_manifests_is_refused(tmp_path: Any, change: Any, sentence: str) -> None:
    with pytest.raises(BackendError, match=sentence):
        open_backend(load_bundle(changed(tmp_path, change)))


def test_a_file_that_is_no_network_is_refused(tmp_path: Any) -> None:
    folder = copy_tiny_bundle(tmp_path)
    with open(os.path.join(folder, "reconstructor.onnx"), "wb") as handle:
        handle.write(b"no network")
    with pytest.raises(BackendError, match="refuses .*reconstructor.onnx .*; export the bundle again, with opset 13"):
        open_backend(load_bundle(folder, verify=False))


def test_an_input_of_another_shape_is_refused() -> None:
    with open_backend(load_bundle(TINY_BUNDLE)) as backend, pytest.raises(BackendError, match="refused its input"):
        backend.run({"image": np.zeros((1, 3, 9, 9), np.float32)})


def test_all_outputs_are_given() -> None:
    bundle = load_bundle(POSED_BUNDLE)
    with open_backend(bundle, "ort", 1) as backend:
        outputs = backend.run({"image": np.zeros((1, 3, 64, 64), np.float32)})
    assert {name: value.shape for name, value in outputs.items()} == bundle.outputs


def test_the_golden_sample_agrees() -> None:
    bundle = load_bundle(TINY_BUNDLE)
    with open_backend(bundle) as backend:
        report = check_golden(bundle, backend)
    assert report.good and report.samples == 1
    assert [d.error for d in report.deviations] == pytest.approx([0, 0], abs=1e-5)
    assert [d.what for d in report.deviations] == ["points of the maps", "masks of the maps"]


def test_the_golden_check_compares_every_output() -> None:
    bundle = load_bundle(POSED_BUNDLE)
    with open_backend(bundle) as backend:
        report = check_golden(bundle, backend)
    assert report.good and len(report.deviations) == 6


@pytest.mark.parametrize(
    "name, factor, what",
    [
        ("points", 1.01, "points differ by 5"),
        ("error", 1.2, "expected distances differ by 1.7e-01 at most (limit 0.05)"),
        ("azimuth", 1.1, "azimuth logits"), ("camera", 1.1, "camera numbers"), ("length", np.nan, "length numbers"),
        ("classes", 0.9, "class logits differ by 1.1e-01 at most (limit 0.01)"),
    ],
)  # fmt: skip
def test_the_worst_output_is_named(tmp_path: Any, name: str, factor: float, what: str) -> None:
    folder = copy_bundle(POSED_BUNDLE, tmp_path)
    path = os.path.join(folder, "golden.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays[name] = arrays[name] * np.float32(factor)
    np.savez(path, **arrays)
    bundle = load_bundle(folder, verify=False)
    with open_backend(bundle) as backend:
        report = check_golden(bundle, backend)
    assert not report.good and what in report.worst.text
    assert [d.good for d in report.deviations].count(False) == 1


def test_cells_on_the_wrong_side_are_counted() -> None:
    bundle = load_bundle(TINY_BUNDLE)._replace(outputs={"occupancy": (1, 8, 8, 8)})
    wanted = np.where(np.arange(512).reshape(1, 8, 8, 8) % 2, 1.0, -1.0).astype(np.float32)

    class Cells(Backend):
        def run(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
            return {"occupancy": given}

    image = np.zeros((1, 3, 64, 64), np.float32)
    for flipped, good in ((0, True), (3, False)):
        given = wanted * 5
        given.reshape(-1)[:flipped] *= -1
        (deviation,) = compare(bundle, Cells(), image, {"occupancy": wanted})
        assert deviation.error == flipped / 512 and deviation.good is good


@pytest.mark.parametrize(
    "channel, amount, good", [(2, 5e-4, True), (2, 2e-3, False), (2, np.nan, False), (3, -99.0, False)]
)
def test_the_golden_check_can_fail(tmp_path: Any, channel: int, amount: float, good: bool) -> None:
    folder = copy_tiny_bundle(tmp_path)
    path = os.path.join(folder, "golden.npz")
    with np.load(path) as stored:
        image, maps = stored["image"], stored["maps"].copy()
    maps[:, 0, channel] += amount
    np.savez(path, image=image, maps=maps)
    bundle = load_bundle(folder, verify=False)
    with open_backend(bundle) as backend:
        assert check_golden(bundle, backend).good is good


def test_a_golden_file_that_does_not_fit_is_refused(tmp_path: Any) -> None:
    folder = copy_tiny_bundle(tmp_path)
    bundle = load_bundle(folder)
    path = os.path.join(folder, "golden.npz")
    with open_backend(bundle) as backend:
        np.savez(path, image=np.zeros((1, 3, 9, 9)), maps=np.zeros((1, 8, 4, 32, 32)))
        with pytest.raises(BundleError, match="do not fit the manifest; export the bundle again"):
            check_golden(bundle, backend)
        np.savez(path, picture=np.zeros(1))
        with pytest.raises(BundleError, match="golden.npz cannot be read"):
            check_golden(bundle, backend)
        shutil.copy(os.path.join(folder, "manifest.json"), path)
        with pytest.raises(BundleError, match="golden.npz cannot be read"):
            check_golden(bundle, backend)
