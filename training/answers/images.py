"""Which images convert: viewpoint, size in pixels, blur, noise, light, colour, JPEG, crop and occlusion, measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.answers import plots
from training.answers.bench import Bench, Figures, bodies, figures, mean, pictures, reconstruct, truth
from training.benchmark import protocol
from training.progress import track

#: Every so many views of a body are spoilt; all of them take three times as long and tell the same.
EVERY = 3
Spoil = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def smaller(rgb: np.ndarray, side: float, _: np.random.Generator) -> np.ndarray:
    """As a photo in which the car's crop has only ``side`` pixels."""
    return cv2.resize(rgb, (int(side), int(side)), interpolation=cv2.INTER_AREA)


def blurred(rgb: np.ndarray, sigma: float, _: np.random.Generator) -> np.ndarray:
    """Out of focus: a Gaussian of ``sigma`` hundredths of the crop's side."""
    return cv2.GaussianBlur(rgb, (0, 0), sigma / 100 * len(rgb)) if sigma else rgb


def shaken(rgb: np.ndarray, length: float, rng: np.random.Generator) -> np.ndarray:
    """Moved by ``length`` hundredths of the crop's side while the shutter was open, in a random direction."""
    pixels = max(1, round(length / 100 * len(rgb)))
    kernel = np.zeros((2 * pixels + 1,) * 2, np.float32)
    angle = rng.uniform(0, np.pi)
    reach = pixels / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(np.rint(pixels + side * reach).astype(int).tolist()) for side in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return np.asarray(cv2.filter2D(rgb, -1, kernel / kernel.sum()))


def noisy(rgb: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of ``sigma`` grey levels."""
    return np.clip(rgb + rng.normal(0, max(sigma, 1e-9), rgb.shape), 0, 255).astype(np.uint8)


def exposed(rgb: np.ndarray, stops: float, _: np.random.Generator) -> np.ndarray:
    """Too dark or too bright by ``stops``: light times 2 ** stops, what is over is cut off."""
    light = (rgb / 255.0) ** 2.2 * 2.0**stops
    return np.rint(np.clip(light, 0, 1) ** (1 / 2.2) * 255).astype(np.uint8)


def drained(rgb: np.ndarray, share: float, _: np.random.Generator) -> np.ndarray:
    """Without ``share`` of its colour: 1 is black and white."""
    grey = rgb @ np.array([0.299, 0.587, 0.114])
    return np.rint(rgb * (1 - share) + grey[..., None] * share).astype(np.uint8)


def tinted(rgb: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Colours turned about the grey axis by ``share`` of a whole turn: red cars become green ones."""
    hsv = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + round(share * 180)) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB))


def compressed(rgb: np.ndarray, quality: float, _: np.random.Generator) -> np.ndarray:
    """Through JPEG of this quality."""
    data = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]


