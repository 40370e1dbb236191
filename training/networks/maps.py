"""Fixed-view maps, the founding paper's representation (Lin, Kong, Lucey, AAAI 2018), on the compared encoder.

x and y are not predicted: they are the pixels' own places, which Lin's loss draws them to. Each pixel of depth and mask
has a bias of its own, as in Lin 2018. Depth as an expectation over bins (soft argmin) was tried and left out: at 128 x
128 pixels of eight views it took ten of fourteen milliseconds of ONNX Runtime, and two fifths of a training step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, cube_corner_views, pixel_grid
from training.networks.shared import USUAL, Shared, doubling, seed

VIEWS = 8
SIZE = 128


class Maps(Shared):
    """Picture to ``maps`` (B, 8, 4, 128, 128): x, y, depth in canonical units and mask logit of the fixed views.

    image_size, pretrained: see :class:`Shared`. Train with ``training.losses.fixed_view_loss``, whose grid term is 0.
    """

    source = "Lin, Kong, Lucey, AAAI 2018, arXiv 1706.07036"
    map_size = SIZE
    view_count = VIEWS
    pixels: Tensor

    def __init__(self, image_size: int = 128, pretrained: bool = True) -> None:
        super().__init__(image_size, pretrained)
        self.body = nn.Sequential(
            seed(192, 4, 4), doubling(192, 128), doubling(128, 96), doubling(96, 64), doubling(64, 32), doubling(32, 24)
        )
        self.head = nn.Conv2d(24, 2 * VIEWS, 1, bias=False)
        self.usual = nn.Parameter(usual_maps().flatten(0, 1))
        with torch.no_grad():  # depth's unit is a car's length, the mask's a logit
            nn.init.normal_(self.head.weight[:VIEWS], std=0.005)
            nn.init.normal_(self.head.weight[VIEWS:], std=0.05)
        pixels = torch.from_numpy(pixel_grid(SIZE, VIEW_WIDTH))
        self.register_buffer("pixels", pixels.expand(VIEWS, 2, SIZE, SIZE).clone(), persistent=False)

    def decode(self, vector: Tensor) -> dict[str, Tensor]:
        depth, mask = (self.head(self.body(vector)) + self.usual).unsqueeze(2).split(VIEWS, 1)
        pixels = self.pixels[None].expand(vector.shape[0], -1, -1, -1, -1)
        return {"maps": torch.cat([pixels, depth, mask], 2)}


def usual_maps(most: float = 2.0) -> Tensor:
    """(2, 8, 128, 128) of the usual ellipsoid: depth (beside it the origin's) and mask, plus or minus ``most``."""
    rotations = torch.from_numpy(cube_corner_views().rotations)
    grid = torch.from_numpy(pixel_grid(SIZE, VIEW_WIDTH))
    axes = torch.tensor(USUAL)
    # In a space in which the ellipsoid is a ball, a pixel's ray is origin + depth * along; the near one of two places.
    origin = torch.einsum("chw,vcn->vnhw", grid, rotations[:, :2]) / axes[:, None, None]
    along = (rotations[:, 2] / axes)[:, :, None, None]
    a, b, c = along.square().sum(1), (origin * along).sum(1), origin.square().sum(1) - 1
    root = b * b - a * c
    depth = torch.where(root > 0, (-b - root.clamp(min=0).sqrt()) / a, torch.zeros_like(b)) + VIEW_DISTANCE
    return torch.stack([depth, torch.where(root > 0, most, -most)])
