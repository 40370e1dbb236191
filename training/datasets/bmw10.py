"""BMW-10 (Krause et al. 2013), which the device part reads: what the registry says of it."""

from __future__ import annotations

from pathlib import Path

from edge.photosets.bmw10 import BMW10 as PUBLISHED
from edge.photosets.bmw10 import list_bmw10
from training.datasets.base import Contents, DataSet


def open_bmw10(root: Path) -> Contents:
    """Photos of BMW-10. DataError as :func:`edge.photosets.bmw10.list_bmw10`."""
    return Contents.of_photos(list_bmw10(root))


BMW10 = DataSet(
    name=PUBLISHED.name,
    about="BMW-10: 512 photos of ten BMW saloons, hard to tell apart",
    licence="photos of third parties, for non-commercial research; no licence file",
    gated=PUBLISHED.gated,
    where=PUBLISHED.where,
    layout=PUBLISHED.layout,
    verified="public readers: annos with fname and class in this order, train_indices, test_indices; box not verified",
    marks=PUBLISHED.marks,
    opener=open_bmw10,
)
