"""What is fitted to a parametric body: doors, windows, lamps, bumpers, wheels' design and extras, seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.shapes.proportions import Proportions


@dataclass(frozen=True)
class Equipment:
    """Choices for one car; measures in metres.

    doors: on one side, 1 or 2. panel: a van without rear side windows. frame: category round the side windows.
    pillars: category between them. bumpers: category of the bumpers. cladding: whether sills and arches are unpainted.
    rails: category of roof rails or None. spare: spare wheel on the tail. bed: "open", "cover" or "" (no pickup).
    lamp_height, lamp_reach: of the headlamps, the latter how far they run round the corner. lamp_slant: rise outwards.
    lamp_inner: share of the half-width where they start. round_lamps: round headlamps. tail_height, tail_reach,
    tail_inner: of the tail lamps. grille_width (share of the half-width), grille_drop (height), grille_rake (how much
    wider it is above), intake: lower intake.
    fogs: fog lamps.
    frame_chrome: chrome round the grille. spokes: of the rims; 0 for a plain steel wheel. mirror: length of a mirror's
    shell. plate_low: rear number plate in the bumper. paint: linear RGB for contact sheets.
    """

    doors: int
    panel: bool
    frame: str
    pillars: str
    bumpers: str
    cladding: bool
    rails: str | None
    spare: bool
    bed: str
    lamp_height: float
    lamp_reach: float
    lamp_slant: float
    lamp_inner: float
    round_lamps: bool
    tail_height: float
    tail_reach: float
    tail_inner: float
    grille_width: float
    grille_drop: float
    grille_rake: float
    intake: float
    fogs: bool
    frame_chrome: bool
    spokes: int
    mirror: float
    plate_low: bool
    paint: tuple[float, float, float]


#: Linear RGB of contact sheets; the renderer paints at random.
PAINTS: tuple[tuple[float, float, float], ...] = (
    (0.55, 0.03, 0.03), (0.03, 0.09, 0.35), (0.6, 0.6, 0.6), (0.8, 0.8, 0.78), (0.06, 0.06, 0.07), (0.25, 0.27, 0.3),
    (0.05, 0.18, 0.08), (0.7, 0.45, 0.05), (0.2, 0.32, 0.45), (0.35, 0.2, 0.1),
)  # fmt: skip


def draw_equipment(body_class: str, p: Proportions, rng: np.random.Generator) -> Equipment:
    """Equipment that goes with the class and the age of the car."""

    def chance(probability: float) -> bool:
        return bool(rng.random() < probability)

    def between(old: float, new: float, spread: float) -> float:
        return float(old + (new - old) * p.era + spread * rng.uniform(-1, 1))

    doors = {"coupe": 1, "van": 1, "hatchback": 1 if chance(0.35) else 2, "pickup": 1 if p.deck > 1.72 else 2}
    tall = body_class in ("suv", "van", "pickup")
    upright = body_class in ("suv", "van", "mpv", "estate", "hatchback", "pickup")
    rails = {"estate": 0.6, "suv": 0.5, "mpv": 0.35}.get(body_class, 0.0)
    unpainted = 0.65 if p.era < 0.3 else 0.25 if p.era < 0.55 else 0.04
    return Equipment(
        doors=doors.get(body_class, 2),
        panel=body_class == "van" and chance(0.55),
        frame="chrome" if chance(0.25) else "trim",
        pillars="trim" if chance(0.35 + 0.6 * p.era) else "paint",
        bumpers="trim" if chance(0.45 if body_class == "van" else unpainted) else "paint",
        cladding=body_class == "suv" and chance(0.5),
        rails=str(rng.choice(["chrome", "trim", "paint"])) if chance(rails) else None,
        spare=body_class == "suv" and p.era < 0.75 and chance(0.3),
        bed=("cover" if chance(0.35) else "open") if body_class == "pickup" else "",
        lamp_height=between(0.16, 0.165, 0.03) * (1.25 if tall else 1.0),
        lamp_reach=between(0.05, 0.3, 0.06),
        lamp_slant=between(0.0, 0.16, 0.06),
        lamp_inner=between(0.56, 0.62, 0.07),
        round_lamps=p.era < 0.4 and chance(0.3),
        tail_height=between(0.3, 0.26, 0.1) * (1.35 if tall else 1.0) if upright else between(0.14, 0.15, 0.04),
        tail_reach=between(0.05, 0.2, 0.05),
        tail_inner=between(0.16, 0.2, 0.06) if upright else between(0.42, 0.36, 0.1),
        grille_width=between(0.5, 0.46, 0.07),
        grille_drop=between(0.15, 0.23, 0.06) * (1.4 if tall else 1.0),
        grille_rake=between(0.0, 0.45, 0.3),
        intake=between(0.07, 0.15, 0.04),
        fogs=chance(0.2 + 0.4 * p.era),
        frame_chrome=chance(0.4),
        spokes=int(rng.choice([5, 6, 7, 8, 10])) if chance(0.35 + 0.6 * p.era) else 0,
        mirror=between(0.17, 0.22, 0.02) * (1.3 if tall else 1.0),
        plate_low=chance(0.4),
        paint=PAINTS[int(rng.integers(len(PAINTS)))],
    )
