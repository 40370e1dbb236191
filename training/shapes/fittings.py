"""What is fixed to a body: wheels, mirrors, door handles, roof rails, a spare wheel. Left half; the caller mirrors."""

from __future__ import annotations

import numpy as np

from training.meshes.build import make_part
from training.meshes.model import MeshPart
from training.meshes.wheels import Wheel, wheel_parts
from training.shapes.equipment import Equipment
from training.shapes.profiles import Profiles

#: Linear RGB for contact sheets.
COLOURS: dict[str, tuple[float, float, float]] = {
    "glass": (0.03, 0.04, 0.05), "tyre": (0.012, 0.012, 0.012), "rim": (0.4, 0.4, 0.42),
    "light_front": (0.75, 0.78, 0.8),
    "light_rear": (0.4, 0.01, 0.01), "chrome": (0.6, 0.6, 0.62), "trim": (0.025, 0.025, 0.027),
    "underbody": (0.01, 0.01, 0.01),
}  # fmt: skip


def wheel_width(profiles: Profiles) -> tuple[float, float]:
    """y of the outer and inner face of the tyres."""
    axle = np.array([profiles.front_axle, profiles.rear_axle])
    outer = float(profiles.half_width(axle).min()) - 0.022
    return outer, outer - profiles.p.tyre_width


def fittings(profiles: Profiles, equipment: Equipment, paint: tuple[float, float, float]) -> list[MeshPart]:
    """All fittings of the left half (y >= 0), bent with the body where they sit on it."""
    parts = _wheels(profiles, equipment) + _mirror(profiles, equipment, paint) + _handles(profiles, equipment, paint)
    if equipment.rails:
        parts += _rail(profiles, equipment.rails, paint)
    if equipment.spare:
        parts += _spare(profiles)
    return [p for p in parts if p is not None]


def _part(
    name: str, category: str, points: np.ndarray, faces: np.ndarray, paint: tuple[float, float, float] | None = None
) -> MeshPart | None:
    colour = paint if category == "paint" and paint else COLOURS[category]
    return make_part(name, category, points.reshape(-1, 3), faces, colour)


def tube(rings: int, columns: int, closed: bool = True) -> np.ndarray:
    """Faces of a (rings, columns) grid of vertices, closed round the columns if asked."""
    index = np.arange(rings * columns).reshape(rings, columns)
    if closed:
        index = np.concatenate([index, index[:, :1]], axis=1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:]
    return np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])


def _wheels(f: Profiles, e: Equipment) -> list[MeshPart | None]:
    outer, inner = wheel_width(f)
    parts: list[MeshPart | None] = []
    for axle in (f.front_axle, f.rear_axle):
        wheel = Wheel((axle, (outer + inner) / 2, f.p.tyre), f.p.tyre, f.p.rim * f.p.tyre, outer - inner)
        tyre, rim, back = wheel_parts(wheel)
        parts += [tyre, back, *(_spokes(wheel, e.spokes) if e.spokes else [rim])]
    return parts


def _spokes(wheel: Wheel, number: int) -> list[MeshPart | None]:
    """A cast rim: a rim ring, spokes and a hub before a dark disc."""
    face = wheel.centre[1] + wheel.width / 2
    #      radius, depth of the spokes, half-angle of a spoke as a share of its sector
    rings = [
        (1.0, 0.02, 1.0),
        (0.93, 0.022, 1.0),
        (0.92, 0.03, 0.3),
        (0.6, 0.034, 0.36),
        (0.3, 0.03, 0.55),
        (0.28, 0.03, 1.0),
    ]
    sector = 2 * np.pi / number
    angles, points = np.arange(number) * sector, []
    for share, depth, half in rings:
        gap = half < 1
        turn = half * sector / 2 if gap else 0.45 * sector / 2
        offsets = np.array([-turn, turn, turn + 0.004, sector - turn - 0.004])
        low = 0.09 if gap else depth
        theta = (angles[:, None] + offsets).ravel()
        deep = np.tile([depth, depth, low, low], number)
        radius = share * wheel.rim
        points.append(
            np.stack(
                [wheel.centre[0] + radius * np.sin(theta), face - deep, wheel.centre[2] + radius * np.cos(theta)], -1
            )
        )
    columns = 4 * number
    grid = np.stack(points)
    hub = np.broadcast_to(np.array([wheel.centre[0], face - 0.026, wheel.centre[2]]), (1, columns, 3))
    grid = np.concatenate([grid, hub])
    faces = tube(len(grid), columns)
    behind = face - grid.reshape(-1, 3)[:, 1]
    dark = (behind[faces] > 0.085).sum(1) >= 3
    return [_part("rim", "rim", grid, faces[~dark]), _part("wheel_well", "underbody", grid, faces[dark])]


