"""Cars of TORCS (torcs-data): AC3D bodies with a livery picture; wheels come from the car's XML.

The livery covers paint, windows and seals alike. Newer bodies name their parts (``WIFRONT``, ``REARLIGHTIN`` ...);
the older four are one skin, whose windows are found in the picture.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from edge.errors import DataError
from training.meshes.acc import AccObject, read_acc
from training.meshes.build import TORCS_AXES, make_car, make_part
from training.meshes.model import CarMesh, MeshPart
from training.meshes.texture import Soup, main_colour, mean_colour, split_by_picture, to_linear
from training.meshes.wheels import Wheel, wheel_parts

SOURCE = "torcs-data"


class Listed(NamedTuple):
    """A car we use: folder name, class, ancestry.

    skin: one textured skin without named windows. lamps: whose lamps stand out from the rest of that skin.
    """

    name: str
    body_class: str
    ancestry: str
    skin: bool = False
    lamps: bool = False
    licence: str = "Free Art License 1.3"


CARS = (
    Listed("155-DTM", "sedan", "alfa-155", True, True, "GPL-2.0-or-later"),
    Listed("p406", "sedan", "peugeot-406", True, True, "GPL-2.0-or-later"),
    Listed("car1-stock1", "sedan", "torcs-stock1"),
    Listed("car1-stock2", "sedan", "torcs-stock2"),
    Listed("car5-trb1", "sports", "torcs-trb5"),
    Listed("acura-nsx-sz", "sports", "honda-nsx", True),
    Listed("car1-trb1", "sports", "ferrari-360"),
    Listed("car2-trb1", "sports", "porsche-996"),
    Listed("car3-trb1", "sports", "torcs-trb3"),
    Listed("car4-trb1", "sports", "torcs-trb4"),
    Listed("car6-trb1", "sports", "torcs-trb6"),
    Listed("car7-trb1", "sports", "torcs-trb7"),
    Listed("car8-trb1", "sports", "torcs-trb8"),
    Listed("baja-bug", "hatchback", "beetle", True),
)
CREDITS = {"155-DTM": "Andrea Alfieri", "p406": "Eric Espie and the TORCS contributors"}

#: Parts that are not drawn: drivers, belts, aerials, wipers, and inner skins that lie on outer ones.
DROPPED = re.compile(r"DRIVER|GIRTHS|ANTENNA|WIPER|ROOF.*INSI|INSIDETOP|CARBODYINSI|WING\w*INSIDE|STAB\w*INSIDE")
#: First pattern that matches a part's name decides; anything else is livery, split by its picture.
PATTERNS = (
    (r"LICEN|ENDLICE", "trim"),
    (r"REAR\w*LIGH|LIGHTREAR|REARENDBRAK|REARENDLI|WIREARENDBR", "light_rear"),
    (r"LIGH|LIGHTBULP|^(INNER|OUTER)FRONTL", "light_front"),
    (r"^WIGRILL", "trim"),
    (r"^WI($|\d|FRONT|REAR|SIDE|WINDOW|COCKPIT)", "glass"),
    (r"MIRRORGLAS|^MIRROR$", "chrome"),
    (r"^MIRRORCABIN", "paint"),
    (r"EXHAUST", "chrome"),
    (r"SEAT|STEER|VOLANT|^CONS|DASH|(?<!BODY)COCKPIT|CABIN(?!ET)|ROLLBAR|INSTRUMENT|ENGINE|INNERFRAME", "interior"),
    (r"WHEEL|^\w*BOTTOM(?!WING)|DIFFUS|AIRDIFF|^DISK", "underbody"),
    (r"GRILL|MESH|INLET|OUTLET|AIRINL|AIROUT|AITOUT|INNER|BACKPLATE", "trim"),
)
#: Rear wings on stilts, their mounts and end plates, which :mod:`training.meshes.wings` can take off.
WINGS = re.compile(r"REARWING|REARSPOILER|WINGLET|WINGFIN|WINFFIN")
OWN_WINGS = {("155-DTM", "REAR"), ("acura-nsx-sz", "REAR")}
PAINT, SEAL, GLASS, LAMP_FRONT, LAMP_REAR = range(5)
GLASS_COLOUR = (0.03, 0.035, 0.04)


def load_torcs(folder: Path, listed: Listed) -> CarMesh:
    """One car from the package's folder. DataError if a file is missing or damaged."""
    base = folder / "cars" / listed.name
    try:
        objects = read_acc(base / f"{listed.name}.acc")
        wheels = read_wheels(base / f"{listed.name}.xml")
        pictures = {name: _picture(base / name) for name in {o.texture for o in objects} if name}
    except (OSError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise DataError(
            f"car {listed.name} cannot be read from {base} ({error}); run: python -m training meshes fetch"
        ) from error
    livery: list[Soup] = []
    wings: list[Soup] = []
    parts: list[MeshPart | None] = []
    for entry in objects:
        name = re.sub(r"_s_\d+$", "", entry.name)
        if DROPPED.search(name):
            continue
        soup = Soup(name, entry.vertices @ TORCS_AXES.T, entry.faces, entry.uv, pictures.get(entry.texture))
        category = category_of(name)
        if WINGS.search(name) or (listed.name, name) in OWN_WINGS:
            wings.append(soup)
        elif category == "paint" and soup.image is not None and "carbon" not in entry.texture:
            livery.append(soup)
        else:
            parts.append(_plain(soup, "trim" if "carbon" in entry.texture and category == "paint" else category, entry))
    paint = _paint_colour(livery, listed.skin)
    for soup in livery:
        parts.extend(_livery(soup, listed, paint))
    parts.extend(make_part("wing", "paint", soup.vertices, soup.faces, paint) for soup in wings)
    for wheel in wheels:
        parts.extend(wheel_parts(wheel))
    return make_car(
        parts,
        name=listed.name,
        source=SOURCE,
        licence=listed.licence,
        attribution=CREDITS.get(listed.name, "Jean-Christophe Durieu, ViPeR and the TORCS contributors"),
        body_class=listed.body_class,
        ancestry=listed.ancestry,
    )


def category_of(name: str) -> str:
    """Our category for a part's name; "paint" for everything the livery covers."""
    for pattern, category in PATTERNS:
        if re.search(pattern, name):
            return category
    return "paint"


def read_wheels(path: Path) -> list[Wheel]:
    """The four wheels of a car's XML, metres, body bottom at z = 0. KeyError if a value is missing."""
    root = ElementTree.parse(path).getroot()
    sections = {s.get("name"): s for s in root.iter("section")}

    def number(section: str, name: str) -> float:
        for item in sections[section].iter("attnum"):
            if item.get("name") == name:
                unit = {"mm": 1e-3, "in": 0.0254, "cm": 1e-2}.get(str(item.get("unit")), 1.0)
                return float(str(item.get("val"))) * unit
        raise KeyError(f"{section}: {name}")

    wheels = []
    for end in ("Front", "Rear"):
        for side in ("Right", "Left"):
            wheel = f"{end} {side} Wheel"
            rim = number(wheel, "rim diameter") / 2
            width = number(wheel, "tire width")
            radius = rim + width * number(wheel, "tire height-width ratio")
            centre = (
                number(f"{end} Axle", "xpos"),
                number(wheel, "ypos"),
                radius - number(wheel, "ride height"),
            )
            wheels.append(Wheel(centre, radius, rim, width))
    return wheels


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float32) / 255.0


