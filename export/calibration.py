"""What numbers flow through a network: on rendered pictures, and on photos cut as the device cuts them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import helper
from tqdm import tqdm

from edge.bundle import Bundle
from edge.errors import DataError

#: Suffixes of pictures that are read from a folder of photos.
PHOTOS = (".jpg", ".jpeg", ".png")
#: Numbers kept of each tensor and picture.
SAMPLES = 512
#: Cars of one photo that are cut out at most: the device's finder returns the likeliest first.
CARS = 2


class Pictures(NamedTuple):
    """Inputs of a network, normalised: calibration from which scales come, and others on which they are judged.

    calibration, held_out: (N, 3, S, S) float32. counts: what they are, for the manifest.
    """

    calibration: np.ndarray
    held_out: np.ndarray
    counts: dict[str, int]


class Range(NamedTuple):
    """What a tensor holds. values: (M,) float32, a sample of it. low, high: the least and the largest of all."""

    values: np.ndarray
    low: float
    high: float


def gather(bundle: Bundle, data: Path, photos: Path | None, rendered: int, real: int) -> Pictures:
    """Pictures for a bundle: ``rendered`` ones of the training cars in the shards ``data``, up to ``real`` crops of the
    folder ``photos``, and as many again, of the validation cars and of other photos, held out.

    Raises DataError: no shards, no photo, or no car on any.
    """
    parts = [_rendered(bundle, data, split, rendered) for split in ("train", "validation")]
    counts = {"rendered": len(parts[0]), "held_out_rendered": len(parts[1])}
    if photos is not None:
        crops = _photos(bundle, photos, 2 * real)
        # Photos in turn, not cars in turn: the two cars of one photo are in one light.
        sides = [
            np.array([crop for place, crop in crops if place % 2 == side], np.float32).reshape(-1, *parts[0].shape[1:])
            for side in (0, 1)
        ]
        counts |= {"photos": len(sides[0]), "held_out_photos": len(sides[1])}
        parts = [np.concatenate([part, side]) for part, side in zip(parts, sides, strict=True)]
    return Pictures(parts[0], parts[1], counts)


def _rendered(bundle: Bundle, data: Path, split: str, count: int) -> np.ndarray:
    """(N, 3, S, S) float32 pictures of a split, evenly spread over it."""
    from training.data.dataset import load_dataset

    limit = 1 if split == "train" else 0  # the training split does not fit into memory for a few hundred pictures
    images = load_dataset(data, split, bundle.input_size, limit=limit, novel=False, fixed=False, verify=False).images
    rows = np.linspace(0, len(images) - 1, min(count, len(images))).astype(int)
    return np.stack([_normalised(bundle, images[row][..., ::-1]) for row in rows])


def _photos(bundle: Bundle, folder: Path, most: int) -> list[tuple[int, np.ndarray]]:
    """Up to ``most`` crops of cars, each with the place of its photo in the list of photos."""
    from edge.runtime.finder import by_prominence, open_finder
    from edge.runtime.images import read_image
    from edge.runtime.reconstructor import crop_box, crop_square

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTOS)
    if not paths:
        raise DataError(f"{folder} holds no photo ({', '.join(PHOTOS)}); give another folder, or leave --photos out")
    finder = open_finder(bundle)
    if finder is None:
        raise DataError(f"bundle {bundle.path} has no finder to cut cars from photos; type: python -m export finder "
                        f"--bundle {bundle.path}, or leave --photos out")  # fmt: skip
    crops: list[tuple[int, np.ndarray]] = []
    with finder:
        for place, path in enumerate(tqdm(paths, desc="photos", mininterval=1.0, delay=2.0)):
            image = read_image(str(path))
            height, width = image.shape[:2]
            for found in by_prominence(finder.find_still(image), (width, height))[:CARS]:
                square = crop_box(width, height, found.box, bundle.margin)
                crops.append((place, _normalised(bundle, crop_square(image, square, bundle.input_size))))
    if not crops:
        raise DataError(f"no car was found on any of {len(paths)} photos in {folder}; give others, or none")
    return [crops[row] for row in np.linspace(0, len(crops) - 1, min(most, len(crops))).astype(int)]


def _normalised(bundle: Bundle, bgr: np.ndarray) -> np.ndarray:
    from edge.runtime.reconstructor import normalise

    return normalise(bgr, bundle.mean, bundle.std, np.empty((3, *bgr.shape[:2]), np.float32))


def ranges(model: onnx.ModelProto, names: Collection[str], images: np.ndarray) -> dict[str, Range]:
    """What the tensors ``names`` of a graph hold for ``images`` (N, 3, S, S), one picture at a time."""
    import onnxruntime

    wanted = sorted(set(names))
    given = model.graph.input[0].name
    opened = onnx.ModelProto.FromString(model.SerializeToString())
    have = {value.name for value in opened.graph.output} | {given}
    opened.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in wanted if name not in have)
    session = onnxruntime.InferenceSession(opened.SerializeToString(), providers=["CPUExecutionProvider"])
    run = [name for name in wanted if name != given]
    samples: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    low, high = dict.fromkeys(wanted, np.inf), dict.fromkeys(wanted, -np.inf)
    for number, image in enumerate(tqdm(images, desc="calibrating", mininterval=1.0, delay=2.0)):
        found = dict(zip(run, session.run(run, {given: image[None]}), strict=True))
        found |= {given: image} if given in samples else {}
        rng = np.random.default_rng(number)
        for name, value in found.items():
            flat = value.reshape(-1)
            low[name], high[name] = min(low[name], float(flat.min())), max(high[name], float(flat.max()))
            samples[name].append(flat if flat.size <= SAMPLES else flat[rng.integers(0, flat.size, SAMPLES)])
    return {name: Range(np.concatenate(samples[name]), low[name], high[name]) for name in wanted}
