"""Real photos of cars with the masks that a teacher made: those that teach, and those that are kept for judging."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edge.errors import DataError, ImageError, SettingsError
from edge.runtime.images import read_image
from edge.runtime.reconstructor import Box, crop_box, crop_square
from training.progress import track
from training.silhouette.teacher import check_names, mask_path

#: Surroundings that are kept around a box, and how long its longer edge is at most, pixels: enough for any crop of it.
KEPT, LONGEST = 0.6, 192
#: Margins and shifts of the crops that teach, in parts of the box's longer edge; a finder's boxes are no better.
MARGINS, SHIFT = (0.0, 0.25), 0.08
#: The margin of judged crops, that of the shipped bundle's.
MARGIN = 0.1
#: One of so many photos is kept for judging.
JUDGED = 4


class Photo(NamedTuple):
    """A car with its surroundings. rgb: (H, W, 3) and mask: (H, W) uint8, 255 = wholly the car; box: in its pixels."""

    name: str
    rgb: np.ndarray
    mask: np.ndarray
    box: Box

    def crop(self, square: tuple[int, int, int], size: int) -> tuple[np.ndarray, np.ndarray]:
        """rgb (size, size, 3) and mask (size, size) of a square (left, top, side); the border is repeated."""
        return crop_square(self.rgb, square, size), crop_square(self.mask, square, size)

    def drawn(self, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A crop about as a finder's box gives it, another each time."""
        x, y, w, h = self.box
        off = rng.uniform(-SHIFT, SHIFT, 2) * max(w, h)
        margin = float(rng.uniform(*MARGINS))
        height, width = self.mask.shape
        x, y = min(max(x + off[0], 1 - w), width - 1.0), min(max(y + off[1], 1 - h), height - 1.0)
        return self.crop(crop_box(width, height, (x, y, w, h), margin), size)

    def judged(self, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The crop that the device makes of the box: rgb, mask, and (size, size) bool what lies in the picture."""
        height, width = self.mask.shape
        square = crop_box(width, height, self.box, MARGIN)
        rgb, mask = self.crop(square, size)
        at = (np.arange(size) + 0.5) * square[2] / size
        inside = [(at + start >= 0) & (at + start < end) for start, end in ((square[1], height), (square[0], width))]
        return rgb, mask, inside[0][:, None] & inside[1]


def is_judged(name: str, judged: Collection[str] | None = None) -> bool:
    """Whether a photo is kept for judging: by the names given, or without them one in :data:`JUDGED` by its name."""
    return name in judged if judged is not None else hashlib.sha256(name.encode()).digest()[0] % JUDGED == 0


def read_names(path: Path | None) -> list[str] | None:
    """File names, one a line, ``#`` begins a remark; None without a file. Raises SettingsError."""
    if path is None:
        return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read names of photos in {path} ({error}); give a text file, one a line") from None
    return [name for line in lines if (name := line.partition("#")[0].strip())]


def read_photos(
    paths: Sequence[Path], boxes: Mapping[str, Box], masks: Path, dropped: Collection[str] = ()
) -> tuple[list[Photo], list[str]]:
    """Photos that have a box and a mask and are not dropped, and why others are left out. Raises DataError: none."""
    check_names(paths)
    photos, skipped = [], []
    for path in track(paths, "photos"):
        if path.name in dropped:
            skipped.append(f"{path}: dropped by name")
        elif path.name not in boxes:
            skipped.append(f"{path}: no box")
        else:
            try:
                photos.append(read_photo(path, boxes[path.name], mask_path(masks, path)))
            except (ImageError, DataError) as error:
                skipped.append(f"{path}: {error}")
    if not photos:
        raise DataError(
            f"no photo has both a box and a mask in {masks} ({skipped[0] if skipped else 'no photo was given'}); "
            "make them with: python -m training masks"
        )
    return photos, skipped


def read_photo(path: Path, box: Box, mask: Path) -> Photo:
    """A photo and its mask, cut down to what training needs. Raises ImageError, DataError: they do not fit."""
    image = read_image(str(path))
    truth = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) if mask.is_file() else None
    if truth is None:
        raise DataError(f"there is no mask that can be read at {mask}; make it with: python -m training masks")
    if truth.shape != image.shape[:2]:
        raise DataError(f"{mask} is of {truth.shape[::-1]} pixels and its photo of {image.shape[1::-1]}; make it again")
    height, width = truth.shape
    x, y, w, h = box
    around = KEPT * max(w, h)
    x0, y0 = max(0, int(x - around)), max(0, int(y - around))
    x1, y1 = min(width, int(x + w + around) + 1), min(height, int(y + h + around) + 1)
    if w <= 0 or h <= 0 or x1 - x0 < 2 or y1 - y0 < 2:
        raise DataError(f"the box {x:g},{y:g},{w:g},{h:g} is not within its {width} x {height}; mend --boxes")
    scale = min(1.0, LONGEST / max(w, h))
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    rgb, truth = (
        cv2.resize(np.ascontiguousarray(plane[y0:y1, x0:x1]), size, interpolation=cv2.INTER_AREA)
        for plane in (image[..., ::-1], truth)
    )
    across, down = size[0] / (x1 - x0), size[1] / (y1 - y0)
    return Photo(path.name, rgb, truth, ((x - x0) * across, (y - y0) * down, w * across, h * down))
