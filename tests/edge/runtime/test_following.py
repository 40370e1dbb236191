"""edge.runtime.following and the pipeline with it: when it looks, what it follows, and what it gives without a car."""

import threading
from typing import List

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.pose import Pose
from edge.runtime.backends import open_backend
from edge.runtime.capture import NewestFrame
from edge.runtime.finder import Detection, open_finder
from edge.runtime.following import Follower, Sight, box_of_cloud, clipped, facts
from edge.runtime.pipeline import Glimpse, Pipeline, Result
from edge.runtime.reconstructor import Reconstructor
from edge.runtime.sources import Frame, Source
from tests.edge.helpers import FINDING_BUNDLE, red_cars


class Told:
    """Stands in for a finder: says what it is told, and counts how often it is asked."""

    milliseconds = 7.0

    def __init__(self, *detections: Detection) -> None:
        self.detections, self.asked = list(detections), 0
        self.faint: List[Detection] = []

    def find(self, image: np.ndarray) -> List[Detection]:
        self.asked += 1
        return self.detections


CAR = Detection((100, 80, 120, 90), 0.9)
IMAGE = np.zeros((240, 320, 3), np.uint8)


def test_without_a_car_every_frame_is_looked_at_and_with_one_a_few() -> None:
    told = Told()
    follower = Follower(told, interval=0.5)  # type: ignore[arg-type]
    for number in range(10):
        box, sight = follower.look(IMAGE, 0.1 * number)
        assert box is None and sight == Sight((), None, 7.0)
    assert told.asked == 10
    told.detections, told.asked = [CAR], 0
    for number in range(10, 30):
        box, sight = follower.look(IMAGE, 0.1 * number)
    assert box == CAR.box and sight.followed == 1 and told.asked == 2 + 3, "twice to believe it, then twice a second"
    assert [s["number"] for s in facts(sight)] == [1] and facts(sight)[0]["box"] == [100, 80, 120, 90]


def test_a_hidden_car_is_looked_for_in_every_frame_and_not_reconstructed() -> None:
    told = Told(CAR)
    follower = Follower(told, interval=0.5)  # type: ignore[arg-type]
    for now in (0.0, 0.1, 0.6):
        follower.look(IMAGE, now)
    told.detections, told.asked = [], 0
    hidden = [follower.look(IMAGE, 0.7 + 0.1 * number) for number in range(10)]
    boxes = [box for box, _ in hidden]
    assert boxes[:4] == [CAR.box] * 4, "nobody looked yet"
    assert boxes[4:] == [None] * 6 and told.asked == 6, "and then every frame is looked at"
    assert {sight.followed for _, sight in hidden} == {1} and hidden[-1][1].cars[0].unseen > 0.5
    told.faint = [Detection((104, 82, 118, 92), 0.25)]
    box, sight = follower.look(IMAGE, 1.7)
    assert box is not None and sight.followed == 1 and sight.cars[0].unseen == 0, "a faint box is enough for it"
    told.detections, told.faint = [CAR], []
    follower.look(IMAGE, 2.3)
    told.asked = 0
    follower.look(IMAGE, 2.4)
    assert told.asked == 0, "seen again: a few looks a second"


def test_a_clock_that_runs_backwards_does_not_stop_the_looking() -> None:
    told = Told(CAR)
    follower = Follower(told)  # type: ignore[arg-type]
    for now in (100.0, 100.1, 3.0, 3.1):
        follower.look(IMAGE, now)
    assert told.asked >= 3


def test_a_person_may_choose_from_another_thread() -> None:
    told = Told(CAR, Detection((10, 10, 60, 50), 0.9))
    follower = Follower(told, interval=0.0)  # type: ignore[arg-type]
    for number in range(3):
        box, sight = follower.look(IMAGE, 0.1 * number)
    assert box == CAR.box and len(sight.cars) == 2
    other = next(car.number for car in sight.cars if car.number != sight.followed)
    answers: List[bool] = []
    thread = threading.Thread(target=lambda: answers.extend([follower.follow(other), follower.follow(77)]))
    thread.start()
    thread.join()
    assert answers == [True, False]
    box, sight = follower.look(IMAGE, 0.4)
    assert sight.followed == other and box == (10, 10, 60, 50)


def test_the_cloud_moves_the_box_if_they_agree() -> None:
    bundle = load_bundle(FINDING_BUNDLE)
    with open_backend(bundle, "auto", 1) as backend:
        reconstruction = Reconstructor(bundle, backend).reconstruct(red_cars((3, 3)), (100, 80, 120, 90))
    assert reconstruction.pose is not None
    own = box_of_cloud(reconstruction.cloud.points, reconstruction.pose, reconstruction.crop_box)
    assert own is not None
    near = Detection((own[0] + 4, own[1] - 3, own[2], own[3]), 0.9)
    for detection, moves in ((near, True), (Detection((10, 10, 40, 40), 0.9), False)):
        follower = Follower(Told(detection), interval=9.0)  # type: ignore[arg-type]
        for now in (0.0, 0.1):
            box, sight = follower.look(IMAGE, now)
        for number in range(2, 8):  # within the interval: the finder is not asked again
            follower.learn(sight, reconstruction)
            box, sight = follower.look(IMAGE, 0.1 * number)
        wanted = own if moves else detection.box
        assert box == pytest.approx(wanted, abs=1.0), moves


