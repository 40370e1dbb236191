"""Settings of a training run: one TOML file, frozen, unknown keys refused."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from edge.errors import SettingsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: What a stage can teach: "network" is the network's own loss (training/objectives), the others are Lin 2018's.
LOSSES = ("network", "code", "fixed", "novel")
#: Arithmetic of the forward pass: "auto" is bfloat16 where the device computes in it, else float16 on a GPU and
#: float32 on a CPU.
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Stage:
    """One part of a run.

    loss: "network" (the network's own, training/objectives), "fixed" (stage 1 of Lin 2018), "novel" (stage 2, through
        the pseudo-renderer) or "code" (the encoder alone learns to tell shapes apart, training/codes.py).
    freeze_encoder: whether the encoder's weights rest in this stage; without its backward pass a step takes a third.
    map_size: side of the output maps, 64 or 128. batch: samples per iteration over all processes.
    learning_rate: Adam's, at the start; decays by a cosine to ``final_rate`` times that.
    novel_views, upscale: of the pseudo-renderer.
    """

    name: str
    iterations: int
    loss: str = "network"
    map_size: int = 128
    batch: int = 20
    learning_rate: float = 1e-3
    final_rate: float = 0.1
    warm_up: int = 100
    geometry_weight: float = 10.0
    novel_views: int = 5
    upscale: int = 5
    freeze_encoder: bool = False


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a run learns. Paths, threads and devices are flags of the command instead.

    arguments: of the network's constructor. weights: of the parts of the network's loss, beside their defaults.
    hold_out: training bodies that are validated on instead. parametric_share: how many of the pictures show parametric
        cars. precision: of the forward pass, one of PRECISIONS. rates: learning rates as parts of the stage's, by the
        beginning of the parameters' names. early_stop: end a stage after so many validations
        without a better one (0 = never).
    ema: share of the past in the averaged weights that are validated and exported (0 = off).
    init_std: of all weights but the head's (the release has 0.1). code_size: shape components the "code" loss
        asks for. augment_*: see training/augment.py; augment_shape: training/warp.py, of the morphable network.
    """

    network: str
    stages: tuple[Stage, ...]
    seed: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    hold_out: tuple[str, ...] = ()
    parametric_share: float = 0.3
    precision: str = "auto"
    rates: dict[str, float] = field(default_factory=dict)
    weight_decay: float = 0.0
    early_stop: int = 0
    ema: float = 0.998
    bn_momentum: float = 0.01
    init_std: float = 0.1
    code_size: int = 48
    augment_zoom: float = 0.12
    augment_aspect: float = 0.0
    augment_colour: float = 0.25
    augment_background: float = 0.3
    augment_erase: float = 0.2
    augment_shape: float = 0.0
    validate_every: int = 250
    checkpoint_seconds: float = 120.0
    notes: str = field(default="")


def load(path: Path) -> Settings:
    """Read a TOML file. Raises SettingsError for a missing file, bad TOML, an unknown key or a wrong type."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(str(p) for p in sorted(Path(__file__).with_name("configs").glob("*.toml")))
        raise SettingsError(f"no settings file at {path}; the shipped ones are: {known}") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from None
    stages = raw.pop("stage", [])
    if not stages:
        raise SettingsError(f"{path} has no [[stage]]; a run needs at least one")
    parsed = tuple(_build(Stage, stage, f"{path}, stage {n + 1}") for n, stage in enumerate(stages))
    for stage in parsed:
        if stage.loss not in LOSSES:
            raise SettingsError(f"{path}: stage {stage.name!r} has loss {stage.loss!r}; known: {', '.join(LOSSES)}")
        if stage.iterations < 1 or stage.batch < 2:
            raise SettingsError(f"{path}: stage {stage.name!r} needs iterations >= 1 and batch >= 2")
    if isinstance(raw.get("hold_out"), list):
        raw["hold_out"] = tuple(raw["hold_out"])
    settings: Settings = _build(Settings, {**raw, "stages": parsed}, str(path))
    if settings.precision not in PRECISIONS:
        raise SettingsError(f"{path}: precision is {settings.precision!r}; known: {', '.join(PRECISIONS)}")
    return settings


def _build(kind: type, values: dict[str, Any], where: str) -> Any:
    hints = get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}
    for key, value in values.items():
        if key not in known:
            raise SettingsError(f"{where}: unknown key {key!r}; known: {', '.join(sorted(known))}")
        wanted = hints[key]
        if wanted is float and type(value) is int:
            values = {**values, key: float(value)}
        elif wanted in (bool, int, float, str) and type(value) is not wanted:
            raise SettingsError(f"{where}: {key} must be of type {wanted.__name__}, not {value!r}")
    try:
        return kind(**values)
    except TypeError as error:
        raise SettingsError(f"{where}: {error}") from None
