"""Registration: a template comes back from a car it was bent into, wheels go to wheels, and results are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from edge.errors import DataError
from tests.training.data_samples import CAR_SHAPES, car_shards, hand_made
from training.data.archive import shape_members
from training.data.plan import ShardSettings
from training.data.shards import read_index, read_meta, write_index, write_shard
from training.meshes.model import CATEGORIES
from training.meshes.visible import Surface, outside_surface
from training.morphable import registered as module
from training.morphable.register import PROPORTIONS, WHEEL, HalfCar, Template, half_car, register
from training.morphable.registered import FILE, Registered, registered
from training.morphable.space import MADE_UP, shape_space
from training.shapes.parametric import parametric_car


@pytest.fixture(scope="module")
def surface() -> Surface:
    return outside_surface(parametric_car("sedan", 0).canonical(), 20_000, 64)


def bent(points: np.ndarray) -> np.ndarray:
    """Moves the axles apart, raises the nose and widens the middle; a car mirrored left to right stays one."""
    x, y, z = points.T
    moved = x + 0.025 * np.sin(2 * np.pi * x) / 0.95
    return np.stack([moved, y * (1 + 0.05 * np.cos(4 * x)), z * 1.2 + 0.02 * np.sin(3 * x) * (z + 0.15)], 1)


def deformed(surface: Surface) -> tuple[Surface, np.ndarray]:
    """The bent surface with its true normals, canonical again, and its box."""
    points = surface.points.astype(np.float64)
    step = 1e-4
    slopes = np.stack([(bent(points + step * way) - bent(points - step * way)) / (2 * step) for way in np.eye(3)], 2)
    normals = np.einsum("nji,nj->ni", np.linalg.inv(slopes), surface.normals)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    points = bent(points)
    lower, upper = points.min(0), points.max(0)
    edges = upper - lower
    points = (points - (lower + upper) / 2) / edges.max()
    return Surface(points.astype(np.float32), normals.astype(np.float32), surface.parts), edges / edges.max()


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean distance from each point of one cloud to the nearest of the other."""
    return float(cKDTree(other).query(one)[0].mean())


def test_a_template_comes_back_from_what_it_was_bent_into(surface: Surface) -> None:
    box = np.ptp(surface.points, axis=0)
    whole, (target, target_box) = half_car(surface, box / box.max()), deformed(surface)
    goal = half_car(target, target_box)
    rows = np.random.default_rng(0).permutation(len(whole.points))[:4000]
    template = Template(HalfCar(*(column[rows] for column in whole)))
    moved, normals = register(template, goal)
    assert moved.shape == normals.shape == (4000, 3) and moved[:, 1].min() >= 0
    assert distance(template.half.points, goal.points) > 0.005 > distance(moved, goal.points)
    assert distance(goal.points, moved) < 0.01
    # Each point knows where it went: the bend took row n of the one to row n of the other.
    before = np.linalg.norm(template.half.points - goal.points[rows], axis=1).mean()
    away = np.linalg.norm(moved - goal.points[rows], axis=1)
    assert away.mean() < 0.25 * before and np.quantile(away, 0.95) < 0.01
    assert (normals * goal.normals[rows]).sum(1).mean() > 0.98
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    again, _ = register(Template(template.half), goal)
    assert np.array_equal(moved, again), "the same each time"


def test_wheels_land_on_wheels(surface: Surface) -> None:
    box = np.ptp(surface.points, axis=0)
    whole = half_car(surface, box / box.max())
    template = Template(HalfCar(*(column[::8] for column in whole)))
    # The same car on wheels that stand nearer to each other; nothing else moves.
    shifted = whole.points.copy()
    shifted[whole.wheel, 0] -= 0.06 * np.sign(shifted[whole.wheel, 0])
    goal = whole._replace(points=shifted)
    moved, _ = register(template, goal)
    wheels = template.half.wheel
    assert distance(moved[wheels], shifted[whole.wheel]) < 0.005
    assert np.abs(moved[wheels, 0] - shifted[::8][wheels, 0]).mean() < 0.01
    assert distance(moved[~wheels], shifted[~whole.wheel]) < 0.005


