"""What every network of the registry takes and gives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

#: Body classes that networks tell apart; the order is that of the logits.
CLASSES = ("sedan", "hatchback", "estate", "suv", "mpv", "van", "coupe", "pickup", "sports", "convertible")
#: Bins of the azimuth.
BINS = 24


class Prediction(NamedTuple):
    """What a network makes of B pictures; None is what it does not have. Canonical frame and units.

    points: (B, N, 3). error: (B, N) expected distance of each point to the true surface. maps: (B, V, 4, S, S) x, y,
    depth and mask logit of fixed views (edge.geometry). occupancy: (B, X, Y, Z) logits of the cells of the network's
    ``grid``. vertices: (B, W, 3) of the mesh whose triangles are the network's ``faces``.
    azimuth: (B, 2 * BINS), camera: (B, 6), see ``edge.pose.decode_pose``. length: (B, 2) log of metres, and log of the
    expected relative error of that. classes: (B, len(CLASSES)) logits.

    The fields' names and order are those of a bundle's outputs (docs/bundle.md).
    """

    points: Tensor | None = None
    error: Tensor | None = None
    maps: Tensor | None = None
    occupancy: Tensor | None = None
    vertices: Tensor | None = None
    azimuth: Tensor | None = None
    camera: Tensor | None = None
    length: Tensor | None = None
    classes: Tensor | None = None

    def given(self) -> dict[str, Tensor]:
        """The fields that are there, by name, in order."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class Network(nn.Module):
    """RGB picture to a :class:`Prediction`.

    input_size: side of the square input. source: the paper, for the bundle's manifest.
    mean, std: what RGB in 0..1 is normalised with, three numbers each; done *outside* (edge.runtime.reconstructor).
    undecayed: beginnings of the names of parameters that weight decay leaves alone.
    grid: lower and upper corner (3 + 3 numbers) of the box whose cells ``occupancy`` tells of, or None.
    faces: (F, 3) triangles of ``vertices`` as a buffer, or None.
    """

    input_size: int
    source: str
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    undecayed: tuple[str, ...] = ()
    grid: tuple[float, ...] | None = None
    faces: Tensor | None = None

    def forward(self, image: Tensor) -> Prediction:
        """(B, 3, S, S) RGB, normalised, to what it shows."""
        raise NotImplementedError
