"""New cars from old ones: a random combination of stretch, deformation, another greenhouse, other wheels, no wings.

Sources and donors are training bodies; what a variant was made of stands in its recipe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from training.meshes.build import joined, on_the_ground
from training.meshes.checks import HEIGHTS, LENGTHS, WIDTHS
from training.meshes.model import CarMesh, MeshPart
from training.meshes.visible import outside_cloud
from training.shapes.lattice import Field, displacement, fit_lattice, fold, moved, random_lattice, refined, safe_gain
from training.shapes.swap import credited, swapped
from training.shapes.warps import Landmarks, draw_warps, landmarks, warp_field
from training.shapes.wheels import (
    RADII,
    WIDEST_WHEEL,
    RoadWheel,
    WheelStyle,
    body_rows,
    chosen,
    find_wheels,
    made_wheel,
    middle_plane,
    placed_wheel,
    taken_wheel,
    wheel_move,
    with_arches,
)

#: How often each widening takes part in a variant.
CHANCES: Mapping[str, float] = {
    "stretch": 0.9,
    "warps": 0.7,
    "lattice": 0.6,
    "morph": 0.5,
    "swap": 0.3,
    "wheels": 0.5,
    "wings": 0.5,
}
#: Length, width and height are stretched by this much, each for itself.
STRETCH = (0.88, 1.14)
#: Standard deviation of the random lattice's control points, parts of the car's length, width and height.
AMPLITUDE = 0.045
#: How far towards another body a variant goes, and how much that body's height may differ, both cars one metre long.
MORPH, KIN_HEIGHT = (0.2, 0.85), 1.3
#: Classes without a closed roof to the tail: carried only towards their own.
OPEN = frozenset({"convertible", "pickup"})
#: Wheels grow and shrink beyond what the stretch asks of them by this much.
WHEEL_SCALE = (0.88, 1.12)
#: Longest edge of a body's triangles, metres, before it is bent.
LONGEST_EDGE = 0.25
#: Points each body is matched on when one is carried towards another.
MORPH_POINTS = 2500

Recipe = dict[str, Any]


def vary(
    mesh: CarMesh, donors: Sequence[CarMesh], rng: np.random.Generator, chances: Mapping[str, float] = CHANCES
) -> tuple[CarMesh, Recipe]:
    """A new car made from ``mesh``, and how (fit for JSON).

    mesh: car frame, metres. donors: training bodies; those of the same ancestry are not used. chances: how often each
    widening takes part; what it does not name never does. The result is in the car frame, metres, on the ground, left
    and right alike as far as they are in the source, and keeps name, class and ancestry; licences and attributions of
    donors are added. Same generator state, same car. DataError if ``mesh`` has no triangles.
    """
    unknown = set(chances) - set(CHANCES)
    if unknown:
        raise ValueError(f"unknown widening {sorted(unknown)[0]!r}; there are {', '.join(CHANCES)}")
    on = {kind: bool(rng.random() < chances.get(kind, 0.0)) for kind in CHANCES}
    others = [d for d in donors if d.ancestry != mesh.ancestry]
    recipe: Recipe = {"source": mesh.name}
    car = mesh
    if on["wings"]:
        car, recipe["wings"] = _unwinged(car)
    if on["swap"]:
        car, recipe["swap"] = swapped(car, others, rng)
    wheels = find_wheels(car)
    car, wheels = _refined(car, wheels)
    stretch = _draw_stretch(car, rng) if on["stretch"] else np.ones(3)
    recipe["stretch"] = [round(float(v), 4) for v in stretch]
    fields = _draw_fields(car, wheels, others, on, rng, recipe)
    style, grown = _draw_wheels(wheels, others, rng, recipe) if on["wheels"] else (None, 1.0)
    return _credited(_deformed(car, wheels, fields, stretch, style, grown, recipe), others, recipe), recipe


def _unwinged(mesh: CarMesh) -> tuple[CarMesh, str]:
    from training.meshes.wings import has_wings, without_wings

    return (without_wings(mesh), "removed") if has_wings(mesh) else (mesh, "none")


def _credited(car: CarMesh, donors: Sequence[CarMesh], recipe: Recipe) -> CarMesh:
    """Licence and attribution of the wheels' donor added (a greenhouse's come with the swap)."""
    name = recipe.get("wheels", {}).get("kind")
    donor = next((d for d in donors if d.name == name), None)
    return car if donor is None else credited(car, donor, "wheels")


def _refined(mesh: CarMesh, wheels: list[RoadWheel]) -> tuple[CarMesh, list[RoadWheel]]:
    """The car with its body's triangles cut small enough to bend; wheels stay as they are."""
    parts: list[MeshPart] = []
    members: list[list[np.ndarray]] = [[] for _ in wheels]
    for index, part in enumerate(mesh.parts):
        mine = [w.members[index] for w in wheels]
        for rows in [*mine, ~np.any(mine, axis=0) if mine else np.ones(len(part.vertices), bool)]:
            piece = chosen(part, rows)
            if piece is None:
                continue
            owner = next((k for k, own in enumerate(mine) if own is rows), None)
            if owner is None:
                vertices, faces = refined(piece.vertices, piece.faces, LONGEST_EDGE)
                piece = replace(piece, vertices=vertices, faces=faces)
            parts.append(piece)
            for k, flags in enumerate(members):
                flags.append(np.full(len(piece.vertices), k == owner))
    remade = [w._replace(members=tuple(m)) for w, m in zip(wheels, members, strict=True)]
    return replace(mesh, parts=tuple(parts)), remade