def test_unlabelled_wheels_are_matched_like_the_rest(surface: Surface) -> None:
    box = np.ptp(surface.points, axis=0)
    plain = surface._replace(parts=np.full_like(surface.parts, CATEGORIES.index("paint")))
    whole, goal = half_car(surface, box / box.max()), half_car(plain, box / box.max())
    template = Template(HalfCar(*(column[::16] for column in whole)))
    assert not goal.wheel.any() and whole.wheel.any()
    assert distance(register(template, goal)[0], goal.points) < 0.005


def test_half_a_car_is_folded_and_scaled() -> None:
    points = np.array([[0.5, -0.2, 0.1], [-0.5, 0.2, -0.15]], np.float32)
    normals = np.array([[0.0, -1.0, 0.0], [0.6, 0.0, 0.8]], np.float32)
    half = half_car(Surface(points, normals, np.array([3, 0], np.uint8)), np.array([1.0, 0.4, 0.3]))
    np.testing.assert_allclose(half.points, [[0.5, 0.22, 0.11], [-0.5, 0.22, -0.165]], atol=1e-7)
    # A normal is scaled the other way, so that it stays upright on the scaled surface.
    upright = np.array([0.6, 0.0, 0.8]) / (PROPORTIONS / [1.0, 0.4, 0.3])
    np.testing.assert_allclose(half.normals, [[0, 1, 0], upright / np.linalg.norm(upright)], atol=1e-7)
    assert half.wheel.tolist() == [True, False] and WHEEL.sum() == 2


# --- what is kept -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cars")
    car_shards(root, pictures=1)
    return root


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POINTS", 600)


