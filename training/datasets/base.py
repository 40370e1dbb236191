"""What a public data set holds, in the project's own terms: photos, renderings, meshes and volumes, lazily read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from edge.errors import DataError
from edge.geometry import look_rotation
from edge.photosets import PhotoSet, Published
from edge.photosets.base import Box
from training.meshes.model import CarMesh

#: Names of the splits, in the order in which they are shown. "none": the set does not say.
SPLITS = ("train", "validation", "test", "none")
#: ShapeNet's name for cars (WordNet 3.0 offset of car, auto, automobile).
CARS = "02958343"
#: Car length given to meshes that carry no unit, metres.
LENGTH_M = 4.5


@dataclass(frozen=True)
class Viewpoint:
    """Where the camera stands.

    azimuth_deg: 0 before the nose, 90 on the car's left, in [0, 360); None if the set's zero or sense is not known.
    elevation_deg: positive above the car. roll_deg: positive if the picture's content is turned clockwise.
    distance: in the set's own unit, or None. source_azimuth_deg: the number the set gives.
    """

    azimuth_deg: float | None
    elevation_deg: float
    roll_deg: float = 0.0
    distance: float | None = None
    source_azimuth_deg: float | None = None

    def rotation(self) -> np.ndarray:
        """(3, 3) float64, car frame to camera (rows right, down, forward), for a camera that looks at the origin.

        DataError if the azimuth is not known.
        """
        if self.azimuth_deg is None:
            raise DataError(f"the azimuth of this viewpoint is not known ({self.source_azimuth_deg} in the data set)")
        azimuth, elevation, roll = np.radians([self.azimuth_deg, self.elevation_deg, self.roll_deg])
        flat = np.cos(elevation)
        stand = (float(flat * np.cos(azimuth)), float(flat * np.sin(azimuth)), float(np.sin(elevation)))
        cos, sin = np.cos(roll), np.sin(roll)
        return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]) @ look_rotation(stand).astype(np.float64)


@dataclass(frozen=True)
class Lens:
    """A pinhole's intrinsics.

    focal, principal: pixels of the picture, or (``relative``) in picture widths, the principal point from the centre.
    """

    focal: float
    principal: tuple[float, float]
    relative: bool = False

    def matrix(self, width: int, height: int) -> np.ndarray:
        """K (3, 3) float64 for a picture of ``width`` x ``height`` pixels."""
        focal, (x, y) = self.focal, self.principal
        if self.relative:
            focal, x, y = focal * width, x * width + width / 2, y * width + height / 2
        return np.array([[focal, 0, x], [0, focal, y], [0, 0, 1]], np.float64)


@dataclass(frozen=True)
class Photo:
    """One car in one photo; a photo with three cars is three of these. ``flags``: occluded, truncated, difficult."""

    path: Path
    split: str = "none"
    box: Box | None = None
    class_name: str | None = None
    viewpoint: Viewpoint | None = None
    lens: Lens | None = None
    model_id: str | None = None
    flags: tuple[str, ...] = ()

    def load(self) -> np.ndarray:
        """RGB (H, W, 3) uint8. DataError if the file is gone or no picture."""
        return read_picture(self.path, "RGB")


@dataclass(frozen=True)
class Rendering:
    """One rendered picture of a model. ``frame``: index in a .npy stack, None if the file is one picture."""

    path: Path
    model_id: str
    split: str = "none"
    viewpoint: Viewpoint | None = None
    frame: int | None = None

    def load(self) -> np.ndarray:
        """(H, W, 4) uint8 with coverage if the file has it, else RGB (H, W, 3). DataError if it cannot be read."""
        if self.frame is None:
            return read_picture(self.path, None)
        return read_stack(self.path)[self.frame]


@dataclass(frozen=True)
class Asset:
    """Something 3-D of a model, read by :attr:`load`. kind: mesh, voxels, depth, cloud."""

    kind: str
    name: str
    path: Path
    load: Callable[[], Any]
    split: str = "none"


@dataclass(frozen=True)
class Contents:
    """What was found in a folder. missing: relative names of files that are listed or expected but not there."""

    root: Path
    photos: tuple[Photo, ...] = ()
    renderings: tuple[Rendering, ...] = ()
    assets: tuple[Asset, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of_photos(cls, found: PhotoSet) -> Contents:
        """A set of photos that the device part reads too."""
        photos = tuple(Photo(Path(p.path), p.split, p.box, p.group) for p in found.photos)
        return cls(Path(found.root), photos=photos, missing=tuple(found.missing), notes=tuple(found.notes))

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of items by kind (photos, renderings, meshes, ...) and split, only what there is."""
        plural = {"mesh": "meshes", "depth": "depth files", "cloud": "clouds"}
        rows = [("photos", p.split) for p in self.photos] + [("renderings", r.split) for r in self.renderings]
        rows += [(plural.get(a.kind, a.kind), a.split) for a in self.assets]
        counted = Counter(rows)
        kinds = dict.fromkeys(kind for kind, _ in rows)
        return {k: {s: counted[k, s] for s in SPLITS if counted[k, s]} for k in kinds}

    def meshes(self, split: str | None = None) -> Iterator[CarMesh]:
        """The meshes, one at a time, of one split or of all. DataError at a mesh that cannot be read."""
        for asset in self.assets:
            if asset.kind == "mesh" and split in (None, asset.split):
                yield asset.load()


@dataclass(frozen=True)
class DataSet:
    """An entry of the registry.

    gated: a registration or request stands before the download. where: the official page, and what to take there.
    layout: lines of the expected folder. verified: what the layout was checked against. opener: root -> Contents.
    marks: relative names of which one must be in the right folder.
    """

    name: str
    about: str
    licence: str
    gated: bool
    where: str
    layout: tuple[str, ...]
    verified: str
    marks: tuple[str, ...]
    opener: Callable[[Path], Contents]

    @property
    def published(self) -> Published:
        """The part that finding its folder needs."""
        return Published(self.name, self.gated, self.where, self.layout, self.marks)

    def source(self) -> str:
        """One sentence on where to get it."""
        return self.published.source()


def read_picture(path: Path, mode: str | None) -> np.ndarray:
    """(H, W, C) uint8 of a picture file; ``mode`` None keeps transparency as a fourth channel."""
    try:
        with Image.open(path) as image:
            transparent = image.mode in ("RGBA", "LA") or "transparency" in image.info
            return np.asarray(image.convert(mode or ("RGBA" if transparent else "RGB")))
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture ({error}); unpack it from its archive again") from error


def read_stack(path: Path) -> np.ndarray:
    """A .npy of pictures, (N, H, W, 3) uint8 (0..255 in any number type), without pickles."""
    try:
        stack = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read as a .npy array ({error}); unpack it again") from error
    if stack.ndim != 4 or stack.shape[-1] not in (3, 4):
        raise DataError(f"{path} holds an array of shape {stack.shape}; expected pictures (N, H, W, 3)")
    return stack.astype(np.uint8)
