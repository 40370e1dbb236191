"""New cars from old: wheels round and on the road, left and right alike, swaps closed or refused, one seed one car."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tests.training.shapes_cars import AXLES, BELT, RADIUS, TRACK, WIDTH, prism, small_car
from training.meshes.model import CarMesh
from training.shapes import swap
from training.shapes.augment import CHANCES, vary
from training.shapes.warps import belt_height, landmarks, tail_rise
from training.shapes.wheels import find_wheels

DONORS = [small_car("donor_a", 0.9, -1.2, 1.5), small_car("donor_b", 0.5, -1.4, 1.3, width=0.8)]


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def lopsided(mesh: CarMesh) -> float:
    """Largest distance from a mirrored vertex to the nearest vertex, metres."""
    vertices = mesh.merged()[0]
    return float(cKDTree(vertices).query(vertices * np.float32([1, -1, 1]))[0].max())


def same(a: CarMesh, b: CarMesh) -> bool:
    return all(np.array_equal(p.vertices, q.vertices) for p, q in zip(a.parts, b.parts, strict=True))


def test_wheels_are_found_where_they_are_and_a_spare_one_is_not() -> None:
    spare = prism("spare", "tyre", (-2.2, -0.3, 0.5), (-2.0, 0.3, 1.1), "xyzb")
    wheels = find_wheels(small_car("car", extra=(spare,)))
    assert len(wheels) == 4
    middle = (AXLES[0] - AXLES[1]) / 2
    for wheel, (side, y) in zip(wheels, [(1, TRACK), (1, -TRACK), (-1, TRACK), (-1, -TRACK)], strict=True):
        np.testing.assert_allclose(wheel.centre[1:], [y, RADIUS], atol=1e-5)
        np.testing.assert_allclose([wheel.radius, wheel.width], [RADIUS, WIDTH], atol=1e-5)
        assert sum(int(m.sum()) for m in wheel.members) > 100
        assert np.sign(wheel.centre[0] - np.mean([w.centre[0] for w in wheels])) == side
    assert wheels[0].centre[0] - wheels[2].centre[0] == pytest.approx(2 * middle, abs=1e-5)


def test_a_car_without_tyres_has_no_wheels_and_still_varies() -> None:
    car = small_car("car")
    bare = CarMesh(**{**car.__dict__, "parts": tuple(p for p in car.parts if p.category not in ("tyre", "rim"))})
    assert find_wheels(bare) == []
    varied, recipe = vary(bare, DONORS, rng(1), {"stretch": 1.0, "warps": 1.0, "wheels": 1.0})
    assert "dropped" in recipe["wheels"]
    assert not same(bare, varied)


@pytest.mark.parametrize("seed", range(6))
def test_after_a_stretch_the_tyres_are_round_and_on_the_road(seed: int) -> None:
    varied, recipe = vary(small_car("car"), [], rng(seed), {"stretch": 1.0})
    lower, upper = varied.bounds()
    assert lower[2] == pytest.approx(0.0, abs=1e-6)
    factors = np.array(recipe["stretch"])
    assert np.all(factors != 1.0)
    np.testing.assert_allclose((upper - lower)[[0, 2]], np.array([4.01, 1.4]) * factors[[0, 2]], rtol=2e-3)
    assert varied.length_m == pytest.approx(4.01 * factors[0], rel=2e-3)
    for wheel in find_wheels(varied):
        assert wheel.centre[2] == pytest.approx(wheel.radius, abs=1e-4)
        assert wheel.radius == pytest.approx(RADIUS * recipe["wheel_scale"], rel=1e-3)
        tyre = next(p for p in varied.parts if p.category == "tyre")
        rows = wheel.members[varied.parts.index(tyre)]
        distance = np.hypot(*(tyre.vertices[rows] - wheel.centre)[:, [0, 2]].T)
        circles = np.array([0.2, 0.265, RADIUS]) * recipe["wheel_scale"]  # rim, shoulder and tread of the toy's tyre
        assert np.abs(distance[:, None] - circles).min(axis=1).max() < 1e-4


@pytest.mark.parametrize("seed", range(5))
def test_everything_together_keeps_left_and_right_alike(seed: int) -> None:
    car = small_car("car", extra=(prism("wing", "trim", (-2.0, -0.7, 1.1), (-1.8, 0.7, 1.15), "xyzb"),))
    assert lopsided(car) < 1e-6
    varied, recipe = vary(car, DONORS, rng(seed), dict.fromkeys(CHANCES, 1.0))
    assert lopsided(varied) < 4e-6
    assert np.isfinite(varied.merged()[0]).all()
    assert recipe["wings"] == "removed"
    assert not any(p.name.startswith("wing") for p in varied.parts)
    assert varied.bounds()[0][2] == pytest.approx(0.0, abs=1e-6)
    assert (varied.name, varied.ancestry, varied.body_class) == (car.name, car.ancestry, car.body_class)
    assert json.loads(json.dumps(recipe)) == recipe


def test_the_same_seed_gives_the_same_car_and_another_one_another() -> None:
    car = small_car("car")
    first, again, other = (vary(car, DONORS, rng(seed), dict.fromkeys(CHANCES, 1.0)) for seed in (3, 3, 4))
    assert same(first[0], again[0]) and first[1] == again[1]
    assert first[1] != other[1] and not same(first[0], other[0])


def test_nothing_drawn_leaves_the_shape_alone() -> None:
    car = small_car("car")
    varied, recipe = vary(car, DONORS, rng(1), {})
    np.testing.assert_allclose(np.array(varied.bounds()), np.array(car.bounds()), atol=1e-5)
    assert recipe == {"source": "car", "stretch": [1.0, 1.0, 1.0], "gain": 1.0, "wheel_scale": 1.0}


def test_an_unknown_widening_is_an_error() -> None:
    with pytest.raises(ValueError, match="'paint'"):
        vary(small_car("car"), [], rng(1), {"paint": 1.0})


def test_other_wheels_keep_the_outer_face_and_name_their_donor() -> None:
    kinds = {}
    for seed in range(12):
        varied, recipe = vary(small_car("car"), DONORS, rng(seed), {"wheels": 1.0})
        kind = recipe["wheels"]["kind"]
        kinds[kind.split(",")[0]] = varied
        for wheel in find_wheels(varied):
            scale = recipe["wheel_scale"]
            assert wheel.radius == pytest.approx(RADIUS * scale, rel=1e-3)
            face = abs(wheel.centre[1]) + wheel.width / 2
            if kind != "own":
                assert face == pytest.approx(TRACK + WIDTH / 2, abs=2e-3)
                assert wheel.width == pytest.approx(WIDTH * scale * recipe["wheels"]["wider"], rel=1e-2)
    assert {"own", "made"} < set(kinds)
    donor = next(k for k in kinds if k.startswith("donor"))
    assert f"maker of {donor} (wheels of {donor})" in kinds[donor].attribution
    assert f"licence of {donor}" in kinds[donor].licence


def test_the_belt_is_the_lower_edge_of_the_side_windows() -> None:
    car = small_car("car")
    wheels = find_wheels(car)
    fine = CarMesh(**{**car.__dict__, "parts": tuple(p for p in car.parts if p.category != "glass")})
    assert belt_height(fine, wheels) is None
    marks = landmarks(car, wheels)
    assert marks.belt == pytest.approx(BELT, abs=0.3 * (1.4 - BELT))
    assert marks.roof_front == pytest.approx(0.5, abs=0.15) and marks.roof_rear == pytest.approx(-1.1, abs=0.15)


def test_a_raised_tail_lifts_the_deck_alone_and_a_lowered_one_lets_an_estate_down() -> None:
    saloon = landmarks(small_car("saloon"), find_wheels(small_car("saloon")))
    rise = tail_rise(saloon, 0.8)
    x = saloon.stations
    assert rise[x > saloon.roof_rear + 0.3].max() < 0.01
    assert rise[(x < -1.4) & (x > -1.8)].min() > 0.15
    estate_car = small_car("estate", rear=-1.95)
    estate = landmarks(estate_car, find_wheels(estate_car))
    assert tail_rise(estate, 0.8).max() == 0.0
    fall = tail_rise(estate, -0.7)
    assert fall[x < -1.7].max() < -0.1 and abs(fall[x > 0]).max() < 1e-6


def test_a_greenhouse_is_swapped_closed_and_credited() -> None:
    car, donor = small_car("car"), small_car("tall", 0.8, -1.2, 1.5, width=0.8)
    swapped, recipe = swap.swapped(car, [donor], rng(2))
    assert recipe["donor"] == "tall"
    assert swap.gaps(swapped, car) == ""
    assert "maker of car" in swapped.attribution and "greenhouse of tall" in swapped.attribution
    roof = next(p for p in swapped.parts if p.category == "glass").vertices[:, 2].max()
    over = 1.15 * recipe["heightened"] * 0.58  # the cut lies 2 cm above the belt; heights are taken over at most 15 %
    assert BELT < roof < BELT + 0.02 + over + 0.05
    body = np.concatenate([p.vertices for p in swapped.parts if p.category == "paint"])
    np.testing.assert_allclose([body[:, 0].min(), body[:, 0].max()], [car.bounds()[0][0], 2.0], atol=0.02)


def test_a_swap_that_leaves_holes_is_refused_and_the_recipe_says_so() -> None:
    car, roofless = small_car("car"), small_car("roofless", sides="xy")
    swapped, recipe = swap.swapped(car, [roofless], rng(2))
    assert swapped is car
    assert "gap between body and greenhouse" in recipe["dropped"]


@pytest.mark.parametrize(
    ("donor", "reason"),
    [
        (small_car("open", body_class="convertible"), "no greenhouse"),
        (small_car("short", front=0.1), "in length"),
        (small_car("narrow", width=0.6), "in width"),
        (small_car("high", roof=1.9), "in height"),
    ],
)
def test_a_donor_that_does_not_fit_is_refused(donor: CarMesh, reason: str) -> None:
    swapped, recipe = swap.swapped(small_car("car"), [donor], rng(2))
    assert reason in recipe["dropped"]


def test_own_kin_are_no_donors() -> None:
    car = small_car("car")
    _, recipe = vary(car, [small_car("car")], rng(2), {"swap": 1.0, "morph": 1.0})
    assert recipe["swap"] == {"dropped": "no donors"} and "dropped" in recipe["morph"]
