"""How far an exported graph may be from PyTorch, output by output, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from export.graph import ExportError, predict
from training.networks.base import Network


class Limit(NamedTuple):
    """Largest differences allowed.

    exported: of the float32 graph as it was traced. shipped: of the graph whose weights are rounded to float16.
    """

    exported: float
    shipped: float


#: By part of an output. Places and expected distances in canonical units (1 = the car's length); the two numbers of
#: ``length`` are logarithms, so 0.005 is half a percent; ``camera`` mixes radians, crop units and a logarithm.
TOLERANCE = {
    "points": Limit(2e-4, 2e-3),
    "error": Limit(2e-4, 2e-3),
    "maps geometry": Limit(2e-4, 5e-3),
    "maps logit": Limit(2e-3, 0.25),
    "occupancy": Limit(2e-3, 0.25),
    "vertices": Limit(2e-4, 2e-3),
    "azimuth": Limit(2e-3, 0.1),
    "camera": Limit(5e-4, 5e-3),
    "length": Limit(5e-4, 5e-3),
    "classes": Limit(2e-3, 0.1),
}

Arrays = dict[str, np.ndarray]


def run_network(network: Network, images: np.ndarray) -> Arrays:
    """Outputs (N, ...) by PyTorch, one (3, S, S) float32 image at a time as on the device."""
    rows = [predict(network, torch.from_numpy(image[None])) for image in images]
    return {name: torch.cat([row[name] for row in rows]).numpy() for name in rows[0]}


def run_graph(path: Path, images: np.ndarray) -> Arrays:
    """Outputs (N, ...) by ONNX Runtime on the CPU, one (3, S, S) float32 image at a time as on the device."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    rows = [session.run(names, {"image": image[None]}) for image in images]
    return {name: np.concatenate([row[n] for row in rows]) for n, name in enumerate(names)}


def parts(outputs: Mapping[str, np.ndarray]) -> Arrays:
    """The outputs by kind of number: ``maps`` (N, V, 4, H, W) falls into geometry and logit, the rest is whole."""
    split = {}
    for name, value in outputs.items():
        if name == "maps":
            split["maps geometry"], split["maps logit"] = value[:, :, :3], value[:, :, 3]
        else:
            split[name] = value
    return split


def compare(got: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], which: str) -> dict[str, float]:
    """Largest difference of each part; ``which`` of a :class:`Limit` is "exported" or "shipped".

    Raises ExportError when an output is missing, or a part exceeds its limit or is not finite.
    """
    if list(got) != list(wanted):
        raise ExportError(f"the {which} graph gives {', '.join(got)}, PyTorch gives {', '.join(wanted)}")
    reference = parts(wanted)
    found = {name: float(np.abs(value - reference[name]).max()) for name, value in parts(got).items()}
    for name, value in found.items():
        limit: float = getattr(TOLERANCE[name], which)
        if not value <= limit:
            raise ExportError(f"the {which} graph differs from PyTorch by {value:.2g} in {name}, more than {limit:g}")
    return found


def movement(got: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Mean and largest absolute difference of each part, rounded to 6 places.

    The mean of ``maps geometry`` is over the pixels that ``wanted`` masks as car: the others become no points.
    """
    reference, result = parts(wanted), {}
    for name, value in parts(got).items():
        difference = np.abs(value - reference[name])
        if name == "maps geometry":
            difference = difference.max(axis=2)[wanted["maps"][:, :, 3] > 0]
        pair = (float(difference.mean()), float(difference.max())) if difference.size else (0.0, 0.0)
        result[name] = {"mean": round(pair[0], 6), "max": round(pair[1], 6)}
    return result
