"""edge.runtime.anchors and finder: decoding, one box a car, and pictures in which there is none."""

import json
import os
from typing import Any, Dict, List

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import BackendError, BundleError
from edge.runtime.anchors import decode, make_anchors, overlap, suppress
from edge.runtime.backends import Backend
from edge.runtime.finder import Detection, Finder, by_prominence, open_finder, within
from tests.edge.helpers import FINDING_BUNDLE, TINY_BUNDLE, copy_bundle, red_cars

SPEC: Dict[str, Any] = {
    "maps": [3, 2, 1], "scales": [0.2, 0.4, 0.6], "first": [[0.1, 1.0], [0.2, 2.0]], "ratios": [1.0, 0.5],
    "last_scale": 0.9, "code_scales": [10.0, 10.0, 5.0, 5.0],
}  # fmt: skip


def test_anchors_are_in_the_order_of_maps_rows_columns_and_kinds() -> None:
    anchors = make_anchors(SPEC)
    assert anchors.shape == (9 * 2 + 4 * 3 + 1 * 3, 4) and anchors.dtype == np.float32
    assert anchors[0] == pytest.approx([1 / 6, 1 / 6, 0.1, 0.1])
    # Ratio 2: twice as wide as high, of the same area as the scale's square.
    assert anchors[1, 2] == pytest.approx(2 * anchors[1, 3]) and anchors[1, 2] * anchors[1, 3] == pytest.approx(0.04)
    assert anchors[2, :2] == pytest.approx([3 / 6, 1 / 6]), "along the row first"
    assert anchors[6, :2] == pytest.approx([1 / 6, 3 / 6])
    second = anchors[18:21]
    assert second[:, 2] * second[:, 3] == pytest.approx([0.16, 0.16, 0.24]), "the last is between two scales"
    assert anchors[-1] == pytest.approx([0.5, 0.5, (0.6 * 0.9) ** 0.5, (0.6 * 0.9) ** 0.5])


def test_offsets_become_the_boxes_they_were_made_of() -> None:
    anchors = make_anchors(SPEC)
    rng = np.random.RandomState(0)
    boxes = np.concatenate([rng.uniform(0.2, 0.8, (len(anchors), 2)), rng.uniform(0.05, 0.9, (len(anchors), 2))], 1)
    offsets = np.stack([
        10 * (boxes[:, 1] - anchors[:, 1]) / anchors[:, 3], 10 * (boxes[:, 0] - anchors[:, 0]) / anchors[:, 2],
        5 * np.log(boxes[:, 3] / anchors[:, 3]), 5 * np.log(boxes[:, 2] / anchors[:, 2]),
    ], 1)  # fmt: skip
    code = np.array(SPEC["code_scales"], np.float32)
    assert decode(offsets, anchors, code) == pytest.approx(boxes, abs=1e-5)
    assert np.isfinite(decode(np.full_like(offsets, 1e6), anchors, code)).all()


def test_overlap_is_intersection_over_union() -> None:
    a = np.array([[0.5, 0.5, 0.2, 0.4]])
    others = np.array([[0.5, 0.5, 0.2, 0.4], [0.6, 0.5, 0.2, 0.4], [0.9, 0.9, 0.1, 0.1], [0.5, 0.5, 0.2, 0.2]])
    assert overlap(a, others)[0] == pytest.approx([1, 1 / 3, 0, 0.5], abs=1e-6)


def test_of_several_boxes_of_one_car_the_best_is_left() -> None:
    boxes = np.array([[0.3, 0.5, 0.2, 0.2], [0.31, 0.5, 0.2, 0.2], [0.7, 0.5, 0.2, 0.2], [0.72, 0.5, 0.2, 0.2]])
    scores = np.array([0.6, 0.9, 0.7, 0.5])
    assert suppress(boxes, scores, 0.5, 0.8, 16).tolist() == [1, 2]
    assert suppress(boxes, scores, 0.5, 0.8, 1).tolist() == [1]
    assert suppress(boxes[:0], scores[:0], 0.5, 0.8, 16).tolist() == []


def test_a_window_is_no_car_behind_the_car() -> None:
    boxes = np.array([[0.5, 0.5, 0.6, 0.5], [0.45, 0.4, 0.2, 0.1], [0.85, 0.45, 0.2, 0.1]])
    scores = np.array([0.9, 0.5, 0.4])
    assert suppress(boxes, scores, 0.5, 0.8, 16).tolist() == [0, 2], "one that looks out from behind it is"
    assert suppress(boxes, np.array([0.3, 0.5, 0.4]), 0.5, 0.8, 16).tolist() == [1, 2, 0], "a better one stays"


