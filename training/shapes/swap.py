"""Another car's greenhouse on a car's lower body: cut at the belt, fitted in plan, closed by a shelf, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d, grey_opening

from edge.geometry import look_rotation
from training.meshes.build import make_part
from training.meshes.depth import cast, orthographic_rays, scene_of
from training.meshes.floating import floating_pieces
from training.meshes.model import CarMesh, MeshPart
from training.shapes.lattice import fold
from training.shapes.warps import belt_height
from training.shapes.wheels import RoadWheel, find_wheels, middle_plane

#: How far the sections of the two cars at the belt may differ in length and mean width, and the greenhouses in height.
MOST_LONGER, MOST_WIDER, MOST_TALLER = 1.25, 1.3, 1.4
#: Change of the greenhouse's height over the belt, drawn evenly.
HEIGHTEN = (0.9, 1.12)
#: Donors tried before the swap is dropped.
TRIES = 5
#: Largest part of what the cameras see that may be the shelf.
MOST_SHELF = 0.02
#: Stations of a section along x, and the length (metres) of a bump in it that is no body: a mirror.
STATIONS, MIRROR = 64, 0.45
#: Where the cameras of the check stand.
CAMERAS = ((0.05, 0.0, 1.0), (1.0, 1.0, 0.6), (-1.0, 1.0, 0.6), (0.0, 1.0, 0.25), (1.0, 0.05, 0.5), (-1.0, 0.05, 0.5))
SHELF = "belt_shelf"


class Section(NamedTuple):
    """Outline of a car at its belt: height, front and rear x, and half-width (STATIONS,) from rear to front, metres."""

    height: float
    rear: float
    front: float
    half: np.ndarray


def swapped(mesh: CarMesh, donors: Sequence[CarMesh], rng: np.random.Generator) -> tuple[CarMesh, dict[str, Any]]:
    """``mesh`` with the greenhouse of a donor, and what was done; the mesh itself if no donor of TRIES fits.

    Car frame, metres. Nothing is let through that shows the inside or a gap: see :func:`gaps`.
    """
    wheels = find_wheels(mesh)
    section = belt_section(mesh, wheels)
    order = rng.permutation(len(donors))[:TRIES]
    heighten = float(rng.uniform(*HEIGHTEN))
    if section is None:
        return mesh, {"dropped": f"{mesh.name} shows no belt line"}
    reasons = []
    for index in order:
        donor = donors[int(index)]
        try_car, reason = graft(mesh, section, wheels, donor, heighten)
        if try_car is not None:
            return try_car, {"donor": donor.name, "heightened": round(heighten, 3)}
        reasons.append(f"{donor.name}: {reason}")
    return mesh, {"dropped": "; ".join(reasons) or "no donors"}


def graft(
    mesh: CarMesh, section: Section, wheels: Sequence[RoadWheel], donor: CarMesh, heighten: float
) -> tuple[CarMesh | None, str]:
    """``mesh`` below its belt with ``donor`` above its own, or None and why not."""
    from training.meshes.wings import without_wings

    if "convertible" in (donor.body_class, mesh.body_class):
        return None, "a convertible has no greenhouse"
    theirs = find_wheels(donor)
    other = belt_section(donor, theirs)
    if other is None:
        return None, "no belt line"
    longer = (section.front - section.rear) / (other.front - other.rear)
    wider = float(section.half.mean() / other.half.mean())
    if max(longer, 1 / longer) > MOST_LONGER:
        return None, "the greenhouses differ too much in length"
    if max(wider, 1 / wider) > MOST_WIDER:
        return None, "the greenhouses differ too much in width"
    donor = without_wings(donor)
    lower = [cut(p, section.height, -1) for p in mesh.parts]
    upper = [cut(p, other.height, 1) for p in donor.parts if p.category != "tyre"]
    top = max((float(p.vertices[:, 2].max()) for p in upper if p is not None), default=other.height)
    over = (mesh.bounds()[1][2] - section.height) / max(top - other.height, 1e-3)
    if max(over, 1 / over) > MOST_TALLER:
        return None, "the greenhouses differ too much in height"
    rise = heighten * float(np.clip(over, 0.85, 1.15))
    middle, their_middle = middle_plane(wheels), middle_plane(theirs)
    fitted = [replace(p, vertices=_fitted(p.vertices, other, section, rise, their_middle, middle)) for p in upper if p]
    below = mesh.parts[0].colour
    parts = [p for p in lower if p is not None] + fitted + [shelf(section, middle)]
    parts = [p if p.category != "paint" else replace(p, colour=_paint(mesh, below)) for p in parts]
    car = credited(replace(mesh, parts=tuple(parts)), donor, "greenhouse")
    reason = gaps(car, mesh)
    return (None, reason) if reason else (car, "")


def belt_section(mesh: CarMesh, wheels: Sequence[RoadWheel]) -> Section | None:
    """The outline at the lower edge of the side windows; None without one or if hardly anything lies there."""
    height = belt_height(mesh, wheels)
    if height is None:
        return None
    height += 0.02
    points = [_crossings(p, height) for p in mesh.parts if p.category != "interior"]
    outline, _ = fold(np.concatenate(points), middle_plane(wheels))
    if len(outline) < 16:
        return None
    # A lone aerial or a wing at this height is not the body: the section is the longest run without a wide gap.
    x = np.sort(outline[:, 0])
    breaks = np.flatnonzero(np.diff(x) > 0.5)
    runs = np.split(x, breaks + 1)
    run = max(runs, key=lambda r: r[-1] - r[0])
    rear, front = float(run[0]), float(run[-1])
    if front - rear < 1.2:
        return None
    edges = np.linspace(rear, front, STATIONS)
    half = _envelope(outline, edges)
    bump = max(3, int(round(MIRROR / (edges[1] - edges[0]))) | 1)
    padded = np.pad(half, bump, mode="edge")
    opened = grey_opening(padded, size=bump)[bump:-bump]
    return Section(height, rear, front, gaussian_filter1d(opened, 1.0, mode="nearest"))


def _envelope(outline: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Largest y of outline points near each station; gaps are bridged."""
    step = edges[1] - edges[0]
    half = np.full(len(edges), np.nan)
    for index, x in enumerate(edges):
        near = outline[np.abs(outline[:, 0] - x) <= step, 1]
        if len(near):
            half[index] = near.max()
    known = np.isfinite(half)
    return np.interp(edges, edges[known], half[known])


