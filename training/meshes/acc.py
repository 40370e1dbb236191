"""AC3D files, the plain kind and TORCS's .acc: normals on vertex lines, triangle strips, several texture layers."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edge.errors import DataError


class AccObject(NamedTuple):
    """One object of an AC3D file, in the file's own axes.

    vertices: (V, 3) float32. faces: (F, 3) int32. uv: (F, 3, 2) float32, origin bottom left.
    texture: file name of the base layer, or "". colour: sRGB of the material of its first surface.
    """

    name: str
    texture: str
    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    colour: tuple[float, float, float]


def read_acc(path: Path) -> list[AccObject]:
    """All objects with surfaces of an AC3D file, ``loc`` and ``rot`` applied. DataError if it is none or cut short."""
    lines = path.read_text(encoding="latin-1").splitlines()
    if not lines or not lines[0].startswith("AC3D"):
        raise DataError(f"{path} is no AC3D file: its first line does not start with AC3D; fetch the meshes again")
    reader = _Reader(lines)
    try:
        reader.read()
    except (IndexError, ValueError) as error:
        raise DataError(
            f"{path} is damaged near line {reader.line} ({error}); delete it and run: python -m training meshes fetch"
        ) from error
    return reader.objects


class _Reader:
    """Recursive reader over the lines of one file."""

    def __init__(self, lines: list[str]):
        self.lines, self.line = lines, 1
        self.materials: list[tuple[float, float, float]] = []
        self.objects: list[AccObject] = []

    def read(self) -> None:
        while self.line < len(self.lines):
            words = shlex.split(self.lines[self.line])
            if words and words[0] == "MATERIAL":
                start = words.index("rgb") + 1
                red, green, blue = (float(w) for w in words[start : start + 3])
                self.materials.append((red, green, blue))
                self.line += 1
            elif words and words[0] == "OBJECT":
                self._object(np.eye(3), np.zeros(3))
            else:
                self.line += 1

    def _object(self, rotation: np.ndarray, offset: np.ndarray) -> None:
        """One OBJECT up to its ``kids`` line, then the kids. Rotation and offset are the parents'."""
        name, texture, location, turn = "", "", np.zeros(3), np.eye(3)
        vertices = np.zeros((0, 3))
        surfaces: list[tuple[int, int, np.ndarray]] = []
        self.line += 1
        while True:
            words = shlex.split(self.lines[self.line])
            self.line += 1
            key = words[0] if words else ""
            if key == "name":
                name = words[1]
            elif key == "texture" and (len(words) < 3 or words[2] == "base"):
                texture = words[1]
            elif key == "loc":
                location = np.array([float(w) for w in words[1:4]])
            elif key == "rot":
                turn = np.array([float(w) for w in words[1:10]]).reshape(3, 3).T
            elif key == "data":
                self.line += 1
            elif key == "numvert":
                vertices = self._vertices(int(words[1]))
            elif key == "numsurf":
                surfaces = [self._surface() for _ in range(int(words[1]))]
            elif key == "kids":
                break
        offset = offset + rotation @ location
        rotation = rotation @ turn
        self._add(name, texture, vertices @ rotation.T + offset, surfaces)
        for _ in range(int(words[1])):
            self._object(rotation, offset)

    def _vertices(self, count: int) -> np.ndarray:
        """``count`` lines of x y z, perhaps followed by a normal, which is dropped."""
        rows = [[float(w) for w in line.split()[:3]] for line in self.lines[self.line : self.line + count]]
        if len(rows) != count:
            raise ValueError("vertices missing")
        self.line += count
        return np.array(rows).reshape(-1, 3)

    def _surface(self) -> tuple[int, int, np.ndarray]:
        """One SURF: (kind, material, rows of vertex index, u, v)."""
        kind, material = int(self.lines[self.line].split()[1], 16), 0
        self.line += 1
        while True:
            words = self.lines[self.line].split()
            self.line += 1
            if words[0] == "mat":
                material = int(words[1])
            elif words[0] == "refs":
                count = int(words[1])
                break
        rows = [[float(w) for w in line.split()[:3]] for line in self.lines[self.line : self.line + count]]
        if len(rows) != count:
            raise ValueError("surface corners missing")
        self.line += count
        return kind, material, np.array(rows).reshape(-1, 3)

    def _add(self, name: str, texture: str, vertices: np.ndarray, surfaces: list[tuple[int, int, np.ndarray]]) -> None:
        triangles = [_triangles(kind, rows) for kind, _, rows in surfaces]
        triangles = [t for t in triangles if len(t)]
        if not triangles:
            return
        corners = np.concatenate(triangles)
        faces = corners[:, :, 0].astype(np.int32)
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(f"object {name} refers to vertex {faces.max()} of {len(vertices)}")
        material = surfaces[0][1]
        colour = self.materials[material] if material < len(self.materials) else (0.5, 0.5, 0.5)
        uv = corners[:, :, 1:3].astype(np.float32)
        self.objects.append(AccObject(name, texture, vertices.astype(np.float32), faces, uv, colour))


def _triangles(kind: int, rows: np.ndarray) -> np.ndarray:
    """Corner rows (n, 3) of a surface to triangles (F, 3, 3).

    Low nibble of ``kind``: 0 a polygon (fan), 4 a strip of TORCS, anything else a line.
    """
    count, shape = len(rows), kind & 0x0F
    if count < 3 or shape not in (0, 4):
        return np.zeros((0, 3, 3))
    if shape == 0:
        index = [(0, i, i + 1) for i in range(1, count - 1)]
    else:
        index = [(i, i + 1, i + 2) if i % 2 == 0 else (i + 1, i, i + 2) for i in range(count - 2)]
    triangles = rows[np.array(index)]
    vertex = triangles[:, :, 0]
    good = (vertex[:, 0] != vertex[:, 1]) & (vertex[:, 1] != vertex[:, 2]) & (vertex[:, 2] != vertex[:, 0])
    return triangles[good]
