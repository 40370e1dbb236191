"""Rendered stand-ins for BMW-10, in its layout: ten bodies as classes, of three kinds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.errors import DataError, SettingsError
from edge.ply import atomic_file
from training.data.plan import donors_of
from training.datasets.rendered import TRUTH, Plan, write_photoset
from training.meshes.library import load_cars, split_of
from training.meshes.model import CarMesh
from training.shapes.augment import vary

#: Bodies the shipped networks never saw: all saloons and hatchbacks of the test and validation sides, and two sports
#: cars to make ten.
UNSEEN = (
    "p406", "skd", "chrono_sedan", "concept-sedan-02", "concept-sedan-02-sport", "fordFocus", "seat_leon",
    "gazebo_prius_hybrid", "chevrolet", "car5-trb1",
)  # fmt: skip
#: Saloons the shipped networks learnt from.
SEEN = (
    "chrono_bmw_e90_shell", "chrono_audi", "155-DTM", "car1-stock1", "car1-stock2", "concept-sedan-01v1",
    "concept-sedan-01v2", "evo", "smarts_saloon", "trb",
)  # fmt: skip
#: A body never seen, and the small changes that make its generations; wheels, wings and whole parts stay as they are.
PARENT, GENERATIONS = "p406", 10
CHANGES = {"stretch": 0.9, "warps": 0.7, "lattice": 0.8, "morph": 0.5}
KINDS = ("unseen", "generations", "seen")
#: Pictures: width and height, and how many of each body are made where nothing else is asked for.
SIZE, PHOTOS = (224, 168), 40


def bodies_of(kind: str, meshes: Path, glb: Sequence[Path]) -> list[CarMesh]:
    """Ten cars, car frame, metres. kind: of KINDS. SettingsError for another, DataError if a body is not there."""
    if kind not in KINDS:
        raise SettingsError(f"there is no stand-in {kind!r}; known are {', '.join(KINDS)}")
    known = {car.name: car for car in load_cars(meshes, glb)}
    wanted = {"unseen": UNSEEN, "seen": SEEN, "generations": (PARENT,)}[kind]
    missing = [name for name in wanted if name not in known]
    if missing:
        raise DataError(
            f"the stand-in needs the car {missing[0]}, which is not in {meshes}; "
            f"type: python -m training meshes fetch --cache {meshes}, and give further cars with --glb"
        )
    if kind != "generations":
        return [known[name] for name in wanted]
    return generations(known[PARENT], donors_of(known.values()))


def generations(parent: CarMesh, donors: Sequence[CarMesh], count: int = GENERATIONS) -> list[CarMesh]:
    """The parent and ``count - 1`` cars made of it by small changes of its shape, named PARENT 1 and so on."""
    made = [parent] + [vary(parent, donors, np.random.default_rng([7, n]), CHANGES)[0] for n in range(1, count)]
    return [replace(car, name=f"{parent.name} {number}") for number, car in enumerate(made, 1)]


def render(kind: str, folder: Path, meshes: Path, glb: Sequence[Path], photos: int = PHOTOS, seed: int = 0) -> Path:
    """The stand-in as photos of ``folder / kind``, in BMW-10's layout, made if it is not there; returns that folder.

    Half of the photos are for training. Each has its own paint, light, surroundings and camera, so that none of the
    test photos shares these with one for training. DataError if the folder holds half a set.
    """
    out = folder / kind
    if not (out / TRUTH).is_file():
        truth = write_photoset(out, bodies_of(kind, meshes, glb), Plan("bmw10", photos, SIZE, seed))
        if kind == "generations":  # their own names are on no list of the split: they stand where their parent does
            for row in truth["classes"]:
                row["split"] = split_of(PARENT)
            with atomic_file(str(out / TRUTH)) as handle:
                handle.write(json.dumps(truth, indent=1).encode() + b"\n")
    return out
