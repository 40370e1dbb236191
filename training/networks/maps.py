"""Fixed-view maps, the founding paper's representation (Lin, Kong, Lucey, AAAI 2018), on the compared encoder.

x and y are not predicted: they are the pixels' own places, which Lin's loss draws them to. Depth is the expectation
over bins (Kendall et al., "End-to-End Learning of Geometry and Context", ICCV 2017: soft argmin), which keeps it within
the frame and lets the network decide between sheets by logits. Each pixel has biases of its own, as in Lin 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, cube_corner_views, pixel_grid
from training.networks.shared import USUAL, Shared, doubling, seed

VIEWS = 8
SIZE = 128
BINS = 8
#: Depth of the first and of the last bin from that of the origin; a car reaches 0.6 at the most.
REACH = 0.62


class Maps(Shared):
    """Picture to ``maps`` (B, 8, 4, 128, 128): x, y, depth in canonical units and mask logit of the fixed views.

    image_size, pretrained: see :class:`Shared`. Train with ``training.losses.fixed_view_loss``, whose grid term is 0.
    """

    source = "Lin, Kong, Lucey, AAAI 2018, arXiv 1706.07036; soft depth: Kendall et al., ICCV 2017"
    map_size = SIZE
    view_count = VIEWS
    pixels: Tensor
    depths: Tensor

    def __init__(self, image_size: int = 128, pretrained: bool = True) -> None:
        super().__init__(image_size, pretrained)
        self.body = nn.Sequential(
            seed(192, 4, 4), doubling(192, 128), doubling(128, 96), doubling(96, 64), doubling(64, 32), doubling(32, 24)
        )
        self.head = nn.Conv2d(24, VIEWS * (BINS + 1), 1, bias=False)
        nn.init.normal_(self.head.weight, std=0.05)
        pixels = torch.from_numpy(pixel_grid(SIZE, VIEW_WIDTH))
        depths = VIEW_DISTANCE + torch.linspace(-REACH, REACH, BINS)
        self.usual = nn.Parameter(usual_logits(depths))
        self.register_buffer("pixels", pixels.expand(1, VIEWS, 2, SIZE, SIZE).clone(), persistent=False)
        self.register_buffer("depths", depths.view(1, BINS, 1, 1), persistent=False)

    def decode(self, vector: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.body(vector)) + self.usual
        bins, mask = logits.split((VIEWS * BINS, VIEWS), 1)
        # Four dimensions: what TensorRT 8.2's softmax is sure to be quick with.
        share = bins.reshape(-1, BINS, SIZE, SIZE).softmax(1)
        depth = (share * self.depths).sum(1, keepdim=True).reshape(-1, VIEWS, 1, SIZE, SIZE)
        pixels = self.pixels.expand(vector.shape[0], -1, -1, -1, -1)
        return {"maps": torch.cat([pixels, depth, mask.unsqueeze(2)], 2)}


def usual_logits(depths: Tensor, most: float = 2.0) -> Tensor:
    """(72, 128, 128) of the usual ellipsoid: the bins of depth of each view, then the masks, plus or minus ``most``."""
    rotations = torch.from_numpy(cube_corner_views().rotations)
    grid = torch.from_numpy(pixel_grid(SIZE, VIEW_WIDTH))
    axes = torch.tensor(USUAL)
    # In a space in which the ellipsoid is a ball, a pixel's ray is origin + depth * along; the near one of two places.
    origin = torch.einsum("chw,vcn->vnhw", grid, rotations[:, :2]) / axes[:, None, None]
    along = (rotations[:, 2] / axes)[:, :, None, None]
    a, b, c = along.square().sum(1), (origin * along).sum(1), origin.square().sum(1) - 1
    root = b * b - a * c
    depth = torch.where(root > 0, (-b - root.clamp(min=0).sqrt()) / a, torch.zeros_like(b)) + VIEW_DISTANCE
    # A bell of a bin's width: its expectation is the depth.
    width = depths[1] - depths[0]
    bins = -((depth[:, None] - depths[:, None, None]) / width).square() / 2
    mask = torch.where(root > 0, most, -most)
    return torch.cat([bins.flatten(0, 1), mask])
