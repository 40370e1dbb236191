"""Judging networks while they train: a network that knows is perfect, and each mistake shows in its own figure."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.data_samples import hand_made
from training.benchmark.attributes import FLIPPED
from training.data.archive import picture_members, shape_members
from training.data.dataset import load_cloud, load_dataset
from training.data.plan import ShardSettings
from training.data.shards import FORMAT, FORMAT_VERSION, read_index, write_index, write_shard
from training.losses_extras import Targets
from training.meshes.visible import Surface
from training.networks.base import BINS, CLASSES, Network, Prediction
from training.validation import CloudValidation

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def validation(tmp_path_factory: pytest.TempPathFactory) -> CloudValidation:
    """Four shapes, two of them real, seven pictures; clouds of 500 points in a car's box."""
    root = tmp_path_factory.mktemp("shards")
    drawn = hand_made(root, 4, pictures=2, split="validation")
    entries = read_index(root)["shards"]
    assert len(drawn) == len(entries) == 4
    made = []
    for number, entry in enumerate(entries):
        cloud = np.random.default_rng(number).uniform([-0.5, -0.2, -0.15], [0.5, 0.2, 0.15], (500, 3))
        surface = Surface(cloud.astype(np.float32), np.tile([0, 0, 1.0], (500, 1)), np.zeros(500, np.uint8))
        meta = {
            "format": FORMAT, "format_version": FORMAT_VERSION, **entry, "length_m": 4.0 + number,
            "extents_m": [4.0, 1.6, 1.2],
        }  # fmt: skip
        nothing = np.zeros((8, 128, 128), np.float16), (np.zeros((1, 128, 128)), np.eye(3)[None])
        members = list(shape_members(entry["name"], meta, *nothing, surface))
        for place, picture in enumerate(drawn[number]):
            looking = picture._replace(t=np.array([0.1 * place, 0.0, 2.5]), K=np.diag([40.0, 40.0, 1.0]))
            looking.K[:2, 2] = 8
            members += picture_members(entry["name"], place, looking)
        made.append(write_shard(root, meta, members))
    write_index(root, ShardSettings(pictures=2, novel=1, size=16), made, {})
    data = load_dataset(root, "validation", 16, novel=False, fixed=False)
    return CloudValidation(data, root, 8, pictures=7)


class Knows(Network):
    """Gives the truth of each batch in turn, changed in one way or another."""

    source = "nobody"

    def __init__(self, validation: CloudValidation, **changes: Tensor) -> None:
        super().__init__()
        self.input_size, self.changes, self.asked = 8, changes, 0
        self.validation = validation
        self.pictures: list[Tensor] = []

    def forward(self, image: Tensor) -> Prediction:
        self.pictures.append(image)
        batch = self.validation.batches[self.asked % len(self.validation.batches)]
        self.asked += 1
        names = [self.validation.data.names[shape] for shape in batch.shape.tolist()]
        clouds = np.stack([load_cloud(self.validation.root, name) for name in names])
        shift = self.changes.get("points", torch.zeros(3))
        return Prediction(points=torch.from_numpy(clouds) + shift, **_heads(batch.targets, self.changes))


def _heads(targets: Targets, changes: dict[str, Tensor]) -> dict[str, Tensor]:
    place = torch.remainder((targets.azimuth + changes.get("azimuth", 0)) / (2 * math.pi), 1.0) * BINS
    way = torch.remainder(place[:, None] - torch.arange(BINS) + BINS / 2, BINS) - BINS / 2
    return {
        "azimuth": torch.cat([-20 * way.abs(), way], 1),
        "camera": targets.camera + changes.get("camera", torch.zeros(6)),
        "length": torch.stack([(targets.length * changes.get("length", torch.ones(1))).log(), targets.length * 0], 1),
        "classes": torch.nn.functional.one_hot((targets.classes + int(changes.get("classes", 0))) % len(CLASSES)) * 9.0,
    }


