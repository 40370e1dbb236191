"""The skin of a body: cross-sections lofted along x, closed by a cap at either end. Left half only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.shapes.profiles import Profiles

#: Strips of the skin, from the middle of the floor round to the middle of the roof, and the caps.
FLOOR, SIDE, SHOULDER, WINDOWS, CANTRAIL, TOP, NOSE, TAIL = range(8)
#: Columns of each strip of a section.
COLUMNS = {FLOOR: 3, SIDE: 9, SHOULDER: 4, WINDOWS: 6, CANTRAIL: 3, TOP: 7}
#: Cross-sections, and columns of a cap from the corner to the middle.
STATIONS, CAP = 56, 6
#: Vertices nearer than this, metres, are one.
WELD = 1e-5


@dataclass(frozen=True)
class Skin:
    """An indexed half body, y >= 0, metres.

    position: (V, 3) final places. origin: (V, 3) places before the ends were bent, where outlines are easy to write
    down. faces: (F, 3) int. patch: (F,) int, FLOOR to TAIL. label: (F,) int, index into CATEGORIES.
    """

    position: np.ndarray
    origin: np.ndarray
    faces: np.ndarray
    patch: np.ndarray
    label: np.ndarray


def loft(profiles: Profiles) -> Skin:
    """The closed half skin of a body, all of it paint (label 0)."""
    x = stations(profiles)
    rows, strips = _sections(profiles, x)
    rows = _round_ends(profiles, x, rows)
    count, width = rows.shape[:2]
    index = np.arange(count * width).reshape(count, width)
    faces, patch = _grid(index, strips)
    points = [rows.reshape(-1, 3)]
    total = count * width
    for row, kind in ((0, TAIL), (count - 1, NOSE)):
        extra, cap_faces = _cap(rows[row], index[row], total)
        points.append(extra)
        total += len(extra)
        faces.append(cap_faces)
        patch.append(np.full(len(cap_faces), kind))
    origin, triangles, kinds = np.concatenate(points), np.concatenate(faces), np.concatenate(patch)
    # Above the bonnet the cabin's strips have no height: their vertices coincide, and are joined.
    _, first, inverse = np.unique(
        np.round(origin / WELD).astype(np.int64), axis=0, return_index=True, return_inverse=True
    )
    origin, triangles = origin[first], inverse.reshape(-1)[triangles]
    position = profiles.bend(origin)
    position[origin[:, 1] == 0, 1] = 0.0
    whole = (triangles != np.roll(triangles, 1, axis=1)).all(1)
    triangles = triangles[whole]
    return Skin(position, origin, triangles, kinds[whole], np.zeros(len(triangles), np.int64))


def stations(profiles: Profiles) -> np.ndarray:
    """x of the cross-sections (STATIONS,), rising: dense where outline or plan turn, and about the wheels."""
    ends = 0.4 * (1 - np.cos(np.linspace(0, np.pi / 2, 160)))
    x = np.unique(np.r_[profiles.tail + ends, np.linspace(profiles.tail, profiles.nose, 900), profiles.nose - ends])
    dy, dz = _rounding(profiles, x)
    top, edge = profiles.top(x) - dz, profiles.half_width(x) - dy
    corner = profiles.top(x, 0.7 * profiles.belt_width(x))
    slope = np.gradient(profiles.top(x), x)
    step = np.diff(x)
    length = 0.8 * step + 0.7 * np.abs(np.diff(top)) + 0.5 * np.abs(np.diff(corner)) + 1.1 * np.abs(np.diff(edge))
    length += 0.1 * np.abs(np.diff(np.arctan(slope)))
    for axle in (profiles.front_axle, profiles.rear_axle):
        middle = (x[1:] + x[:-1]) / 2
        length += 0.35 * step * (np.abs(middle - axle) < profiles.arch + 0.12)
    along = np.r_[0.0, np.cumsum(length)]
    return np.interp(np.linspace(0, along[-1], STATIONS), along, x)


def _rounding(profiles: Profiles, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far sides and top (bottom) retreat at x for the rounded ends: elliptic corners in plan and side view."""
    p = profiles.p
    total = []
    for front, rear in ((p.nose_round, p.tail_round), (p.nose_edge, p.tail_edge)):
        retreat = np.zeros_like(x)
        for reach, gap in ((front, profiles.nose - x), (rear, x - profiles.tail)):
            t = np.clip(1 - gap / reach, 0, 1)
            retreat += reach * (1 - np.sqrt(1 - t * t))
        total.append(retreat)
    return total[0], total[1]


