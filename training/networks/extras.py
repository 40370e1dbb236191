"""Heads for what a picture tells beside the shape: where the camera stood, how long the car is, what body it has.

Azimuth by classification into bins and a rest by regression: Mousavian et al., "3D Bounding Box Estimation Using Deep
Learning and Geometry", CVPR 2017 (MultiBin); a front and a back are alike, and a mean of two guesses is neither.
Length with its own expected error: Kendall, Gal, "What Uncertainties Do We Need", NeurIPS 2017, Laplace form.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from training.networks.base import BINS, CLASSES, Prediction

#: What an ordinary picture shows (edge.pose.CAMERA): elevation and roll in radians, x, y, log scale, perspective.
USUAL_CAMERA = (0.12, 0.0, 0.0, 0.0, math.log(1.3), 0.35)
#: Log of an ordinary length in metres, and of the relative error of guessing that.
USUAL_LENGTH = (math.log(4.4), math.log(0.1))
#: Numbers of azimuth, camera, length and classes.
WIDTHS = (2 * BINS, len(USUAL_CAMERA), len(USUAL_LENGTH), len(CLASSES))


class Extras(nn.Module):
    """A vector (B, F) to azimuth, camera, length and classes as in :class:`Prediction`; one layer, a Nano's launch
    costs more than its arithmetic. Starts at what is usual, whatever the picture."""

    def __init__(self, features: int, std: float = 0.01) -> None:
        super().__init__()
        self.head = nn.Linear(features, sum(WIDTHS))
        nn.init.normal_(self.head.weight, std=std)
        start = (0.0,) * WIDTHS[0] + USUAL_CAMERA + USUAL_LENGTH + (0.0,) * WIDTHS[3]
        with torch.no_grad():
            self.head.bias.copy_(torch.tensor(start))

    def forward(self, vector: Tensor) -> Prediction:
        """A prediction with these four fields only: ``extras(vector)._replace(points=...)`` adds the shape."""
        azimuth, camera, length, classes = self.head(vector).split(WIDTHS, dim=1)
        return Prediction(azimuth=azimuth, camera=camera, length=length, classes=classes)
