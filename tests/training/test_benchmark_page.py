"""The report's parts: which cases are shown, where they are seen from, tables and plots."""

from __future__ import annotations

import re

import numpy as np

from training.benchmark import cases, page, plots
from training.benchmark.tables import Table


def row(name: str, condition: str, scores: dict[str, list[float]], kind: str = "network", **more: object) -> dict:
    pairs = {body: [{"8192": {"f1": f1}} for f1 in values] for body, values in scores.items()}
    mean = {"8192": {"f1": float(np.mean([f1 for values in scores.values() for f1 in values]))}}
    return {"name": name, "condition": condition, "kind": kind, "pairs": pairs, "mean": mean, "cost": {}, **more}


def views(hidden: tuple[float, ...] = (0.0, 0.0, 0.0)) -> dict:
    return {body: [{"azimuth": 120.0 * i, "hidden": {"plain": h}} for i, h in enumerate(hidden)] for body in "ab"}


ROWS = [
    row("tiny", "plain", {"a": [10.0, 30.0, 20.0], "b": [70.0, 50.0, 10.0]}),
    row("mean", "any", {"a": [36.0], "b": [36.0]}, kind="control"),
]


def test_cases_are_the_best_the_median_and_the_worst() -> None:
    assert cases.ranked(ROWS[0]) == [("best", "b", 0), ("median", "a", 1), ("worst", "b", 2)]


def test_html_table_escapes_marks_and_shades() -> None:
    table = Table(["row", "pred->GT"], [["a <b>", "100.0"], ["c", "–"]])
    text = page.html_table(table, frozenset({"c"}), shaded=True)
    assert "a &lt;b&gt;" in text and "pred→GT" in text
    assert "<tr class='scored'><th scope='row'>c</th><td>–</td>" in text
    assert "--part: 0.550'>100.0" in text


def test_plots_take_the_colour_of_the_page_and_are_the_same_again() -> None:
    for draw in (lambda: plots.distribution(ROWS), lambda: plots.azimuth(ROWS, views(), ["plain"])):
        svg = draw()
        assert svg.startswith("<svg") and "currentColor" in svg and plots.INK not in svg
        assert svg == draw()
        assert not re.search(r'<g id=|href="http|<image', svg)


def test_every_view_is_a_dot_and_controls_are_lines() -> None:
    svg = plots.distribution(ROWS)
    assert len(re.findall(r"<use ", svg)) >= 6 and "mean car" in svg and "network tiny, plain" in svg


def test_plots_without_anything_to_show_are_left_out() -> None:
    assert plots.hidden(ROWS, views(), ["plain"]) == ""
    assert "hidden share" in plots.hidden(ROWS, views((0.0, 0.1, 0.3)), ["plain"])
    timings = {"device": "a test", "rows": [{"name": n, "condition": "plain", "ms": {"network": 5.0}} for n in "xy"]}
    assert plots.cost(ROWS, timings) == ""
    both = [row("x", "plain", {"a": [1.0]}), row("y", "plain", {"a": [2.0]})]
    assert "milliseconds of network a picture, a test" in plots.cost(both, timings)
    for counted in both:
        counted["cost"] = {"gflop": 2.0}
    assert "GFLOP" in plots.cost(both, timings)


def test_a_network_named_like_a_control_keeps_its_own_colour_and_points() -> None:
    named = row("retrieval", "plain", {"a": [80.0, 90.0, 85.0]})
    control = row("retrieval", "plain", {"a": [10.0, 20.0, 15.0]}, kind="control")
    colours = plots.colour_of([named, control])
    assert list(colours) == ["network retrieval", "retrieval by image features"] and len(set(colours.values())) == 2
    for svg in (
        plots.azimuth([named, control], views(), ["plain"]),
        plots.hidden([named, control], views((0.0, 0.1, 0.3)), ["plain"]),
    ):
        assert all(svg.count(f"{colour}") > 1 for colour in colours.values())
        assert "network retrieval" in svg and "retrieval by image features" in svg


def told(share: float, promised: float, kept: float) -> dict:
    """Histograms of a row whose points all share one bin of confidence."""
    bins = {f"bin_{i}": {"share": 0.0, "promised": 0.0, "kept": 0.0} for i in range(10)}
    bins["bin_7"] = {"share": share, "promised": promised, "kept": kept}
    return {"confidence": bins}


def test_reliability_is_drawn_of_rows_with_confidence_only() -> None:
    assert plots.reliability(ROWS, ["plain"]) == ""
    sure = row("sure", "plain", {"a": [1.0]}, histograms=told(100.0, 75.0, 50.0))
    svg = plots.reliability([sure, *ROWS], ["plain", "clutter"])
    assert "network sure" in svg and "network tiny" not in svg and "clutter" not in svg
    assert svg == plots.reliability([sure, *ROWS], ["plain", "clutter"]) and "promised, percent" in svg


def test_levels_are_of_rows_that_see_no_picture() -> None:
    assert plots.levels(ROWS) == {"mean": 36.0}
    assert [r["name"] for r in plots.looking(ROWS)] == ["tiny"]
