"""The lattice: exact weights, exact symmetry, no fold-overs, no cracks."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import trimesh

from training.shapes import lattice
from training.shapes.lattice import Field, Lattice

LOWER, UPPER = np.array([-2.0, -1.0, 0.0]), np.array([2.0, 1.0, 1.5])
POINTS = np.random.default_rng(5).uniform(LOWER * (1, 0, 1), UPPER, (200, 3))


def scaled(net: Lattice, gain: float) -> Field:
    return lambda points: gain * lattice.displacement(net, points)


def test_a_lattice_at_rest_moves_nothing_and_one_shifted_as_a_whole_moves_all_alike() -> None:
    still = Lattice(LOWER, UPPER, np.zeros((7, 4, 5, 3)))
    assert np.array_equal(lattice.displacement(still, POINTS), np.zeros((200, 3)))
    shifted = Lattice(LOWER, UPPER, np.broadcast_to([0.1, 0.2, 0.3], (7, 4, 5, 3)))
    np.testing.assert_allclose(lattice.displacement(shifted, POINTS), np.tile([0.1, 0.2, 0.3], (200, 1)), atol=1e-12)


def test_one_control_point_moves_the_middle_by_its_bernstein_weight() -> None:
    moves = np.zeros((3, 3, 3, 3))
    moves[1, 1, 2] = (8.0, 0.0, 1.0)
    # At the middle of the box B1,2 = 2 * 1/2 * 1/2 = 1/2 and B2,2 = 1/4: together 1/16.
    middle = lattice.displacement(Lattice(LOWER, UPPER, moves), (LOWER + UPPER)[None] / 2)
    np.testing.assert_allclose(middle, [[0.5, 0.0, 0.0625]], atol=1e-12)
    corner = lattice.displacement(Lattice(LOWER, UPPER, moves), UPPER[None])
    np.testing.assert_allclose(corner, np.zeros((1, 3)), atol=1e-12)


def test_a_random_lattice_is_symmetric_and_moves_both_sides_alike_to_the_last_bit() -> None:
    net = lattice.random_lattice(np.random.default_rng(1), LOWER, UPPER, 0.05)
    np.testing.assert_array_equal(net.moves, lattice.symmetric(net.moves))
    np.testing.assert_allclose(lattice.displacement(net, POINTS * (1, 0, 1))[:, 1], 0, atol=1e-12)
    mirror = np.array([1.0, -1.0, 1.0])
    left = lattice.moved(partial(lattice.displacement, net), POINTS, 0.0)
    right = lattice.moved(partial(lattice.displacement, net), POINTS * mirror, 0.0)
    np.testing.assert_array_equal(left, right * mirror)
    assert np.abs(left - POINTS).max() > 0.01


def test_the_jacobian_of_a_stretch_is_its_volume() -> None:
    assert lattice.least_jacobian(lambda p: p * (0.1, 0.2, -0.5), LOWER, UPPER) == pytest.approx(1.1 * 1.2 * 0.5)


def test_an_absurd_displacement_is_scaled_down_until_nothing_folds() -> None:
    net = lattice.random_lattice(np.random.default_rng(1), LOWER, UPPER, 0.5)
    half = LOWER * (1, 0, 1)
    assert lattice.least_jacobian(scaled(net, 1.0), half, UPPER) < 0
    gain = lattice.safe_gain(partial(scaled, net), half, UPPER)
    assert 0 < gain < 1
    assert lattice.least_jacobian(scaled(net, gain), half, UPPER) >= lattice.LEAST_JACOBIAN
    mild = Lattice(LOWER, UPPER, net.moves / 50)
    assert lattice.safe_gain(partial(scaled, mild), half, UPPER) == 1.0
    assert lattice.safe_gain(lambda gain: lambda p: -2.0 * p, half, UPPER) == 0.0


def test_fitting_finds_a_deformation_back() -> None:
    generator = np.random.default_rng(3)
    faces = [(axis, end) for axis in range(3) for end in (0.05, 0.95)]
    t = generator.uniform(0.05, 0.95, (6, 250, 3))
    for row, (axis, end) in enumerate(faces):
        t[row, :, axis] = end
    source = (LOWER * (1, 0, 1)) + t.reshape(-1, 3) * (UPPER - LOWER * (1, 0, 1))
    net = lattice.random_lattice(generator, LOWER, UPPER, 0.06)
    target = source + lattice.displacement(net, source)
    before = np.linalg.norm(target - source, axis=1).mean()
    fitted = lattice.fit_lattice(source, target, LOWER, UPPER)
    from scipy.spatial import cKDTree

    after = cKDTree(target).query(source + lattice.displacement(fitted, source))[0].mean()
    assert before > 0.03
    assert after < 0.4 * before
    np.testing.assert_allclose(fitted.moves, lattice.symmetric(fitted.moves), atol=1e-12)


def test_refining_opens_no_crack_and_keeps_the_surface() -> None:
    box = trimesh.creation.box((4.0, 1.8, 0.3))
    vertices, faces = lattice.refined(np.asarray(box.vertices), np.asarray(box.faces), 0.35)
    fine = trimesh.Trimesh(vertices, faces, process=False)
    assert fine.is_watertight
    assert fine.area == pytest.approx(box.area, rel=1e-5) and fine.volume == pytest.approx(box.volume, rel=1e-5)
    assert fine.edges_unique_length.max() <= 0.35
    same, _ = lattice.refined(np.asarray(box.vertices), np.asarray(box.faces), 10.0)
    assert len(same) == len(box.vertices)
