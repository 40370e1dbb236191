"""Retrieval: votes by hand, features of the ImageNet network, the number of neighbours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.benchmark_cars import toy_car
from training.benchmark import protocol, retrieval
from training.benchmark.controls import Body
from training.benchmark.retrieval import Gallery
from training.benchmark.store import Store


def on_circle(*degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def test_vote_by_hand() -> None:
    # The picture at 1 degree belongs to body 0; of the five nearest to 0 degrees, three belong to body 1.
    gallery = Gallery(on_circle(1, 5, 6, 7, 40, 180), np.array([0, 1, 1, 1, 0, 2]))
    query = on_circle(0, 6.1)
    assert retrieval.vote(query, gallery, 1).tolist() == [0, 1]
    assert retrieval.vote(query, gallery, 5).tolist() == [1, 1]


def test_of_equal_votes_the_nearest_wins() -> None:
    gallery = Gallery(on_circle(10, -10), np.array([1, 0]))
    assert retrieval.vote(on_circle(0), gallery, 2).tolist() == [1]


def body(name: str, ancestry: str = "") -> Body:
    mesh = replace(toy_car(name), ancestry=ancestry or name)
    return Body(mesh, np.zeros((1, 3), np.float32), np.ones(3))


def test_number_of_neighbours_is_the_better_one_on_training_bodies_without_kin() -> None:
    # Seen from a, the nearest picture is of its kin (not allowed), then one of b, then five of c.
    bodies = [body("a"), body("kin", "a"), body("b"), body("c")]
    features = on_circle(0, 0.1, 2, 3, 3.1, 3.2, 3.3, 3.4)
    gallery = Gallery(features, np.array([0, 1, 2, 3, 3, 3, 3, 3]))
    table = np.full((4, 4), 50.0)
    table[0, 1] = table[1, 0] = np.nan
    table[2, :2], table[3, :2] = 10.0, 30.0
    choice = retrieval.choose_neighbours(bodies, gallery, table)
    assert choice.neighbours == 5
    assert choice.f1 == {1: pytest.approx((10 + 10 + 50 + 50) / 4), 5: pytest.approx((30 + 30 + 50 + 50) / 4)}
    table[2, :2] = 40.0
    assert retrieval.choose_neighbours(bodies, gallery, table).neighbours == 1


def test_features_tell_pictures_apart_and_are_the_same_again() -> None:
    rng = np.random.default_rng(0)
    smooth = np.broadcast_to(np.linspace(0, 255, 64, dtype=np.uint8)[:, None, None], (64, 64, 3))
    noise = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    near = np.clip(noise.astype(int) + rng.integers(-4, 5, noise.shape), 0, 255).astype(np.uint8)
    features = retrieval.features_of(np.stack([smooth, noise, near]))
    assert features.shape == (3, 1280) and np.allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    likeness = features @ features.T
    assert likeness[1, 2] > 0.95 > likeness[0, 1]
    assert np.array_equal(retrieval.features_of(np.stack([smooth, noise, near])), features)


def test_the_encoder_knows_what_it_learnt() -> None:
    """Weights are in place: the classifier's first layer is not what an untrained network has."""
    weights = retrieval.encoder().state_dict()
    assert len(retrieval.weights_sha256()) == 64
    assert float(weights["_bn0.running_var"].std()) > 0 and not retrieval.encoder().training


def test_guesses_are_scored_as_any_cloud(tmp_path: Path) -> None:
    mesh, store = toy_car("p406").canonical(), Store(tmp_path)
    truth = protocol.truth_of(mesh, store, 3000)
    clouds = {"same": truth.outside.points[:4000], "moved": truth.outside.points[:4000] + [0.0, 0.0, 0.1]}
    got = retrieval.score_guesses((mesh, clouds, 3000, tmp_path))
    assert got == {name: protocol.score(points, truth) for name, points in clouds.items()}
    assert retrieval.score_guesses((mesh, clouds, 3000, tmp_path)) == got
