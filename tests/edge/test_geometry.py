"""edge.geometry: views, projection and its inverse, fusion, boxes."""

import numpy as np
import pytest

from edge.geometry import back_project, cube_corner_views, fuse, look_rotation, pixel_grid, project, square_box


def test_a_camera_at_the_left_sees_the_front_at_its_left() -> None:
    # Standing at +y, looking along -y, the car's front (+x) lies to the left (-x of the camera), the roof above (-y).
    rotation = look_rotation((0.0, 1.0, 0.0))
    np.testing.assert_allclose(rotation @ [1, 0, 0], [-1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(rotation @ [0, 0, 1], [0, -1, 0], atol=1e-6)
    np.testing.assert_allclose(rotation @ [0, -1, 0], [0, 0, 1], atol=1e-6)


def test_look_rotation_refuses_a_direction_without_horizon() -> None:
    with pytest.raises(ValueError, match="parallel to up"):
        look_rotation((0.0, 0.0, 2.0))
    with pytest.raises(ValueError, match="zero"):
        look_rotation((0.0, 0.0, 0.0))


def test_the_eight_views_are_rotations_from_eight_corners() -> None:
    views = cube_corner_views()
    assert views.rotations.shape == (8, 3, 3)
    for rotation in views.rotations:
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(rotation) == pytest.approx(1.0, abs=1e-6)
    corners = {tuple(np.sign(-rotation[2]).astype(int)) for rotation in views.rotations}
    assert len(corners) == 8


def test_back_project_undoes_project() -> None:
    views = cube_corner_views()
    points = np.random.RandomState(0).uniform(-0.5, 0.5, (12, 3)).astype(np.float32)
    xyz = np.stack([project(points, views, v).T.reshape(3, 3, 4) for v in range(8)])
    for back in back_project(xyz, views):
        np.testing.assert_allclose(back, points, atol=1e-6)


def test_pixel_grid_has_its_centres_at_half_pixels() -> None:
    x, y = pixel_grid(4, 2.0)
    np.testing.assert_allclose(x[0], [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(y[:, 0], [-0.75, -0.25, 0.25, 0.75])


def _maps(seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).normal(size=(8, 4, 6, 6)).astype(np.float32)


def test_fuse_keeps_the_points_above_the_threshold_where_back_project_puts_them() -> None:
    views, maps = cube_corner_views(), _maps()
    cloud = fuse(maps, views, 0.3)
    keep = maps[:, 3].reshape(8, -1) > 0.3
    np.testing.assert_allclose(cloud.points, back_project(maps[:, :3], views)[keep], atol=1e-5)
    assert cloud.view is not None and cloud.confidence is not None
    np.testing.assert_array_equal(cloud.view, np.nonzero(keep)[0])
    np.testing.assert_allclose(cloud.confidence, 1 / (1 + np.exp(-maps[:, 3].reshape(8, -1)[keep])), atol=1e-6)
    assert cloud.points.dtype == np.float32 and cloud.view.dtype == np.uint8


def test_fuse_limits_the_points_evenly_and_always_alike() -> None:
    views, maps = cube_corner_views(), _maps()
    full, cloud = fuse(maps, views, -9.0), fuse(maps, views, -9.0, 100)
    assert len(full.points) == 8 * 36 and len(cloud.points) == 100
    assert cloud.view is not None and np.bincount(cloud.view).min() >= 12
    np.testing.assert_array_equal(cloud.points, fuse(maps, views, -9.0, 100).points)


def test_fuse_of_nothing_is_an_empty_cloud() -> None:
    cloud = fuse(_maps(), cube_corner_views(), 99.0)
    assert cloud.points.shape == (0, 3) and cloud.confidence is not None and cloud.confidence.shape == (0,)


@pytest.mark.parametrize("shape", [(8, 3, 6, 6), (7, 4, 6, 6), (8, 4, 36)])
def test_fuse_refuses_maps_of_another_shape(shape: tuple) -> None:
    with pytest.raises(ValueError, match=r"wanted \(8, 4, H, W\)"):
        fuse(np.zeros(shape, np.float32), cube_corner_views())


def test_square_box_is_centred_and_widened_by_the_longer_edge() -> None:
    assert square_box((10, 20, 40, 20), 0.0) == (10, 10, 40)
    left, top, side = square_box((10, 20, 40, 20), 0.1)
    assert (left, top, side) == pytest.approx((6, 6, 48))
