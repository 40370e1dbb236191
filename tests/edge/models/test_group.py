"""The mean of a group: which photos count, how much, whose colours; nothing depends on their order."""

import numpy as np
import pytest

from edge.geometry import FILLED, MIRRORED, SEEN, Cloud
from edge.models.group import Member, average, told_apart


def member(points: np.ndarray, confidence: float = 0.8, azimuth: float = 0.0, metres: float = 4.0) -> Member:
    return Member(Cloud(points.astype(np.float32), np.full(len(points), confidence, np.float32)), azimuth, metres)


def box(count: int = 200, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).uniform(-0.4, 0.4, (count, 3))


def test_many_noisy_photos_from_all_sides_come_nearer_to_the_car_than_one() -> None:
    car = box()
    photos = [member(car + np.random.RandomState(n).normal(0, 0.01, car.shape), azimuth=15.0 * n) for n in range(16)]
    away = [np.linalg.norm(average(photos[:count]).cloud.points - car, axis=1).mean() for count in (1, 4, 16)]
    assert away[1] < 0.65 * away[0] and away[2] < 0.65 * away[1]
    assert average(photos).directions == 16


def test_one_direction_counts_once_however_often_it_was_photographed() -> None:
    car = box()
    often = [member(car + (0.01, 0, 0), azimuth=1.0 + n / 10) for n in range(9)]
    mean = average(often + [member(car - (0.01, 0, 0), azimuth=90.0)])
    assert mean.directions == 2
    assert np.allclose(mean.cloud.points, car, atol=1e-6)


def test_points_count_by_what_error_the_network_expects_of_them() -> None:
    car = box()
    mean = average([member(car + (0.01, 0, 0), 0.99, 0.0), member(car, 0.3, 90.0)])
    assert np.allclose(mean.cloud.points, car + (0.01, 0, 0), atol=1e-3)


def test_the_order_does_not_matter() -> None:
    photos = [member(box(seed=0) + np.random.RandomState(n).normal(0, 0.01, (200, 3)), azimuth=40.0 * n)
              for n in range(12)]
    one, other = average(photos), average(photos[::-1])
    assert np.allclose(one.cloud.points, other.cloud.points, atol=1e-6)
    assert one.metres == pytest.approx(other.metres)


def test_a_photo_of_something_else_is_left_out_and_named() -> None:
    car = box()
    photos = [member(car + np.random.RandomState(n).normal(0, 0.005, car.shape), azimuth=60.0 * n) for n in range(5)]
    mean = average(photos[:2] + [member(box(seed=7))] + photos[2:])
    assert mean.odd == [2] and mean.used == [0, 1, 3, 4, 5]
    assert np.linalg.norm(mean.cloud.points - car, axis=1).mean() < 0.01


def test_of_two_nobody_knows_which_is_odd() -> None:
    assert told_apart([box(), box(seed=3)]) == ([0, 1], [])


def test_confidence_grows_with_directions_and_not_without_end() -> None:
    car = box()
    said = [average([member(car, 0.6, 15.0 * n) for n in range(count)]).cloud.confidence for count in (1, 4, 24)]
    one, four, many = (float(c[0]) for c in said if c is not None)
    assert one == pytest.approx(0.6, abs=1e-3) and one < four < many < 0.75


def test_a_class_has_the_colours_of_its_best_photo() -> None:
    photos = [member(box()), member(box(), azimuth=90.0)]
    marks = (np.full(200, FILLED, np.uint8), np.full(200, SEEN, np.uint8))
    photos = [photo._replace(cloud=photo.cloud._replace(mark=mark, rgb=np.full((200, 3), 10 + 100 * n, np.uint8)))
              for n, (photo, mark) in enumerate(zip(photos, marks))]
    mean = average(photos)
    assert mean.colours == 1
    assert mean.cloud.rgb is not None and (mean.cloud.rgb == 110).all()


def test_one_car_has_the_colours_that_any_photo_saw() -> None:
    """The first photo sees the first half red, the second the other half blue; what each mirrored does not count."""
    first, second = np.full(200, MIRRORED, np.uint8), np.full(200, MIRRORED, np.uint8)
    first[:100] = second[100:] = SEEN
    photos = [
        member(box(), azimuth=90.0 * n)._replace(cloud=Cloud(box().astype(np.float32), np.full(200, 0.8, np.float32),
                                                             np.tile(np.array(rgb, np.uint8), (200, 1)), mark=mark))
        for n, (rgb, mark) in enumerate((((200, 0, 0), first), ((0, 0, 200), second)))
    ]  # fmt: skip
    mean = average(photos, same_car=True)
    assert mean.colours is None and mean.cloud.rgb is not None and mean.cloud.mark is not None
    assert (mean.cloud.rgb[:100] == (200, 0, 0)).all() and (mean.cloud.rgb[100:] == (0, 0, 200)).all()
    assert (mean.cloud.mark == SEEN).all()


def test_the_length_is_the_mean_of_those_that_know_it() -> None:
    photos = [member(box(), metres=4.0), member(box(), metres=5.0)._replace(relative_error=1e6),
              member(box())._replace(metres=None)]
    assert average(photos).metres == pytest.approx(4.0, abs=1e-3)
    assert average([photos[2]]).metres is None


def test_groups_that_have_no_mean_are_refused() -> None:
    with pytest.raises(ValueError, match="without photos"):
        average([])
    with pytest.raises(ValueError, match="do not correspond"):
        average([member(box()), member(box(100))])
