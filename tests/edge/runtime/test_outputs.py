"""edge.runtime.outputs: which output becomes the cloud, and what the numbers beside it mean."""

from typing import Any, Dict

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import BackendError
from edge.runtime.backends import open_backend
from edge.runtime.outputs import check_finite, class_of, confidence_of, length_of, make_cloud, pose_of
from tests.edge.helpers import POSED_BUNDLE, TINY_BUNDLE

TINY, POSED = load_bundle(TINY_BUNDLE), load_bundle(POSED_BUNDLE)


def given(**outputs: Any) -> Dict[str, np.ndarray]:
    """Outputs of a batch of one."""
    return {name: np.asarray(value, np.float32)[None] for name, value in outputs.items()}


POINTS = np.random.RandomState(0).uniform(-0.5, 0.5, (100, 3)).astype(np.float32)


def test_confidence_is_the_chance_of_being_within_a_fiftieth() -> None:
    found = confidence_of(np.array([0.0, 0.001, 0.02, 1.0]))
    np.testing.assert_allclose(found, [1.0, 1.0, 1 - np.exp(-1), 0.0198], atol=1e-4)
    assert found.dtype == np.float32


def test_points_come_first_with_their_confidence() -> None:
    outputs = given(points=POINTS, error=np.full(100, 0.02), vertices=POINTS + 1)
    cloud = make_cloud(POSED, outputs)
    np.testing.assert_array_equal(cloud.points, POINTS)
    np.testing.assert_allclose(cloud.confidence, 1 - np.exp(-1), rtol=1e-6)
    assert not np.shares_memory(cloud.points, outputs["points"])
    assert make_cloud(POSED, given(points=POINTS)).confidence is None


def test_the_limit_takes_every_nth_point_and_its_own_confidence() -> None:
    cloud = make_cloud(POSED, given(points=POINTS, error=np.linspace(0.01, 0.1, 100)), 25)
    np.testing.assert_array_equal(cloud.points, POINTS[::4])
    np.testing.assert_allclose(cloud.confidence, confidence_of(np.linspace(0.01, 0.1, 100)[::4]))


def test_vertices_come_before_maps() -> None:
    outputs = given(vertices=POINTS, maps=np.zeros((8, 4, 32, 32)))
    cloud = make_cloud(TINY, outputs, 10)
    np.testing.assert_array_equal(cloud.points, POINTS[::10])
    assert not np.shares_memory(cloud.points, outputs["vertices"])


def test_maps_are_fused() -> None:
    maps = np.zeros((8, 4, 32, 32))
    maps[:, 3, 16, 16] = 5.0
    cloud = make_cloud(TINY, given(maps=maps))
    assert len(cloud.points) == 8 and cloud.view is not None and cloud.view.tolist() == list(range(8))


def test_occupancy_becomes_the_surface_of_what_is_inside() -> None:
    lower, upper = np.array([-0.55, -0.25, -0.2], np.float32), np.array([0.55, 0.25, 0.2], np.float32)
    half = np.array([0.5, 0.2, 0.15])
    shape = (44, 20, 16)
    centres = [lo + (np.arange(n) + 0.5) * (up - lo) / n for lo, up, n in zip(lower, upper, shape)]
    grid = np.stack(np.meshgrid(*centres, indexing="ij"), -1)
    occupancy = 10 * (1 - np.sqrt(np.square(grid / half).sum(-1)))
    bundle = TINY._replace(outputs={"occupancy": (1,) + shape}, views=None, grid=np.stack([lower, upper]))
    cloud = make_cloud(bundle, given(occupancy=occupancy), 300)
    assert 200 < len(cloud.points) <= 300 and cloud.points.dtype == np.float32
    # On the ellipsoid to within a cell.
    assert np.abs(np.sqrt(np.square(cloud.points / half).sum(1)) - 1).max() < 0.1


def test_a_network_tells_pose_length_and_class() -> None:
    with open_backend(POSED, "ort", 1) as backend:
        outputs = backend.run({"image": np.zeros((1, 3, 64, 64), np.float32)})
    pose, length, body = pose_of(outputs), length_of(outputs), class_of(POSED, outputs)
    assert pose is not None and pose.azimuth == pytest.approx(60) and 0.9 < pose.certainty <= 1
    assert length is not None and length == pytest.approx((4.2, 0.05), rel=1e-5)
    assert body is not None and body.name == "suv"
    assert body.probability == pytest.approx(np.exp(3) / (1 + np.exp(1) + np.exp(3)), rel=1e-5)


def test_what_a_network_does_not_tell_is_none() -> None:
    outputs = given(maps=np.zeros((8, 4, 32, 32)), azimuth=np.zeros(48))
    assert pose_of(outputs) is None and length_of(outputs) is None and class_of(TINY, outputs) is None


def test_an_absurd_length_does_not_overflow() -> None:
    length = length_of(given(length=[1e6, -1e6]))
    assert length is not None and np.isfinite(length).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(bad: float) -> None:
    outputs = given(points=POINTS, length=[1.0, bad])
    with pytest.raises(BackendError, match="1 of 2 numbers in its output length that are not finite.*carcloud doctor"):
        check_finite(outputs)
    check_finite(given(points=POINTS))
