"""Cars of SMARTS (PyPI wheel smarts, MIT): three small GLB cars, +Y up, nose towards -Z, with a material a kind."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh

from edge.errors import DataError
from training.meshes.build import NOSE_MINUS_Z, components, geometry_nodes, make_car, make_part
from training.meshes.model import CarMesh, MeshPart

SOURCE = "smarts"
KINDS = {"body": "paint", "windows": "glass", "metal": "chrome", "tires": "tyre", "lights.red": "light_rear"}


class Listed(NamedTuple):
    """A car we use: file, our name, class, and the scale to a plausible length."""

    file: str
    name: str
    body_class: str
    scale: float
    ancestry: str


CARS = (
    Listed("muscle_car.glb", "smarts_muscle", "coupe", 1.22, "smarts-muscle"),
    Listed("simple_car.glb", "smarts_saloon", "sedan", 1.15, "smarts-saloon"),
    Listed("truck.glb", "smarts_pickup", "pickup", 1.0, "smarts-pickup"),
)


def load_smarts(folder: Path, listed: Listed) -> CarMesh:
    """One car from the package's folder. DataError if missing or damaged."""
    path = folder / "vehicles" / "visual_model" / listed.file
    try:
        with open(path, "rb") as handle:
            scene = trimesh.load(handle, file_type="glb", force="scene")
        soups = [_soup(scene, turn, name, listed.scale) for _, turn, name in geometry_nodes(scene)]
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise DataError(
            f"car {listed.name} cannot be read from {path} ({error}); run: python -m training meshes fetch"
        ) from error
    parts: list[MeshPart | None] = []
    for material, vertices, faces, colour in soups:
        parts.extend(_parts(material, vertices, faces, colour))
    return make_car(
        parts,
        name=listed.name,
        source=SOURCE,
        licence="MIT",
        attribution="Huawei Technologies (SMARTS)",
        body_class=listed.body_class,
        ancestry=listed.ancestry,
    )


def _soup(
    scene: trimesh.Scene, transform: np.ndarray, geometry: str, scale: float
) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Material, vertices (V, 3) in the car frame, faces (F, 3) and linear colour (3,) of one primitive."""
    mesh = scene.geometry[geometry]
    vertices = (np.asarray(mesh.vertices) @ transform[:3, :3].T + transform[:3, 3]) @ NOSE_MINUS_Z.T * scale
    material = mesh.visual.material
    return str(material.name), vertices, np.asarray(mesh.faces), np.asarray(material.baseColorFactor[:3]) / 255.0


def _parts(material: str, vertices: np.ndarray, faces: np.ndarray, colour: np.ndarray) -> list[MeshPart | None]:
    """The parts of one material. Lamps are told apart by their end; the metal discs in the wheels are the rims."""
    if material.startswith("lights") and material != "lights.red":
        front = vertices[faces].mean(1)[:, 0] > 0
        ends = (("light_front", faces[front]), ("light_rear", faces[~front]))
        return [make_part(kind, kind, vertices, own, colour) for kind, own in ends]
    kind = KINDS.get(material, "trim")
    whole = make_part(kind, kind, vertices, faces, colour)
    if whole is None or kind != "chrome":
        return [whole]
    label = components(whole)
    flat = [k for k in range(int(label.max()) + 1) if np.ptp(whole.vertices[label == k, 1]) < 0.01]
    disc = np.isin(label[whole.faces[:, 0]], flat)
    pieces = (("rim", whole.faces[disc]), ("chrome", whole.faces[~disc]))
    return [make_part(k, k, whole.vertices, own, colour) for k, own in pieces]
