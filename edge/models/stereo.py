"""The second eye: a right view of a photo through the reconstructed car, as anaglyph or side by side.

Depth-image-based rendering (Fehn 2004): the car's points give the depth of its pixels, the ground that it stands on and
a backdrop that of the others; each pixel is then moved by its parallax, and what comes into view is filled from behind.
The eyes converge on the car's middle, so that it stands in the screen's plane.
"""

from typing import Callable, Dict, NamedTuple, Tuple

import cv2
import numpy as np

from edge.client.meshfiles import linear
from edge.errors import ImageError
from edge.pose import Pose, project, to_pixels
from edge.runtime.reconstructor import Reconstruction
from edge.runtime.silhouette import paste

#: Distance between the eyes, in distances to the car: the photographers' rule of thumb, one in thirty.
BASE = 1 / 30.0
#: The backdrop's depth behind the car, and the farthest camera, car lengths.
BACKDROP, FARTHEST = 4.0, 8.0
#: A pixel moves by at most this part of the picture's width, so that the eyes can follow.
MOST = 0.025
#: Widest gap, pixels, that opens within the car itself.
GAP = 9
#: Dubois 2001: red and cyan filters, mix of left and right light to R, G, B.
LEFT_TO_RGB = np.array([[0.437, 0.449, 0.164], [-0.062, -0.062, -0.024], [-0.048, -0.050, -0.017]], np.float32)
RIGHT_TO_RGB = np.array([[-0.011, -0.032, -0.007], [0.377, 0.761, 0.009], [-0.026, -0.093, 1.234]], np.float32)


class Pair(NamedTuple):
    """left: the photo, and right: the made view, (H, W, 3) uint8 BGR. shift: (H, W) float32, pixels that each pixel of
    the left one was moved by."""

    left: np.ndarray
    right: np.ndarray
    shift: np.ndarray


def make_pair(image_bgr: np.ndarray, made: Reconstruction, strength: float = 1.0) -> Pair:
    """Both views of a photo (H, W, 3) uint8 whose car was reconstructed from it. strength: times BASE.

    Raises ImageError if the network told no pose, or saw no car.
    """
    if made.pose is None or not len(made.cloud.points):
        raise ImageError("a second view takes a car and its pose; this bundle's network gave none")
    depth, car = depth_of(image_bgr.shape[1], image_bgr.shape[0], made, made.pose)
    distance = _distance(made.pose)
    scale = made.pose.scale * made.crop_box[2] / 2.0  # pixels per car length at the car's middle
    most = MOST * image_bgr.shape[1]
    shift = strength * BASE * distance * scale * depth / np.maximum(distance + depth, 0.2)
    shift = np.clip(shift, -most, most).astype(np.float32)
    return Pair(image_bgr, _moved(image_bgr, shift, car), shift)


