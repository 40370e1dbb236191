"""Cars of Trigger Rally (trigger-rally-data, GPL-2+): an OBJ body with wheel and axle places in a .vehicle file.

Each body comes in three liveries on one layout. What is alike in all of them is no livery: dark is window or grille,
red and white near the ends are lamps. So one body is made of the three, in one plain colour.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from edge.errors import DataError
from training.meshes.build import components, make_car, make_part
from training.meshes.model import CarMesh, MeshPart
from training.meshes.texture import Soup, main_colour, split_by_picture
from training.meshes.wavefront import ObjGroup, read_obj
from training.meshes.wheels import split_wheel

SOURCE = "trigger-rally-data"
LIVERIES = ("wrc", "kitcar", "super500")
#: The game's cars are about 15 % too small (evo 3.75 m; the car it is drawn after 4.35 m).
ENLARGED = 1.16
#: x right, y forward, z up to x forward, y left, z up.
AXES = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], np.float32)
DARK, GLASS_COLOUR = (0.01, 0.01, 0.01), (0.03, 0.035, 0.04)
PAINT, TRIM, GLASS, LAMP_FRONT, LAMP_REAR, PLATE = range(6)


class Listed(NamedTuple):
    """A body we use. livery: whose main colour is its paint. lift: how far the wheels are raised (source's metres):
    in the game they hang out on long rally springs."""

    name: str
    livery: str
    body_class: str
    ancestry: str
    lift: float


CARS = (
    Listed("fox", "wrc", "hatchback", "trigger-fox", 0.06),
    Listed("cordo", "super500", "hatchback", "trigger-cordo", 0.04),
    Listed("evo", "super500", "sedan", "trigger-evo", 0.05),
)


class Chassis(NamedTuple):
    """scale: of the body's mesh. wheel_scale: of the wheel's mesh. wheels: their centres (4, 3). Source's axes, metres
    before :data:`ENLARGED`."""

    scale: float
    wheel_scale: float
    wheels: np.ndarray


def load_trigger(folder: Path, listed: Listed) -> CarMesh:
    """One car from the package's folder. DataError if a file is missing or damaged."""
    base = folder / "vehicles"
    stems = {livery: base / f"{listed.name}_{livery}" / f"{listed.name}_{livery}" for livery in LIVERIES}
    stem = stems[LIVERIES[0]]
    try:
        chassis = read_chassis(stem.with_suffix(".vehicle"))
        pictures = {livery: _picture(path.with_suffix(".png")) for livery, path in stems.items()}
        bodies = [_read(stem.with_suffix(".obj")), _read(stem.with_name(stem.name + "_wheel.obj"))]
        layout = label_picture(np.stack(list(pictures.values())))
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise DataError(
            f"car {listed.name} cannot be read from {base} ({error}); run: python -m training meshes fetch"
        ) from error
    paint = main_colour(_soup(bodies[0], pictures[listed.livery], chassis.scale), black=0.3, share=0.1)
    parts = _body_parts(_soup(bodies[0], layout, chassis.scale), paint)
    wheel = _soup(bodies[1], pictures[LIVERIES[0]], chassis.wheel_scale)
    for centre in (chassis.wheels + [0, 0, listed.lift]) @ AXES.T:
        # The wheel's outer side is +x (the source's right): turn it about z for the left.
        turn = np.array([1.0, 1.0, 1.0] if centre[1] < 0 else [-1.0, -1.0, 1.0], np.float32)
        placed = wheel.vertices * turn + centre.astype(np.float32) * ENLARGED
        parts.extend(split_wheel(wheel._replace(vertices=placed)))
    return make_car(
        parts,
        name=listed.name,
        source=SOURCE,
        licence="GPL-2.0-or-later",
        attribution="Jasmine Langridge, Richard Langridge and the Trigger Rally contributors",
        body_class=listed.body_class,
        ancestry=listed.ancestry,
    )


def read_chassis(path: Path) -> Chassis:
    """Scales and wheel places of a .vehicle file. KeyError, ValueError or ParseError if it lacks one."""
    root = ElementTree.parse(path).getroot()
    generic, part = root.find("genparams"), root.find("part")
    if generic is None or part is None:
        raise KeyError(f"{path.name} has no genparams or no part")
    wheels = part.findall("wheel")
    if len(wheels) != 4:
        raise ValueError(f"{path.name} has {len(wheels)} wheels")
    centres = np.array([[float(w) for w in wheel.attrib["pos"].split(",")] for wheel in wheels])
    radius = float(wheels[0].attrib["radius"])
    return Chassis(float(part.attrib["scale"]), radius * float(generic.attrib["wheelscale"]), centres)


def label_picture(liveries: np.ndarray) -> np.ndarray:
    """What a body's liveries (3, H, W, 3) have in common, as a picture (H, W, 3) of plain colours.

    Blue livery, black window or grille, green the same in two liveries of three (a sticker may hide it in the third),
    red lamp, white lamp or plate.
    """
    value = liveries.max(-1)
    alike = np.ptp(liveries, axis=0).max(-1) < 0.12
    middle = np.median(liveries, axis=0)
    red = alike & (middle[..., 0] > 0.45) & (middle[..., 0] > 1.5 * middle[..., 2])
    picture = np.broadcast_to(np.array([0, 0, 1], np.float32), middle.shape).copy()
    picture[np.median(value, axis=0) < 0.25] = (0, 1, 0)
    picture[(value.max(0) < 0.25) | (alike & (value.max(0) < 0.45))] = (0, 0, 0)
    picture[alike & (value.max(0) >= 0.45)] = (1, 1, 1)
    picture[red] = (1, 0, 0)
    return picture


def _read(path: Path) -> ObjGroup:
    """An OBJ of one material, which all of these are."""
    groups = read_obj(path.read_text(encoding="latin-1"), str(path))
    return max(groups, key=lambda g: len(g.faces))


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float32) / 255.0


