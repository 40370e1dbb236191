"""Plots of the comparison as PNG: learning curves, bars of the figures, and curves over image size and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.benchmark.goals import figure_of
from training.benchmark.tables import MAIN
from training.compare.report import Results, members
from training.compare.runs import ABLATIONS, BASELINE, GROUPS, ORIGINAL

#: Told apart by most eyes (Okabe and Ito), and by their dashes and markers in grey.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.5, 1.5)), (0, (3, 1, 1, 1, 1, 1)), "-")
MARKS = ("o", "s", "^", "D", "v", "P")
BASE_COLOUR = "#000000"
STYLE: dict[Any, Any] = {
    "font.size": 9.5, "axes.titlesize": 10.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.7, "legend.frameon": False, "legend.fontsize": 9, "grid.color": "#8c8c8c", "grid.alpha": 0.25,
}  # fmt: skip
#: Figure, and what its axis says.
LEARNT = (("f1", "F@1, per cent"), ("score", "score (lower is better)"))
OVER = (("seconds", 60.0, "minutes of training"), ("samples", 1000.0, "thousand samples seen"))
CONDITIONS = ("plain", "clutter")
BARS = (("f1", "F@1, per cent"), ("pred_to_gt", "predicted to true x 100"), ("gt_to_pred", "true to predicted x 100"))
Curves = Mapping[str, Sequence[Mapping[str, str]]]


class Look(NamedTuple):
    """How a run is drawn."""

    colour: str
    dashes: Any
    mark: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """A look for each run of a group; the baseline is black and whole in every one."""
    others = [name for name in names if name != BASELINE]
    found = {n: Look(COLOURS[i % 6], DASHES[i % 6], MARKS[i % 6]) for i, n in enumerate(others)}
    return {name: found.get(name, Look(BASE_COLOUR, "-", "o")) for name in names}


def draw(results: Results, curves: Curves, out: Path) -> list[str]:
    """Write what there is enough of to draw; names of the files, in the order of the report.

    curves: by run, the rows of its curve.csv.
    """
    made = {
        "curves-representations.png": learning(results, curves, ["representations"]),
        "bars.png": bars(results),
        "curves-ablations.png": learning(results, curves, ABLATIONS),
        "size.png": along(results, "size", "side of the picture, pixels"),
        "pictures.png": along(results, "pictures", "training pictures of each shape"),
    }
    for name, figure in made.items():
        if figure is not None:
            figure.savefig(out / name, dpi=110)
    return [name for name, figure in made.items() if figure is not None]


def learning(results: Results, curves: Curves, groups: Sequence[str]) -> Figure | None:
    """A row a group: F@1 and score on the validation bodies, over time and over samples; None without any run.

    Runs of so many samples may be of different machines, whose times tell nothing: over samples only.
    """
    rows = [(group, own) for group in groups if (own := members(results, group))]
    if not rows:
        return None
    overs = OVER[1:] if results.get("samples") else OVER
    with rc_context(STYLE):
        figure, axes = _panels(len(rows), 2 * len(overs), 2.6 + 6.5 * len(overs), 3.1 * len(rows) + 0.3)
        for place, (group, own) in enumerate(rows):
            look = looks([name for name, _, _ in own])
            panels = [(figures, over) for figures in LEARNT for over in overs]
            for axis, ((key, words), (over, unit, under)) in zip(axes[place], panels, strict=True):
                for name, label, _ in own:
                    points = _curve(results["runs"][name], curves.get(name, ()), name, key, over, unit)
                    colour, dashes, mark = look[name]
                    alone = len(points) == 1
                    axis.plot(
                        *zip(*points, strict=True), color=colour, linestyle="" if alone else dashes, linewidth=1.6,
                        label=label, marker=mark if alone else "", markersize=8, clip_on=not alone,
                    )  # fmt: skip
                axis.set_xlim(left=0)
                axis.set_xlabel(under)
                axis.set_ylabel(words)
                axis.grid()
                if key == "score":
                    _plain_log(axis)
                else:
                    axis.set_ylim(bottom=0)
            axes[place][0].set_title(f"{GROUPS[group]}, validation bodies", loc="left")
            axes[place][-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), handlelength=3.2)
        return figure


def bars(results: Results) -> Figure | None:
    """F@1 and both distances of each representation on the test bodies, plain and in clutter; None without any."""
    own = members(results, "representations")
    if not own:
        return None
    with rc_context(STYLE):
        figure, axes = _panels(1, 3, 12.5, 1.3 + 0.62 * len(own), sharey=True)
        for axis, (key, words) in zip(axes[0], BARS, strict=True):
            most = 0.0
            for shift, condition, colour in zip((-0.2, 0.2), CONDITIONS, COLOURS[:2], strict=True):
                values = [_score(results, name, condition, key) for name, _, _ in own]
                places = [row + shift for row in range(len(own))]
                axis.barh(places, values, 0.36, color=colour, label=condition)
                for place, value in zip(places, values, strict=True):
                    axis.annotate(
                        f"{value:.1f}" if key == "f1" else f"{value:.2f}", (value, place), xytext=(3, 0),
                        textcoords="offset points", va="center", fontsize=8.5,
                    )  # fmt: skip
                most = max(most, *values)
            axis.set_xlim(0, 1.17 * most or 1)
            axis.set_xlabel(words)
            axis.grid(axis="x")
            axis.set_axisbelow(True)
            axis.tick_params(axis="y", length=0)
        axes[0][0].set_yticks(range(len(own)), [label for _, label, _ in own])
        axes[0][0].invert_yaxis()
        better = ("more is better", "less is better", "less is better")
        for axis, words in zip(axes[0], better, strict=True):
            axis.set_title(words, loc="left")
        axes[0][-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
        return figure


def along(results: Results, group: str, words: str) -> Figure | None:
    """Test figures over a number (pixels, pictures); None for fewer than two runs."""
    own = members(results, group)
    if len(own) < 2:
        return None
    numbers = [number for _, _, number in own]
    with rc_context(STYLE):
        figure, axes = _panels(1, 3, 12.5, 3.3)
        for axis, (key, title) in zip(axes[0], BARS, strict=True):
            for condition, colour, mark in zip(CONDITIONS, COLOURS, MARKS, strict=False):
                values = [_score(results, name, condition, key) for name, _, _ in own]
                axis.plot(numbers, values, color=colour, marker=mark, linewidth=1.6, label=condition)
            axis.set_xscale("log", base=2)
            axis.set_xticks(numbers, [str(number) for number in numbers])
            axis.minorticks_off()
            axis.set_xlabel(words)
            axis.set_ylabel(title)
            axis.margins(y=0.15)
            axis.grid()
        axes[0][-1].legend(loc="upper left", bbox_to_anchor=(1.02, 1.0))
        return figure


def _panels(rows: int, columns: int, width: float, height: float, sharey: bool = False) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=sharey)


def _curve(
    run: Results, rows: Sequence[Mapping[str, str]], name: str, key: str, over: str, unit: float
) -> list[tuple[float, float]]:
    """Points of a learning curve. Lin 2018 judges itself otherwise while it trains: its end alone is comparable."""
    if name != ORIGINAL:
        found = [(float(row[over]) / unit, float(row[key])) for row in rows if row.get(key)]
        if found:
            return found
    return [(run[over] / unit, run["validation"][key])]


def _score(results: Results, name: str, condition: str, key: str) -> float:
    value = figure_of(results["runs"][name]["benchmark"][condition], f"mean.{MAIN}.{key}")
    return float("nan") if value is None else value


def _plain_log(axis: Any) -> None:
    """A logarithmic axis with ordinary numbers, few enough to be read."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
