"""Networks under one contract: RGB in, fixed-view maps out. Each file cites its source."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.errors import DataError, SettingsError
from training.networks.base import Network
from training.networks.lin2018 import Lin2018
from training.networks.maps import Maps
from training.networks.mesh import Mesh
from training.networks.morphable import Morphable
from training.networks.points import Points
from training.networks.voxels import Voxels

NETWORKS: dict[str, type[Network]] = {
    "lin2018": Lin2018,
    "morphable": Morphable,
    "points": Points,
    "voxels": Voxels,
    "mesh": Mesh,
    "maps": Maps,
}


def build(name: str, **arguments: Any) -> Network:
    """A network by its registered name. SettingsError lists the names, or says which argument it does not take."""
    if name not in NETWORKS:
        raise SettingsError(f"no network is called {name!r}; there are: {', '.join(sorted(NETWORKS))}")
    known = list(inspect.signature(NETWORKS[name]).parameters)
    unknown = sorted(set(arguments) - set(known))
    if unknown:
        raise SettingsError(f"network {name} takes no {unknown[0]!r}; its arguments are: {', '.join(known)}")
    return NETWORKS[name](**arguments)


def rebuilt(state: Mapping[str, Any], path: Path) -> Network:
    """The network of a checkpoint with its averaged weights. state: as ``training.checkpoint.load`` gives it.

    Built with what it was built with when it was trained, such as another size of picture; DataError if it does not
    fit, SettingsError if there is no such network.
    """
    name = state["network_name"]
    # Weights come from the checkpoint: a network that can start from somebody else's must not look for those.
    starts = name in NETWORKS and "pretrained" in inspect.signature(NETWORKS[name]).parameters
    network = build(name, **{**state.get("arguments", {}), **({"pretrained": False} if starts else {})})
    try:
        network.load_state_dict(state["average"])
    except (KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path} does not fit the network {name} of this version ({reason}); train it again") from None
    return network


def input_size(name: str, arguments: Mapping[str, Any]) -> int:
    """Side of the picture a network takes when it is built with these arguments. SettingsError for an unknown name."""
    if name not in NETWORKS:
        raise SettingsError(f"no network is called {name!r}; there are: {', '.join(sorted(NETWORKS))}")
    fixed = getattr(NETWORKS[name], "input_size", None)
    usual = inspect.signature(NETWORKS[name]).parameters.get("image_size")
    return int(fixed or arguments.get("image_size", usual.default if usual else 0))
