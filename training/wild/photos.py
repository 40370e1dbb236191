"""The finder over photos that each show a car: how often it finds one, how fast, and how well its box fits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import ImageError, SettingsError, SourceError
from edge.runtime.finder import Detection, Finder, by_prominence
from edge.runtime.images import list_images, read_image
from edge.runtime.tracking import alike
from training.progress import track
from training.wild.tiles import tile, write_sheets

Boxes = list[list[float]]
#: The finder is asked for boxes from this score on, so that lower thresholds than its own can be told, too.
LOWEST = 0.1
THRESHOLDS = (0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6)
#: A plate counts as within a box from this part of its area on: who draws it draws it a pixel too large.
INSIDE = 0.95
#: What ``--truth`` names: boxes of number plates, or of whole cars.
KINDS = ("plates", "cars")


def read_truth(path: Path) -> dict[str, Boxes]:
    """Boxes by file name: ``{"a.jpg": [x, y, w, h]}``, or a list of such boxes. SettingsError for anything else."""
    hint = 'it should read like {"a.jpg": [x, y, width, height], "b.jpg": [[...], [...]]}, in pixels'
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        truth = {
            str(name): [[float(v) for v in one] for one in (given if given and isinstance(given[0], list) else [given])]
            for name, given in found.items()
        }
    except OSError as error:
        raise SettingsError(f"cannot read the boxes in {path}: {error.strerror}") from error
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise SettingsError(f"{path} is no list of boxes ({error}); {hint}") from error
    wrong = [name for name, boxes in truth.items() if any(len(b) != 4 or min(b[2:]) <= 0 for b in boxes)]
    if wrong:
        raise SettingsError(f"{path} gives {wrong[0]} no four numbers with a width and a height; {hint}")
    return truth


def chosen(found: Sequence[Detection], size: tuple[int, int], threshold: float) -> Detection | None:
    """The car that is reconstructed of these in a picture of ``size`` (width, height), None without any."""
    kept = by_prominence([one for one in found if one.score >= threshold], size)
    return kept[0] if kept else None


def inside(part: Sequence[float], box: Sequence[float]) -> float:
    """Which part of the area of x, y, width, height ``part`` lies within ``box``, 0..1."""
    wide = min(part[0] + part[2], box[0] + box[2]) - max(part[0], box[0])
    high = min(part[1] + part[3], box[1] + box[3]) - max(part[1], box[1])
    return max(wide, 0.0) * max(high, 0.0) / (part[2] * part[3])


def find_in(finder: Finder, folder: Path, out: Path, truth: Mapping[str, Boxes] | None, kind: str) -> dict[str, Any]:
    """Look at every photo, write sheets photos-NN.png, and return the figures, ready for JSON.

    The finder's own threshold is what its figures are for. A photo that cannot be read is named and left out.
    Raises SourceError: no folder, no photo that can be read. SettingsError: boxes of photos that are not there.
    """
    names = list_images(str(folder))
    missing = sorted(set(truth or ()) - set(names))
    if missing:
        raise SettingsError(f"{folder} holds no {missing[0]}, which the boxes name; add it or take it off the list")
    threshold, looked = finder.threshold, []
    photos: dict[str, dict[str, Any]] = {}
    milliseconds, left_out, tiles = [], [], []
    finder.threshold = min(threshold, LOWEST)
    try:
        for name in track(names, "photos"):
            try:
                image = read_image(str(folder / name))
            except ImageError as error:
                left_out.append(str(error))
                continue
            size = (image.shape[1], image.shape[0])
            found = finder.find_still(image)
            milliseconds.append(finder.milliseconds)
            best = chosen(found, size, threshold)
            given = (truth or {}).get(name, [])
            photos[name] = _facts(found, best, threshold, given, kind)
            looked.append((found, size))
            shown = by_prominence([one for one in found if one.score >= threshold], size)
            tiles.append(tile(image, f"{name}  {size[0]} x {size[1]}" + ("" if best else "  NO CAR"), shown, given))
    finally:
        finder.threshold = threshold
    if not photos:
        raise SourceError(f"no photo of {folder} could be read: {'; '.join(left_out[:3])}")
    shares = {
        f"{t:g}": sum(chosen(found, size, t) is not None for found, size in looked)
        for t in sorted({*THRESHOLDS, threshold})
        if t >= min(threshold, LOWEST)
    }
    result: dict[str, Any] = {
        "photos": len(photos), "left_out": left_out, "threshold": threshold,
        "found": shares[f"{threshold:g}"], "found_at": shares,
        "missed": [name for name, facts in photos.items() if facts["box"] is None],
        "milliseconds": {"median": round(float(np.median(milliseconds)), 1),
                         "p95": round(float(np.percentile(milliseconds, 95)), 1)},
        "sheets": [path.name for path in write_sheets(tiles, out, "photos")],
    }  # fmt: skip
    if truth:
        result[kind] = _fit(photos, kind)
    return {**result, "per_photo": photos}


def _facts(
    found: Sequence[Detection], best: Detection | None, threshold: float, given: Boxes, kind: str
) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "box": None if best is None else [round(v, 1) for v in best.box],
        "score": None if best is None else round(best.score, 3),
        "highest": round(max((one.score for one in found), default=0.0), 3),
        "boxes": sum(one.score >= threshold for one in found),
    }
    if given:
        # A photo of several cars is judged by the one that is nearest to what was chosen.
        measure = inside if kind == "plates" else alike
        facts[kind] = 0.0 if best is None else round(max(measure(one, best.box) for one in given), 3)
    return facts


def _fit(photos: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """How well the chosen boxes fit what was given. A photo without a box counts as not fitting."""
    values = {name: float(facts[kind]) for name, facts in photos.items() if kind in facts}
    seen = {name: value for name, value in values.items() if photos[name]["box"] is not None}
    if kind == "plates":
        within = [name for name, value in seen.items() if value >= INSIDE]
        return {"given": len(values), "of_found": len(seen), "inside": len(within),
                "outside": sorted(set(seen) - set(within))}  # fmt: skip
    numbers = np.array(list(seen.values())) if seen else np.zeros(1)
    return {"given": len(values), "of_found": len(seen), "median_iou": round(float(np.median(numbers)), 3),
            "iou_above_half": int((numbers > 0.5).sum()),
            "poor": sorted(name for name, value in values.items() if value <= 0.5)}  # fmt: skip
