"""Networks under one contract: RGB in, fixed-view maps out. Each file cites its source."""

from __future__ import annotations

from typing import Any

from edge.errors import SettingsError
from training.networks.base import Network
from training.networks.lin2018 import Lin2018

NETWORKS: dict[str, type[Network]] = {"lin2018": Lin2018}


def build(name: str, **arguments: Any) -> Network:
    """A network by its registered name. Raises SettingsError that lists the names."""
    if name not in NETWORKS:
        raise SettingsError(f"no network is called {name!r}; there are: {', '.join(sorted(NETWORKS))}")
    return NETWORKS[name](**arguments)