def test_what_a_cloud_covers_and_what_is_left_of_a_box() -> None:
    pose = Pose(90, 0, 0, 0, 0, 1.0, 0.0)
    points = np.array([[-0.5, 0, -0.1], [0.5, 0, 0.2]], np.float32)
    # From the left, the nose to the left: a unit is half the crop of 200 pixels.
    assert box_of_cloud(points, pose, (10, 20, 200)) == pytest.approx((60, 100, 100, 30), abs=1e-3)
    assert box_of_cloud(points[:0], pose, (10, 20, 200)) is None
    assert clipped((-20, 10, 100, 50), 320, 240) == (0, 10, 80, 50)
    assert clipped((-90, 10, 100, 50), 320, 240) is None, "nearly all of it has left the picture"


class Film(Source):
    """Stands in for a camera: the given pictures, a tenth of a second apart."""

    def __init__(self, *pictures: np.ndarray) -> None:
        super().__init__("film://", True)
        self.ending = "the film is over"
        self._frames = [Frame(p, n + 1, 1.0 + 0.1 * n) for n, p in enumerate(pictures)]

    def read(self) -> Frame:
        return self._frames.pop(0) if self._frames else None  # type: ignore[return-value]


def play(*pictures: np.ndarray) -> List[object]:
    """Results and Glimpses in their order."""
    bundle, seen = load_bundle(FINDING_BUNDLE), []  # type: ignore[var-annotated]
    finder = open_finder(bundle, "auto", 1)
    assert finder is not None
    with finder, open_backend(bundle, "auto", 1) as backend, NewestFrame(Film(*pictures)) as newest:
        reconstructor, follower = Reconstructor(bundle, backend), Follower(finder, interval=0.0)
        Pipeline(newest, reconstructor, seen.append, None, follower, seen.append).run(threading.Event())
    return seen


def test_frames_without_a_car_give_no_cloud() -> None:
    seen = play(*[red_cars()] * 3, *[red_cars((3, 3))] * 4)
    assert [type(one) for one in seen] == [Glimpse] * 4 + [Result] * 3, "the first sight of a car is not believed yet"
    empty, last = seen[0], seen[-1]
    assert isinstance(empty, Glimpse) and set(empty.timings) == {"capture", "find"} and empty.timings["find"] > 0
    assert empty.sight.cars == () and empty.frame.shape == (240, 320, 3)
    assert isinstance(last, Result) and last.sight is not None and last.sight.followed == 1
    assert set(last.timings) == {"capture", "find", "crop", "network", "fusion", "colour", "handover"}
    left, top, side = last.reconstruction.crop_box
    assert left < 100 and left + side > 180 and top < 75, "the crop is about the red square, not the whole picture"


def test_a_car_that_leaves_and_one_that_comes() -> None:
    here, there, none = red_cars((2, 3)), red_cars((6, 5)), red_cars()
    seen = play(*[here] * 4, *[none] * 25, *[there] * 3)
    kinds = [type(one).__name__ for one in seen]
    assert kinds[1:4] == ["Result"] * 3 and kinds[-1] == "Result"
    assert kinds[4:29] == ["Glimpse"] * 25, "what is not seen is not reconstructed"
    kept = [one.sight.followed for one in seen[4:29]].count(1)  # type: ignore[attr-defined]
    assert 18 <= kept <= 22, "for two seconds it may come back"
    first, last = seen[3], seen[-1]
    assert isinstance(first, Result) and isinstance(last, Result) and first.sight and last.sight
    assert (first.sight.followed, last.sight.followed) == (1, 2)


def test_clouds_of_one_car_are_averaged_until_another_one_comes() -> None:
    bundle, seen = load_bundle(FINDING_BUNDLE), []  # type: ignore[var-annotated]
    finder = open_finder(bundle, "auto", 1)
    assert finder is not None
    film = Film(*[red_cars((2, 3))] * 5, *[red_cars()] * 25, *[red_cars((6, 5))] * 3)
    with finder, open_backend(bundle, "auto", 1) as backend, NewestFrame(film) as newest:
        reconstructor, follower = Reconstructor(bundle, backend), Follower(finder, interval=0.0)
        Pipeline(newest, reconstructor, seen.append, None, follower, average=True).run(threading.Event())
    assert {result.reconstruction.directions for result in seen} == {1}, "the network of the fixture sees one pose"
    assert all("average" in result.timings for result in seen)
    # The fixture's box grows with the brightness of its crop: the mean lags behind it, a new car's does not.
    first, second, other = (seen[n].reconstruction.cloud.points for n in (0, 1, -2))
    alone = {}
    with open_backend(bundle, "auto", 1) as backend:
        for n in (0, 1, -2):
            track = next(t for t in seen[n].sight.cars if t.number == seen[n].sight.followed)
            box = clipped(track.box, 320, 240)
            alone[n] = Reconstructor(bundle, backend).reconstruct(seen[n].frame, box).cloud.points
    assert first == pytest.approx(alone[0], abs=1e-5) and second == pytest.approx((alone[0] + alone[1]) / 2, abs=1e-4)
    assert other == pytest.approx(alone[-2], abs=1e-5)


def test_it_goes_dark() -> None:
    seen = play(*[red_cars((2, 3))] * 3, *[np.zeros((240, 320, 3), np.uint8)] * 25)
    assert isinstance(seen[-1], Glimpse) and seen[-1].sight.followed is None
