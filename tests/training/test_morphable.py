"""The flagship: its network, what it is taught, and that a run of it goes on bit for bit after it was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edge.errors import DataError, SettingsError
from edge.pose import decode_pose
from export.compare import run_graph
from export.fold import fold_batch_norm
from export.graph import assert_graph, export_onnx, predict
from export.lint import require_clean
from tests.training.data_samples import car_shards
from tests.training.toys import SMALL, killed_at, same
from training import checkpoint, curve
from training.batches import Pool
from training.data.dataset import CarDataset, load_dataset
from training.distributed import Place
from training.loop import Trainer
from training.morphable import registered
from training.morphable.register import PROPORTIONS
from training.morphable.space import ShapeSpace
from training.networks import build
from training.networks.cost import count
from training.networks.encoder import Features
from training.networks.finder import Finder
from training.networks.lifting import Projected
from training.networks.morphable import ERROR_RANGE, Morphable
from training.objectives import Task, build_objective
from training.objectives.morphable import WEIGHTS
from training.settings import Settings, Stage

PLACE = Place(0, 1, torch.device("cpu"))
BOXES = np.array([[1, 0.4, 0.3], [1, 0.5, 0.4]], np.float32)


# --- the network --------------------------------------------------------------------------------------------------


@pytest.fixture
def network() -> Morphable:
    torch.manual_seed(0)
    made = build("morphable", **SMALL)
    assert isinstance(made, Morphable)
    rng = np.random.default_rng(0)
    mean, basis = rng.uniform(0, 0.5, (400, 3)), rng.normal(size=(2, 400, 3)) * 0.02
    made.start_from(ShapeSpace(mean.astype(np.float32), basis.astype(np.float32)), BOXES)
    return made.eval()


def test_outputs_are_those_of_the_contract_and_symmetric(network: Morphable) -> None:
    given = predict(network, torch.randn(1, 3, 64, 64))
    assert {name: tuple(value.shape) for name, value in given.items()} == {
        "points": (1, 800, 3), "error": (1, 800), "azimuth": (1, 48), "camera": (1, 6), "length": (1, 2),
        "classes": (1, 10),
    }  # fmt: skip
    left, right = given["points"][0].chunk(2)
    assert torch.equal(right, left * torch.tensor([1.0, -1, 1])) and torch.equal(*given["error"][0].chunk(2))
    least, most = np.exp(ERROR_RANGE)
    assert given["error"].min() >= least * 0.999 and given["error"].max() <= most * 1.001
    assert -180 <= decode_pose(given["azimuth"][0].numpy(), given["camera"][0].numpy()).azimuth <= 180


def test_it_starts_at_the_mean_car(network: Morphable) -> None:
    mean_box = np.exp(np.log(BOXES).mean(0)) / PROPORTIONS
    expected = network.shape_mean.detach() * torch.from_numpy(mean_box.astype(np.float32))
    picture = torch.randn(1, 3, 64, 64)
    almost = predict(network, picture)["points"][0, :400]
    assert (almost - expected).abs().max() < 0.05, "nearly so whatever the picture"
    with torch.no_grad():
        network.coefficients.weight.zero_()
        network.box.weight.zero_()
    torch.testing.assert_close(predict(network, picture)["points"][0, :400], expected)
    assert not network.shape_basis[2:].any() and network.shape_basis[:2].any(), "fewer components leave zeros"
    one = network.half(torch.tensor([[0.0, 1.0, 0.0, 0.0]]), network.box.bias[None])[0].detach()
    component = network.shape_basis[1].detach().view(400, 3) * torch.from_numpy(mean_box.astype(np.float32))
    torch.testing.assert_close(one - expected, component, atol=1e-6, rtol=1e-4)


def test_onnx_gives_the_same(network: Morphable, tmp_path: Path) -> None:
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.randn(4, 3, 64, 64))  # statistics that are not 0 and 1
    image = torch.randn(1, 3, 64, 64)
    shapes = export_onnx(fold_batch_norm(network.eval()), image, tmp_path / "network.onnx")
    model = assert_graph(tmp_path / "network.onnx", {"image": (1, 3, 64, 64)}, shapes)
    require_clean(tmp_path / "network.onnx")
    assert [entry.version for entry in model.opset_import] == [13]
    assert not {node.op_type for node in model.graph.node} & {"BatchNormalization", "Dropout", "Shape", "ScatterND"}
    found = run_graph(tmp_path / "network.onnx", image.numpy())
    expected = predict(network, image)
    assert list(found) == list(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value.numpy(), atol=2e-4, rtol=1e-3, err_msg=key)


def test_cost_is_below_the_goals() -> None:
    cost = count(build("morphable", pretrained=False), torch.zeros(1, 3, 128, 128))
    assert cost.gflop < 4 and 2 * cost.parameters < 25e6, "two bytes a number, in FP16"


def test_statistics_rest_when_pretrained_or_asked_for() -> None:
    def moves(**arguments: Any) -> bool:
        network = build("morphable", **{**SMALL, **arguments}).train()
        before = {name: value.clone() for name, value in network.named_buffers() if "running" in name}
        network(torch.randn(4, 3, 64, 64))
        return any(not torch.equal(value, before[name]) for name, value in network.named_buffers() if name in before)

    assert moves() and not moves(freeze_statistics=True)
    assert not moves(pretrained=True) and moves(pretrained=True, freeze_statistics=False)


MORE = {**SMALL, "surface": True, "offsets": True, "blocks": 2}


def test_offsets_move_a_landmark_within_its_cell() -> None:
    finder = Finder(8, 16, offsets=True, blocks=1).eval()
    maps = Features(torch.randn(1, 40, 8, 8), torch.randn(1, 112, 4, 4), torch.randn(1, 320, 2, 2))
    wanted = Projected(torch.zeros(1, 128, 2), torch.ones(1, 128, 1), torch.zeros(1, 1, 2), torch.ones(1, 1, 1))
    given = maps, torch.randn(1, 16), wanted
    assert finder.offset is not None
    with torch.no_grad():
        before = finder(*given)
        finder.offset.bias[6:8] = torch.tensor([0.05, -0.02])  # of the fourth landmark
        after = finder(*given)
    moved = (after.place - before.place)[0]
    assert torch.allclose(moved[3], torch.tensor([0.05, -0.02]), atol=1e-6)
    assert float(moved.abs().sum()) == pytest.approx(0.07, abs=1e-5) and torch.equal(after.spread, before.spread)


def test_a_network_with_more_layers_begins_as_the_smaller_one() -> None:
    torch.manual_seed(0)
    small, large = build("morphable", **{**SMALL, "surface": True}).eval(), build("morphable", **MORE).eval()
    assert large.load_state_dict(small.state_dict(), strict=False).unexpected_keys == []
    picture = torch.randn(1, 3, 64, 64)
    for name, value in predict(small, picture).items():
        assert torch.allclose(predict(large, picture)[name], value, atol=1e-5), name


def test_directions_that_no_picture_uses_can_go() -> None:
    torch.manual_seed(0)
    network = build("morphable", **SMALL).eval()
    pictures = torch.randn(12, 3, 64, 64)
    with torch.no_grad():
        network.shape_basis.normal_(std=0.01)
        network.coefficients.weight.normal_(std=0.1)
        network.coefficients.bias.normal_()
        network.coefficients.weight[1:] = network.coefficients.weight[:1]  # one direction, and a constant
    before = predict(network, pictures)["points"]
    assert network.keep_directions(pictures, 2) < 1e-9
    assert network.shape_basis.shape[0] == network.coefficients.out_features == 2
    torch.testing.assert_close(predict(network, pictures)["points"], before, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="2 directions are not fewer than the 2 that there are"):
        network.keep_directions(pictures, 2)


def test_directions_can_go_where_few_shapes_left_components_at_zero() -> None:
    torch.manual_seed(0)
    network = build("morphable", **SMALL).eval()
    pictures = torch.randn(12, 3, 64, 64)
    with torch.no_grad():
        network.shape_basis[:2].normal_(std=0.01)
        network.coefficients.weight.normal_(std=0.1)
    before = predict(network, pictures)["points"]
    assert network.keep_directions(pictures, 3) < 1e-9
    torch.testing.assert_close(predict(network, pictures)["points"], before, atol=1e-5, rtol=1e-4)


# --- what it is taught --------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "POINTS", SMALL["points"])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cars")
    car_shards(folder)
    return folder


@pytest.fixture(scope="module")
def data(root: Path) -> tuple[CarDataset, CarDataset]:
    """For training and for validation."""
    train, validation = (load_dataset(root, split, 80, novel=False, fixed=False) for split in ("train", "validation"))
    return train, validation


def settings(iterations: int = 6, rate: float = 2e-3, **changes: Any) -> Settings:
    stage = Stage("all", iterations, batch=8, learning_rate=rate, warm_up=2)
    usual = {"arguments": SMALL, "validate_every": 3, "checkpoint_seconds": 1e9}
    return Settings("morphable", (stage,), **{**usual, **changes})


def trainer(run: Path, root: Path, data: tuple[CarDataset, CarDataset], made: Settings) -> Trainer:
    run.mkdir(exist_ok=True)
    return Trainer(made, *data, run, PLACE, root, 1, "a command")


@pytest.mark.parametrize("arguments", [SMALL, MORE])
def test_the_loss_falls(
    tmp_path: Path, root: Path, data: tuple[CarDataset, CarDataset], arguments: dict[str, Any]
) -> None:
    surface = "surface" in arguments
    run = trainer(tmp_path, root, data, settings(15, 3e-3, arguments=arguments))
    losses: list[dict[str, float]] = []
    module = run.objective.train()
    for done in range(15):  # one batch again and again: others have other cars, and losses of their own
        losses.append({name: value.item() for name, value in run._update(module, run.settings.stages[0], done).items()})
    assert set(losses[0]) == {"total", *WEIGHTS} - {"chamfer"} - (set() if surface else {"surface", "mask"})
    first, last = (
        {name: np.mean([row[name] for row in part]) for name in losses[0]} for part in (losses[:3], losses[-3:])
    )
    assert last["total"] < 0.7 * first["total"] and last["plane"] < 0.7 * first["plane"], (first, last)
    weighed = sum(run.objective.counted[name] * value for name, value in losses[3].items() if name != "total")
    assert losses[3]["total"] == pytest.approx(weighed, rel=1e-4)


def test_the_truth_costs_nothing(root: Path, data: tuple[CarDataset, CarDataset]) -> None:
    objective = build_objective(Task(settings(), *data, root, PLACE, 1))
    stage = settings().stages[0]
    batch = Pool(data[0], settings(), complete=objective.complete).sample(stage, 0, 64)
    output = objective(batch.image, stage)
    scale = objective.scales[batch.shape]
    truth = objective.points[batch.shape].float() * scale[:, None]
    perfect = {**output, "half": truth, "box": scale[:, 1:].log()}
    losses = objective.loss(perfect, batch, stage, 0)
    assert losses["plane"].item() < 1e-6 and losses["point"].item() < 1e-6 and losses["box"].item() < 1e-6
    # Along the surface a point may slide, across it may not.
    normal = torch.nn.functional.normalize(objective.normals[batch.shape].float() / scale[:, None], dim=2)
    along = torch.nn.functional.normalize(torch.linalg.cross(normal, torch.randn_like(normal), dim=2), dim=2)
    for way, plane in ((normal, 0.01), (along, 0.0)):
        moved = objective.loss({**perfect, "half": truth + 0.01 * way}, batch, stage, 0)
        assert moved["plane"].item() == pytest.approx(plane, abs=1e-5)
        assert moved["point"].item() == pytest.approx(0.01, abs=1e-5)


def test_the_distance_to_the_true_cloud_can_be_counted_too(root: Path, data: tuple[CarDataset, CarDataset]) -> None:
    counted = settings(weights={"chamfer": 50.0})
    objective = build_objective(Task(counted, *data, root, PLACE, 1))
    stage = counted.stages[0]
    batch = Pool(data[0], counted, complete=objective.complete).sample(stage, 0, 64)
    output = objective(batch.image, stage)
    losses = objective.loss(output, batch, stage, 0)
    perfect = objective.loss({**output, "half": batch.truth.points}, batch, stage, 0)
    # The registered car lies on the true one; what is left is the distance between two thousand points.
    assert 0 < perfect["chamfer"].item() < 0.035 and losses["chamfer"].item() > 1.5 * perfect["chamfer"].item()
    weighed = sum(objective.counted[name] * value.item() for name, value in losses.items() if name != "total")
    assert losses["total"].item() == pytest.approx(weighed, rel=1e-4)
    # The gradient reaches the shape by this part alone.
    half = output["half"].detach().requires_grad_()
    objective.loss({**output, "half": half}, batch, stage, 0)["chamfer"].backward()
    assert half.grad is not None and half.grad.abs().sum() > 0
    with pytest.raises(SettingsError, match="leave out augment_shape or the weight of chamfer"):
        build_objective(Task(settings(weights={"chamfer": 50.0}, augment_shape=0.02), *data, root, PLACE, 1))


def test_bent_cars_are_bent_alike_in_any_number_of_processes(root: Path, data: tuple[CarDataset, CarDataset]) -> None:
    bent = settings(augment_shape=0.02)
    objective = build_objective(Task(bent, *data, root, PLACE, 1))
    stage = bent.stages[0]
    plain = Pool(data[0], bent).sample(stage, 3, 64)
    pool = Pool(data[0], bent, complete=objective.complete)
    whole, halves = pool.sample(stage, 3, 64), [pool.sample(stage, 3, 64, rank, 2) for rank in (0, 1)]
    assert torch.equal(whole.image, torch.cat([half.image for half in halves]))
    assert torch.equal(whole.truth.points, torch.cat([half.truth.points for half in halves]))
    assert not torch.allclose(whole.image, plain.image, atol=0.02)
    scale = objective.scales[whole.shape]
    still = objective.points[whole.shape].float() * scale[:, None]
    assert 1e-3 < (whole.truth.points - still).norm(dim=2).mean() < 0.05
    # Loss and truth are of the bent car: what is perfect for the one at rest is off now.
    output = objective(whole.image, stage)
    exact = {**output, "half": whole.truth.points, "box": whole.truth.box[:, 1:].log()}
    assert objective.loss(exact, whole, stage, 0)["point"].item() < 1e-6
    assert objective.loss({**exact, "half": still}, whole, stage, 0)["point"].item() > 1e-3


def test_expected_errors_are_scaled_to_the_found_ones(root: Path, data: tuple[CarDataset, CarDataset]) -> None:
    objective = build_objective(Task(settings(), *data, root, PLACE, 1))
    network = objective.network.eval()

    def ratio() -> float:
        found, expected = [], []
        for batch, prediction in objective.validation.predict(network, PLACE.device):
            for row, shape in enumerate(batch.shape.tolist()):
                tree, _ = objective.validation.truth(shape)
                found.append(tree.query(prediction.points[row].numpy())[0].mean())
                expected.append(prediction.error[row].mean().item())
        return float(np.mean(found) / np.mean(expected))

    before = ratio()
    figures = objective.finish(network)
    assert list(figures) == ["error_factor", "length_factor"]
    assert figures["error_factor"] == pytest.approx(before, rel=0.02) and abs(before - 1) > 0.1
    assert ratio() == pytest.approx(1, abs=0.02) and figures["length_factor"] > 0
    again = objective.finish(network)
    assert again == {"error_factor": pytest.approx(1, abs=0.02), "length_factor": pytest.approx(1, abs=0.02)}


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path, root: Path, data: tuple[CarDataset, CarDataset]) -> None:
    made = settings(arguments={**SMALL, "dropout": 0.3})
    trainer(tmp_path / "a", root, data, made).train()
    killed_at(trainer(tmp_path / "b", root, data, made), 4)
    resumed = trainer(tmp_path / "b", root, data, made)
    assert resumed.resume() and resumed.step == 4
    resumed.train()
    straight, gone_on = (checkpoint.load(tmp_path / name / "last.pt") for name in "ab")
    assert straight["step"] == 6 and straight["command"] == "a command"
    assert straight["arguments"] == {**SMALL, "dropout": 0.3, "pretrained": False}
    for key in sorted(set(straight) - {"seconds"}):
        assert same(straight[key], gone_on[key]), key
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in curve.read(tmp_path / name / "curve.csv")]
            for name in "ab"]  # fmt: skip
    assert rows[0] == rows[1] and [row["step"] for row in rows[0]] == ["3", "6"]
    assert float(rows[0][0]["score"]) > 0 and float(rows[0][1]["train_plane"]) > 0
    # What is exported has its points spaced and its errors scaled; what training goes on with has not.
    final, plain = straight["average"], straight["training_average"]
    changed = [name for name in final if not torch.equal(final[name], plain[name])]
    assert sorted(changed) == ["error_basis", "error_mean", "extras.head.bias", "shape_basis", "shape_mean"]
    sought = plain["landmarks"]
    assert torch.allclose(final["shape_mean"][sought], plain["shape_mean"][sought], atol=1e-6)


def test_half_precision_stays_near_the_whole(
    root: Path, data: tuple[CarDataset, CarDataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.loop.computes_bfloat16", lambda: False)
    losses = {}
    for precision in ("float32", "bfloat16", "auto"):
        # Without dropout, which draws other numbers in another precision.
        made = settings(precision=precision, arguments={**SMALL, "dropout": 0.0})
        run = trainer(tmp_path / precision, root, data, made)
        module, stage = run.objective.train(), run.settings.stages[0]
        losses[precision] = [run._update(module, stage, done)["total"].item() for done in range(2)]
        assert all(torch.isfinite(value).all() for value in run.network.state_dict().values())
        assert all(value.dtype is not torch.bfloat16 for value in run.network.state_dict().values())
    assert losses["auto"] == losses["float32"], "a CPU that has none"
    monkeypatch.setattr("training.loop.computes_bfloat16", lambda: True)
    assert run._type() is torch.bfloat16, "auto, on one that has"
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"][0] == pytest.approx(losses["float32"][0], rel=0.02)
    assert np.isfinite(losses["bfloat16"]).all(), "also after a step"


def test_parameters_learn_and_decay_as_the_settings_say(
    tmp_path: Path, root: Path, data: tuple[CarDataset, CarDataset]
) -> None:
    run = trainer(tmp_path, root, data, settings(rates={"encoder": 0.5, "shape_": 0.1}, weight_decay=0.02))
    names = {id(parameter): name for name, parameter in run.network.named_parameters()}
    found = {}
    for group in run.optimizer.param_groups:
        found |= {names[id(p)]: (group["rate"], group["weight_decay"]) for p in group["params"]}
    assert len(found) == len(names), "each parameter once"
    assert found["encoder.stem.1.weight"] == (0.5, 0.02) and found["encoder.stem.2.bias"] == (0.5, 0.0)
    assert found["shape_mean"] == found["shape_basis"] == (0.1, 0.0), "a mean is not better for being small"
    assert found["error_basis"] == (1.0, 0.0) and found["box.weight"] == (1.0, 0.02) and found["box.bias"] == (1.0, 0.0)
    stage = run.settings.stages[0]
    run._update(run.objective.train(), stage, 0)
    assert [group["lr"] for group in run.optimizer.param_groups] == pytest.approx(
        [run._rate(stage, 0) * group["rate"] for group in run.optimizer.param_groups]
    )
    with pytest.raises(SettingsError, match="rates names 'encodre', but no parameter of morphable begins so"):
        trainer(tmp_path, root, data, settings(rates={"encodre": 0.5}))


def test_what_it_cannot_do_without_is_asked_for(data: tuple[CarDataset, CarDataset], root: Path) -> None:
    with pytest.raises(DataError, match="needs the shards' folder, for the true clouds: give --data"):
        build_objective(Task(settings(), *data, None, PLACE))
    with pytest.raises(SettingsError, match="network morphable takes no 'depth'; its arguments are: image_size"):
        build_objective(Task(settings(arguments={"depth": 3}), *data, root, PLACE))


def test_a_run_starts_from_another_one_s_weights(
    tmp_path: Path, root: Path, data: tuple[CarDataset, CarDataset]
) -> None:
    first = trainer(tmp_path / "first", root, data, settings(2, arguments={**SMALL, "surface": True}))
    first.train()
    start = tmp_path / "first" / "last.pt"
    second = trainer(tmp_path / "second", root, data, settings(arguments=MORE, seed=5))
    new = second.start_from(start)
    assert "find.offset.weight" in new and "find.last.2.first.weight" in new and "lift.0.bias" not in new
    for name, value in first.average.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], value), name
        assert torch.equal(second.average.state_dict()[name], second.network.state_dict()[name])
    assert second.step == 0
    with pytest.raises(SettingsError, match="has weights find.* for which these settings have nothing"):
        second.save()
        trainer(tmp_path / "third", root, data, settings()).start_from(tmp_path / "second" / "last.pt")
    with pytest.raises(DataError, match="no checkpoint at"):
        second.start_from(tmp_path / "none.pt")
