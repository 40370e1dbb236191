"""Settings of a run on photos without 3-D truth."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from edge.errors import SettingsError

#: What each part of the loss counts. Silhouette and consistency are the teachers; see GUARDS for the rest.
WEIGHTS = {
    "outside": 400.0, "contour": 100.0, "place": 20.0, "shape": 20.0, "group": 40.0, "kept": 1.0,
    "prior": 1.0, "anchor": 5.0, "rehearsal": 0.3,
}  # fmt: skip
#: Parts of the loss that keep a car a car; ``guards=False`` leaves them out, and the check on every validation with
#: them. "rehearsal" needs shards.
GUARDS = ("prior", "anchor", "rehearsal")


@dataclass(frozen=True)
class UnlabelledSettings:
    """Everything but paths that decides what a run learns.

    photos: in a step, each in two variants. variants: of each photo that are looked at once, beforehand. points: of the
    left half that a step draws. rehearsed: rendered pictures in a step. guards: whether there are any. grouped: whether
    photos of one folder show one shape. without: parts of the loss that are left out. ema: share of the past in the
    averaged weights that are judged and kept.
    """

    steps: int = 300
    photos: int = 16
    variants: int = 8
    points: int = 1024
    rehearsed: int = 16
    learning_rate: float = 1e-3
    seed: int = 0
    guards: bool = True
    grouped: bool = False
    without: tuple[str, ...] = ()
    ema: float = 0.97
    validate_every: int = 50
    checkpoint_seconds: float = 60.0
    weights: dict[str, float] = field(default_factory=lambda: dict(WEIGHTS))

    def __post_init__(self) -> None:
        if self.steps < 1 or self.photos < 2 or self.variants < 2 or self.points < 1:
            raise SettingsError("a run needs --steps of 1 or more, and photos and variants of 2 or more in a step")
        unknown = sorted(set(self.without) - set(WEIGHTS))
        if unknown:
            raise SettingsError(f"the loss has no part {unknown[0]!r} to leave out; it has {', '.join(WEIGHTS)}")

    def weight(self, part: str) -> float:
        """What a part of the loss counts in this run."""
        left_out = part in self.without or (part in GUARDS and not self.guards)
        left_out = left_out or (part == "group" and not self.grouped)
        return 0.0 if left_out else self.weights[part]

    def as_json(self) -> dict[str, object]:
        """For a checkpoint: two runs with the same are the same run."""
        return {**dataclasses.asdict(self), "without": list(self.without)}
