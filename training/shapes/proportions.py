"""What everyday cars measure: correlated priors of body proportions per class, and seeded draws from them.

The ranges come from general knowledge of production cars from about 1980 on (small city car to large limousine) and
from the extents of the training meshes; no car of the test or validation set was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from edge.errors import SettingsError

#: Body classes a car can be asked for.
CLASSES = ("sedan", "hatchback", "estate", "suv", "mpv", "van", "coupe", "pickup")


@dataclass(frozen=True)
class Proportions:
    """One car's measures, metres unless said otherwise; heights above the ground.

    length, width, height: of the body, without mirrors, roof rails and spare wheel.
    wheelbase: share of the length. front_share: front overhang's share of both overhangs. tyre: outer radius.
    rim: share of the tyre's radius. clearance: height of the sill. nose_height: front edge of the bonnet.
    cowl_height: foot of the windscreen, tail_height: shoulder at the tail, shares of the height.
    dash: foot of the windscreen behind the front axle. screen_rake, rear_rake: degrees from the horizontal.
    deck: length of the boot lid or bed; 0 for a tail that is cut off by the rear screen.
    roof_fall_front, roof_fall_rear: drop of the roof towards its ends. screen_bow, rear_bow: how far a screen's middle
    lies before (behind) its corners. tumblehome: lean of the side windows, degrees. side_bow: their bulge.
    shoulder: width of the ledge below the side windows. shoulder_round: its radius. crispness: weight of its edge.
    bonnet_crown, roof_crown: rise of the middle over the edges. tuck: sill inside the widest line. barrel: shoulder
    inside it. crease: depth of the crease in the side. crease_height: share of sill to shoulder.
    nose_taper, tail_taper: loss of half-width at the ends, share. nose_round, tail_round: corner radii in plan.
    nose_edge, tail_edge: edge radii in side view. nose_sweep, tail_sweep: bow of the ends in plan. nose_lean,
    tail_lean: top of the end behind the bumper. bumper: how far it stands out. approach, departure: rise of the lower
    edge at the ends. flare: of the wheel arches. arch_gap: between tyre and arch. fillet: of screens into the roof.
    cantrail: radius of the roof's edge. pillar: width of the last roof pillar. lip: raised edge at the end of deck or
    roof. era: 0 about 1980, 1 now. size: -1 small to 1 large for the class.
    """

    length: float
    width: float
    height: float
    wheelbase: float
    front_share: float
    tyre: float
    rim: float
    tyre_width: float
    clearance: float
    nose_height: float
    cowl_height: float
    tail_height: float
    dash: float
    screen_rake: float
    rear_rake: float
    deck: float
    roof_fall_front: float
    roof_fall_rear: float
    screen_bow: float
    rear_bow: float
    tumblehome: float
    side_bow: float
    shoulder: float
    shoulder_round: float
    crispness: float
    bonnet_crown: float
    roof_crown: float
    tuck: float
    barrel: float
    crease: float
    crease_height: float
    nose_taper: float
    tail_taper: float
    nose_round: float
    tail_round: float
    nose_edge: float
    tail_edge: float
    nose_sweep: float
    tail_sweep: float
    nose_lean: float
    tail_lean: float
    bumper: float
    approach: float
    departure: float
    flare: float
    arch_gap: float
    fillet: float
    cantrail: float
    pillar: float
    lip: float
    era: float
    size: float


#: A range and how it follows size and era: (low, high, share of size, share of era); the rest is the measure's own.
Range = tuple[float, float, float, float]

COMMON: dict[str, Range] = {
    "rim": (0.56, 0.76, 0.1, 0.65),
    "clearance": (0.15, 0.21, 0.0, -0.3),
    "roof_fall_front": (0.03, 0.07, 0.0, 0.3),
    "roof_fall_rear": (0.05, 0.12, 0.0, 0.5),
    "screen_bow": (0.08, 0.26, 0.1, 0.6),
    "rear_bow": (0.05, 0.16, 0.0, 0.6),
    "tumblehome": (15.0, 23.0, 0.0, 0.3),
    "side_bow": (0.01, 0.04, 0.0, 0.4),
    "shoulder": (0.035, 0.085, 0.2, 0.3),
    "shoulder_round": (0.03, 0.1, 0.0, 0.6),
    "crispness": (0.8, 2.5, 0.0, 0.0),
    "bonnet_crown": (0.03, 0.085, 0.1, 0.5),
    "roof_crown": (0.03, 0.06, 0.0, 0.3),
    "tuck": (0.03, 0.09, 0.0, 0.3),
    "barrel": (0.01, 0.035, 0.0, 0.3),
    "crease": (0.002, 0.02, 0.0, 0.2),
    "crease_height": (0.55, 0.8, 0.0, 0.2),
    "nose_taper": (0.04, 0.11, 0.0, 0.6),
    "tail_taper": (0.04, 0.11, 0.0, 0.5),
    "nose_round": (0.05, 0.2, 0.0, 0.7),
    "tail_round": (0.06, 0.22, 0.0, 0.75),
    "nose_edge": (0.025, 0.085, 0.0, 0.6),
    "tail_edge": (0.03, 0.07, 0.0, 0.4),
    "nose_sweep": (0.03, 0.17, 0.0, 0.7),
    "tail_sweep": (0.02, 0.1, 0.0, 0.7),
    "nose_lean": (0.02, 0.16, 0.0, 0.4),
    "tail_lean": (0.0, 0.08, 0.0, 0.2),
    "bumper": (0.015, 0.09, 0.0, -0.7),
    "approach": (0.0, 0.06, 0.0, -0.3),
    "departure": (0.02, 0.1, 0.0, -0.2),
    "flare": (0.005, 0.03, 0.0, 0.3),
    "arch_gap": (0.025, 0.055, 0.0, -0.4),
    "fillet": (0.03, 0.1, 0.0, 0.5),
    "cantrail": (0.045, 0.09, 0.1, 0.4),
    "lip": (0.0, 0.03, 0.0, 0.3),
}

# fmt: off
BY_CLASS: dict[str, dict[str, Range]] = {
    "sedan": {
        "length": (4.05, 5.3, 0.85, 0.1), "width": (1.62, 1.93, 0.6, 0.35), "height": (1.36, 1.52, 0.1, 0.3),
        "wheelbase": (0.56, 0.61, 0.0, 0.6), "front_share": (0.4, 0.52, -0.3, 0.1),
        "tyre": (0.285, 0.345, 0.5, 0.4), "tyre_width": (0.175, 0.245, 0.4, 0.5),
        "nose_height": (0.67, 0.79, 0.1, 0.3), "cowl_height": (0.635, 0.69, 0.0, 0.3),
        "tail_height": (0.64, 0.73, 0.0, 0.6), "dash": (0.3, 0.62, 0.4, -0.35),
        "screen_rake": (26.0, 40.0, 0.0, -0.7), "rear_rake": (22.0, 40.0, 0.0, -0.6),
        "deck": (0.32, 0.75, 0.3, -0.5), "pillar": (0.1, 0.3, 0.2, 0.0),
    },
    "hatchback": {
        "length": (3.4, 4.5, 0.85, 0.1), "width": (1.55, 1.84, 0.6, 0.35), "height": (1.38, 1.58, 0.0, 0.4),
        "wheelbase": (0.59, 0.655, -0.4, 0.3), "front_share": (0.5, 0.62, 0.1, 0.2),
        "tyre": (0.265, 0.33, 0.45, 0.4), "tyre_width": (0.155, 0.225, 0.4, 0.5),
        "nose_height": (0.68, 0.8, 0.1, 0.3), "cowl_height": (0.625, 0.68, 0.0, 0.3),
        "tail_height": (0.62, 0.74, 0.0, 0.5), "dash": (0.12, 0.45, 0.2, -0.5),
        "screen_rake": (26.0, 41.0, 0.0, -0.7), "rear_rake": (44.0, 68.0, -0.3, 0.1),
        "deck": (0.0, 0.0, 0.0, 0.0), "pillar": (0.1, 0.34, 0.0, 0.2),
    },
    "estate": {
        "length": (4.15, 5.05, 0.85, 0.1), "width": (1.63, 1.9, 0.6, 0.35), "height": (1.4, 1.56, 0.2, 0.2),
        "wheelbase": (0.555, 0.6, 0.0, 0.5), "front_share": (0.43, 0.52, -0.2, 0.0),
        "tyre": (0.285, 0.345, 0.45, 0.4), "tyre_width": (0.175, 0.245, 0.4, 0.5),
        "nose_height": (0.67, 0.79, 0.1, 0.3), "cowl_height": (0.625, 0.675, 0.0, 0.3),
        "tail_height": (0.62, 0.7, 0.0, 0.5), "dash": (0.3, 0.6, 0.4, -0.3),
        "screen_rake": (26.0, 40.0, 0.0, -0.7), "rear_rake": (48.0, 74.0, 0.0, -0.2),
        "deck": (0.0, 0.0, 0.0, 0.0), "pillar": (0.06, 0.2, 0.0, 0.2),
    },
    "suv": {
        "length": (3.7, 5.15, 0.85, 0.1), "width": (1.64, 2.0, 0.6, 0.3), "height": (1.56, 1.9, 0.5, -0.3),
        "wheelbase": (0.565, 0.62, -0.1, 0.4), "front_share": (0.44, 0.54, 0.0, 0.1),
        "tyre": (0.325, 0.395, 0.6, 0.2), "tyre_width": (0.195, 0.275, 0.5, 0.4), "clearance": (0.2, 0.31, 0.2, -0.4),
        "nose_height": (0.8, 1.02, 0.5, 0.1), "cowl_height": (0.62, 0.67, 0.0, 0.0),
        "tail_height": (0.61, 0.69, 0.0, 0.3), "dash": (0.28, 0.6, 0.3, -0.4),
        "screen_rake": (30.0, 52.0, 0.0, -0.8), "rear_rake": (52.0, 84.0, 0.1, -0.6),
        "deck": (0.0, 0.0, 0.0, 0.0), "pillar": (0.08, 0.3, 0.0, 0.3), "tumblehome": (9.0, 19.0, 0.0, 0.6),
        "approach": (0.03, 0.12, 0.1, -0.3), "departure": (0.05, 0.16, 0.1, -0.3), "flare": (0.015, 0.055, 0.2, 0.0),
        "arch_gap": (0.04, 0.09, 0.1, -0.4),
    },
    "mpv": {
        "length": (3.95, 5.1, 0.85, 0.1), "width": (1.65, 1.97, 0.6, 0.3), "height": (1.56, 1.8, 0.5, 0.0),
        "wheelbase": (0.59, 0.645, 0.0, 0.3), "front_share": (0.46, 0.56, 0.0, 0.1),
        "tyre": (0.29, 0.35, 0.5, 0.4), "tyre_width": (0.175, 0.235, 0.4, 0.5),
        "nose_height": (0.7, 0.88, 0.3, 0.2), "cowl_height": (0.595, 0.64, 0.0, 0.3),
        "tail_height": (0.58, 0.66, 0.0, 0.5), "dash": (-0.08, 0.25, 0.2, -0.4),
        "screen_rake": (24.0, 36.0, 0.0, -0.6), "rear_rake": (55.0, 82.0, 0.2, -0.2),
        "deck": (0.0, 0.0, 0.0, 0.0), "pillar": (0.06, 0.2, 0.0, 0.2), "tumblehome": (9.0, 16.0, 0.0, 0.3),
    },
    "van": {
        "length": (4.15, 5.9, 0.85, 0.1), "width": (1.7, 2.06, 0.75, 0.15), "height": (1.78, 2.62, 0.75, 0.0),
        "wheelbase": (0.57, 0.65, 0.0, 0.3), "front_share": (0.42, 0.52, 0.0, 0.1),
        "tyre": (0.3, 0.36, 0.6, 0.2), "tyre_width": (0.175, 0.235, 0.5, 0.3), "clearance": (0.18, 0.26, 0.3, 0.0),
        "nose_height": (0.78, 1.0, 0.5, 0.2), "cowl_height": (1.14, 1.34, 0.6, 0.1),
        "tail_height": (1.12, 1.34, 0.6, 0.1), "dash": (-0.2, 0.12, 0.0, 0.0),
        "screen_rake": (34.0, 52.0, 0.0, -0.4), "rear_rake": (82.0, 88.5, 0.3, 0.0),
        "deck": (0.0, 0.0, 0.0, 0.0), "pillar": (0.05, 0.14, 0.0, 0.0), "tumblehome": (3.0, 8.5, 0.0, 0.2),
        "shoulder": (0.012, 0.035, 0.0, 0.0), "roof_fall_rear": (0.01, 0.05, 0.0, 0.2),
        "crease": (0.0, 0.007, 0.0, 0.0), "cantrail": (0.07, 0.14, 0.3, 0.3), "nose_lean": (0.04, 0.18, 0.0, 0.3),
        "tail_taper": (0.01, 0.05, 0.0, 0.3),
        "roof_fall_front": (0.05, 0.14, 0.2, 0.2), "fillet": (0.08, 0.2, 0.2, 0.2),
    },
    "coupe": {
        "length": (3.9, 4.95, 0.8, 0.1), "width": (1.62, 1.94, 0.5, 0.4), "height": (1.2, 1.42, 0.3, 0.0),
        "wheelbase": (0.545, 0.605, 0.0, 0.5), "front_share": (0.42, 0.55, -0.1, -0.1),
        "tyre": (0.29, 0.35, 0.4, 0.5), "tyre_width": (0.185, 0.29, 0.3, 0.6),
        "nose_height": (0.6, 0.73, 0.2, 0.2), "cowl_height": (0.66, 0.71, 0.0, 0.2),
        "tail_height": (0.66, 0.76, 0.0, 0.4), "dash": (0.35, 0.75, 0.3, 0.0),
        "screen_rake": (23.0, 35.0, 0.0, -0.5), "rear_rake": (16.0, 30.0, 0.0, -0.4),
        "deck": (0.14, 0.5, 0.2, -0.2), "pillar": (0.12, 0.4, 0.1, 0.0), "nose_lean": (0.06, 0.26, 0.0, 0.0),
        "clearance": (0.13, 0.17, 0.0, -0.3), "tumblehome": (18.0, 28.0, 0.0, 0.3), "flare": (0.008, 0.05, 0.0, 0.4),
        "shoulder": (0.04, 0.11, 0.2, 0.4),
    },
    "pickup": {
        "length": (4.85, 5.9, 0.85, 0.05), "width": (1.7, 2.04, 0.7, 0.2), "height": (1.64, 1.95, 0.6, 0.2),
        "wheelbase": (0.585, 0.635, 0.1, 0.2), "front_share": (0.41, 0.47, -0.1, 0.0),
        "tyre": (0.335, 0.41, 0.6, 0.2), "tyre_width": (0.2, 0.285, 0.5, 0.3), "clearance": (0.26, 0.38, 0.3, 0.1),
        "nose_height": (0.88, 1.12, 0.6, 0.2), "cowl_height": (0.615, 0.655, 0.0, 0.1),
        "tail_height": (0.575, 0.65, 0.0, 0.3), "dash": (0.42, 0.72, 0.3, -0.2),
        "screen_rake": (32.0, 46.0, 0.0, -0.5), "rear_rake": (66.0, 82.0, 0.0, 0.0),
        "deck": (1.35, 2.0, 0.2, -0.2), "pillar": (0.08, 0.2, 0.0, 0.0), "tumblehome": (10.0, 17.0, 0.0, 0.2),
        "nose_round": (0.06, 0.2, 0.0, 0.5), "tail_round": (0.03, 0.06, 0.0, 0.5), "tail_taper": (0.0, 0.04, 0.0, 0.0),
        "nose_sweep": (0.03, 0.12, 0.0, 0.5), "nose_lean": (0.01, 0.08, 0.0, 0.0), "tail_lean": (-0.01, 0.03, 0.0, 0.0),
        "approach": (0.03, 0.12, 0.0, 0.0), "departure": (0.08, 0.2, 0.0, 0.0), "flare": (0.02, 0.06, 0.3, 0.0),
        "arch_gap": (0.05, 0.1, 0.0, 0.0), "tail_sweep": (0.0, 0.03, 0.0, 0.5), "tail_edge": (0.02, 0.04, 0.0, 0.0),
        "rear_bow": (0.0, 0.05, 0.0, 0.0), "bonnet_crown": (0.03, 0.07, 0.0, 0.0),
    },
}
# fmt: on


def draw_proportions(body_class: str, rng: np.random.Generator) -> Proportions:
    """One car's measures. Size and era are drawn first and pull the others with them, so that measures correlate.

    A measure is the middle of its range plus a weighted sum of size, era and its own draw, all in -1..1 with weights
    that add up to 1: it never leaves the range. Raises SettingsError for an unknown class.
    """
    if body_class not in CLASSES:
        raise SettingsError(f"no body class is called {body_class!r}; type one of {', '.join(CLASSES)}")
    ranges = {**COMMON, **BY_CLASS[body_class]}
    size, era = rng.uniform(-1, 1), rng.uniform(-1, 1)
    drawn = {"era": (era + 1) / 2, "size": size}
    for field in fields(Proportions):
        if field.name in drawn:
            continue
        low, high, by_size, by_era = ranges[field.name]
        own = (1 - abs(by_size) - abs(by_era)) * rng.uniform(-1, 1)
        drawn[field.name] = low + (high - low) * (0.5 + 0.5 * (by_size * size + by_era * era + own))
    if body_class == "van":  # heights of a van's belt do not grow with its roof
        drawn["cowl_height"] /= drawn["height"]
        drawn["tail_height"] /= drawn["height"]
    return Proportions(**{name: float(value) for name, value in drawn.items()})
