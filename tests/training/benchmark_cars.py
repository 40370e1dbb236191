"""Toy cars for the benchmark's tests (two boxes, a body and a cabin), and a toy network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import trimesh
from onnx import TensorProto, helper, numpy_helper

from training.meshes.model import CarMesh, MeshPart


def box(extents: tuple[float, float, float], centre: tuple[float, float, float], name: str = "paint") -> MeshPart:
    """A closed box."""
    made = trimesh.creation.box(extents)
    vertices = (np.asarray(made.vertices) + centre).astype(np.float32)
    return MeshPart(name, "paint", vertices, np.asarray(made.faces, np.int32))


def toy_car(
    name: str, width: float = 1.8, cabin: float = 2.0, place: float = 0.0, body_class: str = "sedan"
) -> CarMesh:
    """4 m long, ``width`` wide, with a cabin of a length at a place, metres; all inner surfaces are kept."""
    parts = (box((4.0, width, 0.7), (0, 0, 0.35)), box((cabin, width * 0.8, 0.6), (place, 0, 1.0)))
    return CarMesh(name, "toy", "CC0", "nobody", body_class, name, parts, 4.0)


def constants(path: Path, **outputs: np.ndarray) -> Path:
    """An ONNX file that gives these arrays whatever the picture."""
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value.astype(np.float32)))
        for name, value in outputs.items()
    ]
    made = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in outputs.items()],
    )
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path
