"""Coverage on boxes with known answers: the body itself gives the noise floor, the nearer of two wins."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.shapes_cars import small_car
from training.benchmark.protocol import extents_of
from training.benchmark.store import Store
from training.meshes import visible
from training.meshes.model import CarMesh
from training.shapes import coverage, report
from training.shapes.coverage import Order, Shape, Table

TEST = small_car("test")
TRUTH = 20_000


def shape_of(mesh: CarMesh, kind: str = "mesh") -> Shape:
    mesh = mesh.canonical()
    return Shape(mesh.name, kind, visible.outside_cloud(mesh, coverage.POINTS, directions=64, seed=3), extents_of(mesh))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    store = Store(tmp_path_factory.mktemp("store"))
    bodies = coverage.bodies_of([TEST], store, TRUTH)
    far, near = small_car("far", 0.2, -1.9, 1.9), small_car("near", 0.72, -1.28, 1.42)
    wide = TEST.stretched((1.0, 1.3, 0.8))
    shapes = [
        shape_of(far),
        shape_of(near, "parametric"),
        shape_of(replace(TEST, name="itself"), "variant"),
        shape_of(replace(wide, name="wide"), "variant: stretch"),
    ]
    return Table(shapes, bodies, store)


def test_the_nearest_of_two_is_the_nearer_and_the_body_itself_gives_the_noise_floor(table: Table) -> None:
    assert table.nearest([0], 0, False).shape == "far"
    assert table.nearest([0, 1], 0, False).shape == "near"
    best = table.nearest([0, 1, 2], 0, False)
    assert (best.shape, best.kind) == ("itself", "variant")
    floor = coverage.floors([TEST], table.bodies, table.store)["test"]
    assert best.f1 == pytest.approx(floor["f1"], abs=1.0) and best.f2 == pytest.approx(floor["f2"], abs=0.3)
    assert floor["f2"] > 99


def test_a_stretched_body_is_the_body_once_the_box_is_fitted(table: Table) -> None:
    plain, boxed = table.nearest([3], 0, False), table.nearest([3], 0, True)
    assert plain.f1 < 60
    # Its points are spread evenly over the stretched surface, not over the body's, so a little is missing.
    assert boxed.f1 == pytest.approx(table.nearest([2], 0, True).f1, abs=3.0)


def test_the_estimate_is_close_to_the_full_figure(table: Table) -> None:
    for row in range(len(table.shapes)):
        for mode in (False, True):
            assert table.rough[row, 0, int(mode)] == pytest.approx(table.exact(row, 0, mode)[0], abs=5.0)


def test_sets_ablation_and_curve_are_what_the_shapes_make_them(table: Table) -> None:
    result = coverage.coverage(table)
    assert {name: entry["shapes"] for name, entry in result["sets"].items()} == {
        "meshes": 1,
        "meshes + variants": 2,
        "meshes + parametric": 2,
        "all": 3,
    }
    nearest = {name: entry["as it is"]["test"]["shape"] for name, entry in result["sets"].items()}
    assert nearest == {
        "meshes": "far",
        "meshes + variants": "itself",
        "meshes + parametric": "near",
        "all": "itself",
    }
    assert list(result["ablation"]) == ["stretch"] and result["ablation"]["stretch"]["shapes"] == 2
    assert result["curve"]["all"][-1]["shapes"] == 3
    best = result["sets"]["all"]["as it is"]["test"]["f1"]
    assert result["curve"]["all"][-1]["as it is"] == pytest.approx(best)


def test_more_shapes_are_never_worse(table: Table) -> None:
    points = coverage.curve(table, [0, 1, 2, 3] * 5, 2)
    assert [p["shapes"] for p in points] == [8, 16, 20]
    assert points[-1]["as it is"] >= points[0]["as it is"] - 1e-9


def test_the_report_says_the_figures(table: Table, tmp_path: Path) -> None:
    result = coverage.coverage(table)
    result["floors"] = coverage.floors([TEST], table.bodies, table.store)
    paths = report.write(result, tmp_path / "out")
    assert [p.name for p in paths] == ["coverage.json", "coverage.md", "coverage.png"]
    assert json.loads(paths[0].read_text()) == result
    entry = result["sets"]["all"]["as it is"]["test"]
    assert f"{entry['f1']:.1f} / {entry['f2']:.1f}" in paths[1].read_text()
    assert paths[2].read_bytes()[:4] == b"\x89PNG"
    assert not list((tmp_path / "out").glob("*.part*"))


def test_orders_name_each_shape_once() -> None:
    cars = [small_car("a"), small_car("b")]
    found = coverage.orders(cars, variants=2, parametric=3, ablation=1, classes=("suv",), seed=5)
    assert len({o.name for o in found}) == len(found) == 2 + 2 * 2 + 2 * len(coverage.ABLATION) + 3
    assert [o.name for o in found if o.kind == "parametric"] == [f"param-suv-000{k}" for k in (5, 6, 7)]


def test_a_shape_is_made_once_and_read_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cars, store = [small_car("a"), small_car("b", 0.5)], Store(tmp_path)
    wanted = [Order("a", "mesh", 0, "", 0, ""), Order("a (all 0)", "variant", 0, "", 0, json.dumps({"stretch": 1.0}))]
    first = coverage.shapes_of(cars, wanted, store)
    assert first[0].points.shape == (coverage.POINTS, 3)
    assert not np.allclose(first[0].extents, first[1].extents)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a cached shape is made again")

    monkeypatch.setattr(visible, "outside_cloud", never)
    again = coverage.shapes_of(cars, wanted, store)
    for a, b in zip(first, again, strict=True):
        assert np.array_equal(a.points, b.points) and np.array_equal(a.extents, b.extents)
    with pytest.raises(AssertionError, match="made again"):
        coverage.shapes_of(cars, [wanted[1]._replace(seed=1)], store)
