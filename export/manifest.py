"""What stands in a bundle's manifest.json (docs/bundle.md, format 2)."""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

import edge
from edge.bundle import FORMAT, FORMAT_VERSION
from edge.geometry import cube_corner_views
from export.compare import TOLERANCE
from export.graph import OPSET, SMALLEST, ExportError, Shape
from training.networks.base import CLASSES, Network
from training.networks.cost import Cost

#: The network learnt on crops that leave this part of the car's longer edge free on each side.
CROP_MARGIN = 0.1
#: Metres. Passenger cars; used where the network does not predict a length.
LENGTH_PRIOR = {"mean": 4.4, "std": 0.4}

#: What the numbers of an output are, for people.
CHANNELS = {"maps": {"channels": ["x", "y", "depth", "mask_logit"]}}


class Facts(NamedTuple):
    """What a manifest tells.

    name: of the bundle. network: as exported. outputs: shapes by name, in the graph's order. state: the checkpoint's
    bookkeeping. cost: counted. nano_ms: of export.estimate. differences: largest to PyTorch, by graph, then by part of
    an output. thin: what export.lowrank did, or None.
    """

    name: str
    network: Network
    outputs: Mapping[str, Shape]
    state: Mapping[str, Any]
    cost: Cost
    nano_ms: Mapping[str, float]
    differences: Mapping[str, Mapping[str, float]]
    thin: Mapping[str, Any] | None = None


def command_of(state: Mapping[str, Any]) -> str:
    """What was typed to train: as the checkpoint says, else its configuration's name, else the network's.

    Of absolute paths the last part only: where the folders of one machine are does not concern who gets the bundle.
    """
    if state.get("command"):
        words = [word.rpartition("=") for word in shlex.split(str(state["command"]))]
        return shlex.join(
            f"{flag}{equals}{PurePath(value).name if value.startswith('/') else value}" for flag, equals, value in words
        )
    config = state.get("config") or f"training/configs/{state['network_name']}.toml"
    return f"python -m training train --config {config}"


def describe(facts: Facts) -> dict[str, Any]:
    """The manifest, its ``files`` still empty. Raises ExportError when the network lacks what its outputs need."""
    network, size, state = facts.network, facts.network.input_size, facts.state
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": facts.name,
        "carcloud": edge.__version__,
        "created": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "network": {
            "name": state["network_name"],
            "parameters": facts.cost.parameters,
            "gflop": round(facts.cost.gflop, 3),
            "nano_ms_estimate": dict(facts.nano_ms),
            "source": network.source,
        },
        "input": {
            "name": "image",
            "shape": [1, 3, size, size],
            "color": "RGB",
            "range": "0..1 before mean and std",
            "mean": [float(v) for v in network.mean],
            "std": [float(v) for v in network.std],
            "margin": CROP_MARGIN,
        },
        "outputs": {name: {"shape": list(shape), **CHANNELS.get(name, {})} for name, shape in facts.outputs.items()},
        **_extras(facts),
        "frame": {
            "name": "canonical",
            "axes": "x forward, y left, z up, right-handed",
            "unit": "longest edge of the car = 1",
            "origin": "centre of the car's axis-aligned bounding box",
        },
        "length_prior_m": LENGTH_PRIOR,
        "precisions": {
            "fp32": {
                "file": "reconstructor.onnx",
                "weights": f"constants of more than {SMALLEST} numbers stored as float16, computed in float32",
            }
        },
        "files": {},
        "checks": {
            "onnx_opset": OPSET,
            "max_difference_to_pytorch": {
                which: {
                    part: {"difference": value, "tolerance": getattr(TOLERANCE[part], which)}
                    for part, value in found.items()
                }
                for which, found in facts.differences.items()
            },
        },
        "training": {
            "command": command_of(state),
            "settings": json.loads(state["settings"]),
            "iterations": state["step"],
            "samples": state["samples"],
            "hours": round(state["seconds"] / 3600, 3),
        },
        "carpc1": {},
    }
    if facts.thin is not None:
        manifest["checks"]["low_rank"] = dict(facts.thin)
    return manifest


def _extras(facts: Facts) -> dict[str, Any]:
    """What only some outputs need: views and fusion for maps, the grid for occupancy, the classes' names."""
    extras: dict[str, Any] = {}
    if "maps" in facts.outputs:
        views = cube_corner_views()
        extras["views"] = {
            "kind": "orthographic",
            "width": views.width,
            "distance": views.distance,
            "rotations": views.rotations.tolist(),
        }
        extras["fusion"] = {"mask_threshold": 0.0}
    if "occupancy" in facts.outputs:
        if facts.network.grid is None or len(facts.network.grid) != 6:
            raise ExportError(f"{type(facts.network).__name__} gives occupancy but no grid of six numbers")
        extras["grid"] = [float(v) for v in facts.network.grid]
    if "classes" in facts.outputs:
        extras["classes"] = list(CLASSES)
    return extras