def depth_of(width: int, height: int, made: Reconstruction, pose: Pose) -> Tuple[np.ndarray, np.ndarray]:
    """Depth of each pixel along the axis, (H, W) float32, car lengths, 0 at the car's middle, growing away; and which
    pixels are the car's, (H, W) bool."""
    place, depth = project(made.cloud.points, pose)
    at = to_pixels(place, made.crop_box)
    back = _ground(width, height, made, pose)
    step = max(2, made.crop_box[2] // 80)  # pixels of a cell, so large that the points leave no holes
    columns, rows = width // step + 1, height // step + 1
    cell = np.floor(at / step).astype(np.intp)
    inside = (cell[:, 0] >= 0) & (cell[:, 0] < columns) & (cell[:, 1] >= 0) & (cell[:, 1] < rows)
    near = np.full((rows, columns), np.inf, np.float32)
    np.minimum.at(near, (cell[inside, 1], cell[inside, 0]), depth[inside])
    car = np.isfinite(near)
    if not car.any():
        return back, np.zeros(back.shape, bool)
    # Empty cells take their neighbours' depth, so that the car's edge has its own and not the ground's.
    near = _grown(near, car)
    size = columns * step, rows * step
    whole = cv2.resize(near, size, interpolation=cv2.INTER_LINEAR)[:height, :width]
    if made.silhouette is not None:
        cover = paste(made.silhouette, made.crop_box, (width, height)) > 127
    else:
        cover = cv2.resize(car.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[:height, :width] > 0.5
    # A little of what is around the car goes with it: a rim of the car that stayed behind would be seen at once.
    rim = max(3, made.crop_box[2] // 60) * 2 + 1
    cover = cv2.dilate(cover.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (rim, rim))) > 0
    return np.where(cover, np.minimum(whole, back), back).astype(np.float32), cover


def _grown(near: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Cells that are not known take the depth of known ones next to them, eight cells far; the rest the mean."""
    values, there = np.where(known, near, 0).astype(np.float32), known.astype(np.float32)
    for _ in range(8):
        total = cv2.blur(values * there, (3, 3), borderType=cv2.BORDER_REPLICATE)
        share = cv2.blur(there, (3, 3), borderType=cv2.BORDER_REPLICATE)
        new = (there == 0) & (share > 0)
        values[new] = total[new] / share[new]
        there[new] = 1
    values[there == 0] = near[known].mean()
    return cv2.medianBlur(values, 3)


def _distance(pose: Pose) -> float:
    """From the camera to the car's middle, car lengths."""
    return 1.0 / pose.perspective if pose.perspective > 1.0 / FARTHEST else FARTHEST


def _ground(width: int, height: int, made: Reconstruction, pose: Pose) -> np.ndarray:
    """(H, W) float32: depth of the ground that the car stands on, up to the backdrop."""
    left, top, side = made.crop_box
    distance, rotation = _distance(pose), pose.rotation
    x = ((np.arange(width, dtype=np.float64) + 0.5 - left) * 2 / side - 1 - pose.x) / pose.scale
    y = ((np.arange(height, dtype=np.float64) + 0.5 - top) * 2 / side - 1 - pose.y) / pose.scale
    # A ray from the camera, which is `distance` before the car's middle, through (x, y, 0): it meets the plane
    # up . p = low at camera + t * (x, y, distance).
    up = rotation[:, 2]  # the car's z in the camera's frame
    low = float(made.cloud.points[:, 2].min())
    fall = (up[0] * x[None, :] + up[1] * y[:, None]) + up[2] * distance
    start = low + up[2] * distance  # low - up . camera, with the camera at (0, 0, -distance)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = start / fall
    depth = np.where(reach > 0, reach * distance - distance, BACKDROP)
    return np.asarray(np.clip(depth, -0.8 * distance, BACKDROP), np.float32)


def _moved(image: np.ndarray, shift: np.ndarray, car: np.ndarray) -> np.ndarray:
    """The picture with each pixel moved to the right by ``shift`` (H, W) pixels. car: (H, W) bool, whose pixels stay in
    front; what they uncover is made up of what is beside it."""
    height, width = shift.shape
    flat = shift.reshape(-1)
    row = np.repeat(np.arange(height), width)
    target = np.rint(np.arange(width) + shift).astype(np.intp).reshape(-1)
    order = np.argsort(-flat, kind="stable")  # far pixels move most to the right: near ones are written over them
    order = order[(target[order] >= 0) & (target[order] < width)]
    moved, front = np.full(height * width, np.nan, np.float32), np.zeros(height * width, bool)
    pixel = row[order] * width + target[order]
    moved[pixel], front[pixel] = flat[order], car.reshape(-1)[order]
    moved, front = moved.reshape(height, width), front.reshape(height, width)
    # A car's pixels move apart here and there: such a gap is the car's, too.
    inside = cv2.morphologyEx(front.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((GAP, GAP), np.uint8)) > 0
    uncovered = np.isnan(moved) & ~inside
    moved = _filled(moved)
    columns = np.arange(width, dtype=np.float32) - moved
    rows = np.ascontiguousarray(np.broadcast_to(np.arange(height, dtype=np.float32)[:, None], shift.shape))
    layers = [cv2.remap(layer, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
              for layer in (image, _behind(image, car))]
    return np.asarray(np.where(uncovered[:, :, None], layers[1], layers[0]))


def _behind(image: np.ndarray, car: np.ndarray) -> np.ndarray:
    """The picture without the car: in its place lies the mirror image of what is to its right. Only what is next to the
    car's right edge will be seen of it."""
    height, width = car.shape
    at = np.broadcast_to(np.arange(width), car.shape)
    edge = np.minimum.accumulate(np.where(car, width, at)[:, ::-1], 1)[:, ::-1]  # the next pixel that is not the car's
    source = np.where(car, np.minimum(2 * edge - 1 - at, width - 1), at)
    hidden = np.take_along_axis(car, source, 1)
    source = np.where(hidden, np.minimum(edge, width - 1), source)
    return np.asarray(np.take_along_axis(image, source[:, :, None], 1))


def _filled(values: np.ndarray) -> np.ndarray:
    """Rows whose gaps (NaN) take the larger of the values on either side: that of what is farther away."""
    known = ~np.isnan(values)
    index = np.where(known, np.arange(values.shape[1]), 0)
    before = np.maximum.accumulate(index, 1)
    index = np.where(known, np.arange(values.shape[1]), values.shape[1] - 1)
    after = np.minimum.accumulate(index[:, ::-1], 1)[:, ::-1]
    sides = [np.take_along_axis(values, side, 1) for side in (before, after)]
    return np.where(known, values, np.nan_to_num(np.fmax(sides[0], sides[1]))).astype(np.float32)


def anaglyph(pair: Pair) -> np.ndarray:
    """(H, W, 3) uint8 BGR for red and cyan glasses, red on the left eye. Mixed as light, which the glasses work on: as
    sRGB values, a blue car would be twice as bright for one eye as for the other."""
    light = _light_of(pair.left) @ LEFT_TO_RGB.T + _light_of(pair.right) @ RIGHT_TO_RGB.T
    light = np.clip(light, 0, 1)
    rgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.ascontiguousarray(np.rint(rgb * 255).astype(np.uint8).reshape(pair.left.shape)[:, :, ::-1])


def _light_of(image_bgr: np.ndarray) -> np.ndarray:
    """(N, 3) float32, linear R, G, B in 0..1 of an sRGB picture (H, W, 3) uint8 BGR."""
    return linear(np.arange(256, dtype=np.uint8))[image_bgr[:, :, ::-1].reshape(-1, 3)]


def side_by_side(pair: Pair) -> np.ndarray:
    """(H, 2 W, 3) uint8 BGR: the left eye's picture on the left, for phone viewers."""
    return np.concatenate([pair.left, pair.right], 1)


#: What a pair is written as.
FORMATS: Dict[str, Callable[[Pair], np.ndarray]] = {"anaglyph": anaglyph, "side-by-side": side_by_side}
