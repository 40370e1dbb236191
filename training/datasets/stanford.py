"""Stanford Cars (Krause et al. 2013), which the device part reads: what the registry says of it."""

from __future__ import annotations

from pathlib import Path

from edge.photosets.stanford import STANFORD as PUBLISHED
from edge.photosets.stanford import list_stanford
from training.datasets.base import Contents, DataSet


def open_stanford(root: Path) -> Contents:
    """Photos of Stanford Cars. DataError as :func:`edge.photosets.stanford.list_stanford`."""
    return Contents.of_photos(list_stanford(root))


STANFORD = DataSet(
    name=PUBLISHED.name,
    about="Stanford Cars: 16,185 photos, 196 makes and models, one box each (8,144 train, 8,041 test)",
    licence="photos of third parties, for non-commercial research; no licence file",
    gated=PUBLISHED.gated,
    where=PUBLISHED.where,
    layout=PUBLISHED.layout,
    verified="the devkit's README and several public readers of both forms",
    marks=PUBLISHED.marks,
    opener=open_stanford,
)
