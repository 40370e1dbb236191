"""edge.runtime.silhouette: the bundle's entry, masks of crops, and masks pasted to the picture."""

import json
import os
from typing import Any, Dict

import numpy as np
import pytest

from edge.bundle import Bundle, Graph, SilhouetteSpec, load_bundle
from edge.errors import BackendError, BundleError, SettingsError
from edge.runtime.backends import Backend
from edge.runtime.reconstructor import crop_square, normalise
from edge.runtime.silhouette import Silhouette, open_silhouette, paste
from tests.edge.helpers import TINY_BUNDLE, copy_tiny_bundle

SIZE = 32
ENTRY = {
    "file": "silhouette.onnx", "threshold": 0.5, "outputs": {"mask": [1, 1, SIZE, SIZE]},
    "input": {"name": "image", "shape": [1, 3, SIZE, SIZE], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}  # type: Dict[str, Any]


class Bright(Backend):
    """Takes what is bright for the car."""

    def __init__(self, value: float = 1.0) -> None:
        self.value, self.closed = value, False
        self.name = "bright"

    def run(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        return {"mask": inputs["image"].mean(1, keepdims=True) * np.float32(50 * self.value)}

    def close(self) -> None:
        self.closed = True


def spec() -> SilhouetteSpec:
    graph = Graph("", "image", (1, 3, SIZE, SIZE), {"mask": (1, 1, SIZE, SIZE)})
    return SilhouetteSpec(graph, np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32), 0.5)


def street() -> np.ndarray:
    """A dark picture (90, 160, 3) with a bright car at x 40 to 80, y 30 to 60."""
    image = np.full((90, 160, 3), 20, np.uint8)
    image[30:60, 40:80] = 230
    return image


def with_silhouette(folder: str, **changes: Any) -> str:
    """A bundle with an entry; its file holds nothing."""
    path = copy_tiny_bundle(folder)
    source = os.path.join(path, "manifest.json")
    with open(source) as handle:
        manifest = json.load(handle)
    manifest["silhouette"] = dict(ENTRY, **changes)
    manifest["files"]["silhouette.onnx"] = {
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "bytes": 0
    }  # fmt: skip
    with open(source, "w") as handle:
        json.dump(manifest, handle)
    with open(os.path.join(path, "silhouette.onnx"), "wb"):
        pass
    return path


def test_a_bundle_without_a_network_opens_none() -> None:
    bundle = load_bundle(TINY_BUNDLE)
    assert bundle.silhouette is None and open_silhouette(bundle) is None


def test_a_bundles_entry_is_read(tmp_path: Any) -> None:
    bundle = load_bundle(with_silhouette(tmp_path))
    assert isinstance(bundle, Bundle) and bundle.silhouette is not None
    assert bundle.silhouette.graph.input_shape == (1, 3, SIZE, SIZE)
    assert bundle.silhouette.graph.path.endswith("silhouette.onnx")
    assert bundle.silhouette.std.tolist() == [0.25, 0.25, 0.25] and bundle.silhouette.threshold == 0.5
    with pytest.raises(BackendError):
        open_silhouette(bundle, "ort")


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": {"mask": [1, 1, 16, 16]}}, {"outputs": {"other": [1, 1, SIZE, SIZE]}}, {"threshold": 1.5},
        {"input": dict(ENTRY["input"], shape=[1, 3, 32, 48])},
    ],
)  # fmt: skip
def test_a_network_of_another_contract_is_refused(tmp_path: Any, changes: Dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="silhouette network that makes .* Export the bundle again"):
        load_bundle(with_silhouette(tmp_path, **changes))


def test_a_garbled_entry_is_refused(tmp_path: Any) -> None:
    with pytest.raises(BundleError, match="not among its files; export the bundle again"):
        load_bundle(with_silhouette(tmp_path, file="gone.onnx"))
    with pytest.raises(BundleError, match="lacks or garbles"):
        load_bundle(with_silhouette(os.path.join(str(tmp_path), "two"), threshold=None))


def test_a_crops_mask_shows_the_car() -> None:
    with Silhouette(spec(), Bright()) as network:
        found = network.mask(street(), (30, 15, 60))
        assert network.size == SIZE and network.milliseconds > 0
    assert network.backend.closed  # type: ignore[attr-defined]
    assert found.shape == (SIZE, SIZE) and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    # The car is at 10 to 50 of 60 across and 15 to 45 down.
    true = np.zeros((SIZE, SIZE), bool)
    true[8:24, 5:27] = True
    assert ((found >= 0.5) == true).mean() > 0.96


def test_a_square_that_leaves_the_picture_is_pasted_where_it_is() -> None:
    image = street()
    for square in ((30, 15, 60), (-40, -30, 150), (20, 10, 200)):
        found = Silhouette(spec(), Bright()).mask(image, square)
        whole = paste(found, square, (160, 90))
        assert whole.shape == (90, 160) and whole.dtype == np.uint8
        union = ((whole > 127) | (image[..., 0] > 100)).sum()
        # As exact as a cell of the mask is.
        cell = square[2] / float(SIZE)
        assert ((whole > 127) & (image[..., 0] > 100)).sum() / float(union) > 1 - 0.05 * cell
    assert paste(np.ones((8, 8), np.float32), (-5, -5, 10), (20, 20)).sum() == 25 * 255
    assert paste(np.ones((8, 8), np.float32), (18, 3, 10), (20, 20))[3:13, 18:].min() == 255


@pytest.mark.parametrize("square", [(200, 0, 10), (0, -50, 50), (10, 10, 0)])
def test_a_square_outside_the_picture_is_refused(square: Any) -> None:
    with pytest.raises(SettingsError, match="lies outside the picture, which is 160 x 90; give one around"):
        Silhouette(spec(), Bright()).mask(street(), square)
    with pytest.raises(SettingsError, match="lies outside the picture"):
        paste(np.ones((8, 8), np.float32), square, (160, 90))


def test_what_is_not_finite_is_an_error() -> None:
    with pytest.raises(BackendError):
        Silhouette(spec(), Bright(float("nan"))).mask(street(), (30, 15, 60))


def test_a_crop_of_another_network_is_taken_as_it_is_if_it_is_the_same() -> None:
    silhouette, mean, std = Silhouette(spec(), Bright()), np.full(3, 0.5, np.float32), np.full(3, 0.25, np.float32)
    shape, square = (1, 3, SIZE, SIZE), (30, 15, 60)
    assert silhouette.takes(shape, mean, std) and not silhouette.takes((1, 3, 64, 64), mean, std)
    assert not silhouette.takes(shape, mean, 2 * std) and not silhouette.takes(shape, mean + 0.1, std)
    crop = np.empty(shape, np.float32)
    normalise(crop_square(street(), square, SIZE), mean, std, crop[0])
    wanted = silhouette.mask(street(), square)
    silhouette.milliseconds = 0.0
    np.testing.assert_array_equal(silhouette.of(crop), wanted)
    assert silhouette.milliseconds > 0
