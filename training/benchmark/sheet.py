"""Contact sheet: each input picture beside the predicted cloud, seen from three sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from edge.ply import atomic_file
from training.benchmark.splat import BACKGROUND, draw_cloud

#: Name of a side and the direction it is seen from, canonical frame.
SIDES = (("side", (0.0, 1.0, 0.0)), ("front three-quarter", (1.0, 0.75, 0.5)), ("top", (0.0, 0.0, 1.0)))
PICTURE, VIEW_WIDTH, HEAD, GAP = 220, 300, 30, 14
CARD_WIDTH = PICTURE + len(SIDES) * VIEW_WIDTH
INK, FAINT, ACCENT = (30, 34, 44), (122, 130, 145), (12, 110, 125)
PAPER = (255, 255, 255)


@dataclass(frozen=True)
class Card:
    """One line of the sheet.

    picture: (H, W, 3) uint8 RGB. box: x, y, width, height in it, or None. points: (N, 3) canonical.
    title, detail: texts above it.
    """

    picture: np.ndarray
    points: np.ndarray
    title: str
    detail: str
    box: tuple[float, float, float, float] | None = None


def draw_sheet(cards: Sequence[Card], heading: str) -> Image.Image:
    """The sheet of at least one card, in two columns when there are more than four."""
    columns = 2 if len(cards) > 4 else 1
    lines = -(-len(cards) // columns)
    high = HEAD + PICTURE + GAP
    sheet = Image.new("RGB", (GAP + columns * (CARD_WIDTH + GAP), 2 * GAP + 34 + lines * high), _byte(BACKGROUND))
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), heading, INK, font(22))
    for index, card in enumerate(cards):
        # Down the first column, then the second: what belongs together stays together.
        column, line = divmod(index, lines)
        sheet.paste(draw_card(card), (GAP + column * (CARD_WIDTH + GAP), GAP + 34 + line * high))
    return sheet


def draw_card(card: Card) -> Image.Image:
    """Title, picture and three views."""
    image = Image.new("RGB", (CARD_WIDTH, HEAD + PICTURE), _byte(BACKGROUND))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, CARD_WIDTH, HEAD - 2), PAPER)
    pen.text((8, 5), card.title, INK, font(16))
    width = pen.textlength(card.detail, font(15))
    pen.text((CARD_WIDTH - width - 8, 6), card.detail, ACCENT, font(15))
    image.paste(thumbnail(card.picture, card.box), (0, HEAD))
    for index, (name, direction) in enumerate(SIDES):
        left = PICTURE + index * VIEW_WIDTH
        image.paste(Image.fromarray(draw_cloud(card.points, direction, VIEW_WIDTH, PICTURE)), (left, HEAD))
        pen.text((left + 8, HEAD + PICTURE - 20), name, FAINT, font(13))
    if not len(card.points):
        pen.text((PICTURE + 20, HEAD + PICTURE // 2 - 8), "no point: the network saw no car", FAINT, font(15))
    return image


def thumbnail(picture: np.ndarray, box: tuple[float, float, float, float] | None = None) -> Image.Image:
    """The picture fitted into a square of PICTURE pixels, with its box drawn."""
    image = Image.fromarray(picture)
    scale = PICTURE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.LANCZOS)
    if box is not None:
        x, y, w, h = (v * scale for v in box)
        ImageDraw.Draw(small).rectangle((x, y, x + w, y + h), outline=(255, 200, 40), width=2)
    square = Image.new("RGB", (PICTURE, PICTURE), (232, 234, 239))
    square.paste(small, ((PICTURE - size[0]) // 2, (PICTURE - size[1]) // 2))
    return square


def save(image: Image.Image, path: Path) -> None:
    """Write a PNG whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(str(path)) as handle:
        image.save(handle, format="PNG", optimize=True)


def _byte(colour: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(round(255 * float(c))) for c in colour)
    return red, green, blue


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