def _plain(soup: Soup, category: str, entry: AccObject) -> MeshPart | None:
    """A part of one colour: its picture's mean; glass and underside are dark whatever the livery says."""
    colour = to_linear(np.array(entry.colour)) if soup.image is None else np.array(mean_colour(soup))
    if category in ("glass", "underbody"):
        colour = np.array(GLASS_COLOUR)
    return make_part(category, category, soup.vertices, soup.faces, np.round(colour * 20) / 20)


def _paint_colour(livery: list[Soup], skin: bool) -> tuple[float, float, float]:
    """The livery's most frequent colour on the largest part; on a skin, which has a black underside, not black."""
    largest = max(livery, key=lambda s: len(s.faces))
    return main_colour(largest) if skin else main_colour(largest, black=0.0)


def _livery(soup: Soup, listed: Listed, colour: tuple[float, float, float]) -> list[MeshPart | None]:
    """Paint and black openings and, on cars of one skin, seals, windows and lamps, as the picture shows them.

    Black away from nose and tail is lettering on most cars, so it becomes paint there.
    """
    lower, upper = soup.vertices.min(0), soup.vertices.max(0)
    belt = lower[2] + 0.52 * (upper[2] - lower[2])
    middle, reach = (lower[0] + upper[0]) / 2, (upper[0] - lower[0]) / 2
    dark_paint = max(colour) < 0.05
    lightest_glass = 0.88 if max(colour) - min(colour) < 0.1 else 0.99

    def classify(colours: np.ndarray, positions: np.ndarray) -> np.ndarray:
        value, spread = colours.max(-1), np.ptp(colours, axis=-1)
        along, high = (positions[..., 0] - middle) / reach, positions[..., 2] > belt
        label = np.full(value.shape, PAINT)
        opening = (np.abs(along) > 0.85) | listed.lamps | (listed.skin & high & (listed.name != "baja-bug"))
        if not dark_paint:
            label[(value < 0.14) & opening] = SEAL
        if listed.skin:
            label[(spread < 0.06) & (value < lightest_glass) & (value > 0.14) & high] = GLASS
        if listed.lamps:
            corner = (np.abs(positions[..., 1]) > 0.3) & (np.abs(along) > 0.75) & ~high & (value > 0.3)
            red = (colours[..., 0] > 0.5) & (colours[..., 1:].max(-1) < 0.4)
            warm = colours[..., 0] - colours[..., 2] > 0.25
            label[corner & red & (along < 0)] = LAMP_REAR
            label[corner & (warm | (spread < 0.06) & (value < 0.85)) & (along > 0)] = LAMP_FRONT
        return label

    kinds = {
        PAINT: ("paint", "paint", colour),
        SEAL: ("seal", "trim", (0.01, 0.01, 0.01)),
        GLASS: ("glass", "glass", GLASS_COLOUR),
        LAMP_FRONT: ("light_front", "light_front", (0.6, 0.6, 0.6)),
        LAMP_REAR: ("light_rear", "light_rear", (0.45, 0.01, 0.01)),
    }
    pieces = split_by_picture(soup, classify)
    return [make_part(kinds[k][0], kinds[k][1], p.vertices, p.faces, kinds[k][2]) for k, p in pieces.items()]
