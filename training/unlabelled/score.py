"""How well a student does on photos: its silhouettes, and whether what it sees are cars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from training.networks.lifting import both_sides
from training.silhouette.score import iou
from training.unlabelled.guards import Prior, Rehearsal
from training.unlabelled.photos import EXTENT, SIDE, Photo
from training.unlabelled.student import Looked, Student, half_of, seen

#: Every so many points of the left half are drawn for a silhouette.
EVERY = 2


class Album(NamedTuple):
    """Photos as they are, and what the resting part made of them."""

    photos: Sequence[Photo]
    looked: Looked


def drawn_mask(place: np.ndarray) -> np.ndarray:
    """The silhouette (SIDE, SIDE) bool of points seen at places (P, 2): their pixels, gaps between them closed."""
    pixel = np.floor((place + EXTENT) * (SIDE / (2 * EXTENT))).astype(int)
    pixel = pixel[((pixel >= 0) & (pixel < SIDE)).all(1)]
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[pixel[:, 1], pixel[:, 0]] = 1
    closed = cv2.morphologyEx(np.pad(mask, 4), cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    return closed[4:-4, 4:-4] > 0


@torch.no_grad()
def overlaps(student: Student, album: Album) -> np.ndarray:
    """IoU (N,) of each predicted silhouette with the photo's mask, within the picture."""
    guess = student(album.looked)
    rows = torch.arange(0, len(student.resting[0].shape_mean), EVERY)
    places = seen(student.half(guess, rows), guess).place.numpy()
    return np.array([
        iou(drawn_mask(place), photo.mask > 0.5, photo.inside)
        for place, photo in zip(places, album.photos, strict=True)
    ])  # fmt: skip


@torch.no_grad()
def figures(
    student: Student, album: Album, prior: Prior, rehearsal: tuple[Rehearsal, Rehearsal] | None
) -> dict[str, float]:
    """``iou`` of kept photos, ``strange``: share of them read as unusual shapes, ``mahalanobis``: mean squared distance
    per dimension. With rendered cars ``rehearsed``: distance of points to the true surface there, and ``nearest``:
    distance of the photos' shapes to the nearest training shape, root mean square over points; canonical units."""
    guess = student(album.looked)
    strangeness = prior.strangeness(guess.code)
    found = {
        "iou": float(overlaps(student, album).mean()), "mahalanobis": float(strangeness.mean()),
        "strange": float((strangeness > prior.usual).float().mean()),
    }  # fmt: skip
    if rehearsal is not None:
        known, judged = rehearsal
        found["rehearsed"] = float(judged.losses(student)["plane"])
        own = half_of(judged.mean, judged.basis, guess).flatten(1)
        away = torch.cdist(own, known.points.flatten(1)).amin(1) / len(judged.mean) ** 0.5
        found["nearest"] = float(away.mean())
    return found


@torch.no_grad()
def clouds(student: Student, looked: Looked) -> Tensor:
    """(N, 2 P, 3) all points, left half first."""
    guess = student(looked)
    return both_sides(student.half(guess, torch.arange(len(student.resting[0].shape_mean))))
