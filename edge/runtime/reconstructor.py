"""One picture of a car to one point cloud: crop, network, fusion, colour, each timed."""

import time
from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from edge.bundle import Bundle
from edge.errors import SettingsError
from edge.geometry import Cloud, square_box
from edge.pose import Pose
from edge.runtime.backends import Backend
from edge.runtime.colour import filled, looked_up
from edge.runtime.memory import Memory
from edge.runtime.outputs import BodyClass, Length, check_finite, class_of, length_of, make_cloud, pose_of

if TYPE_CHECKING:
    from edge.runtime.silhouette import Silhouette

#: x, y, width, height in pixels.
Box = Tuple[float, float, float, float]


class Reconstruction(NamedTuple):
    """What one picture gave.

    cloud: canonical frame. crop_box: left, top, side in pixels of the square the network saw, which may
    leave the picture. timings: milliseconds for "crop", "network", "fusion" and, with a pose, "colour"; "silhouette"
    and "average" where these are made.
    pose: the camera, in the coordinates of that square. length: of the car. body_class: the most probable one.
    Each of these three is None if the bundle's network does not tell it. directions: of the 24 around a car, those from
    which the frames were taken that the cloud is the mean of; 0 if it is of this picture alone. silhouette: (S, S)
    float32, probability of each part of the square to show the car; None without a network for it.
    """

    cloud: Cloud
    crop_box: Tuple[int, int, int]
    timings: Dict[str, float]
    pose: Optional[Pose] = None
    length: Optional[Length] = None
    body_class: Optional[BodyClass] = None
    directions: int = 0
    silhouette: Optional[np.ndarray] = None

    def facts(self) -> Dict[str, Any]:
        """Pose (degrees), length (metres) and body class for JSON; None where the network does not tell it."""
        pose, length, body = self.pose, self.length, self.body_class
        return {
            "pose": pose and {
                "azimuth": round(pose.azimuth, 1), "elevation": round(pose.elevation, 1),
                "certainty": round(pose.certainty, 3),
            },
            "length": length and {
                "metres": round(length.metres, 2), "plus_minus": round(length.metres * length.relative_error, 2),
            },
            "body_class": body and {"name": body.name, "probability": round(body.probability, 3)},
            "directions": self.directions,
        }  # fmt: skip


class Reconstructor:
    """Crops, runs the network, makes the cloud, averages and colours it. Reuses its buffers: :meth:`predict` belongs to
    one thread, :meth:`finish` to one, which may be another.

    max_points: upper limit of a cloud's size, 0 for none.
    colour: whether clouds get the picture's colours, which takes a network that tells the pose. silhouette: tells which
    of these are the car's and not of what stands before it.
    """

    def __init__(
        self, bundle: Bundle, backend: Backend, max_points: int = 16384, colour: bool = True,
        silhouette: Optional["Silhouette"] = None,
    ) -> None:
        self.bundle = bundle
        self.backend = backend
        self.max_points = max_points
        self.colour = colour
        self.silhouette = silhouette
        self._input = backend.buffer((1, 3, bundle.input_size, bundle.input_size))
        #: Whether both networks see the same crop, which then is made once.
        self._shared = silhouette is not None and silhouette.takes(self._input.shape, bundle.mean, bundle.std)

    def reconstruct(
        self, image_bgr: np.ndarray, box: Optional[Box] = None, memory: Optional[Memory] = None
    ) -> Reconstruction:
        """The cloud of the car in one picture: :meth:`predict`, then :meth:`finish`."""
        return self.finish(self.predict(image_bgr, box), image_bgr, memory)

    def predict(self, image_bgr: np.ndarray, box: Optional[Box] = None) -> Reconstruction:
        """What the network makes of one picture: a cloud without colours.

        image_bgr: (H, W, 3) uint8. box: the car's box; without one the car is taken to fill the picture.
        Raises SettingsError for a box without area or outside the picture, BackendError from the network, also if
        what it gives is not finite.
        """
        clock = [time.perf_counter()]
        square = crop_box(image_bgr.shape[1], image_bgr.shape[0], box, self.bundle.margin)
        crop = crop_square(image_bgr, square, self.bundle.input_size)
        normalise(crop, self.bundle.mean, self.bundle.std, self._input[0])
        clock.append(time.perf_counter())
        outputs = self.backend.run({self.bundle.input_name: self._input})
        clock.append(time.perf_counter())
        check_finite(outputs)
        cloud = make_cloud(self.bundle, outputs, self.max_points)
        pose, length, body = pose_of(outputs), length_of(outputs), class_of(self.bundle, outputs)
        clock.append(time.perf_counter())
        timings = {n: (end - start) * 1e3 for n, start, end in zip(("crop", "network", "fusion"), clock, clock[1:])}
        made = Reconstruction(cloud, square, timings, pose, length, body)
        if self.silhouette is not None:
            mask = self.silhouette.of(self._input) if self._shared else self.silhouette.mask(image_bgr, square)
            made = made._replace(silhouette=mask)
            timings["silhouette"] = self.silhouette.milliseconds
        return made

    def finish(
        self, made: Reconstruction, image_bgr: np.ndarray, memory: Optional[Memory] = None
    ) -> Reconstruction:
        """A prediction, coloured from its picture and, with a memory, averaged.

        memory: of this car's frames before; then the cloud, its colours, length and class are means over these and this
        one, which takes a bundle whose points correspond (:func:`edge.runtime.memory.corresponds`).
        """
        cloud, pose, timings = made.cloud, made.pose, dict(made.timings)
        start = time.perf_counter()
        if memory is not None:
            points, confidence, directions = memory.shape(cloud, pose)
            cloud = cloud._replace(points=points, confidence=confidence)
            length, body = memory.length(made.length), memory.body(made.body_class)
            made = made._replace(length=length, body_class=body, directions=directions)
            timings["average"] = (time.perf_counter() - start) * 1e3
        if self.colour and pose is not None:
            start = time.perf_counter()
            seen = (pose, made.crop_box, image_bgr, made.silhouette)
            if memory is None:
                cloud = filled(looked_up(cloud, *seen))
            else:
                cloud = memory.paint.add(cloud, lambda whole, share: looked_up(whole, *seen, share))
            timings["colour"] = (time.perf_counter() - start) * 1e3
        return made._replace(cloud=cloud, timings=timings)


