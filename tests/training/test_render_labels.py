"""What a picture says about itself is true: mask, silhouette, parts, hidden share, camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.training.test_render import box_car
from training.meshes.model import CATEGORIES
from training.render.camera import Framing, frame_camera, widened
from training.render.details import find_wheels
from training.render.geometry import build_soup
from training.render.renderer import Renderer
from training.render.views import CONDITIONS, HIDDEN, SEEN, random_view, render_view

AREA = 128 * 128


@pytest.fixture(scope="module")
def renderer():
    with Renderer(128) as opened:
        yield opened


@pytest.fixture(scope="module")
def pictures(renderer):
    """Several of each condition, from all sides."""
    mesh = box_car()
    return [
        render_view(mesh, 77 * seed, 5 * seed - 2, 28 + 9 * seed, condition, seed, renderer=renderer)
        for condition in CONDITIONS for seed in range(5)
    ]


def test_parts_are_exactly_where_the_mask_is(pictures):
    for picture in pictures:
        assert picture.parts.dtype == np.uint8 and picture.parts.shape == picture.mask.shape
        assert np.array_equal(picture.parts > 0, picture.mask > SEEN)
        assert picture.parts.max() <= len(CATEGORIES)


def test_the_visible_is_part_of_the_whole(pictures):
    for picture in pictures:
        assert (picture.mask <= picture.silhouette).all()


def test_parts_lie_where_the_mesh_has_them(renderer):
    """From the left: glass above paint, tyres below; from behind: the lamp in the middle, paint above it."""
    left, rear = (render_view(box_car(), azimuth, 0, 50, "plain", 1, renderer=renderer) for azimuth in (90, 180))
    for picture, point, name in (
        (left, (-0.4, 0.7, 1.2), "glass"), (left, (0.0, 0.9, 0.6), "paint"), (left, (1.3, 0.9, 0.1), "tyre"),
        (left, (-1.3, 0.9, 0.1), "tyre"), (rear, (-2.25, 0.3, 0.7), "light_rear"), (rear, (-2.2, 0.3, 0.85), "paint"),
    ):
        canonical = (np.array([point]) - (-0.025, 0, 0.725)) / 4.45
        column, row = picture.camera.project(canonical)[0].astype(int)
        assert picture.parts[row, column] == 1 + CATEGORIES.index(name), name


def test_hidden_share_against_a_count(renderer):
    """The same view without frame and occluders, counted pixel by pixel at four times the size."""
    mesh = box_car()
    with Renderer(512, supersample=1) as large:
        car = large.prepare(mesh)
        for seed in range(6):
            condition = "occluded" if seed < 5 else "clutter"
            picture = render_view(mesh, 31 * seed, 8, 40, condition, 50 + seed, renderer=renderer)
            wide = widened(picture.camera, (-128, -128), 384, 512)
            whole = (large.silhouette(car, wide) > 127).sum() * (384 / 512) ** 2
            assert picture.hidden == pytest.approx(1 - picture.mask.sum() / 255 / whole, abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_occluded_hides_five_to_thirty_percent(renderer, seed):
    picture = render_view(box_car(), 36 * seed, 5, 45, "occluded", seed, renderer=renderer)
    assert HIDDEN[0] <= picture.hidden <= HIDDEN[1]
    assert picture.condition == "occluded"


def test_both_ways_of_hiding_occur(renderer):
    """Some are cut off by the frame, some have something before them."""
    made = [render_view(box_car(), 36 * s, 5, 45, "occluded", s, renderer=renderer) for s in range(10)]
    covered = [1 - p.mask.sum() / p.silhouette.sum() for p in made]
    assert any(share < 0.005 for share in covered), "the frame alone"
    assert any(share > 0.05 for share in covered), "a thing in front"


def test_plain_hides_nothing(pictures):
    for picture in pictures:
        if picture.condition == "plain":
            assert np.array_equal(picture.mask, picture.silhouette) and picture.hidden == pytest.approx(0, abs=1e-6)
            assert len(np.unique(picture.rgb[picture.silhouette == 0], axis=0)) == 1, "one colour behind the car"


def test_surface_points_fall_into_the_silhouette(pictures):
    """Points on the mesh, through K, R and t, land on the car, and the camera is a rotation."""
    vertices, faces = box_car().canonical().merged()
    rng = np.random.default_rng(0)
    weight = rng.dirichlet((1, 1, 1), 2000)
    points = (vertices[faces[rng.integers(0, len(faces), 2000)]] * weight[..., None]).sum(axis=1)
    for picture in pictures:
        assert np.allclose(picture.R @ picture.R.T, np.eye(3), atol=1e-6) and np.linalg.det(picture.R) > 0
        by_hand = (picture.K @ (picture.R @ points.T + picture.t[:, None])).T
        by_hand = by_hand[:, :2] / by_hand[:, 2:]
        assert np.allclose(by_hand, picture.camera.project(points))
        cells = np.floor(by_hand).astype(int)
        inside = cells[((cells >= 0) & (cells < 128)).all(axis=1)]
        grown = cv2.dilate(picture.silhouette, np.ones((3, 3), np.uint8)) > 0
        assert len(inside) > 200 and grown[inside[:, 1], inside[:, 0]].all()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_same_seed_gives_the_same_bytes_in_another_renderer(renderer, condition):
    """Also after other cars and scenes were drawn in between: nothing of them stays behind."""
    wanted = render_view(box_car(), 130, 6, 60, condition, 9, renderer=renderer)
    with Renderer(128) as other:
        random_view(box_car("before"), np.random.default_rng(5), other)
        again = render_view(box_car(), 130, 6, 60, condition, 9, renderer=other)
    for name in ("rgb", "mask", "silhouette", "parts", "K", "R", "t"):
        assert np.array_equal(getattr(wanted, name), getattr(again, name)), name
    assert wanted.hidden == again.hidden


@pytest.mark.parametrize("size", [96, 160])
def test_any_square_size(size):
    with Renderer(size) as other:
        picture = render_view(box_car(), 200, 10, 50, "occluded", 2, size, other)
    assert picture.rgb.shape == (size, size, 3)
    assert {layer.shape for layer in (picture.mask, picture.silhouette, picture.parts)} == {(size, size)}
    assert HIDDEN[0] <= picture.hidden <= HIDDEN[1]


def test_widened_keeps_every_point_at_its_place_in_the_crop():
    hull = box_car().canonical().merged()[0]
    camera = frame_camera(hull, 30, 10, 50, 128, Framing())
    wide = widened(camera, (-64, -64), 256, 128)
    assert np.allclose(wide.project(hull), (camera.project(hull) + 64) / 2)


def test_wheels_are_found_where_they_are_round():
    """Block wheels as wide as high count as round; a corner without a tyre has radius 0."""
    found = find_wheels(build_soup(box_car()))
    assert found[:, 2] == pytest.approx(np.full(4, 0.3 / 4.45), abs=1e-4)
    assert found[:2, 0] == pytest.approx(np.full(2, 1.325 / 4.45), abs=1e-3)
    assert found[2:, 0] == pytest.approx(np.full(2, -1.275 / 4.45), abs=1e-3)
    three = box_car()
    parts = tuple(p for p in three.parts if not (p.category == "tyre" and p.vertices[:, 0].min() > 0))
    bare = find_wheels(build_soup(type(three)(**{**three.__dict__, "parts": parts})))
    assert bare[0, 2] == bare[1, 2] == 0 and bare[2, 2] > 0