def test_red_squares_are_found_where_they_are() -> None:
    with open_finder(load_bundle(FINDING_BUNDLE), "auto", 1) as finder:  # type: ignore[union-attr]
        found = finder.find(red_cars((2, 3), (6, 5)))
        assert finder.milliseconds > 0
        assert [d.box for d in sorted(found, key=lambda d: d.box)] == [
            pytest.approx((60, 75, 80, 60)), pytest.approx((220, 135, 80, 60))
        ]  # fmt: skip
        assert all(0.99 < d.score <= 1 for d in found)
        # At the border a box ends where the picture does; of another size all is where it should be.
        assert finder.find(red_cars((0, 0)))[0].box == pytest.approx((0, 0, 60, 45))
        assert finder.find(red_cars((2, 3), width=1280, height=720))[0].box == pytest.approx((240, 225, 320, 180))
        assert finder.find(red_cars()) == [] and finder.find(np.zeros((240, 320, 3), np.uint8)) == []


def test_a_box_of_a_few_pixels_is_no_car() -> None:
    assert within(np.array([0.5, 0.5, 0.02, 0.5]), 320, 240) is None
    assert within(np.array([-0.2, 0.5, 0.4, 0.5]), 320, 240) is None, "what is left of it is too little"
    assert within(np.array([0.5, 0.5, 0.5, 0.5]), 320, 240) == (80, 60, 160, 120)


def test_a_finder_that_gives_no_numbers_is_an_error() -> None:
    class Broken(Backend):
        """Stands in for a network gone wrong."""

        def run(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
            return {"boxes": np.full((1, 64, 4), np.nan, np.float32), "scores": np.ones((1, 64, 2), np.float32)}

    spec = load_bundle(FINDING_BUNDLE).finder
    assert spec is not None
    with pytest.raises(BackendError, match="boxes"):
        Finder(spec, Broken()).find(red_cars())


def test_the_car_that_a_picture_is_of() -> None:
    large, middle, corner = (Detection(box, 0.8) for box in ((200, 100, 300, 200), (290, 210, 60, 60), (0, 0, 60, 60)))
    assert by_prominence([corner, middle, large], (640, 480)) == [large, middle, corner]
    unsure = large._replace(score=0.05)
    assert by_prominence([unsure, large], (640, 480)) == [large, unsure]


def test_a_bundle_without_a_finder_has_none() -> None:
    bundle = load_bundle(TINY_BUNDLE)
    assert bundle.finder is None and open_finder(bundle) is None


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"file": "other.onnx"}, "names a finder other.onnx that is not among its files"),
        ({"classes": ["dog", "person"]}, "has a finder that gives .* of the classes dog, person; wanted are"),
        ({"outputs": {"boxes": [1, 64, 4], "scores": [1, 63, 2]}}, "wanted are .*scores"),
        ({"input": {"name": "image"}}, "lacks or garbles 'shape'"),
    ],
)
def test_a_wrong_finder_is_refused_with_a_sentence(tmp_path: Any, change: Dict[str, Any], sentence: str) -> None:
    folder = copy_bundle(FINDING_BUNDLE, str(tmp_path))
    path = os.path.join(folder, "manifest.json")
    with open(path) as handle:
        manifest = json.load(handle)
    manifest["finder"].update(change)
    with open(path, "w") as handle:
        json.dump(manifest, handle)
    with pytest.raises(BundleError, match=sentence):
        load_bundle(folder)


def test_boxes_below_the_threshold_are_remembered_and_are_no_cars() -> None:
    with open_finder(load_bundle(FINDING_BUNDLE), "auto", 1) as finder:  # type: ignore[union-attr]
        picture = red_cars((2, 3))
        (car,) = finder.find(picture)
        assert finder.faint == []
        finder.threshold = car.score + 1e-4
        assert finder.find(picture) == [] and finder.faint == [car]
        assert finder.find(np.zeros_like(picture)) == [] and finder.faint == [], "of the last picture only"


def test_a_still_picture_is_looked_at_in_a_mirror_too() -> None:
    class Looks(Finder):
        """Stands in for a detector: what it says of the picture, and of its mirror image."""

        def __init__(self, *told: List[Detection]) -> None:
            self.told = list(told)

        def find(self, image_bgr: np.ndarray) -> List[Detection]:
            self.milliseconds = 5.0
            return self.told.pop(0)

    image = np.zeros((100, 200, 3), np.uint8)
    car, mirrored = Detection((20, 30, 60, 40), 0.8), Detection((122, 30, 60, 40), 0.6)
    shoe = Detection((150, 10, 40, 40), 0.4)
    looks = Looks([car, shoe], [mirrored, shoe._replace(box=(150, 10, 40, 40))])
    assert looks.find_still(image) == [car._replace(score=0.6)], "the shoe would be on the other side"
    assert looks.milliseconds == 10.0
    assert Looks([car, shoe], []).find_still(image) == []
    assert Looks([]).find_still(image) == [], "and a second look is not taken where the first shows none"


def test_a_still_picture_of_cars_shows_them_in_a_mirror_too() -> None:
    with open_finder(load_bundle(FINDING_BUNDLE), "auto", 1) as finder:  # type: ignore[union-attr]
        picture = red_cars((2, 3), (6, 5))
        found, still = finder.find(picture), finder.find_still(picture)
        assert [one.box for one in still] == [one.box for one in found] and len(still) == 2
