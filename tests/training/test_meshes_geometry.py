"""Building, cutting by picture, depth maps, ground-truth clouds and mesh checks, on boxes with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from edge.errors import DataError
from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, Views, back_project, cube_corner_views, look_rotation, pixel_grid
from tests.training.meshes_samples import box, box_part, toy_car
from training.meshes import checks
from training.meshes.build import make_car, make_part, on_the_ground, weld, without_thin_extras
from training.meshes.depth import orthographic_depth, random_rotations
from training.meshes.drawn import Drawing, draw
from training.meshes.floating import floating_pieces
from training.meshes.model import CATEGORIES, CarMesh, MeshPart
from training.meshes.texture import Soup, face_areas, main_colour, mean_colour, split_by_picture, to_linear
from training.meshes.visible import outside_cloud, outside_surface, sphere_directions, surface_cloud
from training.meshes.wheels import Wheel, wheel_parts, with_rims
from training.meshes.wings import has_wings, without_wings


def distance_to_box(points: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Unsigned distance of points (N, 3) to the surface of an axis-aligned box about the origin."""
    q = np.abs(points) - half
    outside = np.linalg.norm(np.maximum(q, 0), axis=1)
    return np.abs(outside + np.minimum(q.max(1), 0))


def box_car(*parts: tuple[tuple[float, float, float], tuple[float, float, float]]) -> CarMesh:
    made = tuple(box_part("paint", low, high) for low, high in parts)
    return CarMesh("box", "tests", "CC0", "nobody", "box", "box", made, 1.0)


def test_outside_cloud_has_no_point_of_an_inner_box() -> None:
    half = np.array([0.5, 0.25, 0.2])
    car = box_car((tuple(-half), tuple(half)), ((-0.3, -0.2, -0.15), (0.3, 0.2, 0.15)))
    cloud = outside_cloud(car, 20_000)
    assert cloud.shape == (20_000, 3) and cloud.dtype == np.float32
    assert distance_to_box(cloud, half).max() < 1e-5
    # All surfaces do hold the inner box, by its share of the area.
    every = surface_cloud(car, 20_000)
    inner = 2 * (0.6 * 0.4 + 0.4 * 0.3 + 0.6 * 0.3)
    outer = 2 * (1 * 0.5 + 0.5 * 0.4 + 1 * 0.4)
    assert (distance_to_box(every, half) > 1e-4).mean() == pytest.approx(inner / (inner + outer), abs=0.002)


def test_a_surface_knows_its_parts_and_which_way_is_out() -> None:
    boxes = {"paint": ((-0.5, -0.25, -0.2), (0.5, 0.25, 0.1)), "glass": ((-0.2, -0.2, 0.1), (0.2, 0.2, 0.2))}
    body, roof = (box_part(name, *bounds) for name, bounds in boxes.items())
    # Orientation is not trusted: one part's triangles are turned inside out.
    roof = replace(roof, faces=roof.faces[:, ::-1].copy())
    car = CarMesh("car", "tests", "CC0", "nobody", "box", "box", (body, roof), 1.0)
    surface = outside_surface(car, 8000)
    assert surface.parts.dtype == np.uint8 and surface.normals.dtype == np.float32
    assert np.array_equal(surface.points, outside_cloud(car, 8000))
    glass = surface.parts == CATEGORIES.index("glass")
    assert set(np.unique(surface.parts)) == {CATEGORIES.index("paint"), CATEGORIES.index("glass")}
    assert (surface.points[glass, 2] > 0.1 - 1e-6).all() and (surface.points[~glass, 2] < 0.1 + 1e-6).all()
    for rows, name in ((glass, "glass"), (~glass, "paint")):
        low, high = boxes[name]
        middle, half = (np.array(high) + low) / 2, (np.array(high) - low) / 2
        place = (surface.points[rows] - middle) / half
        side = np.abs(place).argmax(1)
        outward = np.zeros_like(place)
        outward[np.arange(len(place)), side] = np.sign(place[np.arange(len(place)), side])
        edge = np.sort(np.abs(place), axis=1)[:, 1] > 0.999  # there two sides are as near
        np.testing.assert_allclose(surface.normals[rows][~edge], outward[~edge], atol=1e-5)


