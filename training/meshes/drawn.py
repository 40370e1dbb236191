"""Windows and lamps drawn onto a shell whose source has none, by outlines in the side view and from the front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.path import Path as Outline

from training.meshes.build import make_part
from training.meshes.model import MeshPart
from training.meshes.texture import Soup, quarter, split_by_picture

GLASS_COLOUR = (0.03, 0.035, 0.04)


class Drawing(NamedTuple):
    """Outlines on a car on the ground, centred, metres.

    side: corners (x, z) of the side windows. screens: the range of x of windscreen and rear window, nose first.
    half: half their width below and at the roof. belt, roof: heights of their lower and upper edge.
    front, rear: (least |y|, most |y|, least z, most z) of the lamps, within ``ends`` metres of the shell's ends.
    """

    side: Sequence[tuple[float, float]]
    screens: tuple[tuple[float, float], tuple[float, float]]
    half: tuple[float, float]
    belt: float
    roof: float
    front: tuple[float, float, float, float]
    rear: tuple[float, float, float, float]
    ends: float


DRAWINGS = {
    "chrono_bmw_e90_shell": Drawing(
        side=((0.70, 0.92), (0.24, 1.255), (0.0, 1.285), (-0.85, 1.27), (-1.1, 1.13), (-1.2, 0.97), (-0.9, 0.93)),
        screens=((0.86, 0.24), (-0.95, -1.5)),
        half=(0.66, 0.5),
        belt=0.95,
        roof=1.32,
        front=(0.42, 0.78, 0.56, 0.70),
        rear=(0.45, 0.85, 0.70, 0.84),
        ends=0.35,
    )
}
PAINT, GLASS, LAMP_FRONT, LAMP_REAR = range(4)


def draw(part: MeshPart, drawing: Drawing) -> list[MeshPart | None]:
    """A painted shell cut into paint, glass and lamps. part: metres, centred in x, wheels' ground at z = 0."""
    corners = part.vertices[part.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    sideways = np.abs(normals[:, 1]) > 0.6
    outline = Outline(np.array(drawing.side))
    ends = (float(part.vertices[:, 0].min()), float(part.vertices[:, 0].max()))
    parts: list[MeshPart | None] = []
    for faces, seen_from_side in ((part.faces[sideways], True), (part.faces[~sideways], False)):
        if not len(faces):
            continue

        def classify(colours: np.ndarray, positions: np.ndarray, side: bool = seen_from_side) -> np.ndarray:
            del colours
            return _labels(positions, drawing, outline if side else None, ends)

        soup = _small(part.name, part.vertices[faces])
        parts.extend(_part(label, piece, part) for label, piece in split_by_picture(soup, classify, 0.02).items())
    return parts


def _small(name: str, corners: np.ndarray, longest: float = 0.25) -> Soup:
    """Triangles (F, 3, 3) quartered until no edge exceeds ``longest``: in a larger one a lamp would be missed."""
    while True:
        large = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1) > longest
        if not large.any():
            break
        corners = np.concatenate([corners[~large], quarter(corners[large], corners[large])[0]])
    faces = np.arange(len(corners) * 3, dtype=np.int32).reshape(-1, 3)
    blank = np.zeros((1, 1, 3), np.float32)
    return Soup(name, corners.reshape(-1, 3), faces, np.zeros((len(faces), 3, 2), np.float32), blank)


def _labels(
    positions: np.ndarray, drawing: Drawing, outline: Outline | None, ends: tuple[float, float]
) -> np.ndarray:
    """Label of each position (..., 3); ``outline``: of the side windows, or None for faces not seen from the side."""
    x, y, z = np.moveaxis(positions, -1, 0)
    label = np.full(x.shape, PAINT)
    if outline is not None:
        inside = outline.contains_points(np.stack([x, z], -1).reshape(-1, 2)).reshape(x.shape)
        label[inside] = GLASS
    else:
        rise = np.clip((z - drawing.belt) / (drawing.roof - drawing.belt), 0, 1)
        width = drawing.half[0] + (drawing.half[1] - drawing.half[0]) * rise
        for start, end in drawing.screens:
            inside = (x < max(start, end)) & (x > min(start, end)) & (z > drawing.belt) & (z < drawing.roof)
            label[inside & (np.abs(y) < width)] = GLASS
    for kind, (near, far, low, high), end in (
        (LAMP_FRONT, drawing.front, x > ends[1] - drawing.ends),
        (LAMP_REAR, drawing.rear, x < ends[0] + drawing.ends),
    ):
        label[end & (np.abs(y) > near) & (np.abs(y) < far) & (z > low) & (z < high)] = kind
    return label


def _part(label: int, piece: Soup, shell: MeshPart) -> MeshPart | None:
    kinds = {
        PAINT: (shell.category, shell.colour),
        GLASS: ("glass", GLASS_COLOUR),
        LAMP_FRONT: ("light_front", (0.6, 0.6, 0.6)),
        LAMP_REAR: ("light_rear", (0.45, 0.01, 0.01)),
    }
    category, colour = kinds[label]
    return make_part(category, category, piece.vertices, piece.faces, colour)