def _draw_stretch(mesh: CarMesh, rng: np.random.Generator) -> np.ndarray:
    """Factors (3,) that leave the car within the sizes of road cars."""
    lower, upper = mesh.bounds()
    size = upper - lower
    limits = np.array([LENGTHS, WIDTHS, HEIGHTS]) * (1.04, 0.96)
    low, high = np.minimum(limits[:, 0] / size, 1.0), np.maximum(limits[:, 1] / size, 1.0)
    return np.clip(rng.uniform(*STRETCH, size=3), low, high)


def _draw_fields(
    car: CarMesh,
    wheels: list[RoadWheel],
    others: Sequence[CarMesh],
    on: Mapping[str, bool],
    rng: np.random.Generator,
    recipe: Recipe,
) -> list[Field]:
    """The deformations that take part, each as a field over the folded car; what was drawn goes into the recipe."""
    if not (on["warps"] or on["lattice"] or on["morph"]):
        return []
    marks = landmarks(car, wheels)
    fields: list[Field] = []
    if on["warps"]:
        amounts = draw_warps(rng, car.body_class)
        recipe["warps"] = {name: round(value, 4) for name, value in amounts.items()}
        fields.append(warp_field(marks, amounts))
    if on["lattice"]:
        lattice = random_lattice(rng, *_box(marks), AMPLITUDE)
        recipe["lattice"] = {
            "control_points": list(lattice.moves.shape[:3]),
            "largest_move_m": round(float(np.linalg.norm(lattice.moves, axis=-1).max()), 4),
        }
        fields.append(partial(displacement, lattice))
    if on["morph"]:
        fields += _draw_morph(car, wheels, marks, others, rng, recipe)
    return fields


def _box(marks: Landmarks) -> tuple[np.ndarray, np.ndarray]:
    """Box of a lattice over the whole car, symmetric about the middle plane."""
    return marks.lower - marks.upper * (0, 1, 0), marks.upper


def _draw_morph(
    car: CarMesh,
    wheels: list[RoadWheel],
    marks: Landmarks,
    others: Sequence[CarMesh],
    rng: np.random.Generator,
    recipe: Recipe,
) -> list[Field]:
    """Part of the way to another body of about the same proportions: the lattice that fits one onto the other."""
    near = [
        d
        for d in others
        if 1 / KIN_HEIGHT < _slimness(d) / _slimness(car) < KIN_HEIGHT
        and (d.body_class == car.body_class or not {d.body_class, car.body_class} & OPEN)
    ]
    if not near:
        recipe["morph"] = {"dropped": "no donor of like proportions"}
        return []
    donor, amount = near[int(rng.integers(len(near)))], float(rng.uniform(*MORPH))
    seed = int(rng.integers(2**31))
    source = _outline(car, middle_plane(wheels), seed)
    target = _outline(donor, middle_plane(find_wheels(donor)), seed)
    low, high = np.percentile(source, [0.5, 99.5], axis=0)
    from_low, from_high = np.percentile(target, [0.5, 99.5], axis=0)
    low[1] = from_low[1] = 0.0
    target = (target - from_low) / (from_high - from_low) * (high - low) + low
    fitted = fit_lattice(source, target, *_box(marks))
    recipe["morph"] = {"donor": donor.name, "amount": round(amount, 3)}
    return [lambda points: amount * displacement(fitted, points)]


