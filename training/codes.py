"""Shape codes: where the training shapes lie in the space their fixed-view maps span, and a head that predicts it.

Two cores see a hundred thousand pictures an hour through the whole network, too few for an encoder that starts from
nothing and learns through a decoder that does too. The encoder alone is a tenth of the cost. So it is first taught
to tell shapes apart: to predict the principal components of the training shapes' fixed-view maps. The head is
thrown away afterwards; the network keeps the structure of Lin 2018.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from edge.geometry import VIEW_DISTANCE
from training.batches import shrink_depth
from training.networks.lin2018 import Lin2018


class ShapeSpace:
    """Principal components of the training shapes' maps: coverage and, where covered, surface offset per pixel.

    fixed_depth: (M, V, S, S), 0 = background. codes: (M, K) float32, K = min(components, M - 1), the first
    component of variance 1, later ones smaller, so that a squared error on codes is a squared error on maps.
    """

    def __init__(self, fixed_depth: np.ndarray, components: int, map_size: int = 32) -> None:
        self.map_size = map_size
        maps = self._maps(fixed_depth)
        self.mean = maps.mean(0)
        _, _, right = torch.linalg.svd(maps - self.mean, full_matrices=False)
        right = right[: max(1, min(components, len(maps) - 1))]
        # The sign of a singular vector is arbitrary: fix it, so that a resumed run has the same targets.
        self.basis = right * torch.sign(right.gather(1, right.abs().argmax(1, keepdim=True)))
        self.scale = torch.ones(())
        self.scale = self.project(fixed_depth)[:, 0].std(unbiased=False).clamp_min(1e-6)
        self.codes = self.project(fixed_depth)

    def _maps(self, fixed_depth: np.ndarray) -> Tensor:
        depth = shrink_depth(torch.from_numpy(fixed_depth.astype(np.float32)), self.map_size)
        covered = (depth > 0).float()
        # A quarter of a car's length, about half its height, weighs as much as being there or not.
        return torch.cat([covered, 4.0 * covered * (depth - VIEW_DISTANCE)], 1).flatten(1)

    def project(self, fixed_depth: np.ndarray) -> Tensor:
        """Codes (N, K) of any shapes, (N, V, S, S)."""
        return (self._maps(fixed_depth) - self.mean) @ self.basis.T / self.scale


class CodeHead(nn.Module):
    """The network's encoder and a linear head: RGB (B, 3, S, S) to codes (B, K)."""

    def __init__(self, network: Lin2018, components: int) -> None:
        super().__init__()
        self.network = network
        self.head = nn.Linear(network.latent_size, components)
        # From the mean shape: the encoder's first steps then go into telling shapes apart, not into undoing noise.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) to (B, K)."""
        return self.head(torch.relu(self.network.encode(image)))
