"""Pictures of clouds: what is nearer is in front, the nose points where it should, nothing leaves the picture."""

import numpy as np

from edge.geometry import Cloud
from edge.models.turntable import AZIMUTHS, BACKGROUND, FRAME, draw_frame, draw_strip


def plate(x: float, rgb: tuple, seed: int = 0) -> Cloud:
    """A square plate across the car's axis at ``x``, of one colour."""
    yz = np.random.RandomState(seed).uniform(-0.15, 0.15, (4000, 2))
    points = np.concatenate([np.full((4000, 1), x), yz], 1).astype(np.float32)
    return Cloud(points, rgb=np.tile(np.array(rgb, np.uint8), (4000, 1)))


def both(*clouds: Cloud) -> Cloud:
    return Cloud(np.concatenate([c.points for c in clouds]), rgb=np.concatenate([c.rgb for c in clouds]))  # type: ignore


def middle(image: np.ndarray) -> list:
    return image[image.shape[0] // 2, image.shape[1] // 2].tolist()


def test_what_is_nearer_is_in_front_from_either_side() -> None:
    cloud = both(plate(0.4, (255, 0, 0)), plate(-0.4, (0, 0, 255)))
    assert middle(draw_frame(cloud, 0, elevation=0.0)) == [0, 0, 255]  # BGR: the red plate, at the nose
    assert middle(draw_frame(cloud, 180, elevation=0.0)) == [255, 0, 0]


def test_the_left_side_is_seen_from_azimuth_90_with_the_nose_on_the_left() -> None:
    """Who stands on a car's left sees its nose on his left hand."""
    image = draw_frame(plate(0.4, (255, 0, 0)), 90, elevation=0.0).astype(int)
    red = (image[:, :, 2] - image[:, :, 1]) > 100
    assert red.any() and np.flatnonzero(red.any(0)).max() < FRAME[0] // 2


def test_a_dense_surface_has_no_holes() -> None:
    image = draw_frame(plate(0.0, (255, 0, 0)), 0, elevation=0.0).astype(int)
    red = (image[:, :, 2] - image[:, :, 1]) > 60
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    inner = red[rows[0] + 3 : rows[-1] - 2, columns[0] + 3 : columns[-1] - 2]
    assert inner.size > 500 and inner.all()


def test_surfaces_that_face_the_light_are_brighter() -> None:
    cloud = plate(0.0, (200, 200, 200))
    up, down = (np.tile(np.array((0.3, 0.0, z), np.float32) / np.hypot(0.3, z), (4000, 1)) for z in (1.0, -1.0))
    bright, dark = (np.sum(middle(draw_frame(cloud, 0, n, elevation=0.0))) for n in (up, down))
    assert bright > dark + 60


def test_a_strip_is_eight_frames_and_no_cloud_an_empty_one() -> None:
    strip = draw_strip(Cloud(np.zeros((0, 3), np.float32)))
    assert strip.shape == (FRAME[1], FRAME[0] * len(AZIMUTHS), 3) and strip.dtype == np.uint8
    assert (strip == np.array(BACKGROUND)).all()


def test_points_far_outside_and_clouds_without_colours_are_drawn_without_error() -> None:
    points = np.array([[0, 0, 0], [50, 0, 0], [0, -90, 3]], np.float32)
    image = draw_frame(Cloud(points), 35)
    assert (image != np.array(BACKGROUND)).any()
