"""Do more photos of a car make a better model? The mean of a group (edge.models.group) of 1 to 16 photos, scored."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from edge.models.group import Member, average
from training.answers import plots
from training.answers.bench import Bench, Figures, bodies, figures, mean, pictures, reconstruct, truth
from training.progress import track

COUNTS = (1, 2, 4, 8, 16, 24)
#: Groups drawn of each body and count.
GROUPS = 8
CONDITIONS = ("plain", "clutter", "occluded")


def run(bench: Bench) -> dict[str, Any]:
    """Figures by condition and number of photos, means over bodies and groups of photos drawn at random."""
    rows: dict[str, dict[str, Any]] = {}
    cars = bodies(bench)
    truths = [truth(mesh, bench) for mesh in cars]
    for condition in CONDITIONS:
        found: dict[int, list[Figures]] = {count: [] for count in COUNTS if count <= bench.views}
        claimed: dict[int, list[float]] = {count: [] for count in found}
        for mesh, true in track(list(zip(cars, truths, strict=True)), f"groups, {condition}"):
            members = [_member(rgb, bench) for rgb in pictures(mesh, condition, bench).rgb]
            rng = np.random.default_rng(zlib.crc32(mesh.name.encode()))
            for count in found:
                for chosen in groups(bench.views, count, rng):
                    made = average([members[view] for view in chosen])
                    found[count].append(figures(made.cloud.points, true))
                    if made.cloud.confidence is not None:
                        claimed[count].append(float(made.cloud.confidence.mean()) * 100)
        rows[condition] = {
            str(count): mean(values) | {"claimed": round(float(np.mean(claimed[count])), 2)}
            for count, values in found.items()
        }
    return {"bodies": [mesh.name for mesh in cars], "groups": GROUPS, "rows": rows}


def groups(views: int, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows of the views of each group: every view alone, all together, and of other counts GROUPS drawn at random."""
    if count == 1:
        return [np.array([view]) for view in range(views)]
    return [rng.choice(views, count, replace=False) for _ in range(1 if count == views else GROUPS)]


def _member(rgb: np.ndarray, bench: Bench) -> Member:
    made = reconstruct(rgb, bench)
    return Member(made.cloud, None if made.pose is None else made.pose.azimuth)


def write(results: dict[str, Any], folder: Path) -> str:
    """The section, and its plot."""
    rows = results["rows"]
    counts = [int(count) for count in rows["plain"]]
    plots.lines(
        folder / "photos.png", counts,
        {condition: [rows[condition][str(c)]["f1"] for c in counts] for condition in rows},
        "photos in the group", "F@1, per cent", log=True,
    )  # fmt: skip
    first, last = rows["plain"]["1"], rows["plain"][str(counts[-1])]
    table = plots.table(
        ["photos", *(f"{c}: F@1" for c in rows), *(f"{c}: pred→GT" for c in rows)],
        [[count, *(rows[c][str(count)]["f1"] for c in rows), *(rows[c][str(count)]["pred_to_gt"] for c in rows)]
         for count in counts],
    )  # fmt: skip
    return f"""## Do more photos make a better model?
Yes, and most of it comes with the first four. Of {counts[-1]} plain pictures instead of one, F@1 rises from
{first["f1"]:.1f} to {last["f1"]:.1f} and the mean distance to the true surface falls from {first["pred_to_gt"]:.2f} to
{last["pred_to_gt"]:.2f} hundredths of the length. It does not fall to nothing: views share most of their error, because
the network lacks something about the *car* and not only about the view.

{table}

![F@1 against the number of photos](images/answers/photos.png)

Groups are drawn at random from each test body's {counts[-1]} pictures of CarPC-1 ({results["groups"]} groups of each
size and body; every picture alone, and all together once), and averaged as `carcloud models` does.
"""
