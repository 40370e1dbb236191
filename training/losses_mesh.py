"""Losses of a deformed mesh: Wang et al., "Pixel2Mesh", ECCV 2018. Chamfer distance of points drawn from the triangles
(there: of the vertices; not squared, see training/losses_points.py), and two that keep the mesh a mesh."""

from __future__ import annotations

import torch
from torch import Tensor

from training import losses_points
from training.losses_points import COUNT
from training.networks.base import Prediction
from training.networks.mesh import Mesh

#: What to weigh the parts with. The two others only have to keep triangles apart.
WEIGHTS = {"chamfer": 1.0, "laplacian": 0.3, "edges": 0.3}


def loss(
    prediction: Prediction, network: Mesh, cloud: Tensor, count: int = COUNT, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Parts ``chamfer`` and ``laplacian`` (canonical units), and ``edges`` (their square); weigh them by WEIGHTS.

    network: whose prediction it is. cloud: (B, M, 3). Raises ValueError without vertices or points.
    """
    vertices = prediction.vertices
    if vertices is None or network.faces is None:
        raise ValueError(f"a prediction of {', '.join(prediction.given())} has no mesh")
    edges = unique_edges(network.faces).to(vertices.device)
    start = torch.cat([network.start, network.start[network.inner] * network.mirror])
    return {
        **losses_points.loss(prediction, cloud, count, generator),
        "laplacian": laplacian(vertices - start, edges),
        "edges": (vertices[:, edges[:, 0]] - vertices[:, edges[:, 1]]).square().sum(2).mean(),
    }


def unique_edges(faces: Tensor) -> Tensor:
    """(E, 2) int64: each edge of the triangles (F, 3) once."""
    return torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(1).values.unique(dim=0)


def laplacian(moved: Tensor, edges: Tensor) -> Tensor:
    """Mean distance between each vertex's displacement (B, W, 3) and the mean of its neighbours'.

    Moving, and smoothly bending, the whole template is free; moving a vertex against its neighbours is not.
    """
    both = torch.cat([edges, edges.flip(1)])
    total = torch.zeros_like(moved).index_add(1, both[:, 0], moved[:, both[:, 1]])
    count = torch.zeros(moved.shape[1], device=moved.device).index_add(
        0, both[:, 0], torch.ones(len(both), device=moved.device)
    )
    return ((moved - total / count[:, None]).square().sum(2) + 1e-10).sqrt().mean()
