"""What information is needed, and what the network looks at: cues taken away one by one, and patches covered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.answers import plots
from training.answers.bench import Bench, Figures, bodies, figures, mean, reconstruct, truth
from training.benchmark import protocol
from training.meshes.model import CATEGORIES
from training.progress import track

#: Every so many views of a body are used.
EVERY = 3
#: Side of the covered patch and its step, pixels of 128.
PATCH, STEP = 24, 8
#: Parts that are covered together.
GLASS, WHEELS, LAMPS = ("glass",), ("tyre", "rim"), ("light_front", "light_rear")


class Seen:
    """A picture and what is where in it. rgb: (S, S, 3) uint8. mask: (S, S) bool, the car. parts: (S, S) uint8."""

    def __init__(self, picture: Any) -> None:
        self.rgb, self.mask, self.parts = picture.rgb, picture.mask > 127, picture.parts


Cue = Callable[[Seen], np.ndarray]


def whole(seen: Seen) -> np.ndarray:
    """As it is."""
    return seen.rgb


def outline(seen: Seen) -> np.ndarray:
    """The silhouette alone, filled with the car's mean colour."""
    rgb = seen.rgb.copy()
    rgb[seen.mask] = rgb[seen.mask].mean(0)
    return rgb


def inside(seen: Seen) -> np.ndarray:
    """The car without its outline: around it lies its own mean colour."""
    rgb = seen.rgb.copy()
    rgb[~seen.mask] = rgb[seen.mask].mean(0)
    return rgb


def soft(seen: Seen) -> np.ndarray:
    """The outline sharp, what is inside blurred over a twentieth of the picture."""
    rgb = cv2.GaussianBlur(seen.rgb, (0, 0), len(seen.rgb) / 20)
    return np.where(seen.mask[..., None], rgb, seen.rgb)


def drawn(seen: Seen) -> np.ndarray:
    """Edges alone, white on black (Canny 1986)."""
    return np.repeat(cv2.Canny(cv2.cvtColor(seen.rgb, cv2.COLOR_RGB2GRAY), 60, 160)[..., None], 3, 2)


def negative(seen: Seen) -> np.ndarray:
    """Bright and dark exchanged."""
    return 255 - seen.rgb


def upside_down(seen: Seen) -> np.ndarray:
    """Turned by half a turn."""
    return np.ascontiguousarray(seen.rgb[::-1, ::-1])


def shuffled(seen: Seen) -> np.ndarray:
    """Cut into four times four tiles that are put together in another order."""
    side = len(seen.rgb) // 4
    tiles = [seen.rgb[y : y + side, x : x + side] for y in range(0, 4 * side, side) for x in range(0, 4 * side, side)]
    order = np.random.default_rng(0).permutation(16)
    rows = [np.concatenate([tiles[order[4 * row + column]] for column in range(4)], 1) for row in range(4)]
    return np.concatenate(rows)


