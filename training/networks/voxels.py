"""Occupancy of cells: Choy et al., "3D-R2N2", ECCV 2016, and Xie et al., "Pix2Vox", ICCV 2019, for one picture.

Theirs is a decoder of three-dimensional convolutions on a cube of 32 cells. Here the cells fit a car's box, the decoder
sees it from above, with height in the channels (as bird's-eye detectors do): dense two-dimensional convolutions, which
the Nano is good at and TensorRT 8.2 surely has. Only the left half is predicted; the right half is its mirror image.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.networks.shared import USUAL, Shared, convolution, doubling, seed

#: Cells along x, y and z.
CELLS = (64, 48, 32)
#: Half the box, canonical units. Every surface needs an empty cell beyond it: the longest car is 0.5, the widest of
#: CarPC-1 0.338 (1.71 m of 2.53 m), the highest 0.31.
HALF = (32 / 62, 0.36, 0.33)


class Voxels(Shared):
    """Picture to ``occupancy`` (B, 64, 48, 32) logits of the cells of ``grid``, along x, y and z.

    image_size, pretrained: see :class:`Shared`.
    """

    source = "Choy et al., ECCV 2016, arXiv 1604.00449; Xie et al., ICCV 2019, arXiv 1901.11153"
    grid = (*(-v for v in HALF), *HALF)
    sides: Tensor

    def __init__(self, image_size: int = 128, pretrained: bool = True) -> None:
        super().__init__(image_size, pretrained)
        x, y, z = CELLS[0], CELLS[1] // 2, CELLS[2]
        self.body = nn.Sequential(
            seed(128, x // 8, y // 8), doubling(128, 128), doubling(128, 96), doubling(96, 64), convolution(64, 64)
        )
        self.head = nn.Conv2d(64, z, 3, padding=1, bias=False)
        # A logit of its own for each cell, as Lin 2018 has for each pixel: the usual car need not be decoded.
        self.usual = nn.Parameter(usual_logits().permute(2, 0, 1)[:, :, y:].contiguous())
        nn.init.normal_(self.head.weight, std=0.05)
        left = torch.arange(y)
        self.register_buffer("sides", torch.cat([left.flip(0), left]), persistent=False)

    def decode(self, vector: Tensor) -> dict[str, Tensor]:
        left = (self.head(self.body(vector)) + self.usual).permute(0, 2, 3, 1)
        return {"occupancy": left.index_select(2, self.sides)}


def usual_logits(steep: float = 5.0, most: float = 3.0) -> Tensor:
    """(X, Y, Z) of the usual ellipsoid: 0 on it, ``most`` deep inside, minus that far outside."""
    axes = [((torch.arange(n) + 0.5) / n * 2 - 1) * h / s for n, h, s in zip(CELLS, HALF, USUAL, strict=True)]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    return (steep * (1 - (x * x + y * y + z * z).sqrt())).clamp(-most, most)
