"""The flagship: a morphable model of cars, whose box and coefficients one picture tells.

Blanz and Vetter, SIGGRAPH 1999, with the regression of its coefficients by a convolutional network as in Tran et
al., "Regressing robust and discriminative 3D morphable models", CVPR 2017. A template of 8,192 points of the left
half, registered to every training shape (training.morphable), spans the shapes; mirrored it gives 16,384 points. The
space is a start and not a limit: mean and components learn, too.

Why so: the points of all cars correspond, so the loss needs no search for neighbours; twenty coefficients reach
what fifty bodies can (docs/networks.md); the decoder is one matrix product, small on any device.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from training.morphable.register import PROPORTIONS
from training.morphable.registered import POINTS
from training.morphable.space import ShapeSpace
from training.networks.base import Network, Prediction
from training.networks.encoder import COARSE, FINE, FINEST, MEAN, STD, Encoder, Features
from training.networks.extras import Extras

#: Channels left of the coarse and the fine features, and the most cells along a side that are told apart.
KEPT, CELLS = (160, 32), (4, 8)
#: Landmarks on the left half; their mirror images are landmarks, too. Channels of the maps they are found in.
LANDMARKS, CHANNELS = 32, 128
#: Landmarks may lie beyond the crop, to this multiple of it.
REACH = 1.5
#: Ways in which the expected error varies over the car.
ERROR_PATTERNS = 16
#: Logarithms between which an expected error lies, canonical units: 0.1 % to a fifth of the length.
ERROR_RANGE = (-6.9, -1.6)


class Finder(nn.Module):
    """Where the landmarks are seen: a map of likelihoods for each, and the mean place under it.

    Sun et al., "Integral human pose regression", ECCV 2018; lifting landmarks to a shape: Wu et al., "Single image 3D
    interpreter network", ECCV 2016. A convolution finds a wheel wherever it is; a fully connected layer would have to
    learn it for every place. cells: side of the maps.
    """

    grid: Tensor

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(COARSE, 64, 1)
        self.middle = nn.Sequential(nn.Conv2d(FINE + 64, CHANNELS, 3, padding=1), nn.ReLU6())
        self.top = nn.Sequential(nn.Conv2d(FINEST + CHANNELS, CHANNELS, 3, padding=1), nn.ReLU6())
        self.heat = nn.Conv2d(CHANNELS, 2 * LANDMARKS, 1)
        axis = ((torch.arange(cells) + 0.5) / cells * 2 - 1) * REACH
        x, y = axis.expand(cells, cells), axis[:, None].expand(cells, cells)
        # The third column gives the mean square, hence how widely the likelihood is spread.
        grid = torch.stack([x, y, x.square() + y.square()], 2).flatten(0, 1)
        self.register_buffer("grid", grid, persistent=False)

    def forward(self, maps: Features) -> tuple[Tensor, Tensor]:
        """Places (B, 2 LANDMARKS, 2) in crop coordinates, first the left ones, and their spread (B, 2 LANDMARKS)."""
        coarse = functional.interpolate(self.squeeze(maps.coarse), scale_factor=2.0, mode="nearest")
        middle = self.middle(torch.cat([maps.fine, coarse], 1))
        top = self.top(torch.cat([maps.finest, functional.interpolate(middle, scale_factor=2.0, mode="nearest")], 1))
        likelihood = self.heat(top).float().flatten(2).softmax(2)
        moments = likelihood @ self.grid
        place = moments[..., :2]
        return place, moments[..., 2] - place.square().sum(2)


def spread_rows(points: np.ndarray, count: int) -> np.ndarray:
    """Rows (count,) int64 of points (N, 3) that lie far from each other, farthest first; the same each time."""
    rows = [int(points[:, 0].argmax())]
    away = np.linalg.norm(points - points[rows[0]], axis=1)
    while len(rows) < count:
        rows.append(int(away.argmax()))
        away = np.minimum(away, np.linalg.norm(points - points[rows[-1]], axis=1))
    return np.array(rows, np.int64)


class Morphable(Network):
    """RGB picture to 16,384 points with expected errors, and pose, length and class.

    components: of the shape space. hidden: width of the two hidden layers. dropout: between them, in training.
    freeze_statistics: whether the encoder's batch normalisations keep the statistics they start with; None: if it is
        pretrained, whose statistics are worth keeping.
    """

    source = "Blanz, Vetter, SIGGRAPH 1999; Tran et al., CVPR 2017; encoder EfficientNet-Lite0"
    mean, std = MEAN, STD
    undecayed = ("shape_", "error_")
    rebuilt_with = MappingProxyType({"pretrained": False})

    def __init__(
        self, image_size: int = 128, pretrained: bool = True, components: int = 80, hidden: int = 512,
        dropout: float = 0.2, points: int = POINTS, freeze_statistics: bool | None = None,
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
        self.find = Finder(image_size // 8)
        self.lift = nn.Sequential(
            nn.Linear(hidden + 3 * 2 * LANDMARKS, hidden), nn.ReLU6(), nn.Linear(hidden, hidden), nn.ReLU6()
        )
        self.box = nn.Linear(hidden, 2)
        self.coefficients = nn.Linear(hidden, components)
        self.extras = Extras(hidden)
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

    def feature(self, maps: Features) -> tuple[Tensor, Tensor]:
        """The encoder's features to (B, hidden), and the landmarks' places (B, 2 LANDMARKS, 2), crop coordinates."""
        cells = []
        for value, layer, pool in zip((maps.coarse, maps.fine), (self.coarse, self.fine), self.pools, strict=True):
            kept = layer(value)
            cells.append((functional.avg_pool2d(kept, pool) if pool > 1 else kept).flatten(1))
        place, spread = self.find(maps)
        seen = torch.cat([place.flatten(1), spread], 1)
        return self.lift(torch.cat([self.view(torch.cat(cells, 1)), seen], 1)), place

    def half(self, coefficients: Tensor, box: Tensor) -> Tensor:
        """Coefficients (B, K) and log of the box against PROPORTIONS (B, 2) to the left half (B, N, 3), canonical."""
        points = (self.shape_mean.flatten() + coefficients @ self.shape_basis).unflatten(1, (-1, 3))
        one = torch.ones_like(box[:, :1])
        return points * torch.cat([one, box.exp()], 1)[:, None]

    def parts(self, feature: Tensor) -> dict[str, Tensor]:
        """What a loss needs, from a feature (B, hidden), in its precision: ``half`` (B, N, 3), ``box`` (B, 2),
        ``coefficients`` (B, K), ``log_error`` (B, N), and azimuth, camera, length and classes."""
        box, coefficients = self.box(feature), self.coefficients(feature)
        log_error = self.error_mean + self.error(feature) @ self.error_basis
        return {
            "half": self.half(coefficients, box), "box": box, "coefficients": coefficients,
            "log_error": log_error.clamp(*ERROR_RANGE), **self.extras(feature).given(),
        }  # fmt: skip

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, S, S) RGB, normalised, to points (B, 2 N, 3): the left half, then its mirror image."""
        got = self.parts(self.feature(self.encoder(image))[0])
        half, error = got.pop("half"), got.pop("log_error").exp()
        mirrored = half * torch.tensor([1.0, -1.0, 1.0], device=half.device, dtype=half.dtype)
        extras = {name: got[name] for name in ("azimuth", "camera", "length", "classes")}
        return Prediction(torch.cat([half, mirrored], 1), torch.cat([error, error], 1), **extras)
