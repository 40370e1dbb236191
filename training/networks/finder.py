"""Where the landmarks of a car are seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from training.networks.encoder import COARSE, FINE, FINEST, Features
from training.networks.lifting import Projected

#: Landmarks on the left half; their mirror images are landmarks, too. Channels of the maps they are found in.
LANDMARKS, CHANNELS = 64, 128
#: Standard deviation of the likelihood that is asked for about a true place, crop units: a cell is an eighth.
WIDE = 0.08


class Found(NamedTuple):
    """place: (B, 2 L, 2) in crop coordinates, the left landmarks first. spread: (B, 2 L), variance of the likelihood.
    logits: (B, 2 L, C) of the cells. surface: (B, 3, C) place in the car's frame of what each cell shows, canonical,
    mask: (B, C) logit that it shows the car, pooled: (B, 2 L, 3) the surface where the landmark is seen; or None."""

    place: Tensor
    spread: Tensor
    logits: Tensor
    surface: Tensor | None = None
    mask: Tensor | None = None
    pooled: Tensor | None = None


class Mixed(nn.Module):
    """What is around a cell, mixed into it: a residual block (He et al., CVPR 2016) that begins as nothing."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, feature: Tensor) -> Tensor:
        return functional.relu6(feature + self.second(functional.relu6(self.first(feature))))


