"""A cloud's colours from the picture it came from: what the camera saw, its mirror image, and the rest filled in."""

from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np

from edge.geometry import FILLED, MIRRORED, SEEN, Cloud
from edge.pose import Pose, project, to_pixels

#: Area of a car's surface in canonical units (length 1): a cell of the depth buffer is so large that the surface,
#: seen face on, has POINTS points in it, and never smaller than FINEST; nor are there more than CELLS in a row.
SURFACE, POINTS, FINEST, CELLS = 1.75, 1.5, 0.01, 256
#: How far behind the nearest surface a point may lie and still count as seen, canonical units; where the surface is
#: steep, so much more as it falls off within a cell, at most STEEP times the cell.
TOLERANCE, STEEP = 0.03, 2.5
#: Crop coordinates beyond which no depth is kept: a stray point must not make the cells coarse.
REACH = 2.0
#: Probability from which a pixel is the car's as far as its colour goes: rather too far out than holes in the outline.
SHOWN = 0.3
#: Filling. Distances along the car, across it and upwards count so much: what is as high has more likely the colour
#: (sills, doors, windows and roof run along a car). Below SOFT, scaled, all sources count the same. One colour is
#: made for each cell of edge FILL, scaled, or wider if there were more than FILL_CELLS in a row; from SOURCES points.
STRETCH, SOFT, FILL, FILL_CELLS, SOURCES = (0.5, 1.0, 1.6), 0.02, 0.03, 48, 384


class Depths(NamedTuple):
    """The nearest surface, cell by cell.

    nearest: (rows, columns) float32 depth as in edge.pose.project; inf where there is no surface.
    slack: (rows, columns) float32, how much deeper a point of that surface may be.
    corner: (2,) crop coordinates of the first cell's corner. cell: edge of a cell.
    """

    nearest: np.ndarray
    slack: np.ndarray
    corner: np.ndarray
    cell: float


def looked_up(
    cloud: Cloud, pose: Pose, square: Tuple[int, int, int], image_bgr: np.ndarray,
    silhouette: Optional[np.ndarray] = None, share: slice = slice(None),
) -> Cloud:
    """The cloud with ``rgb`` and ``mark``; points of which nothing is known are black, and marked FILLED already. It is
    unchanged if no point of it is seen, because then nothing is known. share: of its points are looked up and returned
    (all hide each other).

    cloud: canonical frame. pose: of the camera. square: left, top, side of the crop in the picture that the pose's
    coordinates refer to. image_bgr: (H, W, 3) uint8, the whole picture. silhouette: (S, S), probability of each part of
    the square to show the car; other parts show what stands before it, or behind, and are not looked at.

    SEEN: the point lies in the picture and nothing hides it. MIRRORED: it is hidden, but its mirror image at
    (x, -y, z) is not, and a car is symmetrical: it takes the colour from there.

    Hidden is what lies behind a z-buffer of the points themselves, with more tolerance where the surface is steep, as
    in shadow maps (Williams 1978).
    """
    place, depth = project(cloud.points, pose)
    depths = depth_buffer(place, depth, pose.scale)
    cloud = _part(cloud, share)
    points, place, depth = np.asarray(cloud.points, np.float32), place[share], depth[share]
    if depths is None:
        return cloud
    rgb, mark = np.zeros(points.shape, np.uint8), np.full(len(points), FILLED, np.uint8)
    at, seen = _pixels(place, square, image_bgr.shape)
    seen &= _visible(depths, place, depth, False) & _shown(place, silhouette)
    first = np.flatnonzero(seen)
    rgb[first], mark[first] = _picked(image_bgr, at[first]), SEEN
    rest = np.flatnonzero(~seen)
    place, depth = project(points[rest] * np.array([1, -1, 1], np.float32), pose)
    at, mirrored = _pixels(place, square, image_bgr.shape)
    mirrored &= _visible(depths, place, depth, True) & _shown(place, silhouette)
    second = np.flatnonzero(mirrored)
    rgb[rest[second]], mark[rest[second]] = _picked(image_bgr, at[second]), MIRRORED
    return cloud._replace(rgb=rgb, mark=mark) if len(first) or len(second) else cloud