def _crossings(part: MeshPart, height: float, step: float = 0.03) -> np.ndarray:
    """Points (N, 3) about ``step`` apart along the lines in which a part's triangles meet the plane z = height."""
    corners = part.vertices[part.faces].astype(np.float64)
    above = corners[..., 2] > height
    corners = corners[above.any(1) & ~above.all(1)]
    ends = []
    for a, b in ((0, 1), (1, 2), (2, 0)):
        first, second = corners[:, a], corners[:, b]
        rise = second[:, 2] - first[:, 2]
        crosses = (first[:, 2] > height) != (second[:, 2] > height)
        t = np.where(crosses, (height - first[:, 2]) / np.where(crosses, rise, 1.0), np.nan)
        ends.append(first + t[:, None] * (second - first))
    stacked = np.stack(ends, axis=1)
    if not len(stacked):
        return np.zeros((0, 3))
    two = np.argsort(np.isnan(stacked[..., 0]), axis=1, kind="stable")[:, :2]
    segments = np.take_along_axis(stacked, two[..., None], axis=1)
    count = max(2, int(np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).max() / step) + 1)
    t = np.linspace(0, 1, min(count, 40))[None, :, None]
    return (segments[:, :1] * (1 - t) + segments[:, 1:] * t).reshape(-1, 3)


def cut(part: MeshPart, height: float, side: int) -> MeshPart | None:
    """What of a part lies above (side 1) or below (side -1) the plane z = height; None if nothing does."""
    import trimesh

    vertices, faces = trimesh.intersections.slice_faces_plane(
        part.vertices.astype(np.float64), part.faces, (0.0, 0.0, float(side)), (0.0, 0.0, height)
    )[:2]
    return make_part(part.name, part.category, vertices, faces, part.colour) if len(faces) else None


