"""A picture strip of a clip: what the camera saw, the cloud laid over it, and the cloud by itself."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from edge.pose import project, to_pixels
from training.benchmark.sheet import INK, PAPER, font
from training.benchmark.splat import draw_cloud
from training.wild.journal import Kept

#: Pixels: width of a column, and between two.
WIDTH, GAP, HEAD = 320, 6, 20
#: The cloud by itself is always seen from here, canonical frame: from before the nose, on the car's left.
FROM = (1.0, 0.75, 0.5)
BOX, LOST = (80, 220, 60), (150, 150, 150)


def draw_strip(kept: Sequence[Kept], columns: int) -> Image.Image:
    """``columns`` evenly chosen frames side by side, each from top to bottom: picture and box, overlay, cloud."""
    chosen = [kept[i] for i in np.unique(np.linspace(0, len(kept) - 1, min(columns, len(kept))).astype(int))]
    tiles = [_column(one) for one in chosen]
    high = max(tile.height for tile in tiles)
    strip = Image.new("RGB", (len(tiles) * (WIDTH + GAP) - GAP, high), PAPER)
    for index, tile in enumerate(tiles):
        strip.paste(tile, (index * (WIDTH + GAP), 0))
    return strip


def overlay(kept: Kept) -> np.ndarray:
    """The picture (h, w, 3) uint8 BGR, darker, with the cloud over it by its pose: near points light, far ones dark."""
    image = np.asarray(kept.image * 0.55, np.uint8)
    made = kept.reconstruction
    if made is None or made.pose is None or not len(made.cloud.points):
        return image
    place, depth = project(made.cloud.points, made.pose)
    pixels = np.floor(to_pixels(place, made.crop_box) * kept.scale).astype(int)
    span = max(float(np.ptp(depth)), 1e-6)
    shade = (255 * (1 - (depth - depth.min()) / span)).astype(np.uint8)
    colours = cv2.applyColorMap(shade[:, None], cv2.COLORMAP_VIRIDIS)[:, 0]
    inside = np.all((pixels >= 0) & (pixels < np.array(image.shape[1::-1])), axis=1)
    for row in np.argsort(-depth):  # the farthest first, so that the nearest is on top
        if inside[row]:
            x, y = pixels[row]
            image[y : y + 2, x : x + 2] = colours[row]
    return image


def _column(kept: Kept) -> Image.Image:
    high = max(1, round(kept.image.shape[0] * WIDTH / kept.image.shape[1]))
    column = Image.new("RGB", (WIDTH, HEAD + 2 * (high + GAP) + WIDTH * 3 // 4), PAPER)
    line = kept.line
    words = f"frame {line.frame}" + ("  no car" if line.number is None else f"  car {line.number}")
    if line.azimuth is not None:
        words += f"  {line.azimuth:.0f}°"
    ImageDraw.Draw(column).text((4, 2), words, INK, font(14))
    image = kept.image.copy()
    if line.box is not None:
        x, y, w, h = (round(value * kept.scale) for value in line.box)
        cv2.rectangle(image, (x, y), (x + w, y + h), BOX, 2)
    points = np.zeros((0, 3)) if kept.reconstruction is None else kept.reconstruction.cloud.points
    column.paste(_fitted(image, high), (0, HEAD))
    column.paste(_fitted(overlay(kept), high), (0, HEAD + high + GAP))
    drawn = draw_cloud(points, FROM, WIDTH, WIDTH * 3 // 4)
    column.paste(Image.fromarray(drawn), (0, HEAD + 2 * (high + GAP)))
    return column


def _fitted(image: np.ndarray, high: int) -> Image.Image:
    small = cv2.resize(image, (WIDTH, high), interpolation=cv2.INTER_AREA)
    return Image.fromarray(np.ascontiguousarray(small[..., ::-1]))
