"""The golden check: the bundle's own sample through a backend, compared with what the export saw."""

from typing import NamedTuple

import numpy as np

from edge.bundle import Bundle
from edge.errors import BundleError
from edge.runtime.backends import Backend

#: FP32 limits: 0.001 of a car's length (4 mm), and one mask pixel in a thousand.
POINT_LIMIT, MASK_LIMIT = 1e-3, 1e-3


class GoldenReport(NamedTuple):
    """point_error: largest difference of x, y or depth where the golden mask is set, canonical units.
    mask_error: part of the pixels whose mask differs. samples: pictures compared.
    """

    point_error: float
    mask_error: float
    samples: int

    @property
    def good(self) -> bool:
        """Whether both errors are within the limits (NaN is not)."""
        return self.point_error <= POINT_LIMIT and self.mask_error <= MASK_LIMIT


def check_golden(bundle: Bundle, backend: Backend) -> GoldenReport:
    """Run ``golden.npz``: ``image`` (N, 3, S, S), normalised as the network wants it, and ``maps`` (N, V, 4, H, W).

    Raises BundleError if the file is missing or holds something else, BackendError from the network.
    """
    path = bundle.file("golden.npz")
    try:
        with np.load(path, allow_pickle=False) as stored:
            image, maps = stored["image"].astype(np.float32), stored["maps"]
    except (OSError, ValueError, KeyError) as error:
        raise BundleError("%s cannot be read (%s); export the bundle again" % (path, error))
    size = bundle.input_size
    if image.shape[1:] != (3, size, size) or maps.shape != (len(image),) + bundle.output_shape[1:] or not len(image):
        raise BundleError(
            "%s holds image %s and maps %s, which do not fit the manifest; export the bundle again"
            % (path, image.shape, maps.shape)
        )
    point_error, wrong = 0.0, 0
    for sample, wanted in zip(image, maps):
        found = backend.run({bundle.input_name: sample[None]})[bundle.output_name][0]
        mask = wanted[:, 3] > bundle.threshold
        wrong += int(np.count_nonzero(mask != (found[:, 3] > bundle.threshold)))
        difference = np.abs(found[:, :3] - wanted[:, :3]).max(1)[mask]
        # np.maximum, unlike max(), keeps a NaN.
        point_error = float(np.maximum(point_error, difference.max() if difference.size else 0.0))
    return GoldenReport(point_error, wrong / float(maps[:, :, 3].size), len(image))
