"""What is written and drawn of a comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.test_compare import index_of
from training.compare import plots, report, runs


def made_up() -> tuple[dict[str, Any], dict[str, list[dict[str, str]]]]:
    """Results of all runs, and their curves."""
    choice = runs.planned(index_of(256), None)
    figures, scored, curves = {}, {}, {}
    for place, run in enumerate(choice.runs):
        f1 = 60.0 - 2 * place
        figures[run.name] = {
            "network": run.network, "steps": 300, "samples": 9600 + 500 * place, "seconds": 480.0, "pictures": 120,
            "device": "a toy", "validation": {"score": 2 + place / 10, "f1": f1}, "gflop": 0.8, "parameters_m": 5.1,
        }  # fmt: skip
        part = {"8192": {"f1": f1, "f2": 80.0, "pred_to_gt": 1.0, "gt_to_pred": 1.2}}
        scored[run.name] = {c: {"mean": part, "median": {}, "worst_decile": {}} for c in ("plain", "clutter")}
        curves[run.name] = [
            {"seconds": str(40 * n), "samples": str(800 * n), "f1": str(f1 * n / 12), "score": str(9 - n / 2)}
            for n in range(1, 13)
        ]
    about = {"minutes": 8.0, "samples": 0, "protocol": "CarPC-1", "views": 24}
    return report.collected(choice, figures, scored, about), curves


def test_the_flagship_stands_in_every_group_in_its_place() -> None:
    results, _ = made_up()
    assert [label for _, label, _ in report.members(results, "size")] == [f"{n} px" for n in (64, 96, 128, 192, 256)]
    assert [name for name, _, _ in report.members(results, "pictures")][-1] == runs.BASELINE
    assert [label for _, label, _ in report.members(results, "loss")] == [
        "plane and point", "plane only", "point only", "and Chamfer",
    ]  # fmt: skip
    tables = dict(report.tables(results))
    assert len(tables) == 2 * len(runs.GROUPS)
    assert tables["Representations: what it took"].lines[0][:5] == ["maps", "9,600", "300", "8.0", "20.0"]
    assert tables["Representations: figures"].lines[-1][0] == "lin2018, original"
    assert tables["Loss: figures"].lines[1][-1] == "–", "what was not told is no number"
    for name in ("loss-plane", "loss-point", "loss-chamfer"):
        del results["runs"][name]
    assert report.members(results, "loss") == [] and len(report.tables(results)) == 2 * len(runs.GROUPS) - 2


@pytest.mark.slow
def test_plots_show_every_run_apart(tmp_path: Path) -> None:
    results, curves = made_up()
    assert plots.draw(results, curves, tmp_path) == list(report.PLOTS)
    figure = plots.learning(results, curves, runs.ABLATIONS)
    assert figure is not None
    for row, group in enumerate(runs.ABLATIONS):
        for axis in figure.axes[4 * row : 4 * row + 4]:
            lines = axis.get_lines()
            assert [line.get_label() for line in lines] == [label for _, label, _ in report.members(results, group)]
            assert len({(line.get_color(), str(line.get_linestyle())) for line in lines}) == len(lines)
    first, second = (plots.learning(results, curves, ["representations"]) for _ in range(2))
    assert first is not None and second is not None
    lines = {line.get_label(): line for line in first.axes[0].get_lines()}
    assert lines["maps"].get_xdata()[-1] == 8 and len(lines["maps"].get_xdata()) == 12
    assert list(lines["lin2018, original"].get_xdata()) == [8.0], "it judges itself otherwise while it trains"
    # Words do not leave the picture, nor lie on each other.
    for made in (first, figure, plots.bars(results), plots.along(results, "size", "pixels")):
        assert made is not None
        made.canvas.draw()
        renderer = made.canvas.get_renderer()  # type: ignore[attr-defined]
        for axis in made.axes:
            ticks = [t.get_window_extent(renderer) for t in axis.get_xticklabels() if t.get_text()]
            inside = [b for b in ticks if b.x0 >= 0 and b.x1 <= made.bbox.x1]
            assert len(inside) == len(ticks)
            assert all(a.x1 < b.x0 for a, b in zip(ticks, ticks[1:], strict=False))


def test_runs_of_so_many_samples_are_drawn_over_samples_alone() -> None:
    results, curves = made_up()
    figure = plots.learning(results | {"samples": 20000}, curves, ["representations"])
    assert figure is not None
    assert [axis.get_xlabel() for axis in figure.axes] == ["thousand samples seen"] * 2


def test_plots_need_something_to_show(tmp_path: Path) -> None:
    results, curves = made_up()
    results["runs"] = {name: results["runs"][name] for name in ("morphable",)}
    assert plots.draw(results, curves, tmp_path) == ["curves-representations.png", "bars.png"]
