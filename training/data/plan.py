"""What a data set is made of: the settings, and the list of shapes that follows from them and the meshes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge.errors import DataError
from training.meshes.library import split_of
from training.meshes.model import CarMesh
from training.shapes.proportions import CLASSES

#: Raise when the same seed and meshes give another shape, label or picture: shards of other versions are made anew.
GENERATOR_VERSION = 3
#: Numbers of the parametric cars held out for validation start here; those for training start at 0.
VALIDATION_FROM = 9000
Kind = Literal["original", "variant", "parametric"]


@dataclass(frozen=True)
class ShardSettings:
    """What a data set is made of.

    pictures, novel: pictures and random depth views per shape. variants: made from each training body. parametric,
    parametric_validation: cars per body class. size: side of the pictures in pixels. seed: of everything drawn.
    """

    pictures: int = 12
    variants: int = 24
    parametric: int = 50
    parametric_validation: int = 4
    novel: int = 8
    size: int = 128
    seed: int = 0


@dataclass(frozen=True)
class ShapePlan:
    """One shape before it is made. A shard counts as finished if its own plan equals the one wanted now.

    name: BODY-VARIANT; variant 0 is the body as it is. real: a modelled body or a variant of one, not parametric.
    mesh_sha256: fingerprint of the body's mesh, empty for a parametric one, which its name describes wholly.
    donors_sha256: fingerprint of all training bodies, of which a variant may take parts; empty for the others.
    """

    name: str
    body: str
    variant: int
    kind: Kind
    real: bool
    split: str
    body_class: str
    mesh_sha256: str
    donors_sha256: str
    pictures: int
    novel: int
    size: int
    seed: int
    generator_version: int = GENERATOR_VERSION


def fingerprint(mesh: CarMesh) -> str:
    """SHA-256 of all that a mesh is: arrays, categories, colours, names, licence. Same car, same hexadecimal text."""
    digest = hashlib.sha256()
    about = (mesh.name, mesh.source, mesh.licence, mesh.attribution, mesh.body_class, mesh.ancestry, mesh.length_m)
    digest.update(repr(about).encode())
    for part in mesh.parts:
        colour = tuple(round(float(c), 6) for c in part.colour)
        digest.update(repr((part.name, part.category, colour, part.vertices.shape, part.faces.shape)).encode())
        digest.update(np.ascontiguousarray(part.vertices, "<f4").tobytes())
        digest.update(np.ascontiguousarray(part.faces, "<i4").tobytes())
    return digest.hexdigest()


def donors_of(bodies: Iterable[CarMesh]) -> list[CarMesh]:
    """The bodies that variants may take parts of: the training bodies, by name."""
    return sorted((body for body in bodies if split_of(body.name) == "train"), key=lambda body: body.name)


def planned(bodies: Sequence[CarMesh], settings: ShardSettings) -> list[ShapePlan]:
    """Every shape of a data set, by name. Raises DataError if two bodies have one name, or counts collide.

    All bodies as they are, ``settings.variants`` of each training body, and parametric cars of every class. Only
    training bodies are varied. Held-out parametric cars join validation, whose few real bodies lack most classes.
    """
    plans = []
    stamps = {body.name: fingerprint(body) for body in bodies}
    if len(stamps) != len(bodies):
        raise DataError("two cars have the same name; give each --glb folder once, and rename one of them")
    pool = hashlib.sha256("".join(stamps[donor.name] for donor in donors_of(bodies)).encode()).hexdigest()
    common = (settings.pictures, settings.novel, settings.size, settings.seed)
    for body in bodies:
        split = split_of(body.name)
        for variant in range(1 + (settings.variants if split == "train" else 0)):
            kind: Kind = "variant" if variant else "original"
            donors = pool if variant else ""
            name, about = f"{body.name}-{variant}", (body.body_class, stamps[body.name], donors)
            plans.append(ShapePlan(name, body.name, variant, kind, True, split, *about, *common))
    for side, body_class, number in _parametric(settings):
        body_name = f"param-{body_class}-{number:04d}"
        about = (body_class, "", "")
        plans.append(ShapePlan(f"{body_name}-0", body_name, 0, "parametric", False, side, *about, *common))
    return sorted(plans, key=lambda plan: plan.name)


def _parametric(settings: ShardSettings) -> Iterable[tuple[str, str, int]]:
    """Split, class and number of every parametric car."""
    if settings.parametric > VALIDATION_FROM:
        raise DataError(f"--parametric is {settings.parametric}; from {VALIDATION_FROM} on numbers are for validation")
    if not settings.parametric and not settings.parametric_validation:
        return
    for body_class in CLASSES:
        for number in range(settings.parametric):
            yield "train", body_class, number
        for number in range(VALIDATION_FROM, VALIDATION_FROM + settings.parametric_validation):
            yield "validation", body_class, number


def shape_rng(plan: ShapePlan, stream: int) -> np.random.Generator:
    """One of a shape's random streams; depends on seed, body, variant and the stream's number alone."""
    return np.random.default_rng([plan.seed, stream, zlib.crc32(plan.body.encode()), plan.variant])