def _sections(profiles: Profiles, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, M, 3) of all sections and the strip (M - 1,) each gap between two columns belongs to."""
    p, at = profiles.p, x[:, None]
    sill, belt, edge = profiles.sill(at), profiles.belt(at), profiles.belt_width(at)
    # Lower side, from the sill to where the shoulder's rounding starts.
    n = COLUMNS[SIDE]
    q = np.r_[np.linspace(0, p.crease_height, n - 3), np.linspace(p.crease_height, 1, 4)[1:]][None]
    round_z = np.minimum(p.shoulder_round, 0.3 * (belt - sill))
    side = np.stack(
        np.broadcast_arrays(at, profiles.side(at, q), sill + 0.025 + q * (belt - round_z - sill - 0.025)), -1
    )
    first = side[:, :1, 1] - 0.02
    floor_y = np.concatenate([0 * first, 0.65 * first, first], axis=1)
    floor = np.stack(np.broadcast_arrays(at, floor_y, sill), -1)
    inner = np.concatenate([at, edge, belt], axis=1)[:, None]
    corner = np.concatenate([at, side[:, -1:, 1] - 0.004, belt], axis=1)[:, None]
    shoulder = _conic(side[:, -1:], corner, inner, p.crispness, COLUMNS[SHOULDER])
    # Cabin: the side climbs until it meets the top; above the bonnet that is at once, and the strip has no height.
    rim = profiles.solve_rim(at)
    radius = np.minimum(p.cantrail, 0.4 * (rim - belt))
    climb = belt + np.linspace(0, 1, COLUMNS[WINDOWS] + 1)[None] * (rim - radius - belt)
    window = np.stack(np.broadcast_arrays(at, profiles.cabin_side(at, climb - belt), climb), -1)
    rim_y = profiles.cabin_side(at, rim - belt)
    top_y = (rim_y - radius) * np.linspace(1, 0, COLUMNS[TOP] + 1)[None]
    top = np.stack(np.broadcast_arrays(at, top_y, profiles.top(at, top_y)), -1)
    turn = np.concatenate([at, rim_y, rim], axis=1)[:, None]
    trail = _conic(window[:, -1:], turn, top[:, :1], 1.0, COLUMNS[CANTRAIL])
    rows = np.concatenate([floor, side, shoulder[:, 1:-1], window, trail[:, 1:-1], top], axis=1)
    counts = [COLUMNS[FLOOR], len(q[0]) - 1, COLUMNS[SHOULDER], COLUMNS[WINDOWS], COLUMNS[CANTRAIL], COLUMNS[TOP]]
    return rows, np.repeat([FLOOR, SIDE, SHOULDER, WINDOWS, CANTRAIL, TOP], counts)


def _conic(start: np.ndarray, corner: np.ndarray, end: np.ndarray, weight: float, pieces: int) -> np.ndarray:
    """Points (N, pieces + 1, 3) on rational quadratic Bezier arcs; the heavier the corner the crisper the edge."""
    t = np.linspace(0, 1, pieces + 1)[None, :, None]
    a, b, c = (1 - t) ** 2, 2 * t * (1 - t) * weight, t**2
    return (a * start + b * corner + c * end) / (a + b + c)


def _round_ends(profiles: Profiles, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Shrink the sections near the ends for rounded corners in plan and rounded upper and lower edges."""
    dy, dz = (d[:, None] for d in _rounding(profiles, x))
    y, z = rows[..., 1], rows[..., 2]
    low, high = z.min(1, keepdims=True), z.max(1, keepdims=True)
    middle = low + 0.5 * (high - low)
    wide = y.max(1, keepdims=True)
    reach = (z - middle) / (high - middle)
    return np.stack([rows[..., 0], y * (1 - dy / wide), z - dz * np.sign(reach) * np.abs(reach) ** 2], axis=-1)


def _grid(index: np.ndarray, strips: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[:-1, 1:], index[1:, 1:]
    # Diagonals alternate in no direction: they run the same way in mirrored halves of the section grid.
    lower = np.stack([a, b, d], -1).reshape(-1, 3)
    upper = np.stack([a, d, c], -1).reshape(-1, 3)
    kinds = np.broadcast_to(strips, a.shape).reshape(-1)
    return [lower, upper], [kinds, kinds]


def _cap(row: np.ndarray, index: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Close an end section (M, 3): a level line from each of its points to the middle plane."""
    share = np.linspace(1, 0, CAP + 1)[1:]
    extra = np.repeat(row[None], CAP, axis=0)
    extra[..., 1] *= share[:, None]
    grid = np.concatenate([index[None], total + np.arange(CAP * len(row)).reshape(CAP, -1)])
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[:-1, 1:], grid[1:, 1:]
    faces = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return extra.reshape(-1, 3), faces
