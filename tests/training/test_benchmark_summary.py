"""Means over views, then bodies; worst decile; groups; the written tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.benchmark import report
from training.benchmark.summary import Row, mean_records, nested, summarise, worst_decile


def test_mean_is_over_views_then_bodies() -> None:
    row = Row("tiny", "network", "plain", {"a": [{"8192.f1": 10.0}] * 3, "b": [{"8192.f1": 50.0}]})
    got = summarise(row, {"a": True, "b": False})
    assert got["mean"]["8192"]["f1"] == 30.0
    assert got["groups"]["saloons"]["8192"]["f1"] == 10.0
    assert got["groups"]["others"]["8192"]["f1"] == 50.0
    assert len(got["pairs"]["a"]) == 3


def test_figures_computed_on_some_views_are_averaged_over_those() -> None:
    assert mean_records([{"emd": 2.0, "cd_l2": 1.0}, {"cd_l2": 3.0}]) == {"emd": 2.0, "cd_l2": 2.0}


def test_worst_decile_looks_at_the_bad_end_of_each_figure() -> None:
    records = [{"8192.f1": float(i), "cd_l2": float(i), "ms.network": 1.0} for i in range(20)]
    assert worst_decile(records) == {"8192.f1": 0.5, "cd_l2": 18.5}


def test_nested() -> None:
    assert nested({"whole.f1": 1.00004, "emd": 2.0}) == {"whole": {"f1": 1.0}, "emd": 2.0}


def results() -> dict:
    record = {"8192.f1": 12.34, "8192.f2": 40.0, "all.f1": 9.0, "cd_l2": 1.5, "points": 99.0, "ms.network": 7.0}
    rows = [
        Row("tiny", "network", "plain", {"suv": [record], "p406": [record]}, cost={"gflop": 1.95}),
        Row("oracle", "oracle", "any", {"suv": [record], "p406": [record]}, {"suv": "van", "p406": "155-DTM"}),
    ]
    return {
        "protocol": {"name": "CarPC-1", "views": 24},
        "device": "a test",
        "bodies": [
            {"name": "suv", "body_class": "suv", "saloon": False},
            {"name": "p406", "body_class": "sedan", "saloon": True},
        ],
        "rows": [summarise(row, {"suv": False, "p406": True}) for row in rows],
    }


def test_tables_hold_the_figures_and_dashes_for_the_rest(tmp_path: Path) -> None:
    report.write(results(), tmp_path / "out")
    text = (tmp_path / "out" / "results.md").read_text()
    line = next(t for t in text.splitlines() if t.startswith("| network tiny, plain"))
    assert line == "| network tiny, plain | – | – | 12.3 | 40.0 | – | 1.50 | – | 12.3 | 40.0 | 99 |"
    assert "Saloons: p406." in text
    assert "| suv | van |" in text
    assert "1.95" in text.split("## Cost")[1]
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == results()
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["results.json", "results.md"]


def test_every_line_of_a_table_has_as_many_cells_as_its_head() -> None:
    blocks = [b for b in report.markdown(results()).split("\n\n") if b.lstrip().startswith("|")]
    assert len(blocks) >= 8
    for block in blocks:
        assert len({line.count("|") for line in block.strip().splitlines()}) == 1, block


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "results.md"
    report.write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        report.write_text(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
