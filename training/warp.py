"""Cars of other shapes in training pictures: points and picture are bent alike, so that no look is bound to a shape.

There are few car bodies, each with a look of its own: a network may know a body by its look and remember its shape,
which is of no use for a body that it never saw. Here every batch shows the bodies in shapes that are drawn anew. The
registered points are moved by a smooth random field; the picture follows by the flow of those points that are seen.
After Zhu et al., "Face alignment across large poses: a 3D solution", CVPR 2016, who turn faces so; here the shape
changes and the pose stays.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as functional
from torch import Tensor

from training.batches import Batch, Truth
from training.networks.lifting import Projected, both_sides, project, rotation

#: Waves that a field is the sum of, and the most of them that fit into a car's length.
WAVES, SHORTEST = 6, 2.0
#: How much larger the changes of width and height are than those of a place in the car, in parts of either.
BOX = 4.0
#: Cells along the side of the flow, and how far behind the first point others are still seen, canonical units.
CELLS, DEEP = 32, 0.03


#: Points of the left half that the flow is made of.
FLOW_POINTS = 2048


def warped(batch: Batch, most: float, rng: torch.Generator) -> Batch:
    """A batch with its ``truth``, each car bent by an amount between 0 and ``most``; see :func:`bend`.

    rng: on the device of the batch.
    """
    assert batch.truth is not None
    azimuth, camera = batch.targets.azimuth, batch.targets.camera
    turned = rotation(torch.stack([azimuth.cos(), azimuth.sin()], 1), camera)
    amount = most * torch.rand(len(camera), generator=rng, device=camera.device)
    bent = bend(batch.truth.points, batch.truth.normals, turned, camera, amount, rng)
    targets = batch.targets._replace(camera=bent.camera, length=batch.targets.length * bent.longer)
    return batch._replace(
        image=follow(batch.image, batch.truth.points, bent, turned, camera), targets=targets,
        truth=Truth(bent.points, bent.normals, batch.truth.box * bent.box),
    )


class Bent(NamedTuple):
    """Left half of deformed cars: points and unit normals (B, N, 3), canonical (length 1, box about the origin).

    moved: (B, N, 3), the same points before they are centred and scaled to length 1. camera: (B, 6), the cameras that
    see ``points`` where the ones before saw ``moved``. longer: (B,), by what the car's length was multiplied.
    """

    points: Tensor
    normals: Tensor
    moved: Tensor
    camera: Tensor
    longer: Tensor
    box: Tensor


def bend(points: Tensor, normals: Tensor, turned: Tensor, camera: Tensor, amount: Tensor, rng: torch.Generator) -> Bent:
    """Move registered points (B, N, 3), left half, canonical, with unit normals by a smooth random field.

    turned: (B, 3, 3) of ``lifting.rotation``; camera: (B, 6), ``edge.pose.CAMERA``. amount: (B,), about the standard
    deviation of a displacement along one axis; 0 leaves a car as it is. rng: on the device of the points.
    """
    batch, device = len(points), points.device

    def normal(*shape: int) -> Tensor:
        return torch.randn((batch, *shape), generator=rng, device=device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand((batch, *shape), generator=rng, device=device)

    # Waves along the car and its height: what they do to the left half they do to the right one.
    ways = 2 * math.pi * SHORTEST * (2 * uniform(WAVES, 2) - 1)
    size = normal(WAVES, 3) * (2 / WAVES) ** 0.5 * amount[:, None, None]
    place = points[..., [0, 2]] @ ways.transpose(1, 2) + 2 * math.pi * uniform(1, WAVES)
    wave, slope = place.cos(), -place.sin()
    field = wave @ size
    stretch = BOX * amount[:, None] * normal(3)
    stretch[:, 0] = 0
    # Across, the middle plane stays where it is: there a field is in proportion to the distance from it.
    aside = points[..., 1:2] / 0.2
    across = field[..., 1:2] * aside
    moved = points * (1 + stretch[:, None]) + torch.cat([field[..., :1], across, field[..., 2:]], 2)
    # The field's derivatives, (B, N, 3 of the field, 2 of x and z).
    gradient = torch.einsum("bnw,bwc,bwd->bncd", slope, size, ways)
    gradient = torch.cat([gradient[:, :, :1], gradient[:, :, 1:2] * aside[..., None], gradient[:, :, 2:]], 2)
    jacobian = torch.diag_embed(1 + stretch)[:, None] + torch.stack(
        [gradient[..., 0], torch.zeros_like(gradient[..., 0]), gradient[..., 1]], 3
    )
    jacobian[..., 1, 1] += field[..., 1] / 0.2
    # A normal goes with the inverse transposed; for one direction that is a matrix of cofactors.
    rows = jacobian.unbind(2)
    cofactors = torch.stack([rows[1].cross(rows[2], 2), rows[2].cross(rows[0], 2), rows[0].cross(rows[1], 2)], 2)
    turned_normals = functional.normalize((cofactors @ normals[..., None])[..., 0], dim=2)
    return _framed(points, moved, turned_normals, turned, camera)


def _framed(points: Tensor, moved: Tensor, normals: Tensor, turned: Tensor, camera: Tensor) -> Bent:
    """Moved cars in their own canonical frames: what the box of the points was to the car's before, it is after."""
    low, high, new_low, new_high = points.amin(1), points.amax(1), moved.amin(1), moved.amax(1)
    longer = (new_high - new_low)[:, 0] / (high - low)[:, 0]
    # Where the old centre went, if it keeps its place in the box. Across the car it stays in the middle plane.
    share = -low / (high - low)
    centre = new_low + share * (new_high - new_low)
    centre[:, 1] = 0
    canonical = (moved - centre[:, None]) / longer[:, None, None]
    off = (turned @ centre[..., None])[..., 0]
    nearer = 1 + camera[:, 5] * off[:, 2]
    scale = camera[:, 4].exp() / nearer
    seen = torch.stack([
        camera[:, 0], camera[:, 1], camera[:, 2] + off[:, 0] * scale, camera[:, 3] + off[:, 1] * scale,
        (scale * longer).log(), camera[:, 5] * longer / nearer,
    ], 1)  # fmt: skip
    grown = (new_high - new_low) / (high - low)
    return Bent(canonical, normals, moved, seen, longer, grown / longer[:, None])


