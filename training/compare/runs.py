"""The runs of the comparison: six representations, and the flagship with one thing changed at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import SettingsError
from training.networks import input_size
from training.settings import Settings, load

CONFIGS = Path(__file__).parents[1] / "configs"
#: The run that every other one is compared with: the flagship as it is.
BASELINE = "morphable"
#: Lin 2018 as published has an encoder and stages of its own; the others share all but the representation.
ORIGINAL = "lin2018"
SHARED = ("maps", "voxels", "mesh", "points", BASELINE)
#: Pictures in a step of all runs but Lin 2018's own, unless told otherwise: in short runs many small steps teach more
#: than few large ones.
BATCH = 32
SIZES = (64, 96, 128, 192, 256)
PICTURES = (2, 4, 8)
#: Groups of runs and their headings.
GROUPS = {
    "representations": "Representations", "size": "Image size", "loss": "Loss", "pictures": "Pictures per shape",
    "data": "Training data and start",
}  # fmt: skip
ABLATIONS = tuple(group for group in GROUPS if group != "representations")
#: What does not belong to a representation, and is the flagship's for all that share its encoder.
ALIKE = (
    "seed", "hold_out", "parametric_share", "precision", "weight_decay", "ema", "augment_zoom", "augment_aspect",
    "augment_colour", "augment_background", "augment_erase",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One network to train.

    name: of its folder. label: what it is within its group. size: side of its pictures. large: whether the shards of
    large pictures serve it. limit: pictures of each shape, 0 = all. without: a kind of shapes that is left out.
    number: what varies in groups along an axis (pixels, pictures).
    """

    name: str
    group: str
    label: str
    settings: Settings
    size: int
    large: bool = False
    limit: int = 0
    without: str = ""
    number: int = 0

    @property
    def network(self) -> str:
        return self.settings.network


@dataclass(frozen=True)
class Choice:
    """runs: that can be made. left_out: reasons by name. baseline: label and number of the baseline in each group that
    it belongs to: with shards of larger pictures, image sizes are compared on these alone."""

    runs: tuple[Run, ...]
    left_out: dict[str, str]
    baseline: dict[str, tuple[str, int]]


def planned(
    index: Mapping[str, Any], large: Mapping[str, Any] | None, configs: Path = CONFIGS, batch: int = BATCH
) -> Choice:
    """All runs that the shards allow, given their index and that of the shards of larger pictures.

    batch: pictures in a step. Raises SettingsError for settings files that do not load.
    """
    base = _alike(load(configs / f"{BASELINE}.toml"), load(configs / f"{BASELINE}.toml"), batch)
    size, pictures = input_size(BASELINE, base.arguments), int(index["settings"]["pictures"])
    wanted = [Run(n, "representations", n, _alike(load(configs / f"{n}.toml"), base, batch), size) for n in SHARED]
    original = dataclasses.replace(load(configs / f"{ORIGINAL}.toml"), hold_out=base.hold_out)
    wanted.append(Run(
        ORIGINAL, "representations", "lin2018, original", original, input_size(ORIGINAL, original.arguments)
    ))  # fmt: skip
    wanted += [
        Run(f"size-{n}", "size", f"{n} px", _with_arguments(base, image_size=n), n,
            large=large is not None or n > int(index["image_size"]), number=n)
        for n in SIZES if n != size or large is not None
    ]  # fmt: skip
    weights: dict[str, tuple[str, dict[str, float]]] = {
        "loss-plane": ("plane only", {"point": 0.0}), "loss-point": ("point only", {"plane": 0.0, "point": 100.0}),
        "loss-chamfer": ("and Chamfer", {"chamfer": 50.0}),
    }  # fmt: skip
    wanted += [
        Run(name, "loss", label, dataclasses.replace(base, weights={**base.weights, **changed}), size)
        for name, (label, changed) in weights.items()
    ]
    wanted += [Run(f"pictures-{n}", "pictures", f"{n} a shape", base, size, limit=n, number=n) for n in PICTURES]
    # Random weights have no statistics or features to be gentle with.
    scratch = dataclasses.replace(_with_arguments(base, pretrained=False), rates={**base.rates, "encoder": 1.0})
    wanted += [
        Run("no-variants", "data", "no deformed variants", base, size, without="variant"),
        Run("no-parametric", "data", "no parametric cars", base, size, without="parametric"),
        Run("no-imagenet", "data", "no ImageNet start", scratch, size),
    ]
    if base.augment_shape:
        still = dataclasses.replace(base, augment_shape=0.0)
        wanted.append(Run("no-bending", "data", "shapes as they are", still, size))
    reasons = {run.name: _reason(run, index, large) for run in wanted}
    baseline = {
        "loss": ("plane and point", 0), "pictures": (f"all {pictures}", pictures), "data": ("all of it", 0),
        "representations": (BASELINE, 0), **({} if large is not None else {"size": (f"{size} px", size)}),
    }  # fmt: skip
    return Choice(
        tuple(run for run in wanted if not reasons[run.name]), {name: why for name, why in reasons.items() if why},
        baseline,
    )


