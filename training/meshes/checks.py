"""Is this mesh a whole car in the right frame? Measurements and the sentences about what is wrong.

Shares are of the pixels that eight cameras round the car see: four corners from above, both sides, front and rear.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import binary_fill_holes
from scipy.spatial import cKDTree

from edge.geometry import look_rotation
from training.meshes.depth import cast, orthographic_depth, orthographic_rays, scene_of
from training.meshes.floating import Piece, floating_pieces
from training.meshes.model import CATEGORIES, CarMesh
from training.meshes.visible import outside_cloud

#: Plausible lengths, widths (mirrors included) and heights of road cars, metres.
LENGTHS, WIDTHS, HEIGHTS = (2.3, 6.5), (1.4, 2.6), (0.95, 2.8)
#: Mean distance from the mirrored surface to the surface, canonical units: steering wheels and exhausts are fine.
MOST_ASYMMETRY = 0.01
#: Highest lowest point of a tyre above the ground, metres.
MOST_LIFT = 0.03
#: Largest part of a silhouette's area that may be holes in it (wheel arches, roof racks and wings leave some).
MOST_HOLES = 0.03
#: Largest part of what the cameras see that may be interior.
MOST_INTERIOR = 0.05
#: Least and most of what the cameras see: paint (both kinds), glass, tyres, rims.
SHARES = {"paint": (0.3, 0.85), "glass": (0.05, 0.35), "tyre": (0.015, 0.16), "rim": (0.004, 0.1)}
#: What looks like a fault by the numbers and is none: car, and the measure or category.
GIVEN = {
    ("metadrive_beetle", "holes"): "daylight between the bumpers' tubes and the body",
}
#: Directions for the silhouettes: left, front, top; and for the shares.
SIDES = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.05), (0.05, 0.0, 1.0))
CORNERS = ((1.0, 1.0, 0.6), (1.0, -1.0, 0.6), (-1.0, 1.0, 0.6), (-1.0, -1.0, 0.6))
ROUND = (*CORNERS, (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.05), (-1.0, 0.0, 0.05))


class Measures(NamedTuple):
    """size: length, width, height, metres. asymmetry: canonical units. lift: of the highest of four tyres, metres, or
    None without tyres in all four corners. nose: rear lamps' mean x less than the front ones', or None without both.
    holes: largest part of a silhouette. shares: of the seen surface, by category. floating: pieces apart."""

    size: tuple[float, float, float]
    asymmetry: float
    lift: float | None
    nose: bool | None
    holes: float
    shares: dict[str, float]
    floating: list[Piece]

    def share(self, kind: str) -> float:
        """Share of the seen surface; "paint" and "lamp" stand for both kinds of theirs."""
        several = {"paint": ("paint", "paint_2"), "lamp": ("light_front", "light_rear")}
        return sum(self.shares[name] for name in several.get(kind, (kind,)))


def measure(mesh: CarMesh) -> Measures:
    """Measure a mesh in the car frame, metres."""
    lower, upper = mesh.bounds()
    length, width, height = (float(v) for v in upper - lower)
    canonical = mesh.canonical()
    return Measures(
        (length, width, height),
        asymmetry(canonical),
        tyre_lift(mesh),
        nose_forward(mesh),
        silhouette_holes(canonical),
        seen_shares(canonical),
        floating_pieces(mesh),
    )


def problems(mesh: CarMesh, measures: Measures) -> list[str]:
    """Sentences about what is wrong; empty for a good mesh."""
    found = []
    for name, value, (low, high) in zip(("length", "width", "height"), measures.size, (LENGTHS, WIDTHS, HEIGHTS)):
        if not low <= value <= high:
            found.append(f"{name} {value:.2f} m is not between {low} and {high} m: wrong scale or axes")
    if measures.size[0] < max(measures.size):
        found.append("the longest edge is not along x: wrong axes")
    if measures.asymmetry > MOST_ASYMMETRY:
        share = measures.asymmetry * 100
        found.append(f"left and right differ by {share:.1f} % of the length on average: parts are missing")
    if measures.lift is None:
        found.append("there is not a tyre at each of the four corners: wheels missing")
    elif measures.lift > MOST_LIFT:
        found.append(f"a tyre ends {measures.lift * 100:.0f} cm above the ground: wheels misplaced or parts hang lower")
    if measures.nose is False:
        found.append("the rear lamps lie before the front lamps: nose towards -x")
    if measures.holes > MOST_HOLES and (mesh.name, "holes") not in GIVEN:
        found.append(f"one sees through {measures.holes * 100:.1f} % of its silhouette: the body is open")
    inside = measures.share("interior")
    if inside > MOST_INTERIOR and mesh.body_class != "convertible":
        found.append(f"{inside * 100:.0f} % of what one sees is interior: windows or panels are missing")
    for kind, (low, high) in SHARES.items():
        if not low <= measures.share(kind) <= high and (mesh.name, kind) not in GIVEN:
            found.append(
                f"{measures.share(kind) * 100:.1f} % of what one sees is {kind}, not {low * 100:.1f} to"
                f" {high * 100:.0f} %: its materials are sorted wrongly"
            )
    for piece in measures.floating:
        x, y, z = piece.centre
        found.append(
            f"a piece of {piece.category}, {piece.size * 100:.0f} cm long, floats {piece.gap * 100:.0f} cm off the rest"
            f" at x {x:.2f}, y {y:.2f}, z {z:.2f} m"
        )
    return found


def asymmetry(canonical: CarMesh, count: int = 4000) -> float:
    """Mean distance from mirrored visible points to the nearest visible points (denser), canonical units."""
    cloud = outside_cloud(canonical, count * 4, directions=64)
    # The mirror plane is the middle of the points, not of the box, which one long mirror may shift.
    low, high = np.percentile(cloud[:, 1], [1, 99])
    mirrored = cloud[:count] * [1, -1, 1] + [0, low + high, 0]
    return float(cKDTree(cloud).query(mirrored)[0].mean())


def tyre_lift(mesh: CarMesh) -> float | None:
    """Height of the lowest point of the highest of the four tyres above the ground z = lowest point of the car."""
    lower, upper = mesh.bounds()
    middle = (lower + upper) / 2
    points = [p.vertices for p in mesh.parts if p.category == "tyre"]
    if not points:
        return None
    tyres = np.concatenate(points)
    front, left = tyres[:, 0] > middle[0], tyres[:, 1] > middle[1]
    lowest = [tyres[(front == f) & (left == s), 2] for f in (True, False) for s in (True, False)]
    if any(not len(z) for z in lowest):
        return None
    return float(max(z.min() for z in lowest) - lower[2])


def nose_forward(mesh: CarMesh) -> bool | None:
    """Whether the front lamps' mean x exceeds the rear lamps'; None if either is not told apart."""
    mean = {
        category: np.mean([p.vertices[:, 0].mean() for p in mesh.parts if p.category == category])
        for category in ("light_front", "light_rear")
        if any(p.category == category for p in mesh.parts)
    }
    return bool(mean["light_front"] > mean["light_rear"]) if len(mean) == 2 else None


def silhouette_holes(canonical: CarMesh, size: int = 128) -> float:
    """Largest share of a silhouette (left, front, top) that is holes enclosed by it.

    The space below the body between the wheels is joined to the outside, so it is no hole.
    """
    maps = orthographic_depth(canonical, np.stack([look_rotation(d) for d in SIDES]), 1.2, 1.0, size) > 0
    return max(float((binary_fill_holes(m) & ~m).sum() / m.sum()) for m in maps)


def seen_shares(canonical: CarMesh, size: int = 128) -> dict[str, float]:
    """Share of each category in the pixels that show the car in eight views round it."""
    scene = scene_of(canonical)
    kinds = np.concatenate([np.full(len(p.faces), CATEGORIES.index(p.category)) for p in canonical.parts])
    counts = np.zeros(len(CATEGORIES))
    for direction in ROUND:
        _, triangle, _ = cast(scene, *orthographic_rays(look_rotation(direction), 1.2, 1.0, size))
        counts += np.bincount(kinds[triangle[triangle >= 0]], minlength=len(CATEGORIES))
    return dict(zip(CATEGORIES, (counts / counts.sum()).tolist(), strict=True))
