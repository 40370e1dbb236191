"""The training loop: settings in, a run folder with checkpoint, curve and TensorBoard log out.

A run folder holds ``run.json`` (all that it takes to repeat the run), ``last.pt`` (network, averaged weights,
optimiser, step), ``curve.csv`` and ``events.out.*``. Started again on the same folder a run goes on where it was.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from edge.errors import SettingsError
from training import checkpoint
from training.batches import Batch, Pool
from training.curve import Curve
from training.data.dataset import CarDataset
from training.distributed import Place, wrap
from training.objectives import Task, build_objective
from training.objectives.base import normalised
from training.settings import Settings, Stage

Losses = dict[str, torch.Tensor]
#: Steps between losses that are looked at.
LOGGED = 20


def computes_bfloat16() -> bool:
    """Whether this processor has such arithmetic; one that has not takes forty times as long over it."""
    found = torch.cpu.get_capabilities()
    return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


class Trainer:
    """One run. ``data`` and ``validation`` are in memory; ``run`` is the folder it lives in.

    root: folder of the shards, for what is prepared from them. workers: processes for that. command: what was typed, to
    be kept in checkpoints.
    """

    def __init__(
        self, settings: Settings, data: CarDataset, validation: CarDataset, run: Path, place: Place,
        root: Path | None = None, workers: int = 2, command: str = "",
    ) -> None:
        self.settings, self.run, self.place, self.command = settings, run, place, command
        for stage in settings.stages:
            if stage.batch // place.world < 2:
                raise SettingsError(
                    f"stage {stage.name!r} has a batch of {stage.batch} for {place.world} processes; "
                    "batch normalisation needs at least 2 samples in each: raise batch or start fewer processes"
                )
        torch.manual_seed(settings.seed)
        self.objective = build_objective(Task(settings, data, validation, root, place, workers)).to(place.device)
        self.network = self.objective.network
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.input_size = self.network.input_size
        self.pool = Pool(data, settings, place.device, self.objective.complete)
        self.average = copy.deepcopy(self.network).eval()
        pairs = list(zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True))
        #: Average and network: what is averaged, and the counters that are not.
        self._averaged, self._copied = (
            tuple([pair[side] for pair in pairs if pair[0].is_floating_point() is floating] for side in (0, 1))
            for floating in (True, False)
        )
        self.optimizer = torch.optim.AdamW(self._groups(), fused=True)
        self.scaler = torch.amp.GradScaler(place.device.type, enabled=self._type() is torch.float16)
        self.step = 0
        self.seconds = 0.0
        self.samples = 0
        #: Best score so far in the stage, and validations since.
        self.best, self.since = math.inf, 0
        #: Stages that ended early, by number.
        self.ended: list[int] = []

    def _groups(self) -> list[dict[str, Any]]:
        """Parameters with one rate and one decay together; ``rate`` is what the learning rate is multiplied by.

        Biases, normalisations and what the network calls ``undecayed`` (a mean shape is not better for being small)
        do not decay. A prefix of ``rates`` that fits no parameter is a SettingsError.
        """
        rates = self.settings.rates
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        fitting: set[str] = set()
        for name, parameter in self.objective.named_parameters():
            name = name.removeprefix("network.")
            prefix = max((p for p in rates if name.startswith(p)), key=len, default="")
            fitting.add(prefix)
            kept = parameter.ndim < 2 or name.startswith(self.network.undecayed)
            key = rates.get(prefix, 1.0), 0.0 if kept else self.settings.weight_decay
            groups.setdefault(key, []).append(parameter)
        if unknown := sorted(set(rates) - fitting):
            raise SettingsError(f"rates names {unknown[0]!r}, but no parameter of {self.settings.network} begins so")
        return [{"params": p, "rate": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]

    def _type(self) -> torch.dtype:
        """Arithmetic of the forward pass."""
        if self.settings.precision == "auto":
            if self.place.device.type != "cuda":
                return torch.bfloat16 if computes_bfloat16() else torch.float32
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.settings.precision]

    # -- state ---------------------------------------------------------------------------------------------

    def resume(self) -> bool:
        """Take up ``last.pt`` if there is one; refuse it if it was made with other settings."""
        path = self.run / "last.pt"
        if not path.exists():
            return False
        state = checkpoint.load(path)
        if state["settings"] != self._settings():
            raise SettingsError(
                f"{path} was trained with other settings; use another --run folder, "
                f"or the settings in {self.run}/run.json"
            )
        self.objective.load_state_dict(state["objective"])
        self.average.load_state_dict(state["training_average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds, self.samples = state["step"], state["seconds"], state["samples"]
        self.best, self.since, self.ended = state["best"], state["since"], list(state["ended"])
        return True

    def start_from(self, path: Path) -> list[str]:
        """Begin at the averaged weights of another run of the same network; names of what that has not.

        What is new here keeps the weights it starts with. Raises DataError for a checkpoint that cannot be read,
        SettingsError for one of another network, or with weights that this one has no place for.
        """
        state = checkpoint.load(path)
        if state["network_name"] != self.settings.network:
            raise SettingsError(
                f"{path} is of the network {state['network_name']}, the settings are for {self.settings.network}; "
                "start from a run of the same network"
            )
        given, own = state["training_average"], self.network.state_dict()
        for name, value in given.items():
            if name not in own or own[name].shape != value.shape:
                has = "nothing" if name not in own else str(tuple(own[name].shape))
                raise SettingsError(
                    f"{path} has weights {name} {tuple(value.shape)}, for which these settings have {has}; "
                    "give the arguments of that run, or more of them"
                )
        self.network.load_state_dict(given, strict=False)
        self.average.load_state_dict(self.network.state_dict())
        return sorted(set(own) - set(given))

    def save(self, average: nn.Module | None = None) -> None:
        """Write ``last.pt``. average: what is exported, if it is not the running average itself."""
        checkpoint.save(
            self.run / "last.pt",
            {
                "settings": self._settings(),
                "command": self.command,
                "network_name": self.settings.network,
                "arguments": self.settings.arguments,
                "average": (average or self.average).state_dict(),
                "training_average": self.average.state_dict(),
                "objective": self.objective.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "step": self.step, "seconds": self.seconds, "samples": self.samples,
                "best": self.best, "since": self.since, "ended": self.ended,
            },
        )  # fmt: skip

    def _settings(self) -> str:
        return json.dumps(dataclasses.asdict(self.settings), sort_keys=True)

    # -- one step --------------------------------------------------------------------------------------------

    def _rate(self, stage: Stage, done: int) -> float:
        """Linear warm-up, then a cosine from ``learning_rate`` to ``final_rate`` times it."""
        warm = min(1.0, (done + 1) / max(1, stage.warm_up))
        cosine = 0.5 * (1 + math.cos(math.pi * done / stage.iterations))
        return stage.learning_rate * warm * (stage.final_rate + (1 - stage.final_rate) * cosine)

    def _batch(self, stage: Stage) -> Batch:
        """This process's part of the step's batch, on the device, the picture normalised."""
        batch = self.pool.sample(stage, self.step, self.input_size, self.place.rank, self.place.world)
        image = batch.image.to(memory_format=torch.channels_last)
        return batch._replace(image=normalised(image, self.network))

    def _update(self, module: nn.Module, stage: Stage, done: int) -> Losses:
        batch = self._batch(stage)
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(stage, done) * group["rate"]
        # What is drawn in a step (dropout) depends on seed, step and rank alone, so that a resumed run draws the same.
        torch.manual_seed(hash((self.settings.seed, self.step, self.place.rank)) % 2**63)
        kind = self._type()
        with torch.autocast(self.place.device.type, kind, enabled=kind is not torch.float32):
            output = module(batch.image, stage)
        losses = self.objective.loss(output, batch, stage, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(losses["total"]).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            # The average starts anew with each stage and follows quickly at first: what one stage leaves untrained
            # (the decoder, while the encoder learns alone) must not linger in the next one's average.
            keep = min(self.settings.ema, (1 + done) / (10 + done))
            torch._foreach_lerp_(*self._averaged, 1 - keep)
            for mean, new in zip(*self._copied, strict=True):
                mean.copy_(new)
        return losses

    # -- the run ---------------------------------------------------------------------------------------------

    def train(self) -> dict[str, float]:
        """Run all stages that are left, fit what is fitted at the end, and return the figures of that.

        Safe to kill: at most ``checkpoint_seconds`` of work are lost.
        """
        writer = SummaryWriter(str(self.run)) if self.place.first else None
        curve = Curve(self.run / "curve.csv", self.step) if self.place.first else None
        start = 0
        for number, stage in enumerate(self.settings.stages):
            end = start + stage.iterations
            if self.step < end and number not in self.ended:
                self._stage(number, start, end, writer, curve)
            start = end
        figures: dict[str, float] = {}
        if self.place.first:
            final = copy.deepcopy(self.average)
            figures = self.objective.finish(final)
            self.save(final)
        if writer is not None:
            writer.close()
        return figures

    def _stage(self, number: int, start: int, end: int, writer: SummaryWriter | None, curve: Curve | None) -> None:
        stage = self.settings.stages[number]
        if self.step <= start:
            self.step, self.best, self.since = start, math.inf, 0
        self.objective.begin(stage)
        module = wrap(self.objective.train(), self.place)
        bar = tqdm(
            total=end - start, initial=self.step - start, desc=stage.name, disable=not self.place.first, unit="it",
            mininterval=5.0,
        )  # fmt: skip
        saved = time.monotonic()
        while self.step < end:
            clock = time.monotonic()
            losses = self._update(module, stage, self.step - start)
            self.step += 1
            self.samples += stage.batch
            validated = self.step % self.settings.validate_every == 0 or self.step == end
            saves = clock - saved > self.settings.checkpoint_seconds or self.step == end
            # Reading a loss waits for a GPU, so there not each is read; but nothing is saved or validated before.
            if self.place.device.type == "cpu" or validated or saves or self.step % LOGGED == 0:
                value = losses["total"].item()
                if not math.isfinite(value):
                    raise SettingsError(
                        f"the loss became {value} at step {self.step}; lower learning_rate in stage {stage.name!r}"
                    )
            self.seconds += time.monotonic() - clock
            bar.update()
            if writer is not None and curve is not None:
                self._log(stage, losses, validated, writer, curve, bar)
            if validated and self._stops(number):
                break
            if saves:
                if self.place.first:
                    self.save()
                saved = time.monotonic()
        bar.close()

    def _log(
        self, stage: Stage, losses: Losses, validated: bool, writer: SummaryWriter, curve: Curve, bar: Any
    ) -> None:
        if self.step % LOGGED == 0:
            bar.set_postfix(loss=f"{losses['total'].item():.3f}", rate=f"{self.samples / self.seconds:.1f}/s")
            for name, part in losses.items():
                writer.add_scalar(f"train/{name}", part.item(), self.step)
        if not validated:
            return
        figures = self.objective.validate(self.average, stage)
        parts = {f"train_{name}": part.item() for name, part in losses.items() if name != "total"}
        curve.add(
            step=self.step, stage=stage.name, samples=self.samples, seconds=round(self.seconds, 1),
            train_loss=losses["total"].item(), **parts, **figures,
        )  # fmt: skip
        for name, figure in figures.items():
            writer.add_scalar(f"validation/{name}", figure, self.step)
        picture = self.objective.picture(self.average, stage)
        if picture is not None:
            writer.add_image("validation/picture", picture, self.step)
        if "score" in figures:
            # A stage without a score (codes) cannot tell whether it gets better, and goes on to its end.
            score = figures["score"]
            self.best, self.since = (score, 0) if score < self.best else (self.best, self.since + 1)

    def _stops(self, number: int) -> bool:
        """Whether the stage has gone long enough without a better validation; all processes hear it from the first."""
        stop = bool(self.settings.early_stop) and self.since >= self.settings.early_stop
        if self.place.world > 1:
            flag = torch.tensor([float(stop)], device=self.place.device)
            torch.distributed.broadcast(flag, 0)
            stop = bool(flag.item())
        if stop:
            self.ended.append(number)
            if self.place.first:
                print(f"no better validation in {self.since}: stage {self.settings.stages[number].name} ends here")
        return stop
