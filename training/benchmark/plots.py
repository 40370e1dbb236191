"""Plots of a run as SVG text to be put into a page: no background, words and axes in the page's own colour."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from training.benchmark.attributes import BINS
from training.benchmark.tables import MAIN, Results, label, title

#: Stands for the colour of the page's text until the SVG is written.
INK = "#010203"
#: Told apart by most eyes (Okabe and Ito), and seen on white and on near-black.
COLOURS = ("#e69f00", "#009e73", "#3d8fd1", "#cc79a7", "#d55e00", "#8c8c8c", "#b8a800")
CONTROL_COLOUR = "#8c8c8c"


def looking(rows: Sequence[Results]) -> list[Results]:
    """The rows that look at the picture."""
    return [row for row in rows if row["condition"] != "any"]


def colour_of(rows: Sequence[Results]) -> dict[str, str]:
    """A colour for each label among the rows that look at the picture."""
    names = list(dict.fromkeys(label(row) for row in looking(rows)))
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}


@contextmanager
def drawing(width: float, height: float, panels: int = 1, salt: str = "") -> Iterator[tuple[Any, list[Any], list[str]]]:
    """A figure in inches and its axes; the SVG text is appended to the list given third, on leaving."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.hashsalt": salt, "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.5,
        "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
        "axes.titlesize": 10, "legend.frameon": False, "grid.color": CONTROL_COLOUR, "grid.alpha": 0.25,
    }  # fmt: skip
    written: list[str] = []
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), facecolor="none", layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
        yield figure, list(axes), written
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # The names of groups are the same in every figure, and two of one name are not allowed in one page.
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    written.append(re.sub(r'^<svg ', '<svg role="img" ', svg))


def pairs_of(row: Results, path: Callable[[Results], float]) -> np.ndarray:
    """One figure of every (body, view) pair of a row."""
    return np.array([path(record) for body in row["pairs"].values() for record in body])


def f1(record: Results) -> float:
    """F@1 of the main table's size."""
    return float(record[MAIN]["f1"])


def levels(rows: Sequence[Results], names: Sequence[str] = ("mean", "oracle", "noise")) -> dict[str, float]:
    """Mean F@1 of controls that do not look at the picture."""
    return {row["name"]: f1(row["mean"]) for row in rows if row["name"] in names and row["condition"] == "any"}


def distribution(rows: Sequence[Results]) -> str:
    """Every view's F@1 as a dot, the median as a bar; controls as lines."""
    shown = looking(rows)
    colours = colour_of(rows)
    with drawing(9.2, 0.9 + 0.42 * len(shown), salt="distribution") as (_, (axis,), out):
        rng = np.random.default_rng(0)
        for place, row in enumerate(shown):
            values = pairs_of(row, f1)
            spread = place + rng.uniform(-0.26, 0.26, len(values))
            axis.scatter(values, spread, s=9, alpha=0.6, color=colours[label(row)], linewidths=0)
            axis.plot([np.median(values)] * 2, [place - 0.36, place + 0.36], color=INK, linewidth=2)
        for name, level in levels(rows).items():
            axis.axvline(level, color=CONTROL_COLOUR, linewidth=1, linestyle=(0, (4, 3)))
            # The two that lie close together are written away from each other.
            text, side = {
                "mean": ("mean car", "right"),
                "oracle": ("nearest training body", "left"),
                "noise": ("noise floor", "center"),
            }[name]  # fmt: skip
            axis.annotate(text, (level, 1), xycoords=("data", "axes fraction"), fontsize=8, ha=side)
        axis.set_yticks(range(len(shown)), [title(row) for row in shown])
        axis.set_ylim(len(shown) - 0.4, -0.6)
        axis.set_xlim(0, 100)
        axis.set_xlabel("F@1 of one view, percent")
        axis.grid(axis="x")
    return out[0]


def azimuth(rows: Sequence[Results], views: Results, conditions: Sequence[str], bins: int = 12) -> str:
    """Mean F@1 by the side the car is seen from, a panel a condition."""
    colours = colour_of(rows)
    with drawing(3.2 * len(conditions) + 0.6, 2.9, len(conditions), "azimuth") as (_, axes, out):
        for axis, condition in zip(axes, conditions, strict=True):
            for row in (r for r in looking(rows) if r["condition"] == condition):
                angles = np.array([v["azimuth"] for body in row["pairs"] for v in views[body]])
                values, step = pairs_of(row, f1), 360 / bins
                place = (np.round(angles / step).astype(int)) % bins
                means = [float(values[place == i].mean()) if (place == i).any() else np.nan for i in range(bins)]
                axis.plot(
                    np.arange(bins + 1) * step, [*means, means[0]], color=colours[label(row)], label=label(row),
                    marker="o", markersize=3, linewidth=1.5,
                )  # fmt: skip
            axis.set_xticks([0, 90, 180, 270, 360], ["front", "left", "rear", "right", "front"])
            axis.set_title(condition)
            axis.set_ylim(bottom=0)
            axis.grid()
        axes[0].set_ylabel("F@1")
        axes[0].legend(fontsize=8, loc="lower left")
    return out[0]


