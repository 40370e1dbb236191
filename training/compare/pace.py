"""How many steps fit into a wall clock: measured over the first steps, so that the cosine ends when time does. Or how
many see a number of pictures."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence

from training.loop import Trainer
from training.settings import Settings

#: Steps that are timed of each stage, and thrown away. The first ones of a run are slower, so the median counts.
PROBE = 10
#: Validations in a run, so that its curve has as many points whatever its rate.
VALIDATIONS = 12


def measured(trainer: Trainer, probe: int = PROBE) -> list[float]:
    """Seconds per step of each stage. The trainer has learnt by then and is of no more use."""
    rates = []
    for stage in trainer.settings.stages:
        trainer.objective.begin(stage)
        module = trainer.objective.train()
        times = []
        for done in range(min(probe, stage.iterations)):
            clock = time.monotonic()
            # Reading the loss waits for a GPU.
            trainer._update(module, stage, done)["total"].item()
            times.append(time.monotonic() - clock)
            trainer.step += 1
        rates.append(statistics.median(times))
    return rates


def fitted(settings: Settings, rates: Sequence[float], seconds: float) -> list[int]:
    """Iterations of each stage that together take ``seconds``, in the proportions of the settings; at least 2 each."""
    whole = sum(stage.iterations * rate for stage, rate in zip(settings.stages, rates, strict=True))
    return [max(2, round(stage.iterations * seconds / whole)) for stage in settings.stages]


def counted(settings: Settings, samples: int) -> list[int]:
    """Iterations of each stage that together see about so many pictures, in the proportions of the settings."""
    whole = sum(stage.iterations * stage.batch for stage in settings.stages)
    return [max(2, round(stage.iterations * samples / whole)) for stage in settings.stages]


def paced(settings: Settings, iterations: Sequence[int]) -> Settings:
    """The settings with these iterations; warm-up a tenth of a stage at most, and as many validations in every run."""
    stages = tuple(
        dataclasses.replace(stage, iterations=count, warm_up=min(stage.warm_up, max(1, count // 10)))
        for stage, count in zip(settings.stages, iterations, strict=True)
    )
    return dataclasses.replace(
        settings, stages=stages, validate_every=max(1, sum(iterations) // VALIDATIONS), checkpoint_seconds=60.0
    )