def without(kinds: tuple[str, ...]) -> Cue:
    """Parts of these kinds painted over with the colour of the car's paint."""
    def cue(seen: Seen) -> np.ndarray:
        rgb, numbers = seen.rgb.copy(), [1 + CATEGORIES.index(kind) for kind in kinds]
        paint = seen.parts == 1 + CATEGORIES.index("paint")
        covered = np.isin(seen.parts, numbers)
        if paint.any() and covered.any():
            rgb[cv2.dilate(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0] = np.median(rgb[paint], axis=0)
        return rgb

    return cue


CUES: dict[str, Cue] = {
    "the whole picture": whole, "edges only": drawn, "inside blurred": soft, "outline only": outline,
    "no outline": inside, "no glass": without(GLASS), "no wheels": without(WHEELS), "no lamps": without(LAMPS),
    "negative": negative, "upside down": upside_down, "tiles shuffled": shuffled,
}  # fmt: skip


def run(bench: Bench) -> dict[str, Any]:
    """Figures without each cue, and how far the cloud moves where a patch of the picture is covered."""
    cars = bodies(bench)
    found: dict[str, list[Figures]] = {name: [] for name in CUES}
    moved: dict[str, list[float]] = {}
    maps = []
    for mesh in track(cars, "cues"):
        true, views = truth(mesh, bench), protocol.views_of(mesh.name, bench.views)
        pictures = _pictures(mesh, bench)
        for index, seen in pictures.items():
            for name, cue in CUES.items():
                made = reconstruct(cue(seen), bench)
                found[name].append(figures(made.cloud.points, true, made, views[index]))
        first = pictures[next(iter(pictures))]
        effect = covered(first, bench)
        maps.append({"body": mesh.name, "view": next(iter(pictures)), "effect": np.round(effect, 5).tolist()})
        for name, value in by_part(first, effect).items():
            moved.setdefault(name, []).append(value)
    cues = {name: mean(values) | {"flipped": round(100 * float(np.mean([one.direction > 90 for one in values])), 1)}
            for name, values in found.items()}
    return {
        "bodies": [mesh.name for mesh in cars], "cues": cues,
        "parts": {name: [round(float(np.mean(values)), 4), len(values)] for name, values in moved.items()},
        "maps": maps[:4], "pictures": [_small(_pictures(mesh, bench, 1)[0].rgb) for mesh in cars[:4]],
    }  # fmt: skip


def _pictures(mesh: Any, bench: Bench, most: int = 24) -> dict[int, Seen]:
    """The benchmark's plain pictures of a body with their masks and parts, by the number of the view."""
    from training.benchmark.pictures import draw

    views = protocol.views_of(mesh.name, bench.views)
    return {index: Seen(draw(mesh, views[index], "plain")) for index in range(0, bench.views, EVERY)[:most]}


def covered(seen: Seen, bench: Bench) -> np.ndarray:
    """(R, C) mean movement of the cloud's points, hundredths of the length, with a grey patch at each place."""
    start = reconstruct(seen.rgb, bench).cloud.points
    grey = seen.rgb.reshape(-1, 3).mean(0)
    places = range(0, len(seen.rgb) - PATCH + 1, STEP)
    effect = np.zeros((len(places), len(places)))
    for row, y in enumerate(places):
        for column, x in enumerate(places):
            rgb = seen.rgb.copy()
            rgb[y : y + PATCH, x : x + PATCH] = grey
            moved = reconstruct(rgb, bench).cloud.points
            effect[row, column] = np.linalg.norm(moved - start, axis=1).mean() * 100
    return effect


def by_part(seen: Seen, effect: np.ndarray) -> dict[str, float]:
    """Mean effect of the patches whose middle lies on each kind of part, or on the ground around the car."""
    found: dict[str, list[float]] = {}
    for (row, column), value in np.ndenumerate(effect):
        part = seen.parts[row * STEP + PATCH // 2, column * STEP + PATCH // 2]
        found.setdefault("around the car" if part == 0 else CATEGORIES[part - 1], []).append(float(value))
    return {name: float(np.mean(values)) for name, values in found.items()}


def _small(rgb: np.ndarray) -> list[Any]:
    return np.asarray(cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_AREA)).tolist()


def write(results: dict[str, Any], folder: Path) -> str:
    """The section, and its pictures."""
    words_maps(results, folder / "looked-at.png")
    rows = results["cues"]
    table = plots.table(
        ["left of the picture", "F@1", "pred→GT", "direction, degrees off", "front for back, %"],
        [[name, row["f1"], row["pred_to_gt"], row["direction"], row["flipped"]] for name, row in rows.items()])
    parts = sorted(results["parts"].items(), key=lambda pair: -pair[1][0])
    listed = plots.table(["patch on", "cloud moves by"], [[name, value] for name, (value, _) in parts])
    base = rows["the whole picture"]["f1"]
    order = sorted((name for name in rows if name != "the whole picture"), key=lambda name: rows[name]["f1"])
    return f"""## What information is needed, and how does depth come about?
The network has no depth to see: it knows how cars look from where, and finds the one car and the one camera that fit
the picture. So what it needs is what tells these two. Of {base:.1f} of F@1 with the whole picture remain
{rows["outline only"]["f1"]:.1f} with the outline alone, {rows["no outline"]["f1"]:.1f} without it,
{rows["edges only"]["f1"]:.1f} with a drawing of the edges. What costs most is "{order[0]}", then "{order[1]}"
and "{order[2]}".

{table}

A grey patch of {PATCH} x {PATCH} of the 128 x 128 pixels, moved over the picture: how far the cloud's points move on
average, hundredths of the car's length (Zeiler and Fergus 2014).

{listed}

![Where a patch moves the cloud most](images/answers/looked-at.png)
"""


def words_maps(results: dict[str, Any], path: Path) -> None:
    """Pictures, and beside each where a patch moves the cloud, red most."""
    cells = []
    top = max(float(np.max(one["effect"])) for one in results["maps"])
    for one, picture in zip(results["maps"], results["pictures"], strict=True):
        rgb = cv2.resize(np.array(picture, np.uint8), (192, 192), interpolation=cv2.INTER_CUBIC)
        heat = np.zeros((64, 64), np.float32)
        effect = np.array(one["effect"], np.float32)
        # A value stands in the middle of its patch; PATCH and STEP are of 128 pixels.
        low, side = (PATCH - STEP) // 4, len(effect) * STEP // 2
        heat[low : low + side, low : low + side] = cv2.resize(effect, (side, side))
        level = np.clip(cv2.resize(heat, (192, 192)) / top, 0, 1)
        red = cv2.applyColorMap((level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
        cells.append(np.concatenate([rgb, (rgb * 0.45 + red * 0.55).astype(np.uint8)], 1))
    sheet = np.concatenate([np.concatenate(cells[i : i + 2], 1) for i in range(0, len(cells) - 1, 2)])
    plots.save_picture(path, sheet)
