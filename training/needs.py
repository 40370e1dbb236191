"""What a run reads of the shards: settings say it, so that nothing is read for nothing."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from training.data.dataset import CarDataset, load_dataset
from training.data.shards import read_index
from training.networks import input_size
from training.settings import Settings

#: Networks that are taught depth maps (the cells of voxels are carved from the shards themselves).
FIXED = ("lin2018", "maps")


class Needs(NamedTuple):
    """size: side of the pictures, pixels. novel, fixed: whether random and fixed depth views are read. hold_out: bodies
    that are validated on instead. What a data set depends on, beside its folder: equal needs, equal data."""

    size: int
    novel: bool
    fixed: bool
    hold_out: tuple[str, ...]

    def load(self, root: Path, limit: int = 0) -> tuple[CarDataset, CarDataset]:
        """Training and validation sets. limit: pictures of each training shape, 0 = all. Raises DataError."""
        return (
            load_dataset(
                root, "train", self.size, limit=limit, novel=self.novel, fixed=self.fixed, hold_out=self.hold_out
            ),
            load_dataset(root, "validation", self.size, novel=False, fixed=self.fixed, hold_out=self.hold_out),
        )


def needs_of(settings: Settings, root: Path) -> Needs:
    """What a run with these settings needs of the shards in ``root``. Raises DataError, SettingsError."""
    # A quarter larger than the network sees, if the shards have it, so that zooming has pixels to work with.
    size = min(input_size(settings.network, settings.arguments) * 5 // 4, int(read_index(root)["image_size"]))
    novel = any(stage.loss == "novel" for stage in settings.stages)
    return Needs(size, novel, settings.network in FIXED, settings.hold_out)