def _part(cloud: Cloud, share: slice) -> Cloud:
    def of(field: Optional[np.ndarray]) -> Optional[np.ndarray]:
        return None if field is None else field[share]

    if share == slice(None):
        return cloud
    return Cloud(cloud.points[share], of(cloud.confidence), of(cloud.rgb), of(cloud.view), of(cloud.mark))


def filled(cloud: Cloud) -> Cloud:
    """The cloud with colours for points that are marked FILLED: a mean of those of the other points, the nearer the
    more, in the space folded at the plane of symmetry. A cloud without colours is left as it is."""
    if cloud.rgb is None or cloud.mark is None:
        return cloud
    known = cloud.mark != FILLED
    if known.all() or not known.any():
        return cloud
    rgb = cloud.rgb.copy()
    rgb[~known] = fill(cloud.points, rgb, known)
    return cloud._replace(rgb=rgb)


def depth_buffer(place: np.ndarray, depth: np.ndarray, scale: float) -> Optional[Depths]:
    """The nearest surface of points in crop coordinates (N, 2) at ``depth`` (N,); None if none lies within reach.

    scale: crop units per canonical unit.
    """
    near = (np.abs(place[:, 0]) < REACH) & (np.abs(place[:, 1]) < REACH)
    if not near.any():
        return None
    if not near.all():
        place, depth = place[near], depth[near]
    # Axis by axis: over so short an axis NumPy's own min(0) takes ten times as long.
    corner = np.array([place[:, 0].min(), place[:, 1].min()])
    extent = np.array([place[:, 0].max(), place[:, 1].max()]) - corner
    cell = max(scale * max(np.sqrt(SURFACE * POINTS / len(place)), FINEST), float(extent.max()) / CELLS)
    # One empty cell all around, so that no neighbour is missing.
    corner = corner - np.float32(cell)
    columns, rows = (np.floor(extent / cell).astype(int) + 3).tolist()
    index = ((place - corner) / cell).astype(np.intp)
    flat = np.full(rows * columns, np.inf, np.float32)
    # Of several values for a cell the last one stays: the nearest. Whole numbers of 16 bits are sorted by their digits,
    # five times as fast as numbers; they tell depths a ten-thousandth of the range apart.
    low, high = float(depth.min()), float(depth.max())
    order = np.argsort(((high - depth) * np.float32(65535 / max(high - low, 1e-9))).astype(np.uint16), kind="stable")
    flat[(index[:, 1] * columns + index[:, 0])[order]] = depth[order]
    nearest = _settle(flat.reshape(rows, columns))
    return Depths(nearest, TOLERANCE + _steepness(nearest, STEEP * cell / scale), corner, cell)


def _settle(nearest: np.ndarray) -> np.ndarray:
    """Close the holes of a sparse depth image: empty cells take their nearest neighbour, then each cell the median.

    A cell of the near surface into which only a point of the far side fell is outvoted by its neighbours. The minimum
    of the neighbours, which does the same, would hide steep surfaces behind themselves. Beyond the border is infinity.
    """
    least = cv2.erode(nearest, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=float("inf"))
    closed = np.pad(np.where(np.isinf(nearest), least, nearest), 1, mode="constant", constant_values=np.inf)
    return np.asarray(cv2.medianBlur(closed, 3)[1:-1, 1:-1])


def _steepness(nearest: np.ndarray, most: float) -> np.ndarray:
    """How much the depth changes from cell to cell, canonical units, at most ``most``; 0 beside empty cells."""
    known = np.where(np.isinf(nearest), np.nan, nearest)  # their difference would warn
    rise = np.zeros_like(nearest)
    rise[1:-1] += np.nan_to_num(np.abs(known[2:] - known[:-2]))
    rise[:, 1:-1] += np.nan_to_num(np.abs(known[:, 2:] - known[:, :-2]))
    return np.minimum(rise / 2, most).astype(np.float32)


def _visible(depths: Depths, place: np.ndarray, depth: np.ndarray, on_surface: bool) -> np.ndarray:
    """(N,) bool: nothing lies before these places. on_surface: and there is something *at* them."""
    rows, columns = depths.nearest.shape
    index = np.floor(np.clip((place - depths.corner) / depths.cell, -1, max(rows, columns))).astype(np.intp)
    inside = _within(index, columns, rows)
    flat = np.where(inside, index[:, 1] * columns + index[:, 0], 0)
    behind = depth - depths.nearest.reshape(-1)[flat]
    slack = depths.slack.reshape(-1)[flat]
    if on_surface:
        return inside & (np.abs(behind) <= slack)
    return inside & (behind <= slack)