def misplaced(rgb: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A box that is off by ``share`` hundredths of its side, in a random direction."""
    angle, move = rng.uniform(0, 2 * np.pi), share / 100 * len(rgb)
    shift = np.array([[1, 0, move * np.cos(angle)], [0, 1, move * np.sin(angle)]], np.float32)
    return np.asarray(cv2.warpAffine(rgb, shift, rgb.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))


def rolled(rgb: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    """A camera that is not held level: the picture turned by ``degrees``, one way or the other."""
    middle = (len(rgb) - 1) / 2
    turn = cv2.getRotationMatrix2D((middle, middle), float(degrees) * rng.choice((-1, 1)), 1.0)
    return np.asarray(cv2.warpAffine(rgb, turn, rgb.shape[1::-1], borderMode=cv2.BORDER_REPLICATE))


#: What is done to pictures: a name, its unit, how, and how much. The first of each is the picture as it is, or nearly.
SPOILT: tuple[tuple[str, str, Spoil, tuple[float, ...]], ...] = (
    ("size", "pixels across the crop", smaller, (128, 96, 64, 48, 32, 24, 16)),
    ("blur", "sigma, hundredths of the crop", blurred, (0, 0.5, 1, 2, 4, 8)),
    ("motion blur", "hundredths of the crop", shaken, (1, 3, 6, 12, 24)),
    ("noise", "sigma, grey levels of 255", noisy, (0, 8, 16, 32, 64)),
    ("exposure", "stops", exposed, (0, -1, -2, -3, -4, 1, 2, 3)),
    ("colour taken away", "share", drained, (0, 0.5, 1)),
    ("hue turned", "share of a turn", tinted, (0, 0.25, 0.5, 0.75)),
    ("JPEG", "quality", compressed, (95, 50, 20, 10, 5)),
    ("box off", "hundredths of its side", misplaced, (0, 4, 8, 12, 20)),
    ("camera not level", "degrees", rolled, (0, 5, 10, 20, 45, 90)),
)
SIDES = ("front", "front left", "left", "rear left", "rear", "rear right", "right", "front right")
HIDDEN = ((0.0, 0.1), (0.1, 0.2), (0.2, 0.35), (0.35, 1.0))


def run(bench: Bench) -> dict[str, Any]:
    """Figures of spoilt pictures, by side of view, and by how much is hidden."""
    cars = bodies(bench)
    truths = [truth(mesh, bench) for mesh in cars]
    spoilt = {}
    for name, unit, spoil, levels in SPOILT:
        found = {}
        for level in track(levels, name):
            values = []
            for mesh, true in zip(cars, truths, strict=True):
                views = protocol.views_of(mesh.name, bench.views)
                for index in range(0, bench.views, EVERY):
                    rng = np.random.default_rng([index, round(level * 100) % 2**31])
                    rgb = spoil(pictures(mesh, "plain", bench).rgb[index], level, rng)
                    made = reconstruct(rgb, bench)
                    values.append(figures(made.cloud.points, true, made, views[index]))
            found[f"{level:g}"] = mean(values)
        spoilt[name] = {"unit": unit, "rows": found}
    return {"bodies": [mesh.name for mesh in cars], "spoilt": spoilt} | by_view(bench)


def by_view(bench: Bench) -> dict[str, Any]:
    """Figures of all pictures as they are, by the side that the camera sees, its height, and what is hidden."""
    sides: dict[str, list[Figures]] = {name: [] for name in SIDES}
    heights: dict[str, list[Figures]] = {"below 15 degrees": [], "15 degrees and above": []}
    hidden: dict[str, list[Figures]] = {f"{low:.0%} to {high:.0%}": [] for low, high in HIDDEN}
    for mesh in track(bodies(bench), "by viewpoint"):
        true, views = truth(mesh, bench), protocol.views_of(mesh.name, bench.views)
        for condition in ("plain", "occluded"):
            drawn = pictures(mesh, condition, bench)
            for rgb, view, covered in zip(drawn.rgb, views, drawn.hidden, strict=True):
                made = reconstruct(rgb, bench)
                one = figures(made.cloud.points, true, made, view)
                if condition == "occluded":
                    row = next(n for n, (low, high) in enumerate(HIDDEN) if low <= covered < high or high == 1.0)
                    list(hidden.values())[row].append(one)
                    continue
                sides[SIDES[round(view.azimuth / 45) % 8]].append(one)
                heights[list(heights)[view.elevation >= 15]].append(one)
    return {key: {name: mean(values) | {"pictures": len(values)} for name, values in rows.items() if values}
            for key, rows in (("sides", sides), ("heights", heights), ("hidden", hidden))}


def write(results: dict[str, Any], folder: Path) -> str:
    """The section, and its plots."""
    spoilt = results["spoilt"]
    plots.lines(
        folder / "size.png", [int(level) for level in spoilt["size"]["rows"]][::-1],
        {"F@1": [row["f1"] for row in spoilt["size"]["rows"].values()][::-1],
         "direction, degrees off": [row["direction"] for row in spoilt["size"]["rows"].values()][::-1]},
        "pixels across the car's crop", "", log=True,
    )  # fmt: skip
    plots.lines(
        folder / "sides.png", list(results["sides"]), {"F@1": [r["f1"] for r in results["sides"].values()]},
        "side that the camera sees", "F@1, per cent", size=(7.2, 3.0),
    )  # fmt: skip
    rows = [(f"{name} {level}", row) for name, told in spoilt.items() for level, row in told["rows"].items()]
    whole = spoilt["size"]["rows"]["128"]["f1"]
    worst = sorted(((name, row["f1"] - whole) for name, row in rows), key=lambda pair: pair[1])[:14]
    plots.bars(folder / "spoilt.png", [n for n, _ in worst], [v for _, v in worst], "change of F@1", (6.4, 4.2))
    tables = [
        f"**{name}** ({told['unit']})\n\n" + plots.table(
            ["", *told["rows"]],
            [[label, *(row[key] for row in told["rows"].values())]
             for label, key in (("F@1", "f1"), ("pred→GT", "pred_to_gt"), ("direction, degrees off", "direction"))])
        for name, told in spoilt.items()
    ]  # fmt: skip
    return "\n\n".join([words_spoilt(results), *tables, words_views(results)]) + "\n"


def words_spoilt(results: dict[str, Any]) -> str:
    """What spoils a picture, in words."""
    def lost(rows: dict[str, Any], level: str, first: str) -> str:
        return f"{rows[level]['f1'] - rows[first]['f1']:+.1f}"

    size, grey, roll = (results["spoilt"][name]["rows"] for name in ("size", "colour taken away", "camera not level"))
    return f"""## Which images convert, and does image size matter?
The network sees 128 x 128 pixels, so more cannot help it, and less hurts little at first: with 64 pixels across the
car's crop F@1 changes by {lost(size, "64", "128")}, with 32 by {lost(size, "32", "128")}, with 16 by
{lost(size, "16", "128")}. (Networks for larger inputs: see [the comparison](comparison.md).) Light and colour hardly
count: taking all colour away changes it by {lost(grey, "1", "0")}. A camera that is not held level does, by
{lost(roll, "10", "0")} at 10 degrees. What hurts most of all that was tried stands in the second plot.

![F@1 and direction against pixels](images/answers/size.png)

![What hurts most](images/answers/spoilt.png)"""


def words_views(results: dict[str, Any]) -> str:
    """Sides, heights and what is hidden, in words."""
    def rows(key: str) -> Sequence[Sequence[Any]]:
        return [[name, row["pictures"], row["f1"], row["pred_to_gt"], row["direction"]]
                for name, row in results[key].items()]

    sides, hidden = results["sides"], list(results["hidden"].values())
    ranked = sorted(sides, key=lambda name: -sides[name]["f1"])
    heights = list(results["heights"].values())
    head = ["pictures", "F@1", "pred→GT", "direction, degrees off"]
    return f"""## From where, and behind what?
Best is the {ranked[0]} (F@1 {sides[ranked[0]]["f1"]:.1f}), least good the {ranked[-1]}
({sides[ranked[-1]]["f1"]:.1f}): corners show length, width and height at once. Whether the camera stands low or high
makes a difference of {abs(heights[0]["f1"] - heights[-1]["f1"]):.1f}.

![F@1 by the side that is seen](images/answers/sides.png)

{plots.table(["camera before", *head], rows("sides"))}

{plots.table(["camera's height", *head], rows("heights"))}

How much of the car is hidden (pictures of the condition "occluded", where something stands before it or it is cut
off) makes a difference of {abs(hidden[0]["f1"] - hidden[-1]["f1"]):.1f} in F@1 from the least to the most hidden;
that something is there costs more ({np.mean([row["f1"] for row in sides.values()]):.1f} for the same cars in plain
pictures).

{plots.table(["hidden", *head], rows("hidden"))}"""