def chosen(choice: Choice, only: Sequence[str]) -> list[Run]:
    """The runs that ``--only`` names: runs, groups, or "ablations". SettingsError for an unknown name, or none left."""
    names = [run.name for run in choice.runs] + list(choice.left_out)
    known = [*names, *GROUPS, "ablations"]
    for name in only:
        if name not in known:
            raise SettingsError(f"--only does not know {name!r}; give a comma list out of: {', '.join(known)}")
    groups = {group for name in only for group in (ABLATIONS if name == "ablations" else (name,))}
    found = [run for run in choice.runs if not only or run.name in only or run.group in groups]
    if not found:
        raise SettingsError(f"nothing is left to train: {'; '.join(told(choice.left_out, only))}")
    return found


def told(left_out: Mapping[str, str], only: Iterable[str]) -> list[str]:
    """A sentence for each run that cannot be made, of those asked for by name, or of all."""
    names = set(only) & set(left_out) or set(left_out)
    return [f"{name} is left out: {why}" for name, why in left_out.items() if name in names]


def _alike(settings: Settings, base: Settings, batch: int) -> Settings:
    """A representation's settings with all that is not its own taken from the flagship's."""
    common: dict[str, Any] = {name: getattr(base, name) for name in ALIKE}
    rates = {name: rate for name, rate in base.rates.items() if name == "encoder"}
    stages = tuple(dataclasses.replace(stage, batch=batch) for stage in settings.stages)
    size = input_size(base.network, base.arguments)
    return dataclasses.replace(
        settings, **common, rates={**settings.rates, **rates}, stages=stages, early_stop=0,
        arguments={**settings.arguments, "image_size": size},
    )  # fmt: skip


def _with_arguments(settings: Settings, **changed: Any) -> Settings:
    return dataclasses.replace(settings, arguments={**settings.arguments, **changed})


def _reason(run: Run, index: Mapping[str, Any], large: Mapping[str, Any] | None) -> str:
    """Why a run cannot be made of these shards, or makes no difference; "" if neither."""
    serving = large if run.large else index
    stored = int(serving["image_size"]) if serving else 0
    if run.size > stored:
        here = f"--data has {index['image_size']}" + (f", --data-large {stored}" if large and run.large else "")
        return (
            f"it wants pictures of {run.size} pixels, and {here}; make larger ones with python -m training data "
            f"--size {run.size}, and give them as --data-large"
        )
    if run.limit and run.limit >= int(index["settings"]["pictures"]):
        return f"no shape has more than {index['settings']['pictures']} pictures"
    train = {str(entry["kind"]) for entry in index["shards"] if entry["split"] == "train"}
    if run.without and run.without not in train:
        return f"no training shape is of the kind {run.without!r}"
    return ""