def test_clouds_are_area_uniform() -> None:
    half = np.array([0.5, 0.25, 0.2])
    car = box_car((tuple(-half), tuple(half)))
    for cloud in (outside_cloud(car, 50_000), surface_cloud(car, 50_000)):
        top = cloud[np.abs(cloud[:, 2] - 0.2) < 1e-5]
        assert len(top) / len(cloud) == pytest.approx(0.5 / (2 * (0.5 + 0.2 + 0.4)), abs=0.004)
        counts = np.histogram2d(top[:, 0], top[:, 1], bins=(10, 5), range=((-0.5, 0.5), (-0.25, 0.25)))[0]
        expected = len(top) / 50
        # Chi-square with 49 degrees of freedom: 95 is exceeded by chance once in 10,000.
        assert ((counts - expected) ** 2 / expected).sum() < 95


def test_outside_cloud_looks_into_an_open_box_but_not_through_glass() -> None:
    def cup(lid: bool) -> CarMesh:
        walls = [((-0.5, -0.3, -0.2), (0.5, 0.3, -0.19)), ((-0.5, -0.3, -0.2), (-0.49, 0.3, 0.2))]
        walls += [((0.49, -0.3, -0.2), (0.5, 0.3, 0.2)), ((-0.5, -0.3, -0.2), (0.5, -0.29, 0.2))]
        walls += [((-0.5, 0.29, -0.2), (0.5, 0.3, 0.2)), ((-0.1, -0.1, -0.1), (0.1, 0.1, 0.0))]
        parts = [box_part("interior", low, high) for low, high in walls]
        parts += [box_part("glass", (-0.5, -0.3, 0.2), (0.5, 0.3, 0.21))] if lid else []
        return CarMesh("cup", "tests", "CC0", "nobody", "box", "box", tuple(parts), 1.0)

    def on_the_block(cloud: np.ndarray) -> int:
        return int(((np.abs(cloud[:, :2]).max(1) < 0.11) & (cloud[:, 2] > -0.11) & (cloud[:, 2] < 0.01)).sum())

    assert on_the_block(outside_cloud(cup(False), 5000)) > 100
    assert on_the_block(outside_cloud(cup(True), 5000)) == 0


def test_clouds_repeat_with_their_seed_only() -> None:
    car = toy_car().canonical()
    one, same, other = (
        outside_cloud(car, 2000, seed=3),
        outside_cloud(car, 2000, seed=3),
        outside_cloud(car, 2000, seed=4),
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert np.array_equal(surface_cloud(car, 2000, 5), surface_cloud(car, 2000, 5))


def test_outside_cloud_asks_for_enough_directions_and_some_surface() -> None:
    with pytest.raises(ValueError, match="64 or more"):
        outside_cloud(toy_car().canonical(), 100, directions=63)
    flat = CarMesh("flat", "tests", "CC0", "nobody", "box", "box", (box_part("paint", (0, 0, 0), (0, 0, 0)),), 1.0)
    with pytest.raises(DataError, match="no surface"):
        outside_cloud(flat, 100)


def test_directions_cover_the_sphere_evenly() -> None:
    ways = sphere_directions(96)
    assert np.allclose(np.linalg.norm(ways, axis=1), 1, atol=1e-6) and np.abs(ways.mean(0)).max() < 0.02
    nearest = cKDTree(ways).query(ways, k=2)[0][:, 1]
    assert nearest.min() > 0.7 * nearest.max() > 0.1


def test_depth_back_projects_onto_the_surface() -> None:
    half = np.array([0.5, 0.22, 0.17])
    car = box_car((tuple(-half), tuple(half)))
    views, size = cube_corner_views(), 48
    rotations = np.concatenate([views.rotations, random_rotations(np.random.default_rng(0), 4)])
    depth = orthographic_depth(car, rotations, VIEW_WIDTH, VIEW_DISTANCE, size)
    assert depth.shape == (12, size, size) and depth.dtype == np.float32
    grid = np.broadcast_to(pixel_grid(size, VIEW_WIDTH), (12, 2, size, size))
    points = back_project(np.concatenate([grid, depth[:, None]], axis=1), Views(rotations, VIEW_WIDTH, VIEW_DISTANCE))
    for index in range(12):
        hit = depth[index].ravel() > 0
        assert 100 < hit.sum() < size * size
        assert distance_to_box(points[index][hit], half).max() < 1e-5
        # It is the near side: the point's face looks at the camera.
        outward = np.abs(points[index][hit]) > half - 1e-4
        toward = -np.sign(points[index][hit]) * rotations[index][2]
        assert (np.where(outward, toward, 0).max(1) > 0).all()


def test_depth_has_image_up_at_car_up_and_left_at_left() -> None:
    car = box_car(((-0.5, -0.2, -0.2), (0.5, 0.2, -0.1)), ((0.3, -0.2, -0.1), (0.5, 0.2, 0.2)))
    (depth,) = orthographic_depth(car, look_rotation((0, 1, 0))[None], 1.2, 1.0, 60)
    rows, columns = np.nonzero(depth)
    # Seen from the left, the nose (+x), which carries the tower, is at the left of the picture.
    assert columns[rows < 28].max() < 20 and columns.max() > 50 and rows[columns > 30].min() > 30
    assert np.allclose(depth[depth > 0], 0.8, atol=1e-6)


def test_random_rotations_are_rotations_all_over_the_sphere() -> None:
    turns = random_rotations(np.random.default_rng(1), 500)
    assert turns.shape == (500, 3, 3) and turns.dtype == np.float32
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-5)
    assert np.allclose(np.linalg.det(turns), 1, atol=1e-5)
    assert np.abs(turns[:, 2].mean(0)).max() < 0.1 and (turns[:, 1, 2] <= 1e-6).all()
    assert np.array_equal(turns[:5], random_rotations(np.random.default_rng(1), 5))


