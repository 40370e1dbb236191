"""From finished runs to results: scored, written and drawn."""

from __future__ import annotations

from training import curve
from training.benchmark import protocol
from training.compare import plots, report
from training.compare.report import Results
from training.compare.runs import Choice
from training.compare.scores import CONDITIONS, Bodies, scored
from training.compare.trial import CHECKPOINT, Bench, finished


def summed_up(choice: Choice, bench: Bench, bodies: Bodies) -> Results:
    """Score every finished run of the folder, also of earlier calls, and write compare.json, compare.md and plots."""
    figures = {run.name: own for run in choice.runs if (own := finished(bench.folder(run))) is not None}
    checkpoints = {
        run.name: (run.network, bench.folder(run) / CHECKPOINT) for run in choice.runs if run.name in figures
    }
    scores = scored(checkpoints, bodies, bench.say)
    about: Results = {
        "minutes": bench.minutes, "samples": bench.samples, "protocol": f"{protocol.NAME}, version {protocol.VERSION}",
        "views": bodies.views, "conditions": list(CONDITIONS),
    }  # fmt: skip
    results = report.collected(choice, figures, scores, about)
    curves = {name: curve.read(bench.out / name / "curve.csv") for name in figures}
    report.write(results, plots.draw(results, curves, bench.out), bench.out)
    return results
