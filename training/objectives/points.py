"""What points are taught: the Chamfer distance to the true cloud. And what all compared networks are taught alike.

A mirrored picture is taught with the cloud as it is. Points and meshes are symmetric themselves, so that their
distance to a cloud and to its mirror image is one number; cars are nearly symmetric, so that it asks nothing odd.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from training import losses_extras, losses_points
from training.batches import Batch
from training.networks.base import Network, Prediction
from training.networks.shared import Shared
from training.objectives.base import Task
from training.objectives.clouds import CloudObjective, true_clouds
from training.objectives.morphable import WEIGHTS as MORPHABLE
from training.settings import Stage

#: What the heads beside the shape count: the same as for the flagship.
EXTRAS = {name: MORPHABLE[name] for name in ("azimuth", "offset", "camera", "length", "classes")}


class SharedObjective(CloudObjective):
    """Losses of the heads and validation of a network with the shared encoder; a subclass adds the shape's loss.

    weights: of the parts of the shape's loss; the settings may change them. Those here make it about as much as all
    heads together at the start.
    """

    weights: dict[str, float]

    def __init__(self, task: Task, network: Network) -> None:
        super().__init__(task, network, {**EXTRAS, **self.weights})
        assert isinstance(network, Shared)

    def forward(self, image: Tensor, stage: Stage) -> dict[str, Tensor]:
        """The prediction's fields by name."""
        prediction: Prediction = self.network(image)
        return prediction.given()

    def loss(self, output: dict[str, Tensor], batch: Batch, stage: Stage, step: int) -> dict[str, Tensor]:
        """Parts of the shape, and those of training.losses_extras; distances in canonical units."""
        prediction = Prediction(**{name: value.float() for name, value in output.items()})
        losses = {**self.shape_loss(prediction, batch, stage), **losses_extras.loss(prediction, batch.targets)}
        return self.weighed(losses)

    def shape_loss(self, prediction: Prediction, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        """Scalars by name, each in ``weights``. prediction: float32, on the batch's device."""
        raise NotImplementedError


class PointsObjective(SharedObjective):
    """Part ``chamfer``, of two thousand points of either cloud drawn anew in each step."""

    weights = {"chamfer": 50.0}

    def __init__(self, task: Task, network: Network) -> None:
        super().__init__(task, network)
        assert task.root is not None
        self.clouds = true_clouds(Path(task.root), task.data.names).to(self.device)

    def shape_loss(self, prediction: Prediction, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        return losses_points.loss(prediction, self.clouds[batch.shape].float())