def hidden(rows: Sequence[Results], views: Results, conditions: Sequence[str]) -> str:
    """F@1 against the share of the car that is covered or cut off; "" if no picture hides anything."""
    colours = colour_of(rows)
    with drawing(9.2, 3.0, salt="hidden") as (_, (axis,), out):
        most = 0.0
        for name in colours:
            points = [
                (view["hidden"].get(row["condition"], 0.0), f1(record))
                for row in looking(rows)
                if label(row) == name and row["condition"] in conditions
                for body, records in row["pairs"].items()
                for view, record in zip(views[body], records, strict=True)
            ]
            shares, values = np.array(points).T
            most = max(most, float(shares.max()))
            covered = shares > 0
            axis.scatter(100 * shares[covered], values[covered], s=9, alpha=0.5, color=colours[name], linewidths=0)
            edges = np.array([-0.1, 0.001, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 1.0])
            place = np.digitize(shares, edges)
            groups = [place == i for i in range(1, len(edges)) if (place == i).sum() >= 5]
            axis.plot(
                [100 * shares[g].mean() for g in groups], [values[g].mean() for g in groups],
                color=colours[name], label=name, marker="o", markersize=4, linewidth=1.6,
            )  # fmt: skip
        axis.set_xlabel("hidden share of the car's silhouette, percent")
        axis.set_ylabel("F@1")
        axis.set_ylim(bottom=0)
        axis.grid()
        axis.legend(fontsize=8, loc="lower left")
    return out[0] if most > 0 else ""


def reliability(rows: Sequence[Results], conditions: Sequence[str]) -> str:
    """Share of points within 2 % against the probability that was promised, a panel a condition; "" without any."""
    told = [row for row in looking(rows) if row.get("histograms")]
    conditions = [condition for condition in conditions if any(row["condition"] == condition for row in told)]
    if not conditions:
        return ""
    colours = colour_of(rows)
    with drawing(3.2 * len(conditions) + 0.6, 3.2, len(conditions), "reliability") as (_, axes, out):
        for axis, condition in zip(axes, conditions, strict=True):
            axis.plot([0, 100], [0, 100], color=CONTROL_COLOUR, linewidth=1, linestyle=(0, (4, 3)))
            for row in (r for r in told if r["condition"] == condition):
                bins = [row["histograms"]["confidence"][f"bin_{i}"] for i in range(BINS)]
                # A bin of a few points says nothing.
                held = np.array([[b["share"], b["promised"], b["kept"]] for b in bins if b["share"] >= 0.1]).T
                share, promised, kept = held
                axis.plot(
                    100 * promised / share, 100 * kept / share, color=colours[label(row)], label=label(row),
                    linewidth=1.5,
                )  # fmt: skip
                axis.scatter(
                    100 * promised / share, 100 * kept / share, s=4 + 1.5 * share, color=colours[label(row)],
                    clip_on=False, linewidths=0,
                )  # fmt: skip
            axis.set_title(condition)
            axis.set_xlim(0, 100)
            axis.set_ylim(0, 100)
            axis.set_xlabel("promised, percent")
            axis.grid()
        axes[0].set_ylabel("within 2 %, percent")
        axes[0].legend(fontsize=8, loc="upper left")
    return out[0]


def cost(rows: Sequence[Results], timings: Results) -> str:
    """F@1 against what a picture costs; "" for fewer than two networks."""
    networks = [row for row in rows if row["kind"] == "network"]
    if len({row["name"] for row in networks}) < 2:
        return ""
    counted = all("gflop" in row["cost"] for row in networks)
    times = {(t["name"], t["condition"]): t["ms"]["network"] for t in timings["rows"]}
    colours = colour_of(rows)
    markers = dict(zip(dict.fromkeys(row["condition"] for row in networks), "os^D"))
    with drawing(9.2, 3.0, salt="cost") as (_, (axis,), out):
        for row in networks:
            spent = row["cost"]["gflop"] if counted else times[row["name"], row["condition"]]
            mark = markers[row["condition"]]
            axis.scatter([spent], [f1(row["mean"])], s=42, color=colours[label(row)], marker=mark)
            axis.annotate(
                title(row).removeprefix("network "), (spent, f1(row["mean"])), xytext=(7, -3), fontsize=8,
                textcoords="offset points",
            )  # fmt: skip
        axis.set_xscale("log")
        axis.margins(x=0.25, y=0.2)
        axis.set_xlabel("GFLOP a picture" if counted else f"milliseconds of network a picture, {timings['device']}")
        axis.set_ylabel("F@1, mean")
        axis.grid()
    return out[0]
