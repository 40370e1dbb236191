"""CAD models of data sets as :class:`CarMesh`: OBJ with MTL, OFF; axes, a plausible size, what a material is."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from edge.errors import DataError
from training.datasets.base import LENGTH_M
from training.meshes.build import make_car, make_part
from training.meshes.model import CarMesh, MeshPart
from training.meshes.texture import to_linear
from training.meshes.wavefront import Material, read_mtl, read_obj

#: Rows give car x (forward), y (left), z (up) in the source's axes. All are rotations: nothing is mirrored.
NOSE_PLUS_X_UP_Y = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32)
NOSE_MINUS_Z_UP_Y = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]], np.float32)
NOSE_MINUS_Y_UP_Z = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
#: Width and height of anything that may be a car, in lengths: outside, the axes are wrong or it is no car.
PLAUSIBLE = {"width": (0.25, 0.75), "height": (0.15, 0.8)}
#: What material names of downloaded models usually say. Only a hint: most say nothing, and are paint.
NAMES = (
    (r"tyre|tire|rubber|pneu", "tyre"),
    (r"rim|wheel|hub|alloy", "rim"),
    (r"tail.?l|brake.?l|rear.?l|red.?glass", "light_rear"),
    (r"head.?l|front.?l|lamp|light", "light_front"),
    (r"glass|window|windshield|windscreen|vidro|vetro", "glass"),
    (r"chrome|mirror", "chrome"),
    (r"seat|interior|leather|dash|steer", "interior"),
    (r"grill|trim|plastic|bumper.?black", "trim"),
)
#: Opacity below which a material without a telling name is taken for glass.
CLEAR = 0.85


def category_of(material: Material) -> str:
    """Category of a material by its name, else glass if it is translucent, else paint."""
    name = material.name.lower()
    for pattern, category in NAMES:
        if re.search(pattern, name):
            return category
    return "glass" if material.opacity < CLEAR else "paint"


def read_obj_parts(path: Path, materials: Path | None) -> list[MeshPart | None]:
    """Parts of an OBJ in the file's axes and units times 1000, named by category and number.

    The factor keeps welding (10 micrometres) from joining the vertices of a model 1 unit long; undo it later.
    DataError if the file is gone or damaged.
    """
    try:
        text = path.read_text(encoding="latin-1")
        library = read_mtl(materials.read_text(encoding="latin-1")) if materials is not None else {}
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path} or its .mtl cannot be read ({error}); unpack the model again") from error
    try:
        groups = read_obj(text, str(path))
    except DataError as error:
        # The mesh importers' message ends with how to fetch their own meshes.
        raise DataError(f"{str(error).partition(';')[0]}; unpack the model again") from error
    parts = []
    for index, group in enumerate(groups):
        material = library.get(group.material, Material(group.material))
        category = category_of(material)
        colour = to_linear(np.array(material.colour))
        parts.append(make_part(f"{category}_{index}", category, group.vertices * 1000, group.faces, colour))
    return parts


def read_off(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float32 and triangles (F, 3) int64 of an OFF file; polygons become fans. DataError if damaged."""
    try:
        lines = (line.partition("#")[0] for line in path.read_text(encoding="latin-1").splitlines())
        rows = [line.split() for line in lines if line.strip()]
        first = rows[0][0]
        if not first.upper().startswith("OFF"):
            raise ValueError("its first line does not start with OFF")
        # Some writers put the counts on the first line: "OFF 8 12 0".
        counts, start = (rows[0][1:], 1) if len(rows[0]) > 1 else (rows[1], 2)
        vertices, faces = int(counts[0]), int(counts[1])
        points = np.array([[float(v) for v in row[:3]] for row in rows[start : start + vertices]], np.float32)
        polygons = [[int(v) for v in row] for row in rows[start + vertices : start + vertices + faces]]
        triangles = [
            (p[1], p[k], p[k + 1]) for p in (row[: row[0] + 1] for row in polygons) for k in range(2, len(p) - 1)
        ]
        index = np.array(triangles, np.int64).reshape(-1, 3)
        if points.shape != (vertices, 3) or len(polygons) != faces or (index.size and not _within(index, vertices)):
            raise ValueError("fewer vertices or faces than its header says")
    except (OSError, ValueError, IndexError) as error:
        raise DataError(f"{path} is damaged or no OFF file ({error}); unpack it from its archive again") from error
    return points, index


def _within(index: np.ndarray, count: int) -> bool:
    return bool(index.min() >= 0 and index.max() < count)


def as_car(parts: list[MeshPart | None], axes: np.ndarray, mirror: bool = False, **about: str) -> CarMesh:
    """A car in the car frame from parts in a source's axes, scaled to :data:`LENGTH_M`.

    ``about``: name, source, licence, attribution. DataError if nothing is left or it is not shaped like a car.
    """
    there = [part for part in parts if part is not None]
    if not there:
        raise DataError(f"{about['name']} holds no triangles; unpack the model again")
    matrix = axes * np.array([[1], [-1 if mirror else 1], [1]], np.float32)
    turned = [part.vertices @ matrix.T for part in there]
    extent = np.max([v.max(0) for v in turned], axis=0) - np.min([v.min(0) for v in turned], axis=0)
    _check_proportions(extent, about["name"])
    scale = LENGTH_M / float(extent[0])
    # Welded again, at the final size.
    final = [make_part(p.name, p.category, v * scale, p.faces, p.colour) for p, v in zip(there, turned)]
    attribution = f"{about.pop('attribution')}; real size not known, scaled to {LENGTH_M} m long"
    return make_car(final, body_class="unknown", ancestry=about["name"], attribution=attribution, **about)


def _check_proportions(extent: np.ndarray, name: str) -> None:
    length, width, height = (float(v) for v in extent)
    for word, value in (("width", width), ("height", height)):
        low, high = PLAUSIBLE[word]
        if not length > 0 or not low <= value / length <= high:
            raise DataError(
                f"{name} measures {length:.3g} x {width:.3g} x {height:.3g} (length, width, height in file units): "
                f"a car's {word} is {low} to {high} of its length, so this model is left out"
            )
