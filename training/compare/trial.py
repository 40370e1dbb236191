"""One run of the comparison in its folder: measured, trained, judged; resumable.

``plan.json``: what was asked for, the measured rate and the iterations that follow; ``run.json``, ``last.pt`` and
``curve.csv`` are the trainer's; ``figures.json`` is written last and says that the run is finished.
"""

from __future__ import annotations

import dataclasses
import gc
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch

from edge.bundle import sha256_file
from edge.errors import DataError, SettingsError
from training.benchmark import scoring
from training.benchmark.plain import open_checkpoint
from training.compare import pace
from training.compare.runs import Run
from training.compare.shapes import without
from training.data.dataset import CarDataset
from training.data.shards import INDEX
from training.distributed import Place
from training.loop import Trainer
from training.needs import Needs, needs_of
from training.networks.cost import count
from training.record import command_line, write_json, write_record
from training.settings import Settings
from training.validation import CloudValidation

PLAN, FIGURES, CHECKPOINT = "plan.json", "figures.json", "last.pt"


class Sets(NamedTuple):
    """What a run learns from and is validated on, and the folder of their shards."""

    train: CarDataset
    validation: CarDataset
    root: Path


@dataclass
class Bench:
    """What all runs share. data, large: folders of shards. minutes: of training, for each run, or, if not 0, samples:
    pictures that each sees. probe: steps timed.

    The last data set that was read is kept for the next run.
    """

    data: Path
    large: Path | None
    out: Path
    minutes: float
    place: Place
    workers: int = 2
    samples: int = 0
    probe: int = pace.PROBE
    say: Callable[[str], None] = print
    _kept: tuple[Any, Sets] | None = field(default=None, repr=False)

    def folder(self, run: Run) -> Path:
        return self.out / run.name

    def root(self, run: Run) -> Path:
        """Folder of the shards that serve a run."""
        return self.large if run.large and self.large is not None else self.data

    def in_order(self, runs: Sequence[Run]) -> list[Run]:
        """The runs, those of one data set after each other."""
        first = {self._key(run): place for place, run in reversed(list(enumerate(runs)))}
        return sorted(runs, key=lambda run: first[self._key(run)])

    def _key(self, run: Run) -> tuple[Path, Needs, int, str]:
        """Folder of the shards, what is read of them, limit, and the kind of shapes left out."""
        root = self.root(run)
        return root, needs_of(run.settings, root), run.limit, run.without

    def sets(self, run: Run) -> Sets:
        """The run's data sets; those of the last run if they are the same."""
        key = self._key(run)
        if self._kept is None or self._kept[0] != key:
            self._kept = None  # before the next is read: two do not fit
            root, needs, limit, kind = key
            train, validation = needs.load(root, limit)
            self._kept = key, Sets(without(train, kind) if kind else train, validation, root)
        return self._kept[1]


def finished(folder: Path) -> dict[str, Any] | None:
    """The figures of a finished run, or None. DataError if they are damaged."""
    return _read(folder / FIGURES)


def conduct(run: Run, bench: Bench) -> dict[str, Any]:
    """Train and judge a run; one that is finished is read, one that was killed goes on. Returns its figures.

    Raises SettingsError where the folder holds a run of other settings, shards or minutes.
    """
    folder, root = bench.folder(run), bench.root(run)
    wish = _wish(run, bench, root)
    plan = _read(folder / PLAN)
    if plan is not None and plan["wish"] != wish:
        changed = next(name for name in wish if plan["wish"].get(name) != wish[name])
        raise SettingsError(
            f"{folder} holds a run with other {changed}; give another --out, or delete that folder to train it anew"
        )
    figures = finished(folder)
    if plan is not None and figures is not None:
        bench.say(f"{run.name}: finished already")
        return figures
    sets = bench.sets(run)
    folder.mkdir(parents=True, exist_ok=True)
    if plan is None:
        plan = {"wish": wish, **_planned(run, sets, folder, bench)}
        write_json(folder / PLAN, plan)
    settings = pace.paced(run.settings, plan["iterations"])
    trainer = _trainer(settings, sets, folder, bench)
    resumed = trainer.resume()
    total = sum(plan["iterations"])
    bench.say(f"{run.name}: {'resuming at' if resumed else 'starting'} step {trainer.step} of {total}")
    write_record(folder, settings, root, command_line())
    fits = trainer.train()
    figures = {
        "network": run.network, "steps": trainer.step, "samples": trainer.samples,
        "seconds": round(trainer.seconds, 1), "device": device_name(bench.place), "fits": fits,
        "shapes": len(sets.train.names), "pictures": len(sets.train.images), **judged(run, sets, folder, bench.place),
    }  # fmt: skip
    write_json(folder / FIGURES, figures)
    bench.say(f"{run.name}: {trainer.samples} samples in {trainer.seconds / 60:.1f} min")
    return figures


def _planned(run: Run, sets: Sets, folder: Path, bench: Bench) -> dict[str, Any]:
    """Iterations of each stage, and for runs of a given time the measured seconds of a step that they follow from."""
    if bench.samples:
        return {"iterations": pace.counted(run.settings, bench.samples)}
    rates = pace.measured(_trainer(run.settings, sets, folder, bench), bench.probe)
    gc.collect()
    return {"seconds_per_step": rates, "iterations": pace.fitted(run.settings, rates, 60 * bench.minutes)}


def device_name(place: Place) -> str:
    """What a run was computed on."""
    if place.device.type == "cuda":
        return torch.cuda.get_device_name(place.device)
    return f"{scoring.processor()}, {torch.get_num_threads()} threads"


def judged(run: Run, sets: Sets, folder: Path, place: Place) -> dict[str, Any]:
    """Figures on the validation bodies of the averaged weights in a run's checkpoint, and what the network costs."""
    network = open_checkpoint(run.network, folder / CHECKPOINT)
    cost = count(network, torch.zeros(1, 3, network.input_size, network.input_size))
    network.to(place.device)
    figures = CloudValidation(sets.validation, sets.root, network.input_size).figures(network, place.device)
    return {"validation": figures, "gflop": cost.gflop, "parameters_m": cost.parameters / 1e6}


def _trainer(settings: Settings, sets: Sets, folder: Path, bench: Bench) -> Trainer:
    return Trainer(
        settings, sets.train, sets.validation, folder, bench.place, sets.root, bench.workers, command_line()
    )


def _wish(run: Run, bench: Bench, root: Path) -> dict[str, Any]:
    """All that decides what a run learns, as JSON has it."""
    wish = {
        "minutes": bench.minutes, "samples": bench.samples, "shards": sha256_file(str(root / INDEX)),
        "settings": dataclasses.asdict(run.settings), "pictures per shape": run.limit, "shapes": run.without,
    }  # fmt: skip
    return dict(json.loads(json.dumps(wish)))


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}); delete {path.parent} to train that run anew") from None
