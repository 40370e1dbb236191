"""A folder of cars as binary glTF with a ``manifest.json``: +Y up, nose towards +Z, +X left, metres.

The manifest's ``cars`` list gives per car: file, licence, authors, body_class, ancestry_group, sha256. Materials are
named by kind (``paint``, ``glass``, ``tyre`` ...; ``paint.2`` is a further material of the kind, ``extras.category``
the kind itself). A file of other habits is described instead of changed: ``kinds`` gives kinds by the names in the
file, ``forward`` and ``up`` its axes, ``scale`` the metres of its unit (docs/own-cars.md).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import trimesh

from edge.bundle import sha256_file
from edge.errors import DataError
from training.meshes.build import geometry_nodes, make_car, make_part
from training.meshes.drawn import DRAWINGS, draw
from training.meshes.model import CATEGORIES, CarMesh, MeshPart
from training.meshes.texture import Soup, mean_colour, split_by_picture
from training.meshes.wheels import split_wheel

LOG = logging.getLogger(__name__)
#: Colour (linear) of paint whose picture is neutral shading.
NEUTRAL = (0.5, 0.5, 0.5)
#: Kinds of the pack that are not categories of ours.
KINDS = {"light_amber": "light_front", "mirror": "chrome", "spare_wheel": "tyre"}
#: All kinds a material may be of.
KNOWN = (*CATEGORIES, *KINDS, "light", "wheel")
#: Directions by the names that a manifest gives ``forward`` and ``up``.
AXES = {sign + axis: row for sign, side in (("+", 1), ("-", -1)) for axis, row in zip("xyz", side * np.eye(3))}
#: Sources by the first word of the file name.
SOURCES = {"chrono": "Project Chrono", "sd": "Speed Dreams", "gazebo": "Gazebo models"}


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The manifest's car entries. DataError if the folder has no readable manifest."""
    path = folder / "manifest.json"
    if not path.is_file():
        what = "holds no manifest.json" if folder.is_dir() else "is no folder"
        found = sorted(file.name for file in folder.glob("*.glb")) or ["mine.glb"]
        smallest = json.dumps({"cars": [{"file": name} for name in found[:3]]})
        raise DataError(
            f"the GLB folder {folder} {what}; give --glb a folder of GLB cars with a manifest.json that lists them,"
            f" such as {smallest} (docs/own-cars.md tells the rest)"
        )
    try:
        cars = json.loads(path.read_text(encoding="utf-8"))["cars"]
        return [dict(car, file=str(car["file"])) for car in cars]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a mesh pack manifest ({error!r}); copy the folder again") from error


def iterate(folder: Path) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Name, file and manifest entry of each car of a pack. DataError if the folder has no readable manifest."""
    for entry in read_manifest(folder):
        yield Path(entry["file"]).stem, folder / entry["file"], entry


def load_glb(path: Path, entry: dict[str, Any]) -> CarMesh:
    """One car of a pack, node transforms applied. DataError if missing, altered, unreadable or wrongly described."""
    if not path.is_file():
        raise DataError(f"{path} is listed in its manifest but missing; copy the mesh folder again")
    if "sha256" in entry and sha256_file(str(path)) != entry["sha256"]:
        raise DataError(f"{path} does not match the checksum in its manifest; copy the mesh folder again")
    axes = axes_of(path, entry)
    try:
        scene = trimesh.load(path, file_type="glb", force="scene")
        kinds = material_kinds(path)
    except (ValueError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise DataError(f"{path} is not readable as binary glTF ({error}); copy the mesh folder again") from error
    kinds |= given_kinds(path, entry, {str(_material(mesh).name) for mesh in scene.geometry.values()}, kinds)
    parts: list[MeshPart | None] = []
    for _, transform, geometry in geometry_nodes(scene):
        parts.extend(_parts(scene.geometry[geometry], transform, axes, kinds))
    name = path.stem
    if name in DRAWINGS:
        ground = min(float(part.vertices[:, 2].min()) for part in parts if part is not None)
        if abs(ground) > 0.01:
            raise DataError(f"{path} does not stand on y = 0, so windows cannot be drawn; copy the mesh folder again")
        parts = [p for part in parts for p in (draw(part, DRAWINGS[name]) if _is_paint(part) else [part])]
    return make_car(
        parts,
        name=name,
        source=SOURCES.get(name.split("_")[0], folder_source(path)),
        licence=str(entry.get("licence", "not stated")),
        attribution=str(entry.get("authors", "not stated")),
        body_class=str(entry.get("body_class", "car")),
        ancestry=str(entry.get("ancestry_group", name)),
    )


def folder_source(path: Path) -> str:
    """What to call the source of a pack we do not know: its folder's name."""
    return path.resolve().parent.name


def material_kinds(path: Path) -> dict[str, str]:
    """``extras.category`` by material name, read from the file's JSON chunk (glTF 2.0, section 4.4)."""
    with open(path, "rb") as handle:
        header = handle.read(20)
        length = int.from_bytes(header[12:16], "little")
        document = json.loads(handle.read(length).decode("utf-8"))
    materials = document.get("materials", [])
    return {str(m.get("name")): str(m["extras"]["category"]) for m in materials if "category" in m.get("extras", {})}