def crop_box(width: int, height: int, box: Optional[Box], margin: float) -> Tuple[int, int, int]:
    """Left, top and side of the square shown to the network, whole pixels; may leave the picture.

    Without a box it is the smallest square around the whole picture, with no margin.
    Raises SettingsError for a box without area or outside the picture.
    """
    if box is None:
        left, top, side = square_box((0, 0, width, height), 0.0)
    else:
        x, y, w, h = box
        if w <= 0 or h <= 0:
            raise SettingsError("box %s has no area; give --box x,y,width,height in pixels" % _text(box))
        if x >= width or y >= height or x + w <= 0 or y + h <= 0:
            raise SettingsError(
                "box %s lies outside the picture, which is %d x %d; give --box x,y,width,height in its pixels"
                % (_text(box), width, height)
            )
        left, top, side = square_box(box, margin)
    return int(np.floor(left + 0.5)), int(np.floor(top + 0.5)), max(1, int(np.floor(side + 0.5)))


def crop_square(image: np.ndarray, square: Tuple[int, int, int], size: int) -> np.ndarray:
    """Cut a square from a picture and scale it to ``size``; the border is repeated outside the picture.

    image: (H, W, 3) uint8. Returns (size, size, 3) uint8. The square must overlap the picture.
    The part inside is scaled first and padded afterwards: a panorama costs no panorama-sized copy.
    """
    left, top, side = square
    height, width = image.shape[:2]
    x0, x1 = max(left, 0), min(left + side, width)
    y0, y1 = max(top, 0), min(top + side, height)
    scale = size / float(side)
    # Where the part inside the picture lands in the crop, at least one pixel wide and high.
    u0, u1 = _span((x0 - left) * scale, (x1 - left) * scale, size)
    v0, v1 = _span((y0 - top) * scale, (y1 - top) * scale, size)
    inside = cv2.resize(image[y0:y1, x0:x1], (u1 - u0, v1 - v0), interpolation=cv2.INTER_AREA)
    if inside.shape[:2] == (size, size):
        return inside
    return cv2.copyMakeBorder(inside, v0, size - v1, u0, size - u1, cv2.BORDER_REPLICATE)


def normalise(crop_bgr: np.ndarray, mean: np.ndarray, std: np.ndarray, out: np.ndarray) -> np.ndarray:
    """BGR bytes (S, S, 3) to RGB planes, ``(value / 255 - mean) / std``, written to ``out`` (3, S, S) float32."""
    for channel in range(3):
        plane = out[channel]
        # dtype is given because NumPy 1.19 would compute uint8 x scalar in half precision.
        np.multiply(crop_bgr[:, :, 2 - channel], 1.0 / (255.0 * float(std[channel])), out=plane, dtype=np.float32)
        plane -= np.float32(mean[channel] / std[channel])
    return out


def _span(start: float, end: float, size: int) -> Tuple[int, int]:
    first = min(int(np.floor(start + 0.5)), size - 1)
    return first, min(size, max(first + 1, int(np.floor(end + 0.5))))


def _text(box: Box) -> str:
    return ",".join("%g" % value for value in box)
