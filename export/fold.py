"""Batch normalisation folded into the layer before it: same function, fewer nodes, better for FP16 and INT8."""

from __future__ import annotations

import copy
from typing import TypeAlias, TypeVar

import torch
from torch import nn

ModuleT = TypeVar("ModuleT", bound=nn.Module)
Layer: TypeAlias = nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear
Norm: TypeAlias = nn.BatchNorm1d | nn.BatchNorm2d


def _folded(layer: Layer, norm: Norm) -> Layer:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch normalisation without running statistics cannot be folded")
    scale = torch.rsqrt(norm.running_var + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight
    offset = -norm.running_mean * scale
    if norm.bias is not None:
        offset = offset + norm.bias
    result = copy.deepcopy(layer)
    result.weight = nn.Parameter(_scaled(layer, scale))
    bias = layer.bias if layer.bias is not None else torch.zeros_like(offset)
    result.bias = nn.Parameter(bias * scale + offset)
    return result


def _scaled(layer: Layer, scale: torch.Tensor) -> torch.Tensor:
    """The layer's weight with each output channel multiplied by its scale."""
    weight = layer.weight
    if isinstance(layer, nn.ConvTranspose2d):  # (inputs, outputs / groups, k, k): group g's inputs make its outputs
        by_group = weight.unflatten(0, (layer.groups, -1)) * scale.view(layer.groups, 1, -1, 1, 1)
        return by_group.flatten(0, 1)
    return weight * scale.view(-1, *[1] * (weight.dim() - 1))


def fold_batch_norm(network: ModuleT) -> ModuleT:
    """A copy in evaluation mode in which each (convolution or linear, batch norm) pair of a Sequential is one layer.

    Only neighbours in a ``Sequential`` are sure to be called one after the other; what follows (ReLU6, ...) stays.
    """
    result = copy.deepcopy(network).eval()
    with torch.no_grad():
        for parent in list(result.modules()):
            if not isinstance(parent, nn.Sequential):
                continue
            for n in range(len(parent) - 1):
                layer, norm = parent[n], parent[n + 1]
                if isinstance(layer, Layer) and isinstance(norm, Norm):
                    parent[n], parent[n + 1] = _folded(layer, norm), nn.Identity()
    return result
