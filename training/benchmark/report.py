"""results.json and results.md: the tables of a benchmark run, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training.benchmark.metrics import SIZES

TITLES = {
    "mean": "mean training car",
    "median-maps": "median of the fixed-view maps",
    "medoid": "best single training body (medoid)",
    "cluster": "nearest of 8 cluster means (oracle)",
    "oracle": "nearest training body (oracle)",
    "oracle-box": "nearest training body after fitting length, width, height (oracle)",
    "noise": "ground truth sampled twice (noise floor)",
}
FIGURES = (
    ("pred_to_gt", "pred->GT", 2),
    ("gt_to_pred", "GT->pred", 2),
    ("f1", "F@1", 1),
    ("f2", "F@2", 1),
    ("f5", "F@5", 1),
)
LABELS = {"whole": "whole cloud", "8192": "8,192 points", "2048": "2,048 points"}
#: Size of the main table: dense enough for F@1, and what the shape-space study used.
MAIN = "8192"

Results = dict[str, Any]


def title(row: Results) -> str:
    """What a row is called in the tables."""
    name = f"network {row['name']}" if row["kind"] == "network" else TITLES[row["name"]]
    return name if row["condition"] == "any" else f"{name}, {row['condition']}"


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *lines]) + "\n"


def number(record: Results, path: str, digits: int) -> str:
    """One figure of a nested record as text, or a dash where it was not computed."""
    value: Any = record
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return "–"
        value = value[key]
    return f"{value:.{digits}f}"


def figure_table(
    rows: Sequence[Results], size: str, pick: Callable[[Results], Results] = lambda row: row["mean"]
) -> str:
    """The five nearest-neighbour figures of all rows at one cloud size."""
    lines = [[title(r), *(number(pick(r), f"{size}.{key}", digits) for key, _, digits in FIGURES)] for r in rows]
    return table(["row", *(name for _, name, _ in FIGURES)], lines)


def main_table(rows: Sequence[Results]) -> str:
    """The headline: figures on 8,192 points, CD-L2, EMD and the worst decile."""
    lines = []
    for row in rows:
        mean, worst = row["mean"], row["worst_decile"]
        cells = [number(mean, f"{MAIN}.{key}", digits) for key, _, digits in FIGURES]
        cells += [number(mean, "cd_l2", 2), number(mean, "emd", 2)]
        cells += [number(worst, f"{MAIN}.{key}", 1) for key in ("f1", "f2")]
        lines.append([title(row), *cells, number(mean, "points", 0)])
    names = [name for _, name, _ in FIGURES]
    return table(["row", *names, "CD-L2", "EMD", "worst decile F@1", "worst decile F@2", "points"], lines)


def group_table(rows: Sequence[Results]) -> str:
    """F@1 and F@2 of saloons and of the rest."""
    lines = []
    for row in rows:
        groups = row["groups"]
        lines.append(
            [title(row)]
            + [number(groups.get(g, {}), f"{MAIN}.{key}", 1) for g in ("saloons", "others") for key in ("f1", "f2")]
        )
    return table(["row", "saloons F@1", "saloons F@2", "others F@1", "others F@2"], lines)


def body_table(rows: Sequence[Results], bodies: Sequence[Results], figure: str) -> str:
    """One figure per body and row."""
    lines = [[title(row), *(number(row["bodies"][b["name"]], f"{MAIN}.{figure}", 1) for b in bodies)] for row in rows]
    return table(["row", *(f"{b['name']} ({b['body_class']})" for b in bodies)], lines)


def notes_table(rows: Sequence[Results], bodies: Sequence[Results]) -> str:
    """What each control chose for each body."""
    told = [row for row in rows if row["notes"]]
    lines = [[b["name"], *(row["notes"].get(b["name"], "–") for row in told)] for b in bodies]
    return table(["body", *(title(row) for row in told)], lines) if told else ""


def cost_table(rows: Sequence[Results]) -> str:
    """What the networks cost."""
    lines = []
    for row in rows:
        if row["kind"] == "network":
            cost, mean = row["cost"], row["mean"]
            cells = [number(cost, "gflop", 2), number(cost, "parameters_m", 2), number(cost, "megabytes", 1)]
            cells += [number(mean, f"ms.{stage}", 1) for stage in ("crop", "network", "fusion")]
            lines.append([title(row), *cells, number(mean, "points", 0)])
    header = ["row", "GFLOP", "parameters, M", "MB", "crop ms", "network ms", "fusion ms", "points"]
    return table(header, lines) if lines else ""


def markdown(results: Results) -> str:
    """results.md: every table of a run."""
    rows, bodies, protocol = results["rows"], results["bodies"], results["protocol"]
    saloons = ", ".join(b["name"] for b in bodies if b["saloon"]) or "none"
    parts = [
        f"# {protocol['name']} results\n",
        f"{len(bodies)} test bodies, {protocol['views']} views a body and condition. Figures on {LABELS[MAIN]} unless "
        "said otherwise, ground truth: 100,000 points visible from outside. Distances, CD-L2 and EMD: less is better; "
        "F-scores in percent: more is better. What each means: docs/benchmark.md.\n",
        main_table(rows),
        f"## Saloons and the rest\nSaloons: {saloons}.\n",
        group_table(rows),
    ]
    for size in ("whole", *(str(s) for s in SIZES if s and str(s) != MAIN)):
        parts += [f"## On {'the whole cloud' if size == 'whole' else LABELS[size]}\n", figure_table(rows, size)]
    parts += [
        "## Worst decile\nMean of each figure over its worst tenth of the (body, view) pairs.\n",
        figure_table(rows, MAIN, lambda row: row["worst_decile"]),
        "## Against all surfaces\nWhole cloud, ground truth with hidden surfaces: for comparison with other papers.\n",
        figure_table(rows, "all"),
        "## F@1 by body\n",
        body_table(rows, bodies, "f1"),
        "## F@2 by body\n",
        body_table(rows, bodies, "f2"),
    ]
    notes, cost = notes_table(rows, bodies), cost_table(rows)
    parts += ["## What the controls chose\n", notes] if notes else []
    parts += [f"## Cost\nMilliseconds on {results['device']}.\n", cost] if cost else []
    return "\n".join(parts)


def write(results: Results, folder: Path) -> None:
    """Write results.json and results.md into ``folder``; each appears only when complete."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
    write_text(folder / "results.md", markdown(results))


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
