"""What objectives have in common whose networks are judged by their clouds while they train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from edge.errors import DataError, SettingsError
from training.networks.base import Network
from training.objectives.base import Objective, Task
from training.pictures import cloud_picture
from training.settings import Stage
from training.validation import CloudValidation, cloud_of


class CloudObjective(Objective):
    """Parts of a loss that are weighed, and validation against true clouds.

    usual: what each part counts; the settings may change it. Raises DataError without the shards' folder, where the
    true clouds are, SettingsError for the weight of a part that there is not.
    """

    def __init__(self, task: Task, network: Network, usual: Mapping[str, float]) -> None:
        super().__init__()
        name = task.settings.network
        if task.root is None:
            raise DataError(f"the network {name} needs the shards' folder, for the true clouds: give --data")
        unknown = sorted(set(task.settings.weights) - set(usual))
        if unknown:
            raise SettingsError(f"the loss of {name} has no part {unknown[0]!r} to weigh; known: {', '.join(usual)}")
        self.network = network
        self.device, self.root = task.place.device, Path(task.root)
        self.counted = {**usual, **task.settings.weights}
        self.validation = CloudValidation(task.validation, self.root, network.input_size)

    def weighed(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The parts, and before them their weighed sum, ``total``."""
        total = torch.stack([self.counted[name] * value for name, value in losses.items()]).sum()
        return {"total": total, **losses}

    def validate(self, network: Network, stage: Stage) -> dict[str, float]:
        """Distances x100, F-scores in per cent and attributes on the validation bodies."""
        return self.validation.figures(network, self.device)

    def picture(self, network: Network, stage: Stage) -> Tensor | None:
        """Four validation pictures with the predicted and the true cloud."""
        batch, prediction = self.validation.predict(network, self.device)[0]
        rows = range(min(4, len(batch.image)))
        truths = [self.validation.truth(int(batch.shape[row]))[1] for row in rows]
        return cloud_picture(batch.image[: len(rows)], [cloud_of(network, prediction, row) for row in rows], truths)
