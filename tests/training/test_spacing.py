"""Even spacing: gaps close, the surface stays, and what is fixed is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from training.morphable.spacing import even_weights

RADII = np.array([0.5, 0.22, 0.16])
FIXED = np.array([3, 50, 700])


def half_egg(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) at random on the left half of an ellipsoid of a car's proportions, and their normals."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    direction[:, 1] = np.abs(direction[:, 1])
    normals = direction / RADII
    return direction * RADII, normals / np.linalg.norm(normals, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def egg() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points before, points after, and the weights."""
    points, normals = half_egg(1500, 0)
    weights = even_weights(points, normals, FIXED)
    return points, weights @ points, weights


def test_gaps_close(egg: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    truth = half_egg(20_000, 1)[0]
    mirrored = [np.concatenate([part, part * [1, -1, 1]]) for part in egg[:2]]
    before, after = (cKDTree(part).query(truth)[0] for part in mirrored)
    assert after.mean() < 0.85 * before.mean() and np.quantile(after, 0.99) < 0.75 * np.quantile(before, 0.99)
    nearest = cKDTree(mirrored[1]).query(egg[1], 2)[0][:, 1]
    assert nearest.std() < 0.35 * nearest.mean()  # at random: half


def test_points_stay_on_the_surface_and_what_is_fixed_stays(egg: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    points, after, _ = egg
    assert np.abs(np.linalg.norm(after / RADII, axis=1) - 1).mean() < 0.005
    assert np.array_equal(after[FIXED], points[FIXED])
    assert after[:, 1].min() > -0.01


def test_means_stay_among_their_points_and_serve_for_another_car(
    egg: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    points, after, weights = egg
    assert weights.data.min() >= 0 and np.allclose(weights.sum(1), 1)

    # Longer, narrower, taller, and leaning: linear along the car, so that means of neighbours follow exactly.
    def other(p: np.ndarray) -> np.ndarray:
        return p @ np.array([[1.1, 0, 0.05], [0, 0.9, 0], [0, 0, 1.3]])

    assert np.abs(weights @ other(points) - other(after)).max() < 1e-9
