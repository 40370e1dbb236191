"""What keeps a car a car while nobody tells its shape: a prior, an anchor, rehearsal, and a check that says stop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from training import losses_extras
from training.batches import true_targets
from training.data.dataset import CarDataset, load_dataset
from training.losses_extras import Targets
from training.morphable.register import PROPORTIONS
from training.morphable.registered import registered
from training.networks.base import Prediction
from training.networks.morphable import HEADS, Morphable
from training.objectives.morphable import WEIGHTS as TAUGHT_WEIGHTS
from training.unlabelled.student import Guess, Looked, Student, half_of, look

#: Share of the reference's codes that the prior leaves alone.
USUAL = 0.95
#: By how much the error on rendered cars with known shape may rise, and how many more photos may be read as shapes
#: beyond the reference's usual ones, before a state of the network counts as drifted.
WORSE, STRANGE = 1.10, 0.10
#: Rendered pictures that are rehearsed at most, and those that are only judged by, of shapes not taught.
REHEARSED, JUDGED = 1024, 160
#: Ridge added to the covariance, in parts of its mean variance.
RIDGE = 0.02


class Prior(NamedTuple):
    """Where codes (box and coefficients) usually lie: a normal distribution. root: (K, K), code minus mean times this
    has unit covariance; usual: the squared length per dimension that :data:`USUAL` of the reference stay below."""

    mean: Tensor
    root: Tensor
    usual: float

    def strangeness(self, code: Tensor) -> Tensor:
        """Squared Mahalanobis distance per dimension (B,): about 1 for an ordinary car."""
        return ((code - self.mean) @ self.root).square().mean(1)

    def loss(self, code: Tensor) -> Tensor:
        """(B,): nothing for usual codes."""
        return (self.strangeness(code) - self.usual).clamp_min(0)


def prior_of(codes: Tensor) -> Prior:
    """From the codes (N, K) that the initial network finds in pictures of cars."""
    mean = codes.mean(0)
    centred = (codes - mean).double()
    covariance = centred.T @ centred / max(1, len(codes) - 1)
    covariance += torch.eye(len(covariance), dtype=torch.float64) * (RIDGE * covariance.diagonal().mean() + 1e-9)
    values, vectors = torch.linalg.eigh(covariance)
    root = (vectors / values.sqrt()).float()
    prior = Prior(mean, root, 1.0)
    return prior._replace(usual=float(prior.strangeness(codes).quantile(USUAL)))


class Rehearsal(NamedTuple):
    """Rendered pictures of training cars, whose shape is known. looked: of N; points and normals (N, P, 3) of some rows
    of the left half, box (N, 2) its log, targets: pose, length and class. mean (P, 3), basis (K, P, 3): the space of
    these points as it was taught, before a run's end spaced them anew."""

    looked: Looked
    mean: Tensor
    basis: Tensor
    points: Tensor
    normals: Tensor
    box: Tensor
    targets: Targets

    def part(self, chosen: Tensor) -> Rehearsal:
        """Some of the pictures."""
        targets = Targets(*(value[chosen] for value in self.targets))
        return Rehearsal(
            self.looked.part(chosen), self.mean, self.basis, self.points[chosen], self.normals[chosen],
            self.box[chosen], targets,
        )  # fmt: skip

    def losses(self, student: Student) -> dict[str, Tensor]:
        """As ``training.objectives.morphable`` teaches: distances to the true surface and places, box and heads."""
        guess = student(self.looked)
        away = half_of(self.mean, self.basis, guess) - self.points
        heads = losses_extras.loss(Prediction(**{name: getattr(guess, name) for name in HEADS}), self.targets)
        return {
            "plane": (away * self.normals).sum(2).abs().mean(), "point": away.norm(dim=2).mean(),
            "box": (guess.box - self.box).abs().mean(), **heads,
        }  # fmt: skip

    def loss(self, student: Student) -> Tensor:
        """All of it, each part as it counts in training."""
        return torch.stack([TAUGHT_WEIGHTS[name] * value for name, value in self.losses(student).items()]).sum()


def rehearsal_of(
    root: Path, network: Morphable, taught: Mapping[str, Tensor], points: int = 1024
) -> tuple[Rehearsal, Rehearsal]:
    """Pictures of training shapes, one of each, to rehearse; and pictures of parametric validation shapes to judge by,
    which the network was not taught: on those that it was it knows more than it can of any photo.

    taught: a checkpoint's ``training_average``, whose points still are the registered ones. Raises DataError.
    """
    made = []
    for split, limit, most in (("train", 1, REHEARSED), ("validation", 0, JUDGED)):
        data = load_dataset(root, split, network.input_size, verify=False, limit=limit, novel=False, fixed=False)
        # Modelled bodies of the validation split stay out: the trial measures on them.
        wanted = np.ones(len(data), bool) if split == "train" or data.real.all() else ~data.real[data.shape_index]
        rows = np.flatnonzero(wanted)
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), most)).astype(int)]
        made.append(_rehearsal(root, data, rows, network, taught, points))
    return made[0], made[1]


def _rehearsal(
    root: Path, data: CarDataset, rows: np.ndarray, network: Morphable, taught: Mapping[str, Tensor], points: int
) -> Rehearsal:
    shapes = registered(root)
    own = shapes.rows([data.names[shape] for shape in data.shape_index[rows]])
    some = np.linspace(0, shapes.points.shape[1] - 1, min(points, shapes.points.shape[1])).astype(int)
    scale = torch.from_numpy((shapes.boxes[own] / PROPORTIONS).astype(np.float32))
    place = torch.from_numpy(shapes.points[own][:, some].astype(np.float32)) * scale[:, None]
    normal = torch.from_numpy(shapes.normals[own][:, some].astype(np.float32)) / scale[:, None]
    mean, basis = taught["shape_mean"][some], taught["shape_basis"].unflatten(1, (-1, 3))[:, some]
    return Rehearsal(
        look(network, list(data.images[rows])), mean, basis, place, functional.normalize(normal, dim=2),
        scale[:, 1:].log(), true_targets(data, rows),
    )  # fmt: skip


def anchor_loss(half: Tensor, usual: Tensor) -> Tensor:
    """Mean distance (B,) of points (B, R, 3) to those of the initial network."""
    return ((half - usual).square().sum(2) + 1e-12).sqrt().mean(1)


def kept_loss(guess: Guess, before: Guess) -> Tensor:
    """What silhouettes say nothing of stays as it was: expected errors, length, class, the azimuth's bin; scalar."""
    bins = before.azimuth.shape[1] // 2
    chance = before.azimuth[:, :bins].softmax(1)
    turned = (chance * (before.azimuth[:, :bins].log_softmax(1) - guess.azimuth[:, :bins].log_softmax(1))).sum(1)
    pairs = ((guess.error, before.error), (guess.length, before.length), (guess.classes, before.classes))
    return turned.mean() + torch.stack([(now - was).square().mean() for now, was in pairs]).sum()


def drifted(now: Mapping[str, float], start: Mapping[str, float]) -> str:
    """Why a state of the network counts as drifted from a car, "" if it does not. Both: figures of a validation."""
    if now["strange"] > start["strange"] + STRANGE:
        share, before = 100 * now["strange"], 100 * start["strange"]
        return f"{share:.0f} % of the photos are read as unusual shapes, {before:.0f} % before"
    if "rehearsed" in now and now["rehearsed"] > WORSE * start["rehearsed"]:
        return f"the error on rendered cars rose from {start['rehearsed']:.4f} to {now['rehearsed']:.4f}"
    return ""
