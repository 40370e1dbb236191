"""The training loop: settings in, a run folder with checkpoint, curve and TensorBoard log out.

A run folder holds ``settings.json``, ``last.pt`` (network, averaged weights, optimiser, step),
``curve.csv`` and ``events.out.*``. Started again on the same folder a run goes on where it was.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from edge.errors import SettingsError
from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, cube_corner_views, fuse, pixel_grid
from training import checkpoint, pseudo_renderer
from training.batches import Batch, sample, validation_batches
from training.codes import CodeHead, ShapeSpace
from training.curve import Curve
from training.data.dataset import CarDataset
from training.distributed import Place, wrap
from training.losses import Loss, code_loss, fixed_view_loss, novel_view_loss
from training.networks import build
from training.pictures import validation_picture
from training.settings import Settings, Stage

#: Pictures of the validation bodies scored each time.
VALIDATION_PICTURES = 48


class Trainer:
    """One run. ``data`` and ``validation`` are in memory; ``run`` is the folder it lives in."""

    def __init__(self, settings: Settings, data: CarDataset, validation: CarDataset, run: Path, place: Place) -> None:
        self.settings, self.data, self.validation, self.run, self.place = settings, data, validation, run, place
        for stage in settings.stages:
            if stage.batch // place.world < 2:
                raise SettingsError(
                    f"stage {stage.name!r} has a batch of {stage.batch} for {place.world} processes; "
                    "batch normalisation needs at least 2 samples in each: raise batch or start fewer processes"
                )
        torch.manual_seed(settings.seed)
        self.network = build(settings.network, bn_momentum=settings.bn_momentum, init_std=settings.init_std)
        self.network.to(place.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.input_size = self.network.input_size
        self.average = copy.deepcopy(self.network).eval()
        self.space = ShapeSpace(data.fixed_depth, settings.code_size)
        self.codes = self.space.codes.to(place.device)
        self.coder = CodeHead(self.network, self.codes.shape[1]).to(place.device)
        # The coder holds the network too: one list of parameters for all stages, those without a gradient rest.
        self.optimizer = torch.optim.Adam(self.coder.parameters(), fused=True)
        self.rotations = torch.from_numpy(cube_corner_views().rotations).to(place.device)
        self.step = 0
        self.seconds = 0.0
        self.samples = 0

    # -- state ---------------------------------------------------------------------------------------------

    def resume(self) -> bool:
        """Take up ``last.pt`` if there is one; refuse it if it was made with other settings."""
        path = self.run / "last.pt"
        if not path.exists():
            return False
        state = checkpoint.load(path)
        if state["settings"] != json.dumps(dataclasses.asdict(self.settings), sort_keys=True):
            raise SettingsError(
                f"{path} was trained with other settings; use another --run folder, "
                f"or the settings in {self.run}/settings.json"
            )
        self.network.load_state_dict(state["network"])
        self.coder.head.load_state_dict(state["code_head"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.samples = state["step"], state["seconds"], state["samples"]
        return True

    def save(self) -> None:
        """Write ``last.pt``."""
        checkpoint.save(
            self.run / "last.pt",
            {
                "settings": json.dumps(dataclasses.asdict(self.settings), sort_keys=True),
                "network_name": self.settings.network,
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "code_head": self.coder.head.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "samples": self.samples,
            },
        )

    # -- one step --------------------------------------------------------------------------------------------

    def _rate(self, stage: Stage, done: int) -> float:
        """Linear warm-up, then a cosine from ``learning_rate`` to ``final_rate`` times it."""
        warm = min(1.0, (done + 1) / max(1, stage.warm_up))
        cosine = 0.5 * (1 + math.cos(math.pi * done / stage.iterations))
        return stage.learning_rate * warm * (stage.final_rate + (1 - stage.final_rate) * cosine)

    def _loss(self, network: nn.Module, batch: Batch, stage: Stage) -> Loss:
        device = self.place.device
        maps = network(batch.image.to(device, memory_format=torch.channels_last), stage.map_size)
        if stage.loss == "code":
            return code_loss(maps, self.codes[batch.shape.to(device)])
        depth = batch.depth.to(device)
        if batch.rotation is None:
            grid = torch.from_numpy(pixel_grid(stage.map_size, VIEW_WIDTH)).to(device)
            return fixed_view_loss(maps, depth, grid, stage.geometry_weight)
        points, logits = pseudo_renderer.fuse(maps, self.rotations, VIEW_DISTANCE)
        rendered = pseudo_renderer.render(
            points, logits, batch.rotation.to(device), stage.map_size, VIEW_WIDTH, VIEW_DISTANCE, stage.upscale
        )
        return novel_view_loss(rendered, depth, stage.geometry_weight)

    def _update(self, network: nn.Module, stage: Stage, done: int) -> Loss:
        batch = sample(self.data, self.settings, stage, self.step, self.input_size, self.place.rank, self.place.world)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(stage, done)
        loss = self._loss(network, batch, stage)
        self.optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        self.optimizer.step()
        with torch.no_grad():
            # The average starts anew with each stage and follows quickly at first: what one stage leaves untrained
            # (the decoder, while the encoder learns alone) must not linger in the next one's average.
            keep = min(self.settings.ema, (1 + done) / (10 + done))
            for mean, new in zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True):
                if mean.dtype.is_floating_point:
                    mean.lerp_(new, 1 - keep)
                else:
                    mean.copy_(new)
        return loss

    # -- the run ---------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Run all stages that are left. Safe to kill: at most ``checkpoint_seconds`` of work are lost."""
        writer = SummaryWriter(str(self.run)) if self.place.first else None
        curve = Curve(self.run / "curve.csv", self.step) if self.place.first else None
        start = 0
        for stage in self.settings.stages:
            end = start + stage.iterations
            if self.step < end:
                self._stage(stage, start, end, writer, curve)
            start = end
        if self.place.first:
            self.save()
        if writer is not None:
            writer.close()

    def _stage(self, stage: Stage, start: int, end: int, writer: SummaryWriter | None, curve: Curve | None) -> None:
        for parameter in self.network.encoder_parameters():
            parameter.requires_grad_(not stage.freeze_encoder)
        network = wrap((self.coder if stage.loss == "code" else self.network).train(), self.place)
        bar = tqdm(
            total=end - start,
            initial=self.step - start,
            desc=stage.name,
            disable=not self.place.first,
            unit="it",
            mininterval=5.0,
        )
        saved = time.monotonic()
        while self.step < end:
            clock = time.monotonic()
            loss = self._update(network, stage, self.step - start)
            self.step += 1
            self.samples += stage.batch
            self.seconds += time.monotonic() - clock
            bar.update()
            if not math.isfinite(value := loss.total.item()):
                raise SettingsError(
                    f"the loss became {value} at step {self.step}; lower learning_rate in stage {stage.name!r}"
                )
            if writer is None or curve is None:
                continue
            if self.step % 20 == 0:
                bar.set_postfix(loss=f"{value:.3f}", rate=f"{self.samples / self.seconds:.1f}/s")
                for name, part in loss._asdict().items():
                    writer.add_scalar(f"train/{name}", part.item(), self.step)
            if self.step % self.settings.validate_every == 0 or self.step == end:
                figures = self.validate_codes() if stage.loss == "code" else self.validate(stage)
                curve.add(
                    step=self.step,
                    stage=stage.name,
                    samples=self.samples,
                    seconds=round(self.seconds, 1),
                    train_loss=value,
                    **figures,
                )
                for name, figure in figures.items():
                    writer.add_scalar(f"validation/{name}", figure, self.step)
                if stage.loss != "code":
                    writer.add_image("validation/maps", self._picture(stage.map_size), self.step)
            if time.monotonic() - saved > self.settings.checkpoint_seconds or self.step == end:
                self.save()
                saved = time.monotonic()
        bar.close()

    @torch.no_grad()
    def validate(self, stage: Stage) -> dict[str, float]:
        """Loss parts and point distances (x100) of the averaged weights on fixed pictures of the validation bodies."""
        sums: dict[str, float] = {}
        map_size = stage.map_size
        grid = torch.from_numpy(pixel_grid(map_size, VIEW_WIDTH))
        batches = validation_batches(self.validation, map_size, self.input_size, VALIDATION_PICTURES, 16)
        pictures = 0
        for batch in batches:
            maps = self.average(batch.image.to(self.place.device), map_size).cpu()
            loss = fixed_view_loss(maps, batch.depth, grid, stage.geometry_weight)
            figures = {name: part.item() for name, part in loss._asdict().items()}
            figures |= _distances(maps, batch.depth, grid)
            for name, figure in figures.items():
                sums[name] = sums.get(name, 0.0) + figure * len(batch.image)
            pictures += len(batch.image)
        return {name: total / pictures for name, total in sums.items()}

    @torch.no_grad()
    def validate_codes(self) -> dict[str, float]:
        """Part of the codes' variance the encoder explains on the validation bodies (1 = all, 0 = the mean car)."""
        truth = self.space.project(self.validation.fixed_depth)
        self.coder.eval()
        error = total = 0.0
        for batch in validation_batches(self.validation, 64, self.input_size, VALIDATION_PICTURES, 16):
            predicted = self.coder(batch.image.to(self.place.device)).cpu()
            error += (predicted - truth[batch.shape]).square().sum().item()
            total += truth[batch.shape].square().sum().item()
        self.coder.train()
        return {"code_explained": 1 - error / total}

    @torch.no_grad()
    def _picture(self, map_size: int) -> Any:
        batch = validation_batches(self.validation, map_size, self.input_size, 4, 4)[0]
        return validation_picture(batch, self.average(batch.image.to(self.place.device), map_size).cpu())


def _distances(maps: torch.Tensor, depth: torch.Tensor, grid: torch.Tensor, count: int = 2048) -> dict[str, float]:
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
