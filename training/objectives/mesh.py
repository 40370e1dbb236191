"""What a mesh is taught: the Chamfer distance of points on its triangles, and to stay a mesh (Pixel2Mesh)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from training import losses_mesh
from training.batches import Batch
from training.networks.base import Network, Prediction
from training.networks.mesh import Mesh
from training.objectives.base import Task
from training.objectives.clouds import true_clouds
from training.objectives.points import PointsObjective, SharedObjective
from training.settings import Stage


class MeshObjective(SharedObjective):
    """Parts ``chamfer``, ``laplacian`` and ``edges``, in the proportions of training.losses_mesh.

    Mirrored pictures: see training/objectives/points.py.
    """

    weights = {name: PointsObjective.weights["chamfer"] * part for name, part in losses_mesh.WEIGHTS.items()}

    def __init__(self, task: Task, network: Network) -> None:
        super().__init__(task, network)
        assert isinstance(network, Mesh) and task.root is not None
        self.mesh = network
        self.clouds = true_clouds(Path(task.root), task.data.names).to(self.device)

    def shape_loss(self, prediction: Prediction, batch: Batch, stage: Stage) -> dict[str, Tensor]:
        return losses_mesh.loss(prediction, self.mesh, self.clouds[batch.shape].float())
