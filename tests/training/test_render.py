"""The renderer draws what the camera model says, the same for the same seed, in the colours asked for."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.errors import DataError
from training.meshes.model import CATEGORIES, CarMesh, MeshPart
from training.render import renderer as renderer_module
from training.render.appearance import linear, painted, random_dress, random_materials, random_paint
from training.render.camera import Camera, Framing, frame_camera, stand
from training.render.effects import develop, shrink, tone
from training.render.geometry import build_soup, crease_normals, weld
from training.render.light import random_light
from training.render.renderer import Renderer
from training.render.scene import plain_backdrop, random_backdrop
from training.render.shader_scene import MAX_BOXES
from training.render.views import random_view, render_view

BOX_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 5, 7], [1, 7, 3]], np.int32,
)


def box_part(category: str, lower: tuple, upper: tuple) -> MeshPart:
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
    vertices = (np.array(lower) + corners * (np.array(upper) - lower)).astype(np.float32)
    return MeshPart(category, category, vertices, BOX_FACES)


def box_car(name: str = "boxcar") -> CarMesh:
    """A lower body, a cabin set back, a red rear lamp and four block wheels, in metres."""
    parts = [
        box_part("paint", (-2.2, -0.9, 0.3), (2.2, 0.9, 0.9)), box_part("glass", (-1.6, -0.75, 0.9), (0.7, 0.75, 1.45)),
        box_part("light_rear", (-2.25, -0.8, 0.6), (-2.2, 0.8, 0.8)),
    ]
    wheels = [(x, y) for x in (-1.3, 1.3) for y in (-0.8, 0.8)]
    parts += [box_part("tyre", (x - 0.3, y - 0.1, 0), (x + 0.3, y + 0.1, 0.6)) for x, y in wheels]
    return CarMesh(name, "test", "CC0-1.0", "nobody", "sedan", name, tuple(parts), 4.45)


@pytest.fixture(scope="module")
def renderer():
    with Renderer(128) as opened:
        yield opened


def test_same_seed_same_picture_and_other_seed_another(renderer):
    mesh = box_car()
    first, again, other = (render_view(mesh, 40, 10, 50, "clutter", seed, renderer=renderer) for seed in (3, 3, 4))
    assert np.array_equal(first.rgb, again.rgb) and np.array_equal(first.mask, again.mask)
    assert not np.array_equal(first.rgb, other.rgb)


def test_picture_shapes_and_a_mask_that_the_car_fills(renderer):
    picture = render_view(box_car(), 90, 5, 50, "plain", 0, renderer=renderer)
    assert picture.rgb.shape == (128, 128, 3) and picture.rgb.dtype == np.uint8
    assert picture.mask.shape == (128, 128) and picture.mask.dtype == np.uint8
    assert picture.mask.max() == 255 and picture.mask.min() == 0


@pytest.mark.parametrize("azimuth", [0, 35, 90, 200, 315])
def test_plain_mask_agrees_with_the_camera(renderer, azimuth):
    """The silhouette's box is the projected box; margin 0.1 of the longer edge, centred."""
    mesh = box_car()
    picture = render_view(mesh, azimuth, 12, 35, "plain", azimuth, renderer=renderer)
    rows, columns = np.nonzero(picture.mask > 127)
    x, y, width, height = picture.box
    assert abs(columns.min() - x) < 1.5 and abs(columns.max() + 1 - x - width) < 1.5
    assert abs(rows.min() - y) < 1.5 and abs(rows.max() + 1 - y - height) < 1.5
    assert max(width, height) == pytest.approx(128 / 1.2, abs=0.5)
    assert x + width / 2 == pytest.approx(64, abs=0.1) and y + height / 2 == pytest.approx(64, abs=0.1)


