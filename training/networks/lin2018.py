"""Lin, Kong, Lucey, "Learning Efficient Point Cloud Generation for Dense 3D Object Reconstruction", AAAI 2018.

The "original" structure of the authors' TensorFlow release (arXiv 1706.07036): four strided convolutions
and a fully connected stack down to 512 numbers, another stack up to 4x4x256, five times nearest-neighbour
doubling and convolution up to 128x128, and a 1x1 convolution whose bias is a trainable value for
every pixel, started at the pixel grid. The PyTorch port's mistakes are not copied: x is the column, and
the per-pixel bias is a parameter.

Two things differ, for reasons of units. Maps come out in canonical units rather than pixels (x and y are the
release's pixel coordinates times the pixel pitch), so that x, y and depth errors weigh the same; and the
square view frame is ``edge.geometry.VIEW_WIDTH`` wide, because a car of length 1 does not fit into 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, pixel_grid
from training.networks.base import Network, Prediction

ENCODER = (96, 128, 192, 256)
ENCODER_FC = (2048, 1024, 512)
DECODER_FC = (1024, 2048, 4096)
DECODER = (192, 128, 96, 64, 48)
BN_EPS = 1e-5


def _convolution(inputs: int, outputs: int, stride: int, momentum: float) -> nn.Sequential:
    # The release adds a bias before a batch normalisation without scale or shift, where it cancels: left out.
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
        nn.BatchNorm2d(outputs, eps=BN_EPS, momentum=momentum, affine=False),
        nn.ReLU(),
    )


def _linear(inputs: int, outputs: int, momentum: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs, bias=False),
        nn.BatchNorm1d(outputs, eps=BN_EPS, momentum=momentum, affine=False),
        nn.ReLU(),
    )


class Lin2018(Network):
    """RGB image to V fixed-view maps of x, y, depth (camera frame, canonical units) and mask logit.

    bn_momentum: share of the newest batch in the running statistics. The release's 0.001 needs some
        thousands of iterations to forget the start; short budgets want more.
    init_std: of every weight, as in the release; ``head_std`` apart, because the head's unit is a car length here.
    """

    input_size = 64
    map_size = 128
    view_count = 8
    latent_size = ENCODER_FC[-1]
    source = "Lin, Kong, Lucey, AAAI 2018, arXiv 1706.07036"

    def __init__(self, bn_momentum: float = 0.01, init_std: float = 0.1, head_std: float = 0.01) -> None:
        super().__init__()
        channels: tuple[int, ...] = (3, *ENCODER[:-1])
        self.encoder = nn.Sequential(
            *(_convolution(a, b, 2, bn_momentum) for a, b in zip(channels, ENCODER, strict=True))
        )
        widths: tuple[int, ...] = (ENCODER[-1] * 16, *ENCODER_FC[:-2])
        self.encoder_fc = nn.Sequential(
            *(_linear(a, b, bn_momentum) for a, b in zip(widths, ENCODER_FC[:-1], strict=True)),
            nn.Linear(ENCODER_FC[-2], ENCODER_FC[-1]),
        )
        widths = (ENCODER_FC[-1], *DECODER_FC[:-1])
        self.decoder_fc = nn.Sequential(
            nn.ReLU(), *(_linear(a, b, bn_momentum) for a, b in zip(widths, DECODER_FC, strict=True))
        )
        channels = (DECODER_FC[-1] // 16, *DECODER[:-1])
        self.decoder = nn.ModuleList(
            _convolution(a, b, 1, bn_momentum) for a, b in zip(channels, DECODER, strict=True)
        )
        self.head = nn.Conv2d(DECODER[-1], 4 * self.view_count, 1, bias=False)
        self.pixel_bias = nn.Parameter(self._bias_start())
        for name, parameter in self.named_parameters():
            if name.endswith("weight"):
                nn.init.normal_(parameter, std=head_std if name.startswith("head") else init_std)
            elif name.endswith(".bias"):
                nn.init.zeros_(parameter)

    def _bias_start(self) -> Tensor:
        """(V, 4, H, W): the pixel grid, the depth of the object's centre, mask logit 0."""
        grid = torch.from_numpy(pixel_grid(self.map_size, VIEW_WIDTH))
        rest = torch.stack([torch.full_like(grid[0], VIEW_DISTANCE), torch.zeros_like(grid[0])])
        return torch.cat([grid, rest]).expand(self.view_count, -1, -1, -1).clone()

    def encode(self, image: Tensor) -> Tensor:
        """(B, 3, 64, 64) RGB in 0..1 to the 512 numbers between encoder and decoder, before their rectifier."""
        return self.encoder_fc(self.encoder(image).flatten(1))

    def encoder_parameters(self) -> list[nn.Parameter]:
        """Convolutions and fully connected layers up to the 512 numbers."""
        return [*self.encoder.parameters(), *self.encoder_fc.parameters()]

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, 64, 64) RGB in 0..1 to maps (B, V, 4, 128, 128): x, y, depth, mask logit (edge.geometry)."""
        return Prediction(maps=self.maps(image))

    def maps(self, image: Tensor, map_size: int = 128) -> Tensor:
        """(B, 3, 64, 64) RGB in 0..1 to (B, V, 4, map_size, map_size).

        ``map_size`` 64 leaves out the last doubling, for the cheap first part of training: the same
        weights at a quarter of the cost, the per-pixel bias averaged over 2x2 pixels.
        """
        feature = self.decoder_fc(self.encode(image)).unflatten(1, (-1, 4, 4))
        size = 4
        for block in self.decoder:
            if size < map_size:
                feature = functional.interpolate(feature, scale_factor=2.0, mode="nearest")
                size *= 2
            feature = block(feature)
        bias = self.pixel_bias
        if map_size < self.map_size:
            bias = functional.avg_pool2d(bias, self.map_size // map_size)
        return self.head(feature).unflatten(1, (self.view_count, 4)) + bias
