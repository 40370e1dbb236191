"""edge.bundle: what is read, and each sentence of what is refused."""

import json
import os
from typing import Any, Callable, Dict

import numpy as np
import pytest

from edge import bundle as bundles
from edge.bundle import LengthPrior, load_bundle, resolve
from edge.errors import BundleError
from tests.edge.helpers import POSED_BUNDLE, TINY_BUNDLE, copy_bundle, copy_tiny_bundle


def edit(folder: str, change: Callable[[Dict[str, Any]], Any]) -> str:
    """Change the manifest of a bundle folder."""
    path = os.path.join(folder, "manifest.json")
    with open(path) as handle:
        manifest = json.load(handle)
    change(manifest)
    with open(path, "w") as handle:
        json.dump(manifest, handle)
    return folder


def test_the_tiny_bundle_opens() -> None:
    bundle = load_bundle(TINY_BUNDLE)
    assert (bundle.name, bundle.input_name, bundle.input_size) == ("tiny", "image", 64)
    assert bundle.outputs == {"maps": (1, 8, 4, 32, 32)} and bundle.margin == 0.1 and bundle.threshold == 0.0
    assert bundle.grid is None and bundle.classes == () and bundle.length_prior == LengthPrior(4.4, 0.4)
    assert bundle.views is not None and bundle.views.rotations.shape == (8, 3, 3) and bundle.mean.dtype == np.float32
    assert bundle.file("reconstructor.onnx") == os.path.join(TINY_BUNDLE, "reconstructor.onnx")


def test_a_bundle_without_maps_opens_and_keeps_the_order_of_its_outputs() -> None:
    bundle = load_bundle(POSED_BUNDLE)
    assert list(bundle.outputs) == ["points", "error", "azimuth", "camera", "length", "classes"]
    assert bundle.outputs["points"] == (1, 600, 3) and bundle.classes == ("sedan", "estate", "suv")
    assert bundle.views is None and bundle.grid is None


@pytest.mark.parametrize("name", sorted(os.listdir(bundles.SHIPPED)))
def test_shipped_bundles_open_and_are_small(name: str) -> None:
    bundle = load_bundle(name)
    assert bundle.name == name
    sizes = {file: entry["bytes"] for file, entry in bundle.manifest["files"].items()}
    assert sizes.pop("finder.onnx") < 19e6 and sizes.pop("silhouette.onnx", 0) < 4e6
    assert sizes.pop("golden-finder.npz") < 1e6 and sizes.pop("golden-silhouette.npz", 0) < 1e6
    others = [sizes.pop(entry["file"]) for p, entry in bundle.manifest["precisions"].items() if p != "fp32"]
    assert max(others, default=0) < 25e6, "a further precision is no larger than FP32"
    assert sum(sizes.values()) < 25e6, "what reconstructs, and its golden sample"


def test_what_the_shipped_bundles_tell() -> None:
    flagship = load_bundle(bundles.DEFAULT)
    assert list(flagship.outputs) == ["points", "error", "azimuth", "camera", "length", "classes"]
    assert flagship.outputs["points"] == (1, 16384, 3) and flagship.views is None
    founding = load_bundle("lin2018")
    assert founding.outputs == {"maps": (1, 8, 4, 128, 128)} and founding.length_prior == LengthPrior(4.4, 0.4)


def occupancy(manifest: Dict[str, Any]) -> None:
    """Make it the manifest of a network that gives occupancy."""
    manifest.update(outputs={"occupancy": {"shape": [1, 32, 16, 16]}}, grid=[-0.5, -0.25, -0.2, 0.5, 0.25, 0.2])


def test_occupancy_comes_with_its_grid(tmp_path: Any) -> None:
    bundle = load_bundle(edit(copy_tiny_bundle(tmp_path), occupancy))
    assert bundle.grid is not None and bundle.views is None
    np.testing.assert_allclose(bundle.grid, [[-0.5, -0.25, -0.2], [0.5, 0.25, 0.2]])


