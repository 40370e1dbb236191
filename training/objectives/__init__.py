"""One objective per network: its losses, its validation, what is prepared before and fitted after training."""

from __future__ import annotations

from training.networks import build
from training.objectives.base import Objective, Task


def build_objective(task: Task) -> Objective:
    """The objective of the network that the settings name, with a new network. SettingsError if none is known."""
    from training.objectives.lin2018 import Lin2018Objective
    from training.objectives.maps import MapsObjective
    from training.objectives.mesh import MeshObjective
    from training.objectives.morphable import MorphableObjective
    from training.objectives.points import PointsObjective
    from training.objectives.voxels import VoxelsObjective

    known: dict[str, type[Objective]] = {
        "lin2018": Lin2018Objective, "morphable": MorphableObjective, "points": PointsObjective,
        "voxels": VoxelsObjective, "mesh": MeshObjective, "maps": MapsObjective,
    }  # fmt: skip
    arguments = task.settings.arguments
    if task.settings.network == "lin2018":
        # Two of its arguments are settings of their own.
        own = {"bn_momentum": task.settings.bn_momentum, "init_std": task.settings.init_std}
        arguments = {**own, **arguments}
    network = build(task.settings.network, **arguments)
    return known[task.settings.network](task, network)  # type: ignore[call-arg]


__all__ = ["Objective", "Task", "build_objective"]
