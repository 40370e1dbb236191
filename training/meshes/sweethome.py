"""Cars of the Sweet Home 3D furniture libraries (.sh3f: a zip with OBJ, MTL and a catalogue), CC BY 3.0."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from edge.errors import DataError
from training.meshes.build import NOSE_PLUS_Z, make_car, make_part
from training.meshes.model import CarMesh, MeshPart
from training.meshes.texture import Soup, mean_colour, split_by_picture, to_linear
from training.meshes.wavefront import Material, ObjGroup, read_mtl, read_obj
from training.meshes.wheels import with_rims

SOURCE = "sweethome3d-furniture"
LICENCE = "CC BY 3.0"
CATALOGUE = "PluginFurnitureCatalog.properties"


class Listed(NamedTuple):
    """A car of the catalogue we use: library file, model folder and name, class, ancestry."""

    library: str
    folder: str
    name: str
    body_class: str
    ancestry: str


CARS = (
    Listed("KatorLegaz", "katorlegaz", "concept-sedan-01v1", "sedan", "concept-sedan-01"),
    Listed("KatorLegaz", "katorlegaz", "concept-sedan-01v2", "sedan", "concept-sedan-01"),
    Listed("KatorLegaz", "katorlegaz", "concept-sedan-02", "sedan", "concept-sedan-02"),
    Listed("KatorLegaz", "katorlegaz", "concept-sedan-02-sport", "sedan", "concept-sedan-02"),
    Listed("KatorLegaz", "katorlegaz", "VW-new-beetle", "hatchback", "beetle"),
    Listed("BlendSwap-CC-BY", "blendswap-cc-by", "fordFocus", "hatchback", "ford-focus"),
    Listed("Scopia", "scopia", "seat_leon", "hatchback", "seat-leon"),
    Listed("Scopia", "scopia", "smart-car", "hatchback", "smart"),
    Listed("Scopia", "scopia", "renault-scenic", "mpv", "renault-scenic"),
    Listed("Scopia", "scopia", "suv", "suv", "scopia-suv"),
    Listed("Scopia", "scopia", "peugeot-308", "convertible", "peugeot-308"),
    Listed("Scopia", "scopia", "chevrolet", "sports", "scopia-chevrolet"),
    Listed("Scopia", "scopia", "van", "van", "scopia-van"),
)

#: First pattern that matches a material's name decides; each car's own exceptions stand in OWN.
PATTERNS = (
    (r"brake|tail|back-?lights?|rear-?light|redlight|glass_red|faros_rojos|parking_light", "light_rear"),
    (r"head-?light|front-?light|turn_sig|lens|refl(ector)?$|grey-light|faros|focus|yellow_chrome", "light_front"),
    (r"mirror", "chrome"),
    (r"window|defroster|black-glass|dark-glass|whiteglass|^glass$|cristales", "glass"),
    (r"^first-?color|^second-color|paint_(?!black)|^car$|carpaint|chapa|color-beige|color-exterior", "paint"),
    (r"rubber_tread|^tire|wheels-rubber|neumaticos|black_rubber", "tyre"),
    (r"interior|inside|seats|asientos|esteering|beige-column|^floor$", "interior"),
    (r"aluminum|^wheels$|llantas", "rim"),
    (r"chrome|metal", "chrome"),
    (r"lowparts|plastic-low|holes", "underbody"),
)
OWN = {
    ("VW-new-beetle", "GLASS"): "light_front",
    ("concept-sedan-02", "GLASS"): "light_front",
    ("concept-sedan-02-sport", "GLASS"): "light_front",
    ("VW-new-beetle", "RUBBER"): "tyre",
    ("concept-sedan-02", "RUBBER"): "tyre",
    ("concept-sedan-02-sport", "RUBBER"): "tyre",
    ("fordFocus", "chrome_matte"): "rim",
    ("smart-car", "second-color"): "paint",
    ("smart-car", "first-color"): "paint_2",
}
#: Aerials that :func:`training.meshes.build.without_thin_extras` takes for more than a rod.
DROPPED = {("renault-scenic", "black-plastic2")}


def load_sweethome(folder: Path, listed: Listed) -> CarMesh:
    """One car from the libraries (.sh3f files) in ``folder``. DataError if damaged or missing."""
    path = folder / f"{listed.library}.sh3f"
    base = PurePosixPath(listed.folder) / listed.name
    where = f"{path} ({base})"
    try:
        with zipfile.ZipFile(path) as library:
            entry = catalogue_entry(library.read(CATALOGUE).decode("latin-1"), listed.name)
            groups = read_obj(library.read(str(base / f"{listed.name}.obj")).decode("latin-1"), where)
            materials = read_mtl(library.read(str(base / f"{listed.name}.mtl")).decode("latin-1"))
            scale = float(entry["depth"]) / 100.0 / _depth(groups)
            parts: list[MeshPart | None] = []
            for group in groups:
                if (listed.name, group.material) in DROPPED:
                    continue
                material = materials.get(group.material, Material(group.material))
                picture = _picture(library, base, material)
                parts.extend(_parts(listed, group, material, picture, scale))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(
            f"car {listed.name} cannot be read from {path} ({error}); run: python -m training meshes fetch"
        ) from error
    return make_car(
        with_rims(parts),
        name=listed.name,
        source=SOURCE,
        licence=LICENCE,
        attribution=f"{entry.get('creator', listed.library)} (Sweet Home 3D library {listed.library})",
        body_class=listed.body_class,
        ancestry=listed.ancestry,
    )


def catalogue_entry(text: str, name: str) -> dict[str, str]:
    """The fields of the catalogue whose model file is ``name``.obj. KeyError if there is none."""
    match = re.search(rf"^model#(\d+)=.*/{re.escape(name)}\.obj\s*$", text, re.MULTILINE)
    if match is None:
        raise KeyError(f"{name} is not in the catalogue")
    rows = re.findall(rf"^(\w+)#{match.group(1)}=(.*?)\s*$", text, re.MULTILINE)
    return dict(rows)


def category_of(car: str, material: Material) -> str:
    """Our category for a material's name."""
    own = OWN.get((car, material.name))
    if own:
        return own
    for pattern, category in PATTERNS:
        if re.search(pattern, material.name, re.IGNORECASE):
            return category
    return "trim"


