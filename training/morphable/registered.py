"""All training and validation shapes of a data set, registered to one template; kept beside the shards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.errors import DataError
from training.data.dataset import read_members
from training.data.kept import entries_of, fingerprint, in_pieces, keep, read_kept, rows_of
from training.data.shards import Entry, check_shard
from training.meshes.visible import Surface
from training.morphable.register import PROPORTIONS, HalfCar, Template, half_car, register

#: Raise when the same shards give other registered points.
VERSION = 1
#: Points of the template, on the left half. The right half mirrors them.
POINTS = 8192
#: Points of a true cloud that are matched.
TARGET_POINTS = 20_000
#: The template, if it is among the training bodies: an ordinary saloon with wheels, arches and an underside.
TEMPLATE = "concept-sedan-01v1"
FILE = "registered.npz"
SPLITS = ("train", "validation")


class Registered(NamedTuple):
    """Corresponding points of M shapes.

    names: M shapes. template: the shape whose points were carried onto the others. points: (M, N, 3) float16, left
    half, box scaled to ``PROPORTIONS``, y >= 0. normals: (M, N, 3) int8, unit normals in that frame times 127. boxes:
    (M, 3) float32, edges of each car's box, canonical: length 1, width, height. wheel: (N,) bool.
    """

    names: list[str]
    template: str
    points: np.ndarray
    normals: np.ndarray
    boxes: np.ndarray
    wheel: np.ndarray

    def rows(self, names: list[str]) -> np.ndarray:
        """Rows of the named shapes. DataError if one is missing."""
        return rows_of(self.names, names, "is not registered", FILE)


def registered(root: Path, workers: int = 2, template: str = TEMPLATE) -> Registered:
    """The registered shapes of the shards in ``root``; made on the first call, read from ``registered.npz`` after.

    Raises DataError: no shards, damaged shards, no training body to serve as template.
    """
    root = Path(root)
    entries = entries_of(root, *SPLITS)
    chosen = _template_entry(entries, template)
    name = str(chosen["name"])
    key = fingerprint([VERSION, POINTS, TARGET_POINTS, PROPORTIONS.tolist(), name], entries)
    kept = read_kept(root / FILE, key)
    if kept is not None:
        arrays = (kept[n] for n in ("points", "normals", "boxes", "wheel"))
        return Registered([str(name) for name in kept["names"]], str(kept["template"]), *arrays)
    surface, box = read_surface(root, chosen)
    half = half_car(surface, box)
    rows = np.random.default_rng(0).permutation(len(half.points))[:POINTS]
    model = Template(HalfCar(*(column[rows] for column in half)))
    # In big pieces: the template goes along with each.
    made = in_pieces(partial(_register_all, root, model.half), entries, 64, workers, "registering shapes")
    points, normals, boxes = (np.concatenate(column) for column in zip(*made, strict=True))
    result = Registered([str(e["name"]) for e in entries], name, points, normals, boxes, model.half.wheel)
    keep(root / FILE, key, **result._asdict())
    return result


def read_surface(root: Path, entry: Entry) -> tuple[Surface, np.ndarray]:
    """A shape's true surface, canonical, and the edges (3,) of its box. Raises DataError."""
    wanted = ("shape.meta.json", "shape.cloud.npy", "shape.surface.npz")
    shape = read_members(check_shard(root, entry, verify=False), lambda member: member in wanted)["shape"]
    extents = np.asarray(shape["meta"]["extents_m"])
    labels = shape["surface"]
    cloud = np.asarray(shape["cloud"], np.float32)[:TARGET_POINTS]
    normals = labels["normal"][:TARGET_POINTS].astype(np.float32) / 127
    return Surface(cloud, normals, labels["part"][:TARGET_POINTS]), extents / extents.max()


def _register_all(
    root: Path, template: HalfCar, entries: list[Entry]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (M, N, 3) float16, normals (M, N, 3) int8 and boxes (M, 3) float32 of some shapes."""
    model = Template(template)
    points, normals, boxes = [], [], []
    for entry in entries:
        surface, box = read_surface(root, entry)
        moved, facing = register(model, half_car(surface, box))
        points.append(moved.astype(np.float16))
        normals.append(np.round(facing * 127).astype(np.int8))
        boxes.append(box.astype(np.float32))
    return np.stack(points), np.stack(normals), np.stack(boxes)


def _template_entry(entries: list[Entry], wanted: str) -> Entry:
    """The wanted body as it is, or else the first training body that is as it is."""
    originals = [e for e in entries if e["split"] == "train" and e["kind"] == "original"]
    originals = originals or [e for e in entries if e["split"] == "train"]
    if not originals:
        raise DataError("there is no training shape to serve as template; make shards: python -m training data")
    return next((e for e in originals if e["body"] == wanted), originals[0])
