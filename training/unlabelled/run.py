"""A run on photos without 3-D truth: photos in, a folder with checkpoint and curve out.

Started again on the same folder it goes on where it was, and ends with the same weights as one that was never cut off.
``last.pt`` is a checkpoint of the flagship as any other, with the best state that the guards allow in ``average``.
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from edge.errors import SettingsError
from training import checkpoint
from training.curve import Curve
from training.networks import rebuilt
from training.networks.morphable import Morphable
from training.unlabelled import losses, variants
from training.unlabelled.guards import Prior, Rehearsal, anchor_loss, drifted, kept_loss, prior_of
from training.unlabelled.photos import Photo
from training.unlabelled.score import Album, figures
from training.unlabelled.settings import UnlabelledSettings
from training.unlabelled.student import TAUGHT, Guess, Looked, Student, look, seen

#: One photo of so many is kept for judging, if there are twice as many.
KEPT = 5
#: Called at every validation with step, figures and the averaged student; figures that it returns join the curve.
Watch = Callable[[int, Student], dict[str, float]]


def flagship(path: Path) -> tuple[Morphable, dict[str, Any]]:
    """A checkpoint's network and the rest of it. Raises DataError, SettingsError for another network."""
    state = checkpoint.load(path)
    if state.get("network_name") != "morphable":
        raise SettingsError(
            f"{path} holds a network {state.get('network_name')!r}; photos without 3-D truth teach the flagship only: "
            "give a checkpoint of python -m training train --config training/configs/morphable.toml"
        )
    network = rebuilt(state, path)
    assert isinstance(network, Morphable)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval(), state


def is_kept(name: str) -> bool:
    """Whether a photo is kept for judging, by its name."""
    return hashlib.sha256(name.encode()).digest()[0] % KEPT == 0