class Finder(nn.Module):
    """Where the landmarks are seen: a map of likelihoods for each, near where it is expected; the mean place under it.

    Sun et al., "Integral human pose regression", ECCV 2018; lifting landmarks to a shape: Wu et al., "Single image 3D
    interpreter network", ECCV 2016. A convolution finds a wheel wherever it is; a fully connected layer would have to
    learn it for every place. Expected is where the mean car's landmark is in the pose that the whole picture tells:
    so left is not taken for right, nor a wheel for the other one. cells: side of the maps. hidden: width of what
    the whole picture tells, which sets gain and bias of each channel (FiLM: Perez et al., AAAI 2018): what a piece of
    a car is depends on where the camera stands.

    surface: whether every cell also tells which place of the car it shows, as in Wang et al., "Normalized object
    coordinate space", CVPR 2019. offsets: whether every cell also tells how far from its centre each landmark is
    (Papandreou et al., "Towards accurate multi-person pose estimation in the wild", CVPR 2017): a cell is eight pixels
    wide. blocks: residual blocks before all that, every second one with steps of two cells.
    """

    grid: Tensor

    def __init__(
        self, cells: int, hidden: int, surface: bool = False, offsets: bool = False, blocks: int = 0
    ) -> None:
        super().__init__()
        self.surface = nn.Conv2d(CHANNELS, 3, 1) if surface else None
        self.mask = nn.Conv2d(CHANNELS, 1, 1) if surface else None
        self.offset = nn.Conv2d(CHANNELS, 2 * 2 * LANDMARKS, 1) if offsets else None
        if self.offset is not None:
            nn.init.zeros_(self.offset.weight)
            nn.init.zeros_(self.offset.bias)
        self.cells = cells
        self.squeeze = nn.Conv2d(COARSE, 64, 1)
        self.middle = nn.Conv2d(FINE + 64, CHANNELS, 3, padding=1)
        self.top = nn.Conv2d(FINEST + CHANNELS, CHANNELS, 3, padding=1)
        self.where = nn.Conv2d(2, CHANNELS, 1, bias=False)
        mixed = [Mixed(CHANNELS, 1 + number % 2) for number in range(blocks)]
        self.last = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU6(), *mixed)
        # Gain and bias of the middle, then of the top: one layer each, because cutting one's result up costs more.
        self.context = nn.ModuleList(nn.Linear(hidden, CHANNELS) for _ in range(4))
        for number, layer in enumerate(self.context):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.constant_(layer.bias, 1.0 - number % 2)
        self.heat = nn.Conv2d(CHANNELS, 2 * LANDMARKS, 1, bias=False)  # a constant for all cells cancels
        nn.init.normal_(self.heat.weight, std=0.01)
        # One over twice the variance about the expected place: a standard deviation of a quarter at first.
        self.sharpness = nn.Parameter(torch.tensor(2.08))
        axis = (torch.arange(cells) + 0.5) / cells * 2 - 1
        x, y = axis.expand(cells, cells), axis[:, None].expand(cells, cells)
        # The third column gives the mean square, hence how widely the likelihood is spread.
        grid = torch.stack([x, y, x.square() + y.square()], 2).flatten(0, 1)
        self.register_buffer("grid", grid, persistent=False)

    def forward(self, maps: Features, view: Tensor, wanted: Projected) -> Found:
        """view: (B, hidden). wanted: of the 2 LANDMARKS."""
        gain, bias, top_gain, top_bias = (layer(view)[:, :, None, None] for layer in self.context)
        coarse = functional.interpolate(self.squeeze(maps.coarse), scale_factor=2.0, mode="nearest")
        middle = self.middle(torch.cat([maps.fine, coarse], 1))
        middle = functional.relu6(middle * gain + bias)
        # Where a cell is, seen from the car's centre, in canonical units.
        away = (self.grid[:, :2] - wanted.centre) / wanted.size
        away = away.transpose(1, 2).unflatten(2, (self.cells, self.cells))
        top = self.top(torch.cat([maps.finest, functional.interpolate(middle, scale_factor=2.0, mode="nearest")], 1))
        top = self.last(functional.relu6((top + self.where(away)) * top_gain + top_bias))
        heat = self.heat(top).float().flatten(2)
        surface = None if self.surface is None else self.surface(top).float().flatten(2)
        mask = None if self.mask is None else self.mask(top).float().flatten(1)
        offset = None if self.offset is None else self.offset(top).float().flatten(2).unflatten(1, (2 * LANDMARKS, 2))
        with torch.autocast(top.device.type, enabled=False):  # half precision would move places by a quarter pixel
            # The square of the distance to the expected place, less what is the same in every cell.
            inside = wanted.place.float().clamp(-1.0, 1.0)
            logits = heat - (self.grid[:, 2] - 2 * inside @ self.grid[:, :2].T) * self.sharpness.exp()
            likelihood = logits.softmax(2)
            moments = likelihood @ self.grid
            place = moments[..., :2]
            spread = moments[..., 2] - place.square().sum(2)
            if offset is not None:
                place = place + (likelihood[:, :, None] * offset).sum(3)
            if surface is None or mask is None:
                return Found(place, spread, logits)
            seen = likelihood * mask.sigmoid()[:, None] + 1e-6
            pooled = (seen / seen.sum(2, keepdim=True)) @ surface.transpose(1, 2)
            return Found(place, spread, logits, surface, mask, pooled)

    def loss(self, logits: Tensor, place: Tensor) -> Tensor:
        """Cross-entropy of the cells against a normal distribution about the true places (B, 2 LANDMARKS, 2), nats.

        Landmarks beyond the crop are left out. The mean place alone teaches slowly: while a likelihood is flat, its
        mean hardly moves with it.
        """
        inside = (place.abs() < 1).all(2)
        away = (self.grid[:, 2] - 2 * place @ self.grid[:, :2].T) / (2 * WIDE**2)
        wanted = (-away).softmax(2)
        nats = -(wanted * logits.log_softmax(2)).sum(2)
        return (nats * inside).sum() / inside.sum().clamp_min(1)


def spread_rows(points: np.ndarray, count: int) -> np.ndarray:
    """Rows (count,) int64 of points (N, 3) that lie far from each other, farthest first; the same each time."""
    rows = [int(points[:, 0].argmax())]
    away = np.linalg.norm(points - points[rows[0]], axis=1)
    while len(rows) < count:
        rows.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(points - points[rows[-1]], axis=1))
    return np.array(rows, np.int64)
