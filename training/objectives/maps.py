"""What fixed-view maps are taught: stage 1 of Lin, Kong, Lucey, AAAI 2018, on the compared encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from edge.errors import DataError, SettingsError
from edge.geometry import VIEW_WIDTH, pixel_grid
from training.batches import Batch
from training.losses import fixed_view_loss
from training.networks.base import Network, Prediction
from training.networks.maps import SIZE, Maps
from training.objectives.base import Task
from training.objectives.points import SharedObjective
from training.settings import Stage


class MapsObjective(SharedObjective):
    """Part ``maps``: ``geometry_weight`` times the error of depth, and the cross-entropy of the mask.

    Mirrored pictures get mirrored maps (training/batches.py).
    """

    weights = {"maps": 10.0}

    def __init__(self, task: Task, network: Network) -> None:
        super().__init__(task, network)
        assert isinstance(network, Maps)
        if not task.data.fixed_depth.shape[1]:
            raise DataError("the network maps needs the fixed depth views: load the data set with fixed=True")
        wrong = [stage.name for stage in task.settings.stages if stage.map_size != SIZE]
        if wrong:
            raise SettingsError(f"the network maps draws {SIZE} pixels a side; set map_size to that in {wrong[0]!r}")
        self.grid = torch.from_numpy(pixel_grid(SIZE, VIEW_WIDTH)).to(self.device)

    def shape_loss(self, prediction: Prediction, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        assert prediction.maps is not None and batch.depth is not None
        return {"maps": fixed_view_loss(prediction.maps, batch.depth, self.grid, stage.geometry_weight).total}
