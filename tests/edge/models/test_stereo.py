"""The second eye: what is near moves to the left of what is far, by as much as geometry says."""

import numpy as np
import pytest

from edge.client.meshfiles import linear
from edge.errors import ImageError
from edge.geometry import Cloud
from edge.models import stereo
from edge.pose import Pose, project, to_pixels
from edge.runtime.reconstructor import Reconstruction

#: Seen from the front left, from three car lengths away; the car's middle lies in the crop's.
POSE = Pose(40.0, 10.0, 0.0, 0.0, 0.0, 1.6, 1 / 3.0)
SQUARE = (60, 20, 200)
#: Luminance of R, G and B through the glasses of Dubois 2001.
RED, CYAN = np.array((2.70972, 0.50201, 0.0250529)), np.array((0.448214, 6.31551, 1.35757))


def car(points: int = 6000) -> Cloud:
    """An ellipsoid as long, wide and high as a car."""
    on = np.random.RandomState(0).normal(size=(points, 3))
    return Cloud((on / np.linalg.norm(on, axis=1)[:, None] * (0.5, 0.2, 0.16)).astype(np.float32))


def scene(width: int = 320, height: int = 240) -> tuple:
    """A photo whose pixels are told apart by their colours, and its reconstruction."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    image = np.stack([x % 256, y, 40 + (x // 4 + y // 4) % 2 * 120], 2).astype(np.uint8)
    return image, Reconstruction(car(), SQUARE, {}, POSE)


def test_near_parts_move_left_and_far_ones_right_as_a_second_camera_sees_them() -> None:
    image, made = scene()
    pair = stereo.make_pair(image, made)
    depth, covered = stereo.depth_of(320, 240, made, POSE)
    assert covered.any() and not covered.all()
    # A camera to the right by base, turned so that the car's middle stays where it is.
    distance, scale = 3.0, POSE.scale * SQUARE[2] / 2.0
    base = stereo.BASE * distance
    wanted = scale * base * (1 / distance - 1 / (distance + depth)) * distance
    most = stereo.MOST * 320
    assert np.allclose(pair.shift, np.clip(wanted, -most, most), atol=0.01)
    assert pair.shift[covered].min() < -0.5 and pair.shift[0, 0] > 1.0


def test_the_depth_of_the_car_is_that_of_its_points() -> None:
    _, made = scene()
    depth, covered = stereo.depth_of(320, 240, made, POSE)
    place, real = project(made.cloud.points, POSE)
    at = np.floor(to_pixels(place, SQUARE)).astype(int)
    normal = made.cloud.points / np.array((0.5, 0.2, 0.16)) ** 2
    front = normal @ POSE.direction > 0.5 * np.linalg.norm(normal, axis=1)  # what faces the camera, not its outline
    assert np.abs(depth[at[front, 1], at[front, 0]] - real[front]).mean() < 0.03
    assert covered[at[:, 1], at[:, 0]].all()


def test_the_ground_comes_nearer_towards_the_lower_border() -> None:
    _, made = scene()
    depth, covered = stereo.depth_of(320, 240, made, POSE)
    column = depth[:, 5]
    assert not covered[:, 5].any()
    assert (np.diff(column) <= 1e-5).all() and column[0] == stereo.BACKDROP and column[-1] < 0.5


def test_no_pixel_of_the_right_view_is_left_empty_and_the_car_is_there_once() -> None:
    image, made = scene()
    image[:] = 60
    _, covered = stereo.depth_of(320, 240, made, POSE)
    image[covered] = (0, 0, 255)
    right = stereo.make_pair(image, made).right
    red = (right[:, :, 2] > 200).sum(1)
    before = covered.sum(1)
    assert (right.max(2) >= 60).all()
    assert np.abs(red - before).max() <= 6  # a ghost of the car's edge would make rows wider


def test_anaglyph_and_side_by_side() -> None:
    image, made = scene()
    pair = stereo.make_pair(image, made)
    assert stereo.side_by_side(pair).shape == (240, 640, 3)
    assert np.array_equal(stereo.side_by_side(pair)[:, :320], image)
    grey = stereo.Pair(np.full((4, 4, 3), 128, np.uint8), np.full((4, 4, 3), 128, np.uint8), np.zeros((4, 4)))
    assert np.abs(stereo.anaglyph(grey).astype(int) - 128).max() <= 8  # what is the same for both eyes stays grey
    # A car of one strong colour is about as bright for either eye: light through the red and through the cyan glass,
    # against that of white (Dubois 2001).
    for bgr, ratio in (((25, 20, 200), 1.5), ((200, 60, 20), 0.73)):
        car = np.full((4, 4, 3), bgr, np.uint8)
        light = linear(stereo.anaglyph(grey._replace(left=car, right=car))[0, 0, ::-1])
        red, cyan = (glass @ light / glass.sum() for glass in (RED, CYAN))
        assert red / cyan == pytest.approx(ratio, rel=0.05)
    left = grey._replace(right=np.zeros((4, 4, 3), np.uint8))
    assert stereo.anaglyph(left)[0, 0, 2] > 100 and stereo.anaglyph(left)[0, 0, 1] == 0


def test_without_a_pose_there_is_no_second_view() -> None:
    image, made = scene()
    with pytest.raises(ImageError, match="takes a car and its pose"):
        stereo.make_pair(image, made._replace(pose=None))
