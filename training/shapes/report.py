"""The coverage figures as a Markdown table, a picture of the curves, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.ply import atomic_file

MODES = ("as it is", "box fitted")


def mean_of(entry: Mapping[str, Any], mode: str, figure: str) -> float:
    """Mean of a figure over the test bodies."""
    return float(np.mean([found[figure] for found in entry[mode].values()]))


def markdown(result: Mapping[str, Any]) -> str:
    """The whole report as text."""
    lines = ["# Coverage: the nearest training shape to each test body", ""]
    lines += [
        "F@1 / F@2 in percent, 8,192 points against 100,000 of the ground truth, canonical frame, no alignment. Every",
        "figure is an oracle's: the test body picks its nearest shape. Test bodies are only measured against.",
        "",
    ]
    for mode in MODES:
        title = "As it is" if mode == "as it is" else "Length, width and height fitted to the test body"
        lines += [f"## {title}", "", *_by_body(result, mode), ""]
    lines += ["## What each way of widening adds", "", *_ablation(result), ""]
    lines += ["## Nearest shapes of the whole set", "", *_names(result), ""]
    lines += ["## F@1 against the number of shapes", "", *_curve(result), ""]
    return "\n".join(lines)


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]


def _by_body(result: Mapping[str, Any], mode: str) -> list[str]:
    sets = result["sets"]
    head = ["body", *(f"{name} ({entry['shapes']})" for name, entry in sets.items()), "floor"]
    rows = []
    for body in result["bodies"]:
        cells = [f"{e[mode][body]['f1']:.1f} / {e[mode][body]['f2']:.1f}" for e in sets.values()]
        floor = result["floors"][body]
        rows.append([body, *cells, f"{floor['f1']:.1f} / {floor['f2']:.1f}"])
    means = [f"**{mean_of(e, mode, 'f1'):.1f} / {mean_of(e, mode, 'f2'):.1f}**" for e in sets.values()]
    floor = [float(np.mean([f[key] for f in result["floors"].values()])) for key in ("f1", "f2")]
    rows.append(["**mean**", *means, f"{floor[0]:.1f} / {floor[1]:.1f}"])
    return _table(head, rows)


def _ablation(result: Mapping[str, Any]) -> list[str]:
    if not result["ablation"]:
        return ["Not measured (`--ablation 0`)."]
    entries = {"meshes alone": result["sets"]["meshes"], **result["ablation"]}
    rows = [
        [name, str(entry["shapes"])] + [f"{mean_of(entry, m, 'f1'):.1f} / {mean_of(entry, m, 'f2'):.1f}" for m in MODES]
        for name, entry in entries.items()
    ]
    head = ["meshes and variants by this alone", "shapes", *MODES]
    return _table(head, rows)


def _names(result: Mapping[str, Any]) -> list[str]:
    entry = result["sets"]["all"]
    rows = [[b, *(f"{entry[m][b]['shape']} [{entry[m][b]['kind']}]" for m in MODES)] for b in result["bodies"]]
    return _table(["body", *MODES], rows)


def _curve(result: Mapping[str, Any]) -> list[str]:
    rows = [
        [name, str(point["shapes"]), *(f"{point[m]:.1f}" for m in MODES)]
        for name, points in result["curve"].items()
        for point in points
    ]
    return _table(["drawn from", "shapes", *MODES], rows)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Curves of F@1 against the number of shapes, and bars per test body, as PNG or SVG by the name's ending."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    for index, (name, points) in enumerate(result["curve"].items()):
        for mode, style in zip(MODES, ("-", "--")):
            label = f"{name}, {mode}"
            left.plot([p["shapes"] for p in points], [p[mode] for p in points], style, color=f"C{index}", label=label)
    left.set(xscale="log", xlabel="training shapes", ylabel="F@1 of the nearest, mean over test bodies, %")
    left.grid(alpha=0.3)
    left.legend(fontsize=7)
    place, sets = np.arange(len(result["bodies"])), result["sets"]
    for index, (name, entry) in enumerate(sets.items()):
        heights = [entry["as it is"][b]["f1"] for b in result["bodies"]]
        right.bar(place + (index - 1.5) * 0.2, heights, 0.19, label=name)
    right.set_xticks(place, result["bodies"], rotation=25, ha="right", fontsize=8)
    right.set(ylabel="F@1 of the nearest shape, as it is, %")
    right.legend(fontsize=7)
    with atomic_file(str(path)) as handle:
        figure.savefig(handle, dpi=130, format="png")


def write(result: Mapping[str, Any], folder: Path) -> list[Path]:
    """coverage.json, coverage.md and coverage.png in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"coverage.json": json.dumps(result, indent=1) + "\n", "coverage.md": markdown(result)}
    for name, text in texts.items():
        with atomic_file(str(folder / name)) as handle:
            handle.write(text.encode())
    draw(result, folder / "coverage.png")
    return [folder / name for name in (*texts, "coverage.png")]