def _mirror(f: Profiles, e: Equipment, paint: tuple[float, float, float]) -> list[MeshPart | None]:
    at = f.cowl - f.p.screen_bow - 0.14
    x = np.array([at])
    base, z = float(f.belt_width(x)[0]), float(f.belt(x)[0]) + 0.1
    half = (0.42 * e.mirror, 0.5 * e.mirror, 0.33 * e.mirror * (1.5 if f.p.height > 1.9 else 1.0))
    centre = np.array([at, base + 0.035 + half[1], z + 0.2 * half[2]])
    angle = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    # A rounded shell, cut off flat towards the driver.
    cos, sin = (np.sign(v) * np.abs(v) ** 0.7 for v in (np.cos(angle), np.sin(angle)))
    latitude = np.radians([90, 65, 40, 15, -10, -25])
    rings = [
        centre + np.stack([np.full(14, half[0] * np.sin(a)), half[1] * cos * np.cos(a), half[2] * sin * np.cos(a)], -1)
        for a in latitude
    ]
    shell = np.stack(rings)
    back = np.concatenate([shell[-1:], np.broadcast_to(shell[-1].mean(0), (1, 14, 3))])
    foot = _box((at - 0.05, base - 0.06, z - 0.07), (at + 0.03, base + 0.09, z + 0.0))
    return [
        _part("mirror", "paint", shell, tube(len(shell), 14), paint),
        _part("mirror_glass", "glass", back, tube(2, 14)),
        _part("mirror_foot", "trim", foot, BOX),
    ]


BOX = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 5, 7], [4, 7, 6], [0, 1, 5], [0, 5, 4], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
     [1, 3, 7], [1, 7, 5]]
)  # fmt: skip


def _box(low: tuple[float, float, float], high: tuple[float, float, float]) -> np.ndarray:
    return np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])


def _handles(f: Profiles, e: Equipment, paint: tuple[float, float, float]) -> list[MeshPart | None]:
    category = "chrome" if e.frame == "chrome" else ("trim" if f.p.era < 0.45 else "paint")
    parts = []
    for gap in f.door_gaps(e.doors)[:-1]:
        x = np.array([gap + 0.16])
        z = f.belt(x) - f.p.shoulder_round - 0.05
        y = float(f.half_at(x, z)[0])
        along, around = np.linspace(-1, 1, 5), np.linspace(0, 2 * np.pi, 6, endpoint=False)
        thick = (1 - np.abs(along) ** 3)[:, None]
        grid = np.stack(np.broadcast_arrays(
            x[0] + 0.09 * along[:, None], y + 0.022 * thick * np.cos(around), z[0] + 0.018 * thick * np.sin(around)
        ), -1)  # fmt: skip
        parts.append(_part("handle", category, grid, tube(5, 6), paint))
    return parts


def _rail(f: Profiles, category: str, paint: tuple[float, float, float]) -> list[MeshPart | None]:
    x = np.linspace(f.header - 0.12, f.tail + 0.22, 12)
    rim = f.rim(x)
    y = f.cabin_side(x, rim - f.belt(x)) - f.p.cantrail - 0.015
    rise = 0.05 * np.minimum(1, 1.1 - np.abs(np.linspace(-1.09, 1.09, 12)) ** 8) - 0.008
    square = np.array([[-0.014, -0.014], [0.014, -0.014], [0.014, 0.014], [-0.014, 0.014]])
    z = f.top(x, y) + rise
    grid = np.stack(np.broadcast_arrays(x[:, None], y[:, None] + square[:, 0], z[:, None] + square[:, 1]), -1)
    ends = [grid[:1].mean(1, keepdims=True).repeat(4, 1), grid[-1:].mean(1, keepdims=True).repeat(4, 1)]
    grid = f.bend(np.concatenate([ends[0], grid, ends[1]]))
    return [_part("roof_rail", category, grid, tube(len(grid), 4), paint)]


def _spare(f: Profiles) -> list[MeshPart | None]:
    """A covered spare wheel on the tail, left half of it."""
    radius, wide = 0.95 * f.p.tyre, 0.21
    z = f.bumper + 0.16 + radius
    surface = f.bend(np.array([[f.tail, 0.0, z - 0.5 * radius], [f.tail, 0.0, z + 0.5 * radius]]))[:, 0].min()
    profile = [
        (0.0, 0.1),
        (radius, 0.1),
        (radius, -wide + 0.04),
        (radius - 0.04, -wide),
        (0.35 * radius, -wide - 0.01),
        (0.0, -wide - 0.01),
    ]
    angle = np.linspace(-np.pi / 2, np.pi / 2, 19)
    cos = np.r_[0.0, np.cos(angle[1:-1]), 0.0]
    grid = np.stack([
        np.stack([np.full(19, surface + along), r * cos, z + r * np.sin(angle)], -1) for r, along in profile
    ])  # fmt: skip
    return [_part("spare_wheel", "trim", grid, tube(len(profile), 19, closed=False))]
