"""Photos of cars without 3-D truth: the crop that the network sees with some surroundings, and its silhouette."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edge.bundle import Bundle
from edge.errors import ImageError, SourceError
from edge.runtime.finder import Finder, by_prominence, open_finder
from edge.runtime.images import read_image
from edge.runtime.reconstructor import crop_box, crop_square
from edge.runtime.silhouette import Silhouette, open_silhouette, paste
from edge.suffixes import EXTENSIONS, is_image, natural
from training.progress import track

#: How far the stored square reaches in crop coordinates (the network's crop is -1..1), and its side in pixels.
EXTENT, SIDE = 1.25, 160
#: A silhouette that covers less of the network's crop is of no car that could teach.
LEAST = 0.08


class Photo(NamedTuple):
    """One car. name: path below the folder. group: the folder it lies in.

    rgb: (SIDE, SIDE, 3) uint8, crop coordinates -EXTENT..EXTENT. mask: (SIDE, SIDE) float32, probability that a pixel
    shows the car. inside: (SIDE, SIDE) bool, what lies in the picture and not beyond its edge.
    """

    name: str
    group: str
    rgb: np.ndarray
    mask: np.ndarray
    inside: np.ndarray


def read_photos(folder: Path, bundle: Bundle, threads: int = 1) -> tuple[list[Photo], list[str]]:
    """The most prominent car of each photo in a folder and below it, and why others are left out.

    Box and silhouette are those of the bundle's own finder and silhouette network. Raises SourceError: no folder, no
    photo with a car, or a bundle without these two.
    """
    names = photo_names(folder)
    finder, silhouette = open_finder(bundle, threads=threads), open_silhouette(bundle, threads=threads)
    if finder is None or silhouette is None:
        raise SourceError(f"the bundle {bundle.path} has no finder or no silhouette network; give --bundle another one")
    photos, skipped = [], []
    with finder, silhouette:
        for name in track(names, "photos"):
            try:
                image = read_image(str(folder / name))
            except ImageError as error:
                skipped.append(str(error))
                continue
            photo = found_in(image, name, finder, silhouette)
            if photo is None:
                skipped.append(f"{folder / name}: no car is seen well enough")
            else:
                photos.append(photo)
    if not photos:
        raise SourceError(f"no photo of {folder} shows a car that could teach ({skipped[0]}); give photos of cars")
    return photos, skipped


def photo_names(folder: Path) -> list[str]:
    """Paths below a folder of all pictures in it and in its folders, as people count. SourceError if there is none."""
    if not folder.is_dir():
        raise SourceError(f"there is no folder {folder}; give a folder of photos of cars")
    found = [
        os.path.relpath(os.path.join(where, name), folder)
        for where, _, names in os.walk(folder) for name in names if is_image(name) and not name.startswith(".")
    ]  # fmt: skip
    if not found:
        raise SourceError(f"folder {folder} holds no photo; wanted are {' '.join(EXTENSIONS)}")
    return sorted(found, key=natural)


def found_in(image: np.ndarray, name: str, finder: Finder, silhouette: Silhouette) -> Photo | None:
    """The most prominent car of a picture (H, W, 3) BGR; None if none is found, or hardly any of its silhouette."""
    height, width = image.shape[:2]
    cars = by_prominence(finder.find_still(image), (width, height))
    if not cars:
        return None
    square = crop_box(width, height, cars[0].box, 0.1)
    likely = silhouette.mask(image, square)
    if float(np.mean(likely > 0.5)) < LEAST:
        return None
    left, top, side = square
    wide = round(side * EXTENT)
    around = left - (wide - side) // 2, top - (wide - side) // 2, wide
    # Beyond the square in which the silhouette was looked for there is no car: the box holds all of it.
    mask = np.ascontiguousarray(paste(likely, square, (width, height))[..., None].repeat(3, 2))
    at = (np.arange(SIDE) + 0.5) * wide / SIDE
    rows, columns = ((at + start >= 0) & (at + start < end) for start, end in ((around[1], height), (around[0], width)))
    inside = rows[:, None] & columns
    cut = crop_square(mask, around, SIDE)[..., 0].astype(np.float32) / 255
    rgb = np.ascontiguousarray(crop_square(image, around, SIDE)[..., ::-1])
    return Photo(name, str(Path(name).parent), rgb, np.where(inside, cut, 0).astype(np.float32), inside)


def whole_crop(name: str, group: str, rgb: np.ndarray, mask: np.ndarray) -> Photo:
    """A picture (S, S, 3) that is a network's crop already, such as a rendered one, and its mask (S, S) in 0..1."""
    side = round(SIDE / EXTENT)
    before = (SIDE - side) // 2
    after = SIDE - side - before
    rgb, mask = (cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in (rgb, mask))
    inside = np.zeros((SIDE, SIDE), bool)
    inside[before : before + side, before : before + side] = True
    return Photo(
        name, group, cv2.copyMakeBorder(rgb, before, after, before, after, cv2.BORDER_REPLICATE),
        np.pad(mask.astype(np.float32), (before, after)), inside,
    )  # fmt: skip


#: A picture (S, S, 3) uint8 RGB to the probability (S, S) that each pixel shows the car.
Masker = Callable[[np.ndarray], np.ndarray]


def masker(silhouette: Silhouette) -> Masker:
    """The silhouette network on pictures that are crops already."""

    def mask(rgb: np.ndarray) -> np.ndarray:
        side = rgb.shape[0]
        likely = silhouette.mask(np.ascontiguousarray(rgb[..., ::-1]), (0, 0, side))
        return cv2.resize(likely, (side, side), interpolation=cv2.INTER_LINEAR)

    return mask
