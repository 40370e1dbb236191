"""Best, median and worst views of a row: the picture, what was predicted of it, and the truth from the same side."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from training.benchmark import protocol, scoring
from training.benchmark.pictures import pictures_of
from training.benchmark.plots import f1
from training.benchmark.scoring import Task
from training.benchmark.splat import draw_cloud
from training.benchmark.store import Store
from training.benchmark.tables import MAIN, Results
from training.render.camera import stand
from training.workers import Workers

#: Pixels of a drawn cloud, and of the enlarged picture beside it.
WIDTH, HEIGHT, PICTURE = 300, 216, 216
#: Predicted points drawn: as many as of the ground truth.
POINTS = 16_384


class Case(NamedTuple):
    """One view of one row. which: best, median or worst. figures: of its record. Pictures are data URIs."""

    which: str
    body: str
    condition: str
    view: int
    figures: str
    picture: str
    predicted: str
    truth: str


def ranked(row: Results) -> list[tuple[str, str, int]]:
    """(which, body, view) of the best, the median and the worst F@1; equals stand in the order of views."""
    pairs = [(f1(record), body, view) for body, records in row["pairs"].items() for view, record in enumerate(records)]
    order = sorted(range(len(pairs)), key=lambda i: (-pairs[i][0], i))
    places = {"best": order[0], "median": order[(len(order) - 1) // 2], "worst": order[-1]}
    return [(which, pairs[place][1], pairs[place][2]) for which, place in places.items()]


def draw_case(item: tuple[str, Task, int, str]) -> Case:
    """Draw one case: which, task, view, figures in words."""
    which, task, view, figures = item
    store = Store(task.cache)
    seen = protocol.views_of(task.mesh.name, task.views)[view]
    # Not quite from the camera's height: from the kerb a cloud is hard to read.
    direction = stand(seen.azimuth, max(seen.elevation, 12.0))
    picture = pictures_of(task.mesh, task.condition, task.views, store).rgb[view]
    truth = protocol.outside_points(task.mesh, store, task.truth_points)[:POINTS]
    clouds = [
        jpeg(draw_cloud(points, direction, WIDTH, HEIGHT)) for points in (scoring.predicted(task, view)[:POINTS], truth)
    ]
    large = Image.fromarray(picture).resize((PICTURE, PICTURE), Image.Resampling.LANCZOS)
    return Case(which, task.mesh.name, task.condition, view, figures, jpeg(np.asarray(large)), *clouds)


def jpeg(rgb: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", quality=88, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def cases_of(
    rows: Sequence[Results], tasks: Mapping[tuple[str, str, str], Task], workers: Workers
) -> dict[tuple[str, str], list[Case]]:
    """The cases of every network and every folder of clouds, by row name and condition."""
    shown = [row for row in rows if row["kind"] in ("network", "clouds")]
    items, keys = [], []
    for row in shown:
        for which, body, view in ranked(row):
            record = row["pairs"][body][view][MAIN]
            figures = f"F@1 {record['f1']:.1f}, F@2 {record['f2']:.1f}"
            items.append((which, tasks[row["name"], row["condition"], body], view, figures))
            keys.append((row["name"], row["condition"]))
    found: dict[tuple[str, str], list[Case]] = {key: [] for key in keys}
    for key, case in zip(keys, workers.map(draw_case, items, "cases"), strict=True):
        found[key].append(case)
    return found
