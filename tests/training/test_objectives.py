"""What the compared networks are taught: losses fall, truths are the shards', clouds are the device's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from edge.errors import DataError, SettingsError
from edge.geometry import VIEW_WIDTH, cube_corner_views, fuse, pixel_grid
from edge.voxels import surface_points
from tests.training import data_samples
from tests.training.toys import ellipsoid_depth, random_rotations
from training.batches import Pool
from training.data import kept
from training.data.dataset import load_cloud, load_dataset
from training.data.shards import read_index
from training.distributed import Place
from training.losses_points import chamfer
from training.losses_voxels import cell_centres
from training.networks import build
from training.networks.base import Prediction
from training.networks.voxels import CELLS, Voxels
from training.objectives import Task, build_objective
from training.objectives import voxels as carving
from training.objectives.clouds import true_clouds
from training.objectives.points import EXTRAS
from training.settings import Settings, Stage, load
from training.validation import STREAMED, CloudValidation, cloud_of

PLACE = Place(0, 1, torch.device("cpu"))
NETWORKS = ("points", "voxels", "mesh", "maps")
SHAPE_PARTS = {
    "points": {"chamfer"}, "voxels": {"occupancy"}, "mesh": {"chamfer", "laplacian", "edges"}, "maps": {"maps"},
}  # fmt: skip


def shards_with_depth(root: Path) -> None:
    """The toy cars of ``data_samples.car_shards``, with depth maps of ellipsoids in their boxes and one novel view."""
    made = data_samples.shape_members

    def with_depth(name: str, meta: dict[str, Any], _maps: Any, _novel: Any, surface: Any) -> Any:
        axes = np.asarray(meta["extents_m"]) / max(meta["extents_m"]) / 2
        novel = random_rotations(np.random.default_rng(0), 1)
        meta["novel"] = 1
        drawn = [ellipsoid_depth(axes, rotations, 128) for rotations in (cube_corner_views().rotations, novel)]
        return made(name, meta, drawn[0], (drawn[1], novel), surface)

    with patch.object(data_samples, "shape_members", with_depth):
        data_samples.car_shards(root)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("shards")
    shards_with_depth(root)
    yield root


def settings_of(network: str, **changed: Any) -> Settings:
    stage = Stage("all", 6, batch=4, warm_up=1)
    return Settings(network, (stage,), arguments={"image_size": 64, "pretrained": False}, **changed)


def task_of(settings: Settings, root: Path | None) -> Task:
    shards = root or Path()
    sets = [load_dataset(shards, split, 80, novel=False) for split in ("train", "validation")]
    return Task(settings, *sets, root, PLACE, 1)


@pytest.mark.parametrize("name", NETWORKS)
def test_loss_falls_and_has_the_parts_it_should(name: str, shards: Path) -> None:
    settings = settings_of(name)
    task = task_of(settings, shards)
    torch.manual_seed(0)
    objective, stage = build_objective(task), settings.stages[0]
    network = objective.network
    optimizer = torch.optim.Adam(objective.parameters(), 1e-3)
    batch = Pool(task.data, settings).sample(stage, 0, network.input_size)
    totals = []
    for step in range(6):
        losses = objective.loss(objective.train()(batch.image, stage), batch, stage, step)
        assert losses.keys() == {"total", *EXTRAS, *SHAPE_PARTS[name]}
        optimizer.zero_grad()
        losses["total"].backward()
        optimizer.step()
        totals.append(losses["total"].item())
    assert np.isfinite(totals).all() and totals[-1] < 0.9 * totals[0]
    for part in SHAPE_PARTS[name]:
        assert losses[part].item() > 0
    figures = objective.validate(network.eval(), stage)
    assert figures["score"] > 0 and 0 <= figures["f1"] <= figures["f2"] <= 100
    assert {"azimuth_error", "length_error", "real_f1", "parametric_f1"} <= figures.keys()
    picture = objective.picture(network, stage)
    assert picture is not None and picture.shape == (3, 4 * 160, 3 * 160) and 0 <= picture.min() <= picture.max() <= 1


def test_true_clouds_are_those_of_the_shards_in_order(shards: Path) -> None:
    names = ["beta-0", "alpha-1"]
    clouds = true_clouds(shards, names, 1000)
    assert clouds.shape == (2, 1000, 3) and clouds.dtype == torch.float16
    for row, name in enumerate(names):
        assert np.abs(clouds[row].numpy() - load_cloud(shards, name)[:1000]).max() < 5e-4
    # A cloud that has fewer points is repeated.
    assert torch.equal(true_clouds(shards, names, 4000)[:, 3000:], true_clouds(shards, names, 1000))


def test_occupancy_is_carved_once_and_anew_for_other_shards(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shards / carving.FILE).unlink(missing_ok=True)
    found = carving.carved(shards, 1)
    entries = {e["name"]: e for e in read_index(shards)["shards"] if e["split"] == "train"}
    assert found.names == sorted(entries) and found.cells.shape == (len(entries), *CELLS)
    centres = cell_centres(CELLS, Voxels.grid)
    data = load_dataset(shards, "train", 64, novel=False)
    for row, extents in zip(found.rows(data.names), data.extents_m, strict=True):
        depth = np.sqrt(((centres / (extents / extents.max() / 2)) ** 2).sum(-1))
        assert (found.cells[row][depth < 0.85] == 255).all() and (found.cells[row][depth > 1.25] == 0).all()
    with pytest.raises(DataError, match=r"nobody-0 has no occupancy; delete occupancy\.npz in the shards' folder"):
        found.rows(["nobody-0"])

    carved: list[int] = []
    work = carving._carve_all
    monkeypatch.setattr(carving, "_carve_all", lambda root, part: carved.append(len(part)) or work(root, part))
    again = carving.carved(shards, 1)
    assert not carved and again.names == found.names and np.array_equal(again.cells, found.cells)
    index = read_index(shards)
    index["shards"][0]["sha256"] = "0" * 64
    monkeypatch.setattr(kept, "read_index", lambda root: index)
    carving.carved(shards, 1)
    (shards / carving.FILE).write_bytes(b"PK damaged")
    carving.carved(shards, 1)
    assert carved == [len(entries)] * 2, "carved for other shards, and where the file was damaged"


def test_mirrored_truth_is_no_other_truth_to_symmetric_networks(shards: Path) -> None:
    """Why no cloud and no cell is mirrored with its picture."""
    cloud = torch.from_numpy(load_cloud(shards, "alpha-1"))[None] * torch.tensor([1.0, 1.1, 1.0])
    cloud[..., 1] += 0.02  # as no car is: off its middle
    for name in ("points", "mesh", "voxels"):
        network = build(name, image_size=64, pretrained=False).eval()
        with torch.no_grad():
            prediction = network(torch.rand(1, 3, 64, 64))
        if prediction.occupancy is not None:
            assert torch.equal(prediction.occupancy, prediction.occupancy.flip(2))
        else:
            assert prediction.points is not None
            mirrored = cloud * torch.tensor([1.0, -1.0, 1.0])
            assert torch.isclose(chamfer(prediction.points, cloud), chamfer(prediction.points, mirrored), rtol=1e-5)


def test_objectives_say_what_they_lack(shards: Path) -> None:
    with pytest.raises(SettingsError, match="the loss of mesh has no part 'plane' to weigh; known: azimuth, .*chamfer"):
        build_objective(task_of(settings_of("mesh", weights={"plane": 1.0}), shards))
    task = task_of(settings_of("points"), shards)
    task.root = None
    with pytest.raises(DataError, match="the network points needs the shards' folder, for the true clouds"):
        build_objective(task)
    task = task_of(settings_of("maps"), shards)
    task.data = load_dataset(shards, "train", 80, novel=False, fixed=False)
    with pytest.raises(DataError, match="the network maps needs the fixed depth views"):
        build_objective(task)
    task = task_of(Settings("maps", (Stage("half", 1, map_size=64),), arguments={"pretrained": False}), shards)
    with pytest.raises(SettingsError, match="the network maps draws 128 pixels a side; set map_size to that in 'half'"):
        build_objective(task)


def test_validation_judges_the_clouds_that_the_device_would_make() -> None:
    voxels = build("voxels", image_size=64, pretrained=False)
    axes = np.array([0.5, 0.2, 0.15])
    depth = ellipsoid_depth(axes, cube_corner_views().rotations, 128)
    grid = np.broadcast_to(pixel_grid(128, VIEW_WIDTH), (8, 2, 128, 128))
    maps = np.concatenate([grid, depth[:, None], np.where(depth > 0, 4.0, -4.0)[:, None]], 1).astype(np.float32)
    inside = 1 - np.sqrt(((cell_centres(CELLS, Voxels.grid) / axes) ** 2).sum(-1))
    given = {
        "maps": (maps, fuse(maps, cube_corner_views(), max_points=STREAMED).points),
        "occupancy": (inside, surface_points(inside, Voxels.grid[:3], Voxels.grid[3:], STREAMED).points),
    }
    for name, (value, wanted) in given.items():
        both = np.stack([np.zeros_like(value), value]).astype(np.float32)
        cloud = cloud_of(voxels, Prediction(**{name: torch.from_numpy(both)}), 1)
        assert np.array_equal(cloud, wanted) and 5000 < len(cloud) <= STREAMED
        assert abs(np.sqrt(((cloud / axes) ** 2).sum(1)).mean() - 1) < 0.03
    many = torch.rand(1, 20_000, 3)
    assert len(cloud_of(voxels, Prediction(points=many), 0)) == STREAMED
    assert np.array_equal(cloud_of(voxels, Prediction(vertices=many[:, :9]), 0), many[0, :9].numpy())
    with pytest.raises(ValueError, match="a prediction of length has no shape to judge"):
        cloud_of(voxels, Prediction(length=torch.zeros(1, 2)), 0)


def test_a_network_that_sees_no_car_is_judged_and_bad(shards: Path) -> None:
    validation = CloudValidation(load_dataset(shards, "validation", 80, novel=False), shards, 64)
    network = build("voxels", image_size=64, pretrained=False).eval()
    whole = validation.figures(network, PLACE.device)
    with torch.no_grad():
        network.usual.fill_(-3.0)  # type: ignore[union-attr,operator]
        network.head.weight.zero_()  # type: ignore[union-attr,operator]
    empty = validation.figures(network, PLACE.device)
    assert empty["f1"] < 1 < whole["f1"] and empty["score"] > 2 * whole["score"]


@pytest.mark.parametrize("name", NETWORKS)
def test_shipped_settings_load_and_differ_in_the_network_alone(name: str) -> None:
    configs = Path(__file__).parents[2] / "training/configs"
    own, other = load(configs / f"{name}.toml"), load(configs / "points.toml")
    assert own.network == name and own.arguments == {"image_size": 128}
    assert (own.parametric_share, own.augment_zoom, own.ema, own.rates) == (
        other.parametric_share, other.augment_zoom, other.ema, other.rates
    )  # fmt: skip
    assert own.stages[0].batch == other.stages[0].batch and len(own.stages) == 1


