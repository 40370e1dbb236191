"""One shape, from its plan to its shard: the mesh, the true cloud, depth maps and pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import DataError
from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, cube_corner_views
from training.data.archive import Member, picture_members, shape_members
from training.data.plan import ShapePlan, donors_of, fingerprint, shape_rng
from training.data.shards import FORMAT, FORMAT_VERSION, MAP_SIZE, Entry, shard_path, write_shard
from training.meshes.depth import orthographic_depth, random_rotations
from training.meshes.model import CarMesh
from training.meshes.visible import outside_surface
from training.render.renderer import Renderer
from training.render.views import random_view
from training.shapes.augment import vary
from training.shapes.parametric import parametric_car

#: Points of the true cloud: originals as CarPC-1 wants them; what only trains gets fewer.
POINTS, VARIANT_POINTS = 100_000, 20_000
#: Numbers of the random streams of a shape.
VARY, VIEWS = 0, 1
#: What a shape's time goes into.
STAGES = ("shape", "cloud", "depth", "pictures", "write")


class Stopwatch:
    """Seconds spent in each of :data:`STAGES`."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        yield
        self.seconds[stage] += time.perf_counter() - start


def make_shape(
    root: Path, plan: ShapePlan, bodies: Mapping[str, CarMesh], renderer: Renderer, watch: Stopwatch | None = None
) -> Entry:
    """Make one shape and write its shard; returns the entry for the index.

    bodies: all meshes by name, car frame, metres. renderer: of the plan's picture size. The bytes depend on plan and
    bodies only. Raises DataError if the mesh is unusable.
    """
    watch = watch or Stopwatch()
    shard_path(root, plan.name)  # an unusable name is refused before the work, not after it
    with watch.measure("shape"):
        mesh, recipe = mesh_of(plan, bodies)
        shape = mesh.canonical()
        meta = meta_of(plan, mesh, recipe)
    rng = shape_rng(plan, VIEWS)
    with watch.measure("cloud"):
        surface = outside_surface(shape, POINTS if plan.kind == "original" else VARIANT_POINTS, seed=0)
    with watch.measure("depth"):
        rotations, fixed = random_rotations(rng, plan.novel), cube_corner_views().rotations
        maps = orthographic_depth(shape, np.concatenate([fixed, rotations]), VIEW_WIDTH, VIEW_DISTANCE, MAP_SIZE)
    with watch.measure("pictures"):
        pictures = [random_view(shape, rng, renderer) for _ in range(plan.pictures)]
    with watch.measure("write"):
        members: list[Member] = list(
            shape_members(plan.name, meta, maps[: len(fixed)], (maps[len(fixed) :], rotations), surface)
        )
        for number, picture in enumerate(pictures):
            members += picture_members(plan.name, number, picture)
        return write_shard(root, meta, members)


def mesh_of(plan: ShapePlan, bodies: Mapping[str, CarMesh]) -> tuple[CarMesh, dict[str, Any]]:
    """The shape's mesh (car frame, metres) and how it was made, fit for JSON. Raises DataError for an unusable mesh."""
    if plan.kind == "parametric":
        number = int(plan.body.rpartition("-")[2])
        return _sound(parametric_car(plan.body_class, number)), {"body_class": plan.body_class, "number": number}
    body = _sound(bodies[plan.body])
    if plan.kind == "original":
        return body, {}
    mesh, recipe = vary(body, donors_of(bodies.values()), shape_rng(plan, VARY))
    return _sound(mesh), recipe


def meta_of(plan: ShapePlan, mesh: CarMesh, recipe: dict[str, Any]) -> dict[str, Any]:
    """Everything about a shape that is not an array: the plan, and what came of it."""
    lower, upper = mesh.bounds()
    return {
        "format": FORMAT, "format_version": FORMAT_VERSION, **asdict(plan),
        "source": mesh.source, "licence": mesh.licence, "attribution": mesh.attribution, "ancestry": mesh.ancestry,
        "length_m": float(mesh.length_m), "extents_m": [float(v) for v in upper - lower],
        "triangles": sum(len(part.faces) for part in mesh.parts), "shape_sha256": fingerprint(mesh), "recipe": recipe,
    }


def _sound(mesh: CarMesh) -> CarMesh:
    """The mesh, if it can be rendered at all. DataError names it otherwise."""
    if not any(len(part.faces) for part in mesh.parts):
        raise DataError(f"{mesh.name} has no triangles; look at it: python -m training meshes check")
    for part in mesh.parts:
        if not np.isfinite(part.vertices).all() or (len(part.faces) and part.faces.max() >= len(part.vertices)):
            raise DataError(
                f"part {part.name} of {mesh.name} has vertices that are not finite or missing; "
                "look at it: python -m training meshes check"
            )
    lower, upper = mesh.bounds()
    if not (upper - lower).max() > 0:
        raise DataError(f"{mesh.name} has no extent; look at it: python -m training meshes check")
    return mesh
