"""What is known of each photo: plain features, the flagship's, the predicted shape, and appearance on its surface.

Each is the mean over the photo and its mirror image: a car looks alike from both sides, which so the plain features,
too, are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.bundle import Bundle, sha256_file
from edge.errors import ImageError
from edge.geometry import even_stride
from edge.pose import decode_pose
from edge.runtime.finder import Finder, by_prominence, open_finder
from edge.runtime.images import read_image
from edge.runtime.reconstructor import Box, crop_box, crop_square, normalise
from training.classify.network import IMAGENET_SIDE, Flagship, ImageNet, Maps
from training.classify.photos import Examples
from training.classify.surface import ALONG, UP, pooled
from training.data.kept import fingerprint, keep, read_kept
from training.progress import track

Features = dict[str, np.ndarray]
#: Points of a cloud that are kept as its shape.
SHAPE_POINTS = 1024
#: Changes whenever the same photos give other features.
VERSION = 2
#: Rows and columns of the picture grid, as many cells as the surface has regions.
GRID = (UP, ALONG)


def features_of(examples: Examples, bundle: Bundle, kept: Path, margin: float | None = None) -> Features:
    """Arrays by name, a row for each photo; read from the file ``kept`` if it is of these photos and this bundle.

    plain: (N, 1280) of the ImageNet network; plain_cells: (N, 4 x 320) of the picture's quarters. encoder: (N, 472)
    means of the flagship's maps; encoder_cells: (N, 4 x 320). points: (N, SHAPE_POINTS, 3) canonical. told: (N, 11) log
    of the length, logits of the body classes. surface_plain, surface_encoder: (N, REGIONS, 152) sums over the seen
    points of each region, and seen: (N, REGIONS) their number. grid_plain, grid_encoder: (N, REGIONS x 152) means of
    the same maps over cells of the picture, which is what the surface is compared with. azimuth: (N,) degrees,
    predicted. read: (N,) bool, False for photos that cannot be read, whose rows are 0.
    """
    key = fingerprint([VERSION, margin, *_about(examples), sha256_file(bundle.graph_at("fp32").path)], [])
    known = read_kept(kept, key)
    if known is not None:
        return {name: value for name, value in known.items() if name != "key"}
    flagship, plain, finder = Flagship(bundle), ImageNet(), None
    if any(box is None for box in examples.boxes):
        finder = open_finder(bundle, threads=1)
    rows: list[Features | None] = []
    for path, box in track(list(zip(examples.paths, examples.boxes, strict=True)), "features"):
        try:
            image = read_image(path)
        except ImageError:
            rows.append(None)
            continue
        rows.append(look(image, box or found_box(image, finder), flagship, plain, margin))
    made = stacked(rows)
    kept.parent.mkdir(parents=True, exist_ok=True)
    keep(kept, key, compressed=False, **made)
    return made


def found_box(image: np.ndarray, finder: Finder | None) -> Box | None:
    """The most prominent car's box, or None: the whole picture."""
    cars = by_prominence(finder.find_still(image), (image.shape[1], image.shape[0])) if finder is not None else []
    return cars[0].box if cars else None


def look(
    image_bgr: np.ndarray, box: Box | None, flagship: Flagship, plain: ImageNet, margin: float | None = None
) -> Features:
    """The features of one photo (H, W, 3) uint8; the car's box, None = the whole picture."""
    bundle = flagship.bundle
    square = crop_box(image_bgr.shape[1], image_bgr.shape[0], box, bundle.margin if margin is None else margin)
    large, small = (crop_square(image_bgr, square, side) for side in (IMAGENET_SIDE, bundle.input_size))
    both = [_one(large, small, flagship, plain), _one(large[:, ::-1], small[:, ::-1], flagship, plain)]
    both[1]["points"] = both[1]["points"] * np.array([1, -1, 1], np.float32)
    made = {name: (both[0][name] + both[1][name]) / 2 for name in both[0]}
    made["azimuth"] = both[0]["azimuth"]
    return made


def stacked(rows: Sequence[Features | None]) -> Features:
    """A row for each photo; zeros, and ``read`` False, for those that are None. ImageError if all are."""
    read = np.array([row is not None for row in rows], bool)
    first = next((row for row in rows if row is not None), None)
    if first is None:
        raise ImageError("none of the photos can be read; unpack the data set again")
    made = {
        name: np.stack([np.zeros_like(value) if row is None else row[name] for row in rows])
        for name, value in first.items()
    }
    return {**made, "read": read}


def _one(large: np.ndarray, small: np.ndarray, flagship: Flagship, plain: ImageNet) -> Features:
    bundle, small = flagship.bundle, np.ascontiguousarray(small)
    told, maps = flagship.look(_input(small, bundle.mean, bundle.std))
    imagenet = plain.look(_input(np.ascontiguousarray(large), plain.mean, plain.std))
    pose = decode_pose(told["azimuth"][0], told["camera"][0])
    points = told["points"][0]
    sums, seen = pooled(points, pose, small, [[imagenet.finest, imagenet.fine], [maps.finest, maps.fine]])
    assert imagenet.pooled is not None  # the ImageNet network has it
    return {
        "plain": imagenet.pooled, "plain_cells": cells(imagenet.coarse),
        "encoder": means(maps), "encoder_cells": cells(maps.coarse),
        "points": points[even_stride(len(points), SHAPE_POINTS)].astype(np.float32),
        "told": np.concatenate([told["length"][0][:1], told["classes"][0]]).astype(np.float32),
        "grid_plain": grid([imagenet.finest, imagenet.fine]), "grid_encoder": grid([maps.finest, maps.fine]),
        "surface_plain": sums[0], "surface_encoder": sums[1], "seen": seen,
        "azimuth": np.array(pose.azimuth, np.float32),
    }  # fmt: skip


def means(maps: Maps) -> np.ndarray:
    """(472,): each channel's mean over the picture, finest maps first."""
    return np.concatenate([value.mean((1, 2)) for value in (maps.finest, maps.fine, maps.coarse)])


def cells(coarse: np.ndarray) -> np.ndarray:
    """(4 C,): means of the quarters of a map (C, h, w); of odd maps the middle counts for both sides."""
    height, width = coarse.shape[1:]
    rows, columns = ((slice(0, (n + 1) // 2), slice(n // 2, n)) for n in (height, width))
    return np.concatenate([coarse[:, row, column].mean((1, 2)) for row in rows for column in columns])


def grid(maps: Sequence[np.ndarray]) -> np.ndarray:
    """(R x K x C,): means of maps (C, h, w) over R rows and K columns of cells, the channels of all maps together."""
    found = []
    for values in maps:
        rows, columns = (np.array_split(np.arange(n), count) for n, count in zip(values.shape[1:], GRID, strict=True))
        found.append([values[:, row][:, :, column].mean((1, 2)) for row in rows for column in columns])
    return np.concatenate([np.stack(cell) for cell in found], 1).ravel()


def _input(crop_bgr: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    side = len(crop_bgr)
    return normalise(crop_bgr, mean, std, np.empty((3, side, side), np.float32))[None]


def _about(examples: Examples) -> list[object]:
    """What the features hang on: every photo's name, size in bytes, time and box."""
    stats = [Path(path).stat() if Path(path).is_file() else None for path in examples.paths]
    files = [None if stat is None else [stat.st_size, stat.st_mtime_ns] for stat in stats]
    return [examples.names, files, [None if box is None else list(map(float, box)) for box in examples.boxes]]
