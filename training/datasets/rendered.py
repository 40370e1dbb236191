"""A rendered stand-in for a published set of photos: bodies as classes, in its layout, and the truth beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import DataError, SettingsError
from edge.ply import atomic_file
from training.datasets.layouts import LAYOUTS, Entry
from training.datasets.snapshot import SHADOW_SIZE, Snapshot, encode_jpeg, take
from training.meshes.library import entries, load_entry, split_of
from training.meshes.model import CarMesh
from training.progress import track
from training.render.renderer import Renderer
from training.shapes.parametric import CLASSES, parametric_car

#: Everything that was asked for, in one file beside the published ones.
TRUTH, TRUTH_FORMAT = "truth.json", "carcloud-photoset-truth"


@dataclass(frozen=True)
class Plan:
    """layout: a key of LAYOUTS. photos: of each body. size: width and height, pixels. seed: of all that is random."""

    layout: str
    photos: int
    size: tuple[int, int]
    seed: int


def held_out_first(cache: Path, glb_folders: Sequence[Path], count: int) -> list[CarMesh]:
    """``count`` bodies: those of the test side, then validation, then training, each side in the library's order.

    DataError if there are fewer, or the meshes were not fetched.
    """
    sides = ("test", "validation", "train")
    known = sorted(entries(cache, glb_folders), key=lambda entry: sides.index(split_of(entry.name)))
    if count > len(known):
        raise DataError(f"{count} classes are asked for, but there are {len(known)} bodies; take fewer, or add --glb")
    return [load_entry(cache, entry) for entry in known[:count]]


def of_class(body_class: str, count: int, seed: int) -> list[CarMesh]:
    """``count`` parametric bodies of one class, as alike as makes of one kind of car. SettingsError: no such class."""
    if body_class not in CLASSES:
        raise SettingsError(f"--parametric {body_class!r} is no body class; known are {', '.join(CLASSES)}")
    return [parametric_car(body_class, 1000 * seed + index) for index in range(count)]


def write_photoset(out: Path, bodies: Sequence[CarMesh], plan: Plan) -> dict[str, Any]:
    """Render ``plan.photos`` photos of each body into an empty or new folder; returns what truth.json holds.

    Half of each body's photos are for training, by chance. The annotation files come last: a tree without them was
    interrupted. DataError if the folder is not empty or cannot be written, or without EGL.
    """
    _prepare(out)
    layout = LAYOUTS[plan.layout]
    found: list[Entry] = []
    rows: list[dict[str, Any]] = []
    with Renderer(plan.size, shadow_size=SHADOW_SIZE) as renderer:
        for entry, body, shot in _photos(renderer, bodies, plan):
            name = layout.place(entry)
            _write(out / name, encode_jpeg(shot.rgb))
            found.append(entry)
            rows.append(_row(name, entry, body, shot))
    layout.annotate(out, found, [body.name for body in bodies])
    truth = {
        "format": TRUTH_FORMAT, "layout": plan.layout, "seed": plan.seed, "size": list(plan.size),
        "classes": [_class(index + 1, body) for index, body in enumerate(bodies)], "photos": rows,
    }  # fmt: skip
    _write(out / TRUTH, json.dumps(truth, indent=1).encode() + b"\n")
    return truth


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        crowded = any(out.iterdir())
    except OSError as error:
        raise DataError(f"{out} cannot be made or listed ({error}); give another --out") from error
    if crowded:
        raise DataError(f"{out} is not empty; give a new folder, or empty it first")


def _photos(
    renderer: Renderer, bodies: Sequence[CarMesh], plan: Plan
) -> Iterator[tuple[Entry, CarMesh, Snapshot]]:
    """Each photo has a generator of its own, so that more photos or bodies change none of the others."""
    wanted = [(body, photo) for body in range(len(bodies)) for photo in range(plan.photos)]
    sides = [_sides(plan, body) for body in range(len(bodies))]
    for number, (body, photo) in enumerate(track(wanted, "photos"), 1):
        shot = take(renderer, bodies[body], np.random.default_rng([plan.seed, body, photo]))
        yield Entry(number, photo + 1, body + 1, sides[body][photo], shot.box), bodies[body], shot


def _sides(plan: Plan, body: int) -> list[str]:
    sides = ["train" if index < plan.photos / 2 else "test" for index in range(plan.photos)]
    return [str(side) for side in np.random.default_rng([plan.seed, body, plan.photos, 1]).permutation(sides)]


def _row(name: str, entry: Entry, body: CarMesh, shot: Snapshot) -> dict[str, Any]:
    return {
        "name": name, "class": entry.label, "body": body.name, "split": entry.split,
        "azimuth_deg": round(shot.azimuth_deg, 3), "elevation_deg": round(shot.elevation_deg, 3),
        "focal_mm": round(shot.focal_mm, 3), "box": [round(value, 2) for value in shot.box],
        "K": np.round(shot.camera.K, 4).tolist(), "R": np.round(shot.camera.R, 7).tolist(),
        "t": np.round(shot.camera.t, 7).tolist(),
    }  # fmt: skip


def _class(label: int, body: CarMesh) -> dict[str, Any]:
    return {
        "class": label, "body": body.name, "split": split_of(body.name), "body_class": body.body_class,
        "length_m": round(body.length_m, 4), "licence": body.licence, "attribution": body.attribution,
    }  # fmt: skip


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(str(path)) as handle:
            handle.write(content)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error}); free some space, or give another --out") from error
