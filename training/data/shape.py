"""One shape's arrays: pictures, cameras, depth maps of the fixed and of random views, the true cloud."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from edge.geometry import VIEW_DISTANCE, VIEW_WIDTH, cube_corner_views
from training.data.shards import IMAGE_SIZE, ShardMeta, ShardSettings
from training.meshes.depth import orthographic_depth, random_rotations
from training.meshes.library import split_of
from training.meshes.model import CarMesh
from training.render.renderer import Renderer
from training.render.views import random_view

#: Half the range of the stretch factors of length, width and height.
STRETCH = 0.1
#: Points of the true cloud: originals as CarPC-1 wants them, stretched variants fewer (they only train).
POINTS, VARIANT_POINTS = 100_000, 20_000


def shape_rng(seed: int, body: str, variant: int) -> np.random.Generator:
    """The random stream of one shape; depends on nothing but these three."""
    return np.random.default_rng([seed, zlib.crc32(body.encode()), variant])


def planned(mesh: CarMesh, settings: ShardSettings) -> Iterator[ShardMeta]:
    """The shards of one body: the original, and for training bodies ``settings.variants`` stretched ones."""
    split = split_of(mesh.name)
    for variant in range(1 + (settings.variants if split == "train" else 0)):
        drawn = shape_rng(settings.seed, mesh.name, variant).uniform(1 - STRETCH, 1 + STRETCH, 3)
        stretch = (float(drawn[0]), float(drawn[1]), float(drawn[2])) if variant else (1.0, 1.0, 1.0)
        yield ShardMeta(
            f"{mesh.name}-{variant}", mesh.name, variant, stretch, split, mesh.body_class, mesh.source,
            mesh.length_m * stretch[0], settings.pictures, settings.novel, settings.seed,
        )


def shape_of(mesh: CarMesh, meta: ShardMeta) -> CarMesh:
    """The variant's mesh in the canonical frame."""
    return (mesh.stretched(meta.stretch) if meta.variant else mesh).canonical()


def stretched_cloud(cloud: np.ndarray, mesh: CarMesh, meta: ShardMeta) -> np.ndarray:
    """The original's outside-visible cloud (P, 3), carried along by a variant's stretch.

    What is visible from outside does not change under an affine map (lines of sight stay lines), so the costly test
    is done once a body. The density stays that of the original body, uneven by at most the stretch.
    """
    lower, upper = mesh.canonical().bounds()
    factors = np.asarray(meta.stretch, np.float32)
    picked = cloud if not meta.variant else cloud[:: max(len(cloud) // VARIANT_POINTS, 1)]
    return (picked * factors / ((upper - lower) * factors).max()).astype(np.float32)


def shape_arrays(shape: CarMesh, meta: ShardMeta, cloud: np.ndarray, renderer: Renderer) -> dict[str, np.ndarray]:
    """Everything but the meta of one shard; see ``docs/shards.md`` for names, shapes and units."""
    rng = shape_rng(meta.seed + 1, meta.body, meta.variant)
    pictures = [random_view(shape, rng, renderer) for _ in range(meta.pictures)]
    rotations = random_rotations(rng, meta.novel)
    fixed = cube_corner_views().rotations
    depth = orthographic_depth(shape, np.concatenate([fixed, rotations]), VIEW_WIDTH, VIEW_DISTANCE, IMAGE_SIZE)
    return {
        "images": np.stack([p.rgb for p in pictures]),
        "masks": np.stack([p.mask for p in pictures]),
        "K": np.stack([p.K for p in pictures]).astype(np.float32),
        "R": np.stack([p.R for p in pictures]).astype(np.float32),
        "t": np.stack([p.t for p in pictures]).astype(np.float32),
        "box": np.array([p.box for p in pictures], np.float32),
        "view": np.array([[p.azimuth_deg, p.elevation_deg, p.focal_mm] for p in pictures], np.float32),
        "fixed_depth": depth[: len(fixed)].astype(np.float16),
        "novel_depth": depth[len(fixed):].astype(np.float16),
        "novel_rotation": rotations.astype(np.float32),
        "cloud": cloud,
    }
