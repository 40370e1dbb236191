"""Data sets for tests: real ones of toy cars, also as a process of its own to be killed, and hand-made ones."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import trimesh

from edge.geometry import look_rotation
from training.data.archive import picture_members, shape_members
from training.data.generate import generate
from training.data.plan import ShardSettings
from training.data.shards import FORMAT, FORMAT_VERSION, write_index, write_shard
from training.meshes.model import CarMesh, MeshPart
from training.meshes.visible import Surface, outside_surface
from training.shapes.parametric import parametric_car

#: Small, but with everything: an original and a variant for training, a test body.
SETTINGS = ShardSettings(pictures=2, variants=1, parametric=0, parametric_validation=0, novel=2, size=48, seed=5)


def box_part(category: str, lower: tuple, upper: tuple) -> MeshPart:
    made = trimesh.creation.box(bounds=[lower, upper])
    return MeshPart(category, category, np.asarray(made.vertices, np.float32), np.asarray(made.faces, np.int32))


def box_car(name: str) -> CarMesh:
    """A lower body, a cabin set back and four block wheels: 4.4 x 1.8 x 1.45 m."""
    lower, upper = ((-2.2, -0.9, 0.3), (2.2, 0.9, 0.9)), ((-1.6, -0.75, 0.9), (0.7, 0.75, 1.45))
    parts = [box_part("paint", *lower), box_part("glass", *upper)]
    wheels = [(x, y) for x in (-1.3, 1.3) for y in (-0.8, 0.8)]
    parts += [box_part("tyre", (x - 0.3, y - 0.1, 0), (x + 0.3, y + 0.1, 0.6)) for x, y in wheels]
    return CarMesh(name, "test", "CC0-1.0", "nobody", "sedan", name, tuple(parts), 4.4)


def cars() -> list[CarMesh]:
    # p406 is a test body of the fixed split, boxcar is unknown and so for training.
    return [box_car("boxcar"), box_car("p406")]


class FakePicture(NamedTuple):
    """What a shard takes of a picture."""

    rgb: np.ndarray
    mask: np.ndarray
    silhouette: np.ndarray
    parts: np.ndarray
    K: np.ndarray
    R: np.ndarray
    t: np.ndarray
    hidden: float = 0.125
    box: tuple = (1.0, 2.0, 12.0, 6.0)
    azimuth_deg: float = 10.0
    elevation_deg: float = 5.0
    focal_mm: float = 50.0
    condition: str = "occluded"


def fake_picture(rng: np.random.Generator, size: int = 16) -> FakePicture:
    images = [rng.integers(0, 256, (size, size, 3), np.uint8), *rng.integers(0, 256, (2, size, size), np.uint8)]
    camera = (np.array([[40.0, 0, 8], [0, 40, 8], [0, 0, 1]]), np.eye(3), rng.normal(size=3))
    return FakePicture(*images, rng.integers(0, 12, (size, size), np.uint8), *camera)


def hand_made(root: Path, shapes: int = 7, pictures: int = 3, split: str = "train") -> list[list[FakePicture]]:
    """A data set of noise, no renderer needed: shapes s0-0, s1-0, ...; returns its pictures."""
    drawn, entries = [], []
    for number in range(shapes):
        rng = np.random.default_rng(number)
        name, row = f"s{number}-0", [fake_picture(rng) for _ in range(pictures)]
        meta = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "name": name, "body": f"s{number}", "variant": 0,
            "kind": "original", "real": number % 2 == 0, "split": split, "body_class": "suv", "source": "made",
            "licence": "CC0-1.0", "pictures": pictures, "novel": 1,
            "length_m": 4.0 + number, "extents_m": [4.0, 2.0, 1.5],
        }  # fmt: skip
        maps = np.full((8, 128, 128), 1 + number / 8, np.float16)
        novel = (maps[:1] + 1, np.eye(3, dtype=np.float32)[None])
        normals = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [0, 1, 0], [0.6, 0.8, 0]], np.float32)
        surface = Surface(np.full((5, 3), number / 16, np.float32), normals, np.arange(5, dtype=np.uint8) + number)
        members = list(shape_members(name, meta, maps, novel, surface))
        for place, picture in enumerate(row):
            members += picture_members(name, place, picture)
        entries.append(write_shard(root, meta, members))
        drawn.append(row)
    write_index(root, ShardSettings(pictures=pictures, novel=1, size=16), entries, {})
    return drawn


#: Body, variant, kind, split and class of the shapes of :func:`car_shards`.
CAR_SHAPES = (
    ("alpha", 0, "original", "train", "sedan"), ("alpha", 1, "variant", "train", "sedan"),
    ("beta", 0, "original", "train", "hatchback"), ("beta", 1, "variant", "train", "hatchback"),
    ("gamma", 0, "original", "validation", "suv"), ("param-van-0000", 0, "parametric", "train", "van"),
    ("param-van-9000", 0, "parametric", "validation", "van"), ("omega", 0, "original", "test", "suv"),
)  # fmt: skip


def car_shards(root: Path, pictures: int = 3, points: int = 3000, size: int = 80) -> None:
    """A data set of parametric cars with true surfaces, no renderer needed: a picture is noise in its shape's colour.

    Which cars it shows: :data:`CAR_SHAPES`. Cameras stand all around and look at the car.
    """
    entries = []
    for number, (body, variant, kind, split, body_class) in enumerate(CAR_SHAPES):
        rng = np.random.default_rng(number)
        mesh, name = parametric_car(body_class, number), f"{body}-{variant}"
        lower, upper = mesh.bounds()
        meta = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "name": name, "body": body, "variant": variant,
            "kind": kind, "real": kind != "parametric", "split": split, "body_class": body_class, "source": "made",
            "licence": "CC0-1.0", "pictures": pictures, "novel": 0,
            "length_m": mesh.length_m, "extents_m": [float(v) for v in upper - lower],
        }  # fmt: skip
        nothing = np.zeros((8, 128, 128), np.float16), (np.zeros((0, 128, 128)), np.zeros((0, 3, 3)))
        members = list(shape_members(name, meta, *nothing, outside_surface(mesh.canonical(), points, 64)))
        colour = rng.integers(40, 200, 3)
        for place in range(pictures):
            azimuth, elevation = rng.uniform(-180, 180), rng.uniform(0, 25)
            a, e = np.radians([azimuth, elevation])
            rotation = look_rotation((np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)))
            k = np.array([[1.7 * size, 0, size / 2], [0, 1.7 * size, size / 2], [0, 0, 1]])
            picture = fake_picture(rng, size)._replace(
                rgb=(colour + rng.integers(0, 50, (size, size, 3))).astype(np.uint8), K=k, R=rotation,
                t=np.array([0.0, 0.0, 2.5]), azimuth_deg=azimuth, elevation_deg=elevation,
            )  # fmt: skip
            members += picture_members(name, place, picture)
        entries.append(write_shard(root, meta, members))
    write_index(root, ShardSettings(pictures=pictures, novel=0, size=size), entries, {})


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in sorted(root.iterdir())}


if __name__ == "__main__":
    generate(Path(sys.argv[1]), cars(), replace(SETTINGS, variants=int(sys.argv[2])), workers=2)
