"""What every network of the registry gives."""

from __future__ import annotations

from torch import Tensor, nn


class Network(nn.Module):
    """RGB picture to fixed-view maps.

    input_size: side of the square input. map_size: side of the output maps. view_count: V.
    latent_size: numbers between encoder and decoder. source: the paper, for the bundle's manifest.
    """

    input_size: int
    map_size: int
    view_count: int
    latent_size: int
    source: str

    def encode(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) RGB in 0..1 to (B, latent_size)."""
        raise NotImplementedError

    def encoder_parameters(self) -> list[nn.Parameter]:
        """The parameters that ``encode`` uses."""
        raise NotImplementedError

    def forward(self, image: Tensor, map_size: int = 128) -> Tensor:
        """(B, 3, S, S) RGB in 0..1 to (B, V, 4, map_size, map_size): x, y, depth, mask logit (edge.geometry)."""
        raise NotImplementedError
