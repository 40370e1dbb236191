"""The training of a silhouette network: settings and pictures in, a run folder with checkpoint and curve out.

A run folder holds ``run.json``, ``last.pt`` and ``curve.csv``. Started again on the same folder a run goes on where it
was, and ends with the same weights as one that was never cut off.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor
from tqdm import tqdm

from edge.errors import SettingsError
from training import checkpoint
from training.curve import Curve
from training.loop import LOGGED, computes_bfloat16
from training.settings import Settings, Stage
from training.silhouette.batches import Source
from training.silhouette.network import CHANNELS, NAME, Silhouette
from training.silhouette.score import Validation


def settings_of(samples: int, batch: int, learning_rate: float, seed: int = 0, size: int = 128) -> Settings:
    """Settings of a run that sees ``samples`` crops. Raises SettingsError for less than one batch."""
    if batch < 2 or samples < batch:
        raise SettingsError(f"{samples} samples in batches of {batch}; give --batch 2 or more, and --samples no less")
    stage = Stage(NAME, samples // batch, batch=batch, learning_rate=learning_rate, final_rate=0.01, warm_up=200)
    return Settings(
        NAME, (stage,), seed, arguments={"image_size": size, "channels": list(CHANNELS)}, weights={"overlap": 1.0},
        weight_decay=0.01, augment_zoom=0.34, augment_aspect=0.12, augment_colour=0.35, augment_background=0.08,
        augment_erase=0.3, validate_every=250,
    )  # fmt: skip


def loss_of(logits: Tensor, mask: Tensor, overlap: float) -> Tensor:
    """Cross-entropy by pixel, and ``overlap`` times one minus the soft overlap of each picture (Milletari et al.,
    "V-Net", 3DV 2016), which counts small silhouettes as much as large ones. logits, mask: (B, 1, S, S)."""
    logits = logits.float()
    entropy = functional.binary_cross_entropy_with_logits(logits, mask)
    found = logits.sigmoid()
    both, sum_ = (found * mask).sum((1, 2, 3)), (found + mask).sum((1, 2, 3))
    return entropy + overlap * (1 - (2 * both + 1) / (sum_ + 1)).mean()


class Run:
    """One run. source, validation: what it learns and is judged by; folder: where it lives; photos: names of those that
    teach, a run with others is another run. command: what was typed, to be kept in checkpoints.
    """

    def __init__(
        self, settings: Settings, source: Source, validation: Validation, folder: Path, photos: Sequence[str] = (),
        command: str = "",
    ) -> None:
        self.settings, self.source, self.validation, self.folder = settings, source, validation, folder
        self.photos, self.command, self.device = list(photos), command, source.device
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(settings.seed)
        arguments = settings.arguments
        self.network = Silhouette(arguments["image_size"], tuple(arguments["channels"])).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.network).eval()
        kept = [p for p in self.network.parameters() if p.ndim < 2]
        decayed = [p for p in self.network.parameters() if p.ndim >= 2]
        groups = [{"params": kept, "weight_decay": 0.0}, {"params": decayed, "weight_decay": settings.weight_decay}]
        self.optimizer = torch.optim.AdamW(groups)
        constants = self.network.mean, self.network.std
        self.mean, self.std = (torch.tensor(values, device=self.device).view(1, 3, 1, 1) for values in constants)
        bfloat16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported() or computes_bfloat16()
        self.type = torch.bfloat16 if bfloat16 else torch.float32
        self.step, self.seconds = 0, 0.0

    @property
    def stage(self) -> Stage:
        """The only one."""
        return self.settings.stages[0]

    @property
    def samples(self) -> int:
        """Crops seen."""
        return self.step * self.stage.batch

    def resume(self) -> bool:
        """Take up ``last.pt`` if there is one. Raises SettingsError if it was made with other settings or photos."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        state = checkpoint.load(path)
        if (state["settings"], state["photos"]) != (self._settings(), self.photos):
            raise SettingsError(
                f"{path} was trained with other settings or photos; use another --out folder, or what is in "
                f"{self.folder}/run.json"
            )
        self.network.load_state_dict(state["weights"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]
        return True

    def save(self) -> None:
        """Write ``last.pt``; ``average`` is what is judged and exported."""
        checkpoint.save(
            self.folder / "last.pt",
            {
                "network_name": NAME, "settings": self._settings(), "photos": self.photos, "command": self.command,
                "average": self.average.state_dict(), "weights": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(), "step": self.step, "samples": self.samples,
                "seconds": self.seconds,
            },
        )  # fmt: skip

    def _settings(self) -> dict[str, object]:
        return dict(json.loads(json.dumps(dataclasses.asdict(self.settings))))

    def _update(self) -> float:
        """One step; its loss."""
        stage = self.stage
        crops = self.source.sample(self.step, stage.batch, self.network.input_size)
        warm = min(1.0, (self.step + 1) / stage.warm_up)
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / stage.iterations))
        for group in self.optimizer.param_groups:
            group["lr"] = stage.learning_rate * warm * (stage.final_rate + (1 - stage.final_rate) * cosine)
        image = ((crops.image - self.mean) / self.std).to(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.type, enabled=self.type is not torch.float32):
            logits = self.network.train()(image)
        loss = loss_of(logits, crops.mask, self.settings.weights["overlap"])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        # The average follows quickly at first.
        keep = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            own, mean = self.network.state_dict(), self.average.state_dict()
            for name, value in mean.items():
                value.lerp_(own[name], 1 - keep) if value.is_floating_point() else value.copy_(own[name])
        return float(loss.item())

    def train(self) -> dict[str, float]:
        """Run all steps that are left; the figures of the last validation. Safe to kill: at most
        ``checkpoint_seconds`` of work are lost."""
        curve, figures = Curve(self.folder / "curve.csv", self.step), dict[str, float]()
        total, saved = self.stage.iterations, time.monotonic()
        bar = tqdm(total=total, initial=self.step, desc=self.stage.name, unit="it", mininterval=5.0)
        while self.step < total:
            clock = time.monotonic()
            loss = self._update()
            self.step += 1
            self.seconds += time.monotonic() - clock
            if not math.isfinite(loss):
                raise SettingsError(f"the loss became {loss} at step {self.step}; lower --learning-rate")
            bar.update()
            if self.step % LOGGED == 0:
                bar.set_postfix(loss=f"{loss:.3f}", rate=f"{self.samples / self.seconds:.1f}/s")
            last = self.step == total
            if last or self.step % self.settings.validate_every == 0:
                figures = self.validation.figures(self.average, self.device)
                curve.add(step=self.step, stage=self.stage.name, samples=self.samples, seconds=round(self.seconds, 1),
                          train_loss=loss, **figures)  # fmt: skip
            if last or clock - saved > self.settings.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        bar.close()
        return figures or self.validation.figures(self.average, self.device)
