"""Meshes on disk: binary glTF (GLB) and Wavefront OBJ. Written whole or not at all."""

import json
import struct
from typing import Any, Dict, List

import numpy as np

from edge.client.meshing import Mesh
from edge.errors import MeshError
from edge.ply import atomic_file

FORMATS = (".glb", ".obj")
#: Component types and buffer targets of glTF 2.0.
_FLOAT, _UINT, _VERTICES, _INDICES = 5126, 5125, 34962, 34963


def to_gltf_axes(vectors: np.ndarray) -> np.ndarray:
    """Canonical (x forward, y left, z up) to glTF's axes: +Y up, a model's front towards +Z, its left towards +X."""
    return np.ascontiguousarray(vectors[:, [1, 2, 0]], np.float32)


def linear(rgb: np.ndarray) -> np.ndarray:
    """sRGB uint8 to the linear float32 in 0..1 that glTF's vertex colours are (IEC 61966-2-1)."""
    value = np.asarray(rgb, np.float64) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_glb(mesh: Mesh, length: float = 1.0) -> bytes:
    """One mesh with normals and colours as GLB. length: what to multiply by; the car's, in metres, gives metres."""
    position = to_gltf_axes(mesh.vertices * length)
    planes = [
        (position, _FLOAT, "VEC3", _VERTICES), (to_gltf_axes(mesh.normals), _FLOAT, "VEC3", _VERTICES),
        (linear(mesh.rgb), _FLOAT, "VEC3", _VERTICES),
        (mesh.triangles.astype("<u4").reshape(-1), _UINT, "SCALAR", _INDICES),
    ]  # fmt: skip
    body = b""
    views: List[Dict[str, Any]] = []
    accessors: List[Dict[str, Any]] = []
    for number, (values, component, kind, target) in enumerate(planes):
        data = values.astype(values.dtype.newbyteorder("<")).tobytes()  # each a multiple of 4 bytes long
        views.append({"buffer": 0, "byteOffset": len(body), "byteLength": len(data), "target": target})
        accessors.append({"bufferView": number, "componentType": component, "count": len(values), "type": kind})
        body += data
    accessors[0].update(min=position.min(0).tolist(), max=position.max(0).tolist())
    document = {
        "asset": {"version": "2.0", "generator": "carcloud"},
        "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0, "name": "car"}],
        "meshes": [{"primitives": [{
            "attributes": {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}, "indices": 3, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"metallicFactor": 0, "roughnessFactor": 0.8}}],
        "buffers": [{"byteLength": len(body)}], "bufferViews": views, "accessors": accessors,
    }  # fmt: skip
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def to_obj(mesh: Mesh, length: float = 1.0) -> bytes:
    """As OBJ in the canonical axes, with colours (0..1, sRGB) behind each vertex, which MeshLab and Blender read."""
    lines = ["# carcloud: x forward, y left, z up"]
    colours = mesh.rgb / 255.0
    lines += ["v %.6g %.6g %.6g %.4g %.4g %.4g" % (tuple(vertex) + tuple(colour))
              for vertex, colour in zip((mesh.vertices * length).tolist(), colours.tolist())]
    lines += ["vn %.4g %.4g %.4g" % tuple(normal) for normal in mesh.normals.tolist()]
    lines += ["f %d//%d %d//%d %d//%d" % (a, a, b, b, c, c) for a, b, c in (mesh.triangles + 1).tolist()]
    return ("\n".join(lines) + "\n").encode("ascii")


def write_mesh(path: str, mesh: Mesh, length: float = 1.0) -> None:
    """Write a mesh in the format of the path's extension. Raises MeshError for another one."""
    with atomic_file(check_path(path)) as handle:
        handle.write(to_glb(mesh, length) if path.lower().endswith(".glb") else to_obj(mesh, length))


def check_path(path: str) -> str:
    """The path again. Raises MeshError if its extension is none of :data:`FORMATS`."""
    if not path.lower().endswith(FORMATS):
        raise MeshError("%s: a mesh is written as %s; name the file so" % (path, " or ".join(FORMATS)))
    return path
