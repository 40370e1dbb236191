"""Which pixels of a crop show the followed car: the bundle's silhouette network."""

import time
from typing import Optional, Tuple

import cv2
import numpy as np

from edge.bundle import Bundle, SilhouetteSpec
from edge.errors import SettingsError
from edge.runtime.backends import Backend, open_backend
from edge.runtime.outputs import check_finite
from edge.runtime.reconstructor import crop_square, normalise

#: Left, top and side of a square in pixels; it may leave the picture.
Square = Tuple[int, int, int]


def open_silhouette(
    bundle: Bundle, backend: str = "auto", threads: int = 0, precision: str = "auto", engines: Optional[str] = None
) -> Optional["Silhouette"]:
    """The bundle's silhouette network in a backend of its own, None for a bundle without one. Raises BackendError."""
    if bundle.silhouette is None:
        return None
    graph = bundle.silhouette.graph
    return Silhouette(bundle.silhouette, open_backend(bundle, backend, threads, graph, precision, engines))


class Silhouette:
    """Tells car from what is not. Reuses its buffers, so it belongs to one thread. Closes its backend.

    threshold: probability from which a pixel is the car's. milliseconds: what the last crop took.
    """

    def __init__(self, spec: SilhouetteSpec, backend: Backend) -> None:
        self.threshold = spec.threshold
        self.milliseconds = 0.0
        self._spec, self.backend = spec, backend
        self._input = backend.buffer(spec.graph.input_shape)

    def __enter__(self) -> "Silhouette":
        return self

    def __exit__(self, *_: object) -> None:
        self.backend.close()

    @property
    def size(self) -> int:
        """Side S of the masks."""
        return int(self._input.shape[2])

    def mask(self, image_bgr: np.ndarray, square: Square) -> np.ndarray:
        """Probability (S, S) float32 of each part of a square of a picture (H, W, 3) uint8 to show the car.

        square: around the car's box, as ``edge.runtime.reconstructor.crop_box`` makes it. Raises SettingsError for one
        outside the picture, BackendError from the network, also if what it gives is not finite.
        """
        start = time.perf_counter()
        _check(square, image_bgr.shape[1], image_bgr.shape[0])
        crop = crop_square(image_bgr, square, self.size)
        normalise(crop, self._spec.mean, self._spec.std, self._input[0])
        return self._told(self._input, start)

    def takes(self, shape: Tuple[int, ...], mean: np.ndarray, std: np.ndarray) -> bool:
        """Whether a crop that was made for another network is the very one that this one wants."""
        same = np.array_equal(mean, self._spec.mean) and np.array_equal(std, self._spec.std)
        return same and tuple(shape) == self._input.shape

    def of(self, crop: np.ndarray) -> np.ndarray:
        """As :meth:`mask`, of a normalised crop (1, 3, S, S) float32 that it :meth:`takes`. Raises BackendError."""
        return self._told(crop, time.perf_counter())

    def _told(self, crop: np.ndarray, start: float) -> np.ndarray:
        outputs = self.backend.run({self._spec.graph.input_name: crop})
        check_finite(outputs)
        logits = np.clip(outputs["mask"][0, 0], -30.0, 30.0)
        found = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
        self.milliseconds = (time.perf_counter() - start) * 1e3
        return np.asarray(found)


def paste(mask: np.ndarray, square: Square, size: Tuple[int, int]) -> np.ndarray:
    """A square's mask (S, S) in 0..1 as that of the whole picture of ``size`` (width, height): (H, W) uint8, 255 =
    surely the car, 0 outside the square. Raises SettingsError for a square outside the picture."""
    left, top, side = square
    width, height = size
    _check(square, width, height)
    whole = np.zeros((height, width), np.uint8)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    # Only the part within the picture is scaled: its pixel (x, y) lies at this place of the mask, between the centres
    # of whose cells it is interpolated.
    scale = mask.shape[0] / float(side)
    move = np.array([[scale, 0, (x0 - left + 0.5) * scale - 0.5], [0, scale, (y0 - top + 0.5) * scale - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    levels = np.clip(mask * 255 + 0.5, 0, 255).astype(np.uint8)
    whole[y0:y1, x0:x1] = cv2.warpAffine(levels, move, (x1 - x0, y1 - y0), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return whole


def _check(square: Square, width: int, height: int) -> None:
    left, top, side = square
    if side < 1 or left >= width or top >= height or left + side <= 0 or top + side <= 0:
        raise SettingsError(
            "the square %d,%d of side %d lies outside the picture, which is %d x %d; give one around a car's box in it"
            % (left, top, side, width, height)
        )