def test_a_name_is_looked_up_among_the_shipped_and_a_path_is_not(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(bundles, "SHIPPED", str(tmp_path))
    os.rename(copy_tiny_bundle(tmp_path), str(tmp_path / "mine"))
    assert resolve("mine") == str(tmp_path / "mine")
    assert load_bundle("mine").name == "tiny"
    assert resolve("./mine") == "./mine"


def test_no_bundle_there_names_the_shipped_ones(tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(bundles, "SHIPPED", str(tmp_path))
    os.makedirs(str(tmp_path / "lin2018"))
    with pytest.raises(BundleError, match="no bundle at nowhere: .*shipped names: lin2018"):
        load_bundle("nowhere")


def test_an_altered_file_is_refused_and_only_that_when_verifying(tmp_path: Any) -> None:
    folder = copy_tiny_bundle(tmp_path)
    with open(os.path.join(folder, "reconstructor.onnx"), "ab") as handle:
        handle.write(b"!")
    with pytest.raises(BundleError, match="does not match the hash in its manifest.*copy the bundle again"):
        load_bundle(folder)
    assert load_bundle(folder, verify=False).name == "tiny"


def test_a_missing_file_is_refused(tmp_path: Any) -> None:
    folder = copy_tiny_bundle(tmp_path)
    os.remove(os.path.join(folder, "golden.npz"))
    with pytest.raises(BundleError, match="incomplete: golden.npz is missing; copy the bundle again"):
        load_bundle(folder)


def test_a_manifest_that_is_not_json_is_refused(tmp_path: Any) -> None:
    folder = copy_tiny_bundle(tmp_path)
    with open(os.path.join(folder, "manifest.json"), "w") as handle:
        handle.write('{"format": ')
    with pytest.raises(BundleError, match="not valid JSON"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda m: m.update(format="zip"), "does not describe a carcloud bundle .format 'zip'"),
        (lambda m: m.update(format_version=1), "format version 1 and this carcloud reads 2; export it again"),
        (lambda m: m.pop("views"), "lacks or garbles 'views'; export the bundle again"),
        (lambda m: m["input"].update(shape=[1]), "lacks or garbles"),
        (lambda m: m["fusion"].update(mask_threshold=None), "lacks or garbles"),
        (lambda m: m.pop("outputs"), "lacks or garbles 'outputs'"),
        (lambda m: m.pop("length_prior_m"), "lacks or garbles 'length_prior_m'"),
        (lambda m: m["outputs"].update(normals={"shape": [1, 9, 3]}), "an output 'normals' and this carcloud knows po"),
        (lambda m: m.update(outputs={"camera": {"shape": [1, 6]}}), "gives camera, of which no cloud can be made"),
        (lambda m: m.update(outputs={}), "gives nothing, of which no cloud can be made; it needs one of points, vert"),
        (lambda m: m["outputs"].update(points={"shape": [1, 9, 4]}), r"points the shape \(1, 9, 4\), wanted \(1, N, 3"),
        (lambda m: m["outputs"].update(points={"shape": [2, 9, 3]}), r"points the shape \(2, 9, 3\), wanted \(1, N, 3"),
        (lambda m: m["outputs"].update(maps={"shape": [1, 7, 4, 9, 9]}), "has maps of 7 views and describes views of"),
        (lambda m: m["outputs"].update(error={"shape": [1, 7]}), r"error \(1, 7\), points none; export the bundle"),
        (lambda m: m["outputs"].update(vertices={"shape": [1, 9, 3]}), "gives vertices and holds no faces.npy"),
        (lambda m: (occupancy(m), m.pop("grid")), "lacks or garbles 'grid'"),
        (lambda m: (occupancy(m), m["grid"].reverse()), "upper corner is not above its lower one"),
        (lambda m: m["files"].update({"../x": {}}), "names '../x', which lies outside the bundle"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Any, change: Callable[[Dict[str, Any]], Any], sentence: str) -> None:
    with pytest.raises(BundleError, match=sentence):
        load_bundle(edit(copy_tiny_bundle(tmp_path), change))


def test_class_names_that_do_not_fit_the_logits_are_refused(tmp_path: Any) -> None:
    folder = edit(copy_bundle(POSED_BUNDLE, tmp_path), lambda m: m["classes"].pop())
    with pytest.raises(BundleError, match="names 2 body classes and its network tells 3 apart"):
        load_bundle(folder)


def test_a_file_that_is_not_listed_is_refused() -> None:
    with pytest.raises(BundleError, match="has no finder.onnx; it holds golden.npz, reconstructor.onnx"):
        load_bundle(TINY_BUNDLE).file("finder.onnx")
