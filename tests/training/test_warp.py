"""Cars of other shapes: points, normals, cameras and pictures that fit each other after bending."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor

from training import warp
from training.batches import Batch, Truth
from training.losses_extras import Targets
from training.networks.lifting import both_sides, project, rotation

AZIMUTH = torch.tensor([0.6, -2.2])
CAMERA = torch.tensor([[0.25, 0.05, 0.05, -0.02, 0.2, 0.2], [0.1, -0.02, 0.0, 0.1, 0.1, 0.3]])
TURNED = rotation(torch.stack([AZIMUTH.cos(), AZIMUTH.sin()], 1), CAMERA)


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shells(count: int = 3000) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Left halves of two ellipsoids of a car's size, their normals, and two tangents at each point."""
    way = functional.normalize(torch.randn((2, count, 3), generator=drawn(7)), dim=2)
    way[..., 1] = way[..., 1].abs()
    way[:, :6] = torch.tensor([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]]).float()
    half = torch.tensor([0.5, 0.22, 0.16])
    normals = functional.normalize(way / half, dim=2)
    first = functional.normalize(normals.cross(torch.tensor([0.3, 0.5, 0.8]).expand_as(normals), 2), dim=2)
    return way * half, normals, (first, normals.cross(first, 2))


def test_nothing_moves_by_nothing() -> None:
    points, normals, _ = shells()
    bent = warp.bend(points, normals, TURNED, CAMERA, torch.zeros(2), drawn())
    assert torch.allclose(bent.points, points, atol=1e-6) and torch.allclose(bent.normals, normals, atol=1e-5)
    assert torch.allclose(bent.camera, CAMERA, atol=1e-5) and torch.allclose(bent.box, torch.ones(2, 3), atol=1e-5)
    image = torch.rand((2, 3, 64, 64), generator=drawn())
    assert torch.allclose(warp.follow(image, points, bent, TURNED, CAMERA), image, atol=1e-4)


def test_a_field_moves_by_about_what_was_asked_and_differently_each_time() -> None:
    points, normals, _ = shells()
    many = [warp.bend(points, normals, TURNED, CAMERA, torch.tensor([0.01, 0.02]), drawn(s)) for s in range(40)]
    moved = torch.stack([bent.moved - points for bent in many])
    size = moved.square().mean((0, 2)).sqrt()
    assert ((size > 0.006) & (size < 0.04)).all() and (size[1] / size[0] > 1.7).all(), size
    assert not torch.allclose(many[0].points, many[1].points, atol=1e-3)
    again = warp.bend(points, normals, TURNED, CAMERA, torch.tensor([0.01, 0.02]), drawn(0))
    assert torch.equal(again.points, many[0].points)


def test_normals_stay_upright_on_the_surface() -> None:
    points, normals, tangents = shells(500)
    step = 1e-3
    # Neighbours at the end of each tangent: what they become spans the surface.
    both = torch.cat([points, *(points + step * tangent for tangent in tangents)], 1)
    found = warp.bend(both, normals.repeat(1, 3, 1), TURNED, CAMERA, torch.tensor([0.02, 0.03]), drawn(1))
    base, *ends = found.moved.chunk(3, 1)
    normal = found.normals[:, : points.shape[1]]
    still = 0.0
    for end, tangent in zip(ends, tangents, strict=True):
        along = functional.normalize(end - base, dim=2)
        assert (along * normal).sum(2).abs().max() < 0.02
        still = max(still, float((tangent * normal).sum(2).abs().max()))
    assert still > 0.1, "the surface did turn"
    assert (normal * normals).sum(2).min() > 0.5, "and none is inside out"


