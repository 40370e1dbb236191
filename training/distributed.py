"""One process or many: the few lines that ``torchrun`` needs."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch
import torch.distributed as distributed
from torch import nn


class Place(NamedTuple):
    """Where this process stands: rank of world, and the device it computes on."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes checkpoints, logs and progress."""
        return self.rank == 0


def start(threads: int = 0) -> Place:
    """Join the process group that ``torchrun`` announces in the environment, if any."""
    if threads:
        torch.set_num_threads(threads)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if world > 1:
        distributed.init_process_group("nccl" if cuda else "gloo")
    return Place(int(os.environ.get("RANK", "0")), world, device)


def wrap(network: nn.Module, place: Place) -> nn.Module:
    """The network itself, or its gradient-averaging wrapper when there are several processes.

    A stage may leave parameters out of its loss (the decoder while the encoder learns alone).
    """
    if place.world == 1:
        return network
    ids = [place.device.index] if place.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(network, device_ids=ids, find_unused_parameters=True)


def stop(place: Place) -> None:
    """Leave the process group, if there is one."""
    if place.world > 1:
        distributed.destroy_process_group()
