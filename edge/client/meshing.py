"""A closed, coloured surface from a car's cloud, by Open3D.

Points that can be seen from nowhere outside (insides of mirrors, second layers in wheel arches) are left out, normals
point to where they are seen from (Katz, Tal and Basri 2007), and a Poisson surface (Kazhdan and Hoppe 2013) goes
through them.
"""

from typing import Any, NamedTuple, Tuple

import numpy as np

from edge.errors import MeshError
from edge.geometry import Cloud

#: Directions from which the cloud is looked at, and in how many a point must be seen.
DIRECTIONS, SEEN = 24, 2
#: Distance of the eye and radius of the flipping sphere of the visibility test, in diagonals of the cloud. A larger
#: sphere sees deeper into wheel arches, and more of what lies beneath the surface.
EYE, SPHERE = 2.0, 100.0
#: Neighbours, and how far they may be (diagonals), of a normal.
NEIGHBOURS, REACH = 30, 0.035
#: Octree depths of the Poisson surface, tried in turn until it is closed: 2^7 cells along 1.2 times the car.
DEPTHS = (7, 6, 5)
MARGIN = 1.2
#: Passes of smoothing that keeps the volume (Taubin 1995).
SMOOTHING = 5
#: How far the surface may reach beyond the cloud, of its size on each side.
SLACK = 0.005
#: Fewer points give no car.
LEAST_POINTS = 300
#: Colour of a cloud without colours.
GREY = 200


class Mesh(NamedTuple):
    """A closed triangle mesh. vertices, normals: (V, 3) float32, the cloud's frame and unit, normals outwards.
    triangles: (T, 3) int32, anticlockwise seen from outside. rgb: (V, 3) uint8, sRGB."""

    vertices: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    rgb: np.ndarray


def make_mesh(cloud: Cloud) -> Mesh:
    """The surface of a cloud. Takes seconds. Raises MeshError: Open3D is missing, or there is no closed surface."""
    points = np.asarray(cloud.points, np.float64)
    if len(points) < LEAST_POINTS:
        raise MeshError("a cloud of %d points gives no surface; it takes %d or more" % (len(points), LEAST_POINTS))
    if not np.isfinite(points).all():
        raise MeshError("the cloud has points that are not finite; make it again")
    diagonal = float(np.linalg.norm(np.ptp(points, axis=0)))
    if not np.linalg.matrix_rank(points - points.mean(0), tol=1e-3 * diagonal) == 3:
        raise MeshError("the cloud is flat; a surface takes points on all sides of a body")
    open3d = _open3d()
    kept, normals = outside(open3d, points, diagonal)
    rgb = np.full((len(points), 3), GREY, np.uint8) if cloud.rgb is None else np.asarray(cloud.rgb, np.uint8)
    given = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points[kept]))
    given.normals = open3d.utility.Vector3dVector(normals)
    for depth in DEPTHS:
        surface = _largest(open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
            given, depth=depth, scale=MARGIN)[0])
        if is_closed(np.asarray(surface.triangles)):
            return _finished(open3d, surface, points[kept], rgb[kept])
    raise MeshError("no closed surface goes through this cloud; take one of a car seen whole, and with more points")


def outside(open3d: Any, points: np.ndarray, diagonal: float) -> Tuple[np.ndarray, np.ndarray]:
    """Which points (N,) bool can be seen from outside, and their unit normals (K, 3), outwards."""
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    centre = (points.min(0) + points.max(0)) / 2
    count, towards = np.zeros(len(points), int), np.zeros_like(points)
    for direction in directions(DIRECTIONS):
        index = np.asarray(cloud.hidden_point_removal(centre + EYE * diagonal * direction, SPHERE * diagonal)[1])
        count[index] += 1
        towards[index] += direction
    kept = count >= SEEN
    if kept.sum() < LEAST_POINTS:
        raise MeshError("only %d points of the cloud lie on its outside; take one of a car seen whole" % kept.sum())
    part = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points[kept]))
    part.estimate_normals(open3d.geometry.KDTreeSearchParamHybrid(REACH * diagonal, NEIGHBOURS))
    normals = np.asarray(part.normals).copy()
    inwards = (normals * towards[kept]).sum(1) < 0
    normals[inwards] = -normals[inwards]
    return kept, normals


def directions(count: int) -> np.ndarray:
    """Unit vectors (count, 3), evenly over the sphere: a Fibonacci lattice."""
    index = np.arange(count) + 0.5
    z = 1 - 2 * index / count
    turn, radius = np.pi * (1 + 5**0.5) * index, np.sqrt(1 - z * z)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], 1)


def is_closed(triangles: np.ndarray) -> bool:
    """Whether each edge of triangles (T, 3) lies between exactly two of them."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    return len(edges) > 0 and bool((np.unique(edges, axis=0, return_counts=True)[1] == 2).all())


def _largest(surface: Any) -> Any:
    """The largest connected part."""
    labels, counts, _ = surface.cluster_connected_triangles()
    if len(counts):
        surface.remove_triangles_by_mask(np.asarray(labels) != int(np.argmax(np.asarray(counts))))
        surface.remove_unreferenced_vertices()
    return surface


def _finished(open3d: Any, surface: Any, points: np.ndarray, rgb: np.ndarray) -> Mesh:
    """Smoothed, coloured, and no larger than the cloud: where no points are, as below many cars, the surface bulges."""
    surface = surface.filter_smooth_taubin(SMOOTHING)
    low, high = points.min(0), points.max(0)
    slack = SLACK * (high - low)
    vertices = np.clip(np.asarray(surface.vertices), low - slack, high + slack)
    triangles = np.asarray(surface.triangles)
    surface.vertices = open3d.utility.Vector3dVector(vertices)
    if volume(vertices, triangles) < 0:
        triangles = triangles[:, ::-1]
    surface.triangles = open3d.utility.Vector3iVector(triangles)
    surface.compute_vertex_normals()
    return Mesh(vertices.astype(np.float32), np.asarray(surface.vertex_normals).astype(np.float32),
                triangles.astype(np.int32), _colours(open3d, vertices, points, rgb))


def volume(vertices: np.ndarray, triangles: np.ndarray) -> float:
    """Of a closed mesh, positive if its triangles turn anticlockwise seen from outside."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def _colours(open3d: Any, vertices: np.ndarray, points: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """(V, 3) uint8: the mean of the four nearest points' colours, the nearer the heavier."""
    search = open3d.core.nns.NearestNeighborSearch(open3d.core.Tensor(np.ascontiguousarray(points)))
    search.knn_index()
    index, squared = (found.numpy() for found in search.knn_search(
        open3d.core.Tensor(np.ascontiguousarray(vertices)), 4))
    weight = 1.0 / (squared + 1e-6)
    mean = (rgb[index] * weight[..., None]).sum(1) / weight.sum(1)[:, None]
    return np.rint(mean).astype(np.uint8)


def _open3d() -> Any:
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise MeshError("surfaces are made by Open3D, which does not start here (%s); type: pip install open3d-cpu, or "
                        "on Python 3.9 and older: pip install open3d" % error)
    return open3d