def _depth(groups: list[ObjGroup]) -> float:
    """Extent along the file's z, the car's length."""
    points = np.concatenate([g.vertices for g in groups])
    return float(np.ptp(points[:, 2]))


def _picture(library: zipfile.ZipFile, base: PurePosixPath, material: Material) -> np.ndarray | None:
    if not material.picture:
        return None
    with Image.open(io.BytesIO(library.read(str(base / material.picture)))) as image:
        return np.asarray(image.convert("RGB"), np.float32) / 255.0


def _parts(
    listed: Listed, group: ObjGroup, material: Material, picture: np.ndarray | None, scale: float
) -> list[MeshPart | None]:
    vertices = (group.vertices * scale) @ NOSE_PLUS_Z.T
    category = category_of(listed.name, material)
    colour = to_linear(np.array(material.colour))
    if picture is None:
        return [make_part(material.name, category, vertices, group.faces, colour)]
    soup = Soup(material.name, vertices, group.faces, group.uv, picture)
    if material.name == "textured":
        return _textured(soup)
    if category != "paint":
        colour = np.array(mean_colour(soup))
    return [make_part(material.name, category, vertices, group.faces, colour)]


def _textured(soup: Soup) -> list[MeshPart | None]:
    """The Scopia cars' catch-all material (rims, lamps, grilles, plates) cut by what its picture shows."""
    lower, upper = soup.vertices.min(0), soup.vertices.max(0)
    middle, half = (lower + upper) / 2, (upper - lower) / 2

    def classify(colours: np.ndarray, positions: np.ndarray) -> np.ndarray:
        red = (colours[..., 0] > 0.3) & (colours[..., 0] > 1.6 * colours[..., 1:].max(-1))
        shade = np.digitize(colours.mean(-1), [0.25, 0.6])
        along, side, up = (np.moveaxis(positions, -1, 0) - middle[:, None, None]) / half[:, None, None]
        lamp = (shade == 2) & (along > 0.6) & (np.abs(side) > 0.5) & (np.abs(up) < 0.6)
        return np.where(red & (along < 0), 3, np.where(lamp, 4, shade))

    pieces = split_by_picture(soup, classify)
    names = {0: "trim", 1: "trim", 2: "chrome", 3: "light_rear", 4: "light_front"}
    return [make_part(f"{soup.name}_{k}", names[k], p.vertices, p.faces, mean_colour(p)) for k, p in pieces.items()]
