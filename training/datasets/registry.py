"""All data sets by name."""

from __future__ import annotations

from edge.errors import SettingsError
from training.datasets.base import DataSet
from training.datasets.bmw10 import BMW10
from training.datasets.linarchive import LIN
from training.datasets.pascal3d import PASCAL3D
from training.datasets.ptn import PTN
from training.datasets.r2n2 import R2N2
from training.datasets.shapenet import SHAPENET
from training.datasets.stanford import STANFORD
from training.datasets.stanford3d import STANFORD3D

DATASETS: dict[str, DataSet] = {
    entry.name: entry for entry in (SHAPENET, R2N2, PTN, LIN, STANFORD, BMW10, STANFORD3D, PASCAL3D)
}


def dataset(name: str) -> DataSet:
    """The entry of a name. SettingsError with the known names for another."""
    if name not in DATASETS:
        raise SettingsError(f"there is no data set {name!r}; known are {', '.join(DATASETS)}")
    return DATASETS[name]
