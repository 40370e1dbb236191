"""results.json, timings.json and results.md: the tables of a benchmark run, each written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

from edge.ply import atomic_file
from training.benchmark import goals
from training.benchmark.tables import LABELS, MAIN, Results, Table, main_table, sections


def markdown_table(table: Table) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    rule = ["---", *["---" if table.words else "---:"] * (len(table.header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [table.header, rule, *table.lines]) + "\n"


def introduction(results: Results) -> str:
    """What was scored, in two sentences."""
    return (
        f"{len(results['bodies'])} test bodies, {results['protocol']['views']} views a body and condition. Figures on "
        f"{LABELS[MAIN]} unless said otherwise, ground truth: {results['protocol']['truth_points']:,} points visible "
        "from outside. Distances, CD-L2 and EMD: less is better; F-scores in percent: more is better."
    )


def markdown(results: Results, timings: Results) -> str:
    """results.md: every table of a run."""
    parts = [
        f"# {results['protocol']['name']} results\n",
        f"{introduction(results)} What each means: docs/benchmark.md.\n",
        markdown_table(main_table(results["rows"])),
    ]
    for heading, text, tables in [*goals.sections(results, timings), *sections(results, timings)]:
        parts.append(f"## {heading}\n{text}\n" if text else f"## {heading}\n")
        parts += [markdown_table(table) for table in tables]
    return "\n".join(parts)


def write(results: Results, timings: Results, folder: Path) -> None:
    """Write results.json, timings.json and results.md into ``folder``.

    results.json holds nothing that differs between two runs of the same code on the same meshes; times are apart.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "results.json", json.dumps(results, indent=1) + "\n")
    write_text(folder / "timings.json", json.dumps(timings, indent=1) + "\n")
    write_text(folder / "results.md", markdown(results, timings))


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with atomic_file(str(path)) as handle:
        handle.write(text.encode("utf-8"))
