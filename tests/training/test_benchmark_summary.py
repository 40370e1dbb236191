"""Means over views, then bodies; worst decile; groups; the written tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.benchmark import report, tables
from training.benchmark.protocol import SALOONS
from training.benchmark.summary import Row, mean_records, nested, summarise, times_of, worst_decile


def test_mean_is_over_views_then_bodies() -> None:
    row = Row("tiny", "network", "plain", {"a": [{"8192.f1": 10.0}] * 3, "b": [{"8192.f1": 50.0}]})
    got = summarise(row, {"a": "sedan", "b": "van"}, SALOONS)
    assert got["mean"]["8192"]["f1"] == 30.0
    assert got["groups"]["saloons"]["8192"]["f1"] == 10.0
    assert got["groups"]["others"]["8192"]["f1"] == 50.0
    assert len(got["pairs"]["a"]) == 3


def test_classes_and_groups_are_means_of_their_bodies() -> None:
    records = {name: [{"8192.f1": f1}] for name, f1 in (("a", 10.0), ("b", 50.0), ("c", 90.0), ("d", 20.0))}
    classes = {"a": "sedan", "b": "suv", "c": "suv", "d": "saloon"}
    got = summarise(Row("tiny", "network", "plain", records), classes, SALOONS)
    means = {name: found["8192"]["f1"] for name, found in (got["classes"] | got["groups"]).items()}
    assert means == {"saloon": 20.0, "sedan": 10.0, "suv": 70.0, "saloons": 15.0, "others": 70.0}


def test_times_are_kept_apart_from_figures() -> None:
    records = [{"8192.f1": 1.0, "ms.network": 2.0}, {"8192.f1": 1.0, "ms.network": 4.0}]
    row = Row("tiny", "network", "plain", {"a": records})
    assert times_of(row) == {"network": 3.0}
    assert "'ms'" not in str(summarise(row, {"a": "suv"}, SALOONS))


def test_figures_computed_on_some_views_are_averaged_over_those() -> None:
    assert mean_records([{"emd": 2.0, "cd_l2": 1.0}, {"cd_l2": 3.0}]) == {"emd": 2.0, "cd_l2": 2.0}


def test_worst_decile_looks_at_the_bad_end_of_each_figure() -> None:
    records = [{"8192.f1": float(i), "cd_l2": float(i), "points": 7.0} for i in range(20)]
    assert worst_decile(records) == {"8192.f1": 0.5, "cd_l2": 18.5}
    # A tenth of five pairs is rounded up to one.
    assert worst_decile(records[5:10]) == {"8192.f1": 5.0, "cd_l2": 9.0}


def test_nested() -> None:
    assert nested({"whole.f1": 1.00004, "emd": 2.0}) == {"whole": {"f1": 1.0}, "emd": 2.0}


def results() -> dict:
    record = {"8192.f1": 12.34, "8192.f2": 40.0, "all.f1": 9.0, "cd_l2": 1.5, "points": 99.0, "ms.network": 7.0}
    rows = [
        Row("tiny", "network", "plain", {"suv": [record], "p406": [record]}, cost={"gflop": 1.95}),
        Row("oracle", "oracle", "any", {"suv": [record], "p406": [record]}, {"suv": "van", "p406": "155-DTM"}),
    ]
    return {
        "protocol": {"name": "CarPC-1", "views": 24, "truth_points": 100_000},
        "bodies": [
            {"name": "suv", "body_class": "suv", "saloon": False},
            {"name": "p406", "body_class": "sedan", "saloon": True},
        ],
        "rows": [summarise(row, {"suv": "suv", "p406": "sedan"}, SALOONS) for row in rows],
    }


TIMINGS = {"device": "a test", "rows": [{"name": "tiny", "condition": "plain", "ms": {"network": 7.0}}]}


def test_tables_hold_the_figures_and_dashes_for_the_rest(tmp_path: Path) -> None:
    report.write(results(), TIMINGS, tmp_path / "out")
    text = (tmp_path / "out" / "results.md").read_text()
    line = next(t for t in text.splitlines() if t.startswith("| network tiny, plain"))
    assert line == "| network tiny, plain | – | – | 12.3 | 40.0 | – | 1.50 | – | 12.3 | 40.0 | 99 |"
    assert "Saloons: p406." in text
    assert "| suv | van |" in text
    assert "| suv (1) |" in text.split("## F@1 by class")[1]
    cost = text.split("## Cost")[1]
    assert "1.95" in cost and "7.0" in cost and "on a test" in cost
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["results.json", "results.md", "timings.json"]


def test_every_line_of_a_table_has_as_many_cells_as_its_head() -> None:
    blocks = [b for b in report.markdown(results(), TIMINGS).split("\n\n") if b.lstrip().startswith("|")]
    assert len(blocks) >= 11
    for block in blocks:
        assert len({line.count("|") for line in block.strip().splitlines()}) == 1, block


def test_how_many_neighbours_vote_is_told() -> None:
    found = {
        "neighbours": 5,
        "leave_one_body_out_f1": {"1": 20.0, "5": 21.04},
        "gallery_views": 24,
        "gallery_conditions": ["plain"],
    }
    assert "k = 5, chosen on training bodies" in tables.chosen({"retrieval": found})
    assert "k = 1: 20.0, k = 5: 21.0" in tables.chosen({"retrieval": found})
    assert tables.chosen({"retrieval": None}) == ""


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    report.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        report.write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
