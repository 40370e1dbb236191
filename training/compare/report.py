"""compare.json and compare.md: what was trained, for how long, and how good it became."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.ply import atomic_file
from training.benchmark.goals import figure_of
from training.benchmark.report import markdown_table
from training.benchmark.tables import DASH, MAIN, Table
from training.compare.runs import BASELINE, GROUPS, Choice
from training.record import write_json

Results = dict[str, Any]
#: Column, where its figure is in a run's results, and its digits.
COSTS = (
    ("samples seen", "samples", 0), ("steps", "steps", 0), ("minutes", "minutes", 1), ("samples a second", "rate", 1),
    ("training pictures", "pictures", 0), ("GFLOP", "gflop", 2), ("million parameters", "parameters_m", 2),
)  # fmt: skip
FIGURES = (
    ("validation score", "validation.score", 2), ("validation F@1", "validation.f1", 1),
    *(
        (f"{condition} {title}", f"benchmark.{condition}.mean.{MAIN}.{key}", digits)
        for condition in ("plain", "clutter")
        for title, key, digits in (("pred->GT", "pred_to_gt", 2), ("GT->pred", "gt_to_pred", 2), ("F@1", "f1", 1),
                                   ("F@2", "f2", 1))
    ),
    ("direction, median", "benchmark.clutter.median.pose.direction_deg", 1),
    ("front for back, %", "benchmark.clutter.mean.pose.flipped", 1),
    ("length, median error, %", "benchmark.clutter.median.length.error", 1),
)  # fmt: skip
PLOTS = {
    "curves-representations.png": "Learning curves of the representations",
    "bars.png": "Test bodies, by representation", "curves-ablations.png": "Learning curves of the ablations",
    "size.png": "Image size", "pictures.png": "Pictures per shape",
}  # fmt: skip


def collected(
    choice: Choice, figures: Mapping[str, Results], scores: Mapping[str, Results], about: Results
) -> Results:
    """compare.json: ``about`` the whole, per finished run what it is, its figures and its scores, and what is left out.

    figures, scores: by run. The runs are in the order of ``choice``.
    """
    runs = {}
    for run in choice.runs:
        if run.name in figures:
            own = figures[run.name]
            runs[run.name] = {
                "group": run.group, "label": run.label, "number": run.number, **own,
                "minutes": own["seconds"] / 60, "rate": own["samples"] / max(1e-9, own["seconds"]),
                "benchmark": scores[run.name],
            }  # fmt: skip
    return {**about, "runs": runs, "baseline": choice.baseline, "left_out": choice.left_out}


def members(results: Results, group: str) -> list[tuple[str, str, float]]:
    """Name, label and number of a group's finished runs, the baseline in its place among them."""
    own = [(name, run["label"], run["number"]) for name, run in results["runs"].items() if run["group"] == group]
    if group != "representations" and group in results["baseline"] and own and BASELINE in results["runs"]:
        # The whole is first where there is no order, and where it belongs where there is one.
        own = sorted([(BASELINE, *results["baseline"][group]), *own], key=lambda member: member[2])
    return own


def tables(results: Results) -> list[tuple[str, Table]]:
    """Heading and table of each group, first what its runs cost, then their figures."""
    found = []
    for group, heading in GROUPS.items():
        own = members(results, group)
        for what, columns in (("what it took", COSTS), ("figures", FIGURES)):
            lines = [
                [label, *(_text(results["runs"][name], path, digits) for _, path, digits in columns)]
                for name, label, _ in own
            ]
            if lines:
                found.append((f"{heading}: {what}", Table(["run", *(title for title, _, _ in columns)], lines)))
    return found


def markdown(results: Results, drawn: Sequence[str]) -> str:
    """compare.md. drawn: names of the plots beside it."""
    parts = [
        "# Comparison\n",
        f"Every run {_lasted(results)} All but Lin 2018, original, share encoder, batch and data.\n",
        "Distances are means to the nearest point x 100, in lengths of the car; F@1 and F@2 are F-scores at 1 % and "
        "2 % of it, per cent. On the validation bodies with 2,048 points; on the "
        f"{results['views']} views of each test body by the benchmark ({results['protocol']}), {MAIN} points. "
        "The validation score is the sum of both distances.\n",
    ]
    for heading, table in tables(results):
        parts += [f"## {heading}\n", markdown_table(table)]
    if results["left_out"]:
        parts += ["## Left out\n", *(f"* {name}: {why}" for name, why in results["left_out"].items()), ""]
    if drawn:
        parts += ["## Plots\n", *(f"![{PLOTS[name]}]({name})\n" for name in drawn)]
    return "\n".join(parts)


def _lasted(results: Results) -> str:
    """What was alike of all runs: their time, or the pictures that they saw."""
    devices = " and ".join(sorted({str(run["device"]) for run in results["runs"].values()}))
    if results["samples"]:
        return f"saw {results['samples']:,} pictures, on {devices}. Minutes are of the steps alone."
    return (
        f"had {results['minutes']:g} minutes of training on {devices}, measured by its steps alone (no validation, no "
        "reading of data); how many steps that is was told from the first ten, so the rate of learning ended with the "
        "time. Samples seen differ, and are in the tables."
    )


def write(results: Results, drawn: Sequence[str], out: Path) -> None:
    """Write both files, each whole or not at all."""
    write_json(out / "compare.json", results)
    with atomic_file(str(out / "compare.md")) as handle:
        handle.write(markdown(results, drawn).encode())


def _text(run: Results, path: str, digits: int) -> str:
    value = figure_of(run, path)
    return DASH if value is None else f"{value:,.{digits}f}"
