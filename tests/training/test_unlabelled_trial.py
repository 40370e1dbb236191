"""The trial on rendered pictures whose truth is known: what teaches, what is measured, and the whole command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge.errors import DataError, SettingsError
from tests.training.data_samples import car_shards
from tests.training.test_unlabelled import toy_flagship, write_checkpoint
from tests.training.toys import SMALL
from training.__main__ import main
from training.morphable import registered
from training.unlabelled import report
from training.unlabelled.guards import rehearsal_of
from training.unlabelled.settings import UnlabelledSettings
from training.unlabelled.student import Student
from training.unlabelled.trial import arms_of, trial_of


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cars")
    car_shards(folder, pictures=3, points=1000, size=64)
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registered, "POINTS", SMALL["points"])


def test_pictures_that_teach_are_not_measured(root: Path) -> None:
    trial = trial_of(root, toy_flagship(), "test", "validation", None)
    same, other = trial.groups
    assert [photo.group for photo in trial.teaching] == ["omega-0"] * 2
    assert len(same.shapes) == 1 and len(other.shapes) == 3 and len(other.targets) == 1
    asked = []

    def mask(rgb: np.ndarray) -> np.ndarray:
        asked.append(rgb)
        return np.ones(rgb.shape[:2], np.float32)

    trial_of(root, toy_flagship(), "test", "", mask)
    assert len(asked) == 2


def test_rehearsed_cars_are_training_cars_and_judged_ones_are_not(root: Path) -> None:
    network = toy_flagship()
    rehearsed, judged = rehearsal_of(root, network, network.state_dict(), points=50)
    assert len(rehearsed.box) == 5 and len(judged.box) == 3  # of the parametric validation car alone
    assert torch.allclose(judged.box[0], judged.box[1])
    losses = rehearsed.part(torch.tensor([0, 2])).losses(Student(network))
    assert {"plane", "point", "box", "camera"} <= set(losses) and all(v.isfinite() for v in losses.values())


def test_arms() -> None:
    arms = arms_of(UnlabelledSettings(), ["guarded", "unguarded", "grouped", "without-anchor"])
    assert [arm.weight("anchor") > 0 for arm in arms.values()] == [True, False, True, False]
    assert [arm.grouped for arm in arms.values()] == [False, False, True, False]
    with pytest.raises(SettingsError, match="no part 'luck'"):
        arms_of(UnlabelledSettings(), ["without-luck"])


def test_the_command_measures_every_arm(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.unlabelled.run.drifted", lambda now, start: "")  # what toys do is no car's
    start, out = write_checkpoint(tmp_path / "last.pt"), tmp_path / "trial"
    given = ["unlabelled-trial", "--shards", str(root), "--checkpoint", str(start), "--out", str(out)]
    assert main([*given, "--masks", "truth", "--steps", "2", "--validate-every", "1", "--batch", "2"]) == 0
    said = capsys.readouterr().out
    assert "| before | 0 |" in said and "| guarded | 2 |" in said and "| unguarded | 2 |" in said
    assert (out / "curves.png").stat().st_size > 1000
    rows = report.read_curve(out / "unguarded-0")
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert {"same_pred_to_gt", "other_f2", "iou", "rehearsed", "nearest", "strange"} <= set(rows[0])
    assert "anchor" not in rows[1] and "anchor" in report.read_curve(out / "guarded-0")[1]


def test_curves_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no curves below"):
        report.trial_table(tmp_path)
    with pytest.raises(DataError, match="no curve at"):
        report.read_curve(tmp_path / "guarded-0")