def _pixels(place: np.ndarray, square: Tuple[int, int, int], shape: Tuple[int, ...]) -> Tuple[np.ndarray, np.ndarray]:
    """Column and row (N, 2) of the pixels at crop coordinates, and which of them lie in the picture."""
    at = np.floor(np.clip(to_pixels(place, square), -1, max(shape[:2]))).astype(np.intp)
    return at, _within(at, shape[1], shape[0])


def _shown(place: np.ndarray, silhouette: Optional[np.ndarray]) -> np.ndarray:
    """(N,) bool: the silhouette (S, S) has the car at crop coordinates (N, 2); beyond its border it goes on as it ends.
    None leaves no doubt."""
    if silhouette is None:
        return np.ones(len(place), bool)
    size = len(silhouette)
    at = np.clip((place + 1.0) * np.float32(size / 2.0), 0, size - 1).astype(np.intp)
    return np.asarray(silhouette.reshape(-1).take(at[:, 1] * size + at[:, 0]) >= SHOWN)


def _picked(image_bgr: np.ndarray, at: np.ndarray) -> np.ndarray:
    """RGB (N, 3) uint8 of the pixels in columns and rows ``at`` (N, 2), all within the picture."""
    flat = np.ascontiguousarray(image_bgr).reshape(-1, 3)
    return flat.take(at[:, 1] * image_bgr.shape[1] + at[:, 0], axis=0)[:, ::-1]


def _within(index: np.ndarray, columns: int, rows: int) -> np.ndarray:
    return (index[:, 0] >= 0) & (index[:, 0] < columns) & (index[:, 1] >= 0) & (index[:, 1] < rows)


def fill(points: np.ndarray, rgb: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Colours (M, 3) uint8 for the M points that are not ``known``: means of the known ones, the nearer the more.

    points: (N, 3). rgb: (N, 3) uint8, read where known. known: (N,) bool, at least one of them True.
    Near is meant in the space folded at y = 0: what is on one side of a car is on the other. Inverse distance weighting
    (Shepard 1968).
    """
    folded = np.stack([points[:, 0], np.abs(points[:, 1]), points[:, 2]], 1) * np.array(STRETCH, np.float32)
    there = np.flatnonzero(known)
    there = there[np.linspace(0, len(there) - 1, min(SOURCES, len(there))).astype(np.intp)]
    wanted = folded[~known]
    if not len(wanted):
        return np.zeros((0, 3), np.uint8)
    # Many points share a cell, and the colours are smooth: one for each cell, at the mean of its points.
    low = wanted.min(0)
    edge = max(FILL, float((wanted.max(0) - low).max()) / FILL_CELLS)
    index = ((wanted - low) / np.float32(edge)).astype(np.intp)
    number = (index[:, 0] * (FILL_CELLS + 1) + index[:, 1]) * (FILL_CELLS + 1) + index[:, 2]
    _, cell, count = np.unique(number, return_inverse=True, return_counts=True)
    cell = cell.reshape(-1)
    centre = (np.stack([np.bincount(cell, wanted[:, a]) for a in range(3)], 1) / count[:, None]).astype(np.float32)
    source, paint = folded[there], np.ones((len(there), 4), np.float32)
    paint[:, :3] = rgb[there]
    # One over the fourth power of the distance, in place: the one large matrix here.
    weight = centre.dot(-2 * source.T)
    weight += np.square(centre).sum(1)[:, None]
    weight += np.square(source).sum(1)
    np.maximum(weight, 0, out=weight)
    weight += np.float32(SOFT ** 2)
    np.divide(np.float32(SOFT ** 2), weight, out=weight)
    weight *= weight
    weight += np.float32(1e-30)  # a stray point: all sources alike
    summed = weight.dot(paint)
    colours = summed[:, :3] / summed[:, 3:]
    return np.rint(colours).astype(np.uint8)[cell]
