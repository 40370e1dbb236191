"""The cars that stand about: parametric bodies, so that a scene needs no mesh but the one it is of."""

from __future__ import annotations

from functools import cache

from training.meshes.model import CarMesh
from training.shapes.parametric import parametric_car

#: Body class and seed of each; common classes twice. Part of what a picture's seed means: do not reorder.
FLEET = (
    ("hatchback", 11), ("sedan", 12), ("estate", 13), ("suv", 14), ("hatchback", 15), ("van", 16), ("sedan", 17),
    ("mpv", 18),
)


@cache
def _body(index: int) -> CarMesh:
    return parametric_car(*FLEET[index])


def pick(share: float) -> CarMesh:
    """The body at ``share`` (0..1) of the way through the fleet; made once a process, always the same object."""
    return _body(min(max(int(share * len(FLEET)), 0), len(FLEET) - 1))
