"""The protocol in words, and published figures, for a report that is read away from the repository."""

from __future__ import annotations

from training.benchmark.metrics import CD_POINTS, EMD_POINTS
from training.benchmark.tables import Table

PROTOCOL = (
    (
        "Frame",
        "Canonical: right-handed, x forward, y left, z up; origin at the centre of the car's bounding box; length 1. "
        "Clouds are scored exactly as they come: no alignment, no rescaling, no centring.",
    ),
    (
        "Bodies",
        "The test side of a fixed split: never trained on, never used to choose a checkpoint or a setting.",
    ),
    (
        "Pictures",
        "Even azimuths, each moved by up to half a step; elevation 0 to 30 degrees; lens 28 to 85 mm (35 mm "
        "equivalent); drawn from the body's name, so the same everywhere. Conditions: plain (neutral backdrop, car "
        "centred), clutter (surroundings, shadow, random light and paint, camera noise, a crop that is shifted and "
        "scaled as by a finder that errs) and occluded (as clutter, and 5 to 30 % of the car covered or cut off).",
    ),
    (
        "Ground truth",
        "100,000 points, even by area, on the surface that is seen from outside (96 directions, glass opaque, wheels "
        "on). The table against all surfaces counts hidden ones too.",
    ),
    (
        "pred->GT, GT->pred",
        "Mean distance from a predicted point to the nearest true one, and back; times 100, all points, unsquared.",
    ),
    (
        "F@1, F@2, F@5",
        "Harmonic mean of the parts of both clouds that lie within 1, 2, 5 % of a car length of the other; percent.",
    ),
    ("CD-L2", f"Sum of both mean squared distances, times 1000, on {CD_POINTS:,} points of each cloud."),
    ("EMD", f"Mean distance of the best one-to-one assignment of {EMD_POINTS:,} points each, exact, times 100."),
    (
        "Means",
        "Over the views of a body first, then over the bodies. Worst decile: over the worst tenth of the (body, view) "
        "pairs, each figure by itself.",
    ),
    (
        "Bad clouds",
        "Distances are capped at one car length; a point that is not finite counts as one length away; an empty cloud "
        "of a network has the worst score there is.",
    ),
    (
        "Controls",
        "Made of training bodies only. An oracle chose with the ground truth in hand: a bound, not a method. The "
        "noise floor is the ground truth sampled a second time: a perfect answer.",
    ),
)

#: Same thresholds, another data set: a direction, not a ranking.
PUBLISHED = Table(
    ["source", "car figure"],
    [
        ["Mesh R-CNN (ShapeNet cars, longest edge 10)", "F@1 29.6, F@3 85.8, F@5 96.3"],
        ["Lin 2018, released networks (chairs)", "pred->GT 1.73 / GT->pred 1.84 and 1.67 / 1.82"],
        ["AtlasNet in the protocol of Occupancy Networks", "Chamfer-L1 0.141, about 1.4 % of the longest edge"],
        ["R3Davit (voxels)", "IoU 0.873, F@1 0.576, against voxel ground truth"],
        ["PDM (point diffusion)", "20 s a cloud on a desktop GPU"],
        ["RGB2Point", "0.15 s a cloud on a desktop GPU, 2.3 GB, 1,024 points"],
    ],
    words=True,
)
