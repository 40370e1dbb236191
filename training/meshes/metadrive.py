"""Cars of MetaDrive (PyPI wheel metadrive-simulator 0.2.6.0): glTF bodies, +Y up, nose towards -Z, and one wheel each.

The two models used are CC BY 4.0; the package's other cars state no licence. Where the wheels stand is in the
package's ``component/vehicle/vehicle_type.py``; the numbers below are from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh
from scipy.spatial import ConvexHull, QhullError

from edge.errors import DataError
from training.meshes.build import NOSE_MINUS_Z, geometry_nodes, make_car, make_part
from training.meshes.model import CarMesh, MeshPart
from training.meshes.texture import Soup, main_colour, mean_colour, split_by_picture
from training.meshes.wheels import split_wheel

SOURCE = "metadrive-simulator"
GLASS_COLOUR = (0.03, 0.035, 0.04)
#: First word found in a node's name decides (130); "lens" are lamps, front or rear by their place.
NODES = {
    "_interior": "interior",
    "_body": "paint",
    "_chrome": "chrome",
    "_bk_": "underbody",
    "_glass": "light_front",
    "_lens": "lamp",
}


class Listed(NamedTuple):
    """A car we use.

    front, rear: distance of the axles from the game's origin. side: of the tyres' middle from the middle. shift: of
    the model from that origin, forward and up. windows: whether the model has panes. Metres.
    """

    folder: str
    name: str
    body_class: str
    ancestry: str
    credit: str
    front: float
    rear: float
    side: float
    shift: tuple[float, float]
    windows: bool


CARS = (
    Listed(
        "130", "metadrive_130", "coupe", "datsun-s130", '"130" by mononofu', 1.285, 1.203, 0.803, (-0.05, 0.07), False
    ),
    Listed(
        "beetle",
        "metadrive_beetle",
        "hatchback",
        "beetle",
        '"Beetle/Fusca (Version 1)" by soujagah',
        1.4126,
        1.07,
        0.7,
        (-0.2, 0.03),
        True,
    ),
)
#: The material of the beetle's outer sheets, two-tone in the source.
SHELL = "material.002"
PAINT, GLASS, CHROME, TRIM, INTERIOR, RED, LENS = range(7)


class Primitive(NamedTuple):
    """One node's mesh. vertices: (V, 3), car frame, metres. picture: (H, W, 4) sRGB with alpha, or None."""

    node: str
    material: str
    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray | None
    picture: np.ndarray | None
    colour: tuple[float, float, float]


def load_metadrive(folder: Path, listed: Listed) -> CarMesh:
    """One car from the package's folder. DataError if a file is missing or damaged."""
    base = folder / "vehicle" / listed.folder
    try:
        body = list(primitives(base / "vehicle.gltf"))
        wheel = list(primitives(base / "right_tire_front.gltf"))
        if listed.windows:
            shell = max((p for p in body if p.material == SHELL), key=lambda p: len(p.faces))
            paint = main_colour(_soup(shell, np.asarray(shell.picture)[..., :3]), black=0.0)
            parts = [part for primitive in body for part in _textured(primitive, paint)]
        else:
            paint = max((p for p in body if "_body_" in p.node), key=lambda p: len(p.faces)).colour
            parts = [part for primitive in body for part in _named(primitive, paint)]
            parts.append(panes(np.concatenate([p.vertices for p in body if "_interior" in p.node])))
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, QhullError) as error:
        raise DataError(
            f"car {listed.name} cannot be read from {base} ({error}); run: python -m training meshes fetch"
        ) from error
    radius = float(np.ptp(np.concatenate([p.vertices for p in wheel])[:, 2])) / 2
    for along in (listed.front - listed.shift[0], -listed.rear - listed.shift[0]):
        for side in (-listed.side, listed.side):
            parts.extend(_wheel(wheel, np.array([along, side, radius - listed.shift[1]])))
    return make_car(
        parts,
        name=listed.name,
        source=SOURCE,
        licence="CC BY 4.0",
        attribution=f"{listed.credit} (by way of MetaDrive; changed: wheels set, parts sorted)",
        body_class=listed.body_class,
        ancestry=listed.ancestry,
    )


def primitives(path: Path) -> Iterator[Primitive]:
    """The meshes of a glTF file, node transforms applied, in a fixed order; colour swatches left out."""
    with open(path, "rb") as handle:
        scene = trimesh.load(handle, file_type="gltf", force="scene")
    for node, transform, geometry in geometry_nodes(scene):
        if node.startswith("color"):
            continue
        mesh = scene.geometry[geometry]
        vertices = (np.asarray(mesh.vertices) @ transform[:3, :3].T + transform[:3, 3]) @ NOSE_MINUS_Z.T
        material, uv, faces = mesh.visual.material, mesh.visual.uv, np.asarray(mesh.faces)
        factor = material.baseColorFactor
        red, green, blue = (0.5, 0.5, 0.5) if factor is None else (float(v) / 255.0 for v in factor[:3])
        picture = None
        if material.baseColorTexture is not None and uv is not None:
            picture = np.asarray(material.baseColorTexture.convert("RGBA"), np.float32) / 255.0
        corners = None if uv is None else np.asarray(uv, np.float32)[faces]
        colour = (red, green, blue)
        yield Primitive(node, str(material.name), vertices.astype(np.float32), faces, corners, picture, colour)


