"""False alarms: pictures and scenes without a car, as a device sees them that watches for one.

A wrong box in a single look makes no cloud: the tracker believes a car that was found twice. So a picture is watched
for three seconds by a camera that is held by hand, and counted twice: whether any look gave a box, and whether a car
was believed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from edge.errors import ImageError, SettingsError, SourceError
from edge.runtime.finder import Detection
from edge.runtime.following import Follower
from edge.runtime.images import list_images, read_image
from training.progress import track
from training.wild.empty import LOOKS, RATE, EmptyStreets
from training.wild.play import Remembering
from training.wild.tiles import tile, write_sheets

#: A hand-held camera shows so much of a still picture, and wanders over it so far to each side (parts of its size).
SHOWN, WANDER = 0.92, 0.04
#: Most pictures on the sheets of what was taken for a car, and of scenes.
ALARMS, SHOWN_SCENES = 36, 24
#: Longest that is asked for at once.
MOST_MINUTES = 600.0


class Watched(NamedTuple):
    """looks: how many. boxes: of all looks, and with_box: looks that had any. best: the highest score, 0 without a box.
    believed: numbers of the cars. clouds: looks in which one would have been reconstructed. picture, detections: the
    look with the highest score, or the first one."""

    looks: int
    boxes: int
    with_box: int
    best: float
    believed: tuple[int, ...]
    clouds: int
    picture: np.ndarray
    detections: list[Detection]


def watch(pictures: Iterable[np.ndarray], follower: Follower, finder: Remembering, start: float = 0.0) -> Watched:
    """Look at pictures (H, W, 3) uint8 BGR, RATE a second; at least one. start: seconds of the first.

    follower: over ``finder``; kept from scene to scene it forgets as the device does.
    """
    looks = boxes = with_box = clouds = 0
    best, believed, shown = 0.0, set[int](), None
    for picture in pictures:
        finder.found = None
        box, sight = follower.look(picture, start + looks / RATE)
        found = _last(finder)
        looks, boxes, with_box = looks + 1, boxes + len(found), with_box + bool(found)
        clouds += box is not None
        believed |= {track.number for track in sight.cars}
        top = max((one.score for one in found), default=0.0)
        if shown is None or top > best:
            best, shown = max(best, top), (picture, list(found))
    assert shown is not None
    return Watched(looks, boxes, with_box, best, tuple(sorted(believed)), clouds, *shown)


def _last(finder: Remembering) -> list[Detection]:
    """What was found since it was last forgotten; nothing where nobody looked."""
    return finder.found or []


def by_hand(image: np.ndarray, looks: int = LOOKS) -> Iterator[np.ndarray]:
    """A still picture as a hand-held camera sees it: ever another window of it. The first is the middle one."""
    height, width = image.shape[:2]
    wide, high = max(1, round(width * SHOWN)), max(1, round(height * SHOWN))
    for look in range(looks):
        x, y = WANDER * np.sin(1.1 * look) + WANDER, WANDER * np.sin(0.7 * look) + WANDER
        left, top = min(int(x * width), width - wide), min(int(y * height), height - high)
        yield np.ascontiguousarray(image[top : top + high, left : left + wide])


def find_none(finder: Remembering, folder: Path, out: Path) -> dict[str, Any]:
    """Watch every picture of a folder of car-free ones; returns figures, ready for JSON, and writes alarms-NN.png.

    Raises SourceError: no folder, or no picture that can be read; one that cannot is named and left out.
    """
    still: list[str] = []
    boxed: list[str] = []
    believed: list[str] = []
    left_out: list[str] = []
    scores: dict[str, float] = {}
    tiles: list[Image.Image] = []
    for name in track(list_images(str(folder)), "car-free pictures"):
        try:
            image = read_image(str(folder / name))
        except ImageError as error:
            left_out.append(str(error))
            continue
        whole = finder.find_still(image)
        seen = watch(by_hand(image), Follower(finder, interval=0.0), finder)
        scores[name] = round(max([seen.best, *(one.score for one in whole)]), 3)
        if whole:
            still.append(name)
        if whole or seen.boxes:
            boxed.append(name)
            shown, detections = (image, whole) if whole else (seen.picture, seen.detections)
            words = "  BELIEVED" if seen.believed else ""
            tiles.append(tile(shown, f"{name}{words}  {seen.with_box} of {seen.looks} looks", detections))
        if seen.believed:
            believed.append(name)
    if not scores:
        raise SourceError(f"no picture of {folder} could be read: {'; '.join(left_out[:3])}")
    return {
        "pictures": len(scores), "looks_each": LOOKS, "left_out": left_out, "threshold": finder.threshold,
        "with_a_box_as_it_is": still, "with_a_box_in_any_look": boxed, "believed": believed,
        "scores": {name: scores[name] for name in boxed},
        "sheets": [path.name for path in write_sheets(tiles[:ALARMS], out, "alarms")],
    }  # fmt: skip


def find_empty(finder: Remembering, minutes: float, out: Path, seed: int = 0) -> dict[str, Any]:
    """Watch drawn car-free scenes for so many minutes of a device's time; returns figures, ready for JSON.

    Writes scenes-NN.png, some of the scenes, and empty-alarms-NN.png, those with a box. Raises SettingsError for a
    silly time, DataError where nothing can be drawn.
    """
    if not 0 < minutes <= MOST_MINUTES:
        raise SettingsError(f"--empty-minutes is {minutes:g}; give up to {MOST_MINUTES:g}, for example 10")
    count = max(1, int(np.ceil(minutes * 60 * RATE / LOOKS)))
    follower = Follower(finder, interval=0.0)
    seen: list[Watched] = []
    some: list[Image.Image] = []
    alarms: list[Image.Image] = []
    with EmptyStreets(seed) as streets:
        for number in track(range(count), "empty scenes"):
            one = watch(streets.pictures(number), follower, finder, number * LOOKS / RATE)
            seen.append(one)
            words = f"scene {number}" + ("  BELIEVED" if one.believed else "")
            if number % max(1, count // SHOWN_SCENES) == 0 and len(some) < SHOWN_SCENES:
                some.append(tile(one.picture, words, one.detections))
            if one.boxes and len(alarms) < ALARMS:
                alarms.append(tile(one.picture, words, one.detections))
    looks, cars = sum(one.looks for one in seen), {number for one in seen for number in one.believed}
    return {
        "minutes": round(looks / RATE / 60, 3), "looks": looks, "scenes": count, "seed": seed,
        "threshold": finder.threshold, "boxes": sum(one.boxes for one in seen),
        "looks_with_a_box": sum(one.with_box for one in seen), "believed": len(cars),
        "looks_that_would_give_a_cloud": sum(one.clouds for one in seen),
        "scenes_with_a_box": {str(n): round(one.best, 3) for n, one in enumerate(seen) if one.boxes},
        "scenes_with_a_believed_car": [n for n, one in enumerate(seen) if one.believed],
        "sheets": _sheets(some, alarms, out),
    }  # fmt: skip


def _sheets(some: list[Image.Image], alarms: list[Image.Image], out: Path) -> list[str]:
    paths = write_sheets(some, out, "scenes") + write_sheets(alarms, out, "empty-alarms")
    return [path.name for path in paths]
