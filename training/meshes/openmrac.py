"""Cars of OpenMRac (openmrac-data, CC0): text .3dm meshes with wheels, pictures with a window mask, in one tar file."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from edge.errors import DataError
from training.meshes.build import NOSE_PLUS_Z, make_car, make_part
from training.meshes.model import CarMesh, MeshPart
from training.meshes.texture import Soup, face_areas, main_colour, mean_colour, split_by_picture
from training.meshes.wheels import split_wheel

SOURCE = "openmrac-data"
ARCHIVE = "openmrac.dat"
#: Objects that are no part of the car: the collision box, the driver.
DROPPED = ("bound", "male")
#: Spread of linear RGB below which a colour is no paint.
GREY = 0.15
PAINT, TRIM, GLASS, LAMP_FRONT, LAMP_REAR = range(5)


class Listed(NamedTuple):
    """A car we use. picture: the livery whose paint differs most in hue from the lamps. mask: white where no window."""

    name: str
    picture: str
    mask: str
    body_class: str
    ancestry: str


CARS = (
    Listed("skd", "skdd_blue.jpg", "skda.png", "sedan", "skoda-120"),
    Listed("kfr", "kfrd.jpg", "kfra.png", "hatchback", "beetle"),
    Listed("trb", "trbd.jpg", "trba.png", "sedan", "trabant"),
)


class Object3dm(NamedTuple):
    """One object of a .3dm file. texture: name in the file's list. uv: (F, 3, 2), origin bottom left."""

    name: str
    texture: str
    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray


def read_3dm(text: str, where: str) -> list[Object3dm]:
    """Objects of a .3dm file in its own axes; ``where`` names it in errors. DataError if cut short or none.

    ``3dm OBJECTS TEXTURES``, texture names, then per object ``o NAME``, ``x y z texture`` (its place), ``v N``,
    N lines of ``x y z u v`` (a line that starts with a blank gives u v and repeats the last x y z), ``f N``, N faces.
    """
    lines = text.splitlines()
    try:
        kind, objects, count = lines[0].split()
        if kind != "3dm":
            raise ValueError("it does not start with 3dm")
        textures, at, found = lines[1 : 1 + int(count)], 1 + int(count), []
        for _ in range(int(objects)):
            name = lines[at][2:].strip()
            *place, texture = lines[at + 1].split()
            number = int(lines[at + 2].split()[1])
            rows: list[list[float]] = []
            for line in lines[at + 3 : at + 3 + number]:
                words = [float(w) for w in line.split()]
                rows.append(rows[-1][:3] + words if line.startswith(" ") else words)
            at += 3 + number
            number = int(lines[at].split()[1])
            faces = np.array([[int(w) for w in line.split()] for line in lines[at + 1 : at + 1 + number]], np.int32)
            at += 1 + number
            table = np.array(rows, np.float32).reshape(-1, 5)
            faces = faces.reshape(-1, 3)
            if len(faces) != number or (number and faces.max() >= len(table)):
                raise ValueError(f"object {name} lacks faces or vertices")
            picture = textures[int(texture) - 1] if int(texture) > 0 else ""
            found.append(
                Object3dm(name, picture, table[:, :3] + np.array(place, np.float32), faces, table[:, 3:][faces])
            )
    except (IndexError, ValueError) as error:
        raise DataError(f"{where} is damaged ({error}); run: python -m training meshes fetch") from error
    return found


def load_openmrac(folder: Path, listed: Listed) -> CarMesh:
    """One car from the folder with openmrac.dat. DataError if missing or damaged."""
    path = folder / ARCHIVE
    try:
        with tarfile.open(path) as archive:
            text = _member(archive, f"{listed.name}.3dm").decode("latin-1")
            with Image.open(io.BytesIO(_member(archive, listed.picture))) as image:
                colours = np.asarray(image.convert("RGB"), np.float32) / 255.0
            with Image.open(io.BytesIO(_member(archive, listed.mask))) as image:
                mask = np.asarray(image.convert("RGB").resize(colours.shape[1::-1]), np.float32) / 255.0
    except (OSError, KeyError, tarfile.TarError) as error:
        raise DataError(
            f"car {listed.name} cannot be read from {path} ({error}); run: python -m training meshes fetch"
        ) from error
    # Windows are painted pure green here, a colour no livery has, so that one picture tells everything apart.
    colours = np.where(mask.mean(-1, keepdims=True) < 0.5, np.array([0, 1, 0], np.float32), colours)
    parts: list[MeshPart | None] = []
    body: list[Soup] = []
    for entry in read_3dm(text, f"{path} ({listed.name}.3dm)"):
        shadow = entry.texture.startswith("sh")
        if entry.name.startswith(DROPPED) or shadow:
            continue
        soup = Soup(entry.name, entry.vertices @ NOSE_PLUS_Z.T, entry.faces, entry.uv, colours)
        if entry.name.startswith("wheel"):
            parts.extend(split_wheel(soup))
        elif entry.texture == "black.png":
            parts.append(make_part("dark", "underbody", soup.vertices, soup.faces, (0.01, 0.01, 0.01)))
        else:
            body.append(soup)
    # The underside is grey and may be the largest object: a coloured one goes before it.
    paint = main_colour(max(body, key=lambda s: (np.ptp(main_colour(s)) >= GREY, face_areas(s.corners()).sum())))
    for soup in body:
        parts.extend(_body(soup, paint))
    return make_car(
        parts,
        name=listed.name,
        source=SOURCE,
        licence="CC0-1.0",
        attribution="Michal Salajka, Vojtech Salajka (OpenMRac)",
        body_class=listed.body_class,
        ancestry=listed.ancestry,
    )


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(f"{name} is no file")
    return stream.read()


def _body(soup: Soup, paint: tuple[float, float, float]) -> list[MeshPart | None]:
    """Paint, windows, lamps and dark parts, as the picture shows them."""

    def classify(colours: np.ndarray, positions: np.ndarray) -> np.ndarray:
        red, green, blue = colours[..., 0], colours[..., 1], colours[..., 2]
        value, spread, along = colours.max(-1), np.ptp(colours, axis=-1), positions[..., 0]
        label = np.full(value.shape, PAINT)
        label[value < 0.22] = TRIM
        label[(spread < 0.1) & (value > 0.5) & (along > 1.2)] = LAMP_FRONT
        label[(red > 0.35) & (red > 1.8 * np.maximum(green, blue)) & (along < -1.2)] = LAMP_REAR
        label[(green > 0.9) & (red < 0.1) & (blue < 0.1)] = GLASS
        return label

    kinds = {
        PAINT: ("paint", paint),
        TRIM: ("trim", (0.01, 0.01, 0.01)),
        GLASS: ("glass", (0.03, 0.035, 0.04)),
        LAMP_FRONT: ("light_front", None),
        LAMP_REAR: ("light_rear", None),
    }
    made: list[MeshPart | None] = []
    for label, piece in split_by_picture(soup, classify).items():
        category, colour = kinds[label]
        if category == "paint" and np.ptp(main_colour(piece)) < GREY:
            category, colour = "trim", main_colour(piece)  # grey bumpers and plates
        made.append(make_part(category, category, piece.vertices, piece.faces, colour or mean_colour(piece)))
    return made
