"""A car as the importers give it: named parts with materials, in one frame, in metres."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

Category = Literal[
    "paint", "paint_2", "glass", "tyre", "rim", "light_front", "light_rear", "chrome", "trim", "interior", "underbody"
]
CATEGORIES: tuple[str, ...] = get_args(Category)


@dataclass(frozen=True)
class MeshPart:
    """One material's triangles.

    vertices: (V, 3) float32, car frame (x forward, y left, z up).
    faces: (F, 3) int32. Orientation is not trusted: everything downstream is double-sided.
    colour: linear RGB in 0..1; what the source says, repainted at random by the renderer if paint.
    """

    name: str
    category: Category
    vertices: np.ndarray
    faces: np.ndarray
    colour: tuple[float, float, float] = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class CarMesh:
    """A whole car, wheels on.

    name: unique; :func:`training.meshes.library.split_of` gives its side of the split. source: importer id.
    licence, attribution: of the model, to be passed on with anything made from it. body_class: sedan, hatchback ...
    ancestry: bodies that share an ancestor share this word and stay on one side of the split.
    parts: at least one; a removable rear wing's are named ``wing...``. length_m: along x, metres, also of a mesh in
    the canonical frame.
    """

    name: str
    source: str
    licence: str
    attribution: str
    body_class: str
    ancestry: str
    parts: tuple[MeshPart, ...]
    length_m: float

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper corner of the axis-aligned bounding box of all parts."""
        lower = np.min([p.vertices.min(0) for p in self.parts], axis=0)
        upper = np.max([p.vertices.max(0) for p in self.parts], axis=0)
        return lower, upper

    def merged(self) -> tuple[np.ndarray, np.ndarray]:
        """All parts as one soup: vertices (V, 3) float32 and faces (F, 3) int32."""
        offsets = np.cumsum([0] + [len(p.vertices) for p in self.parts[:-1]])
        vertices = np.concatenate([p.vertices for p in self.parts]).astype(np.float32)
        faces = np.concatenate([p.faces + o for p, o in zip(self.parts, offsets, strict=True)]).astype(np.int32)
        return vertices, faces

    def canonical(self) -> CarMesh:
        """The same car in the canonical frame: box centre at the origin, longest edge 1."""
        lower, upper = self.bounds()
        centre, longest = (lower + upper) / 2, float((upper - lower).max())
        return self.transformed(lambda v: (v - centre) / longest)

    def stretched(self, factors: tuple[float, float, float]) -> CarMesh:
        """Length, width and height scaled independently (apply before :meth:`canonical`)."""
        scale = np.asarray(factors, np.float32)
        return replace(self.transformed(lambda v: v * scale), length_m=self.length_m * factors[0])

    def transformed(self, function: Callable[[np.ndarray], np.ndarray]) -> CarMesh:
        """``function`` maps (V, 3) vertices to (V, 3)."""
        parts = tuple(replace(p, vertices=np.asarray(function(p.vertices), np.float32)) for p in self.parts)
        return replace(self, parts=parts)
