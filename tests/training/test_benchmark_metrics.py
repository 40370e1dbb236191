"""The figures against answers known without them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from training.benchmark import metrics
from training.benchmark.metrics import Target, figures


@pytest.fixture(scope="module")
def cloud() -> np.ndarray:
    return (np.random.default_rng(0).random((3000, 3)) - 0.5).astype(np.float32)


def lattice(step: float, count: int) -> np.ndarray:
    axis = np.arange(count) * step
    return np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)


def test_identical_clouds_are_perfect(cloud: np.ndarray) -> None:
    target = Target(cloud)
    assert figures(cloud, target) == (0.0, 0.0, 100.0, 100.0, 100.0, 3000)
    assert metrics.earth_mover(metrics.subsample(cloud, 1024, metrics.SEED + 1), target) == 0.0


def test_shifted_cube_gives_the_shift() -> None:
    points = lattice(0.1, 6)
    shifted = points + [0.03, 0.0, 0.0]
    got = figures(shifted, Target(points))
    assert got.pred_to_gt == pytest.approx(3.0)
    assert got.gt_to_pred == pytest.approx(3.0)
    assert (got.f1, got.f2, got.f5) == (0.0, 0.0, 100.0)
    assert metrics.chamfer_l2(shifted, Target(points)) == pytest.approx(1000 * 2 * 0.03**2)
    assert metrics.earth_mover(shifted, Target(points)) == pytest.approx(3.0, rel=0.3)


def test_earth_mover_of_a_shift_is_exact_when_no_point_is_repeated() -> None:
    points = lattice(0.1, 11)[:1024]
    assert metrics.earth_mover(points + [0.0, 0.02, 0.0], Target(points)) == pytest.approx(2.0)


def plane(side: int) -> np.ndarray:
    """A flat patch of side x side points, 0.3 wide."""
    axis = np.linspace(-0.15, 0.15, side)
    x, y = np.meshgrid(axis, axis)
    return np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)


@pytest.mark.parametrize(("shift", "scores"), [(0.009, (100, 100, 100)), (0.015, (0, 100, 100)), (0.04, (0, 0, 100))])
def test_a_patch_lifted_off_itself_gives_the_shift_in_every_figure(shift: float, scores: tuple[int, ...]) -> None:
    # Straight up, so that no other point is nearer; 32 x 32 = 1,024 points, so that EMD and CD-L2 take them all.
    truth = plane(32)
    lifted, target = truth + [0.0, 0.0, shift], Target(truth)
    got = figures(lifted, target)
    assert got.pred_to_gt == pytest.approx(100 * shift) and got.gt_to_pred == pytest.approx(100 * shift)
    assert (got.f1, got.f2, got.f5) == scores
    assert metrics.chamfer_l2(lifted, target) == pytest.approx(1000 * 2 * shift**2)
    assert metrics.earth_mover(lifted, target) == pytest.approx(100 * shift)


def test_figures_are_those_of_brute_force() -> None:
    rng = np.random.default_rng(3)
    truth, guess = rng.normal(0, 0.2, (700, 3)), rng.normal(0, 0.2, (500, 3)) + [0.02, 0.0, 0.01]
    apart = np.sqrt(((guess[:, None] - truth[None]) ** 2).sum(-1))
    accuracy, completeness = apart.min(axis=1), apart.min(axis=0)
    got = figures(guess, Target(truth))
    assert got.pred_to_gt == pytest.approx(100 * accuracy.mean(), rel=1e-12)
    assert got.gt_to_pred == pytest.approx(100 * completeness.mean(), rel=1e-12)
    for threshold, score in zip((0.01, 0.02, 0.05), (got.f1, got.f2, got.f5), strict=True):
        precision, recall = (accuracy <= threshold).mean(), (completeness <= threshold).mean()
        assert score == pytest.approx(200 * precision * recall / (precision + recall), rel=1e-12)
    squares = (accuracy**2).mean() + (completeness**2).mean()
    assert metrics.chamfer_l2(guess, Target(truth)) == pytest.approx(1000 * squares, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_earth_mover_is_the_best_of_all_assignments(seed: int) -> None:
    # Four points a side, each standing 256 times: the best assignment of the copies costs what the best of the 4!
    # assignments of the points does (the corners of the transport polytope are permutations).
    rng = np.random.default_rng(seed)
    truth, guess = rng.random((4, 3)) * 0.5, rng.random((4, 3)) * 0.5
    apart = np.sqrt(((guess[:, None] - truth[None]) ** 2).sum(-1))
    best = min(np.mean([apart[i, j] for i, j in enumerate(order)]) for order in itertools.permutations(range(4)))
    assert metrics.earth_mover(guess, Target(truth)) == pytest.approx(100 * best, rel=1e-12)


def test_f_score_by_hand() -> None:
    truth = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]], float)
    # Within 1 %: one of two points. Ground truth within 1 % of the cloud: one of four.
    guess = np.array([[0.005, 0, 0], [1.03, 0, 0]])
    got = figures(guess, Target(truth))
    assert got.f1 == pytest.approx(100 * 2 * 0.5 * 0.25 / 0.75)
    assert got.f5 == pytest.approx(100 * 2 * 1.0 * 0.5 / 1.5)
    assert got.pred_to_gt == pytest.approx(100 * (0.005 + 0.03) / 2)
    assert got.gt_to_pred == pytest.approx(100 * (0.005 + 0.03 + 0.97 + 1.0) / 4)  # 1.97 is capped at 1


def test_thresholds_are_unsquared() -> None:
    # 0.02 squared is 0.0004: a squared comparison with 0.01 would call this point right.
    assert figures(np.array([[0.02 + 1e-9, 0, 0]]), Target(np.zeros((1, 3)))).f2 == 0.0
    assert figures(np.array([[0.02 - 1e-9, 0, 0]]), Target(np.zeros((1, 3)))).f2 == 100.0


def test_order_of_points_does_not_matter(cloud: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    truth = cloud + rng.normal(0, 0.02, cloud.shape)
    mixed, target = rng.permutation(cloud), Target(truth)
    other = Target(rng.permutation(truth))
    assert figures(mixed, other) == pytest.approx(figures(cloud, target), abs=1e-9)
    assert metrics.chamfer_l2(mixed, other) == pytest.approx(metrics.chamfer_l2(cloud, target), abs=1e-9)
    assert metrics.earth_mover(mixed, other) == pytest.approx(metrics.earth_mover(cloud, target), abs=1e-9)
    assert np.array_equal(metrics.subsample(mixed, 500), metrics.subsample(cloud, 500))


def test_subsample_takes_points_of_the_cloud_once(cloud: np.ndarray) -> None:
    chosen = metrics.subsample(cloud, 700)
    assert len(np.unique(chosen, axis=0)) == 700
    assert {tuple(p) for p in chosen} <= {tuple(p) for p in cloud}
    assert len(metrics.subsample(cloud[:10], 700)) == 10


def test_empty_cloud_gets_the_worst_score(cloud: np.ndarray) -> None:
    target = Target(cloud)
    empty = np.zeros((0, 3), np.float32)
    assert figures(empty, target) == (100.0, 100.0, 0.0, 0.0, 0.0, 0)
    assert metrics.chamfer_l2(empty, target) == 2000.0
    assert metrics.earth_mover(empty, target) == 100.0


def test_nothing_scores_worse_than_an_empty_cloud(cloud: np.ndarray) -> None:
    target = Target(cloud)
    for bad in (np.full((50, 3), np.nan), np.full((50, 3), np.inf), np.full((50, 3), 1e6)):
        assert figures(bad, target) == (100.0, 100.0, 0.0, 0.0, 0.0, 50)
        assert metrics.chamfer_l2(bad, target) == 2000.0
        assert metrics.earth_mover(bad, target) == pytest.approx(100.0)


def test_points_that_are_not_finite_count_against_the_cloud(cloud: np.ndarray) -> None:
    half = np.concatenate([cloud, np.full_like(cloud, np.nan)])
    got = figures(half, Target(cloud))
    assert got.pred_to_gt == pytest.approx(50.0)
    assert got.f1 == pytest.approx(100 * 2 * 0.5 / 1.5)
    assert got.gt_to_pred == 0.0


def test_one_point_is_no_trouble(cloud: np.ndarray) -> None:
    target = Target(cloud)
    assert 0 < metrics.earth_mover(cloud[:1], target) < 100
    assert figures(cloud[:1], target).pred_to_gt == 0.0


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.zeros((4, 2)), np.array([[0, 0, np.nan]])])
def test_ground_truth_must_be_sound(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="ground truth must be finite points"):
        Target(bad)
