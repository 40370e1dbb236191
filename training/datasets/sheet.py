"""A contact sheet of a data set: photos with boxes and viewpoints, renderings, meshes."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from PIL import Image, ImageDraw

from edge.errors import DataError
from training.datasets.base import Contents, Photo, Rendering, Viewpoint
from training.meshes.sheet import VIEWS, picture

LOG = logging.getLogger(__name__)
BACKGROUND = (238, 238, 238)
MARK = (230, 60, 30)
CAPTION = 28
Item = TypeVar("Item")


def contact_sheet(contents: Contents, items: int = 24, columns: int = 6, size: int = 220, seed: int = 0) -> Image.Image:
    """Up to ``items`` photos, as many renderings and a row of meshes, drawn by ``seed``; unreadable ones say so.

    DataError if there is nothing to show.
    """
    rng = np.random.default_rng(seed)
    meshes = [asset for asset in contents.assets if asset.kind == "mesh"]
    cells = [_photo_cell(photo, size) for photo in _some(contents.photos, items, rng)]
    cells += [_rendering_cell(rendering, size) for rendering in _some(contents.renderings, items, rng)]
    cells += [_mesh_cell(asset.load, asset.name, size) for asset in _some(meshes, columns, rng)]
    if not cells:
        raise DataError(f"{contents.root} holds no photos, renderings or meshes to show")
    rows = (len(cells) + columns - 1) // columns
    sheet = Image.new("RGB", (columns * size, rows * (size + CAPTION)), BACKGROUND)
    for index, cell in enumerate(cells):
        sheet.paste(cell, (index % columns * size, index // columns * (size + CAPTION)))
    return sheet


def _some(items: Sequence[Item], count: int, rng: np.random.Generator) -> list[Item]:
    return [items[i] for i in sorted(rng.permutation(len(items))[:count])]


def _photo_cell(photo: Photo, size: int) -> Image.Image:
    lines = [photo.class_name or photo.path.name, ", ".join((photo.split, *photo.flags))]
    return _cell(lambda: _with_box(photo.load(), photo), photo.viewpoint, lines, size)


def _rendering_cell(rendering: Rendering, size: int) -> Image.Image:
    lines = [rendering.model_id, rendering.split]
    if rendering.viewpoint is not None and rendering.viewpoint.azimuth_deg is None:
        lines[1] += f", source azimuth {rendering.viewpoint.source_azimuth_deg:.0f}"
    return _cell(lambda: _on_grey(rendering.load()), rendering.viewpoint, lines, size)


def _mesh_cell(load: Callable, name: str, size: int) -> Image.Image:
    def drawn() -> Image.Image:
        car = load().canonical()
        half = Image.new("RGB", (size, size), BACKGROUND)
        # The three-quarter view is higher than half its width: drawn smaller.
        for row, (direction, width) in enumerate(zip(VIEWS, (1.7, 1.15))):
            shot = Image.fromarray(picture(car, direction, size, width))
            half.paste(shot.crop((0, size // 4, size, size // 4 + size // 2)), (0, row * (size // 2)))
        return half

    return _cell(drawn, None, [name, "mesh: from its left front, its left"], size)


def _cell(
    draw: Callable[[], Image.Image], viewpoint: Viewpoint | None, lines: Sequence[str], size: int
) -> Image.Image:
    """A picture fitted into size x size with a compass of the viewpoint, two lines of text below."""
    cell = Image.new("RGB", (size, size + CAPTION), BACKGROUND)
    pen = ImageDraw.Draw(cell)
    try:
        shot = draw()
        scale = (size - 2) / max(shot.size)
        shot = shot.resize((max(1, round(shot.width * scale)), max(1, round(shot.height * scale))))
        cell.paste(shot, ((size - shot.width) // 2, (size - shot.height) // 2))
        if viewpoint is not None and viewpoint.azimuth_deg is not None:
            _compass(pen, viewpoint.azimuth_deg, viewpoint.elevation_deg)
    except DataError as error:
        LOG.warning("%s", error)
        pen.text((6, size // 2), "cannot be read", fill=MARK)
    for row, line in enumerate(lines):
        pen.text((3, size + 1 + 13 * row), line[: size // 6], fill="black")
    return cell


def _with_box(image: np.ndarray, photo: Photo) -> Image.Image:
    shown = Image.fromarray(image)
    if photo.box is not None:
        x, y, width, height = photo.box
        line = max(1, round(max(shown.size) / 110))
        ImageDraw.Draw(shown).rectangle((x, y, x + max(width, 1) - 1, y + max(height, 1) - 1), outline=MARK, width=line)
    return shown


def _on_grey(image: np.ndarray) -> Image.Image:
    shown = Image.fromarray(image)
    if shown.mode != "RGBA":
        return shown
    ground = Image.new("RGBA", shown.size, (*BACKGROUND, 255))
    ground.alpha_composite(shown)
    return ground.convert("RGB")


def _compass(pen: ImageDraw.ImageDraw, azimuth_deg: float, elevation_deg: float) -> None:
    """The car from above, nose up, and where the camera stands."""
    x, y, radius = 22.0, 22.0, 15.0
    pen.ellipse((x - 19, y - 19, x + 19, y + 19), fill="white", outline="grey")
    pen.polygon([(x, y - 11), (x + 5, y - 5), (x + 5, y + 9), (x - 5, y + 9), (x - 5, y - 5)], fill="grey")
    turn = math.radians(azimuth_deg)
    # The car's left is on the left of a plan with the nose up.
    cx, cy = x - radius * math.sin(turn), y - radius * math.cos(turn)
    pen.ellipse((cx - 4, cy - 4, cx + 4, cy + 4), fill=MARK)
    label = f"{azimuth_deg:.0f}, {elevation_deg:.0f}"
    pen.rectangle((x + 20, y - 19, x + 24 + 6 * len(label), y - 6), fill="white")
    pen.text((x + 22, y - 19), label, fill=MARK)