def test_weld_joins_repeats_and_drops_slivers() -> None:
    vertices, faces = box((0, 0, 0), (1, 1, 1))
    soup = vertices[faces].reshape(-1, 3)
    again = np.concatenate([np.arange(36).reshape(-1, 3), np.arange(36).reshape(-1, 3)[:, ::-1], [[0, 0, 1]]])
    points, triangles = weld(soup, again)
    assert len(points) == 8 and len(triangles) == 12


def test_thin_rods_go_only_if_they_stick_out() -> None:
    body = box_part("paint", (-2, -0.9, 0.2), (2, 0.9, 1.4))
    aerial = box_part("trim", (-1.0, 0.0, 1.4), (-0.99, 0.01, 1.9))
    handle = box_part("chrome", (0.0, 0.88, 0.8), (0.2, 0.905, 0.81))
    plate = box_part("trim", (2.0, -0.2, 0.5), (2.02, 0.2, 0.6))
    kept = without_thin_extras([body, aerial, handle, plate])
    assert sorted(p.category for p in kept) == ["chrome", "paint", "trim"]
    assert max(p.vertices[:, 2].max() for p in kept) == pytest.approx(1.4)


def test_make_car_puts_wheels_on_the_ground_and_refuses_nothing() -> None:
    vertices, faces = box((3, 1, 5), (7, 2.8, 6.4))
    car = make_car(
        [make_part("a", "paint", vertices, faces, (2, 0.5, -1))],
        name="a", source="s", licence="l", attribution="n", body_class="c", ancestry="a",
    )  # fmt: skip
    lower, upper = car.bounds()
    assert np.allclose(lower, [-2, -0.9, 0], atol=1e-5) and np.allclose(upper, [2, 0.9, 1.4], atol=1e-5)
    assert car.length_m == pytest.approx(4) and car.parts[0].colour == (1.0, 0.5, 0.0)
    with pytest.raises(DataError, match="mesh b holds no triangles"):
        make_car([None], name="b")
    with pytest.raises(ValueError, match="unknown category 'bonnet'"):
        make_part("a", "bonnet", vertices, faces, (0, 0, 0))


def picture_soup(left: float, right: float) -> Soup:
    """A 1 m square whose picture is ``left`` grey on its left half and ``right`` grey on its right half."""
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    image = np.full((4, 4, 3), left, np.float32)
    image[:, 2:] = right
    return Soup("square", vertices, faces, vertices[faces][:, :, :2].copy(), image)


