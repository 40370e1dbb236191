"""The linear space of registered shapes: mean and principal components.

Blanz and Vetter, "A morphable model for the synthesis of 3D faces", SIGGRAPH 1999. The box is kept apart: width and
height vary more than anything else and are the first thing to get right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from training.morphable.registered import Registered

#: How much a deformed variant or a parametric car counts beside a modelled body, all together as much as these.
MADE_UP = 1.0


class ShapeSpace(NamedTuple):
    """mean: (N, 3) float32. basis: (K, N, 3) float32, each component times its standard deviation: coefficients have
    variance 1. Both in the frame of ``Registered.points``."""

    mean: np.ndarray
    basis: np.ndarray


def shape_space(registered: Registered, rows: np.ndarray, original: np.ndarray, components: int) -> ShapeSpace:
    """Weighted principal components of some registered shapes.

    rows: (M,) rows of the training shapes. original: (M,) whether each is a modelled body as it is; the others together
    weigh ``MADE_UP`` times as much as all of these. components: at most; fewer shapes give fewer.
    """
    points = registered.points[rows].reshape(len(rows), -1).astype(np.float32)
    weights = np.where(original, 1.0, 0.0).astype(np.float64)
    if not original.any():
        weights[:] = 1.0
    elif not original.all():
        weights[~original] = MADE_UP * original.sum() / (~original).sum()
    weights /= weights.sum()
    mean = (weights[:, None] * points).sum(0, dtype=np.float64).astype(np.float32)
    # The Gram matrix of the shapes is far smaller than the covariance of the points.
    centred = (points - mean) * np.sqrt(weights)[:, None].astype(np.float32)
    values, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    order = np.argsort(values)[::-1][: max(1, min(components, len(rows) - 1))]
    vectors = vectors[:, order]
    basis = vectors.T.astype(np.float32) @ centred  # each row: unit component times its standard deviation
    # The sign of a component is arbitrary: fix it, so that the same shapes give the same space.
    largest = np.abs(basis).argmax(1)
    basis *= np.sign(basis[np.arange(len(basis)), largest])[:, None]
    return ShapeSpace(mean.reshape(-1, 3), basis.reshape(len(basis), -1, 3))
