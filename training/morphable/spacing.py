"""Evenly spaced points on a registered template: where they stand closer than elsewhere, others leave gaps.

Points drawn at random leave gaps of several times their usual distance, and stretching a template makes more. Points
that keep away from each other (blue noise: Lloyd relaxation, 1982; here by repulsion, as in Turk, "Re-tiling polygonal
surfaces", SIGGRAPH 1992) cover the same surface with half as many. A point's place is a mean of its neighbours' places,
so the weights found on one car serve for any: for the mean, and for each component of a shape space.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from training.morphable.register import features

#: How far apart two opposite normals put two points, canonical units: a skin's two sides are two surfaces.
FACING = 0.1
#: Neighbours that push a point away; those it is a mean of.
PUSHING, MEAN = 14, 20
#: Times the weights are tilted towards their place.
TILTS = 6
#: Times all points are moved, and the part of the reach they move by under the push of one neighbour at no distance.
STEPS, PUSH = 80, 0.35
#: Neighbours turned further from each other (cosine) do not push and are not averaged: they lie on another surface.
TURNED = 0.3


def even_weights(points: np.ndarray, normals: np.ndarray, fixed: np.ndarray) -> csr_matrix:
    """Weights (N, N), rows of sum 1, that make evenly spaced points of the points of any car of this template.

    points, normals: (N, 3), the left half of the car on which they shall be even, y >= 0; mirrored they are the right
    half, and the seam is even as well. fixed: rows that keep their places, such as landmarks.
    """
    points, turned = points.astype(np.float64), _smooth_normals(points, normals)
    base = cKDTree(_features(points, turned))
    # About the distance of evenly spaced points that have six neighbours, and a fifth.
    around, _ = cKDTree(_features(_both(points), _both(turned))).query(_features(points, turned), 8)
    reach = float(np.median(around[:, 7]))
    place, facing = points.copy(), turned.copy()
    moving = np.ones(len(points))
    moving[fixed] = 0.0
    for step in range(STEPS):
        every, faces = _both(place), _both(facing)
        _, near = cKDTree(_features(every, faces)).query(_features(place, facing), PUSHING + 1)
        away = place[:, None] - every[near[:, 1:]]
        distance = np.linalg.norm(away, axis=2) + 1e-9
        push = np.maximum(0.0, 1.0 - distance / reach) ** 2
        push *= np.einsum("ni,nki->nk", facing, faces[near[:, 1:]]) > TURNED
        move = (away / distance[..., None] * push[..., None]).sum(1)
        move -= (move * facing).sum(1, keepdims=True) * facing
        place += move * moving[:, None] * (reach * PUSH * (1.0 - 0.6 * step / STEPS))
        place[:, 1] = np.abs(place[:, 1])
        # Back onto the surface, which is flat from one point to the next.
        apart, near = base.query(_features(place, facing), 6)
        weight = np.exp(-((apart / (0.6 * reach)) ** 2)) + 1e-9
        weight /= weight.sum(1, keepdims=True)
        centre = np.einsum("nk,nki->ni", weight, points[near])
        facing = np.einsum("nk,nki->ni", weight, turned[near])
        facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-12)
        lifted = ((place - centre) * facing).sum(1, keepdims=True) * facing
        place -= lifted * moving[:, None]
    return _means(base, points, turned, place, facing, reach, fixed)


def _means(
    base: cKDTree, points: np.ndarray, turned: np.ndarray, place: np.ndarray, facing: np.ndarray, reach: float,
    fixed: np.ndarray,
) -> csr_matrix:  # fmt: skip
    """Each place as a mean of the points about it whose centre it is, as nearly as the points allow.

    As in moving least squares, but no weight is below zero: at edges and thin parts that would be extrapolation, and
    throw points off the car.
    """
    count = len(points)
    apart, near = base.query(_features(place, facing), MEAN)
    weight = np.exp(-0.5 * (apart / (0.7 * reach)) ** 2) + 1e-12
    weight *= np.einsum("ni,nki->nk", facing, turned[near]) > TURNED
    weight[:, 0] += 1e-12
    weight /= weight.sum(1, keepdims=True)
    away = points[near] - place[:, None]
    for _ in range(TILTS):
        spread = np.einsum("nki,nk,nkj->nij", away, weight, away) + 1e-7 * np.eye(3)
        tilt = np.linalg.solve(spread, np.einsum("nk,nki->ni", weight, away)[..., None])[..., 0]
        weight = weight * np.maximum(1.0 - np.einsum("nki,ni->nk", away, tilt), 0.05)
        weight /= weight.sum(1, keepdims=True)
    near[fixed], weight[fixed] = np.asarray(fixed)[:, None], np.eye(1, MEAN)
    return csr_matrix((weight.ravel(), (np.repeat(np.arange(count), MEAN), near.ravel())), (count, count))


def _both(vectors: np.ndarray) -> np.ndarray:
    """Points or normals of the left half, and then of the right one."""
    return np.concatenate([vectors, vectors * [1.0, -1.0, 1.0]])


def _features(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return features(points, normals, FACING, np.float64)


def _smooth_normals(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Unit normals (N, 3) of the planes through each point's neighbours, turned to the side of those given."""
    normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    _, near = cKDTree(_features(points, normals)).query(_features(points, normals), 16)
    about = points[near] - points[near].mean(1, keepdims=True)
    flat = np.linalg.eigh(np.einsum("nki,nkj->nij", about, about))[1][:, :, 0]
    side = np.sign((flat * normals).sum(1, keepdims=True))
    return np.asarray(flat * np.where(side == 0, 1.0, side))
