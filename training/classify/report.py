"""What is printed and written: tables as text, results.json, confusion matrices and curves as pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.ply import atomic_file
from training.classify.run import Results

#: Matrices of more classes are drawn without numbers and names.
MOST_NAMED = 40
#: Colours of the arms' lines: appearance by colour, what is added by line and marker.
COLOURS = {"plain": "#0072b2", "encoder": "#d55e00", "shape": "#000000"}
LINES: dict[str, tuple[Any, str]] = {
    "": ("-", "o"), "shape": ("--", "s"), "surface": (":", "^"), "grid": ((0, (1, 3)), "v"),
    "shape + surface": ("-.", "D"),
}  # fmt: skip


def percent(row: dict[str, float], sign: bool = False) -> str:
    """Mean and interval, per cent."""
    plus = "+" if sign else ""
    return f"{100 * row['mean']:{plus}.1f} ({100 * row['low']:{plus}.1f} to {100 * row['high']:{plus}.1f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown, columns aligned."""
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def sections(results: Results) -> list[tuple[str, str]]:
    """Heading and table of each part of the results."""
    found = [
        ("Accuracy, per cent (95 % interval over test photos)", _accuracies(results)),
        ("What it adds, on the same photos, points", _differences(results["differences"])),
    ]
    if results.get("curve"):
        found.append(("Accuracy against training photos a class", _curve(results["curve"])))
        views = next((row for row in results["curve"] if "by_view" in row), None)
        if views is not None:
            heading = f"By distance to the nearest training viewpoint of the class, {views['photos']} photos a class"
            found.append((heading, _views(views["by_view"])))
    if results.get("ends"):
        found.append(("Learnt from one end of the car, tested on both", _ends(results["ends"])))
    return found


def as_text(results: Results) -> str:
    """The whole report, Markdown."""
    notes = "\n".join(f"- {note}" for note in results["notes"])
    parts = [f"{heading}:\n\n{body}" for heading, body in sections(results)]
    return "\n\n".join([f"# {results['data']}", results["counts"], notes, *parts]) + "\n"


def write(results: Results, out: Path) -> list[Path]:
    """results.json, report.md, confusion.png and, if there is a curve, curve.png; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / "results.json", out / "report.md"]
    for path, content in zip(paths, (json.dumps(results, indent=1) + "\n", as_text(results)), strict=True):
        with atomic_file(str(path)) as handle:
            handle.write(content.encode())
    chosen = [arm for arm in ("plain", "plain + shape", "encoder", "encoder + shape") if arm in results["arms"]]
    paths.append(out / "confusion.png")
    draw_confusion(paths[-1], results, chosen or list(results["arms"])[:1])
    if results.get("curve"):
        paths.append(out / "curve.png")
        draw_curve(paths[-1], results)
    return paths


def draw_confusion(path: Path, results: Results, arms: Sequence[str]) -> None:
    """A matrix for each arm, two in a row, each row of a matrix a true class and in shares of its photos."""
    names, columns = results["classes"], min(2, len(arms))
    rows = -(-len(arms) // columns)
    named = len(names) <= MOST_NAMED
    side = max(3.2, 0.36 * len(names)) if named else 6.0
    figure = _figure((columns * side + 1.6, rows * (side + 0.5) + (1.3 if named else 0.3)))
    for place, arm in enumerate(arms):
        axis = figure.add_subplot(rows, columns, place + 1)
        counted = np.array(results["arms"][arm]["confusion"])
        axis.imshow(counted / np.maximum(counted.sum(1, keepdims=True), 1), cmap="Blues", vmin=0, vmax=1)
        axis.set_title(f"{arm}: {100 * results['arms'][arm]['accuracy']['mean']:.1f} % right", fontsize=10)
        if not named:
            continue
        axis.set_xticks(range(len(names)), names if place >= len(arms) - columns else [], rotation=90, fontsize=8)
        axis.set_yticks(range(len(names)), names if place % columns == 0 else [], fontsize=8)
        for (row, column), count in np.ndenumerate(counted):
            if count:
                dark = count > 0.5 * counted[row].sum()
                axis.text(column, row, str(count), ha="center", va="center", fontsize=7, color="w" if dark else "k")
    _save(figure, path)


def draw_curve(path: Path, results: Results) -> None:
    """Accuracy against training photos a class, the full split last."""
    figure = _figure((6.0, 3.8))
    axis = figure.add_subplot()
    curve = results["curve"]
    full = results["train"] / len(results["classes"])
    for arm in curve[0]["arms"]:
        points = [(row["photos"], row["arms"][arm]["mean"]) for row in curve]
        points.append((full, results["arms"][arm]["accuracy"]["mean"]))
        base, _, added = arm.partition(" + ")
        line, mark = LINES[added]
        x, y = zip(*points, strict=True)
        axis.plot(x, [100 * v for v in y], linestyle=line, marker=mark, markersize=4, color=COLOURS[base], label=arm)
    axis.set_xscale("log", base=2)
    ticks = [*(row["photos"] for row in curve), full]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("training photos a class")
    axis.set_ylabel("right, per cent")
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8, frameon=False)
    _save(figure, path)


def _accuracies(results: Results) -> str:
    rows = [
        [arm, percent(row["accuracy"]), f"{100 * row['mean_per_class']:.1f}"] for arm, row in results["arms"].items()
    ]
    return table(["features", "accuracy", "mean of classes"], rows)


def _differences(found: Sequence[Results]) -> str:
    return table(["with", "against", "difference"], [[d["with"], d["without"], percent(d, True)] for d in found])


def _curve(curve: Sequence[Results]) -> str:
    arms = list(curve[0]["arms"])
    rows = [[arm, *(percent(row["arms"][arm]) for row in curve)] for arm in arms]
    for place, pair in enumerate(curve[0]["differences"]):
        rows.append(
            [f"({pair['with']}) - ({pair['without']})", *(percent(row["differences"][place], True) for row in curve)]
        )
    return table(["features", *(f"{row['photos']} photos" for row in curve)], rows)


def _views(found: dict[str, list[dict[str, Any]]]) -> str:
    bins = next(iter(found.values()))
    head = [f"{b['from']:g} to {b['to']:g} degrees ({b['answers']})" for b in bins]
    return table(["features", *head], [[arm, *(percent(b) for b in rows)] for arm, rows in found.items()])


def _ends(found: Results) -> str:
    same, other = found["same"], found["other"]
    rows = [[arm, percent(same["arms"][arm]), percent(other["arms"][arm])] for arm in same["arms"]]
    for one, two in zip(same["differences"], other["differences"], strict=True):
        rows.append([f"({one['with']}) - ({one['without']})", percent(one, True), percent(two, True)])
    return table(["features", "same end", "other end"], rows)


def _figure(size: tuple[float, float]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, path: Path) -> None:
    with atomic_file(str(path)) as handle:
        figure.savefig(handle, format="png", metadata={"Software": None})
