"""One closed surface for all cars of a bundle, bent to each cloud: a mesh in milliseconds instead of seconds.

The points of a bundle's clouds correspond (:func:`edge.runtime.memory.corresponds`). A Poisson surface of their mean is
made once; each of its vertices then moves as the points next to it move, and takes their colours. It stays closed,
because its triangles stay the same.
"""

import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from edge.bundle import Bundle
from edge.client.meshing import Mesh, is_closed, make_mesh
from edge.client.meshing import _open3d as require_open3d
from edge.errors import MeshError
from edge.geometry import Cloud

#: Triangles of the surfaces on disk and in the gallery.
FINE, COARSE = 20000, 10000
#: Points that a vertex goes along with.
NEIGHBOURS = 6


class Surface(NamedTuple):
    """A closed surface bound to points of clouds.

    vertices: (V, 3) float32 of the mean car. triangles: (T, 3) int32. rows: (V, K) int32, points of the cloud that each
    vertex goes along with, and weight: (V, K) float32, how much, summing to 1.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    rows: np.ndarray
    weight: np.ndarray


class Template(NamedTuple):
    """mean: (N, 3) float32, the mean cloud. fine, coarse: surfaces of it. nearest: (N,) int32, the vertex of ``fine``
    next to each point."""

    mean: np.ndarray
    fine: Surface
    coarse: Surface
    nearest: np.ndarray

    def bend(self, cloud: Cloud, surface: Optional[Surface] = None) -> Mesh:
        """The fine surface, or another of the template's, of one car's cloud (N, 3). Grey where it has no colours."""
        surface = self.fine if surface is None else surface
        moved = np.asarray(cloud.points, np.float32) - self.mean
        vertices = surface.vertices + _mixed(moved, surface)
        rgb = np.full(vertices.shape, 200, np.uint8)
        if cloud.rgb is not None:
            rgb = np.rint(_mixed(cloud.rgb.astype(np.float32), surface)).astype(np.uint8)
        return Mesh(vertices, vertex_normals(vertices, surface.triangles), surface.triangles, rgb)

    def point_normals(self, mesh: Mesh) -> np.ndarray:
        """Unit normals (N, 3) float32 of the cloud's points, of a mesh that :meth:`bend` made of it (the fine one)."""
        return mesh.normals[self.nearest]


def make_template(mean: np.ndarray) -> Template:
    """The template of a mean cloud (N, 3). Takes seconds. Raises MeshError: Open3D is missing, or no closed surface."""
    mesh = make_mesh(Cloud(np.asarray(mean, np.float32)))
    open3d = require_open3d()
    fine = _fewer(open3d, mesh, FINE)
    coarse = _fewer(open3d, mesh, COARSE)
    nearest = _nearest(open3d, fine[0], mean, 1)[0][:, 0]
    return Template(np.asarray(mean, np.float32), _bound(open3d, fine, mean), _bound(open3d, coarse, mean), nearest)


def mean_cloud(bundle: Bundle) -> np.ndarray:
    """(N, 3) float32: the mean of the clouds in the bundle's golden outputs. Raises MeshError where there are none."""
    with np.load(os.path.join(bundle.path, "golden.npz")) as golden:
        name = next((n for n in ("points", "vertices") if n in bundle.outputs and n in golden.files), None)
        if name is None:
            raise MeshError("the points of bundle %s do not correspond from picture to picture; add --no-mesh"
                            % bundle.name)
        return np.asarray(golden[name].mean(0), np.float32)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) float32: of the triangles around each vertex, the larger the more."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    face = np.cross(b - a, c - a)
    summed = np.stack([
        sum(np.bincount(triangles[:, corner], face[:, axis], len(vertices)) for corner in range(3))
        for axis in range(3)], 1)  # fmt: skip
    length = np.linalg.norm(summed, axis=1)
    summed[length < 1e-12] = (0.0, 0.0, 1.0)
    return (summed / np.maximum(length, 1e-12)[:, None]).astype(np.float32)


def _mixed(values: np.ndarray, surface: Surface) -> np.ndarray:
    """(V, 3) float32: weighted means of values (N, 3)."""
    total = np.zeros((len(surface.vertices), values.shape[1]), np.float32)
    for column in range(surface.rows.shape[1]):
        total += values[surface.rows[:, column]] * surface.weight[:, column, None]
    return total


def _fewer(open3d: Any, mesh: Mesh, triangles: int) -> Tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of the mesh with about so many triangles (Garland and Heckbert 1997), still closed."""
    whole = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(mesh.vertices.astype(np.float64)), open3d.utility.Vector3iVector(mesh.triangles))
    if len(mesh.triangles) > triangles:
        small = whole.simplify_quadric_decimation(triangles)
        if is_closed(np.asarray(small.triangles)):
            whole = small
    return np.asarray(whole.vertices), np.asarray(whole.triangles).astype(np.int32)


def _bound(open3d: Any, surface: Tuple[np.ndarray, np.ndarray], points: np.ndarray) -> Surface:
    vertices, triangles = surface
    index, squared = _nearest(open3d, points, vertices, NEIGHBOURS)
    weight = 1.0 / (squared + 1e-6)
    weight /= weight.sum(1, keepdims=True)
    return Surface(vertices.astype(np.float32), triangles, index, weight.astype(np.float32))


def _nearest(open3d: Any, points: np.ndarray, queries: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
    """Rows (Q, count) int32 of the nearest points, and their squared distances."""
    def tensor(values: np.ndarray) -> Any:
        return open3d.core.Tensor(np.ascontiguousarray(values, np.float64))

    search = open3d.core.nns.NearestNeighborSearch(tensor(points))
    search.knn_index()
    index, squared = search.knn_search(tensor(queries), count)
    return index.numpy().astype(np.int32), squared.numpy()


def save_template(path: str, template: Template, key: str) -> None:
    """Keep a template in a file (NPZ); ``key`` says of what it was made."""
    from edge.ply import atomic_file

    arrays: Dict[str, Any] = {"key": np.array(key), "mean": template.mean, "nearest": template.nearest}
    for name, surface in (("fine", template.fine), ("coarse", template.coarse)):
        arrays.update({"%s_%s" % (name, field): value for field, value in surface._asdict().items()})
    with atomic_file(path) as handle:
        np.savez(handle, **arrays)


def load_template(path: str, key: str) -> Optional[Template]:
    """A template from :func:`save_template`; None if there is none, it is damaged, or made of something else."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            if str(kept["key"]) != key:
                return None
            fine, coarse = (
                Surface(*(kept["%s_%s" % (name, field)] for field in Surface._fields)) for name in ("fine", "coarse"))
            return Template(kept["mean"], fine, coarse, kept["nearest"])
    except (OSError, ValueError, KeyError, EOFError):
        return None
    except Exception as error:  # zipfile.BadZipFile, zlib.error: no common base, and a damaged file is made anew
        if type(error).__module__ in ("zipfile", "zlib"):
            return None
        raise
