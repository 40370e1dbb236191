"""edge.runtime.colour: a painted box seen by a known camera, what is hidden, and what cannot be known."""

from typing import Tuple

import numpy as np
import pytest

from edge.geometry import FILLED, MIRRORED, SEEN, Cloud
from edge.pose import Pose, project, to_pixels
from edge.runtime.colour import fill, filled, looked_up

HALF = np.array([0.5, 0.21, 0.16])
GREY, RED, BLUE = (40, 40, 40), (255, 0, 0), (0, 0, 255)
#: Left, top, side of the crop: its top lies outside the picture.
SQUARE = (20, -30, 256)
#: Names of the box's faces in the order of :func:`box`.
REAR, FRONT, RIGHT, LEFT, BOTTOM, TOP = range(6)


def box(count: int, seed: int = 0) -> Tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) float32 on a box of a car's proportions, evenly at random, and the face (N,) each lies on."""
    random = np.random.RandomState(seed)
    area = np.repeat([HALF[1] * HALF[2], HALF[0] * HALF[2], HALF[0] * HALF[1]], 2)
    face = random.choice(6, count, p=area / area.sum())
    points = random.uniform(-1, 1, (count, 3))
    points[np.arange(count), face // 2] = np.where(face % 2, 1, -1)
    return (points * HALF).astype(np.float32), face


def photo(pose: Pose) -> np.ndarray:
    """(200, 300, 3) uint8 BGR: the box, left half red, right half blue, as the camera sees it; grey around it."""
    points, _ = box(300000, 1)
    place, depth = project(points, pose)
    pixels = np.floor(to_pixels(place, SQUARE)).astype(int)
    inside = (pixels >= 0).all(1) & (pixels[:, 0] < 300) & (pixels[:, 1] < 200)
    order = np.argsort(-depth)
    order = order[inside[order]]  # from far to near: what is nearest is painted last
    image = np.full((200, 300, 3), GREY, np.uint8)
    image[pixels[order, 1], pixels[order, 0]] = np.where(points[order, 1:2] > 0, RED[::-1], BLUE[::-1])
    return image


def colour(cloud: Cloud, pose: Pose, square: Tuple[int, int, int], image_bgr: np.ndarray) -> Cloud:
    """As the device does it with a single picture."""
    return filled(looked_up(cloud, pose, square, image_bgr))


def is_near(rgb: np.ndarray, wanted: Tuple[int, int, int]) -> np.ndarray:
    return np.abs(rgb.astype(int) - wanted).max(1) < 60


@pytest.mark.parametrize("count, least", [(16384, 0.95), (2048, 0.85)])
@pytest.mark.parametrize("perspective", [0.0, 0.3])
def test_the_near_side_is_seen_the_far_side_mirrored_and_the_rest_filled(
    count: int, least: float, perspective: float
) -> None:
    pose = Pose(60, 15, 2, 0.02, -0.03, 1.5, perspective)
    points, face = box(count)
    found = colour(Cloud(points), pose, SQUARE, photo(pose))
    assert found.rgb is not None and found.mark is not None and found.mark.dtype == np.uint8
    np.testing.assert_array_equal(found.points, points)
    for seen in (FRONT, LEFT, TOP):
        assert (found.mark[face == seen] == SEEN).mean() > least
    left, right = found.rgb[face == LEFT], found.rgb[face == RIGHT]
    assert is_near(left, RED).mean() > 0.97
    # The other side is blue in truth, but nobody saw that; a car is symmetrical.
    assert (found.mark[face == RIGHT] == MIRRORED).mean() > 0.85 and is_near(right, RED).mean() > 0.85
    # Nearer to the edges than this the tolerance cannot tell the rear from the sides.
    inner = (face == REAR) & (np.abs(points[:, 1]) < 0.14) & (np.abs(points[:, 2]) < 0.1)
    assert (found.mark[inner] == FILLED).mean() > 0.9
    inner = (face == BOTTOM) & (np.abs(points[:, 1]) < 0.1) & (np.abs(points[:, 0]) < 0.4)
    assert (found.mark[inner] == FILLED).mean() > 0.9
    # Where both halves are seen each has its own colour.
    top = (face == TOP) & (found.mark == SEEN) & (np.abs(points[:, 1]) > 0.03)
    assert is_near(found.rgb[top & (points[:, 1] > 0)], RED).mean() > 0.97
    assert is_near(found.rgb[top & (points[:, 1] < 0)], BLUE).mean() > 0.97
    # Nothing is taken from the background, and a mixture of the car's colours has no green either.
    assert (found.rgb[:, 1] > 20).mean() < 0.02


@pytest.mark.parametrize("azimuth", [-150, -60, -90, 0, 30, 120, 180])
def test_faces_towards_the_camera_are_seen_and_those_behind_are_not(azimuth: float) -> None:
    pose = Pose(azimuth, 15, 0, 0, 0, 1.5, 0.2)
    points, face = box(8000)
    normal = np.zeros((len(points), 3))
    normal[np.arange(len(points)), face // 2] = np.where(face % 2, 1, -1)
    facing = ((pose.direction / pose.perspective - points) * normal).sum(1)
    mark = colour(Cloud(points), pose, SQUARE, photo(pose)).mark
    # What the picture's upper border cuts off is not seen either.
    inside = to_pixels(project(points, pose)[0], SQUARE)[:, 1] > 0
    assert (mark[inside & (facing > 0.5)] == SEEN).mean() > 0.95
    assert (mark[facing < -0.5] == SEEN).mean() < 0.15


def test_points_outside_the_picture_are_not_seen() -> None:
    pose = Pose(60, 15, 0, 0, 0, 1.5, 0)
    points, _ = box(4000)
    image = photo(pose)[:, :150]
    found = colour(Cloud(points), pose, SQUARE, image)
    outside = to_pixels(project(points, pose)[0], SQUARE)[:, 0] >= 150
    assert found.mark is not None and outside.any() and not (found.mark[outside] == SEEN).any()


def test_a_car_of_which_nothing_is_in_the_picture_stays_without_colours() -> None:
    pose = Pose(60, 15, 0, 1.9, 0, 0.05, 0)
    points, _ = box(500)
    found = colour(Cloud(points), pose, (0, 0, 100), np.zeros((80, 80, 3), np.uint8))
    assert found.rgb is None and found.mark is None
    far = colour(Cloud(points), pose._replace(x=50.0), (0, 0, 100), np.zeros((80, 80, 3), np.uint8))
    assert far.rgb is None


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_clouds(count: int) -> None:
    pose = Pose(60, 15, 0, 0, 0, 1.0, 0)
    found = colour(Cloud(np.zeros((count, 3), np.float32)), pose, (0, 0, 80), np.full((80, 80, 3), 7, np.uint8))
    assert (found.rgb is None) == (count == 0)
    if found.rgb is not None:
        assert (found.rgb == 7).all()


@pytest.mark.parametrize("scale", [1e-3, 400.0])
def test_absurd_scales_and_stray_points_cost_no_memory(scale: float) -> None:
    points, _ = box(2000)
    points[0] = [30, 0, 0]
    found = colour(Cloud(points), Pose(60, 15, 0, 0, 0, scale, 0), SQUARE, np.full((200, 300, 3), 7, np.uint8))
    assert found.points is points


def test_filling_takes_the_nearest_colours_and_folds_the_sides() -> None:
    points = np.array([[4, 2, 0], [-4, 2, 0], [4, -2, 0.1], [-4, -2, 0.1], [-3, 2, 0]], np.float32) / 10
    rgb = np.array([RED, BLUE, GREY, GREY, GREY], np.uint8)
    known = np.array([True, True, False, False, False])
    assert fill(points, rgb, known).tolist() == [list(RED), list(BLUE), list(BLUE)]


def test_filling_far_from_everything_takes_the_mean() -> None:
    points = np.zeros((3, 3), np.float32)
    points[2] = 40
    rgb = np.array([[10, 0, 0], [30, 0, 0], [0, 0, 0]], np.uint8)
    assert fill(points, rgb, np.array([True, True, False])).tolist() == [[20, 0, 0]]


def test_filling_is_smooth() -> None:
    random = np.random.RandomState(0)
    points = random.uniform(-0.5, 0.5, (4000, 3)).astype(np.float32) * np.array([1, 0.4, 0.3], np.float32)
    points[:, 1] = 0.2  # a side
    known = np.abs(points[:, 0]) > 0.45
    rgb = np.where(points[:, :1] > 0, RED, BLUE).astype(np.uint8)
    red = fill(points, rgb, known)[:, 0].astype(float)
    x = points[~known, 0]
    assert red[x > 0.4].mean() > 200 and red[x < -0.4].mean() < 55
    means = [red[(x >= low) & (x < low + 0.05)].mean() for low in np.arange(-0.45, 0.4, 0.05)]
    assert (np.diff(means) > -8).all() and np.diff(means).max() < 60


def test_filling_of_nothing() -> None:
    points = np.zeros((2, 3), np.float32)
    assert fill(points, np.zeros((2, 3), np.uint8), np.array([True, True])).shape == (0, 3)


def test_what_stands_before_the_car_gives_it_no_colour() -> None:
    pose = Pose(60, 15, 0, 0, 0, 1.5, 0.3)
    points, face = box(16384)
    image, silhouette = photo(pose), np.ones((64, 64), np.float32)
    # A green post hides a tenth of the crop's width, a third of the way from its left border.
    left, _, side = SQUARE
    image[:, left + side // 3 : left + side // 3 + side // 10] = (0, 255, 0)
    silhouette[:, 64 // 3 : 64 // 3 + 8] = 0.1
    blind = looked_up(Cloud(points), pose, SQUARE, image)
    found = looked_up(Cloud(points), pose, SQUARE, image, silhouette)
    assert blind.rgb is not None and found.rgb is not None and found.mark is not None and blind.mark is not None
    green = (blind.rgb[:, 1] > 200) & (blind.rgb[:, 0] < 50)
    assert green.sum() > 300 and (found.rgb[:, 1] > 200).sum() == 0
    assert (found.mark[green & (blind.mark == SEEN)] != SEEN).all()
    other = ~green & (np.abs(found.rgb.astype(int) - blind.rgb).max(1) > 0)
    assert other.mean() < 0.03, "the rest has the colours it had, but for the border of a coarse mask"
    nothing = looked_up(Cloud(points), pose, SQUARE, image, np.zeros((64, 64), np.float32))
    assert nothing.rgb is None, "of a car that is hidden altogether nothing is known"
