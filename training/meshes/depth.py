"""Depth maps of a car by casting rays against all its triangles (glass opaque), with Open3D's Embree scene."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge.errors import DataError
from edge.geometry import look_rotation, pixel_grid
from training.meshes.model import CarMesh


def scene_of(mesh: CarMesh) -> Any:
    """An ``open3d.t.geometry.RaycastingScene`` of all triangles; primitive ids follow ``mesh.merged()``."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise DataError(
            f"Open3D cannot be imported ({error}); install open3d-cpu and the system library libusb-1.0-0"
        ) from error
    vertices, faces = mesh.merged()
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(open3d.core.Tensor(vertices), open3d.core.Tensor(faces.astype(np.uint32)))
    return scene


def cast(scene: Any, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cast rays (..., 3) from ``origins`` along unit ``directions``.

    Returns distance (...,) float32, inf where nothing is hit; triangle (...,) int64, -1; unit normal (..., 3).
    """
    import open3d

    rays = np.concatenate([np.broadcast_to(origins, directions.shape), directions], axis=-1).astype(np.float32)
    answer = scene.cast_rays(open3d.core.Tensor(np.ascontiguousarray(rays)))
    triangle = answer["primitive_ids"].numpy().astype(np.int64)
    distance = answer["t_hit"].numpy()
    triangle[~np.isfinite(distance)] = -1
    return distance, triangle, answer["primitive_normals"].numpy()


def orthographic_rays(rotation: np.ndarray, width: float, distance: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Origins and directions (size, size, 3) of an orthographic camera's pixel centres, canonical frame.

    The camera plane lies ``distance`` before the origin, as in :func:`edge.geometry.project`.
    """
    x, y = pixel_grid(size, width)
    camera = np.stack([x, y, np.full_like(x, -distance)], axis=-1)
    return camera @ rotation, np.broadcast_to(rotation[2], camera.shape)


def orthographic_depth(mesh: CarMesh, rotations: np.ndarray, width: float, distance: float, size: int) -> np.ndarray:
    """Depth maps (V, size, size) float32 of orthographic cameras: camera-frame depth at pixel centres, 0 = no hit.

    mesh: in the canonical frame. rotations: (V, 3, 3) float32, rows right, down, forward. width: side of the frame
    and distance: depth of the origin, both in canonical units, so that ``edge.geometry.back_project`` with the same
    numbers gives points on the surface. What lies behind the camera plane is not seen: ``distance`` should exceed the
    car's half diagonal (0.65 for the widest and tallest cars).
    """
    scene = scene_of(mesh)
    maps = np.zeros((len(rotations), size, size), np.float32)
    for index, rotation in enumerate(np.asarray(rotations, np.float32)):
        hit, _, _ = cast(scene, *orthographic_rays(rotation, width, distance, size))
        maps[index] = np.where(np.isfinite(hit), hit, 0.0)
    return maps


def random_rotations(rng: np.random.Generator, count: int) -> np.ndarray:
    """Rotations (count, 3, 3) float32 of cameras at random places all round, image up as near to +z as may be.

    Uniform over the sphere, as the random viewpoints Lin, Kong, Lucey 2018 render for their second stage; the roll
    about the viewing direction is kept upright. Within 1 degree of the poles a direction is drawn again.
    """
    rotations: list[np.ndarray] = []
    while len(rotations) < count:
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        if abs(direction[2]) < np.cos(np.radians(1.0)):
            rotations.append(look_rotation(tuple(direction)))
    return np.stack(rotations) if rotations else np.zeros((0, 3, 3), np.float32)
