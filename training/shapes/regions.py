"""Which part of a skin is glass, lamp, grille, bumper or gap: outlines in the unbent frame, cut into the skin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.meshes.model import CATEGORIES
from training.shapes.carve import Outline, paint, paint_line, recess, split
from training.shapes.equipment import Equipment
from training.shapes.loft import CANTRAIL, FLOOR, NOSE, SHOULDER, SIDE, TAIL, TOP, WINDOWS, Skin
from training.shapes.profiles import Profiles, smooth_min

#: Width of door gaps, and of the rubber between frame and glass, metres.
GAP, RUBBER = 0.008, 0.016
#: Half-width and half-height of a number plate.
PLATE = (0.255, 0.056)


def label(category: str) -> int:
    """Index of a category."""
    return CATEGORIES.index(category)


def outlined(skin: Skin, profiles: Profiles, equipment: Equipment) -> Skin:
    """The skin with all its regions labelled; later ones lie over earlier ones."""
    skin = replace(skin, label=np.where(skin.patch == FLOOR, label("underbody"), skin.label))
    for step in (_bumpers, _door_gaps, _lid_gaps, _front, _rear, _side_windows, _windscreen, _rear_screen):
        skin = step(skin, profiles, equipment)
    return skin


def _least(*values: np.ndarray, reach: float = 0.05) -> np.ndarray:
    """Minimum with rounded corners, as the outlines of glass and lamps have."""
    total = values[0]
    for value in values[1:]:
        total = smooth_min(total, value, reach)
    return total


def _bumpers(skin: Skin, f: Profiles, e: Equipment) -> Skin:
    p = f.p
    front, rear = f.front_axle + f.arch + 0.02, f.rear_axle - f.arch - 0.02
    ends = (SIDE, NOSE, TAIL)
    if e.bumpers == "trim":
        low = f.bumper - 0.12 if p.era < 0.5 else 0.0

        def bumper(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
            beyond = np.maximum(x - front, rear - x)
            return np.minimum(np.minimum(f.bumper + 0.11 - z, z - low), beyond)

        skin = paint(skin, bumper, ends, label("trim"))
    if e.cladding:

        def cladding(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
            rings = [f.arch + 0.065 - np.hypot(x - a, z - p.tyre) for a in (f.front_axle, f.rear_axle)]
            return np.maximum(f.sill(x) + 0.12 - z, np.maximum(*rings))

        skin = paint(skin, cladding, (SIDE, NOSE, TAIL), label("trim"))
    return skin


def _door_gaps(skin: Skin, f: Profiles, e: Equipment) -> Skin:
    low = f.p.clearance + 0.07

    def door(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.minimum(z - low, f.belt(x) - 0.01 - z)

    for place in f.door_gaps(e.doors):

        def gap(x: np.ndarray, y: np.ndarray, z: np.ndarray, at: float = place) -> np.ndarray:
            return x - at

        skin = paint_line(skin, gap, door, GAP, (SIDE, SHOULDER), label("trim"))
    return skin


def _lid_gaps(skin: Skin, f: Profiles, e: Equipment) -> Skin:
    """Gaps round the bonnet, the boot lid and the tailgate."""
    p, trim = f.p, label("trim")
    nose = f.nose - p.nose_edge - 0.05

    def bonnet(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.minimum(nose - x, z - f.windscreen(x, y) + 1e-3)

    def inside(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return 0.9 * f.belt_width(x) - y

    skin = paint_line(skin, inside, bonnet, GAP, (TOP,), trim)
    skin = paint_line(skin, lambda x, y, z: nose - x, inside, GAP, (TOP,), trim)
    if f.boxy or e.bed:
        tail = np.array(f.tail)
        margin = max(p.tail_round, 0.05) + 0.012

        def gate(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
            return f.half_at(np.full_like(x, tail), z) - margin - y

        low = f.bumper + 0.13
        skin = paint_line(skin, gate, lambda x, y, z: z - low, GAP, (TAIL,), trim)
        return paint_line(skin, lambda x, y, z: z - low, gate, GAP, (TAIL,), trim)
    foot = f.rear_foot - 0.05

    def lid(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return 0.88 * f.belt_width(x) - y

    skin = paint_line(skin, lid, lambda x, y, z: foot - x, GAP, (TOP,), trim)
    return paint_line(skin, lambda x, y, z: foot - x, lid, GAP, (TOP,), trim)


def _front(skin: Skin, f: Profiles, e: Equipment) -> Skin:
    """Grille, intake, number plate and headlamps."""
    p = f.p
    wide = float(f.half_width(np.array(f.nose)))
    top = f.nose_height - 0.7 * p.bonnet_crown - 0.6 * p.nose_edge
    height = min(e.lamp_height, 0.75 * (top - f.bumper - 0.05))
    bottom = max(top - e.grille_drop, f.bumper + 0.075)
    low = p.clearance + p.approach + 0.05

    def box(half: float, lower: float, upper: float, rake: float = 0.0) -> list[Outline]:
        """A level rectangle or, with ``rake``, a trapezium, wider above."""
        return [
            lambda x, y, z: half + rake * (z - upper) - y, lambda x, y, z: z - lower, lambda x, y, z: upper - z,
        ]  # fmt: skip

    grille, slot = e.grille_width * wide, min(low + e.intake, f.bumper - 0.07)
    if e.frame_chrome:
        skin = paint(skin, box(grille + 0.018, bottom - 0.018, top + 0.014, e.grille_rake), (NOSE,), label("chrome"))
    skin = paint(skin, box(grille, bottom, top, e.grille_rake), (NOSE,), label("trim"))
    skin = paint(skin, box(0.62 * wide, low, slot, -e.grille_rake), (NOSE,), label("trim"))
    skin = paint(skin, box(PLATE[0], f.bumper - PLATE[1], f.bumper + PLATE[1]), (NOSE,), label("chrome"))
    if e.fogs:
        fog = (0.78 * wide, low + 0.5 * e.intake)

        def spot(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
            return 0.05 - np.hypot(y + f.nose - x - fog[0], z - fog[1])

        skin = paint(skin, spot, (NOSE, SIDE), label("light_front"))
    inner = max(e.lamp_inner, e.grille_width + 0.04) * wide
    outer = wide - 0.3 * p.nose_round + e.lamp_reach

    if e.round_lamps:
        radius = 0.5 * min(0.2, height + 0.06)
        centre = (max(0.74 * wide, grille + radius + 0.03), top - 0.5 * height)

        def circle(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
            return radius - np.hypot(y + f.nose - x - centre[0], z - centre[1])

        return paint(skin, circle, (NOSE, SIDE, SHOULDER, TOP), label("light_front"))

    def rise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return e.lamp_slant * (y + f.nose - x - inner)

    lamp: list[Outline] = [
        lambda x, y, z: top + rise(x, y) - z,
        lambda x, y, z: z - top + height - 1.5 * rise(x, y),
        lambda x, y, z: y + f.nose - x - inner - 0.25 * e.lamp_slant * (top - z),
        lambda x, y, z: outer - (y + f.nose - x) - 0.3 * (top - z),
    ]
    return paint(skin, lamp, (NOSE, SIDE, SHOULDER, TOP), label("light_front"))


def _rear(skin: Skin, f: Profiles, e: Equipment) -> Skin:
    """Number plate and tail lamps: upright ones at the corners of cut-off tails, level ones below a boot lid."""
    p = f.p
    wide = float(f.half_width(np.array(f.tail)))
    upright = f.boxy or bool(e.bed)
    top = f.z_tail - (0.05 if upright else 0.035 + p.tail_edge + 0.4 * p.bonnet_crown)
    lamp_height = min(e.tail_height, top - f.bumper - 0.12)
    plate = f.bumper if e.plate_low else min(f.bumper + 0.24, top - 0.1)

    number: list[Outline] = [
        lambda x, y, z: PLATE[0] - y, lambda x, y, z: z - plate + PLATE[1], lambda x, y, z: plate + PLATE[1] - z,
    ]  # fmt: skip
    skin = paint(skin, number, (TAIL,), label("chrome"))
    if upright:
        top += 0.05

        def around(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
            return (x - f.tail) - (f.half_at(np.full_like(x, f.tail), z) - y)

        inner, outer = -p.tail_round - 0.3 * e.tail_inner, 0.3 * p.tail_round + 0.8 * e.tail_reach
    else:

        def around(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
            return y + (x - f.tail) + 0.3 * (z - top)

        inner, outer = (1 - e.tail_inner) * wide, wide - 0.3 * p.tail_round + e.tail_reach
    lamp: list[Outline] = [
        lambda x, y, z: around(x, y, z) - inner, lambda x, y, z: outer - around(x, y, z),
        lambda x, y, z: top - z, lambda x, y, z: z - top + lamp_height,
    ]  # fmt: skip
    return paint(skin, lamp, (TAIL, SIDE, SHOULDER, WINDOWS), label("light_rear"))


def _side_windows(skin: Skin, f: Profiles, e: Equipment) -> Skin:
    p = f.p
    stop = f.pillars(e.doors)[-1] - 0.03 if e.panel else -np.inf

    def frame(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        slope = (f.rim(x + 0.01) - f.rim(x - 0.01)) / 0.02
        top = (f.rim(x) - z) / np.sqrt(1 + slope**2) - 0.75 * p.cantrail
        # The acute tips at the mirror and over the boot are closed by paint.
        front = f.cowl - p.screen_bow - 0.08 - x
        if f.boxy:
            rear = x - (f.tail + p.pillar + 0.04)
        else:
            along = x - f.rear_foot - (z - f.z_tail) / f.rear_slope
            rear = np.minimum(along * np.sin(np.arctan(f.rear_slope)) - 0.6 * p.pillar, x - f.rear_foot - 0.08)
        return np.minimum(_least(z - f.belt(x) - 0.012, top, rear), np.minimum(front, x - stop))

    strips = (WINDOWS, CANTRAIL)
    if e.frame == "chrome":
        skin = paint(skin, lambda x, y, z: frame(x, y, z) + 0.012, strips, label("chrome"))
    if e.frame == "chrome" or e.pillars == "trim":
        skin = paint(skin, frame, strips, label("trim"))
    limits = [-np.inf, *f.pillars(e.doors), np.inf]
    for behind, before in zip(limits[:-1], limits[1:], strict=True):

        def pane(x: np.ndarray, y: np.ndarray, z: np.ndarray, a: float = behind, b: float = before) -> np.ndarray:
            along = x + 0.12 * (z - f.belt(x))
            return np.minimum(frame(x, y, z) - RUBBER, np.minimum(along - a, b - along) - 0.034)

        skin = paint(skin, pane, strips, label("glass"))
    return skin


def _windscreen(skin: Skin, f: Profiles, e: Equipment) -> Skin:
    def glass(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        above = np.minimum((z - f.deck(x, y)) * 1.3 - 0.025, (f.roof(x, y) - f.windscreen(x, y)) * 1.2 - 0.035)
        return np.minimum(above, x - (f.header + f.footer) / 2)

    return paint(skin, glass, (TOP,), label("glass"))


def _rear_screen(skin: Skin, f: Profiles, e: Equipment) -> Skin:
    p = f.p

    def sloping(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        margin = 0.09 if e.bed else 0.03
        above = np.minimum((z - f.deck(x, y)) * 1.2 - margin, (f.roof(x, y) - f.rear_screen(x, y)) * 1.2 - 0.04)
        above = np.minimum(above, (f.header + f.footer) / 2 - x)
        return _least(above, 0.8 * f.half_at(x, z) - y) if e.bed else above

    def upright(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        tail = np.full_like(x, f.tail)
        side = f.half_at(tail, z) - max(p.tail_round, 0.07) - 0.015 - y
        values = _least(side, z - f.belt(tail) - 0.03, f.top(tail, y) - 0.09 - z, reach=0.09)
        return np.minimum(values, y - 0.03) if p.height > 1.95 else values

    if f.boxy:
        return skin if e.panel else paint(skin, upright, (TAIL,), label("glass"))
    return paint(skin, sloping, (TOP,), label("glass"))


def with_arches(skin: Skin, profiles: Profiles, y_inner: float) -> Skin:
    """Cut the wheel arches out of side and floor, and close them by liners reaching in to ``y_inner``."""
    p = profiles.p
    for axle in (profiles.front_axle, profiles.rear_axle):
        strips = np.isin(skin.patch, (SIDE, SHOULDER, FLOOR))
        inside_of = profiles.arch - np.hypot(skin.position[:, 0] - axle, skin.position[:, 2] - p.tyre)
        skin, within = split(skin, inside_of, strips)
        skin, gone = split(skin, skin.position[:, 1] - y_inner, within)
        skin = recess(skin, gone, 1, y_inner, (axle, p.tyre), label("underbody"), FLOOR)
    return skin


def with_bed(skin: Skin, profiles: Profiles, equipment: Equipment) -> Skin:
    """A pickup's load bed, open or under a flat cover."""
    f = profiles

    def bed(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        return np.minimum(np.minimum(x - f.tail - 0.07, f.rear_foot - 0.06 - x), f.belt_width(x) - 0.03 - y)

    if equipment.bed == "cover":
        return paint(skin, bed, (TOP,), label("trim"))
    skin, gone = split(skin, bed(*skin.origin.T), skin.patch == TOP)
    middle = ((f.tail + f.rear_foot) / 2, 0.0)
    return recess(skin, gone, 2, f.z_tail - 0.48, middle, label("trim"), TOP)