def test_split_by_picture_cuts_along_the_border_and_keeps_the_area() -> None:
    pieces = split_by_picture(picture_soup(0.1, 0.9), lambda colours, _: (colours.mean(-1) > 0.5).astype(int))
    areas = {k: face_areas(p.corners()).sum() for k, p in pieces.items()}
    assert areas[0] + areas[1] == pytest.approx(1, abs=1e-5) and areas[0] == pytest.approx(0.5, abs=0.02)
    assert pieces[0].vertices[:, 0].max() < 0.53 and pieces[1].vertices[:, 0].min() > 0.47


def test_colours_of_pictures() -> None:
    assert mean_colour(picture_soup(0.0, 1.0)) == pytest.approx((0.5,) * 3, abs=0.1)
    assert main_colour(picture_soup(0.0, 0.5)) == pytest.approx(tuple(to_linear(np.full(3, 0.5))), abs=1e-5)
    assert to_linear(np.array([0.0, 0.04045, 0.5, 1.0])) == pytest.approx([0, 0.0031308, 0.21404, 1], abs=1e-4)


def test_wheels_are_round_and_face_outwards() -> None:
    for side in (1, -1):
        parts = [p for p in wheel_parts(Wheel((1.3, 0.75 * side, 0.3), 0.3, 0.2, 0.2)) if p is not None]
        assert [p.category for p in parts] == ["tyre", "rim", "underbody"]
        tyre, rim, back = (p.vertices - [1.3, 0.75 * side, 0.3] for p in parts)
        assert np.hypot(tyre[:, 0], tyre[:, 2]).max() == pytest.approx(0.3, abs=1e-4)
        assert np.abs(tyre[:, 1]).max() == pytest.approx(0.1, abs=1e-4)
        assert (rim[:, 1] * side).min() > 0 > (back[:, 1] * side).max()


def test_checks_pass_a_good_car_and_measure_it() -> None:
    car = toy_car()
    measures = checks.measure(car)
    assert checks.problems(car, measures) == []
    assert np.allclose(measures.size, [4.4, 1.8, 1.4], atol=1e-5) and measures.lift == pytest.approx(0, abs=1e-6)
    assert measures.nose is True and measures.share("interior") == 0 and measures.floating == []
    assert sum(measures.shares.values()) == pytest.approx(1) and 0.05 < measures.share("glass") < 0.3


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("scale", lambda car: car.transformed(lambda v: v * 10), "length 44.00 m is not between"),
        ("axes", lambda car: car.transformed(lambda v: v[:, [1, 0, 2]]), "longest edge is not along x"),
        ("nose", lambda car: car.transformed(lambda v: v * [-1, -1, 1]), "nose towards -x"),
        ("lift", lambda car: toy_car(box_part("trim", (-0.1, -0.1, -0.2), (0.1, 0.1, 0.3))), "a tyre ends 20 cm above"),
        ("side", lambda car: toy_car(box_part("trim", (-2, 0.9, 0.3), (2, 1.3, 0.7))), "left and right differ"),
        ("float", lambda car: toy_car(box_part("trim", (0, 0, 1.6), (0.2, 0.1, 1.7))), "floats 20 cm off the rest"),
        ("paint", lambda car: toy_car(box_part("trim", (-2.2, -0.9, 0.2), (2.2, 0.9, 1.5))), "what one sees is paint"),
        ("seat", lambda car: toy_car(box_part("interior", (-2, -0.95, 0.9), (2, 0.95, 1.5))), "% of what one sees is"),
    ],
)
def test_checks_say_what_is_wrong(name: str, change, sentence: str) -> None:  # noqa: ANN001
    car = change(toy_car())
    assert any(sentence in line for line in checks.problems(car, checks.measure(car))), name


def test_checks_see_missing_wheels_and_holes() -> None:
    car = toy_car()
    rolling = ("tyre", "rim")
    bare = CarMesh("bare", "t", "l", "n", "sedan", "a", tuple(p for p in car.parts if p.category not in rolling), 4.4)
    assert any("wheels missing" in line for line in checks.problems(bare, checks.measure(bare)))
    frame = [((-2.2, -0.9, 0), (2.2, 0.9, 0.2)), ((-2.2, -0.9, 1.2), (2.2, 0.9, 1.4))]
    frame += [((-2.2, -0.9, 0), (-2.0, 0.9, 1.4)), ((2.0, -0.9, 0), (2.2, 0.9, 1.4))]
    assert checks.silhouette_holes(box_car(*frame).canonical()) > 0.5