def test_a_bent_car_stands_in_its_own_frame_and_its_camera_still_sees_it() -> None:
    points, normals, _ = shells()
    bent = warp.bend(points, normals, TURNED, CAMERA, torch.tensor([0.02, 0.02]), drawn(3))
    low, high = bent.points.amin(1), bent.points.amax(1)
    assert torch.allclose((high - low)[:, 0], torch.ones(2), atol=1e-5)
    assert torch.allclose((high + low)[:, [0, 2]], torch.zeros(2, 2), atol=1e-5), "the box is about the origin"
    grown = (high - low)[:, 1:] / (points.amax(1) - points.amin(1))[:, 1:]
    assert torch.allclose(bent.box[:, 1:], grown, atol=1e-5) and (grown - 1).abs().max() > 0.01
    before = project(both_sides(bent.moved), TURNED, CAMERA).place
    after = project(both_sides(bent.points), TURNED, bent.camera).place
    assert (before - after).norm(dim=2).max() < 0.03, "less than two pixels of 128"
    assert (before - after).norm(dim=2).mean() < 0.01


def test_the_picture_follows_the_points_that_are_seen() -> None:
    points, normals, _ = shells(8192)
    bent = warp.bend(points, normals, TURNED, CAMERA, torch.tensor([0.02, 0.02]), drawn(5))
    # A picture that tells of each place where it is.
    axis = (torch.arange(128) + 0.5) / 64 - 1
    image = torch.stack([axis.expand(128, 128), axis[:, None].expand(128, 128)]).expand(2, 2, 128, 128)
    found = warp.follow(image, points, bent, TURNED, CAMERA)
    before = project(both_sides(points), TURNED, CAMERA).place
    after = project(both_sides(bent.moved), TURNED, CAMERA)
    shown = functional.grid_sample(found, after.place[:, None], align_corners=False)[:, :, 0].transpose(1, 2)
    facing = (both_sides(bent.normals) @ TURNED[:, 2, :, None])[..., 0] < -0.4
    off, moved = (shown - before).norm(dim=2)[facing], (after.place - before).norm(dim=2)[facing]
    assert moved.mean() > 0.02 and off.mean() < 0.2 * moved.mean(), (off.mean(), moved.mean())


def test_around_what_is_known_its_value_goes_on() -> None:
    total, weight = torch.zeros(1, 2, 16, 16), torch.zeros(1, 1, 16, 16)
    total[0, :, 4:8, 4:8], weight[0, 0, 4:8, 4:8] = torch.tensor([6.0, -2.0])[:, None, None], 2.0
    found = warp.filled(total, weight)
    assert torch.allclose(found[0, :, 5, 5], torch.tensor([3.0, -1.0]), atol=0.01)
    assert torch.allclose(found[0, :, 15, 15], torch.tensor([3.0, -1.0]), atol=0.3), "no seam around a car"
    assert torch.equal(warp.filled(torch.zeros(1, 2, 16, 16), torch.zeros(1, 1, 16, 16)), torch.zeros(1, 2, 16, 16))


def test_a_batch_is_told_what_became_of_its_cars() -> None:
    points, normals, _ = shells()
    targets = Targets(AZIMUTH, CAMERA, torch.tensor([4.0, 5.0]), torch.tensor([0, 1]))
    batch = Batch(torch.rand((2, 3, 32, 32), generator=drawn()), None, None, torch.tensor([0, 1]), targets,
                  Truth(points, normals, torch.ones(2, 3)))  # fmt: skip
    found = warp.warped(batch, 0.03, drawn(2))
    assert found.truth is not None and not torch.equal(found.image, batch.image)
    assert torch.equal(found.targets.azimuth, AZIMUTH) and not torch.equal(found.targets.camera, CAMERA)
    longer = found.targets.length / targets.length
    assert (longer - 1).abs().max() > 1e-3
    assert torch.allclose(found.truth.box[:, 0], torch.ones(2), atol=1e-5), "boxes are in lengths of the car"
    first = batch.part(slice(0, 1))
    assert first.truth is not None and torch.equal(first.truth.points, points[:1]) and len(first.image) == 1
