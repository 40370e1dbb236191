"""Plots as PNG and tables as Markdown, alike in all answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.ply import atomic_file

#: Told apart by most eyes (Okabe and Ito), and by their markers in grey.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
STYLE: dict[Any, Any] = {
    "font.size": 9.5, "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.7,
    "legend.frameon": False, "legend.fontsize": 9, "grid.color": "#8c8c8c", "grid.alpha": 0.25,
}  # fmt: skip


def lines(
    path: Path, across: Sequence[Any], series: Mapping[str, Sequence[float]], x: str, y: str, log: bool = False,
    size: tuple[float, float] = (5.6, 3.2),
) -> None:
    """A line for each of the series over ``across``: numbers, or names set at even steps. log: doubling steps."""
    named = bool(across) and isinstance(across[0], str)
    places = list(range(len(across))) if named else list(across)

    def draw(axis: Any) -> None:
        for number, (name, values) in enumerate(series.items()):
            axis.plot(places, values, label=name, color=COLOURS[number % 7], marker=MARKS[number % 7], markersize=4)
        if log:
            axis.set_xscale("log", base=2)
        if named or log:
            axis.set_xticks(places, [str(value) for value in across])
            axis.minorticks_off()
        if len(series) > 1:
            axis.legend()

    _save(path, draw, x, y, size)


def bars(path: Path, names: Sequence[str], values: Sequence[float], x: str, size: tuple[float, float]) -> None:
    """A horizontal bar for each name, the first on top, with its value."""
    def draw(axis: Any) -> None:
        axis.barh(range(len(names)), values, color=COLOURS[0], height=0.7)
        for place, value in enumerate(values):
            axis.annotate(f" {value:.1f}", (max(value, 0), place), va="center", fontsize=8.5)
        axis.set_yticks(range(len(names)), names)
        axis.set_ylim(len(names) - 0.4, -0.6)

    _save(path, draw, x, "", size)


def _save(path: Path, draw: Any, x: str, y: str, size: tuple[float, float]) -> None:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        axis = figure.subplots()
        axis.grid(True)
        draw(axis)
        axis.set_xlabel(x)
        axis.set_ylabel(y)
        with atomic_file(str(path)) as handle:
            figure.savefig(handle, format="png", dpi=130, metadata={"Software": None})


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers with a fraction get two digits at most."""
    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
        return str(value)

    lines_ = [head, ["---"] * len(head), *([cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines_)


def save_picture(path: Path, rgb: Any) -> None:
    """A picture (H, W, 3) uint8 RGB as PNG of 256 colours."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(str(path)) as handle:
        Image.fromarray(rgb).quantize(256, method=Image.Quantize.MEDIANCUT).save(handle, "PNG", optimize=True)
