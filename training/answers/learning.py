"""Which loss to expect, and which representation: what the shipped weights' training and the comparison wrote down."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from edge.errors import DataError
from training.answers import plots
from training.answers.bench import Bench

ROOT = Path(__file__).resolve().parents[2]
CURVE = ROOT / "docs" / "runs" / "morphable" / "curve.csv"
COMPARISON = ROOT / "docs" / "comparison.md"
#: Columns of the curve that are told, and in what words.
TERMS = {
    "train_loss": "all terms together", "train_point": "points (mean distance, car lengths)",
    "train_azimuth": "direction (cross entropy)", "train_camera": "camera", "train_length": "length (likelihood)",
    "train_classes": "body class (cross entropy)", "train_error": "expected error (likelihood)",
}  # fmt: skip


def run(bench: Bench) -> dict[str, Any]:
    """The curve of the shipped run, and the comparison's table of representations. DataError if one is not there."""
    try:
        with CURVE.open(encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        page = COMPARISON.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"{error.filename} is missing: run this in the whole repository") from error
    kept = ["samples", "f1", "real_f1", *TERMS]
    return {
        "curve": [{name: float(row[name]) for name in kept} for row in rows],
        "representations": representations(page),
    }


def representations(page: str) -> list[list[str]]:
    """Rows of the comparison's longer table: name, pred→GT, GT→pred, F@1, F@2, as they stand there.

    DataError if the page has no such table any more.
    """
    lines = page.splitlines()
    start = next((n for n, line in enumerate(lines) if line.startswith("| 320,000 pictures")), None)
    if start is None:
        raise DataError(f"{COMPARISON} has no table that begins with 320,000 pictures; change where learning.py looks")
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().replace("**", "") for cell in line.strip("|").split("|")][:5])
    return rows


def write(results: dict[str, Any], folder: Path) -> str:
    """The section, and its plot."""
    curve = results["curve"]
    plots.lines(
        folder / "learning.png", [row["samples"] / 1e6 for row in curve],
        {"validation, all": [row["f1"] for row in curve], "validation, real bodies": [row["real_f1"] for row in curve]},
        "million pictures seen", "F@1, per cent",
    )  # fmt: skip
    first, last = curve[0], curve[-1]
    begun, ended = (f"{row['samples'] / 1e6:.2g} million pictures" for row in (first, last))
    terms = plots.table(
        ["term", f"after {begun}", f"at the end, {ended}"],
        [[words, f"{first[name]:.3f}", f"{last[name]:.3f}"] for name, words in TERMS.items()])
    table = plots.table(["", "pred→GT", "GT→pred", "F@1", "F@2"], results["representations"])
    return f"""## Which representation and which loss, and what loss to expect?
From [the comparison](comparison.md) (`python -m training compare`), trained alike, plain pictures of the test bodies:

{table}

Networks that learn by the Chamfer distance score best and look worst: unsure, they spread their points. The
flagship pays a little of the score for clouds that are surfaces, whose points correspond, so that they can be averaged,
coloured and meshed.

What the flagship's own training said ([the run](runs/morphable/README.md)); likelihoods may fall below zero:

{terms}

Look at the second line of the plot rather than at the loss: the loss goes on falling, and on real bodies that were held
out nothing more is gained after the first tenth. It is short of bodies, not of pictures.

![F@1 on validation bodies over the training](images/answers/learning.png)
"""
