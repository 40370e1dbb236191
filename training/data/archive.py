"""One shape's tar: what its members are called and how they are coded. The form is described in ``docs/shards.md``."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.errors import DataError

if TYPE_CHECKING:  # what reads shards must not need OpenGL
    from training.meshes.visible import Surface
    from training.render.views import Picture

#: What goes wrong inside a tar that was damaged or not written by us.
DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error)
#: Key of the sample that describes the shape; pictures are called 0000, 0001, ...
SHAPE_KEY = "shape"
#: The pictures' images, each a PNG of the picture's size.
IMAGES = ("rgb", "mask", "silhouette", "parts")
Member = tuple[str, bytes]


def json_bytes(value: Any) -> bytes:
    """Compact JSON with sorted keys: the same bytes for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def npy_bytes(array: np.ndarray) -> bytes:
    """One array as ``.npy``."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npz_bytes(**arrays: np.ndarray) -> bytes:
    """Arrays as deflated ``.npz`` (its members' dates are always 1980). Depth maps shrink to a seventh."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def npz_arrays(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz``; no pickles."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def png_bytes(image: np.ndarray) -> bytes:
    """(H, W) or RGB (H, W, 3) uint8 as PNG."""
    written, data = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)
    if not written:
        raise DataError(f"an image of shape {image.shape} and type {image.dtype} cannot be written as PNG")
    return data.tobytes()


def png_image(data: bytes) -> np.ndarray:
    """(H, W) or RGB (H, W, 3) uint8 of a PNG. ValueError if it is none."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("a picture is not a readable PNG")
    return np.ascontiguousarray(image[..., ::-1]) if image.ndim == 3 else image


def picture_members(shape: str, number: int, picture: Picture) -> Iterator[Member]:
    """The members of one picture: four PNGs and the camera."""
    key = f"{shape}/{number:04d}"
    for name in IMAGES:
        yield f"{key}.{name}.png", png_bytes(getattr(picture, name))
    camera = {
        "K": np.asarray(picture.K, float).tolist(), "R": np.asarray(picture.R, float).tolist(),
        "t": np.asarray(picture.t, float).tolist(), "box": [float(v) for v in picture.box],
        "azimuth_deg": float(picture.azimuth_deg), "elevation_deg": float(picture.elevation_deg),
        "focal_mm": float(picture.focal_mm), "condition": str(picture.condition), "hidden": float(picture.hidden),
    }
    yield f"{key}.camera.json", json_bytes(camera)


def shape_members(
    shape: str, meta: dict[str, Any], fixed_depth: np.ndarray, novel: tuple[np.ndarray, np.ndarray], surface: Surface
) -> Iterator[Member]:
    """The members that describe the shape; the meta comes first, so that it is read without the rest."""
    key = f"{shape}/{SHAPE_KEY}"
    yield f"{key}.meta.json", json_bytes(meta)
    yield f"{key}.fixed.npz", npz_bytes(depth=fixed_depth.astype(np.float16))
    yield f"{key}.novel.npz", npz_bytes(depth=novel[0].astype(np.float16), rotation=novel[1].astype(np.float32))
    yield f"{key}.cloud.npy", npy_bytes(surface.points.astype(np.float16))
    normal = np.round(surface.normals * 127).astype(np.int8)
    yield f"{key}.surface.npz", npz_bytes(normal=normal, part=surface.parts)


def tar_bytes(members: Iterable[Member]) -> bytes:
    """A USTAR archive that depends on names and contents only: no dates, no owners, members in the given order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def tar_members(data: bytes, wanted: Callable[[str], bool]) -> Iterator[tuple[str, str, bytes]]:
    """Sample key, extension and content of the wanted members. wanted: by a member's name after the shape's.

    Raises one of ``DAMAGE`` on the first damaged header or cut member; also if the end of the archive is missing.
    """
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for info in tar:
            name = info.name.rpartition("/")[2]
            if not info.isreg() or not wanted(name):
                continue
            stream = tar.extractfile(info)
            content = stream.read() if stream is not None else b""
            if len(content) != info.size:
                raise tarfile.ReadError(f"{info.name} is cut short")
            key, _, extension = name.partition(".")
            yield key, extension, content
        # tarfile takes a cut, or a damaged header, for the end; two empty blocks are the true one.
        if data[tar.offset : tar.offset + 2 * tarfile.BLOCKSIZE] != bytes(2 * tarfile.BLOCKSIZE):
            raise tarfile.ReadError("a header is damaged or the end of the archive is missing")


def write_durably(target: Path, data: bytes) -> str:
    """Write a file so that its name appears when it is whole and on the disk; returns its SHA-256.

    The temporary name carries the process id: two runs never write the same one.
    """
    scratch = target.with_name(f"{target.name}.{os.getpid()}.part")
    with open(scratch, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(scratch, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name itself, which lives in the folder
    finally:
        os.close(folder)
    return hashlib.sha256(data).hexdigest()
