"""Large fully connected layers as the product of two thin ones: truncated singular value decomposition.

Denton et al., "Exploiting Linear Structure Within Convolutional Networks", NeurIPS 2014, and Xue et al., "Restructuring
of Deep Neural Network Acoustic Models with Singular Value Decomposition", Interspeech 2013. Done in PyTorch after batch
normalisation is folded, so that nothing else of the export knows of it.
"""

from __future__ import annotations

import copy
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from edge.errors import SettingsError

ModuleT = TypeVar("ModuleT", bound=nn.Module)


class Thinned(NamedTuple):
    """One layer made thin.

    name: of the module. inputs, outputs: its width on both sides. rank: of what is left of its matrix.
    energy: part of the squared weights that is left.
    """

    name: str
    inputs: int
    outputs: int
    rank: int
    energy: float

    @property
    def saved(self) -> int:
        """Numbers that need not be stored any more."""
        return self.inputs * self.outputs - self.rank * (self.inputs + self.outputs)


def thin_linear(network: ModuleT, rank: int) -> tuple[ModuleT, list[Thinned]]:
    """A copy in which every ``nn.Linear`` that gets smaller by it is two of them, with ``rank`` numbers between.

    The product is the best approximation of that rank of the layer's matrix (Eckart and Young); the bias is kept.
    Returns the copy, and what was done to which layer. Raises SettingsError when the rank is none, or thins nothing.
    """
    if rank < 1:
        raise SettingsError(f"--fc-rank is {rank}; give 1 or more, or leave it out to keep the layers whole")
    result = copy.deepcopy(network)
    done = []
    for name, layer in list(result.named_modules()):
        if not isinstance(layer, nn.Linear) or rank * (layer.in_features + layer.out_features) >= layer.weight.numel():
            continue
        pair, energy = _pair(layer, rank)
        parent, _, child = name.rpartition(".")
        if not name:
            raise SettingsError("a network that is one single linear layer cannot be thinned")
        setattr(result.get_submodule(parent), child, pair)
        done.append(Thinned(name, layer.in_features, layer.out_features, rank, energy))
    if not done:
        raise SettingsError(f"--fc-rank {rank} makes no layer of this network smaller; give less, or leave it out")
    return result, done


def _pair(layer: nn.Linear, rank: int) -> tuple[nn.Sequential, float]:
    """Two layers in place of one, and the part of the squared weights that they keep."""
    with torch.no_grad():
        weight = layer.weight.double()
        # By the eigenvectors of the smaller Gram matrix: a tenth of the time of a whole decomposition.
        if layer.out_features <= layer.in_features:
            left = torch.linalg.eigh(weight @ weight.T).eigenvectors[:, -rank:]
            right = left.T @ weight
        else:
            right = torch.linalg.eigh(weight.T @ weight).eigenvectors[:, -rank:].T
            left = weight @ right.T
        # Rows of the one and columns of the other are made equally long, so that neither leaves float16's good range.
        balance = (left.norm(dim=0) / right.norm(dim=1).clamp_min(1e-12)).sqrt().clamp_min(1e-6)
        first = nn.Linear(layer.in_features, rank, bias=False)
        second = nn.Linear(rank, layer.out_features, bias=layer.bias is not None)
        first.weight.copy_(right * balance[:, None])
        second.weight.copy_(left / balance)
        if layer.bias is not None:
            second.bias.copy_(layer.bias)
        # What is left out is at right angles to what is kept.
        energy = 1.0 - float((weight - left @ right).square().sum() / weight.square().sum())
    return nn.Sequential(first, second), energy
