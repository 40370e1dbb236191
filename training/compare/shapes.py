"""Parts of a data set: what a network learns without the shapes that were made up."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from edge.errors import DataError
from training.data.dataset import CarDataset

#: Kinds of shapes, as the shards name them (training/data/plan.py).
KINDS = ("original", "variant", "parametric")
#: Columns of CarDataset with a row a picture; all others have a row a shape.
OF_PICTURES = ("images", "masks", "shape_index", "K", "R", "t", "view", "box", "hidden", "conditions")


def kinds(data: CarDataset) -> list[str]:
    """Kind of each shape. By name (variant 0 is the body as it is) and ``real``: the data set does not carry it."""
    return [
        "parametric" if not real else "original" if name.endswith("-0") else "variant"
        for name, real in zip(data.names, data.real, strict=True)
    ]


def without(data: CarDataset, kind: str) -> CarDataset:
    """The data set without the shapes of a kind and their pictures; a copy. DataError if nothing would be left."""
    if kind not in KINDS:
        raise DataError(f"there is no kind of shape {kind!r}; choose one of {', '.join(KINDS)}")
    shapes = np.flatnonzero([k != kind for k in kinds(data)])
    if not len(shapes):
        raise DataError(f"all {len(data.names)} shapes are of the kind {kind!r}; without them nothing is left")
    pictures = np.flatnonzero(np.isin(data.shape_index, shapes))
    columns: dict[str, Any] = {}
    for field in dataclasses.fields(CarDataset):
        value, rows = getattr(data, field.name), pictures if field.name in OF_PICTURES else shapes
        columns[field.name] = value[rows] if isinstance(value, np.ndarray) else [value[row] for row in rows]
    columns["shape_index"] = np.searchsorted(shapes, columns["shape_index"]).astype(np.int32)
    return CarDataset(**columns)
