"""Counted cost of a network: parameters and floating-point operations of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Cost:
    """parameters: trainable numbers. gflop: 1e9 floating-point operations, a multiply-add counted as two."""

    parameters: int
    gflop: float


def count(network: nn.Module, *inputs: torch.Tensor) -> Cost:
    """Run one forward pass and count convolutions and linear layers (batch 1; the rest is below 1 %)."""
    operations: list[int] = []

    def record(module: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            kernel = module.weight[0].numel()
            operations.append(2 * kernel * output[0].numel())
        elif isinstance(module, nn.Linear):
            operations.append(2 * module.in_features * output[0].numel())

    hooks = [module.register_forward_hook(record) for module in network.modules()]
    mode = network.training
    try:
        with torch.no_grad():
            network.eval()(*inputs)
    finally:
        network.train(mode)
        for hook in hooks:
            hook.remove()
    return Cost(sum(p.numel() for p in network.parameters()), sum(operations) / 1e9)
