"""Lin 2018's two stages on fixed-view maps, and the one before them that teaches the encoder alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, cube_corner_views, fuse, pixel_grid
from training import pseudo_renderer
from training.batches import Batch, validation_batches
from training.codes import CodeHead, ShapeSpace
from training.losses import code_loss, fixed_view_loss, novel_view_loss
from training.networks.base import Network
from training.networks.lin2018 import Lin2018
from training.objectives.base import Objective, Task, normalised
from training.pictures import validation_picture
from training.settings import Stage

#: Pictures of the validation bodies scored each time.
VALIDATION_PICTURES = 48


class Lin2018Objective(Objective):
    """Stages "code", "fixed" and "novel"; "network" is "fixed"."""

    def __init__(self, task: Task, network: Network) -> None:
        super().__init__()
        assert isinstance(network, Lin2018)
        self.network: Lin2018 = network
        self.validation, self.device = task.validation, task.place.device
        self.space = ShapeSpace(task.data.fixed_depth, task.settings.code_size)
        self.codes = self.space.codes.to(self.device)
        self.coder = CodeHead(network, self.codes.shape[1])
        self.rotations = torch.from_numpy(cube_corner_views().rotations).to(self.device)

    def begin(self, stage: Stage) -> None:
        """The encoder reaches up to the 512 numbers."""
        for parameter in self.network.encoder_parameters():
            parameter.requires_grad_(not stage.freeze_encoder)

    def forward(self, image: Tensor, stage: Stage) -> dict[str, Tensor]:
        """``codes`` (B, K) or ``maps`` (B, V, 4, S, S)."""
        if stage.loss == "code":
            return {"codes": self.coder(image)}
        return {"maps": self.network.maps(image, stage.map_size)}

    def loss(self, output: dict[str, Tensor], batch: Batch, stage: Stage, step: int) -> dict[str, Tensor]:
        """The loss of the stage: total, grid, depth, mask."""
        if stage.loss == "code":
            return code_loss(output["codes"].float(), self.codes[batch.shape])._asdict()
        maps = output["maps"].float()
        assert batch.depth is not None
        if batch.rotation is None:
            grid = torch.from_numpy(pixel_grid(stage.map_size, VIEW_WIDTH)).to(self.device)
            return fixed_view_loss(maps, batch.depth, grid, stage.geometry_weight)._asdict()
        points, logits = pseudo_renderer.fuse(maps, self.rotations, VIEW_DISTANCE)
        rendered = pseudo_renderer.render(
            points, logits, batch.rotation, stage.map_size, VIEW_WIDTH, VIEW_DISTANCE, stage.upscale
        )
        return novel_view_loss(rendered, batch.depth, stage.geometry_weight)._asdict()

    @torch.no_grad()
    def validate(self, network: Network, stage: Stage) -> dict[str, float]:
        """Loss parts and point distances (x100) on fixed pictures of the validation bodies; or, of the codes, the part
        of their variance that is explained (1 = all, 0 = the mean car)."""
        if stage.loss == "code":
            return self._validate_codes()
        assert isinstance(network, Lin2018)
        sums: dict[str, float] = {}
        map_size = stage.map_size
        grid = torch.from_numpy(pixel_grid(map_size, VIEW_WIDTH))
        pictures = 0
        for batch in validation_batches(self.validation, map_size, network.input_size, VALIDATION_PICTURES, 16):
            assert batch.depth is not None
            maps = network.maps(normalised(batch.image.to(self.device), network), map_size).cpu()
            loss = fixed_view_loss(maps, batch.depth, grid, stage.geometry_weight)
            figures = {name: part.item() for name, part in loss._asdict().items()}
            figures |= _distances(maps, batch.depth, grid)
            for name, figure in figures.items():
                sums[name] = sums.get(name, 0.0) + figure * len(batch.image)
            pictures += len(batch.image)
        figures = {name: total / pictures for name, total in sums.items()}
        return {**figures, "score": figures["pred_to_gt"] + figures["gt_to_pred"]}

    def _validate_codes(self) -> dict[str, float]:
        truth = self.space.project(self.validation.fixed_depth)
        self.coder.eval()
        error = total = 0.0
        for batch in validation_batches(self.validation, 64, self.network.input_size, VALIDATION_PICTURES, 16):
            predicted = self.coder(normalised(batch.image.to(self.device), self.network)).cpu()
            error += (predicted - truth[batch.shape]).square().sum().item()
            total += truth[batch.shape].square().sum().item()
        self.coder.train()
        return {"code_explained": 1 - error / total}

    @torch.no_grad()
    def picture(self, network: Network, stage: Stage) -> Tensor | None:
        """True and predicted maps of four validation pictures."""
        if stage.loss == "code":
            return None
        assert isinstance(network, Lin2018)
        batch = validation_batches(self.validation, stage.map_size, network.input_size, 4, 4)[0]
        maps = network.maps(normalised(batch.image.to(self.device), network), stage.map_size)
        return validation_picture(batch, maps.cpu())


def _distances(maps: Tensor, depth: Tensor, grid: Tensor, count: int = 2048) -> dict[str, float]:
    """Mean nearest distances x100 between predicted and true fused maps, ``count`` points each, in both directions."""
    views = cube_corner_views()
    logit = torch.where(depth > 0, 1.0, -1.0)[:, :, None]
    planes = grid.expand(*depth.shape[:2], *grid.shape)
    truth = torch.cat([planes, depth[:, :, None], logit], 2)
    forward, backward = [], []
    for predicted, true in zip(maps.numpy(), truth.numpy(), strict=True):
        a = fuse(predicted, views, max_points=count).points
        b = fuse(true, views, max_points=count).points
        if len(a) == 0:
            a = np.zeros((1, 3), np.float32)
        distance = torch.cdist(torch.from_numpy(a), torch.from_numpy(b))
        forward.append(distance.min(1).values.mean().item())
        backward.append(distance.min(0).values.mean().item())
    return {"pred_to_gt": 100 * float(np.mean(forward)), "gt_to_pred": 100 * float(np.mean(backward))}
