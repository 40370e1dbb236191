"""What objectives have in common whose networks are judged by their clouds while they train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from edge.errors import DataError, SettingsError
from training.data.dataset import load_cloud
from training.networks.base import Network
from training.objectives.base import Objective, Task
from training.pictures import cloud_picture
from training.settings import Stage
from training.validation import CloudValidation, cloud_of

#: Points of each true cloud that are kept; a step looks at some of them (training/losses_points.py).
CLOUD_POINTS = 8192


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


def true_clouds(root: Path, names: list[str], count: int = CLOUD_POINTS) -> Tensor:
    """Points of the shapes' true clouds, (M, count, 3) float16, canonical frame. Raises DataError.

    Half precision errs by a fortieth of a per cent of the car's length. A smaller cloud is repeated to fill its row.
    """
    clouds = np.empty((len(names), count, 3), np.float16)
    for row, name in enumerate(tqdm(names, desc="reading clouds", unit="shape", mininterval=1.0, delay=2.0)):
        cloud = load_cloud(root, name)
        if len(cloud) == 0:
            raise DataError(f"the shard of {name} in {root} has an empty cloud; delete it and make the shards again")
        clouds[row] = np.resize(cloud[:count], (count, 3))
    return torch.from_numpy(clouds)
