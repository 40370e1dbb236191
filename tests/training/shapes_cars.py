"""Small cars for the tests of the shape augmentation: a body, a greenhouse with side windows, four round wheels."""

from __future__ import annotations

import numpy as np

from training.meshes.build import make_car
from training.meshes.model import CarMesh, MeshPart
from training.meshes.wheels import Wheel, wheel_parts
from training.shapes.lattice import refined

RADIUS, WIDTH = 0.3, 0.2
AXLES, TRACK, BELT = (1.2, -1.2), 0.7, 0.9


def prism(
    name: str,
    category: str,
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    sides: str,
    inset: float = 0.0,
) -> MeshPart:
    """A box of small triangles, its top smaller by ``inset`` all round; ``sides``: x, y (two each), z, b(ottom)."""
    corners = [
        [(low[0] + k * inset, high[0] - k * inset)[x], y * (high[1] - k * inset), (low[2], high[2])[k]]
        for k in (0, 1)
        for y in (0, 1)
        for x in (0, 1)
    ]
    quads = {
        "x": [(0, 2, 6, 4), (1, 3, 7, 5)],
        "y": [(2, 3, 7, 6)],
        "z": [(4, 5, 7, 6)],
        "b": [(0, 1, 3, 2)],
    }
    faces = [f for side in sides for a, b, c, d in quads[side] for f in ((a, b, c), (a, c, d))]
    vertices, triangles = refined(np.array(corners), np.array(faces), 0.3)
    # The right half mirrors the left one, vertex by vertex.
    vertices = np.concatenate([vertices, vertices * np.float32([1, -1, 1])])
    triangles = np.concatenate([triangles, triangles + len(vertices) // 2]).astype(np.int32)
    return MeshPart(name, category, vertices, triangles)  # type: ignore[arg-type]


def small_car(
    name: str,
    front: float = 0.7,
    rear: float = -1.3,
    roof: float = 1.4,
    width: float = 0.85,
    sides: str = "xyzb",
    extra: tuple[MeshPart, ...] = (),
    body_class: str = "sedan",
) -> CarMesh:
    """4 m long; its greenhouse reaches from ``rear`` to ``front`` and up to ``roof``; ``sides`` of the glass box."""
    parts: list[MeshPart | None] = [
        prism("body", "paint", (-2.0, -width, 0.2), (2.0, width, BELT), "xyzb"),
        prism("glass", "glass", (rear, -width, BELT), (front, width - 0.02, roof), sides, 0.15),
        prism("lamp", "light_front", (2.0, -0.6, 0.5), (2.01, 0.6, 0.6), "xyzb"),
        *extra,
    ]
    for x in AXLES:
        for y in (TRACK, -TRACK):
            parts += wheel_parts(Wheel((x, y, RADIUS), RADIUS, 0.2, WIDTH))
    return make_car(
        parts, name=name, source="toy", licence=f"licence of {name}", attribution=f"maker of {name}",
        body_class=body_class, ancestry=name,
    )  # fmt: skip
