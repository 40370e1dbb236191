"""Points on the surface of an occupancy grid: where they lie, how many, and what is refused."""

import numpy as np
import pytest

from edge.voxels import surface_points

LOWER, UPPER = (-0.516, -0.36, -0.33), (0.516, 0.36, 0.33)
CELLS = (64, 48, 32)


def _centres(cells=CELLS, lower=LOWER, upper=UPPER):
    axes = [a + (np.arange(n) + 0.5) / n * (b - a) for n, a, b in zip(cells, lower, upper)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def _ellipsoid(axes=(0.5, 0.21, 0.17), centre=(0.0, 0.0, 0.0)):
    """Logits, near to linear at the surface."""
    away = np.linalg.norm((_centres() - centre) / np.array(axes), axis=-1)
    return (20 * (1 - away)).astype(np.float32)


def test_points_lie_on_an_ellipsoid_and_cover_it():
    cloud = surface_points(_ellipsoid(), LOWER, UPPER)
    away = np.linalg.norm(cloud.points / np.array([0.5, 0.21, 0.17]), axis=1)
    assert np.abs(away - 1).max() < 0.01
    assert cloud.points.dtype == np.float32 and cloud.confidence is None
    for axis, half in enumerate((0.5, 0.21, 0.17)):
        assert cloud.points[:, axis].min() == pytest.approx(-half, abs=0.004)
        assert cloud.points[:, axis].max() == pytest.approx(half, abs=0.004)


def test_an_ordinary_car_gives_enough_points():
    # A box as long, wide and high as a family car; an ellipsoid of the same size has less surface.
    away = (np.abs(_centres()) / np.array([0.5, 0.2, 0.165])).max(-1)
    assert len(surface_points(1 - away, LOWER, UPPER).points) >= 16384


def test_a_plane_is_found_exactly_on_every_axis():
    for axis, level in ((0, 0.1234), (1, -0.0567), (2, 0.031)):
        points = surface_points(level - _centres()[..., axis], LOWER, UPPER).points
        np.testing.assert_allclose(points[:, axis], level, atol=1e-6)
        # Every doubled line along the axis crosses the plane once, other lines run along it.
        assert len(points) == 4 * np.prod(CELLS) / CELLS[axis]


def test_an_off_centre_body_is_where_its_cells_are():
    cloud = surface_points(_ellipsoid((0.2, 0.1, 0.08), (0.2, 0.15, -0.1)), LOWER, UPPER)
    middle = (cloud.points.min(0) + cloud.points.max(0)) / 2
    np.testing.assert_allclose(middle, (0.2, 0.15, -0.1), atol=0.003)


def test_the_threshold_moves_the_surface():
    inner = surface_points(_ellipsoid(), LOWER, UPPER, threshold=10.0).points
    assert np.linalg.norm(inner / np.array([0.5, 0.21, 0.17]), axis=1).mean() == pytest.approx(0.5, abs=0.01)


def test_at_most_so_many_points_the_same_every_time_and_everywhere():
    every = surface_points(_ellipsoid(), LOWER, UPPER).points
    some = surface_points(_ellipsoid(), LOWER, UPPER, max_points=1000).points
    assert len(some) == 1000
    np.testing.assert_array_equal(some, surface_points(_ellipsoid(), LOWER, UPPER, max_points=1000).points)
    np.testing.assert_allclose(some.min(0), every.min(0), atol=0.02)
    np.testing.assert_allclose(some.max(0), every.max(0), atol=0.02)


def test_nothing_inside_is_an_empty_cloud_and_so_is_everything():
    for logit in (-3.0, 3.0):
        cloud = surface_points(np.full(CELLS, logit, np.float32), LOWER, UPPER)
        assert cloud.points.shape == (0, 3) and cloud.points.dtype == np.float32


def test_float16_and_the_threshold_itself_are_taken():
    cloud = surface_points(_ellipsoid().astype(np.float16), LOWER, UPPER)
    assert np.isfinite(cloud.points).all() and len(cloud.points) > 5000
    flat = np.full((4, 4, 4), -1.0, np.float32)
    flat[1:3, 1:3, 1:3] = 0.0  # on the threshold is not above it
    assert len(surface_points(flat, (0, 0, 0), (1, 1, 1)).points) == 0


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (1, 8, 8, 8)])
def test_what_is_no_grid_is_refused(shape):
    with pytest.raises(ValueError, match=r"wanted \(X, Y, Z\) of at least 2 cells each"):
        surface_points(np.zeros(shape, np.float32), LOWER, UPPER)