def test_every_vertex_projects_into_the_silhouette(renderer):
    """K, R, t and the raster agree point by point, also with jitter, roll and a lens that aims beside the car."""
    mesh = box_car()
    for seed in range(6):
        picture = render_view(mesh, 60 * seed, 20, 28, "clutter", seed, renderer=renderer)
        grown = cv2.dilate(picture.silhouette, np.ones((5, 5), np.uint8)) > 60
        pixels = np.floor(picture.camera.project(mesh.canonical().merged()[0])).astype(int)
        inside = pixels[((pixels >= 0) & (pixels < 128)).all(axis=1)]
        assert len(inside) > 10 and grown[inside[:, 1], inside[:, 0]].all()


def test_camera_is_a_rotation_and_stands_where_asked():
    hull = box_car().canonical().merged()[0]
    camera = frame_camera(hull, 90, 0, 50, 128, Framing())
    assert np.allclose(camera.R @ camera.R.T, np.eye(3), atol=1e-6) and np.linalg.det(camera.R) > 0
    assert camera.eye[1] > 1 and abs(camera.eye[0]) < 1e-6, "azimuth 90 is the car's left side"
    assert stand(0, 0) == pytest.approx((1, 0, 0))
    nose, tail = camera.project(np.array([[0.5, 0, 0], [-0.5, 0, 0]]))
    assert nose[0] < tail[0], "seen from its left, a car points to the left of the picture"


def test_shorter_lens_stands_nearer():
    hull = box_car().canonical().merged()[0]
    near, far = (frame_camera(hull, 30, 10, focal, 128, Framing()) for focal in (28, 85))
    assert np.linalg.norm(near.eye) < np.linalg.norm(far.eye) / 2


def test_colours_follow_the_categories(renderer):
    """Seen from behind the lamp is red; paint takes the colour given; tyres are dark."""
    mesh, rng = box_car(), np.random.default_rng(1)
    car = renderer.prepare(mesh)
    materials = painted(linear((0.1, 0.2, 0.9)), rng)
    camera = frame_camera(car.soup.hull, 180, 8, 50, 128, Framing())
    light = random_light(np.random.default_rng(0))
    dress = replace(random_dress(rng), plates=False, livery=np.zeros(4))
    layers = renderer.draw(car, camera, materials, dress, light, plain_backdrop(rng))
    rgb = shrink(tone(layers.car, light.exposure), renderer.size).astype(int)

    def colour(point: tuple) -> np.ndarray:
        column, row = camera.project(np.array([point]) / 4.45)[0].astype(int)
        return rgb[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3).mean(axis=0)

    lamp, paint = colour((-2.27, 0, -0.025)), colour((-2.2, 0, -0.35))
    assert lamp[0] > lamp[2] + 30, "the rear lamp is red"
    assert paint[2] > paint[0] + 20, "the paint is blue"


def test_many_cars_can_be_prepared_in_turn(renderer):
    meshes = [box_car(f"car{index}") for index in range(7)]
    for mesh in meshes + meshes:
        assert render_view(mesh, 10, 10, 50, "plain", 0, renderer=renderer).mask.any()


def test_training_views_vary(renderer):
    rng, mesh = np.random.default_rng(0), box_car()
    pictures = [random_view(mesh, rng, renderer) for _ in range(24)]
    assert {p.condition for p in pictures} == {"plain", "clutter", "occluded"}
    assert max(p.elevation_deg for p in pictures) <= 45 and min(p.elevation_deg for p in pictures) >= -2.5
    assert all(28 <= p.focal_mm <= 85 for p in pictures)
    assert np.std([p.rgb.mean() for p in pictures]) > 15
    seen = [(p.mask > 127).mean() for p in pictures]
    assert min(seen) > 0.05 and max(seen) < 0.95


def test_unknown_condition_is_refused(renderer):
    with pytest.raises(ValueError, match="none of plain, clutter, occluded"):
        render_view(box_car(), 0, 0, 50, "foggy", 0, renderer=renderer)


def test_no_egl_says_what_to_install(monkeypatch):
    def refuse(**_):
        raise Exception("eglGetDisplay failed")

    monkeypatch.setattr(renderer_module.moderngl, "create_context", refuse)
    with pytest.raises(DataError, match="apt-get install .*libegl1"):
        renderer_module.open_context()