def test_a_network_that_knows_is_perfect(validation: CloudValidation) -> None:
    knows = Knows(validation)
    figures = validation.figures(knows, CPU)
    assert sum(len(p) for p in knows.pictures) == 7 and knows.pictures[0].shape[1:] == (3, 8, 8)
    for name in ("pred_to_gt", "gt_to_pred", "score", "azimuth_error", "elevation_error", "place_error", "scale_error"):
        assert figures[name] == pytest.approx(0, abs=1e-3), name
    assert figures["length_error"] == pytest.approx(0, abs=1e-3) and figures["confused"] == 0
    assert figures["f1"] == figures["f2"] == figures["class_right"] == 100
    assert figures["real_f1"] == figures["parametric_f1"] == 100
    assert validation.figures(Knows(validation), CPU) == figures, "the same pictures each time"


def test_each_mistake_shows_in_its_own_figure(validation: CloudValidation) -> None:
    perfect = validation.figures(Knows(validation), CPU)

    def changed(**changes: Tensor) -> dict[str, float]:
        found = validation.figures(Knows(validation, **changes), CPU)
        return {name: value for name, value in found.items() if abs(value - perfect[name]) > 1e-3}

    assert changed(azimuth=torch.tensor(math.radians(20))) == {"azimuth_error": pytest.approx(20, abs=1e-3)}
    turned = changed(azimuth=torch.tensor(math.pi))
    assert turned == {"azimuth_error": pytest.approx(180, abs=1e-2), "confused": 100} and FLIPPED < 180
    tilted = changed(camera=torch.tensor([math.radians(5), 0, 0.2, 0.1, -0.3, 0.0]))
    assert tilted == {
        "elevation_error": pytest.approx(5, abs=1e-3), "place_error": pytest.approx(0.15, abs=1e-5),
        "scale_error": pytest.approx(0.3, abs=1e-5),
    }  # fmt: skip
    assert changed(length=torch.tensor([1.1])) == {"length_error": pytest.approx(10, abs=1e-3)}
    assert changed(classes=torch.tensor(1)) == {"class_right": 0}
    moved = changed(points=torch.tensor([0.0, 0.0, 0.4]))
    assert moved["pred_to_gt"] > 10 and moved["gt_to_pred"] > 10 and moved["f2"] < 60 and "azimuth_error" not in moved


def test_real_and_parametric_bodies_count_alike(validation: CloudValidation) -> None:
    class Partly(Knows):
        """Right for parametric cars only."""

        def forward(self, image: Tensor) -> Prediction:
            batch = self.validation.batches[self.asked % len(self.validation.batches)]
            prediction = super().forward(image)
            real = torch.tensor([bool(self.validation.data.real[shape]) for shape in batch.shape.tolist()])
            assert prediction.points is not None
            return prediction._replace(points=prediction.points + real[:, None, None] * torch.tensor([0, 0, 0.5]))

    figures = validation.figures(Partly(validation), CPU)
    assert figures["parametric_f1"] == 100 and figures["real_f1"] < 50
    assert figures["parametric_pred_to_gt"] == pytest.approx(0, abs=1e-3)
    assert figures["score"] == pytest.approx((figures["real_pred_to_gt"] + figures["real_gt_to_pred"]) / 2, rel=1e-3)
    # Of seven pictures spread over eight, more or fewer are of real bodies: the means over pictures are others.
    assert figures["pred_to_gt"] + figures["gt_to_pred"] != pytest.approx(figures["score"], rel=0.01)


def test_points_alone_are_judged_without_attributes(validation: CloudValidation) -> None:
    class Bare(Knows):
        def forward(self, image: Tensor) -> Prediction:
            return Prediction(points=super().forward(image).points)

    figures = validation.figures(Bare(validation), CPU)
    assert figures["score"] == pytest.approx(0, abs=1e-3) and "azimuth_error" not in figures


def test_true_clouds_are_read_once(validation: CloudValidation) -> None:
    tree, some = validation.truth(2)
    assert tree.n == len(some) == 500 and validation.truth(2)[0] is tree, "read once"
    np.testing.assert_array_equal(some, load_cloud(validation.root, "s2-0"))
