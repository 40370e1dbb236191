"""What the compared networks (points, voxels, mesh, maps) have in common: everything but the decoder of the shape.

The same encoder, the same vector between, the same heads, and the same start: an ellipsoid of an ordinary car's size,
as a bias of each output. What differs in the comparison is the representation.
"""

from __future__ import annotations

from torch import Tensor, nn

from training.networks.base import Network, Prediction
from training.networks.encoder import MEAN, STD, Encoder, Summary
from training.networks.extras import Extras

#: Numbers between encoder and decoder.
WIDTH = 512
#: Semi-axes of the ellipsoid that every network starts at, canonical units: half an ordinary car's box.
USUAL = (0.5, 0.21, 0.165)


class Shared(Network):
    """Encoder, vector and heads; a subclass decodes the vector.

    image_size: side of the picture, a multiple of 32 in 64..256. pretrained: start at the ImageNet weights.
    Raises SettingsError for another size, DataError where the encoder's packages are missing.
    """

    mean = MEAN
    std = STD

    def __init__(self, image_size: int = 128, pretrained: bool = True) -> None:
        super().__init__()
        self.input_size = image_size
        self.encoder = Encoder(image_size, pretrained)
        self.summary = Summary(image_size, WIDTH)
        self.extras = Extras(WIDTH)

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, S, S), normalised by ``mean`` and ``std``."""
        vector: Tensor = self.summary(self.encoder(image).coarse)
        extras: Prediction = self.extras(vector)
        return extras._replace(**self.decode(vector))

    def decode(self, vector: Tensor) -> dict[str, Tensor]:
        """(B, 512) to the shape: fields of :class:`Prediction` by name."""
        raise NotImplementedError


def seed(outputs: int, height: int, width: int) -> nn.Sequential:
    """A vector (B, 512) to a small picture (B, outputs, height, width) to grow from."""
    return nn.Sequential(
        nn.Linear(WIDTH, outputs * height * width), nn.Unflatten(1, (outputs, height, width)), nn.ReLU(inplace=True)
    )


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """A dense 3x3 convolution, normalised and rectified: what the Nano's GPU is good at."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def doubling(inputs: int, outputs: int) -> nn.Sequential:
    """(B, inputs, H, W) to (B, outputs, 2 H, 2 W): nearest neighbours, then a convolution.

    Not a transposed convolution: those leave chequerboards (Odena et al., Distill 2016) and are slow on Maxwell.
    """
    return nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest"), convolution(inputs, outputs))