def test_floating_pieces_are_measured_and_hidden_ones_are_not() -> None:
    # A plate 30 cm above the roof (z 1.4); a seat inside, which touches nothing, is closed in by body and glass.
    (piece,) = floating_pieces(toy_car(box_part("chrome", (-0.5, -0.1, 1.7), (0.1, 0.1, 1.75))))
    assert piece.category == "chrome" and piece.gap == pytest.approx(0.3, abs=0.02)
    assert piece.size == pytest.approx(0.6, abs=0.02) and np.allclose(piece.centre, [-0.2, 0, 1.725], atol=0.02)
    assert floating_pieces(toy_car(box_part("trim", (-0.5, -0.3, 0.95), (-0.2, 0.3, 1.05)))) == []
    lost = box_part("tyre", (-3.2, -0.1, 0.0), (-2.6, 0.1, 0.6))
    assert [p.category for p in floating_pieces(toy_car(lost))] == ["tyre"]


def test_wings_come_off_and_the_car_stands_in_its_frame_again() -> None:
    wing = replace(box_part("paint", (-2.6, -0.8, 1.5), (-2.0, 0.8, 1.6)), name="wing_top")
    plain, winged = toy_car(), on_the_ground(toy_car(wing))
    assert not has_wings(plain) and without_wings(plain) is plain
    assert has_wings(winged) and winged.length_m == pytest.approx(4.8, abs=1e-5)
    bare = without_wings(winged)
    lower, upper = bare.bounds()
    assert np.allclose(lower, [-2.2, -0.9, 0], atol=1e-5) and np.allclose(upper, [2.2, 0.9, 1.4], atol=1e-5)
    assert bare.length_m == pytest.approx(4.4, abs=1e-5) and len(bare.parts) == len(plain.parts)


def test_rims_without_a_name_are_found_in_the_tyres_opening() -> None:
    car = toy_car()
    unnamed = [replace(p, category="chrome") if p.category == "rim" else p for p in car.parts]
    bumper = box_part("chrome", (2.2, -0.9, 0.2), (2.25, 0.9, 0.4))
    parts = with_rims([*unnamed, bumper])
    rims = np.concatenate([p.vertices for p in parts if p.category == "rim"])
    assert len(rims) == 32 and np.abs(rims[:, 1]).min() > 0.84
    assert np.concatenate([p.vertices for p in parts if p.category == "chrome"])[:, 0].min() > 2.1
    assert with_rims(car.parts) == list(car.parts)


def test_windows_drawn_on_a_shell() -> None:
    vertices, faces = box((-2, -0.8, 0.0), (2, 0.8, 1.4))
    shell = MeshPart("paint", "paint", vertices, faces, (0.2, 0.2, 0.2))
    drawing = Drawing(
        side=((0.7, 0.9), (0.7, 1.3), (-0.8, 1.3), (-0.8, 0.9)),
        screens=((2.1, 1.9), (-1.9, -2.1)),
        half=(0.7, 0.5),
        belt=0.9,
        roof=1.3,
        front=(0.4, 0.7, 0.4, 0.6),
        rear=(0.4, 0.7, 0.4, 0.6),
        ends=0.1,
    )
    parts = [p for p in draw(shell, drawing) if p is not None]

    def area(kind: str) -> float:
        return sum(face_areas(p.vertices[p.faces]).sum() for p in parts if p.category == kind)

    # Two side windows of 1.5 x 0.4 m and two screens of mean width 1.2 m, cut to about 2 cm; lamps 0.3 x 0.2 m each.
    assert area("glass") == pytest.approx(2 * 0.6 + 2 * 0.48, rel=0.03)
    assert area("light_front") == pytest.approx(0.12, rel=0.1) and area("light_rear") == pytest.approx(0.12, rel=0.1)
    total = 2 * (4 * 1.6 + 1.6 * 1.4 + 1.4 * 4)
    assert sum(area(k) for k in ("paint", "glass", "light_front", "light_rear")) == pytest.approx(total, rel=1e-4)
