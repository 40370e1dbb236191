"""What a network is taught, and how a run of it is judged."""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from torch import Tensor, nn

from training.batches import Batch
from training.constants import alike
from training.data.dataset import CarDataset
from training.distributed import Place
from training.networks.base import Network
from training.settings import Settings, Stage


class Task:
    """What an objective is made of. root: folder of the shards. workers: processes for what is prepared once."""

    def __init__(
        self, settings: Settings, data: CarDataset, validation: CarDataset, root: Path | None, place: Place,
        workers: int = 2,
    ) -> None:
        self.settings, self.data, self.validation = settings, data, validation
        self.root, self.place, self.workers = root, place, workers


class Objective(nn.Module):
    """Holds the network and all else that is trained with it; called it gives what its loss wants.

    Called and not the network, because several processes average the gradients of the module that is called.
    """

    network: Network

    def begin(self, stage: Stage) -> None:
        """Called before each stage, and before processes agree on whose gradients to average: sets what rests in it."""
        encoder = getattr(self.network, "encoder", None)
        for parameter in encoder.parameters() if encoder is not None else ():
            parameter.requires_grad_(not stage.freeze_encoder)

    def complete(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A training batch, augmented, with what only the objective knows of its shapes; may change the shapes."""
        return batch

    def forward(self, image: Tensor, stage: Stage) -> dict[str, Tensor]:
        """(B, 3, S, S), normalised, to tensors by name."""
        raise NotImplementedError

    def loss(self, output: dict[str, Tensor], batch: Batch, stage: Stage, step: int) -> dict[str, Tensor]:
        """Scalars by name; ``total`` is what is minimised. The batch is on the network's device."""
        raise NotImplementedError

    def validate(self, network: Network, stage: Stage) -> dict[str, float]:
        """Figures by name of a network with averaged weights; ``score``, if there, says which is better (lower)."""
        raise NotImplementedError

    def picture(self, network: Network, stage: Stage) -> Tensor | None:
        """(3, H, W) in 0..1 for the log, or None."""
        return None

    def finish(self, network: Network) -> dict[str, float]:
        """What is fitted to the validation bodies after training, such as a calibration; figures for the run."""
        return {}


def normalised(image: Tensor, network: Network) -> Tensor:
    """Pictures (B, 3, S, S) in 0..1 as the network wants them."""
    mean, std = (alike(_column(tuple(v)), image) for v in (network.mean, network.std))
    return (image - mean) / std


@functools.cache
def _column(values: tuple[float, ...]) -> Tensor:
    """(1, 3, 1, 1)."""
    return torch.tensor(values).view(1, -1, 1, 1)
