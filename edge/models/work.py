"""One photo to one model on disk: cloud (PLY), surface (GLB), turntable strip (PNG), and what is known of it (JSON).

The JSON is written last and holds a key of all that the model depends on: whoever finds it with the right key need not
make the model again.
"""

import hashlib
import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from edge.bundle import Bundle
from edge.client.meshfiles import to_glb
from edge.errors import CarcloudError, ImageError, NoCarError
from edge.geometry import SEEN, Cloud
from edge.models import stereo
from edge.models.template import Template
from edge.models.turntable import draw_frame, draw_strip
from edge.ply import atomic_file, to_bytes
from edge.runtime.finder import Finder, by_prominence
from edge.runtime.images import read_image
from edge.runtime.reconstructor import Box, Reconstruction, Reconstructor

#: Changes whenever models of the same photo would come out otherwise.
VERSION = 2
#: Widest and highest of a photo's thumbnail, pixels, and quality of the JPEGs.
THUMBNAIL, QUALITY = (280, 200), 82
#: Azimuth of the picture that stands for a model, of photos without a pose and of groups; and how far one stays away
#: from straight before and behind, where a car is hard to make out.
POSTER, ASIDE = 35.0, 28.0


class Order(NamedTuple):
    """What is wanted of each photo. mesh: surfaces too. strip: turntable pictures too. stereo: names of
    :data:`edge.models.stereo.FORMATS`."""

    mesh: bool = True
    strip: bool = True
    stereo: Tuple[str, ...] = ()


class Task(NamedTuple):
    """One photo. path: of the file. name: relative to its folder, with '/'. group: what it belongs to, or None. box: of
    the car, or None: it is looked for. stem: path of the model's files without endings. key: see :func:`key_of`."""

    path: str
    name: str
    group: Optional[str]
    box: Optional[Box]
    stem: str
    key: str


def key_of(path: str, box: Optional[Box], bundle: Bundle, order: Order, how: Tuple[Any, ...]) -> str:
    """What a model depends on: the photo's size and time, the box, the networks, what is wanted, and how it is run."""
    try:
        status = os.stat(path)
        photo: Tuple[int, ...] = (status.st_size, status.st_mtime_ns)
    except OSError:
        photo = ()
    files = sorted((name, entry["sha256"]) for name, entry in bundle.manifest["files"].items()
                   if name.endswith(".onnx"))
    text = json.dumps([VERSION, photo, box, files, order, how])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def read_record(stem: str, key: str) -> Optional[Dict[str, Any]]:
    """The record of a model that was made before; None if there is none with this key."""
    try:
        with open(stem + ".json", encoding="utf-8") as handle:
            record = json.load(handle)
    except (OSError, ValueError):
        return None
    there = isinstance(record, dict) and record.get("key") == key
    there = there and all(os.path.isfile(os.path.join(os.path.dirname(stem), name)) for name in record.get("files", []))
    return record if there else None


class Maker:
    """Makes models of photos; belongs to one process. reconstructor, finder: opened. template: None for no surfaces."""

    def __init__(
        self, reconstructor: Reconstructor, finder: Optional[Finder], template: Optional[Template], order: Order
    ) -> None:
        self._reconstructor = reconstructor
        self._finder = finder
        self._template = template
        self._order = order

    def make(self, task: Task) -> Dict[str, Any]:
        """Make and write one model; returns its record, whose ``status`` is ok, empty, "no car" or failed.

        Raises CarcloudError where nothing can be written (a full disk): the next photo would fare no better.
        """
        record: Dict[str, Any] = {"key": task.key, "photo": task.name, "group": task.group, "files": []}
        try:
            image = read_image(task.path)
            box, score = self._where(task, image)
            made = self._reconstructor.reconstruct(image, box)
        except NoCarError as error:
            return dict(record, status="no car", error=str(error))
        except CarcloudError as error:
            return dict(record, status="failed", error=str(error))
        record.update(self._facts(image, box, score, made))
        files = self._files(task, image, made)
        record["files"] = [os.path.basename(task.stem) + ending for ending in files]
        files[".json"] = (json.dumps(record, indent=1) + "\n").encode("utf-8")
        write_files(task.stem, files)
        return record

    def _where(self, task: Task, image: np.ndarray) -> Tuple[Optional[Box], Optional[float]]:
        """Box of the car, and how sure the finder is. Raises NoCarError."""
        if task.box is not None or self._finder is None:
            return task.box, None
        found = by_prominence(self._finder.find_still(image), (image.shape[1], image.shape[0]))
        if not found:
            raise NoCarError("%s: no car found; if the car fills each photo, add --no-find" % task.name)
        return found[0].box, found[0].score

    def _facts(
        self, image: np.ndarray, box: Optional[Box], score: Optional[float], made: Reconstruction
    ) -> Dict[str, Any]:
        cloud, bundle = made.cloud, self._reconstructor.bundle
        metres = made.length.metres if made.length is not None else None
        if metres is None and bundle.length_prior is not None:
            metres = bundle.length_prior.mean
        return {
            "status": "ok" if len(cloud.points) else "empty",
            "image_size": [int(image.shape[1]), int(image.shape[0])],
            "box": None if box is None else [round(float(value), 1) for value in box],
            "finder_score": None if score is None else round(score, 3),
            "points": len(cloud.points),
            "confidence": confidence_of(cloud),
            "size_m": size_of(cloud, metres),
            "seen": None if cloud.mark is None else round(float(np.mean(cloud.mark == SEEN)), 3),
            **made.facts(),
        }  # fmt: skip

    def _files(self, task: Task, image: np.ndarray, made: Reconstruction) -> Dict[str, bytes]:
        """Contents by ending."""
        notes = ["image %s" % task.name, "bundle %s" % self._reconstructor.bundle.name]
        azimuth = POSTER if made.pose is None else best_side(made.pose.azimuth)
        files = model_files(made.cloud, self._template, self._order, notes, azimuth)
        files[".photo.jpg"] = jpeg(thumbnail(image, made.crop_box))
        if self._order.stereo and made.pose is not None:
            pair = stereo.make_pair(image, made)
            for name in self._order.stereo:
                files[".%s.jpg" % name] = jpeg(stereo.FORMATS[name](pair), 90)
        return files


