"""Golden outputs of the networks beside the reconstructor: what an engine of them must give on the device.

The pictures are frames of the clip that ships with the device part, cut as the device cuts them and stored as float16,
so that what ONNX Runtime gave and what the device is asked are the same numbers.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.bundle import Bundle, Graph, load_bundle
from edge.errors import DataError
from edge.runtime.finder import open_finder
from edge.runtime.reconstructor import crop_box, crop_square, normalise
from export.compare import run_graph
from export.guests import GOLDEN, add_file

#: The clip of the device part, and how many frames of it are taken, evenly spread.
CLIP = Path(__file__).parent.parent / "edge" / "clips" / "demo.mp4"
FRAMES = 3


def write_golden(bundle: Path, section: str) -> None:
    """Put golden pictures and outputs of a bundle's ``finder`` or ``silhouette`` into it, and name the file there.

    Raises BundleError: no bundle, or without that network. DataError: the clip, or a car in it, is missing.
    """
    opened = load_bundle(str(bundle))
    spec = opened.finder if section == "finder" else opened.silhouette
    if spec is None:
        raise DataError(f"{bundle} holds no {section} network; put one in: python -m export {section} --help")
    frames = _frames()
    inputs = [_prepared(opened, section, frame, spec.graph, spec.mean, spec.std) for frame in frames]
    images = np.concatenate(inputs).astype(np.float16)
    outputs = run_graph(Path(spec.graph.path), images.astype(np.float32))
    arrays: dict[str, Any] = {"image": images, **{name: outputs[name] for name in spec.graph.outputs}}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    add_file(bundle, section, GOLDEN, f"golden-{section}.npz", content.getvalue())


def _prepared(
    bundle: Bundle, section: str, frame: np.ndarray, graph: Graph, mean: np.ndarray, std: np.ndarray
) -> np.ndarray:
    """(1, 3, S, S) float32: the whole frame for the finder, the car's crop for the silhouette network."""
    size = graph.input_shape[2]
    if section == "finder":
        small = cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA)
    else:
        small = crop_square(frame, _square(bundle, frame), size)
    return normalise(small, mean, std, np.empty((3, size, size), np.float32))[None]


def _square(bundle: Bundle, frame: np.ndarray) -> tuple[int, int, int]:
    """The crop around the most prominent car. Raises DataError without one."""
    finder = open_finder(bundle, "ort")
    if finder is None:
        return crop_box(frame.shape[1], frame.shape[0], None, bundle.margin)
    with finder:
        cars = finder.find(frame)
    if not cars:
        raise DataError(f"the bundle's finder sees no car in {CLIP.name}; put in another: python -m export finder")
    return crop_box(frame.shape[1], frame.shape[0], cars[0].box, bundle.margin)


def _frames() -> list[np.ndarray]:
    """Frames (H, W, 3) uint8 BGR of the clip. Raises DataError."""
    capture = cv2.VideoCapture(str(CLIP))
    try:
        frames = []
        while True:
            there, frame = capture.read()
            if not there:
                break
            frames.append(frame)
    finally:
        capture.release()
    if len(frames) < FRAMES:
        raise DataError(f"{CLIP} gives {len(frames)} frames, {FRAMES} are wanted; get the repository's clip again")
    return [frames[n] for n in np.linspace(0, len(frames) - 1, FRAMES).astype(int)]
