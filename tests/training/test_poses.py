"""True poses: the virtual camera against the pinhole it stands for, and how it follows a mirrored or zoomed picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge.geometry import look_rotation
from edge.pose import Pose, project, to_pixels
from tests.training.toys import toy_data
from training.augment import augment, mirrored_camera, zoomed_camera
from training.batches import Pool, true_targets
from training.networks.base import CLASSES
from training.poses import CORNERS, virtual_cameras
from training.settings import Settings, Stage

SIZE = 128
#: Points of a car, canonical.
POINTS = np.random.default_rng(0).uniform([-0.5, -0.21, -0.16], [0.5, 0.21, 0.16], (300, 3))
#: Azimuth, elevation and roll in degrees, distance in car lengths.
VIEWS = [(0, 0, 0, 2.5), (40, 10, 0, 1.6), (-135, 25, 7, 4.0), (180, 3, -12, 2.0), (95, 60, 20, 3.0)]


def pinhole(
    azimuth: float, elevation: float, roll: float, distance: float, principal: tuple[float, float] = (64.0, 64.0),
    turn: tuple[float, float] = (0.0, 0.0),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """K, R, t of an OpenCV camera that looks at the car; roll turns the car clockwise, ``turn`` (radians, about the
    camera's x and y) turns the camera away from it."""
    a, e, r = np.radians([azimuth, elevation, roll])
    d = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    lean = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    x, y = turn
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    away = about_y @ about_x
    focal = 0.8 * SIZE * distance / 1.2
    k = np.array([[focal, 0, principal[0]], [0, focal, principal[1]], [0, 0, 1]])
    return k, away @ lean @ look_rotation(tuple(d)).astype(np.float64), away @ np.array([0, 0, distance])


def pixels_of(k: np.ndarray, r: np.ndarray, t: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) by the pinhole's own formula."""
    image = (points @ r.T + t) @ k.T
    return image[:, :2] / image[:, 2:]


def pose_of(azimuth: float, camera: np.ndarray) -> Pose:
    """The pose that a network would give which knows."""
    elevation, roll, x, y, log_scale, perspective = (float(v) for v in camera)
    return Pose(
        np.degrees(azimuth), np.degrees(elevation), np.degrees(roll), x, y, float(np.exp(log_scale)), perspective
    )


def virtual(k: np.ndarray, r: np.ndarray, t: np.ndarray) -> tuple[float, np.ndarray]:
    azimuth, camera = virtual_cameras(k[None], r[None], t[None], SIZE)
    assert azimuth.dtype == camera.dtype == np.float32 and camera.shape == (1, 6)
    return float(azimuth[0]), camera[0]


def virtual_pixels(azimuth: float, camera: np.ndarray, points: np.ndarray) -> np.ndarray:
    return to_pixels(project(points, pose_of(azimuth, camera))[0], (0, 0, SIZE))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("principal", [(64.0, 64.0), (70.0, 51.0)])
def test_an_axis_through_the_car_gives_the_pinhole_s_pixels(
    view: tuple[float, float, float, float], principal: tuple[float, float]
) -> None:
    k, r, t = pinhole(*view, principal)
    azimuth, camera = virtual(k, r, t)
    difference = (np.degrees(azimuth) - view[0] + 180) % 360 - 180
    assert abs(difference) < 1e-3 and np.degrees(camera[:2]) == pytest.approx(view[1:3], abs=1e-3)
    assert camera[5] == pytest.approx(1 / view[3], rel=1e-5)
    np.testing.assert_allclose(virtual_pixels(azimuth, camera, POINTS), pixels_of(k, r, t, POINTS), atol=2e-3)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("turn", [(0.0, 0.06), (-0.08, 0.0), (0.05, -0.07)])
def test_off_the_axis_it_is_within_half_a_percent_of_the_crop(
    view: tuple[float, float, float, float], turn: tuple[float, float]
) -> None:
    k, r, t = pinhole(*view, turn=turn)
    azimuth, camera = virtual(k, r, t)
    found, true = virtual_pixels(azimuth, camera, POINTS), pixels_of(k, r, t, POINTS)
    centre = pixels_of(k, r, t, np.zeros((1, 3)))
    np.testing.assert_allclose(virtual_pixels(azimuth, camera, np.zeros((1, 3))), centre, atol=1e-3)
    assert np.linalg.norm(found - true, axis=1).mean() < 0.005 * SIZE


def test_the_scale_is_the_best_one_for_an_ordinary_car() -> None:
    k, r, t = pinhole(40, 10, 0, 1.6, turn=(0.05, 0.25))
    azimuth, camera = virtual(k, r, t)
    true = pixels_of(k, r, t, CORNERS)
    errors = []
    for change in (-0.02, 0.0, 0.02):
        other = camera.copy()
        other[4] += change
        errors.append(np.square(virtual_pixels(azimuth, other, CORNERS) - true).sum())
    assert errors[1] < min(errors[0], errors[2])


@pytest.mark.parametrize("view", VIEWS)
def test_a_mirrored_camera_sees_the_mirrored_car_mirrored(view: tuple[float, float, float, float]) -> None:
    azimuth, camera = virtual(*pinhole(*view, (70.0, 51.0)))
    other = mirrored_camera(torch.from_numpy(camera[None]))[0].numpy()
    found = virtual_pixels(-azimuth, other, POINTS * [1, -1, 1])
    expected = virtual_pixels(azimuth, camera, POINTS)
    expected[:, 0] = SIZE - expected[:, 0]
    np.testing.assert_allclose(found, expected, atol=2e-3)
    # The same as the pose of the true camera, mirrored: R -> F R M with F and M the flips of picture and car.
    k, r, t = pinhole(*view, (SIZE - 70.0, 51.0))
    flip = np.diag([-1.0, 1.0, 1.0])
    k, true_r, true_t = k, flip @ r @ np.diag([1.0, -1.0, 1.0]), flip @ t
    np.testing.assert_allclose(virtual(k, true_r, true_t)[1], other, atol=1e-5)


def marked(places: np.ndarray, size: int) -> torch.Tensor:
    """A picture (1, 3, size, size) with a soft spot of one colour at each of three crop places (3, 2)."""
    y, x = (np.mgrid[:size, :size] + 0.5) * 2 / size - 1
    spots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 0.04**2)) for px, py in places]
    return torch.from_numpy(np.stack(spots).astype(np.float32))[None]