def axes_of(path: Path, entry: dict[str, Any]) -> np.ndarray:
    """(3, 3) from the file's axes and unit to x forward, y left, z up and metres; glTF's habits unless the entry of the
    manifest has ``forward``, ``up`` or ``scale``. DataError if these are none."""
    forward, up, scale = str(entry.get("forward", "+z")), str(entry.get("up", "+y")), entry.get("scale", 1)
    if forward not in AXES or up not in AXES or forward[1] == up[1]:
        raise DataError(
            f"{path}: its manifest has forward {forward!r} and up {up!r}; give two different axes of {', '.join(AXES)}"
        )
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not scale > 0:
        raise DataError(f"{path}: its manifest has scale {scale!r}; it is the metres of the file's unit, such as 0.01")
    rows = [AXES[forward], np.cross(AXES[up], AXES[forward]), AXES[up]]
    return (scale * np.stack(rows)).astype(np.float32)


def given_kinds(path: Path, entry: dict[str, Any], names: Iterable[str], kinds: dict[str, str]) -> dict[str, str]:
    """Kinds by material as the manifest's ``kinds`` give them; names that tell no kind are said aloud.

    names: of the file's materials. kinds: what the file itself says. DataError for names or kinds that do not exist.
    """
    table, names = entry.get("kinds", {}), sorted(names)
    if not isinstance(table, dict):
        raise DataError(f'{path}: "kinds" of its manifest is no table; give kinds by names, {{"Body": "paint"}}')
    given = {name: str(kind) for name, kind in table.items()}
    absent = sorted(set(given) - set(names))
    if absent:
        has = ", ".join(map(repr, names))
        raise DataError(f"{path} has no material {absent[0]!r}, which its manifest gives a kind; it has {has}")
    for name, kind in given.items():
        if kind not in KNOWN:
            raise DataError(f"{path}: its manifest makes {name!r} a {kind!r}; kinds are {', '.join(KNOWN)}")
    unknown = [name for name in names if (given | kinds).get(name, name.split(".")[0]) not in KNOWN]
    if unknown:
        LOG.warning(
            "%s: of no known kind, and so taken for trim: %s; name their kinds under \"kinds\" in the manifest",
            path, ", ".join(map(repr, unknown)),
        )
    return given


def _material(mesh: trimesh.Trimesh) -> Any:
    return getattr(mesh.visual, "material", None) or trimesh.visual.material.PBRMaterial(name="trim")


def _parts(
    mesh: trimesh.Trimesh, transform: np.ndarray, axes: np.ndarray, kinds: dict[str, str]
) -> list[MeshPart | None]:
    """The parts of one glTF primitive in the car frame; a material not in ``kinds`` tells its kind by its name."""
    material = _material(mesh)
    kind = kinds.get(str(material.name)) or str(material.name).split(".")[0]
    category = KINDS.get(kind, kind)
    factor = np.asarray(material.baseColorFactor if material.baseColorFactor is not None else [255] * 4, np.float32)
    colour = np.array(factor[:3] / 255.0)
    vertices = (np.asarray(mesh.vertices) @ transform[:3, :3].T + transform[:3, 3]) @ axes.T
    faces = np.asarray(mesh.faces)
    picture, uv = material.baseColorTexture, getattr(mesh.visual, "uv", None)
    if kind == "light":
        category = "light_front" if vertices[:, 0].mean() > 0 else "light_rear"
    if picture is None or uv is None:
        return [make_part(category, _known(category), vertices, faces, colour)]
    if category in ("paint", "paint_2"):
        # The picture is neutral shading only; a car whose factor is white has no colour of its own.
        own = colour if colour.min() < 0.99 else np.array(NEUTRAL)
        return [make_part(category, category, vertices, faces, own)]
    image = np.asarray(picture.convert("RGB"), np.float32) / 255.0
    soup = Soup(category, vertices.astype(np.float32), faces, np.asarray(uv, np.float32)[faces], image)
    if category == "wheel":
        return split_wheel(soup)
    if category == "trim":
        return _shades(soup)
    return [make_part(category, _known(category), vertices, faces, colour * np.array(mean_colour(soup)))]


def _is_paint(part: MeshPart | None) -> TypeGuard[MeshPart]:
    return part is not None and part.category == "paint"


def _known(category: str) -> str:
    return category if category in CATEGORIES else "trim"


def _shades(soup: Soup) -> list[MeshPart | None]:
    """Trim with a picture, cut into dark, middle and light parts, so that grilles and plates stay visible."""

    def classify(colours: np.ndarray, positions: np.ndarray) -> np.ndarray:
        del positions
        return np.digitize(colours.mean(-1), [0.3, 0.62])

    pieces = split_by_picture(soup, classify, finest=0.03, depth=3)
    return [make_part(f"trim_{k}", "trim", p.vertices, p.faces, mean_colour(p)) for k, p in pieces.items()]