def test_crease_normals_keep_edges_and_round_curves_whatever_the_winding():
    turn = np.radians(np.arange(0, 91, 10))
    arc = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    position = np.array([[x, y, z] for x, y in arc for z in (0, 1)])
    faces = np.array([f for i in range(9) for f in ([2 * i, 2 * i + 2, 2 * i + 1], [2 * i + 1, 2 * i + 2, 2 * i + 3])])
    faces[::3] = faces[::3, ::-1]
    normal = crease_normals(position, faces)
    radial = np.abs((normal[..., :2] * position[faces][..., :2]).sum(axis=2))
    assert radial.min() > np.cos(np.radians(6)), "a round strip gets round normals"
    soup = build_soup(box_car())
    assert np.allclose(np.abs(soup.normal).max(axis=1), 1, atol=1e-5), "a box keeps its flat sides"


def test_weld_joins_duplicates():
    position = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)
    welded, faces = weld(position, np.array([[0, 1, 2], [3, 5, 4]]))
    assert len(welded) == 4 and len(np.intersect1d(faces[0], faces[1])) == 2


def test_mesh_without_area_is_refused():
    line = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]], np.float32)
    flat = MeshPart("p", "paint", line, np.array([[0, 1, 2]], np.int32))
    mesh = CarMesh("flat", "test", "CC0-1.0", "nobody", "sedan", "flat", (flat,), 4.0)
    with pytest.raises(DataError, match="flat has no triangle with an area"):
        build_soup(mesh)


def test_paints_are_those_of_the_road():
    rng = np.random.default_rng(0)
    colours = np.array([random_paint(rng) for _ in range(2000)])
    chroma = colours.max(axis=1) - colours.min(axis=1)
    assert 0.5 < (chroma < 0.12).mean() < 0.85, "most cars are white, black, grey or silver"
    assert colours.min() >= 0 and colours.max() <= 1
    table = random_materials(rng)
    assert table.albedo.shape == table.finish.shape == (len(CATEGORIES), 4)


def test_backdrops_fit_the_shader():
    rng = np.random.default_rng(0)
    for _ in range(200):
        assert len(random_backdrop(rng, rng.uniform(0, 360)).boxes) <= MAX_BOXES


def test_camera_keeps_the_picture_recognisable():
    """Whatever the exposure, noise, blur and JPEG: a ramp of light stays a ramp, at the size asked for."""
    rng = np.random.default_rng(0)
    ramp = np.repeat(np.linspace(0.02, 1.5, 256, dtype=np.float32)[None, :, None], 256, axis=0).repeat(3, axis=2)
    for _ in range(30):
        result = develop(ramp, (128, 128), rng)
        assert result.shape == (128, 128, 3) and result.dtype == np.uint8
        assert np.corrcoef(result[..., 1].ravel(), tone(ramp)[::2, ::2, 1].ravel())[0, 1] > 0.85


def test_tone_curve_by_hand():
    assert tone(np.float32([[0.0]]))[0, 0] == 0
    assert tone(np.float32([[1.0]]))[0, 0] == pytest.approx((2.54 / 3.16) ** (1 / 2.2), abs=1e-4)
    assert tone(np.float32([[0.25]]), 4.0) == pytest.approx(tone(np.float32([[1.0]])))
    assert tone(np.float32([[900.0]]))[0, 0] == 1


def test_camera_box_and_projection_by_hand():
    camera = Camera(np.array([[100.0, 0, 64], [0, 100, 64], [0, 0, 1]]), np.eye(3), np.array([0, 0, 2.0]))
    assert camera.project(np.array([[0.5, -0.2, 0]])) == pytest.approx(np.array([[89, 54]]))
    assert camera.box(np.array([[0, 0, 0], [0.5, -0.2, 0]])) == pytest.approx((64, 54, 25, 10))