def split(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """Photos that teach and photos that judge; of fewer than two times KEPT all do both."""
    teaching = [photo for photo in photos if not is_kept(photo.name)]
    kept = [photo for photo in photos if is_kept(photo.name)]
    if len(photos) < 2 * KEPT or len(teaching) < 2 or not kept:
        return list(photos), list(photos)
    return teaching, kept


class Prepared(NamedTuple):
    """What is the same in all steps of a run: N photos times V variants. looked: of N V pictures, matrix: (N V, 2, 3)
    of ``variants.drawn``, silhouettes: of N photos, album: the photos to judge by."""

    looked: Looked
    matrix: Tensor
    silhouettes: losses.Silhouettes
    album: Album


def prepare(
    settings: UnlabelledSettings, network: Morphable, teaching: Sequence[Photo], kept: Sequence[Photo]
) -> Prepared:
    """Draw the variants and look at them: most of a short run's time."""
    rng, size, count = np.random.default_rng(settings.seed), network.input_size, settings.variants
    pictures, matrices = [], []
    for photo in teaching:
        drawn = variants.drawn(count, rng)
        gains = np.r_[1.0, 1.0, rng.uniform(*variants.GAIN, count - 2)]
        pictures += [variants.warped(photo, m, size, g) for m, g in zip(drawn, gains, strict=True)]
        matrices.append(drawn)
    plain = variants.drawn(1, rng)[0]
    album = Album(kept, look(network, [variants.warped(photo, plain, size) for photo in kept]))
    matrix = torch.from_numpy(np.concatenate(matrices))
    return Prepared(look(network, pictures), matrix, losses.silhouettes_of(teaching), album)


class Unlabelled:
    """One run. kept: photos to judge by. rehearsal: to rehearse and to judge by, or None without shards.
    start: the checkpoint it began with (see :func:`flagship`). watch: what else is measured at validations.
    prepared: what :func:`prepare` makes of the same photos and settings."""

    def __init__(
        self, settings: UnlabelledSettings, network: Morphable, start: dict[str, Any], teaching: Sequence[Photo],
        kept: Sequence[Photo], rehearsal: tuple[Rehearsal, Rehearsal] | None, folder: Path, command: str = "",
        watch: Watch | None = None, prepared: Prepared | None = None,
    ) -> None:
        if len(teaching) < 2:
            raise SettingsError(f"{len(teaching)} photos cannot teach; give a folder of two or more, better hundreds")
        self.settings, self.start, self.folder, self.command = settings, start, folder, command
        self.rehearsal, self.watch = rehearsal, watch
        folder.mkdir(parents=True, exist_ok=True)
        self.names = [photo.name for photo in teaching]
        groups = {name: number for number, name in enumerate(dict.fromkeys(photo.group for photo in teaching))}
        self.groups = torch.tensor([groups[photo.group] for photo in teaching])
        self.student = Student(network)
        for parameter in self.student.parameters():
            parameter.requires_grad_(True)
        self.average = copy.deepcopy(self.student).eval()
        self.optimizer = torch.optim.AdamW(self.student.parameters(), weight_decay=0.0)
        self.step, self.seconds, self.ended = 0, 0.0, ""
        self._take(prepared or prepare(settings, network, teaching, kept))
        self.best = copy.deepcopy(self.average.state_dict())
        self.first: dict[str, float] = {}
        self.best_iou = -1.0

    def _take(self, prepared: Prepared) -> None:
        """Keep what is the same in all steps, and the initial network's view of it."""
        self.looked, self.matrix, self.silhouettes, self.album = prepared
        count = self.settings.variants
        with torch.no_grad():
            self.before = self.average(self.looked)
            # The initial network's own mean over a photo's variants: better than any one of them.
            self.box, self.coefficients = (
                value.unflatten(0, (-1, count)).mean(1) for value in (self.before.box, self.before.coefficients)
            )
            reference = self.average(self.rehearsal[0].looked).code if self.rehearsal else self.before.code
        self.prior: Prior = prior_of(reference)

    # -- one step ------------------------------------------------------------------------------------------------

    def _chosen(self, rng: np.random.Generator) -> Tensor:
        """Photos of a step; with groups, of a quarter as many groups, so that each has some."""
        count = self.settings.photos
        if not self.settings.grouped:
            return torch.from_numpy(rng.choice(len(self.names), count, replace=len(self.names) < count))
        groups = rng.choice(int(self.groups.max()) + 1, max(1, count // 4))
        members = [torch.nonzero(self.groups == int(group))[:, 0].numpy() for group in groups]
        return torch.from_numpy(np.concatenate([rng.choice(own, 4, replace=len(own) < 4) for own in members]))

    def losses(self, step: int) -> dict[str, Tensor]:
        """All parts of the loss of a step that count; drawn from seed and step alone."""
        settings, student = self.settings, self.student
        rng = np.random.default_rng([settings.seed, step])
        chosen = self._chosen(rng)
        pair = np.stack([rng.permutation(settings.variants)[:2] for _ in chosen]).T
        pictures = torch.cat([chosen * settings.variants + torch.from_numpy(one) for one in pair])
        both, matrix = torch.cat([chosen, chosen]), self.matrix[pictures]
        total = len(student.resting[0].shape_mean)
        rows = torch.from_numpy(np.sort(rng.choice(total, min(settings.points, total), replace=False)))
        guess = student(self.looked.part(pictures))
        half = student.half(guess, rows)
        place = variants.moved(seen(half, guess).place, matrix)
        silhouettes = self.silhouettes.part(both)
        mirrored = variants.is_mirrored(matrix)
        one, other = variants.sides_swapped(place, mirrored).chunk(2)
        halves = half.chunk(2)
        before = Guess(*(value[pictures] for value in self.before))
        usual = guess._replace(box=self.box[both], coefficients=self.coefficients[both])
        found = {
            "outside": lambda: losses.outside_loss(place, silhouettes).mean(),
            "contour": lambda: losses.contour_loss(place, silhouettes).mean(),
            "place": lambda: losses.apart(one, other).mean(),
            "shape": lambda: losses.apart(*halves).mean(),
            "group": lambda: losses.group_loss(half, self.groups[both]),
            "kept": lambda: kept_loss(guess, before),
            "prior": lambda: self.prior.loss(guess.code).mean(),
            "anchor": lambda: anchor_loss(half, student.half(usual, rows)).mean(),
            "rehearsal": lambda: self._rehearsed(rng),
        }
        return {name: settings.weight(name) * value() for name, value in found.items() if settings.weight(name)
                and (name != "rehearsal" or self.rehearsal)}  # fmt: skip

    def _rehearsed(self, rng: np.random.Generator) -> Tensor:
        assert self.rehearsal is not None
        count = len(self.rehearsal[0].box)
        chosen = rng.choice(count, min(self.settings.rehearsed, count), replace=False)
        return self.rehearsal[0].part(torch.from_numpy(chosen)).loss(self.student)

    def _update(self) -> dict[str, float]:
        settings = self.settings
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / settings.steps))
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (self.step + 1) / 20) * (0.05 + 0.95 * cosine)
        parts = self.losses(self.step)
        total = torch.stack(list(parts.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        keep = min(settings.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, new in zip(self.average.parameters(), self.student.parameters(), strict=True):
                mean.lerp_(new, 1 - keep)
        return {"loss": total.item(), **{name: value.item() for name, value in parts.items()}}

    # -- the run -------------------------------------------------------------------------------------------------

    def train(self) -> dict[str, float]:
        """Run the steps that are left; the figures of the state that is kept. Safe to kill."""
        curve = Curve(self.folder / "curve.csv", self.step)
        saved = time.monotonic()
        if not self.first:
            self._judge(curve, {})
            self.save()
        while self.step < self.settings.steps and not self.ended:
            clock = time.monotonic()
            parts = self._update()
            self.step += 1
            self.seconds += time.monotonic() - clock
            if not math.isfinite(parts["loss"]):
                raise SettingsError(f"the loss became {parts['loss']} at step {self.step}; lower --learning-rate")
            last = self.step == self.settings.steps
            stops = (last or self.step % self.settings.validate_every == 0) and self._judge(curve, parts)
            if last or stops or clock - saved > self.settings.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self.average.load_state_dict(self.best)
        return figures(self.average, self.album, self.prior, self.rehearsal)

    def _judge(self, curve: Curve, parts: dict[str, float]) -> bool:
        """Figures of the averaged student into the curve; keeps the best state. Whether the run drifts and ends."""
        found = figures(self.average, self.album, self.prior, self.rehearsal)
        if not self.first:
            self.first = found
        reason = drifted(found, self.first) if self.settings.guards else ""
        extra = self.watch(self.step, self.average) if self.watch else {}
        curve.add(step=self.step, seconds=round(self.seconds, 1), **found, **extra, **parts)
        if reason:
            self.ended = f"step {self.step}: {reason}"
        elif found["iou"] > self.best_iou or not self.settings.guards:
            self.best, self.best_iou = copy.deepcopy(self.average.state_dict()), found["iou"]
        return bool(reason)

    def resume(self) -> bool:
        """Take up ``last.pt`` if there is one. Raises SettingsError if it is of another run."""
        path = self.folder / "last.pt"
        if not path.exists():
            return False
        state = checkpoint.load(path)
        own = state.get("unlabelled")
        if own is None or (own["settings"], own["photos"]) != (self.settings.as_json(), self.names):
            raise SettingsError(f"{path} is of other settings or photos; use another --out folder")
        self.student.load_state_dict(own["student"])
        self.average.load_state_dict(own["running"])
        self.optimizer.load_state_dict(own["optimizer"])
        self.step, self.seconds, self.ended = state["step"], state["seconds"], own["ended"]
        self.best, self.best_iou, self.first = own["best"], own["best_iou"], own["first"]
        return True

    def network(self) -> Morphable:
        """The flagship with the best state that the guards allow."""
        best = Student(self.student.resting[0])
        best.load_state_dict(self.best)
        return best.put_back()

    def save(self) -> None:
        """Write ``last.pt``: what training, benchmark and export know of, and what it takes to go on."""
        weights = self.network().state_dict()
        # In the space as it was taught, before points were spaced anew: what another run can start from.
        taught = {name: value for name, value in weights.items() if name.startswith(TAUGHT)}
        kept = {name: self.start[name] for name in ("settings", "network_name", "arguments")}
        checkpoint.save(
            self.folder / "last.pt",
            {
                **kept, "command": self.command, "average": weights,
                "training_average": {**self.start["training_average"], **taught},
                "step": self.step, "samples": self.step * 2 * self.settings.photos, "seconds": self.seconds,
                "unlabelled": {
                    "settings": self.settings.as_json(), "photos": self.names, "student": self.student.state_dict(),
                    "running": self.average.state_dict(), "optimizer": self.optimizer.state_dict(),
                    "best": self.best, "best_iou": self.best_iou, "first": self.first, "ended": self.ended,
                },
            },
        )  # fmt: skip