def equal(one: Registered, other: Registered) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by a name whenever a shape is registered."""
    calls: list[str] = []

    def watched(template: Template, target: HalfCar) -> tuple[np.ndarray, np.ndarray]:
        calls.append("shape")
        return register(template, target)

    monkeypatch.setattr(module, "register", watched)
    return calls


def test_shapes_are_registered_once_and_read_after(shards: Path, counted: list[str]) -> None:
    made = registered(shards, workers=1)
    names = sorted(f"{body}-{variant}" for body, variant, _, split, _ in CAR_SHAPES if split != "test")
    assert made.names == names and len(counted) == len(names)
    assert made.template == "alpha-0", "the first training body as it is: the usual template is not among them"
    assert made.points.shape == made.normals.shape == (7, 600, 3)
    assert (made.points.dtype, made.normals.dtype, made.boxes.dtype) == (np.float16, np.int8, np.float32)
    assert (made.points[..., 1] >= 0).all() and made.wheel.mean() == pytest.approx(0.1, abs=0.08)
    edges = np.ptp(made.points.astype(float), axis=1)
    np.testing.assert_allclose(edges[:, [0, 2]], np.tile(PROPORTIONS[[0, 2]], (7, 1)), atol=0.03)
    meta = read_meta(shards / "beta-0.tar")
    extents = np.array(meta["extents_m"])
    np.testing.assert_allclose(made.boxes[names.index("beta-0")], extents / extents.max(), rtol=1e-6)
    assert made.rows(["gamma-0", "alpha-1"]).tolist() == [names.index("gamma-0"), names.index("alpha-1")]
    with pytest.raises(DataError, match=f"omega-0 is not registered; delete {FILE}"):
        made.rows(["omega-0"])
    assert equal(registered(shards, workers=1), made) and len(counted) == len(names), "read, not made"


def test_the_template_may_be_named(shards: Path, tmp_path: Path) -> None:
    here = registered(shards, workers=1)
    for path in shards.glob("[!r]*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert equal(registered(tmp_path, workers=1, template="alpha"), here)
    other = registered(tmp_path, workers=1, template="beta")
    assert other.template == "beta-0" and not np.array_equal(other.points, here.points)


@pytest.mark.parametrize("damage", ["cut", "text", "flipped"])
def test_a_damaged_file_is_made_again(shards: Path, counted: list[str], damage: str) -> None:
    made = registered(shards, workers=1)
    whole = (shards / FILE).read_bytes()
    place = len(whole) // 2
    flipped = whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]
    (shards / FILE).write_bytes({"cut": whole[:place], "text": b"nothing", "flipped": flipped}[damage])
    counted.clear()
    assert equal(registered(shards, workers=1), made) and len(counted) == 7
    assert (shards / FILE).read_bytes() == whole


def test_a_changed_shard_makes_it_anew(tmp_path: Path, counted: list[str]) -> None:
    car_shards(tmp_path, pictures=1)
    made = registered(tmp_path, workers=1)
    index = read_index(tmp_path)
    meta = read_meta(tmp_path / "beta-0.tar")
    wider = outside_surface(parametric_car("hatchback", 7).canonical(), 3000, 64)
    nothing = np.zeros((8, 128, 128), np.float16), (np.zeros((0, 128, 128)), np.zeros((0, 3, 3)))
    entry = write_shard(tmp_path, meta, list(shape_members("beta-0", meta, *nothing, wider)))
    others = [e for e in index["shards"] if e["name"] != "beta-0"]
    write_index(tmp_path, ShardSettings(**index["settings"]), [*others, entry], {})
    counted.clear()
    changed = registered(tmp_path, workers=1)
    assert len(counted) == 7
    row = made.names.index("beta-0")
    same = [np.array_equal(changed.points[n], made.points[n]) for n in range(7)]
    assert same == [n != row for n in range(7)], "only what changed is different"


def test_without_a_training_shape_there_is_no_template(tmp_path: Path) -> None:
    hand_made(tmp_path, 1, split="validation")
    with pytest.raises(DataError, match="no training shape to serve as template; make shards: python -m training data"):
        registered(tmp_path)


# --- the space of registered shapes -------------------------------------------------------------------------------


def shapes(count: int = 5, points: int = 40) -> Registered:
    rng = np.random.default_rng(3)
    made = rng.normal(size=(count, points, 3)).astype(np.float16)
    normals, boxes = np.zeros((count, points, 3), np.int8), np.ones((count, 3), np.float32)
    return Registered([f"s{n}-0" for n in range(count)], "s0-0", made, normals, boxes, np.zeros(points, bool))


def test_as_many_components_as_shapes_give_the_shapes_back() -> None:
    cars, rows = shapes(), np.arange(5)
    space = shape_space(cars, rows, np.ones(5, bool), 80)
    assert space.mean.shape == (40, 3) and space.basis.shape == (4, 40, 3), "five shapes span four directions"
    assert space.mean.dtype == space.basis.dtype == np.float32
    flat, basis = cars.points.astype(np.float64).reshape(5, -1) - space.mean.ravel(), space.basis.reshape(4, -1)
    coefficients = flat @ np.linalg.pinv(basis.astype(np.float64))
    np.testing.assert_allclose(coefficients @ basis, flat, atol=1e-4)
    np.testing.assert_allclose((coefficients**2).mean(0), 1, atol=1e-3)
    np.testing.assert_allclose(coefficients.mean(0), 0, atol=1e-3)
    sizes = np.square(basis).sum(1)
    assert (np.diff(sizes) < 0).all(), "in order of variance"
    np.testing.assert_allclose(basis @ basis.T, np.diag(sizes), atol=1e-3 * sizes.max())


def test_fewer_components_leave_the_least_out_and_signs_are_fixed() -> None:
    cars, rows = shapes(), np.arange(5)
    whole, part = (shape_space(cars, rows, np.ones(5, bool), count) for count in (4, 2))
    np.testing.assert_allclose(part.basis, whole.basis[:2], atol=1e-6)
    for component in whole.basis.reshape(4, -1):
        assert component[np.abs(component).argmax()] > 0
    backwards = shape_space(cars, rows[::-1], np.ones(5, bool), 4)
    np.testing.assert_allclose(backwards.basis, whole.basis, atol=1e-4)


def test_made_up_shapes_together_weigh_as_much_as_the_bodies() -> None:
    cars = shapes(6)
    original = np.array([True, True, False, False, False, False])
    space = shape_space(cars, np.arange(6), original, 80)
    points = cars.points.astype(np.float64)
    expected = (points[:2].mean(0) + MADE_UP * points[2:].mean(0)) / (1 + MADE_UP)
    np.testing.assert_allclose(space.mean, expected, atol=1e-3)
    plain = shape_space(cars, np.arange(2, 6), np.zeros(4, bool), 80)
    np.testing.assert_allclose(plain.mean, points[2:].mean(0), atol=1e-3)
