"""A template deformed to the car: Wang et al., "Pixel2Mesh", ECCV 2018, on a template whose topology is a grid.

Pixel2Mesh convolves on the graph of an ellipsoid's mesh. Here the left half of a closed, boxy template is a grid of
stations along the car and steps around it, so that its graph convolutions are dense 3x3 convolutions; the right half is
the mirror image. Points are drawn from the triangles by barycentric weights fixed beforehand: one Gather on the device.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from training.networks.shared import USUAL, WIDTH, Shared, convolution, doubling, seed

#: Stations from the nose to the tail, and steps of each from below over the left side to the top.
STATIONS, STEPS = 56, 24
#: Points drawn from the left half; the right half mirrors them.
DRAWN = 8192
#: Exponent of the superellipsoid: 2 is round, and the larger, the boxier.
BOXY = 4.0
#: Angle from the axis to the first station; a nose is a disc, not a needle's point.
FIRST = 0.1


class Template(NamedTuple):
    """A closed mesh, symmetric in y; seen from outside, the corners of a triangle run anticlockwise.

    left: (H, 3) float32, the left half: stations x steps, then nose and tail. middle: (H,) bool, on the mirror plane.
    inner: the others' indices. left_faces: (F / 2, 3) int64. faces: (F, 3) int64 of the whole, whose vertices are the
    left half and then the mirror images of ``inner``.
    """

    left: np.ndarray
    middle: np.ndarray
    inner: np.ndarray
    left_faces: np.ndarray
    faces: np.ndarray


def template() -> Template:
    """The closed template of 2,578 vertices and 5,152 triangles, symmetric in y, in the canonical frame."""
    tilt = np.linspace(FIRST, math.pi - FIRST, STATIONS)[:, None]
    turn = np.linspace(0, math.pi, STEPS)[None]
    ring = np.stack(np.broadcast_arrays(np.cos(tilt), np.sin(tilt) * np.sin(turn), -np.sin(tilt) * np.cos(turn)), -1)
    direction = np.concatenate([ring.reshape(-1, 3), [[1.0, 0, 0], [-1.0, 0, 0]]])
    left = direction / (np.abs(direction) ** BOXY).sum(1, keepdims=True) ** (1 / BOXY) * USUAL
    number = np.arange(STATIONS * STEPS).reshape(STATIONS, STEPS)
    middle = np.ones(len(left), bool)
    middle[number[:, 1:-1]] = False
    left[middle, 1] = 0.0
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]
    nose, tail = np.full(STEPS - 1, number.size), np.full(STEPS - 1, number.size + 1)
    left_faces = np.concatenate(
        [np.stack(corners, -1).reshape(-1, 3) for corners in (
            (a, d, b), (d, c, b), (nose, number[0, :-1], number[0, 1:]), (tail, number[-1, 1:], number[-1, :-1]),
        )]
    )  # fmt: skip
    inner = np.flatnonzero(~middle)
    other = np.arange(len(left))
    other[inner] = len(left) + np.arange(len(inner))
    faces = np.concatenate([left_faces, other[left_faces][:, ::-1]])
    return Template(left.astype(np.float32), middle, inner, left_faces, faces)


def draw(vertices: np.ndarray, faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Corners (count, 3) int64 and barycentric weights (count, 3) float32 of points spread evenly over triangles.

    Nothing random: each triangle gets its part by area, and places of a low-discrepancy sequence in it.
    """
    a, b, c = (vertices[faces[:, n]].astype(np.float64) for n in range(3))
    reach = np.linalg.norm(np.cross(b - a, c - a), axis=1).cumsum()
    face = np.minimum(np.searchsorted(reach, (np.arange(count) + 0.5) / count * reach[-1]), len(faces) - 1)
    within = np.arange(count) - np.searchsorted(face, face)
    total = np.bincount(face, minlength=len(faces))[face]
    u = np.sqrt((within + 0.5) / total)
    v = (0.5 + within * (math.sqrt(5) - 1) / 2) % 1.0
    return faces[face], np.stack([1 - u, u * (1 - v), u * v], 1).astype(np.float32)


class Mesh(Shared):
    """Picture to ``vertices`` (B, 2578, 3) of the closed mesh with ``faces``, and ``points`` (B, 16384, 3) on it.

    image_size, pretrained: see :class:`Shared`.
    """

    source = "Wang et al., ECCV 2018, arXiv 1804.01654"
    start: Tensor
    free: Tensor
    inner: Tensor
    corners: Tensor
    weights: Tensor
    mirror: Tensor

    def __init__(self, image_size: int = 128, pretrained: bool = True) -> None:
        super().__init__(image_size, pretrained)
        self.body = nn.Sequential(
            seed(128, STATIONS // 8, STEPS // 8), doubling(128, 128), doubling(128, 96), doubling(96, 64),
            convolution(64, 64),
        )
        self.head = nn.Conv2d(64, 3, 3, padding=1, bias=False)
        self.ends = nn.Linear(WIDTH, 6)
        made = template()
        #: What the network starts from and adds to; learnt, so that the usual car need not be decoded.
        self.usual = nn.Parameter(torch.zeros(len(made.left), 3))
        for weight in (self.head.weight, self.ends.weight):
            nn.init.normal_(weight, std=0.003)
        nn.init.zeros_(self.ends.bias)
        corners, weights = draw(made.left, made.left_faces, DRAWN)
        free = np.ones_like(made.left)
        free[made.middle, 1] = 0.0  # the mirror plane's vertices stay on it, or the halves would part
        constants = {
            "start": made.left, "free": free, "inner": made.inner, "corners": corners.reshape(-1),
            "weights": weights[:, :, None], "mirror": np.array([1, -1, 1], np.float32),
        }  # fmt: skip
        for name, value in constants.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(value)), persistent=False)
        self.faces = torch.from_numpy(np.ascontiguousarray(made.faces))

    def decode(self, vector: Tensor) -> dict[str, Tensor]:
        grid = self.head(self.body(vector)).flatten(2).transpose(1, 2)
        moved = torch.cat([grid, self.ends(vector).unflatten(1, (2, 3))], 1) + self.usual
        left = self.start + moved * self.free
        vertices = torch.cat([left, left.index_select(1, self.inner) * self.mirror], 1)
        drawn = left.index_select(1, self.corners).unflatten(1, (DRAWN, 3))
        points = (drawn * self.weights).sum(2)
        return {"points": torch.cat([points, points * self.mirror], 1), "vertices": vertices}
