"""edge.runtime.memory: means over directions, another car, constant size."""

from typing import Any

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.geometry import Cloud
from edge.pose import Pose
from edge.runtime.memory import FRAMES, SECTORS, TIMES, Memory, corresponds
from edge.runtime.outputs import BodyClass, Length, confidence_of
from tests.edge.helpers import FINDING_BUNDLE, POSED_BUNDLE, TINY_BUNDLE

RNG = np.random.RandomState(0)
CAR = RNG.uniform(-0.3, 0.3, (500, 3)).astype(np.float32)


def seen(points: np.ndarray, error: float = 0.01) -> Cloud:
    return Cloud(points.astype(np.float32), confidence_of(np.full(len(points), error)))


def from_(azimuth: float) -> Pose:
    return Pose(azimuth, 10.0, 0.0, 0.0, 0.0, 1.0, 0.2)


def noisy(scale: float = 0.02) -> np.ndarray:
    return CAR + RNG.normal(0, scale, CAR.shape)


def test_directions_count_and_not_frames() -> None:
    memory = Memory()
    wrong = {0.0: 0.03, 90.0: -0.01}
    for azimuth, times in ((0.0, 50), (90.0, 2)):
        for _ in range(times):
            known = memory.shape(seen(CAR + wrong[azimuth]), from_(azimuth))
    assert known.sectors == 2
    assert known.points == pytest.approx(CAR + 0.01, abs=1e-5), "fifty frames from the front weigh as two from the side"


def test_the_more_is_seen_the_better_and_the_surer() -> None:
    memory, errors, confidences = Memory(), [], []
    for azimuth in range(0, 360, 15):
        known = memory.shape(seen(noisy()), from_(azimuth))
        errors.append(float(np.abs(known.points - CAR).mean()))
        assert known.confidence is not None
        confidences.append(float(known.confidence.mean()))
    assert errors[-1] < 0.3 * errors[0] and known.sectors == SECTORS
    assert confidences == sorted(confidences) and confidences[0] == pytest.approx(float(seen(CAR).confidence[0]))  # type: ignore[index]
    # The part that all views share does not go away.
    assert -0.02 / np.log1p(-confidences[-1]) > 0.8 * 0.01


def test_points_that_expect_to_err_count_less() -> None:
    memory = Memory()
    memory.shape(seen(CAR + 0.05, error=0.04), from_(0))
    known = memory.shape(seen(CAR, error=0.01), from_(90))
    assert known.points == pytest.approx(CAR + 0.05 / 17, abs=2e-4)


def test_it_settles_and_yet_follows() -> None:
    memory = Memory()
    clouds = [memory.shape(seen(noisy()), from_(40)).points for _ in range(30)]
    raw = np.abs(noisy() - noisy()).mean()
    moved = [float(np.abs(b - a).mean()) for a, b in zip(clouds[20:], clouds[21:])]
    assert max(moved) < raw / 5, "frame to frame it moves less than a fifth"
    for _ in range(3 * FRAMES):
        known = memory.shape(seen(CAR + 0.02), from_(40))
    assert known.points == pytest.approx(CAR + 0.02, abs=0.004), "what is seen now counts in the end"


def test_another_car_resets_it() -> None:
    memory = Memory().of(1)
    for azimuth in (0, 90, 180):
        memory.shape(seen(CAR), from_(azimuth))
    assert memory.of(1).shape(seen(CAR), from_(0)).sectors == 3
    assert memory.of(2).shape(seen(-CAR), from_(0)).points == pytest.approx(-CAR, abs=1e-6)
    # The tracker did not notice, but the cloud is of something else, again and again.
    other = CAR * [1.0, 1.4, 0.4] + 0.05
    sectors = [memory.of(2).shape(seen(other), from_(90)).sectors for _ in range(TIMES)]
    assert sectors == [2] * (TIMES - 1) + [1]


def test_one_cloud_gone_wrong_does_not_reset_it() -> None:
    memory = Memory()
    for azimuth in (0, 90, 180):
        memory.shape(seen(CAR), from_(azimuth))
    memory.shape(seen(CAR + 0.3), from_(90))
    assert memory.shape(seen(CAR), from_(90)).sectors == 3


def test_a_network_that_tells_neither_error_nor_pose() -> None:
    memory = Memory()
    for _ in range(3):
        known = memory.shape(Cloud(CAR), None)
    assert known.confidence is None and known.sectors == 1 and known.points == pytest.approx(CAR)
    assert memory.length(None) is None and memory.body(None) is None


def test_length_and_class_are_of_all_frames() -> None:
    memory = Memory()
    for _ in range(10):
        memory.length(Length(4.0, 0.05))
    found = memory.length(Length(5.0, 0.5))
    assert found is not None and 4.0 < found.metres < 4.02 and found.relative_error == 0.5
    for _ in range(2000):
        found = memory.length(Length(5.0, 0.05))
    assert found is not None and found.metres == pytest.approx(5.0, abs=0.01)
    for name, chance in (("sedan", 0.9), ("sedan", 0.8), ("suv", 0.95)):
        body = memory.body(BodyClass(name, chance))
    assert body is not None and body.name == "sedan" and 0.5 < body.probability < 0.8


def test_memory_does_not_grow_and_does_not_drift() -> None:
    memory = Memory()
    for number in range(3000):
        known = memory.shape(seen(CAR[:50] + 0.01), from_(7.3 * number))
    held: Any = memory._sectors
    assert len(held) == SECTORS and known.points == pytest.approx(CAR[:50] + 0.01, abs=1e-6)


def test_only_points_that_correspond_are_averaged() -> None:
    assert corresponds(load_bundle(POSED_BUNDLE)) and corresponds(load_bundle(FINDING_BUNDLE))
    assert not corresponds(load_bundle(TINY_BUNDLE)), "maps give other points in each frame"
