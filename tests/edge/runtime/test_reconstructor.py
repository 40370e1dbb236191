"""edge.runtime.reconstructor: crops, colours, normalisation, and the tiny network end to end."""

from typing import Dict, List, Tuple

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import BackendError, SettingsError
from edge.geometry import MIRRORED, SEEN
from edge.runtime.backends import Backend, open_backend
from edge.runtime.reconstructor import Reconstructor, crop_box, crop_square, normalise
from tests.edge.helpers import POSED_BUNDLE, TINY_BUNDLE, picture

MEAN, STD = np.array([0.4, 0.5, 0.6], np.float32), np.array([0.2, 0.25, 0.3], np.float32)


def test_without_a_box_the_square_is_around_the_whole_picture() -> None:
    assert crop_box(640, 480, None, 0.1) == (0, -80, 640)
    assert crop_box(300, 600, None, 0.1) == (-150, 0, 600)


def test_a_box_gets_the_margin_of_the_bundle() -> None:
    assert crop_box(640, 480, (100, 100, 200, 100), 0.1) == (80, 30, 240)


@pytest.mark.parametrize("box", [(-50, 10, 60, 20), (630, 470, 100, 100), (0, 0, 640, 480)])
def test_a_box_may_reach_over_the_border(box: tuple) -> None:
    square = crop_box(640, 480, box, 0.1)
    assert crop_square(picture(640, 480), square, 32).shape == (32, 32, 3)


@pytest.mark.parametrize("box", [(640, 0, 10, 10), (0, 480, 10, 10), (-10, 0, 10, 10), (0, -20, 5, 20)])
def test_a_box_outside_is_refused(box: tuple) -> None:
    with pytest.raises(SettingsError, match="lies outside the picture, which is 640 x 480; give --box"):
        crop_box(640, 480, box, 0.1)


@pytest.mark.parametrize("box", [(1, 1, 0, 5), (1, 1, 5, -1)])
def test_a_box_without_area_is_refused(box: tuple) -> None:
    with pytest.raises(SettingsError, match="has no area; give --box x,y,width,height in pixels"):
        crop_box(640, 480, box, 0.1)


def test_a_crop_inside_is_the_mean_of_its_pixels() -> None:
    image = picture(80, 60)
    wanted = image[10:42, 20:52].reshape(8, 4, 8, 4, 3).mean((1, 3))
    np.testing.assert_allclose(crop_square(image, (20, 10, 32), 8), wanted, atol=0.51)


def test_outside_the_picture_the_border_is_repeated() -> None:
    image = picture(8, 4)
    crop = crop_square(image, (0, -2, 8), 8)
    np.testing.assert_array_equal(crop[2:6], image)
    np.testing.assert_array_equal(crop[:2], np.repeat(image[:1], 2, 0))
    np.testing.assert_array_equal(crop[6:], np.repeat(image[-1:], 2, 0))


@pytest.mark.parametrize("square", [(79, 59, 400), (-399, -399, 400), (-5000, 0, 10000), (3, 3, 1)])
def test_extreme_squares_still_give_a_crop(square: tuple) -> None:
    image = np.full((60, 80, 3), 77, np.uint8)
    crop = crop_square(image, square, 16)
    assert crop.shape == (16, 16, 3) and (crop == 77).all()


def test_normalise_turns_bgr_to_rgb_planes_in_single_precision() -> None:
    crop = picture(16, 16)
    found = normalise(crop, MEAN, STD, np.empty((3, 16, 16), np.float32))
    wanted = (crop[:, :, ::-1].transpose(2, 0, 1) / 255.0 - MEAN[:, None, None]) / STD[:, None, None]
    np.testing.assert_allclose(found, wanted, atol=2e-6)


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    """The tiny bundle's: two ellipsoids whose size tells the mean of what the network saw."""
    bundle = load_bundle(TINY_BUNDLE)
    return Reconstructor(bundle, open_backend(bundle, "auto", 1))


def length(cloud: np.ndarray) -> float:
    """Extent along x."""
    return float(np.ptp(cloud[:, 0]))


def test_a_picture_becomes_a_car_shaped_cloud(reconstructor: Reconstructor) -> None:
    result = reconstructor.reconstruct(np.full((48, 64, 3), 128, np.uint8))
    extent = np.ptp(result.cloud.points, axis=0)
    np.testing.assert_allclose(extent, [1.0, 0.42, 0.32], atol=0.03)
    assert result.crop_box == (0, -8, 64)
    assert result.cloud.confidence is not None and result.cloud.confidence.min() > 0.5
    assert set(result.timings) == {"crop", "network", "fusion"} and min(result.timings.values()) > 0
    told = {"pose": None, "length": None, "body_class": None, "directions": 0}
    assert result.facts() == told and result.cloud.rgb is None


