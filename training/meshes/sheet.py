"""A contact sheet of cars, ray cast: three-quarter view and left side of each, shaded in their parts' colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from edge.geometry import look_rotation
from training.meshes.depth import cast, orthographic_rays, scene_of
from training.meshes.model import CarMesh

LIGHT = np.array([0.45, 0.5, 0.75]) / np.linalg.norm([0.45, 0.5, 0.75])
BACKGROUND = np.array([0.62, 0.7, 0.78])
#: Where the two cameras stand: before the left front corner, and to the left (nose to the left of the picture).
VIEWS = ((1.0, 0.75, 0.5), (0.0, 1.0, 0.0))


def picture(mesh: CarMesh, direction: tuple[float, float, float], size: int, width: float = 1.15) -> np.ndarray:
    """Shaded orthographic picture (size, size, 3) uint8 of a mesh in the canonical frame, seen from ``direction``."""
    rotation = look_rotation(direction)
    hit, triangle, normal = cast(scene_of(mesh), *orthographic_rays(rotation, width, 1.0, size))
    colours = np.concatenate([np.tile(np.asarray(p.colour, np.float32), (len(p.faces), 1)) for p in mesh.parts])
    facing = -np.sign((normal * rotation[2]).sum(-1, keepdims=True))
    shade = 0.45 + 0.55 * np.clip((normal * facing) @ LIGHT, 0, 1)
    linear = (0.02 + 0.98 * colours[np.maximum(triangle, 0)]) * shade[..., None]
    image = np.where((triangle >= 0)[..., None], np.clip(linear, 0, 1) ** (1 / 2.2), BACKGROUND)
    return (image * 255).astype(np.uint8)


def contact_sheet(meshes: Sequence[CarMesh], columns: int = 6, size: int = 200) -> Image.Image:
    """One cell a car, in any frame: two pictures one above the other, the name below."""
    cell_height = int(1.6 * size) + 14
    rows = (len(meshes) + columns - 1) // columns
    colour = tuple(int(v) for v in BACKGROUND * 255)
    sheet = Image.new("RGB", (columns * size, rows * cell_height), colour)
    draw = ImageDraw.Draw(sheet)
    for index, mesh in enumerate(meshes):
        left, top = index % columns * size, index // columns * cell_height
        car = mesh.canonical()
        for row, direction in enumerate(VIEWS):
            shot = Image.fromarray(picture(car, direction, size))
            cut = int(0.1 * size)
            sheet.paste(shot.crop((0, cut, size, size - cut)), (left, top + row * (size - 2 * cut)))
        draw.text((left + 4, top + cell_height - 13), f"{mesh.name} {mesh.length_m:.2f} m", fill="black")
    return sheet
