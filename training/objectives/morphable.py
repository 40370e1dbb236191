"""What the flagship is taught: every point's place on the true surface, the box, the error it should expect, and pose.

The registered points give each point's true place. What counts is how far it is from the true surface, along the
normal there (Chen and Medioni, "Object modelling by registration of multiple range images", 1992); sliding along
the surface costs little. Where the settings count it, the Chamfer distance to the true cloud is added, which knows of
no registration (training/losses_points.py).
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from edge.errors import SettingsError
from training import losses_extras, losses_points, warp
from training.batches import Batch, Truth
from training.morphable.register import PROPORTIONS
from training.morphable.registered import registered
from training.morphable.space import shape_space
from training.morphable.spacing import even_weights
from training.networks.base import Network, Prediction
from training.networks.extras import WIDTHS
from training.networks.lifting import both_sides, project, rotation
from training.networks.morphable import ERROR_RANGE, HEADS, Morphable
from training.objectives.base import Task
from training.objectives.clouds import CloudObjective, true_clouds
from training.settings import Stage

#: What each part of the loss counts, unless the settings say otherwise.
WEIGHTS = {
    "plane": 100.0, "point": 25.0, "chamfer": 0.0, "box": 8.0, "coefficients": 0.0, "error": 0.1,
    "landmarks": 10.0, "cells": 1.0, "surface": 10.0, "mask": 1.0,
    "azimuth": 0.4, "offset": 1.0, "camera": 1.0, "length": 0.15, "classes": 0.05,
}  # fmt: skip
#: What the first look's pose counts beside the last one's.
FIRST = 0.5
#: Points of the left half that are drawn to see which are in front, and how far behind the first one others count.
SURFACE_POINTS, DEEP = 2048, 0.04
#: The least distance to a true cloud that a perfect point has, canonical units: sampling alone.
FLOOR = 0.002


def shown(points: Tensor, turned: Tensor, camera: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """What is nearest to the camera in each of count x count cells: mean canonical place (B, C, 3) and whether any
    point is in the cell (B, C) bool. points: (B, N, 3); turned: (B, 3, 3) of ``lifting.rotation``."""
    batch = len(points)
    place = project(points, turned, camera).place
    depth = (points @ turned[:, 2, :, None])[..., 0]
    column, row = ((place + 1) / 2 * count).floor().long().unbind(2)
    inside = (column >= 0) & (column < count) & (row >= 0) & (row < count)
    cell = torch.where(inside, row * count + column, count * count)
    cell = cell + torch.arange(batch, device=points.device)[:, None] * (count * count + 1)
    size = batch * (count * count + 1)
    near = torch.full((size,), 9.0, device=points.device).scatter_reduce(0, cell.flatten(), depth.flatten(), "amin")
    front = (depth.flatten() < near[cell.flatten()] + DEEP).float()
    total = torch.zeros(size, 3, device=points.device).index_add(
        0, cell.flatten(), points.flatten(0, 1) * front[:, None]
    )
    hits = torch.zeros(size, device=points.device).index_add(0, cell.flatten(), front)
    mean = (total / hits.clamp_min(1)[:, None]).unflatten(0, (batch, -1))[:, :-1]
    return mean, hits.unflatten(0, (batch, -1))[:, :-1] > 0


def surface_loss(output: dict[str, Tensor], points: Tensor, turned: Tensor, camera: Tensor) -> dict[str, Tensor]:
    """Losses of what each cell shows: ``surface``, mean distance in the car's frame, and ``mask``, nats.

    points: (B, N, 3) of the true cars, canonical; turned, camera: as in :func:`shown`.
    """
    place, hit = shown(points, turned, camera, round(output["mask"].shape[1] ** 0.5))
    away = (output["surface"].transpose(1, 2) - place).norm(dim=2)
    return {
        "surface": (away * hit).sum() / hit.sum().clamp_min(1),
        "mask": functional.binary_cross_entropy_with_logits(output["mask"], hit.float()),
    }


class MorphableObjective(CloudObjective):
    """Registers the shapes (once for a data set), starts the network at their space, teaches it as above."""

    def __init__(self, task: Task, network: Network) -> None:
        super().__init__(task, network, WEIGHTS)
        assert isinstance(network, Morphable)
        self.network: Morphable = network
        strange = [stage.loss for stage in task.settings.stages if stage.loss != "network"]
        if strange:
            raise SettingsError(f'loss {strange[0]!r} is for lin2018; a stage of the morphable network has "network"')
        shapes = registered(self.root, task.workers)
        rows = shapes.rows(task.data.names)
        original = np.array([name.endswith("-0") for name in task.data.names]) & task.data.real
        space = shape_space(shapes, rows, original, len(network.shape_basis))
        network.start_from(space, shapes.boxes[rows])
        self.bent = task.settings.augment_shape
        if self.counted["chamfer"] and self.bent:
            raise SettingsError("the true clouds are not bent: leave out augment_shape or the weight of chamfer")
        self.clouds = true_clouds(self.root, task.data.names).to(self.device) if self.counted["chamfer"] else None
        self.template_normals = shapes.normals[shapes.rows([shapes.template])[0]].astype(np.float64)
        self.points = torch.from_numpy(shapes.points[rows]).to(self.device)
        self.normals = torch.from_numpy(shapes.normals[rows]).to(self.device)
        self.scales = torch.from_numpy((shapes.boxes[rows] / PROPORTIONS).astype(np.float32)).to(self.device)

    def complete(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The registered points of the batch's shapes; shapes and pictures are bent by up to ``augment_shape``."""
        scale = self.scales[batch.shape]
        points = self.points[batch.shape].float() * scale[:, None]
        normals = functional.normalize(self.normals[batch.shape].float() / scale[:, None], dim=2)
        batch = batch._replace(truth=Truth(points, normals, scale))
        if not self.bent:
            return batch
        return warp.warped(batch, self.bent, generator)

    def forward(self, image: Tensor, stage: Stage) -> dict[str, Tensor]:
        """``Morphable.parts``; from the feature on in float32: half of it would blur points by 0.2 % of the length."""
        seen = self.network.look(self.network.encoder(image))
        with torch.autocast(image.device.type, enabled=False):
            return self.network.parts(seen)

    def loss(self, output: dict[str, Tensor], batch: Batch, stage: Stage, step: int) -> dict[str, Tensor]:
        """Distances are means over points, canonical units; see WEIGHTS for what each counts."""
        assert batch.truth is not None
        true, normal, scale = batch.truth
        away = output["half"].float() - true
        plane = (away * normal).sum(2)
        box = (output["box"].float() - scale[:, 1:].log()).abs().mean()
        distance = (plane.detach().square() + FLOOR**2).sqrt()
        log_error = output["log_error"].float()
        heads = losses_extras.loss(Prediction(**{name: output[name] for name in HEADS}), batch.targets)
        first = dict(zip(HEADS, output["first"].split(WIDTHS, 1), strict=True))
        for name, value in losses_extras.loss(Prediction(**first), batch.targets).items():
            heads[name] = heads[name] + FIRST * value
        azimuth, camera = batch.targets.azimuth, batch.targets.camera
        turned = rotation(torch.stack([azimuth.cos(), azimuth.sin()], 1), camera)
        seen = project(both_sides(true[:, self.network.landmarks]), turned, camera).place
        losses = {
            "cells": self.network.find.loss(output["cells"], seen),
            "landmarks": functional.smooth_l1_loss(output["place"], seen, beta=0.02),
            "plane": plane.abs().mean(), "point": away.norm(dim=2).mean(), "box": box,
            "coefficients": output["coefficients"].float().square().mean(),
            "error": (log_error + distance * (-log_error).exp()).mean(),
            **heads,
        }  # fmt: skip
        if self.clouds is not None:
            cloud = Prediction(points=both_sides(output["half"].float()))
            losses |= losses_points.loss(cloud, self.clouds[batch.shape].float())
        if "surface" in output:
            some = true[:, :: max(1, true.shape[1] // SURFACE_POINTS)]
            losses |= surface_loss(output, both_sides(some), turned, camera)
        return self.weighed(losses)

    def finish(self, network: Network) -> dict[str, float]:
        """Space the points evenly over the mean car, then scale the expected errors, of points and of the length, so
        that over the validation bodies they are right on average: on the cars it was taught a network errs less than on
        new ones, and its own estimate knows only the former.
        """
        assert isinstance(network, Morphable)
        network.respace(even_weights(network.mean_half(), self.template_normals, network.landmarks.cpu().numpy()))
        expected, found, lengths = [], [], []
        for batch, prediction in self.validation.predict(network, self.device):
            assert prediction.points is not None and prediction.error is not None
            for row in range(len(batch.image)):
                tree = self.validation.truth(int(batch.shape[row]))[0]
                some = torch.linspace(0, prediction.points.shape[1] - 1, 2048).long()
                found.append(tree.query(prediction.points[row, some].numpy())[0].mean())
                expected.append(float(prediction.error[row, some].mean()))
            assert prediction.length is not None
            off = (prediction.length[:, 0] - batch.targets.length.log()).abs() / prediction.length[:, 1].exp()
            lengths.append(off[off.isfinite()])
        factor = float(np.mean(found) / np.mean(expected))
        # The mean of these is one where the scale of a Laplace distribution is right.
        length_factor = float(torch.cat(lengths).mean())
        with torch.no_grad():
            network.error_mean.add_(float(np.log(factor))).clamp_(*ERROR_RANGE)
            network.extras.head.bias[WIDTHS[0] + WIDTHS[1] + 1] += float(np.log(length_factor))
        return {"error_factor": factor, "length_factor": length_factor}
