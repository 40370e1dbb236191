"""What is taught: the flagship from its lifting on. The encoder and all that looks for landmarks rest.

So a picture has to be looked at once only, and a step costs a thousandth of one that trains the whole network.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.networks.base import BINS
from training.networks.extras import WIDTHS
from training.networks.lifting import Projected, both_sides, project, rotation
from training.networks.morphable import HEADS, Morphable
from training.objectives.base import normalised

#: Parts of a Morphable that a run teaches.
TAUGHT = ("lift", "box", "coefficients", "extras")
#: Pictures looked at together.
BATCH = 16


class Looked(NamedTuple):
    """What the resting part of the network made of N pictures. told: (N, F), first: (N, 66), see ``Morphable.look``."""

    told: Tensor
    first: Tensor

    def part(self, rows: Tensor) -> Looked:
        """Some of the pictures."""
        return Looked(self.told[rows], self.first[rows])


class Guess(NamedTuple):
    """What the student says of B pictures: box (B, 2), coefficients (B, K), the ``error`` (B, E) head's output,
    azimuth (B, 48), camera (B, 6), length (B, 2), classes (B, 10), as in ``Morphable.parts``."""

    box: Tensor
    coefficients: Tensor
    error: Tensor
    azimuth: Tensor
    camera: Tensor
    length: Tensor
    classes: Tensor

    @property
    def code(self) -> Tensor:
        """(B, 2 + K): all that decides the shape."""
        return torch.cat([self.box, self.coefficients], 1)


class Student(nn.Module):
    """The taught parts of a flagship, and what it takes to make points of what they say."""

    def __init__(self, network: Morphable) -> None:
        super().__init__()
        for name in TAUGHT:
            setattr(self, name, copy.deepcopy(getattr(network, name)))
        self.resting = [network]  # in a list: its parameters are not the student's

    def forward(self, looked: Looked) -> Guess:
        feature = self.lift(looked.told)
        extras = (looked.first + self.extras.head(feature)).split(WIDTHS, 1)
        heads = dict(zip(HEADS, extras, strict=True))
        return Guess(self.box(feature), self.coefficients(feature), self.resting[0].error(feature), **heads)

    def half(self, guess: Guess, rows: Tensor) -> Tensor:
        """Some points (B, R, 3) of the left half, canonical. rows: (R,) int64."""
        network = self.resting[0]
        return half_of(network.shape_mean[rows], network.shape_basis.unflatten(1, (-1, 3))[:, rows], guess)

    def put_back(self) -> Morphable:
        """A whole flagship, in evaluation mode, with what was taught in it."""
        network = copy.deepcopy(self.resting[0])
        for name in TAUGHT:
            getattr(network, name).load_state_dict(getattr(self, name).state_dict())
        return network.eval()


def half_of(mean: Tensor, basis: Tensor, guess: Guess) -> Tensor:
    """Points (B, R, 3) of the guessed shapes in a space of mean (R, 3) and basis (K, R, 3); as ``Morphable.half``."""
    points = (mean.flatten() + guess.coefficients @ basis.flatten(1)).unflatten(1, (-1, 3))
    return points * torch.cat([torch.ones_like(guess.box[:, :1]), guess.box.exp()], 1)[:, None]


def camera_direction(azimuth: Tensor) -> Tensor:
    """Cosine and sine (B, 2) of the likeliest bin's azimuth with its offset, as a device decodes it (edge.pose); only
    the offset has a gradient. azimuth: (B, 2 * BINS)."""
    best = azimuth[:, :BINS].argmax(1, keepdim=True)
    offset = azimuth[:, BINS:].gather(1, best).clamp(-0.75, 0.75)
    angle = (best + offset)[:, 0] * (2 * torch.pi / BINS)
    return torch.stack([angle.cos(), angle.sin()], 1)


def seen(half: Tensor, guess: Guess) -> Projected:
    """Left half (B, R, 3) and its mirror image as the guessed cameras see them."""
    return project(both_sides(half), rotation(camera_direction(guess.azimuth), guess.camera), guess.camera)


@torch.no_grad()
def look(network: Morphable, pictures: Sequence[np.ndarray]) -> Looked:
    """Pictures (S, S, 3) uint8 RGB to what the resting part makes of them."""
    told, first = [], []
    for start in range(0, len(pictures), BATCH):
        stack = np.stack(pictures[start : start + BATCH])
        image = torch.from_numpy(stack).permute(0, 3, 1, 2).float() / 255
        found = network.look(network.encoder(normalised(image, network)))
        told.append(found["told"])
        first.append(found["first"])
    return Looked(torch.cat(told), torch.cat(first))
