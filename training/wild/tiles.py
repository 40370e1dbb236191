"""Sheets of pictures with the boxes that were found in them, twelve a sheet, large enough to judge a box."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from edge.runtime.finder import Detection
from training.benchmark.sheet import INK, PAPER, font, save

#: A tile's picture fits into so many pixels; tiles in a row and on a sheet.
TILE, COLUMNS, PER_SHEET = (400, 320), 4, 12
HEAD, GAP = 20, 6
#: RGB: the chosen car, other boxes, boxes that were given as the truth.
CHOSEN, OTHER, GIVEN = (40, 210, 60), (250, 200, 40), (240, 40, 200)


def tile(
    image_bgr: np.ndarray, title: str, boxes: Sequence[Detection] = (), given: Iterable[Sequence[float]] = ()
) -> Image.Image:
    """A picture (H, W, 3) with its boxes, the first of them the chosen one, and boxes x, y, w, h from elsewhere."""
    scale = min(TILE[0] / image_bgr.shape[1], TILE[1] / image_bgr.shape[0])
    size = max(1, round(image_bgr.shape[1] * scale)), max(1, round(image_bgr.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = Image.fromarray(np.ascontiguousarray(cv2.resize(image_bgr, size, interpolation=way)[..., ::-1]))
    pen = ImageDraw.Draw(small)
    for number, (box, score) in reversed(list(enumerate(boxes))):
        colour = CHOSEN if number == 0 else OTHER
        x, y, w, h = (value * scale for value in box)
        pen.rectangle((x, y, x + w, y + h), outline=colour, width=3 if number == 0 else 1)
        pen.text((x + 4, max(y, 0) + 3), f"{score:.2f}", colour, font(13))
    for one in given:
        x, y, w, h = (value * scale for value in one)
        pen.rectangle((x, y, x + w, y + h), outline=GIVEN, width=1)
    whole = Image.new("RGB", (TILE[0], TILE[1] + HEAD), PAPER)
    ImageDraw.Draw(whole).text((2, 2), title, INK, font(13))
    whole.paste(small, (0, HEAD))
    return whole


def write_sheets(tiles: Sequence[Image.Image], folder: Path, name: str) -> list[Path]:
    """``name``-00.png, ``name``-01.png ... in a folder; returns their paths."""
    paths = []
    for number, first in enumerate(range(0, len(tiles), PER_SHEET)):
        some = tiles[first : first + PER_SHEET]
        rows = -(-len(some) // COLUMNS)
        wide, high = TILE[0] + GAP, TILE[1] + HEAD + GAP
        sheet = Image.new("RGB", (COLUMNS * wide, rows * high), PAPER)
        for index, one in enumerate(some):
            sheet.paste(one, (index % COLUMNS * wide, index // COLUMNS * high))
        paths.append(folder / f"{name}-{number:02d}.png")
        save(sheet, paths[-1])
    return paths
