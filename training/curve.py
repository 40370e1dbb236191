"""The learning curve of a run: a CSV that grows a line at a time, and its picture."""

from __future__ import annotations

import csv
from pathlib import Path


class Curve:
    """Appends rows to ``path``; rows of steps after ``step`` (from a run that was killed) are dropped first."""

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.rows = [row for row in read(path) if int(row["step"]) <= step]
        if self.rows:
            self._write(self.rows)
        else:
            path.unlink(missing_ok=True)

    def add(self, **row: object) -> None:
        """Add one row; the first row decides the columns."""
        text = {key: f"{value:.5g}" if isinstance(value, float) else str(value) for key, value in row.items()}
        self.rows.append(text)
        self._write(self.rows)

    def _write(self, rows: list[dict[str, str]]) -> None:
        temporary = self.path.with_name(self.path.name + ".part")
        with temporary.open("w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(self.path)


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a curve; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def plot(path: Path, out: Path) -> None:
    """Draw loss and validation distances over samples seen, stages shaded, to a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    rows = read(path)
    samples = [int(row["samples"]) / 1000 for row in rows]
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 3.6), constrained_layout=True)
    for axis, keys, title in (
        (axes[0], ("train_loss", "total"), "loss"),
        (axes[1], ("pred_to_gt", "gt_to_pred"), "mean distance to the nearest point x 100, validation bodies"),
    ):
        for key in keys:
            label = {"total": "validation", "train_loss": "training (one batch)"}.get(key, key.replace("_to_", " to "))
            axis.plot(samples, [float(row[key]) for row in rows], label=label, linewidth=1.5)
        axis.set_xlabel("thousand samples seen")
        axis.set_title(title, fontsize=10)
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
        axis.grid(alpha=0.3, which="both")
        for n in range(1, len(rows)):
            if rows[n]["stage"] != rows[n - 1]["stage"]:
                axis.axvline(samples[n - 1], color="grey", linestyle=":", linewidth=1)
        axis.legend(fontsize=8)
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