def best_side(azimuth: float) -> float:
    """Where to look at a car from that was photographed from ``azimuth``, degrees: from there, or a little aside."""
    azimuth = (azimuth + 180.0) % 360.0 - 180.0
    side = 1.0 if azimuth >= 0 else -1.0
    return side * min(max(abs(azimuth), ASIDE), 180.0 - ASIDE)


def model_files(
    cloud: Cloud, template: Optional[Template], order: Order, notes: List[str], azimuth: float = POSTER
) -> Dict[str, bytes]:
    """The files of a model by their endings, of a cloud in the canonical frame. azimuth: of the list's picture."""
    files = {".ply": to_bytes(cloud, tuple(notes + ["units car length = 1"]))}
    normals = None
    if template is not None and len(cloud.points):
        mesh = template.bend(cloud)
        normals = template.point_normals(mesh)
        if order.mesh:
            files[".glb"] = to_glb(mesh)
    if order.strip:
        files[".png"] = _png(draw_strip(cloud, normals))
    files[".poster.jpg"] = jpeg(draw_frame(cloud, azimuth, normals))
    return files


def write_files(stem: str, files: Dict[str, bytes]) -> None:
    """Write files by their endings, the JSON last, each whole or not at all. Raises CarcloudError."""
    try:
        os.makedirs(os.path.dirname(stem), exist_ok=True)
        for ending in sorted(files, key=lambda name: (name == ".json", name)):
            with atomic_file(stem + ending) as handle:
                handle.write(files[ending])
    except OSError as error:
        raise CarcloudError("cannot write %s: %s; make room, or give another --out. What is done is kept: the same "
                            "command goes on" % (error.filename or stem, error.strerror))


def confidence_of(cloud: Cloud) -> Optional[float]:
    """Of a whole model: the mean of its points' confidences, the share that should lie within 2 % of the car's length
    of the true surface; None where the network does not say."""
    if cloud.confidence is None or not len(cloud.confidence):
        return None
    return round(float(cloud.confidence.mean()), 4)


def size_of(cloud: Cloud, metres: Optional[float]) -> Optional[List[float]]:
    """Length, width and height in metres of a canonical cloud of a car so long."""
    if metres is None or not len(cloud.points):
        return None
    extents = np.ptp(cloud.points, axis=0)
    return [round(float(value) * metres / max(float(extents[0]), 1e-6), 2) for value in extents]


def thumbnail(image: np.ndarray, square: Tuple[int, int, int]) -> np.ndarray:
    """The car and a little of what is around it, at most THUMBNAIL large, (h, w, 3) uint8 BGR."""
    left, top, side = square
    # As wide as the thumbnail, around the middle of the square that the network saw.
    middle_x, middle_y, high = left + side / 2.0, top + side / 2.0, side * 0.85
    wide = high * THUMBNAIL[0] / THUMBNAIL[1]
    x0, x1 = int(max(0, middle_x - wide / 2)), int(min(image.shape[1], middle_x + wide / 2 + 1))
    y0, y1 = int(max(0, middle_y - high / 2)), int(min(image.shape[0], middle_y + high / 2 + 1))
    part = image[y0:y1, x0:x1]
    shrink = min(1.0, THUMBNAIL[0] / part.shape[1], THUMBNAIL[1] / part.shape[0])
    size = max(1, int(part.shape[1] * shrink)), max(1, int(part.shape[0] * shrink))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))


def jpeg(image: np.ndarray, quality: int = QUALITY) -> bytes:
    """(H, W, 3) uint8 BGR as JPEG."""
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ImageError("OpenCV cannot write JPEG here; take another build: pip install opencv-python-headless")
    return bytes(data.tobytes())


def _png(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".png", image)
    if not done:
        raise ImageError("OpenCV cannot write PNG here; take another build: pip install opencv-python-headless")
    return bytes(data.tobytes())
