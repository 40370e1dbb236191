"""Masks over their photos on one sheet, to be looked at before they teach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.errors import DataError, ImageError
from edge.ply import atomic_file
from edge.runtime.reconstructor import Box
from training.silhouette.photos import Photo, read_photo
from training.silhouette.teacher import mask_path

#: Side of a cell in pixels, cells in a row, height of the name under a cell.
SIDE, COLUMNS, NAME = 200, 8, 16


def cell(photo: Photo) -> np.ndarray:
    """(SIDE + NAME, SIDE, 3) uint8 RGB: what is not masked is dark and reddish; with the box, and the name below."""
    cover = photo.mask[..., None] / 255.0
    shade = np.array([120.0, 0.0, 40.0]) + 0.3 * photo.rgb
    image = np.ascontiguousarray(photo.rgb * cover + shade * (1 - cover), dtype=np.float64).astype(np.uint8)
    x, y, w, h = (round(v) for v in photo.box)
    cv2.rectangle(image, (x, y), (x + w, y + h), (255, 220, 0), 1)
    scale = SIDE / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    result = np.full((SIDE + NAME, SIDE, 3), 255, np.uint8)
    result[: size[1], : size[0]] = small
    cv2.putText(result, photo.name, (2, SIDE + NAME - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return result


def draw_masks(paths: Sequence[Path], boxes: Mapping[str, Box], masks: Path, out: Path) -> int:
    """Draw all photos that have a mask to a PNG; how many. Raises DataError: none has."""
    cells = []
    for path in paths:
        try:
            if path.name in boxes and mask_path(masks, path).is_file():
                cells.append(cell(read_photo(path, boxes[path.name], mask_path(masks, path))))
        except (ImageError, DataError):
            continue  # named when the masks were made
    if not cells:
        raise DataError(f"no photo has a mask in {masks}; make them with: python -m training masks")
    blank = np.full_like(cells[0], 255)
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    rows[-1] += [blank] * (COLUMNS - len(rows[-1]) if len(rows) > 1 else 0)
    sheet = np.concatenate([np.concatenate(row, 1) for row in rows])
    with atomic_file(str(out)) as handle:
        handle.write(cv2.imencode(".png", np.ascontiguousarray(sheet[..., ::-1]))[1].tobytes())
    return len(cells)
