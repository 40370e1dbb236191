"""A sheet of random training pictures, with real photos beside them, and how fast they are made."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from edge.errors import DataError, ImageError
from edge.geometry import square_box
from edge.ply import atomic_file
from edge.runtime.images import list_images, read_image
from training.meshes.model import CarMesh
from training.render.renderer import Renderer
from training.render.views import Picture, random_view

Box = tuple[float, float, float, float]
#: Pictures in one row of the sheet, and white pixels between two.
COLUMNS, GAP = 8, 2
#: Pictures of one car before the next, when the rate is measured: as many as a shard holds.
PER_CAR = 24


def random_pictures(meshes: Sequence[CarMesh], count: int, size: int, seed: int) -> list[Picture]:
    """``count`` training pictures of cars drawn at random; deterministic by ``seed``."""
    rng = np.random.default_rng(seed)
    with Renderer(size) as renderer:
        order = rng.integers(0, len(meshes), count)
        return [random_view(meshes[i], rng, renderer) for i in tqdm(order, desc="pictures", mininterval=1.0)]


def crop(image: np.ndarray, box: Box, size: int, margin: float = 0.1) -> np.ndarray:
    """The square around a box, beyond the picture's border its last pixels, as (size, size, 3) uint8."""
    left, top, side = square_box(box, margin)
    scale = size / side
    shift = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    if scale < 1:    # a warp does not average: first an exact crop, then areas
        pad = int(max(side, 1))
        wide = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        x, y, n = int(round(left)) + pad, int(round(top)) + pad, int(round(side))
        cut = wide[max(y, 0) : y + n, max(x, 0) : x + n]
        return np.asarray(cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA))
    enlarged = cv2.warpAffine(image, shift, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(enlarged)


def photo_crops(folder: Path, boxes: Mapping[str, Box], size: int) -> list[np.ndarray]:
    """The photos that have a box (or all, whole, if there are no boxes), cropped as the network sees them."""
    names = [name for name in list_images(str(folder)) if not boxes or name in boxes]
    missing = sorted(set(boxes) - set(names))
    if missing:
        raise ImageError(f"{folder} holds no {missing[0]}, which the boxes name; put it there or take it off the list")
    crops = []
    for name in names:
        image = read_image(str(folder / name))
        box = boxes.get(name) or (0.0, 0.0, float(image.shape[1]), float(image.shape[0]))
        crops.append(crop(image[..., ::-1], box, size, 0.1 if name in boxes else 0.0))
    return crops


def grid(pictures: Sequence[np.ndarray], columns: int = COLUMNS) -> np.ndarray:
    """Pictures (S, S, 3) uint8 of one size in rows, white between and where none is left."""
    side = pictures[0].shape[0] + GAP
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * side + GAP, columns * side + GAP, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * side + GAP, index % columns * side + GAP
        sheet[top : top + side - GAP, left : left + side - GAP] = picture
    return sheet


def write_sheet(path: Path, pictures: Sequence[np.ndarray], photos: Sequence[np.ndarray]) -> None:
    """Pictures to the left, photos in two columns to the right of them."""
    sheet = grid(pictures)
    if photos:
        beside = grid(photos, 2)
        height = max(sheet.shape[0], beside.shape[0])
        both = [np.pad(s, ((0, height - s.shape[0]), (0, 0), (0, 0)), constant_values=255) for s in (sheet, beside)]
        sheet = np.concatenate([both[0], np.full((height, 8 * GAP, 3), 255, np.uint8), both[1]], axis=1)
    done, data = cv2.imencode(".png", sheet[..., ::-1])
    if not done:
        raise DataError(f"cannot encode the sheet for {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(str(path)) as handle:
        handle.write(data.tobytes())


def measured_rate(meshes: Sequence[CarMesh], seconds: float, size: int, seed: int) -> tuple[int, float, float]:
    """Pictures made with all labels in about ``seconds``, the seconds it took, and those of the processor.

    Each car is prepared anew, as when shards are made; opening the renderer is not counted.
    """
    rng, made = np.random.default_rng(seed), 0
    with Renderer(size) as renderer:
        random_view(meshes[0], rng, renderer)
        wall, busy = time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < seconds:
            mesh = meshes[int(rng.integers(len(meshes)))]
            for _ in range(PER_CAR):
                random_view(mesh, rng, renderer)
            made += PER_CAR
        return made, time.perf_counter() - wall, time.process_time() - busy


def rates(meshes: Sequence[CarMesh], processes: int, seconds: float, size: int) -> list[tuple[int, float, float]]:
    """:func:`measured_rate` in so many processes at once."""
    # spawn: an OpenGL context does not survive a fork.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        jobs = [(meshes, seconds, size, seed) for seed in range(processes)]
        return pool.starmap(measured_rate, jobs)
