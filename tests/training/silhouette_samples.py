"""Photos for tests: a bright car on a dark street, its mask, and a teacher that takes what is bright for the car."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from training.silhouette.photos import Photo


def painted(box: tuple[int, int, int, int] = (30, 20, 40, 24), size: tuple[int, int] = (120, 80)) -> Any:
    """A dark picture BGR with a bright car that fills ``box``, and its mask."""
    image = np.random.default_rng(0).integers(0, 60, (size[1], size[0], 3)).astype(np.uint8)
    mask = np.zeros((size[1], size[0]), np.uint8)
    x, y, w, h = box
    image[y : y + h, x : x + w] += np.uint8(150)
    mask[y : y + h, x : x + w] = 255
    return image, mask


def photo(name: str = "a.png", box: tuple[int, int, int, int] = (30, 20, 40, 24)) -> Photo:
    image, mask = painted(box)
    return Photo(name, np.ascontiguousarray(image[..., ::-1]), mask, tuple(float(v) for v in box))  # type: ignore[arg-type]


def make_album(folder: Path) -> dict[str, Path]:
    """Four photos with boxes and masks; the paths of both folders and of the file of boxes."""
    paths = {name: folder / name for name in ("photos", "masks")}
    boxes = {}
    for folder in paths.values():
        folder.mkdir()
    for number in range(4):
        box = (10 + 10 * number, 20, 40, 24)
        image, mask = painted(box)
        boxes[f"car{number}.png"] = box
        cv2.imwrite(str(paths["photos"] / f"car{number}.png"), image)
        cv2.imwrite(str(paths["masks"] / f"car{number}.png"), mask)
    paths["boxes"] = folder / "boxes.json"
    paths["boxes"].write_text(json.dumps(boxes))
    return paths


def threshold_graph(path: Path, side: int = 32) -> Path:
    """A network of the teacher's contract that takes what is brighter than the middle for standing out."""
    from onnx import TensorProto, helper, numpy_helper, save

    weight = numpy_helper.from_array(np.full((1, 3, 1, 1), 40, np.float32), "w")
    nodes = [helper.make_node("Conv", ["input", "w"], ["c"]), helper.make_node("Sigmoid", ["c"], ["output"])]
    graph = helper.make_graph(
        nodes, "t", [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1, side, side])], [weight],
    )  # fmt: skip
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path
