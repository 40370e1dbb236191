"""Losses of the heads in training/networks/extras.py, each a scalar; what is unknown of a car is left out."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor

from training.constants import alike
from training.networks.base import Prediction

#: Weights of elevation, roll, x, y, log scale and perspective. Perspective is hard to see and matters little.
CAMERA_WEIGHTS = torch.tensor([2.0, 2.0, 1.0, 1.0, 1.0, 0.5])
#: Where the losses of offset and camera turn from square to straight.
BETA, CAMERA_BETA = 0.1, 0.02
#: Class of a car whose class is not known.
UNKNOWN = -1


class Targets(NamedTuple):
    """azimuth: (B,) radians, any turn. camera: (B, 6) as ``edge.pose.CAMERA``. length: (B,) metres, NaN = unknown.
    classes: (B,) int64, index into ``training.networks.base.CLASSES``, -1 = unknown."""

    azimuth: Tensor
    camera: Tensor
    length: Tensor
    classes: Tensor


def loss(prediction: Prediction, targets: Targets) -> dict[str, Tensor]:
    """Parts ``azimuth`` and ``classes`` (nats), ``offset`` (bins), ``camera``, ``length`` (nats); 0 if all is unknown.

    Raises ValueError when the prediction lacks one of the heads.
    """
    azimuth, camera, length, classes = prediction.azimuth, prediction.camera, prediction.length, prediction.classes
    if azimuth is None or camera is None or length is None or classes is None:
        raise ValueError(f"a prediction of {', '.join(prediction.given())} lacks heads; see training.networks.extras")
    turned, offset = azimuth_loss(azimuth, targets.azimuth)
    return {
        "azimuth": turned,
        "offset": offset,
        "camera": camera_loss(camera, targets.camera),
        "length": length_loss(length, targets.length),
        "classes": class_loss(classes, targets.classes),
    }


def azimuth_loss(azimuth: Tensor, radians: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy against the two nearest bins, each the likelier the nearer, and smooth L1 of both offsets.

    azimuth: (B, 2 * bins). The offsets count as their bins' labels do: of two bins that are as near, either may win
    at run time, and both must know the way.
    """
    count = azimuth.shape[1] // 2
    logits, offsets = azimuth[:, :count], azimuth[:, count:]
    place = torch.remainder(radians / (2 * math.pi), 1.0) * count
    below = place.floor()
    rest = place - below
    bins = torch.stack([below.long() % count, (below.long() + 1) % count], 1)
    share = torch.stack([1 - rest, rest], 1)
    way = torch.stack([rest, rest - 1], 1)
    entropy = -(share * functional.log_softmax(logits, 1).gather(1, bins)).sum(1).mean()
    error = functional.smooth_l1_loss(offsets.gather(1, bins), way, reduction="none", beta=BETA)
    return entropy, (share * error).sum(1).mean()


def camera_loss(camera: Tensor, truth: Tensor) -> Tensor:
    """Weighted smooth L1, summed over the six numbers."""
    weights = alike(CAMERA_WEIGHTS, camera)
    return (functional.smooth_l1_loss(camera, truth, reduction="none", beta=CAMERA_BETA) * weights).sum(1).mean()


def length_loss(length: Tensor, metres: Tensor) -> Tensor:
    """Laplace negative log-likelihood |log L - mu| / b + log b of the known lengths, b = exp(second number)."""
    known = torch.isfinite(metres)
    # The unknown are replaced before the logarithm: a gradient of NaN times zero is NaN.
    truth = torch.where(known, metres, torch.ones_like(metres)).log()
    nats = (length[:, 0] - truth).abs() * torch.exp(-length[:, 1]) + length[:, 1]
    return torch.where(known, nats, torch.zeros_like(nats)).sum() / known.sum().clamp(min=1)


def class_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of the known classes."""
    total = functional.cross_entropy(logits, classes, ignore_index=UNKNOWN, reduction="sum")
    return total / (classes != UNKNOWN).sum().clamp(min=1)