def follow(image: Tensor, points: Tensor, bent: Bent, turned: Tensor, camera: Tensor) -> Tensor:
    """Pictures (B, C, S, S) of cars with registered points (B, N, 3), as if the cars were the bent ones.

    turned: (B, 3, 3) of ``lifting.rotation`` and camera: (B, 6), how ``points`` are seen.
    """
    step = max(1, points.shape[1] // FLOW_POINTS)
    before, after, normals = (both_sides(half[:, ::step]) for half in (points, bent.moved, bent.normals))
    flow = seen_flow(project(before, turned, camera), project(after, turned, camera), after, normals, turned, camera)
    size = image.shape[-1]
    flow = functional.interpolate(flow, size=(size, size), mode="bilinear", align_corners=False)
    axis = (torch.arange(size, device=image.device) + 0.5) / size * 2 - 1
    grid = torch.stack([axis.expand(size, size), axis[:, None].expand(size, size)], 2)
    return functional.grid_sample(image, grid - flow.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)


def seen_flow(
    before: Projected, after: Projected, points: Tensor, normals: Tensor, turned: Tensor, camera: Tensor
) -> Tensor:
    """How far what each of CELLS x CELLS shows has come, (B, 2, CELLS, CELLS), crop units; around the car it fades out
    as it does at its edge.

    points, normals: (B, P, 3), as they are after.
    """
    batch = len(points)
    cam = points @ turned.transpose(1, 2)
    # From the camera to the point, times its distance: the axis where there is no perspective.
    ray = torch.cat([cam[..., :2] * camera[:, 5:6, None], 1 + camera[:, 5:6, None] * cam[..., 2:]], 2)
    facing = ((normals @ turned.transpose(1, 2)) * ray).sum(2) < 0
    column, row = ((after.place + 1) / 2 * CELLS).floor().long().unbind(2)
    inside = (column >= 0) & (column < CELLS) & (row >= 0) & (row < CELLS) & facing
    cells = CELLS * CELLS
    cell = torch.where(inside, row * CELLS + column, cells)
    cell = (cell + torch.arange(batch, device=points.device)[:, None] * (cells + 1)).flatten()
    depth = cam[..., 2].flatten()
    near = torch.full((batch * (cells + 1),), 9.0, device=points.device).scatter_reduce(0, cell, depth, "amin")
    front = (depth < near[cell] + DEEP).float()
    moved = torch.cat([(after.place - before.place).flatten(0, 1), torch.ones_like(front)[:, None]], 1) * front[:, None]
    total = torch.zeros(batch * (cells + 1), 3, device=points.device).index_add(0, cell, moved)
    total = total.unflatten(0, (batch, -1))[:, :-1].transpose(1, 2).unflatten(2, (CELLS, CELLS))
    return filled(total[:, :2], total[:, 2:])


def filled(total: Tensor, weight: Tensor) -> Tensor:
    """``total / weight``, and where there is no weight what is around (Gortler et al., "The Lumigraph", SIGGRAPH 1996:
    pull, push). total: (B, C, S, S), weight: (B, 1, S, S), S a power of two."""
    weight, total = weight.clamp_max(1.0), total / weight.clamp_min(1.0)
    pyramid = [(total, weight)]
    while total.shape[-1] > 1:
        total, weight = functional.avg_pool2d(total, 2), functional.avg_pool2d(weight, 2)
        pyramid.append((total, weight))
    value = total / weight.clamp_min(1e-6)
    for total, weight in reversed(pyramid[:-1]):
        value = functional.interpolate(value, scale_factor=2.0, mode="bilinear", align_corners=False)
        value = (total + 0.05 * value) / (weight + 0.05)
    return value