def _named(primitive: Primitive, paint: tuple[float, float, float]) -> list[MeshPart | None]:
    """The parts of a node whose name tells its kind."""
    kind = next((kind for word, kind in NODES.items() if word in primitive.node), "trim")
    colour = paint if kind == "paint" else primitive.colour
    if primitive.picture is not None:
        colour = mean_colour(_soup(primitive, primitive.picture[..., :3]))
    if kind != "lamp":
        return [make_part(kind, kind, primitive.vertices, primitive.faces, colour)]
    front = primitive.vertices[primitive.faces].mean(1)[:, 0] > 0
    ends = (("light_front", (0.6, 0.6, 0.6), front), ("light_rear", (0.45, 0.01, 0.01), ~front))
    return [make_part(k, k, primitive.vertices, primitive.faces[own], shade) for k, shade, own in ends]


def _textured(primitive: Primitive, paint: tuple[float, float, float]) -> list[MeshPart | None]:
    """The parts of a node whose picture tells its kinds (beetle): see-through is glass, what has a hue is paint,
    brown is interior, light is chrome."""
    if primitive.picture is None:
        return [make_part("trim", "trim", primitive.vertices, primitive.faces, primitive.colour)]
    soup = _soup(primitive, label_picture(primitive.picture))

    def classify(colours: np.ndarray, positions: np.ndarray) -> np.ndarray:
        label = np.rint(colours[..., 0] * 8).astype(np.int64)
        if primitive.material == SHELL:
            label[label != RED] = PAINT
        along, side = positions[..., 0], np.abs(positions[..., 1])
        # The round headlamps are as light as chrome; they stand alone in the wings.
        lens = (label == CHROME) & (along > 2.0) & (along < 2.17) & (side > 0.43) & (positions[..., 2] > 0.6)
        return np.where(lens, LENS, np.where((label == RED) & (along > -1.0), TRIM, label))

    made: list[MeshPart | None] = []
    names = {PAINT: "paint", GLASS: "glass", CHROME: "chrome", TRIM: "trim", INTERIOR: "interior"}
    names |= {RED: "light_rear", LENS: "light_front"}
    for label, piece in split_by_picture(soup, classify).items():
        colour = mean_colour(piece._replace(image=primitive.picture[..., :3]))
        colour = {PAINT: paint, GLASS: GLASS_COLOUR}.get(label, colour)
        made.append(make_part(names[label], names[label], piece.vertices, piece.faces, colour))
    return made


def label_picture(picture: np.ndarray) -> np.ndarray:
    """Kinds in a picture (H, W, 4), as a picture (H, W, 3) whose red channel is kind / 8."""
    red, green, blue, alpha = np.moveaxis(picture, -1, 0)
    value, spread = picture[..., :3].max(-1), np.ptp(picture[..., :3], axis=-1)
    label = np.full(value.shape, TRIM)
    label[(value > 0.5) & (spread < 0.12)] = CHROME
    label[(red > green + 0.05) & (green > blue + 0.03) & (value < 0.7)] = INTERIOR
    label[(blue > red + 0.08) & (green > red + 0.05)] = PAINT
    label[(red > 0.4) & (red > 1.8 * np.maximum(green, blue))] = RED
    label[alpha < 0.6] = GLASS
    return np.repeat((label / 8.0).astype(np.float32)[..., None], 3, axis=-1)


def panes(lining: np.ndarray, grown: float = 1.004) -> MeshPart | None:
    """Windows for a body that has only openings: the convex hull of the cabin's lining (V, 3), a little enlarged.

    The hull lies under the roof and behind the pillars, so that it shows in the openings alone.
    """
    middle = (lining.min(0) + lining.max(0)) / 2
    hull = ConvexHull((lining - middle) * grown + middle)
    return make_part("glass", "glass", hull.points, hull.simplices, GLASS_COLOUR)


def _wheel(wheel: list[Primitive], centre: np.ndarray) -> list[MeshPart | None]:
    """The right wheel at its place; for the left it is turned about z."""
    turn = np.array([1.0, 1.0, 1.0] if centre[1] < 0 else [-1.0, -1.0, 1.0])
    made: list[MeshPart | None] = []
    for primitive in wheel:
        placed = primitive._replace(vertices=(primitive.vertices * turn + centre).astype(np.float32))
        if len(wheel) == 1 and placed.picture is not None:
            made.extend(split_wheel(_soup(placed, placed.picture[..., :3])))
        elif placed.picture is not None:
            made.append(make_part("tyre", "tyre", placed.vertices, placed.faces, (0.01, 0.01, 0.01)))
        else:
            made.append(make_part("rim", "rim", placed.vertices, placed.faces, placed.colour))
    return made


def _soup(primitive: Primitive, picture: np.ndarray) -> Soup:
    return Soup(primitive.node, primitive.vertices, primitive.faces, primitive.uv, picture)
