"""The flagship: a morphable model of cars, whose box and coefficients one picture tells.

Blanz and Vetter, SIGGRAPH 1999, with the regression of its coefficients by a convolutional network as in Tran et
al., "Regressing robust and discriminative 3D morphable models", CVPR 2017. A template of 8,192 points of the left
half, registered to every training shape (training.morphable), spans the shapes; mirrored it gives 16,384 points. The
space is a start and not a limit: mean and components learn, too.

Why so: the points of all cars correspond, so the loss needs no search for neighbours; twenty coefficients reach
what fifty bodies can (docs/networks.md); the decoder is one matrix product, small on any device.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from training.morphable.register import PROPORTIONS
from training.morphable.registered import POINTS
from training.morphable.space import ShapeSpace
from training.networks.base import Network, Prediction
from training.networks.encoder import COARSE, FINE, MEAN, STD, Encoder, Features
from training.networks.extras import WIDTHS, Extras
from training.networks.finder import LANDMARKS, Finder, spread_rows
from training.networks.lifting import LARGE, both_sides, displaced, expected

#: Channels left of the coarse and the fine features, and the most cells along a side that are told apart.
KEPT, CELLS = (160, 32), (4, 8)
#: What the heads tell, in the order of extras.WIDTHS.
HEADS = ("azimuth", "camera", "length", "classes")
#: Ways in which the expected error varies over the car.
ERROR_PATTERNS = 16
#: Logarithms between which an expected error lies, canonical units: 0.1 % to a fifth of the length.
ERROR_RANGE = (-6.9, -1.6)


class Morphable(Network):
    """RGB picture to 16,384 points with expected errors, and pose, length and class.

    components: of the shape space. hidden: width of the two hidden layers. dropout: between them, in training.
    freeze_statistics: whether the encoder's batch normalisations keep the statistics they start with; None: if it is
        pretrained, whose statistics are worth keeping.
    surface, offsets, blocks: of the Finder; a network with more of these can start from one with fewer.
    """

    source = "Blanz, Vetter, SIGGRAPH 1999; Tran et al., CVPR 2017; encoder EfficientNet-Lite0"
    mean, std = MEAN, STD
    undecayed = ("shape_", "error_")

    def __init__(
        self, image_size: int = 128, pretrained: bool = True, components: int = 80, hidden: int = 512,
        dropout: float = 0.2, points: int = POINTS, freeze_statistics: bool | None = None, surface: bool = False,
        offsets: bool = False, blocks: int = 0,
    ) -> None:
        super().__init__()
        self.input_size = image_size
        # Frozen statistics: a sample's gradient does not depend on its batch, so several processes learn the same.
        self.encoder = Encoder(image_size, pretrained, pretrained if freeze_statistics is None else freeze_statistics)
        self.coarse = nn.Sequential(nn.Conv2d(COARSE, KEPT[0], 1), nn.ReLU6())
        self.fine = nn.Sequential(nn.Conv2d(FINE, KEPT[1], 1), nn.ReLU6())
        self.pools = [max(1, image_size // stride // most) for stride, most in zip((32, 16), CELLS, strict=True)]
        sides = [image_size // stride // pool for stride, pool in zip((32, 16), self.pools, strict=True)]
        width = sum(kept * side * side for kept, side in zip(KEPT, sides, strict=True))
        self.view = nn.Sequential(nn.Linear(width, hidden), nn.ReLU6(), nn.Dropout(dropout))
        self.find = Finder(image_size // 8, hidden, surface, offsets, blocks)
        self.beyond = nn.Linear(hidden, 2 * 2 * LANDMARKS)
        nn.init.zeros_(self.beyond.weight)
        nn.init.zeros_(self.beyond.bias)
        self.first = Extras(hidden)
        told = hidden + (14 if surface else 8) * LANDMARKS + 9
        self.lift = nn.Sequential(nn.Linear(told, hidden), nn.ReLU6(), nn.Linear(hidden, hidden), nn.ReLU6())
        self.box = nn.Linear(hidden, 2)
        self.coefficients = nn.Linear(hidden, components)
        self.extras = Extras(hidden)  # what the landmarks change of the first
        nn.init.zeros_(self.extras.head.bias)
        self.error = nn.Linear(hidden, ERROR_PATTERNS)
        for head in (self.box, self.coefficients, self.error):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(head.bias)
        self.register_buffer("landmarks", torch.zeros(LANDMARKS, dtype=torch.int64))
        self.shape_mean = nn.Parameter(torch.zeros(points, 3))
        self.shape_basis = nn.Parameter(torch.zeros(components, points * 3))
        self.error_basis = nn.Parameter(torch.randn(ERROR_PATTERNS, points) * 0.05)
        self.error_mean = nn.Parameter(torch.full((points,), -4.6))

    def start_from(self, space: ShapeSpace, boxes: np.ndarray) -> None:
        """Begin at a shape space and the mean of the training cars' boxes (M, 3). Fewer components leave zeros."""
        with torch.no_grad():
            self.shape_mean.copy_(torch.from_numpy(space.mean))
            basis = torch.from_numpy(space.basis).flatten(1)
            self.shape_basis.zero_()
            self.shape_basis[: len(basis)].copy_(basis)
            self.landmarks.copy_(torch.from_numpy(spread_rows(space.mean, LANDMARKS)))
            self.box.bias.copy_(torch.from_numpy(np.log(boxes[:, 1:] / PROPORTIONS[1:]).mean(0).astype(np.float32)))

    def mean_half(self) -> np.ndarray:
        """Left half (N, 3) of the mean car in its usual box, canonical."""
        usual = torch.cat([torch.ones(1, device=self.box.bias.device), self.box.bias.detach().exp()])
        return (self.shape_mean.detach() * usual).cpu().numpy()

    @torch.no_grad()
    def respace(self, weights: csr_matrix) -> None:
        """Replace every point of the left half by a weighted mean (N, N) of all; landmarks must be means of themselves
        alone, because they are what is looked for in pictures."""
        components, points = len(self.shape_basis), len(self.shape_mean)

        def mixed(values: Tensor) -> Tensor:
            """The same of values with a row for each point."""
            return torch.from_numpy(weights @ values.cpu().double().numpy()).to(values)

        self.shape_mean.copy_(mixed(self.shape_mean))
        basis = self.shape_basis.unflatten(1, (points, 3)).transpose(0, 1).flatten(1)
        self.shape_basis.copy_(mixed(basis).unflatten(1, (components, 3)).transpose(0, 1).flatten(1))
        self.error_mean.copy_(mixed(self.error_mean[:, None])[:, 0])
        self.error_basis.copy_(mixed(self.error_basis.T).T)

    @torch.no_grad()
    def keep_directions(self, images: Tensor, count: int) -> float:
        """Keep those ``count`` directions of the shape space in which pictures (B, 3, S, S), normalised, find cars to
        differ most from the mean; the others hold next to nothing. Returns the share of squared distances that goes.

        Principal components of what the network says, not of what it was begun with. Raises ValueError if the count is
        not below that of the components.
        """
        if not 0 < count < len(self.shape_basis):
            raise ValueError(f"{count} directions are not fewer than the {len(self.shape_basis)} that there are")
        found = torch.cat([self.parts(self.look(self.encoder(part)))["coefficients"] for part in images.split(16)])
        left, lengths, rows = torch.linalg.svd(self.shape_basis.double(), full_matrices=False)
        square = left * lengths  # coefficients times this are displacements along the rows, which stand at right angles
        told = found.double() @ square
        values, vectors = torch.linalg.eigh(told.T @ told / len(told))
        turned = vectors[:, -count:].flip(1)
        scale = values[-count:].flip(0).clamp_min(1e-12).sqrt()
        old, self.coefficients = self.coefficients, nn.Linear(self.coefficients.in_features, count).to(found)
        self.coefficients.weight.copy_((square @ turned / scale).T @ old.weight.double())
        self.coefficients.bias.copy_(old.bias.double() @ square @ turned / scale)
        self.shape_basis = nn.Parameter(((scale * turned).T @ rows).to(self.shape_basis))
        return float(values[:-count].sum() / values.sum())

    def look(self, maps: Features) -> dict[str, Tensor]:
        """From the encoder's features: all that was ``told`` of the shape, (B, X); the first pose, ``first`` (B, 66);
        the landmarks' ``place`` (B, 2 LANDMARKS, 2) in crop coordinates; the logits of the Finder's ``cells``, and its
        ``surface`` and ``mask`` if it has them."""
        cells = []
        for value, layer, pool in zip((maps.coarse, maps.fine), (self.coarse, self.fine), self.pools, strict=True):
            kept = layer(value)
            cells.append((functional.avg_pool2d(kept, pool) if pool > 1 else kept).flatten(1))
        view = self.view(torch.cat(cells, 1))
        with torch.autocast(view.device.type, enabled=False):
            first = self.first.head(view.float())
            landmarks = self.shape_mean.detach()[self.landmarks]
            wanted, turned = expected(landmarks, first, first[:, WIDTHS[0] : WIDTHS[0] + WIDTHS[1]])
        found = self.find(maps, view, wanted)
        # A likelihood over the crop cannot point beyond it: the rest is told by the whole picture.
        place = found.place + self.beyond(view).float().unflatten(1, (-1, 2))
        with torch.autocast(view.device.type, enabled=False):
            told = [view.float(), displaced(place, wanted, turned), found.spread]
            if found.pooled is not None:
                told.append(LARGE * (found.pooled - both_sides(landmarks)).flatten(1))
        seen = {"told": torch.cat(told, 1), "first": first, "place": place, "cells": found.logits}
        if found.surface is not None and found.mask is not None:
            seen |= {"surface": found.surface, "mask": found.mask}
        return seen

    def half(self, coefficients: Tensor, box: Tensor) -> Tensor:
        """Coefficients (B, K) and log of the box against PROPORTIONS (B, 2) to the left half (B, N, 3), canonical."""
        points = (self.shape_mean.flatten() + coefficients @ self.shape_basis).unflatten(1, (-1, 3))
        one = torch.ones_like(box[:, :1])
        return points * torch.cat([one, box.exp()], 1)[:, None]

    def parts(self, seen: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a loss needs, from what :meth:`look` gives: ``half`` (B, N, 3), ``box`` (B, 2), ``coefficients`` (B, K),
        ``log_error`` (B, N), azimuth, camera, length and classes, and the same of the first look as ``first``
        (B, 66); the rest of that goes along."""
        feature = self.lift(seen["told"])
        box, coefficients = self.box(feature), self.coefficients(feature)
        log_error = self.error_mean + self.error(feature) @ self.error_basis
        extras = (seen["first"] + self.extras.head(feature)).split(WIDTHS, 1)
        return {
            "half": self.half(coefficients, box), "box": box, "coefficients": coefficients,
            "log_error": log_error.clamp(*ERROR_RANGE), **dict(zip(HEADS, extras, strict=True)),
            **{name: value for name, value in seen.items() if name != "told"},
        }  # fmt: skip

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, S, S) RGB, normalised, to points (B, 2 N, 3): the left half, then its mirror image."""
        got = self.parts(self.look(self.encoder(image)))
        half, error = got.pop("half"), got.pop("log_error").exp()
        extras = {name: got[name] for name in HEADS}
        return Prediction(both_sides(half), torch.cat([error, error], 1), **extras)
