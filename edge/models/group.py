"""Many photos of one kind of car, or of one car, to one model: the mean of their clouds in the canonical frame.

Points correspond from photo to photo, and each cloud is in the car's own frame: no alignment is needed. As in
:mod:`edge.runtime.memory`, errors of views from one side are alike: photos of one direction are averaged first, then
the directions. Unlike there nothing depends on the order, and photos that show something else are left out.
"""

from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from edge.geometry import FILLED, MIRRORED, SEEN, Cloud
from edge.runtime.colour import filled
from edge.runtime.memory import SECTORS, SHARED, weights_of
from edge.runtime.outputs import confidence_of

#: A photo is left out whose cloud lies farther from the group's median than this, car lengths, and than so many times
#: what is usual in the group.
FAR, TIMES = 0.03, 3.0


class Member(NamedTuple):
    """One photo's model. cloud: of N points, with confidences if the network tells them. azimuth: of the camera,
    degrees, or None. metres: the car's length, or None, and relative_error of it."""

    cloud: Cloud
    azimuth: Optional[float] = None
    metres: Optional[float] = None
    relative_error: float = 0.1


class Mean(NamedTuple):
    """cloud: the mean. used: rows of the members in it, odd: of those left out. directions: of the 24 around a car,
    from how many it was seen. metres: the length, or None. colours: row of the member whose colours it has, None for a
    mix."""

    cloud: Cloud
    used: List[int]
    odd: List[int]
    directions: int
    metres: Optional[float]
    colours: Optional[int]


def average(members: Sequence[Member], same_car: bool = False) -> Mean:
    """The mean of members whose clouds correspond. same_car: they show one and the same car, so its colours are put
    together from all of them; otherwise those of the best photo stand for the group.

    Raises ValueError for no member, or clouds of different sizes.
    """
    if not members:
        raise ValueError("a group without photos has no mean")
    if len({len(member.cloud.points) for member in members}) != 1:
        raise ValueError("clouds of different sizes do not correspond")
    used, odd = told_apart([member.cloud.points for member in members])
    kept = [members[row] for row in used]
    points, weight, directions = _mean_shape(kept)
    confidence = None
    if kept[0].cloud.confidence is not None:
        shrink = np.sqrt(SHARED + (1.0 - SHARED) / directions)
        confidence = confidence_of((1 / np.sqrt(weight / directions) * shrink).astype(np.float32))
    best = max(range(len(kept)), key=lambda row: _goodness(kept[row].cloud))
    shape = Cloud(points.astype(np.float32), confidence)
    if same_car:
        return Mean(_painted(shape, [member.cloud for member in kept]), used, odd, directions, _metres(kept), None)
    coloured = shape._replace(rgb=kept[best].cloud.rgb, mark=kept[best].cloud.mark)
    return Mean(coloured, used, odd, directions, _metres(kept), used[best])


def told_apart(clouds: Sequence[np.ndarray]) -> Tuple[List[int], List[int]]:
    """Rows of the clouds (N, 3) that belong together, and of those that lie far from their median. Of two clouds nobody
    can tell which is odd."""
    if len(clouds) < 3:
        return list(range(len(clouds))), []
    median = np.median(np.stack(clouds), axis=0)
    away = np.array([np.linalg.norm(cloud - median, axis=1).mean() for cloud in clouds])
    limit = max(FAR, TIMES * float(np.median(away)))
    return np.flatnonzero(away <= limit).tolist(), np.flatnonzero(away > limit).tolist()


def _mean_shape(members: Sequence[Member]) -> Tuple[np.ndarray, np.ndarray, int]:
    """Points (N, 3) and the sum of the directions' weights (N,), float64, and the number of directions."""
    sectors = [0 if member.azimuth is None else int(member.azimuth % 360.0 * SECTORS / 360.0) % SECTORS
               for member in members]
    total, summed = np.zeros(len(members[0].cloud.points)), np.zeros(members[0].cloud.points.shape)
    for sector in sorted(set(sectors)):
        part = [member.cloud for member, where in zip(members, sectors) if where == sector]
        weights = [weights_of(cloud) for cloud in part]
        weight = np.mean(weights, axis=0)
        points = sum(w[:, None] * cloud.points for w, cloud in zip(weights, part)) / np.sum(weights, axis=0)[:, None]
        total += weight
        summed += weight[:, None] * points
    return summed / total[:, None], total, len(set(sectors))


def _goodness(cloud: Cloud) -> float:
    """How much of a photo's car is seen rather than made up, and how sure the network is of its shape."""
    seen = 0.0 if cloud.mark is None else float((cloud.mark == SEEN).mean())
    return seen + (0.0 if cloud.confidence is None else float(cloud.confidence.mean()))


def _painted(shape: Cloud, clouds: Sequence[Cloud]) -> Cloud:
    """Colours of all photos: where a point is seen its mean over those that see it, else over those that see its mirror
    image, else filled in."""
    known = [cloud for cloud in clouds if cloud.rgb is not None and cloud.mark is not None]
    if not known:
        return shape
    rgb, mark = np.zeros(shape.points.shape, np.float64), np.full(len(shape.points), FILLED, np.uint8)
    for kind in (MIRRORED, SEEN):
        times, total = np.zeros(len(mark)), np.zeros_like(rgb)
        for cloud in known:
            has = cloud.mark == kind
            times += has
            total[has] += cloud.rgb[has]  # type: ignore[index]  # both are there, see above
        there = times > 0
        rgb[there], mark[there] = total[there] / times[there, None], kind
    return filled(shape._replace(rgb=np.rint(rgb).astype(np.uint8), mark=mark))


def _metres(members: Sequence[Member]) -> Optional[float]:
    """The mean length, weighted by one over the square of the expected error, geometric."""
    told = [member for member in members if member.metres is not None]
    if not told:
        return None
    weight = np.array([1.0 / max(member.relative_error, 1e-3) ** 2 for member in told])
    logs = np.log([float(member.metres or 0.0) for member in told])
    return float(np.exp((weight * logs).sum() / weight.sum()))
