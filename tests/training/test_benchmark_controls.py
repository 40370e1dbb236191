"""Mean shapes and controls on toy cars whose answers are known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.errors import DataError
from edge.geometry import cube_corner_views
from tests.training.benchmark_cars import toy_car
from training.benchmark import controls, protocol, volume
from training.benchmark.metrics import Target, figures
from training.benchmark.store import Store
from training.meshes.depth import orthographic_depth
from training.meshes.visible import outside_cloud


@pytest.fixture(scope="module", autouse=True)
def coarse() -> Iterator[None]:
    """Volumes of half the resolution: an eighth of the work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volume, "GRID", (68, 32, 26))
        yield


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def bodies(cache: Store) -> list[controls.Body]:
    cars = [toy_car("narrow", 1.5), toy_car("middle", 1.8), toy_car("wide", 2.1), toy_car("van", 1.8, 3.6, -0.1)]
    return controls.bodies_of(cars, cache)


@pytest.fixture(scope="module")
def truth(cache: Store) -> protocol.Truth:
    return protocol.truth_of(toy_car("p406", 1.82), cache, 20_000)


def test_volume_is_signed_and_its_crossings_lie_on_the_car() -> None:
    mesh = toy_car("a").canonical()
    made = volume.volume_of(mesh, outside_cloud(mesh, 60_000))
    assert made.field.shape == volume.GRID
    assert made.field[0, 0, 0] > 0.02  # a corner of the grid: outside
    # The middle of the lower box: inside, though the mesh has walls within.
    assert made.field[volume.GRID[0] // 2, volume.GRID[1] // 2, 7] == pytest.approx(-volume.TRUNCATION)
    points = volume.crossings(made.field, made.extents)
    got = figures(points, Target(outside_cloud(mesh, 20_000, seed=1)))
    assert got.f1 > 90 and got.pred_to_gt < 0.5
    assert np.allclose(np.ptp(points, axis=0), made.extents, atol=0.02)


def test_mean_of_a_narrow_and_a_wide_car_is_in_between() -> None:
    meshes = [toy_car(str(w), w).canonical() for w in (1.6, 2.0)]
    mean = volume.mean_volume([volume.volume_of(m, outside_cloud(m, 40_000)) for m in meshes])
    points = volume.crossings(mean.field, mean.extents)
    assert np.ptp(points, axis=0) == pytest.approx([1.0, 0.45, 0.325], abs=0.02)
    wanted = toy_car("b", 1.8).canonical()
    assert figures(points, Target(outside_cloud(wanted, 20_000))).f1 > 75


def test_median_maps_of_one_car_are_that_car() -> None:
    mesh, views = toy_car("a").canonical(), cube_corner_views()
    depth = orthographic_depth(mesh, views.rotations, views.width, views.distance, 96)
    points = volume.median_maps([depth] * 3, views).points
    assert figures(points, Target(outside_cloud(mesh, 40_000))).pred_to_gt < 0.4


def test_median_maps_keep_what_most_bodies_cover() -> None:
    views = cube_corner_views()
    depth = np.zeros((3, 8, 4, 4), np.float32)
    depth[0], depth[1, :, :2] = 0.9, 1.1
    cloud = volume.median_maps(list(depth), views)
    assert len(cloud.points) == 8 * 2 * 4  # covered in two of three


def test_medoid_is_the_middle_car_and_kin_do_not_vote(bodies: list[controls.Body], cache: Store) -> None:
    assert controls.medoid(bodies, cache).name == "middle"
    table_of_kin = [b for b in bodies if controls.kin(b, bodies[0])]
    assert [b.name for b in table_of_kin] == ["narrow"]


def test_oracles_choose_the_closest(bodies: list[controls.Body], truth: protocol.Truth, cache: Store) -> None:
    nearest = controls.control_row("oracle", bodies, [truth], cache)
    assert nearest.notes == {"p406": "middle"} and nearest.kind == "oracle"
    fitted = controls.boxed(bodies, truth)
    for name in ("narrow", "middle", "wide"):
        assert np.ptp(fitted[name], axis=0) == pytest.approx(truth.extents, abs=5e-3)
    boxed = controls.control_row("oracle-box", bodies, [truth], cache)
    assert boxed.records["p406"][0]["8192.f1"] > nearest.records["p406"][0]["8192.f1"]


def test_noise_floor_is_the_best_row_and_does_not_copy_the_truth(
    bodies: list[controls.Body], truth: protocol.Truth, cache: Store
) -> None:
    noise = controls.control_row("noise", [], [truth], cache).records["p406"][0]
    assert 0 < noise["whole.pred_to_gt"] < 0.5
    others = [controls.control_row(n, bodies, [truth], cache).records["p406"][0] for n in ("mean", "medoid", "oracle")]
    assert all(noise["8192.f1"] > other["8192.f1"] for other in others)


def test_rows_are_cached_and_the_same_again(bodies: list[controls.Body], truth: protocol.Truth, cache: Store) -> None:
    first = controls.control_row("median-maps", bodies, [truth], cache)
    files = sorted(cache.folder.iterdir())
    assert controls.control_row("median-maps", bodies, [truth], cache) == first
    assert sorted(cache.folder.iterdir()) == files
    # Another set of training bodies is another row.
    controls.control_row("median-maps", bodies[:2], [truth], cache)
    assert len(list(cache.folder.iterdir())) == len(files) + 1


def test_clusters_hold_every_body_once_and_part_the_van_from_the_saloons(
    bodies: list[controls.Body], cache: Store
) -> None:
    guesses = controls.cluster_cars(bodies, cache, 2)
    assert sorted(guesses) == ["mean of narrow, middle, wide", "mean of van"]
    assert all(0 < len(points) <= protocol.CLOUD_POINTS for points in guesses.values())


def test_no_training_bodies_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no training bodies, so no controls; fetch the meshes"):
        controls.bodies_of([], Store(tmp_path))


def test_every_named_control_can_be_made() -> None:
    assert tuple(controls.MAKERS) == tuple(name for name in protocol.CONTROL_NAMES if name != "retrieval")
