"""The compared networks: the shared encoder, what each gives, that it can be exported, and that it learns."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.errors import SettingsError
from edge.geometry import VIEW_WIDTH, cube_corner_views, fuse, pixel_grid
from edge.pose import decode_pose
from export.compare import run_graph
from export.fold import fold_batch_norm
from export.graph import assert_graph, export_onnx, predict
from export.lint import require_clean
from tests.training.toys import ellipsoid_depth
from training import losses_extras, losses_mesh, losses_points, losses_voxels
from training.losses import fixed_view_loss
from training.networks import build
from training.networks.base import BINS, CLASSES, Prediction
from training.networks.cost import count
from training.networks.encoder import Encoder, lite0
from training.networks.extras import Extras
from training.networks.maps import Maps
from training.networks.mesh import Mesh, draw, template
from training.networks.points import Points
from training.networks.shared import USUAL, Shared
from training.networks.voxels import CELLS, Voxels

NAMES = {"points": Points, "voxels": Voxels, "mesh": Mesh, "maps": Maps}
EXTRAS = {"azimuth": (1, 2 * BINS), "camera": (1, 6), "length": (1, 2), "classes": (1, len(CLASSES))}
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "points": {"points": (1, 16384, 3)},
    "voxels": {"occupancy": (1, *CELLS)},
    "mesh": {"points": (1, 16384, 3), "vertices": (1, 2578, 3)},
    "maps": {"maps": (1, 8, 4, 128, 128)},
}
#: Half lengths, widths and heights of four toy cars.
TOYS = np.array([[0.5, 0.2, 0.16], [0.5, 0.25, 0.2], [0.5, 0.17, 0.12], [0.5, 0.3, 0.28]])


@pytest.fixture(scope="module", params=NAMES)
def named(request: pytest.FixtureRequest) -> tuple[str, Shared]:
    torch.manual_seed(0)
    network = build(request.param, image_size=64, pretrained=False)
    assert isinstance(network, NAMES[request.param])
    return request.param, network


def _toy_pictures(size: int = 64) -> Tensor:
    """(4, 3, size, size), told apart by their colours."""
    generator = torch.Generator().manual_seed(1)
    colour = torch.tensor([[1.0, -1, 0], [-1, 1, 0], [0, 1, 1], [-1, -1, -1]])[:, :, None, None]
    return colour + 0.1 * torch.randn(4, 3, size, size, generator=generator)


def _toy_clouds(count: int = 1500) -> Tensor:
    direction = np.random.default_rng(0).normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return torch.from_numpy((direction * TOYS[:, None]).astype(np.float32))


def _toy_depths(size: int = 128) -> np.ndarray:
    return np.stack([ellipsoid_depth(axes, cube_corner_views().rotations, size) for axes in TOYS])


# The encoder and the heads


@pytest.mark.parametrize("size", [64, 96])
def test_encoder_is_the_package_s(size: int) -> None:
    torch.manual_seed(0)
    encoder, model = Encoder(size).eval(), lite0(size, True).eval()
    image = torch.randn(2, 3, size, size)
    with torch.no_grad():
        features = encoder(image)
        assert features.fine.shape == (2, 112, size // 16, size // 16)
        assert features.coarse.shape == (2, 320, size // 32, size // 32)
        head = model._swish(model._bn1(model._conv_head(features.coarse)))
        torch.testing.assert_close(head, model.extract_features(image))
        stage = model._swish(model._bn0(model._conv_stem(image)))
        for block in model._blocks[:11]:
            stage = block(stage)
        torch.testing.assert_close(features.fine, stage)
        folded = fold_batch_norm(encoder)
        torch.testing.assert_close(folded(image).coarse, features.coarse, atol=1e-3, rtol=1e-3)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


def test_statistics_freeze_on_request_only() -> None:
    image = torch.randn(4, 3, 64, 64)
    for frozen in (True, False):
        encoder = Encoder(64, pretrained=False, freeze_statistics=frozen).train()
        before = [m.running_mean.clone() for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
        encoder(image).coarse.sum().backward()
        after = [m.running_mean for m in encoder.modules() if isinstance(m, nn.BatchNorm2d)]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)) == frozen
        assert all(p.grad is not None for p in encoder.parameters())


@pytest.mark.parametrize("size", [32, 100, 288])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(SettingsError, match="must be a multiple of 32 from 64 to 256; use 128"):
        build("points", image_size=size, pretrained=False)


def test_heads_start_at_what_is_usual() -> None:
    guess = Extras(16)(torch.zeros(2, 16))
    assert list(guess.given()) == ["azimuth", "camera", "length", "classes"]
    pose = decode_pose(guess.azimuth[0].detach().numpy(), guess.camera[0].detach().numpy())
    assert pose.elevation == pytest.approx(math.degrees(0.12), abs=1e-3)
    assert (pose.scale, pose.perspective) == (pytest.approx(1.3, abs=1e-4), pytest.approx(0.35, abs=1e-4))
    assert guess.length[0, 0].exp().item() == pytest.approx(4.4, abs=1e-4)


# What all networks give


def test_outputs_are_those_of_the_contract(named: tuple[str, Shared]) -> None:
    name, network = named
    given = predict(network, torch.zeros(1, 3, 64, 64))
    assert {key: tuple(value.shape) for key, value in given.items()} == {**SHAPES[name], **EXTRAS}
    assert network.input_size == 64 and network.mean[0] == 0.485 and network.source


def test_onnx_gives_the_same(named: tuple[str, Shared], tmp_path: Path) -> None:
    name, network = named
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.randn(4, 3, 64, 64))  # statistics that are not 0 and 1
    image = torch.randn(1, 3, 64, 64)
    folded = fold_batch_norm(network)
    shapes = export_onnx(folded, image, tmp_path / "network.onnx")
    model = assert_graph(tmp_path / "network.onnx", {"image": (1, 3, 64, 64)}, shapes)
    require_clean(tmp_path / "network.onnx")
    assert not {node.op_type for node in model.graph.node} & {"Pad", "BatchNormalization", "Shape", "ScatterND"}
    found = run_graph(tmp_path / "network.onnx", image.numpy())
    for key, value in predict(network, image).items():
        np.testing.assert_allclose(found[key], value.numpy(), atol=2e-4, rtol=1e-3, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_cost_is_within_the_nano_s_budget(name: str) -> None:
    cost = count(build(name, pretrained=False), torch.zeros(1, 3, 128, 128))
    assert cost.gflop < 1.0, "4 is the budget; two cores have to train it, too"
    assert cost.parameters * 2 < 25e6


def _points_step(network: Points, prediction: Prediction) -> Tensor:
    return losses_points.loss(prediction, _toy_clouds(), count=1024, generator=torch.Generator().manual_seed(0))[
        "chamfer"
    ]


def _mesh_step(network: Mesh, prediction: Prediction) -> Tensor:
    parts = losses_mesh.loss(
        prediction, network, _toy_clouds(), count=1024, generator=torch.Generator().manual_seed(0)
    )
    return torch.stack([losses_mesh.WEIGHTS[key] * value for key, value in parts.items()]).sum()


def _voxels_step(occupancy: Tensor, network: Voxels, prediction: Prediction) -> Tensor:
    return losses_voxels.loss(prediction, occupancy)["occupancy"]


def _maps_step(depth: Tensor, network: Maps, prediction: Prediction) -> Tensor:
    assert prediction.maps is not None
    return fixed_view_loss(prediction.maps, depth, torch.from_numpy(pixel_grid(128, VIEW_WIDTH)), 5.0).total


def _steps(name: str) -> Callable[[Shared, Prediction], Tensor]:
    if name == "voxels":
        carved = [losses_voxels.carve(d, cube_corner_views(), CELLS, Voxels.grid) for d in _toy_depths()]
        return partial(_voxels_step, torch.from_numpy(np.stack(carved)))
    if name == "maps":
        return partial(_maps_step, torch.from_numpy(_toy_depths()))
    return {"points": _points_step, "mesh": _mesh_step}[name]


@pytest.mark.parametrize("name", NAMES)
def test_each_network_learns(name: str) -> None:
    torch.manual_seed(0)
    network, step = build(name, image_size=64, pretrained=False).train(), _steps(name)
    targets = losses_extras.Targets(
        torch.tensor([0.3, 2.0, -1.5, 3.0]), torch.randn(4, 6) * 0.1, torch.tensor([4.0, 5.0, 3.5, math.nan]),
        torch.tensor([0, 3, -1, 5]),
    )  # fmt: skip
    # Networks that move points overshoot with more in the first step, and it is the processor's rounding that decides
    # how soon they are back.
    rate = 2e-3 if name in ("points", "mesh") else 5e-3
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    images, shape, heads = _toy_pictures(), [], []
    for _ in range(20):
        prediction = network(images)
        shape.append(step(network, prediction))
        heads.append(torch.stack(list(losses_extras.loss(prediction, targets).values())).sum())
        optimizer.zero_grad()
        (shape[-1] * 10 + heads[-1]).backward()
        optimizer.step()
    missing = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert not missing, f"no gradient reaches {missing}"
    assert shape[-1] < 0.6 * shape[0], [round(v.item(), 4) for v in shape]
    assert heads[-1] < 0.6 * heads[0], [round(v.item(), 4) for v in heads]


# Points


def test_points_start_on_a_car_sized_ellipsoid_and_are_symmetric() -> None:
    points = predict(build("points", image_size=64, pretrained=False), torch.zeros(1, 3, 64, 64))["points"][0]
    half = len(points) // 2
    torch.testing.assert_close(points[half:], points[:half] * torch.tensor([1.0, -1, 1]))
    away = (points / torch.tensor([0.5, 0.21, 0.165])).norm(dim=1)
    assert (away - 1).abs().max() < 0.25
    # Spread evenly enough to be a surface: every place on the ellipsoid has a point near by.
    truth = torch.from_numpy(np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32))
    truth = truth / truth.norm(dim=1, keepdim=True) * torch.tensor([0.5, 0.21, 0.165])
    assert torch.cdist(truth, points).min(1).values.max() < 0.03


# Voxels


def test_occupancy_is_symmetric_and_its_box_holds_every_car() -> None:
    occupancy = predict(build("voxels", image_size=64, pretrained=False), torch.randn(1, 3, 64, 64))["occupancy"]
    torch.testing.assert_close(occupancy, occupancy.flip(2))
    cell = 2 * np.array(Voxels.grid[3:]) / CELLS
    # Half the length, the smart's half width (1.71 m of 2.53 m) and half the greatest height, and an empty cell.
    assert (np.array(Voxels.grid[3:]) >= np.array([0.5, 0.338, 0.31]) + 0.9 * cell).all()


# Mesh


def test_template_is_closed_symmetric_and_faces_outwards() -> None:
    made = template()
    vertices = np.concatenate([made.left, made.left[made.inner] * [1, -1, 1]])
    assert len(vertices) == 2578 and made.faces.max() == len(vertices) - 1
    directed = np.concatenate([made.faces[:, [0, 1]], made.faces[:, [1, 2]], made.faces[:, [2, 0]]])
    assert len(np.unique(directed, axis=0)) == len(directed), "each edge once in each direction"
    assert {tuple(e) for e in directed} == {tuple(e[::-1]) for e in directed}, "closed"
    assert len(vertices) - len(directed) // 2 + len(made.faces) == 2, "a sphere's topology"
    a, b, c = (vertices[made.faces[:, n]] for n in range(3))
    volume = np.einsum("ni,ni->n", a, np.cross(b, c)).sum() / 6
    assert 0.5 < volume / (1.0 * 0.42 * 0.33) < 1.0, "positive: outwards; boxier than the ellipsoid's 0.52"
    np.testing.assert_allclose(vertices.max(0), [0.5, 0.21, 0.165], rtol=0.02)


def test_points_are_drawn_evenly_and_lie_on_the_triangles() -> None:
    made = template()
    corners, weights = draw(made.left, made.left_faces, 4000)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-6)
    points = (made.left[corners] * weights[:, :, None]).sum(1)
    a, b, c = (made.left[made.left_faces[:, n]] for n in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    front = made.left[made.left_faces].mean(1)[:, 0] > 0.2
    assert (points[:, 0] > 0.2).mean() == pytest.approx(area[front].sum() / area.sum(), abs=0.02)


def test_predicted_mesh_stays_closed_at_the_mirror_plane() -> None:
    network = build("mesh", image_size=64, pretrained=False)
    assert isinstance(network, Mesh) and network.faces is not None
    with torch.no_grad():
        network.usual.normal_(std=0.1)
    given = predict(network, torch.randn(1, 3, 64, 64))
    vertices = given["vertices"][0]
    middle = torch.from_numpy(template().middle)
    assert vertices[: len(middle)][middle, 1].abs().max() == 0
    assert network.faces.shape == (5152, 3) and int(network.faces.max()) == len(vertices) - 1


# Maps


def test_maps_start_at_the_usual_car() -> None:
    network = build("maps", image_size=64, pretrained=False)
    maps = predict(network, torch.zeros(1, 3, 64, 64))["maps"][0].numpy()
    truth = ellipsoid_depth(np.array(USUAL), cube_corner_views().rotations, 128)
    assert ((maps[:, 3] > 0) == (truth > 0)).mean() > 0.99
    assert np.abs(maps[:, 2] - truth)[truth > 0].mean() < 0.01


def test_voxels_start_at_the_usual_car() -> None:
    network = build("voxels", image_size=64, pretrained=False)
    occupancy = predict(network, torch.zeros(1, 3, 64, 64))["occupancy"][0].numpy()
    inside = np.linalg.norm(losses_voxels.cell_centres(CELLS, Voxels.grid) / np.array(USUAL), axis=-1) < 1
    assert ((occupancy > 0) == inside).mean() > 0.99


def test_maps_place_pixels_themselves_and_fuse() -> None:
    network = build("maps", image_size=64, pretrained=False)
    assert isinstance(network, Maps)
    maps = predict(network, torch.randn(1, 3, 64, 64))["maps"][0].numpy()
    np.testing.assert_array_equal(maps[:, :2], np.broadcast_to(pixel_grid(128, VIEW_WIDTH), (8, 2, 128, 128)))
    with torch.no_grad():
        network.usual[2] = 0.75  # depth of the third view
        network.usual[8 + 2] = 9.0  # and its mask
        network.usual[8 + 3] = -9.0
    maps = predict(network, torch.randn(1, 3, 64, 64))["maps"][0].numpy()
    np.testing.assert_allclose(maps[2, 2], 0.75, atol=0.1)
    cloud = fuse(maps, cube_corner_views())
    assert (cloud.view == 2).sum() == 128 * 128 and not (cloud.view == 3).any()


# The count of operations


def test_every_product_is_counted() -> None:
    class Products(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("basis", torch.zeros(10, 7))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.basis

    assert count(Products(), torch.zeros(1, 10)).gflop == pytest.approx(2 * 70e-9)
    conv = nn.Conv2d(4, 6, 3, padding=1, groups=2)
    assert count(conv, torch.zeros(1, 4, 5, 5)).gflop == pytest.approx(2 * 6 * 2 * 9 * 25e-9)
    up = nn.ConvTranspose2d(4, 6, 4, 2, 1)
    assert count(up, torch.zeros(1, 4, 5, 5)).gflop == pytest.approx(2 * 4 * 6 * 16 * 25e-9)
    solid = nn.Conv3d(2, 3, 3)
    assert count(solid, torch.zeros(1, 2, 4, 4, 4)).gflop == pytest.approx(2 * 2 * 3 * 27 * 8e-9)
    deep = nn.ConvTranspose3d(2, 3, 2, 2)
    assert count(deep, torch.zeros(1, 2, 4, 4, 4)).gflop == pytest.approx(2 * 2 * 3 * 8 * 64e-9)
    assert count(deep, torch.zeros(1, 2, 4, 4, 4)).parameters == 2 * 3 * 8 + 3
