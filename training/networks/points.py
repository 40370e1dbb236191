"""Fan, Su, Guibas, "A Point Set Generation Network for 3D Object Reconstruction from a Single Image", CVPR 2017.

Their two branches: a fully connected one, free to put its points anywhere, and a convolutional one whose grid of
points makes smooth sheets. Three things differ. The points are those of the car's left half, and the right half is
their mirror image: cars are symmetric, and half the numbers are learnt in half the time. Points start on an ellipsoid
of a car's size (a bias for each) in place of a heap at the origin. Upsampling is by nearest neighbours
(training/networks/shared.py).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.networks.shared import USUAL, WIDTH, Shared, doubling, seed

#: Points of the left half from the fully connected branch, and height and width of the other's grid.
FREE = 2048
GRID = (96, 64)


class Points(Shared):
    """Picture to ``points`` (B, 16384, 3): 2,048 free ones and a grid of 96 x 64, and the same mirrored (y to -y).

    image_size, pretrained: see :class:`Shared`.
    """

    source = "Fan, Su, Guibas, CVPR 2017, arXiv 1612.00603"
    mirror: Tensor

    def __init__(self, image_size: int = 128, pretrained: bool = True) -> None:
        super().__init__(image_size, pretrained)
        self.free = nn.Linear(WIDTH, 3 * FREE)
        self.sheet = nn.Sequential(
            seed(128, GRID[0] // 16, GRID[1] // 16), doubling(128, 96), doubling(96, 64), doubling(64, 48),
            doubling(48, 32),
        )
        self.head = nn.Conv2d(32, 3, 1, bias=False)
        along, around = (torch.arange(n, dtype=torch.float32).add(0.5) / n for n in GRID)
        start = half_ellipsoid(along[:, None].expand(GRID), around.expand(GRID))
        self.place = nn.Parameter(start.permute(2, 0, 1).contiguous())
        self.register_buffer("mirror", torch.tensor([1.0, -1.0, 1.0]), persistent=False)
        number = torch.arange(FREE, dtype=torch.float32)
        golden = (number * ((math.sqrt(5) - 1) / 2)) % 1.0  # Fibonacci's lattice: even whatever the count
        for weight in (self.free.weight, self.head.weight):
            nn.init.normal_(weight, std=0.003)
        with torch.no_grad():
            self.free.bias.copy_(half_ellipsoid((number + 0.5) / FREE, golden).flatten())

    def decode(self, vector: Tensor) -> dict[str, Tensor]:
        sheet = self.head(self.sheet(vector)) + self.place
        left = torch.cat([self.free(vector).unflatten(1, (FREE, 3)), sheet.flatten(2).transpose(1, 2)], 1)
        return {"points": torch.cat([left, left * self.mirror], 1)}


def half_ellipsoid(along: Tensor, around: Tensor) -> Tensor:
    """Points (..., 3) of the usual ellipsoid's left half (y > 0), evenly spread as are the two numbers in 0..1.

    along: tail to nose. around: from below over the left side to the top.
    """
    x = 2 * along - 1
    radius = (1 - x * x).sqrt()
    angle = math.pi * around
    return torch.stack([x, radius * angle.sin(), -radius * angle.cos()], -1) * torch.tensor(USUAL)