def _fitted(
    vertices: np.ndarray, other: Section, section: Section, rise: float, their_middle: float, middle: float
) -> np.ndarray:
    """A greenhouse's vertices (V, 3) moved so that its outline at the belt becomes that of the lower body."""
    along = (vertices[:, 0].astype(np.float64) - other.rear) / (other.front - other.rear)
    stations = np.linspace(0, 1, STATIONS)
    ratio = np.clip(section.half / np.maximum(other.half, 0.05), 0.7, 1.4)
    ratio = gaussian_filter1d(ratio, 1.5, mode="nearest")
    x = section.rear + along * (section.front - section.rear)
    y = middle + (vertices[:, 1] - their_middle) * np.interp(along, stations, ratio)
    z = section.height + (vertices[:, 2] - other.height) * rise
    return np.stack([x, y, z], axis=1).astype(np.float32)


def shelf(section: Section, middle: float) -> MeshPart:
    """A flat lid over the lower body at the belt: what the greenhouse leaves uncovered is a ledge and no hole."""
    x = np.linspace(section.rear, section.front, STATIONS)
    height = np.full(STATIONS, section.height)
    left, right = (np.stack([x, middle + side * section.half, height], axis=1) for side in (1, -1))
    centre = np.stack([x, np.full(STATIONS, middle), height], axis=1)
    here = np.arange(STATIONS - 1)
    # Each half hangs on the middle line with the same diagonals, so that it stays symmetric when it is cut up and bent.
    faces = [
        np.stack([edge, edge + 1, here + 1], axis=1) if upper else np.stack([edge, here + 1, here], axis=1)
        for edge in (here + STATIONS, here + 2 * STATIONS)
        for upper in (True, False)
    ]
    vertices = np.concatenate([centre, left, right]).astype(np.float32)
    return MeshPart(SHELF, "trim", vertices, np.concatenate(faces).astype(np.int32), (0.02, 0.02, 0.02))


def _paint(mesh: CarMesh, fallback: tuple[float, float, float]) -> tuple[float, float, float]:
    return next((p.colour for p in mesh.parts if p.category == "paint"), fallback)


def gaps(car: CarMesh, before: CarMesh, size: int = 112) -> str:
    """What shows that a swapped car is open or in pieces: the shelf, more interior, floating parts; "" if nothing."""
    shown, inside = _seen(car, size)
    _, inside_before = _seen(before, size)
    if shown > MOST_SHELF:
        return f"{shown * 100:.1f} % of what one sees is the gap between body and greenhouse"
    if inside > inside_before + 0.005:
        return f"{inside * 100:.1f} % of what one sees is interior"
    # Mirrors that stand on the doors or on the pillars alone may be cut off from what carried them.
    pieces = floating_pieces(car)
    if len(pieces) > len(floating_pieces(before) if pieces else ()):
        return f"a piece of {pieces[0].category} floats"
    return ""


def _seen(car: CarMesh, size: int) -> tuple[float, float]:
    """Largest share of the shelf, and of interior, in any of the CAMERAS' views of the car."""
    canonical = car.canonical()
    scene = scene_of(canonical)
    kinds = np.concatenate(
        [np.full(len(p.faces), 1 if p.name == SHELF else 2 if p.category == "interior" else 0) for p in canonical.parts]
    )
    shelves, insides = [], []
    for direction in CAMERAS:
        _, triangle, _ = cast(scene, *orthographic_rays(look_rotation(direction), 1.2, 1.0, size))
        kind = kinds[triangle[triangle >= 0]]
        shelves.append(float((kind == 1).mean()))
        insides.append(float((kind == 2).mean()))
    return max(shelves), max(insides)


def credited(car: CarMesh, donor: CarMesh, what: str) -> CarMesh:
    """The car with a donor's licence and attribution added to its own."""
    licence = car.licence if donor.licence in car.licence else f"{car.licence} AND {donor.licence}"
    credit = f"{donor.attribution} ({what} of {donor.name})"
    return replace(car, licence=licence, attribution=f"{car.attribution}; {credit}")
