"""The learning curve of a run: a CSV that grows a line at a time, and its picture."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple


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
        """Add one row; stages may have figures of their own."""
        text = {key: f"{value:.5g}" if isinstance(value, float) else str(value) for key, value in row.items()}
        self.rows.append(text)
        self._write(self.rows)

    def _write(self, rows: list[dict[str, str]]) -> None:
        temporary = self.path.with_name(self.path.name + ".part")
        with temporary.open("w", newline="", encoding="utf-8") as handle:
            names = list(dict.fromkeys(name for row in rows for name in row))
            writer = csv.DictWriter(handle, fieldnames=names, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        temporary.replace(self.path)


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a curve; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


class Panel(NamedTuple):
    """title, which columns with what words, and whether its axis is logarithmic."""

    title: str
    lines: dict[str, str]
    log: bool = True


#: What may be drawn; a run that has none of a panel's columns is drawn without it.
PANELS = (
    Panel("loss", {"train_loss": "training (one batch)", "total": "validation"}),
    Panel("shape explained by the encoder", {"code_explained": "validation"}, log=False),
    Panel("distance to the nearest point x 100, validation", {"pred_to_gt": "pred to GT", "gt_to_pred": "GT to pred"}),
    Panel("F-score, per cent, validation", {"f1": "F@1", "f2": "F@2"}, log=False),
    Panel("viewing direction, median error in degrees", {"azimuth_error": "azimuth", "elevation_error": "elevation"}),
)


def plot(path: Path, out: Path) -> None:
    """Draw losses and validation figures over samples seen, stages parted by dotted lines, to a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    rows = read(path)
    samples = [int(row["samples"]) / 1000 for row in rows]
    panels = [panel for panel in PANELS if any(row.get(key) for row in rows for key in panel.lines)]
    size = (4.7 * len(panels), 3.6)
    figure, axes = pyplot.subplots(1, len(panels), figsize=size, constrained_layout=True, squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=True):
        for key, label in panel.lines.items():
            drawn = [(x, float(row[key])) for x, row in zip(samples, rows, strict=True) if row.get(key)]
            if drawn:
                axis.plot(*zip(*drawn, strict=True), label=label, linewidth=1.5)
        axis.set_xlabel("thousand samples seen")
        axis.set_title(panel.title, fontsize=10)
        if panel.log:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter("{x:g}")
        axis.grid(alpha=0.3, which="both")
        for n in range(1, len(rows)):
            if rows[n]["stage"] != rows[n - 1]["stage"]:
                axis.axvline(samples[n - 1], color="grey", linestyle=":", linewidth=1)
        axis.set_xlim(0, samples[-1])
        axis.legend(fontsize=8)
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