def spots_of(picture: torch.Tensor) -> np.ndarray:
    """Where the spots are: their centres of mass, crop coordinates (3, 2)."""
    size = picture.shape[-1]
    weight = picture[0].double().numpy()
    grid = (np.arange(size) + 0.5) * 2 / size - 1
    total = weight.sum((1, 2))
    return np.stack([(weight.sum(1) * grid).sum(1) / total, (weight.sum(2) * grid).sum(1) / total], 1)


@pytest.mark.parametrize("seed", range(4))
def test_a_zoomed_camera_sees_what_is_in_the_zoomed_picture(seed: int) -> None:
    azimuth, camera = virtual(*pinhole(40, 10, 5, 2.5))
    three = np.array([[0.4, 0.15, -0.1], [-0.35, -0.1, 0.1], [0.05, 0.2, 0.12]])
    settings = Settings(
        "lin2018", (), augment_zoom=0.2, augment_colour=0, augment_background=0, augment_erase=0, augment_aspect=0
    )
    picture = marked(project(three, pose_of(azimuth, camera))[0], 160)
    mask = torch.ones(1, 1, 160, 160)
    zoomed, theta = augment(picture, mask, 128, settings, torch.Generator().manual_seed(seed))
    assert theta.shape == (1, 2, 3) and abs(theta[0, 0, 0].item() - 1) > 1e-3
    other = zoomed_camera(torch.from_numpy(camera[None]), theta)[0].numpy()
    expected = project(three, pose_of(azimuth, other))[0]
    # The colour's noise is part of every picture; thresholding leaves the spots.
    found = spots_of((zoomed - 0.2).clamp_min(0))
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_zooming_by_hand_and_an_uneven_zoom_keeps_the_centre() -> None:
    azimuth, camera = virtual(*pinhole(-60, 20, 0, 2.0, (70.0, 60.0)))
    theta = torch.tensor([[[0.8, 0.0, 0.1], [0.0, 0.8, -0.05]]])
    other = zoomed_camera(torch.from_numpy(camera[None]), theta)[0].numpy()
    place = project(POINTS, pose_of(azimuth, camera))[0]
    np.testing.assert_allclose(project(POINTS, pose_of(azimuth, other))[0], (place - [0.1, -0.05]) / 0.8, atol=1e-5)
    theta = torch.tensor([[[0.8, 0.0, 0.1], [0.0, 0.84, -0.05]]])
    uneven = zoomed_camera(torch.from_numpy(camera[None]), theta)[0].numpy()
    expected = (place - [0.1, -0.05]) / [0.8, 0.84]
    found = project(POINTS, pose_of(azimuth, uneven))[0]
    np.testing.assert_allclose(uneven[2:4], (camera[2:4] - [0.1, -0.05]) / [0.8, 0.84], atol=1e-6)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max(), "one scale for both: their mean"


def test_batches_carry_the_targets_of_their_pictures() -> None:
    data = toy_data(3, 4)
    data.R[:] = [pinhole(37.0 * n + 5, 8, 3, 2.5)[1] for n in range(12)]
    data.t[:] = [0, 0, 2.5]
    data.length_m[:] = [4.0, 5.0, 3.5]
    data.classes[:] = ["suv", "toy", "van"]
    still = Settings(
        "lin2018", (), augment_zoom=0, augment_aspect=0, augment_colour=0, augment_background=0, augment_erase=0
    )
    batch = Pool(data, still).sample(Stage("s", 1, map_size=64, batch=32), 0, 80)
    truth = true_targets(data, np.arange(12))
    pictures = torch.from_numpy(data.images).permute(0, 3, 1, 2) / 255
    flipped = set()
    for image, azimuth in zip(batch.image, batch.targets.azimuth, strict=True):
        away = torch.stack([(known - image).abs().mean((1, 2, 3)) for known in (pictures, pictures.flip(-1))])
        mirrored, picture = divmod(int(away.argmin()), 12)
        assert azimuth == (-truth.azimuth if mirrored else truth.azimuth)[picture]
        flipped.add(mirrored)
    assert flipped == {0, 1}, "some are mirrored and some are not"
    rolls = batch.targets.camera[:, 1].abs()
    torch.testing.assert_close(rolls, torch.full_like(rolls, float(np.radians(3))), atol=1e-4, rtol=0)
    assert torch.equal(batch.targets.length, torch.from_numpy(data.length_m)[batch.shape])
    numbers = torch.tensor([CLASSES.index("suv"), -1, CLASSES.index("van")])
    assert torch.equal(batch.targets.classes, numbers[batch.shape])
    parts = [Pool(data, still).sample(Stage("s", 1, map_size=64, batch=32), 0, 80, rank, 2).targets for rank in (0, 1)]
    for name in ("azimuth", "camera", "length", "classes"):
        halves = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(halves, getattr(batch.targets, name)), name