def test_a_network_that_tells_more_gives_colours_pose_length_and_class() -> None:
    bundle = load_bundle(POSED_BUNDLE)
    orange = np.full((100, 200, 3), (20, 120, 250), np.uint8)
    with open_backend(bundle, "auto", 1) as backend:
        result = Reconstructor(bundle, backend).reconstruct(orange, (50, 10, 80, 60))
        plain = Reconstructor(bundle, backend, colour=False).reconstruct(orange, (50, 10, 80, 60))
    assert list(result.timings) == ["crop", "network", "fusion", "colour"]
    assert result.cloud.rgb is not None and result.cloud.mark is not None and result.cloud.confidence is not None
    assert (result.cloud.rgb == (250, 120, 20)).all()
    assert {SEEN, MIRRORED} <= set(result.cloud.mark.tolist())
    facts = result.facts()
    assert facts["pose"] == {"azimuth": 60.0, "elevation": 14.3, "certainty": pytest.approx(0.95, abs=0.02)}
    assert facts["length"] == {"metres": 4.2, "plus_minus": 0.21} and facts["body_class"]["name"] == "suv"
    assert plain.cloud.rgb is None and "colour" not in plain.timings and plain.pose == result.pose


class Half:
    """Stands in for a silhouette network: the right half of every crop is hidden."""

    milliseconds = 3.0

    def takes(self, *crop: object) -> bool:
        return False

    def mask(self, image: np.ndarray, square: Tuple[int, int, int]) -> np.ndarray:
        assert square == (42, -8, 96)
        return np.repeat([[1.0] * 16 + [0.0] * 16], 32, 0).astype(np.float32)


def test_what_is_not_the_silhouette_gives_no_colour() -> None:
    bundle = load_bundle(POSED_BUNDLE)
    image = np.full((100, 200, 3), (20, 120, 250), np.uint8)
    image[:, 90:] = (0, 255, 0)
    with open_backend(bundle, "auto", 1) as backend:
        result = Reconstructor(bundle, backend, silhouette=Half()).reconstruct(image, (50, 0, 80, 80))  # type: ignore
    assert set(result.timings) == {"crop", "network", "fusion", "silhouette", "colour"}
    assert result.timings["silhouette"] == 3.0 and result.silhouette is not None and result.silhouette.shape == (32, 32)
    assert result.cloud.rgb is not None and (result.cloud.rgb == (250, 120, 20)).all(), "nothing of the green"


def test_colours_are_taken_where_the_box_is_in_the_whole_picture() -> None:
    bundle = load_bundle(POSED_BUNDLE)
    image = np.full((100, 200, 3), 255, np.uint8)
    image[10:70, 50:130] = (0, 0, 9)
    with open_backend(bundle, "auto", 1) as backend:
        cloud = Reconstructor(bundle, backend).reconstruct(image, (50, 0, 80, 80)).cloud
    assert cloud.rgb is not None and (cloud.rgb == (9, 0, 0)).all(1).mean() > 0.8


def test_a_network_that_gives_nan_is_an_error_with_a_sentence() -> None:
    class Broken(Backend):
        def run(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
            return {"maps": np.full((1, 8, 4, 32, 32), np.nan, np.float32)}

    with pytest.raises(BackendError, match="32768 of 32768 numbers in its output maps that are not finite"):
        Reconstructor(load_bundle(TINY_BUNDLE), Broken()).reconstruct(picture())


def test_the_network_sees_the_colours_as_rgb() -> None:
    bundle = load_bundle(TINY_BUNDLE)
    recorder = Recorder(open_backend(bundle, "auto", 1))
    red = np.zeros((64, 64, 3), np.uint8)
    red[:, :, 2] = 255
    Reconstructor(bundle, recorder).reconstruct(red)
    np.testing.assert_allclose(recorder.inputs[0].mean((0, 2, 3)), [0.6 / 0.2, -0.5 / 0.25, -0.6 / 0.3], rtol=1e-5)


class Recorder(Backend):
    """Keeps what another backend is given."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self.inputs: List[np.ndarray] = []

    def run(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        self.inputs.append(inputs["image"].copy())
        return self._inner.run(inputs)


def test_the_network_sees_the_box_and_nothing_else(reconstructor: Reconstructor) -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    image[20:80, 120:180] = 255
    # 40 pixels with a margin of 4 on each side lie inside the white square.
    white = reconstructor.reconstruct(image, (130, 30, 40, 40))
    black = reconstructor.reconstruct(image, (10, 30, 40, 40))
    assert white.crop_box == (126, 26, 48)
    assert length(white.cloud.points) > 1.2 * length(black.cloud.points)


def test_the_number_of_points_is_limited() -> None:
    bundle = load_bundle(TINY_BUNDLE)
    with open_backend(bundle, "ort", 1) as backend:
        assert len(Reconstructor(bundle, backend, 100).reconstruct(picture()).cloud.points) == 100
        assert len(Reconstructor(bundle, backend, 0).reconstruct(picture()).cloud.points) > 1000


def test_results_do_not_share_memory(reconstructor: Reconstructor) -> None:
    first = reconstructor.reconstruct(picture(seed=1)).cloud.points
    copy = first.copy()
    reconstructor.reconstruct(np.zeros((64, 64, 3), np.uint8))
    np.testing.assert_array_equal(first, copy)
