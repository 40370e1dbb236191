"""A contact sheet of cars, ray cast: four views of each, shaded in their parts' colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from edge.geometry import look_rotation
from training.meshes.depth import cast, orthographic_rays, scene_of
from training.meshes.model import CarMesh

LIGHT = np.array([0.45, 0.5, 0.75]) / np.linalg.norm([0.45, 0.5, 0.75])
BACKGROUND = np.array([0.62, 0.7, 0.78])
#: Where two cameras stand that show most: before the left front corner, and to the left (nose at the picture's left).
VIEWS = ((1.0, 0.75, 0.5), (0.0, 1.0, 0.0))
#: All those of a contact sheet: the left front corner, the right rear one, the left, and in front.
SHEET_VIEWS = (VIEWS[0], (-1.0, -0.75, 0.5), VIEWS[1], (1.0, 0.0, 0.1))


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


def contact_sheet(meshes: Sequence[CarMesh], columns: int = 5, size: int = 360) -> Image.Image:
    """One cell of ``size`` pixels a car, in any frame: two pictures above two others, name, length and class below."""
    shot_size, cut = size // 2, size // 36
    cell_height = 2 * (shot_size - 2 * cut) + 14
    rows = (len(meshes) + columns - 1) // columns
    colour = tuple(int(v) for v in BACKGROUND * 255)
    sheet = Image.new("RGB", (columns * size, rows * cell_height), colour)
    draw = ImageDraw.Draw(sheet)
    for index, mesh in enumerate(meshes):
        left, top = index % columns * size, index // columns * cell_height
        car = mesh.canonical()
        for number, direction in enumerate(SHEET_VIEWS):
            shot = Image.fromarray(picture(car, direction, shot_size))
            place = (left + number % 2 * shot_size, top + number // 2 * (shot_size - 2 * cut))
            sheet.paste(shot.crop((0, cut, shot_size, shot_size - cut)), place)
        label = f"{mesh.name} {mesh.length_m:.2f} m, {mesh.body_class}"
        draw.text((left + 4, top + cell_height - 13), label, fill="black")
    return sheet