def _slimness(mesh: CarMesh) -> float:
    lower, upper = mesh.bounds()
    return float((upper[2] - lower[2]) / (upper[0] - lower[0]))


def _outline(mesh: CarMesh, middle: float, seed: int) -> np.ndarray:
    """Folded points (MORPH_POINTS, 3) of what is seen of a car, its own frame and unit."""
    lower, upper = mesh.bounds()
    cloud = outside_cloud(mesh.canonical(), MORPH_POINTS, directions=64, seed=seed)
    return fold(cloud * float((upper - lower).max()) + (lower + upper) / 2, middle)[0]


def _draw_wheels(
    wheels: list[RoadWheel], donors: Sequence[CarMesh], rng: np.random.Generator, recipe: Recipe
) -> tuple[WheelStyle | None, float]:
    """Other wheels or None for the car's own, and how much they grow beyond what the stretch asks."""
    if not wheels:
        recipe["wheels"] = {"dropped": "the road wheels are not told apart"}
        return None, 1.0
    grown, wider = float(rng.uniform(*WHEEL_SCALE)), float(rng.uniform(0.85, 1.15))
    kind = str(rng.choice(["own", "made", "donor"]))
    style, name = None, kind
    if kind == "made":
        rim = float(rng.uniform(0.58, 0.78))
        style = WheelStyle(tuple(made_wheel(1.0, 0.7, rim)), 1.0, 0.7, wider)
        name = f"made, rim {rim:.2f} of the tyre"
    elif kind == "donor" and donors:
        donor = donors[int(rng.integers(len(donors)))]
        theirs = [w for w in find_wheels(donor) if w.width < WIDEST_WHEEL]
        if theirs:
            style = WheelStyle(tuple(taken_wheel(donor, theirs[0])), theirs[0].radius, theirs[0].width, wider)
            name = donor.name
    recipe["wheels"] = {"kind": name, "grown": round(grown, 4), "wider": round(wider, 4)}
    return style, grown


def _deformed(
    car: CarMesh,
    wheels: list[RoadWheel],
    fields: Sequence[Field],
    stretch: np.ndarray,
    style: WheelStyle | None,
    grown: float,
    recipe: Recipe,
) -> CarMesh:
    """The car bent and stretched, as strongly as nothing folds over, with its wheels round and on the ground."""
    middle = middle_plane(wheels)
    folded, _ = fold(car.merged()[0], middle)
    lower, upper = folded.min(0), folded.max(0)
    lower[1] = 0.0
    wanted = _wheel_scale(wheels, stretch, grown)

    def family(gain: float) -> Field:
        def field(points: np.ndarray) -> np.ndarray:
            bent = points + gain * sum((f(points) for f in fields), np.zeros_like(points))
            return bent * stretch - points

        return with_arches(field, wheels, 1.0 + gain * (wanted - 1.0)) if wheels else field

    gain = safe_gain(family, lower, upper)
    field, scale = family(gain), 1.0 + gain * (wanted - 1.0)
    recipe["gain"], recipe["wheel_scale"] = gain, round(scale, 4)
    parts: list[MeshPart] = []
    for part, rows in zip(car.parts, body_rows(car, wheels), strict=True):
        piece = chosen(part, rows)
        if piece is not None:
            parts.append(replace(piece, vertices=moved(field, piece.vertices, middle).astype(np.float32)))
    for wheel in wheels:
        parts += placed_wheel(car, wheel, wheel_move(field, wheel, wheels, scale), middle, scale, style)
    return on_the_ground(replace(car, parts=joined(parts, car.name)))


def _wheel_scale(wheels: Sequence[RoadWheel], stretch: np.ndarray, grown: float) -> float:
    """Scale of the wheels: half of what length and height are stretched by, times ``grown``, within RADII."""
    if not wheels:
        return 1.0
    radius = float(np.mean([w.radius for w in wheels]))
    scale = float(np.sqrt(np.sqrt(stretch[0] * stretch[2]))) * grown
    return float(np.clip(scale, min(RADII[0] / radius, 1.0), max(RADII[1] / radius, 1.0)))
