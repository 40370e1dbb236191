"""Parametric bodies: symmetric, closed, in range, the same for the same seed, and cars by the mesh checks."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from edge.errors import SettingsError
from edge.geometry import look_rotation
from training.meshes.checks import measure, problems
from training.meshes.depth import cast, orthographic_rays, scene_of
from training.meshes.model import CATEGORIES, CarMesh
from training.meshes.visible import sphere_directions
from training.shapes.carve import Outline, open_edges, paint, recess, split
from training.shapes.equipment import draw_equipment
from training.shapes.fittings import wheel_width
from training.shapes.loft import Skin, loft
from training.shapes.parametric import CLASSES, parametric_car
from training.shapes.profiles import Profiles, smooth_min
from training.shapes.proportions import BY_CLASS, COMMON, Proportions, draw_proportions
from training.shapes.regions import outlined, with_arches, with_bed

#: Body extents by class, metres, mirrors, rails and spare wheel included.
SIZES = {
    "sedan": ((4.0, 5.35), (1.7, 2.35), (1.35, 1.56)),
    "hatchback": ((3.35, 4.55), (1.65, 2.3), (1.37, 1.62)),
    "estate": ((4.1, 5.1), (1.7, 2.35), (1.39, 1.64)),
    "suv": ((3.65, 5.5), (1.75, 2.5), (1.54, 1.98)),
    "mpv": ((3.9, 5.15), (1.75, 2.4), (1.54, 1.88)),
    "van": ((4.1, 5.95), (1.85, 2.65), (1.76, 2.65)),
    "coupe": ((3.85, 5.0), (1.7, 2.35), (1.18, 1.45)),
    "pickup": ((4.8, 5.95), (1.8, 2.55), (1.62, 1.97)),
}


@pytest.fixture(scope="module")
def cars() -> dict[str, CarMesh]:
    return {name: parametric_car(name, seed=3) for name in CLASSES}


def points(car: CarMesh) -> np.ndarray:
    return np.concatenate([part.vertices for part in car.parts])


@pytest.mark.parametrize("body_class", CLASSES)
def test_passes_the_mesh_checks(cars: dict[str, CarMesh], body_class: str) -> None:
    car = cars[body_class]
    assert problems(car, measure(car)) == []


@pytest.mark.parametrize("body_class", CLASSES)
def test_left_and_right_are_exact_mirror_images(cars: dict[str, CarMesh], body_class: str) -> None:
    for part in cars[body_class].parts:
        corners = part.vertices[part.faces]
        other = corners * np.array([1, -1, 1], np.float32)

        def key(triangles: np.ndarray) -> set[bytes]:
            # + 0.0 makes one zero of the two.
            rows = triangles + np.float32(0.0)
            order = np.lexsort(rows.reshape(-1, 3).T[::-1]).argsort().reshape(-1, 3).argsort(1)
            return {t.tobytes() for t in np.take_along_axis(rows, order[..., None], 1)}

        assert key(corners) == key(other), part.name


def test_same_seed_same_car_other_seed_other_car() -> None:
    first, again, other = (parametric_car("suv", seed) for seed in (5, 5, 6))
    for a, b in zip(first.parts, again.parts, strict=True):
        assert a.name == b.name and a.category == b.category and a.colour == b.colour
        assert np.array_equal(a.vertices, b.vertices) and np.array_equal(a.faces, b.faces)
    assert abs(first.length_m - other.length_m) > 1e-4
    assert not np.array_equal(first.bounds()[1], other.bounds()[1])


@pytest.mark.parametrize("body_class", CLASSES)
def test_frame_names_parts_and_sizes(cars: dict[str, CarMesh], body_class: str) -> None:
    car = cars[body_class]
    assert (car.name, car.body_class, car.source) == (f"param-{body_class}-0003", body_class, "parametric")
    assert (car.licence, car.attribution, car.ancestry) == ("Apache-2.0", "carcloud", car.name)
    lower, upper = car.bounds()
    assert np.allclose(lower[:2], -upper[:2], atol=1e-6) and abs(lower[2]) < 1e-6
    assert car.length_m == pytest.approx(upper[0] - lower[0], abs=1e-5)
    found = {part.category for part in car.parts}
    assert found >= {"paint", "glass", "tyre", "rim", "light_front", "light_rear", "trim", "underbody"}
    assert sum(len(part.faces) for part in car.parts) < 20_000
    for part in car.parts:
        assert part.vertices.dtype == np.float32 and part.faces.dtype == np.int32
        assert part.faces.min() >= 0 and part.faces.max() < len(part.vertices)


@pytest.mark.parametrize("body_class", CLASSES)
def test_extents_stay_in_the_range_of_the_class(body_class: str) -> None:
    size = np.subtract(*parametric_car(body_class, seed=30).bounds()[::-1])
    for value, (low, high) in zip(size, SIZES[body_class], strict=True):
        assert low <= value <= high, size


@pytest.mark.parametrize("body_class", CLASSES)
def test_the_skin_is_closed(body_class: str) -> None:
    rng = np.random.default_rng([CLASSES.index(body_class), 0])
    p = draw_proportions(body_class, rng)
    equipment, profiles = draw_equipment(body_class, p, rng), Profiles(p)
    skin = outlined(loft(profiles), profiles, equipment)
    if equipment.bed:
        skin = with_bed(skin, profiles, equipment)
    skin = with_arches(skin, profiles, wheel_width(profiles)[1] - 0.09)
    # The half is open on the middle plane only, where its mirror image closes it.
    rim = skin.position[open_edges(skin.faces)]
    assert len(rim) and np.abs(rim[..., 1]).max() == 0.0


def test_no_ray_from_outside_passes_through_the_body(cars: dict[str, CarMesh]) -> None:
    car = cars["hatchback"].canonical()
    scene = scene_of(car)
    body = [part for part in car.parts if part.name.startswith("body")]
    lower = np.min([part.vertices.min(0) for part in body], 0)
    upper = np.max([part.vertices.max(0) for part in body], 0)
    inner = (lower + upper) / 2 + (upper - lower) * np.array([0.3, 0.3, 0.12]) * np.array(
        [[0, 0, 0], [1, 1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, -1], [-0.5, 0, 1.0]]
    )
    for direction in sphere_directions(100):
        # A ray aimed at a point inside the body must be stopped by a skin before it gets there.
        starts = inner - 2 * direction
        hit, _, _ = cast(scene, starts, np.broadcast_to(direction, starts.shape))
        assert (hit < 2).all()


@pytest.mark.parametrize("body_class", CLASSES)
def test_seen_from_below_the_underside_is_closed(cars: dict[str, CarMesh], body_class: str) -> None:
    car = cars[body_class].canonical()
    hit, triangle, _ = cast(scene_of(car), *orthographic_rays(look_rotation((0.02, 0.0, -1.0)), 1.2, 1.0, 128))
    kinds = np.concatenate([np.full(len(p.faces), CATEGORIES.index(p.category)) for p in car.parts])
    seen = kinds[triangle[triangle >= 0]]
    height = car.bounds()[1][2] - car.bounds()[0][2]
    assert np.mean(seen == CATEGORIES.index("underbody")) > 0.55
    # No view up to the roof's inside: all but the mirrors is near the ground.
    assert np.percentile(hit[np.isfinite(hit)], 99) < 1.0 + 0.25 * height


def test_wheels_stand_in_their_arches(cars: dict[str, CarMesh]) -> None:
    for car in cars.values():
        tyres = np.concatenate([p.vertices for p in car.parts if p.category == "tyre"])
        assert abs(tyres[:, 2].min()) < 1e-6
        body = np.concatenate([p.vertices for p in car.parts if p.name == "body_paint"])
        front = tyres[(tyres[:, 0] > 0) & (tyres[:, 1] > 0)]
        low, high = front.min(0), front.max(0)
        centre, radius = (low + high) / 2, (high[2] - low[2]) / 2
        outside = body[body[:, 1] > low[1]]
        gap = np.hypot(outside[:, 0] - centre[0], outside[:, 2] - centre[2]) - radius
        assert 0.02 < gap.min() < 0.12


def test_unknown_class_names_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="no body class is called 'tractor'; type one of sedan, hatchback, estate"):
        parametric_car("tractor", 0)


def test_measures_stay_in_their_ranges_and_follow_size_and_era() -> None:
    drawn = [draw_proportions("sedan", np.random.default_rng(seed)) for seed in range(300)]
    ranges = {**COMMON, **BY_CLASS["sedan"]}
    for field in fields(Proportions):
        if field.name in ranges:
            values = [getattr(p, field.name) for p in drawn]
            low, high = ranges[field.name][:2]
            assert low - 1e-9 <= min(values) and max(values) <= high + 1e-9, field.name
            assert max(values) - min(values) > 0.5 * (high - low), field.name
    table = np.array([[p.length, p.width, p.size, p.nose_round, p.era] for p in drawn]).T
    correlation = np.corrcoef(table)
    assert correlation[0, 1] > 0.5 and correlation[0, 2] > 0.9 and correlation[3, 4] > 0.8


def test_smooth_min_is_the_minimum_away_from_the_fillet() -> None:
    assert smooth_min(np.array(1.0), np.array(2.0), 0.5) == 1.0
    assert smooth_min(np.array(1.0), np.array(1.0), 0.4) == pytest.approx(0.9)


def square() -> Skin:
    """Two triangles of the unit square in z = 0, y moved off the middle plane."""
    corners = np.array([[0, 1, 0], [1, 1, 0], [1, 2, 0], [0, 2, 0]], float)
    return Skin(corners, corners.copy(), np.array([[0, 1, 2], [0, 2, 3]]), np.zeros(2, int), np.zeros(2, int))


def area(skin: Skin, faces: np.ndarray) -> float:
    a, b, c = np.moveaxis(skin.position[skin.faces[faces]], 1, 0)
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_split_halves_a_square_along_a_line() -> None:
    skin, inside = split(square(), square().position[:, 0] - 0.3, np.ones(2, bool))
    assert area(skin, inside) == pytest.approx(0.7) and area(skin, ~inside) == pytest.approx(0.3)
    assert len(open_edges(skin.faces)) == 6  # the rim gained two vertices and no crack opened


def test_paint_keeps_sharp_corners_whatever_the_triangles() -> None:
    outlines: list[Outline] = [lambda x, y, z: x - 0.2, lambda x, y, z: 0.6 - x, lambda x, y, z: y - 1.5]
    skin = paint(square(), outlines, (0,), 4)
    assert area(skin, skin.label == 4) == pytest.approx(0.4 * 0.5)


def test_recess_closes_what_it_opens() -> None:
    skin = square()
    for axis, low, high in ((0, 0.25, 0.75), (1, 1.25, 1.75)):
        skin, _ = split(skin, skin.position[:, axis] - low, np.ones(len(skin.faces), bool))
        skin, _ = split(skin, skin.position[:, axis] - high, np.ones(len(skin.faces), bool))
    middle = skin.position[skin.faces].mean(1)
    gone = (np.abs(middle[:, 0] - 0.5) < 0.25) & (np.abs(middle[:, 1] - 1.5) < 0.25)
    before = len(open_edges(skin.faces))
    pocket = recess(skin, gone, 2, -0.4, (0.5, 1.5), label=3, patch=0)
    assert len(open_edges(pocket.faces)) == before
    assert area(pocket, pocket.label == 3) == pytest.approx(0.25 + 4 * 0.5 * 0.4)
