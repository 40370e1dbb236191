"""Counted cost of a network: parameters and floating-point operations of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """parameters: trainable numbers. gflop: 1e9 floating-point operations, a multiply-add counted as two."""

    parameters: int
    gflop: float


def count(network: nn.Module, *inputs: torch.Tensor) -> Cost:
    """Run one forward pass and count what is multiplied (batch 1; the rest is below 1 %).

    Convolutions of two and three dimensions, transposed ones too, and products of matrices, whether of a layer, of a
    parameter or of a buffer.
    """
    mode = network.training
    counter = FlopCounterMode(display=False)
    try:
        with torch.no_grad(), counter:
            network.eval()(*inputs)
    finally:
        network.train(mode)
    return Cost(sum(p.numel() for p in network.parameters()), counter.get_total_flops() / 1e9)
