"""What is compared: appearance in the picture or on the car's surface, each with the predicted shape and without.

surface and grid add the same maps of the encoder, pooled by regions of the predicted surface or by cells of the
picture: what the first has over the second is due to 3-D, and not to the finer maps.
"""

from __future__ import annotations

import numpy as np

from training.classify.features import Features
from training.classify.head import Part

#: Principal components of the clouds that stand for the shape.
COMPONENTS = 16
#: A region of the surface of which fewer points are seen says nothing.
LEAST_SEEN = 8.0
#: What each arm is made of; the first is the appearance, what follows is added.
ARMS: dict[str, tuple[str, ...]] = {
    "plain": ("plain",),
    "plain + shape": ("plain", "shape"),
    "plain + surface": ("plain", "surface_plain"),
    "plain + grid": ("plain", "grid_plain"),
    "plain + shape + surface": ("plain", "shape", "surface_plain"),
    "encoder": ("encoder",),
    "encoder + shape": ("encoder", "shape"),
    "encoder + surface": ("encoder", "surface_encoder"),
    "encoder + grid": ("encoder", "grid_encoder"),
    "encoder + shape + surface": ("encoder", "shape", "surface_encoder"),
    "shape": ("shape",),
}
ABOUT = {
    "plain": "ImageNet features",
    "encoder": "features of the 3-D network's encoder",
    "shape": "the predicted shape alone",
}
#: With and without: what the question is about.
PAIRS = (
    ("plain + shape", "plain"), ("plain + surface", "plain"), ("plain + grid", "plain"),
    ("plain + surface", "plain + grid"), ("plain + shape + surface", "plain"), ("encoder", "plain"),
    ("encoder + shape", "encoder"), ("encoder + surface", "encoder"), ("encoder + grid", "encoder"),
    ("encoder + surface", "encoder + grid"), ("encoder + shape + surface", "encoder"), ("encoder + shape", "plain"),
)  # fmt: skip


def parts_of(arm: str, features: Features, train: np.ndarray) -> list[Part]:
    """The parts of an arm, all rows. train: indices of the training photos, whose mean stands for regions not seen."""
    names = ARMS[arm]
    return [part for place, name in enumerate(names) for part in _parts(name, features, train, place > 0)]


def _parts(name: str, features: Features, train: np.ndarray, added: bool) -> list[Part]:
    if name in ("plain", "encoder"):
        return [Part(features[name], added), Part(features[f"{name}_cells"], added)]
    if name == "shape":
        points = features["points"].reshape(len(features["points"]), -1)
        return [Part(points, added, COMPONENTS), Part(features["told"], added, features["told"].shape[1])]
    if name.startswith("grid_"):
        return [Part(features[name], added)]
    return [Part(on_surface(features[name], features["seen"], train), added)]


def on_surface(sums: np.ndarray, seen: np.ndarray, train: np.ndarray) -> np.ndarray:
    """(N, REGIONS x C): means over the seen points of each region from their sums (N, REGIONS, C) and number (N,
    REGIONS); a region that is not seen has the mean of the training photos that see it."""
    there = seen >= LEAST_SEEN
    values = np.where(there[..., None], sums / np.maximum(seen, 1.0)[..., None], 0.0)
    known = np.maximum(there[train].sum(0), 1)[:, None]
    usual = values[train].sum(0) / known
    return np.asarray(np.where(there[..., None], values, usual).reshape(len(sums), -1), np.float32)
