"""What came of a run: curves, a table, and photos with their clouds before and after, to be looked at."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from edge.errors import DataError
from training.benchmark.sheet import save
from training.benchmark.splat import draw_cloud
from training.networks.lifting import both_sides
from training.unlabelled.run import Unlabelled
from training.unlabelled.score import Album, drawn_mask, overlaps
from training.unlabelled.student import Student, seen

#: Photos on a sheet, those whose silhouette changed most and least alike; side of a cell.
SHOWN, CELL = 12, 200
#: Panels of the trial's curves: column, and what stands above.
PANELS = (
    ("same_pred_to_gt", "pred to GT, same bodies"),
    ("same_gt_to_pred", "GT to pred, same bodies"),
    ("other_pred_to_gt", "pred to GT, other bodies"),
    ("iou", "IoU with the silhouettes"),
    ("rehearsed", "error on the guard's rendered cars"),
)
COLOURS = ("#009e73", "#d55e00", "#3d8fd1", "#cc79a7", "#e69f00", "#8c8c8c", "#b8a800")


def read_curve(folder: Path) -> list[dict[str, float]]:
    """Figures of a run by validation. Raises DataError."""
    path = folder / "curve.csv"
    if not path.is_file():
        raise DataError(f"no curve at {path}; run it first: python -m training unlabelled-trial --out {folder.parent}")
    with path.open(newline="", encoding="utf-8") as handle:
        return [{name: float(v) for name, v in row.items() if v} for row in csv.DictReader(handle)]


def trial_curves(out: Path) -> dict[str, list[list[dict[str, float]]]]:
    """Curves of all seeds by arm. Raises DataError if there is none."""
    arms: dict[str, list[list[dict[str, float]]]] = {}
    for path in sorted(out.glob("*/curve.csv")):
        arms.setdefault(path.parent.name.rpartition("-")[0], []).append(read_curve(path.parent))
    if not arms:
        raise DataError(f"no curves below {out}; run first: python -m training unlabelled-trial --out {out}")
    return arms


def trial_table(out: Path) -> str:
    """Markdown: before, then each arm after its last step, means over seeds."""
    arms = trial_curves(out)
    columns = [
        f"{group}_{name}" for group in ("same", "other") for name in ("pred_to_gt", "gt_to_pred", "f1", "f2")
    ] + ["iou", "mahalanobis", "nearest", "rehearsed"]  # fmt: skip
    columns = [name for name in columns if name in next(iter(arms.values()))[0][0]]
    lines = ["| | steps | " + " | ".join(columns) + " |", "| --- |" + " --- |" * (len(columns) + 1)]
    rows = [("before", [next(iter(arms.values()))[0][0]])]
    rows += [(name, [curve[-1] for curve in curves]) for name, curves in arms.items()]
    for name, last in rows:
        means = [float(np.mean([row[column] for row in last])) for column in columns]
        steps = float(np.mean([row["step"] for row in last]))
        lines.append(f"| {name} | {steps:.0f} | " + " | ".join(f"{value:.4g}" for value in means) + " |")
    return "\n".join(lines)


def draw_trial(out: Path) -> Path:
    """The curves of all arms, seeds thin and their mean thick, to ``curves.png``."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot

    arms = trial_curves(out)
    figure, axes = pyplot.subplots(1, len(PANELS), figsize=(3.6 * len(PANELS), 3.2), constrained_layout=True)
    for axis, (column, title) in zip(axes, PANELS, strict=True):
        for (arm, curves), colour in zip(arms.items(), COLOURS * 2, strict=False):
            for curve in curves:
                steps, values = ([row[name] for row in curve] for name in ("step", column))
                axis.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
            shortest = min(map(len, curves))
            mean = np.mean([[row[column] for row in curve[:shortest]] for curve in curves], 0)
            axis.plot([row["step"] for row in curves[0][:shortest]], mean, color=colour, label=arm, linewidth=1.8)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    path = out / "curves.png"
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    return path


def draw_run(run: Unlabelled, out: Path) -> Path:
    """``sheet.png``: kept photos with the predicted outline and two views of the cloud, before and after."""
    after = Student(run.student.resting[0])
    after.load_state_dict(run.best)
    students = [Student(run.student.resting[0]).eval(), after.eval()]
    scores = [overlaps(student, run.album) for student in students]
    order = np.argsort(scores[0] - scores[1])
    shown = order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int)]
    parts = [_shown(student, run.album, shown) for student in students]
    rows = [np.concatenate([before[row], later[row]], 1) for row in range(len(shown)) for before, later in [parts]]
    for row, number in zip(rows, shown, strict=True):
        for side, score in enumerate(scores):
            at = (6 + side * row.shape[1] // 2, CELL - 8)
            text = f"{('before', 'after')[side]}, IoU {score[number]:.3f}"
            cv2.putText(row, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 3, cv2.LINE_AA)
            cv2.putText(row, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (20, 20, 20), 1, cv2.LINE_AA)
    path = out / "sheet.png"
    save(Image.fromarray(np.concatenate(rows)), path)
    return path


@torch.no_grad()
def _shown(student: Student, album: Album, numbers: Sequence[int] | np.ndarray) -> list[np.ndarray]:
    """A strip (CELL, 3 CELL, 3) uint8 RGB for each numbered photo: outline over the photo, side and three-quarter."""
    looked = album.looked.part(torch.as_tensor(np.asarray(numbers)))
    guess = student(looked)
    half = student.half(guess, torch.arange(len(student.resting[0].shape_mean)))
    places, points = seen(half, guess).place.numpy(), both_sides(half).numpy()
    strips = []
    for number, place, cloud in zip(numbers, places, points, strict=True):
        photo: Any = cv2.resize(album.photos[number].rgb, (CELL, CELL), interpolation=cv2.INTER_CUBIC)
        for mask, colour in ((album.photos[number].mask > 0.5, (255, 220, 0)), (drawn_mask(place), (255, 0, 160))):
            large = cv2.resize(mask.astype(np.uint8), (CELL, CELL), interpolation=cv2.INTER_LINEAR)
            lines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(photo, lines, -1, colour, 1, cv2.LINE_AA)
        views = [draw_cloud(cloud, side, CELL, CELL) for side in ((0.0, 1.0, 0.0), (1.0, 0.75, 0.5))]
        strips.append(np.concatenate([photo, *views], 1))
    return strips

