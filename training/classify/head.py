"""The small trained part: multinomial logistic regression on frozen features, its settings chosen while training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

#: Strengths of the L2 penalty that are tried, for features of mean squared length 1; from strong to weak.
PENALTIES = (3e-2, 3e-3, 3e-4, 3e-5)
#: Weights of what is added to the appearance that are tried, against 1 for the appearance.
WEIGHTS = (0.5, 1.5, 4.0)
#: Folds of the cross-validation on the training photos, and steps of a fit.
FOLDS, STEPS = 4, 60
#: Directions that are kept of features; where there are fewer photos than this, nothing is lost.
MOST_DIRECTIONS = 512


class Part(NamedTuple):
    """A kind of features. values: (N, D). added: whether it is what is added, whose weight is chosen.
    whiten: directions of the training photos' principal components that are kept, each scaled to variance 1; 0 = the
    features as they are, their directions scaled alike."""

    values: np.ndarray
    added: bool = False
    whiten: int = 0


class Fitted(NamedTuple):
    """Probabilities (M, C) of the test photos, and what was chosen."""

    chances: np.ndarray
    penalty: float
    weight: float


def fit_and_tell(
    parts: Sequence[Part], labels: np.ndarray, train: np.ndarray, test: np.ndarray, classes: int
) -> Fitted:
    """Learn from rows ``train`` (indices) of labels (N,) and tell rows ``test``. The penalty, and the weight of what is
    added, have the least log loss in a cross-validation on ``train``; nothing of ``test`` is looked at before that."""
    # One thread: for so little more are slower, and sums of floats in another order would be other floats.
    torch.set_num_threads(1)
    weights = WEIGHTS if any(part.added for part in parts) and not all(part.added for part in parts) else (1.0,)
    losses = dict.fromkeys(product(weights, PENALTIES), 0.0)
    for inner, outer in folds(labels[train]):
        held, kept = train[outer], train[inner]
        for weight in weights:
            near, far = joined(parts, kept, held, weight)
            start = None
            for penalty in PENALTIES:
                start = learn(near, labels[kept], classes, penalty, start)
                losses[weight, penalty] += log_loss(tell(far, start), labels[held])
    weight, penalty = min(losses, key=lambda key: losses[key])
    near, far = joined(parts, train, test, weight)
    return Fitted(tell(far, learn(near, labels[train], classes, penalty)), penalty, weight)


def joined(
    parts: Sequence[Part], train: np.ndarray, test: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """Training and test rows of all parts side by side, each centred and of mean squared length 1 on the training rows
    (times its weight); both turned into the training rows' principal directions, in which the learning is quick."""
    near, far = [], []
    for part in parts:
        one, other = scaled(part, train, test)
        gain = weight if part.added else 1.0
        near.append(one * gain)
        far.append(other * gain)
    first, second = np.concatenate(near, 1), np.concatenate(far, 1)
    turn = directions(first, MOST_DIRECTIONS)[0]
    # An intercept comes last.
    return _with_ones(product_of(first, turn)), _with_ones(product_of(second, turn))


def directions(rows: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``most`` principal directions of centred rows (N, D), as columns (D, K), and the standard deviations (K,)
    along them; those along which next to nothing differs are left out. From the smaller one of the two Gram matrices,
    which is quicker than a decomposition of the rows."""
    wide = rows.shape[1] > rows.shape[0]
    gram = product_of(rows, rows.T) if wide else product_of(rows.T, rows)
    values, vectors = (found.numpy() for found in torch.linalg.eigh(torch.from_numpy(gram)))
    # A copy: PyTorch takes no array whose strides are negative.
    values, vectors = values[::-1], np.array(vectors[:, ::-1])
    keep = min(most, max(1, int((values > 1e-10 * max(float(values[0]), 1e-30)).sum())))
    lengths = np.sqrt(np.maximum(values[:keep], 1e-30))
    turn = product_of(rows.T, vectors[:, :keep]) / lengths if wide else vectors[:, :keep]
    return np.asarray(turn), lengths / np.sqrt(len(rows))


def scaled(part: Part, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one part, centred, of mean squared length 1 on the training rows."""
    near, far = (part.values[rows].astype(np.float64) for rows in (train, test))
    middle = near.mean(0)
    near, far = near - middle, far - middle
    if part.whiten:
        turn, spread = directions(near, part.whiten)
        near, far = product_of(near, turn) / spread, product_of(far, turn) / spread
    gain = 1 / max(float(np.sqrt(np.square(near).sum(1).mean())), 1e-12)
    return near * gain, far * gain


def learn(
    rows: np.ndarray, labels: np.ndarray, classes: int, penalty: float, start: np.ndarray | None = None
) -> np.ndarray:
    """Weights (D, C) of least mean log loss plus penalty / 2 times their squared length; rows (N, D) float64, the last
    column, ones, without penalty."""
    # PyTorch's L-BFGS and not SciPy's, whose linear algebra takes every core for the smallest vector.
    known, wanted = torch.from_numpy(rows), torch.from_numpy(np.eye(classes)[labels])
    bounded = torch.full((rows.shape[1], 1), penalty, dtype=torch.float64)
    bounded[-1] = 0.0
    begin = np.zeros((rows.shape[1], classes)) if start is None else start.copy()
    weights = torch.from_numpy(begin)
    search = torch.optim.LBFGS(
        [weights], max_iter=STEPS, history_size=10, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        likely = torch.log_softmax(known @ weights, 1)
        weights.grad = known.T @ (likely.exp() - wanted) / len(rows) + bounded * weights
        return -(wanted * likely).sum() / len(rows) + 0.5 * (bounded * weights * weights).sum()

    with torch.no_grad():
        search.step(loss)  # type: ignore[arg-type]
    return weights.numpy()


def tell(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Probabilities (N, C)."""
    logits = product_of(rows, weights)
    chances = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(chances / chances.sum(1, keepdims=True))


def log_loss(chances: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the rows of minus the log of the right class's probability."""
    return float(-np.log(np.maximum(chances[np.arange(len(labels)), labels], 1e-12)).mean())


def folds(labels: np.ndarray, count: int = FOLDS) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to judge by, ``count`` times; each class is dealt out evenly."""
    place = np.zeros(len(labels), int)
    for offset, label in enumerate(np.unique(labels)):
        rows = np.flatnonzero(labels == label)
        place[rows] = (np.arange(len(rows)) + offset) % count
    return [(np.flatnonzero(place != n), np.flatnonzero(place == n)) for n in range(count) if (place == n).any()]


def product_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The matrix product, by PyTorch, which keeps to the threads it is told; NumPy's takes every core."""
    first, second = (torch.from_numpy(np.ascontiguousarray(matrix)) for matrix in (one, other))
    return np.asarray((first @ second).numpy())


def _with_ones(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, np.ones((len(rows), 1))], 1)
