"""The photos to tell apart: where each lies, its box, its class, and which side of the split it is on."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.errors import DataError, SettingsError
from edge.photosets import Box, Photo, PhotoSet, open_photos
from edge.suffixes import natural
from training.datasets.base import DataSet
from training.datasets.registry import DATASETS
from training.datasets.rendered import TRUTH, TRUTH_FORMAT

#: What can stand before the colon of ``--data``, and what ``edge.photosets`` calls it.
KINDS = {"bmw10": "bmw10", "stanford-cars": "stanford-cars", "tree": "folder"}


class Examples(NamedTuple):
    """Photos with classes. names, paths: of each. boxes: the car's, None = not known.

    labels: (N,) int, index into ``classes``. test: (N,) bool. azimuth: (N,) float64, degrees from before the nose, from
    the truth beside rendered photos; NaN where nobody knows. notes: sentences on what was found, fit for a report.
    """

    names: list[str]
    paths: list[str]
    boxes: list[Box | None]
    labels: np.ndarray
    test: np.ndarray
    classes: list[str]
    azimuth: np.ndarray
    notes: list[str]


def open_examples(data: str, seed: int = 0) -> Examples:
    """Photos of ``KIND:DIR``, such as bmw10:DIR. seed: of the split, where the photos come without one.

    SettingsError: another kind. SourceError, DataError: no such folder, not that data set, or nothing to learn from or
    to test on; the sentence says where to get it.
    """
    kind, colon, folder = data.partition(":")
    if kind not in KINDS or not colon or not folder:
        raise SettingsError(
            f"--data {data!r} is none of {', '.join(name + ':DIR' for name in KINDS)}, stand-in; "
            "for example: --data bmw10:data/bmw10"
        )
    published = DATASETS.get(kind)
    if published is not None and not Path(folder).is_dir():
        raise DataError(f"there is no folder {folder} with {kind}; {published.source()}")
    return examples_of(open_photos(folder, KINDS[kind]), seed, published)


def examples_of(found: PhotoSet, seed: int = 0, published: DataSet | None = None) -> Examples:
    """Those photos of a set that have a class. Classes of which no photo is left to learn from are left out.

    DataError if fewer than two classes remain, or there is nothing to test on.
    """
    notes = [*found.notes]
    photos = [photo for photo in found.photos if photo.group]
    _tell(notes, len(found.photos) - len(photos), "without a class left out")
    _tell(notes, len(found.missing), "listed but not there")
    # Somebody's validation photos are for neither: the settings are chosen on the training photos alone.
    sides = [photo.split for photo in photos]
    if set(sides) <= {"none"}:
        sides = halves(photos, seed)
        notes.append("no split comes with these photos: half of each class, by chance, is for training")
    else:
        notes.append(f"the split is the one that comes with {found.kind}")
    kept = [index for index, side in enumerate(sides) if side in ("train", "test")]
    learnt = {str(photos[index].group) for index in kept if sides[index] == "train"}
    kept = [index for index in kept if photos[index].group in learnt]
    _tell(notes, len(photos) - len(kept), "of other splits, or of classes without training photos, left out")
    classes = sorted(learnt, key=natural)
    test = np.array([sides[index] == "test" for index in kept], bool)
    _check(found, classes, test, published)
    unboxed = sum(photos[index].box is None for index in kept)
    _tell(notes, unboxed, "without a box: the bundle's finder looks for the car")
    azimuths, bodies = read_truth(Path(found.root))
    return Examples(
        [photos[i].name for i in kept], [photos[i].path for i in kept], [photos[i].box for i in kept],
        np.array([classes.index(str(photos[i].group)) for i in kept], np.int64), test,
        [bodies.get(name, name) for name in classes],
        np.array([azimuths.get(photos[i].name, np.nan) for i in kept], np.float64), notes,
    )  # fmt: skip


def halves(photos: Sequence[Photo], seed: int) -> list[str]:
    """A side for each photo: of each class, half by chance for training, one more where the number is odd."""
    sides = ["test"] * len(photos)
    for group in sorted({str(photo.group) for photo in photos}):
        rows = [index for index, photo in enumerate(photos) if photo.group == group]
        rng = np.random.default_rng([seed, zlib.crc32(group.encode())])
        for row in rng.permutation(rows)[: (len(rows) + 1) // 2]:
            sides[int(row)] = "train"
    return sides


def read_truth(root: Path) -> tuple[dict[str, float], dict[str, str]]:
    """Azimuths by photo, and bodies by class, from the truth.json of a rendered set; empty without one."""
    path = root / TRUTH
    if not path.is_file():
        return {}, {}
    try:
        truth = json.loads(path.read_text(encoding="utf-8"))
        if truth.get("format") != TRUTH_FORMAT:
            return {}, {}
        azimuths = {str(row["name"]): float(row["azimuth_deg"]) for row in truth["photos"]}
        return azimuths, {f"bmw {row['class']}": str(row["body"]) for row in truth["classes"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); render the photos again, or delete it") from error


def _check(found: PhotoSet, classes: list[str], test: np.ndarray, published: DataSet | None) -> None:
    where = f"; {published.source()}" if published is not None else ""
    if len(classes) < 2:
        raise DataError(f"{found.root} has {len(classes)} classes with photos to learn from, and two are needed{where}")
    if not test.any():
        raise DataError(f"{found.root} has no photo with a class to test on{where}")


def counts(examples: Examples) -> str:
    """One line: photos, classes, and how many a class has."""
    train = Counter(examples.labels[~examples.test].tolist())
    least, most = min(train.values()), max(train.values())
    each = f"{least}" if least == most else f"{least} to {most}"
    return (
        f"{len(examples.classes)} classes; {int((~examples.test).sum())} photos to learn from ({each} a class), "
        f"{int(examples.test.sum())} to test on"
    )


def _tell(notes: list[str], count: int, what: str) -> None:
    if count:
        notes.append(f"{count} photo{'' if count == 1 else 's'} {what}")