def _soup(group: ObjGroup, picture: np.ndarray, scale: float) -> Soup:
    vertices = (group.vertices @ AXES.T * (scale * ENLARGED)).astype(np.float32)
    return Soup(group.material, vertices, group.faces, group.uv, picture)


def _body_parts(soup: Soup, paint: tuple[float, float, float]) -> list[MeshPart | None]:
    """The body's connected pieces: shell and mirrors by the picture, wing, running gear; aerials are left out."""
    label = _piece_of_faces(soup)
    size = [int((label == k).sum()) for k in range(int(label.max()) + 1)]
    shell = soup.vertices[soup.faces[label == int(np.argmax(size))]].reshape(-1, 3)
    lower, upper = shell.min(0), shell.max(0)
    belt = lower[2] + 0.5 * (upper[2] - lower[2])
    parts: list[MeshPart | None] = []
    for k in range(len(size)):
        own = soup._replace(faces=soup.faces[label == k], uv=np.asarray(soup.uv)[label == k])
        points = own.corners().reshape(-1, 3)
        low, high = points.min(0), points.max(0)
        if high[1] - low[1] < 0.05 and high[2] > upper[2]:
            continue
        if k != int(np.argmax(size)) and high[2] < belt:
            parts.append(make_part("running_gear", "underbody", own.vertices, own.faces, DARK))
        elif k != int(np.argmax(size)) and high[0] < 0 and low[1] < -0.3 and high[1] > 0.3:
            parts.append(make_part("wing", "paint", own.vertices, own.faces, paint))
        elif k != int(np.argmax(size)) and low[1] * high[1] > 0:
            parts.append(make_part("mirror", "paint", own.vertices, own.faces, paint))
        else:
            parts.extend(_shell(own, paint, lower, upper))
    return parts


def _piece_of_faces(soup: Soup) -> np.ndarray:
    """Number (F,) of the connected piece each face belongs to; vertices count as joined where they coincide."""
    keys = np.round(soup.vertices / 1e-4).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = inverse.reshape(-1)[soup.faces].astype(np.int32)
    return components(MeshPart("", "paint", soup.vertices[first], faces))[faces[:, 0]]


def _shell(
    soup: Soup, paint: tuple[float, float, float], lower: np.ndarray, upper: np.ndarray
) -> list[MeshPart | None]:
    """Paint, windows, lamps, plates and dark openings. lower, upper: corners of the whole shell's box."""
    middle, reach = (lower[0] + upper[0]) / 2, (upper[0] - lower[0]) / 2
    height = upper[2] - lower[2]

    def classify(colours: np.ndarray, positions: np.ndarray) -> np.ndarray:
        red, green, blue = (colours[..., k] > 0.5 for k in range(3))
        along, up = (positions[..., 0] - middle) / reach, (positions[..., 2] - lower[2]) / height
        side, end = np.abs(positions[..., 1]) > 0.32, np.abs(along) > 0.7
        label = np.full(red.shape, PAINT)
        dark = ~red & ~blue & (~green | (np.abs(positions[..., 1]) > 0.4) & (np.abs(along) < 0.6))
        label[dark & (up > 0.5) & (up < 0.955) & (along < 0.5)] = GLASS
        label[dark & (up <= 0.5) & ((np.abs(along) > 0.8) | (up < 0.1))] = TRIM
        label[red & end & (along > 0)] = LAMP_FRONT
        label[red & end & (along < 0)] = LAMP_REAR
        label[red & blue & end & ~side] = PLATE
        return label

    kinds = {
        PAINT: ("paint", paint),
        TRIM: ("trim", DARK),
        GLASS: ("glass", GLASS_COLOUR),
        LAMP_FRONT: ("light_front", (0.6, 0.6, 0.6)),
        LAMP_REAR: ("light_rear", (0.45, 0.01, 0.01)),
        PLATE: ("trim", (0.6, 0.6, 0.6)),
    }
    pieces = split_by_picture(soup, classify)
    return [make_part(kinds[k][0], kinds[k][0], p.vertices, p.faces, kinds[k][1]) for k, p in pieces.items()]
