"""Wavefront OBJ and MTL, the subset that furniture libraries use: polygons, materials, one picture a material."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edge.errors import DataError


class Material(NamedTuple):
    """name, sRGB diffuse colour, opacity 0..1, file name of the picture or ""."""

    name: str
    colour: tuple[float, float, float] = (0.5, 0.5, 0.5)
    opacity: float = 1.0
    picture: str = ""


class ObjGroup(NamedTuple):
    """Triangles of one material.

    vertices: (V, 3) float32 in the file's units and axes. faces: (F, 3) int32.
    uv: (F, 3, 2) float32, origin bottom left, zeros where the file has none.
    """

    material: str
    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray


def read_mtl(text: str) -> dict[str, Material]:
    """Materials by name."""
    materials: dict[str, Material] = {}
    name = ""
    for line in text.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "newmtl":
            name = " ".join(words[1:])
            materials[name] = Material(name)
        elif name and words[0] == "Kd":
            red, green, blue = (float(w) for w in words[1:4])
            materials[name] = materials[name]._replace(colour=(red, green, blue))
        elif name and words[0] == "d":
            materials[name] = materials[name]._replace(opacity=float(words[-1]))
        elif name and words[0] == "map_Kd":
            materials[name] = materials[name]._replace(picture=words[-1])
    return materials


def read_obj(text: str, where: str) -> list[ObjGroup]:
    """Triangles by material, in order of first use; polygons become fans. ``where`` names the file in errors.

    DataError if the text is no OBJ, or refers to a vertex it does not have.
    """
    vertices: list[list[float]] = []
    textures: list[list[float]] = []
    corners: dict[str, list[tuple[int, int]]] = {}
    current: list[tuple[int, int]] = corners.setdefault("", [])
    try:
        for line in text.splitlines():
            if line.startswith("v "):
                vertices.append([float(w) for w in line.split()[1:4]])
            elif line.startswith("vt "):
                textures.append([float(w) for w in line.split()[1:3]])
            elif line.startswith("usemtl"):
                current = corners.setdefault(line[6:].strip(), [])
            elif line.startswith("f "):
                ring = [_corner(w, len(vertices), len(textures)) for w in line.split()[1:]]
                for i in range(1, len(ring) - 1):
                    current.extend((ring[0], ring[i], ring[i + 1]))
        points = np.array(vertices, np.float32).reshape(-1, 3)
        layout = np.array([*textures, [0.0, 0.0]], np.float32).reshape(-1, 2)
        groups = [_group(name, points, layout, rows) for name, rows in corners.items() if rows]
    except (ValueError, IndexError) as error:
        raise DataError(f"{where} is damaged ({error}); delete it and run: python -m training meshes fetch") from error
    if not groups:
        raise DataError(f"{where} holds no faces; delete it and run: python -m training meshes fetch")
    return groups


def _corner(word: str, vertices: int, textures: int) -> tuple[int, int]:
    """Zero-based vertex and texture index of ``v``, ``v/t``, ``v//n`` or ``v/t/n``; texture -1 if there is none."""
    fields = word.split("/")
    vertex = int(fields[0])
    vertex = vertex - 1 if vertex > 0 else vertices + vertex
    if not 0 <= vertex < vertices:
        raise ValueError(f"face refers to vertex {fields[0]} of {vertices}")
    texture = int(fields[1]) if len(fields) > 1 and fields[1] else 0
    return vertex, texture - 1 if texture > 0 else (textures + texture if texture < 0 else -1)


def _group(name: str, points: np.ndarray, layout: np.ndarray, rows: list[tuple[int, int]]) -> ObjGroup:
    index = np.array(rows, np.int64).reshape(-1, 3, 2)
    used, inverse = np.unique(index[:, :, 0], return_inverse=True)
    return ObjGroup(name, points[used], inverse.reshape(-1, 3).astype(np.int32), layout[index[:, :, 1]])
