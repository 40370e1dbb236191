"""The loop: it learns, it resumes bit for bit, and it says what is wrong."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from edge.errors import DataError, SettingsError
from tests.training.toys import killed_at, same, toy_data
from training import checkpoint, curve
from training.distributed import Place
from training.loop import Trainer
from training.networks import NETWORKS
from training.networks.base import Network
from training.objectives import Task, build_objective
from training.objectives.base import Objective
from training.settings import Settings, Stage, load

PLACE = Place(0, 1, torch.device("cpu"))
ROOT = Path(__file__).parents[2]


def _settings(iterations: int = 6) -> Settings:
    code = Stage("code", 2, loss="code", batch=4, warm_up=1)
    coarse = Stage("coarse", iterations, map_size=64, batch=4, warm_up=2, learning_rate=2e-3, freeze_encoder=True)
    novel = Stage("novel", 1, loss="novel", batch=4, learning_rate=1e-5, novel_views=1, upscale=2)
    return Settings("lin2018", (code, coarse, novel), validate_every=3, checkpoint_seconds=1e9)


def _trainer(run: Path, settings: Settings) -> Trainer:
    run.mkdir(exist_ok=True)
    return Trainer(settings, toy_data(2, 3), toy_data(1, 3, seed=1), run, PLACE)


def test_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    _trainer(tmp_path / "a", _settings()).train()
    killed_at(_trainer(tmp_path / "b", _settings()), 4)
    resumed = _trainer(tmp_path / "b", _settings())
    assert resumed.resume() and resumed.step == 4
    resumed.train()
    ends = [checkpoint.load(tmp_path / name / "last.pt") for name in "ab"]
    for key in sorted(set(ends[0]) - {"seconds"}):
        assert same(ends[0][key], ends[1][key]), key
    rows = [[r[k] for k in ("step", "samples", "total")] for r in curve.read(tmp_path / "a/curve.csv")]
    assert rows == [[r[k] for k in ("step", "samples", "total")] for r in curve.read(tmp_path / "b/curve.csv")]
    assert [r[0] for r in rows] == ["2", "3", "6", "8", "9"]


def test_it_learns(tmp_path: Path) -> None:
    settings = Settings(
        "lin2018", (Stage("c", 14, map_size=64, batch=8, warm_up=2, learning_rate=3e-3),), validate_every=14
    )
    trainer = _trainer(tmp_path, settings)
    module, stage = trainer.objective.train(), settings.stages[0]
    losses = []
    for done in range(stage.iterations):
        losses.append(trainer._update(module, stage, done)["total"].item())
        trainer.step += 1
    assert sum(losses[-3:]) < 0.85 * sum(losses[:3])


def test_a_frozen_encoder_rests_and_a_code_stage_leaves_the_decoder_alone(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, _settings(2))
    start = {name: value.clone() for name, value in trainer.network.named_parameters()}
    moved: dict[str, set[str]] = {}
    stage = trainer._stage

    def watch(*arguments: object) -> None:
        stage(*arguments)  # type: ignore[arg-type]
        parts = {n.split(".")[0] for n, v in trainer.network.named_parameters() if not torch.equal(v, start[n])}
        moved[trainer.settings.stages[arguments[0]].name] = parts  # type: ignore[index]
        start.update({n: v.detach().clone() for n, v in trainer.network.named_parameters()})

    trainer._stage = watch  # type: ignore[method-assign,assignment]
    trainer.train()
    assert moved["code"] == {"encoder", "encoder_fc"}
    assert moved["coarse"] == {"decoder_fc", "decoder", "head", "pixel_bias"}
    assert moved["novel"] >= {"encoder", "decoder", "head"}


def test_lin2018_is_built_as_its_settings_say() -> None:
    settings = Settings("lin2018", _settings().stages, bn_momentum=0.05, init_std=0.02)
    network = build_objective(Task(settings, toy_data(2, 1), toy_data(1, 1), None, PLACE)).network
    assert network.get_parameter("encoder.1.0.weight").std().item() == pytest.approx(0.02, rel=0.05)
    assert {m.momentum for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {0.05}


def test_other_settings_are_refused(tmp_path: Path) -> None:
    _trainer(tmp_path, _settings()).save()
    with pytest.raises(SettingsError, match="was trained with other settings; use another --run folder"):
        _trainer(tmp_path, _settings(7)).resume()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("network = 'lin2018'", "has no \\[\\[stage\\]\\]"),
        ("network = 'lin2018'\nspeed = 3\n[[stage]]\nname='a'\niterations=1", "unknown key 'speed'; known: arguments,"),
        ("network = 'lin2018'\n[[stage]]\nname='a'\niterations='many'", "iterations must be of type int, not 'many'"),
        ("network = 'lin2018'\n[[stage]]\nname='a'\niterations=1\nloss='x'", "has loss 'x'; known: network, code"),
        ("network = 'lin2018'\n[[stage]]\nname='a'\niterations=0", "needs iterations >= 1 and batch >= 2"),
        ("network = 'lin2018'\nprecision='half'\n[[stage]]\nname='a'\niterations=1", "precision is 'half'; known:"),
        ("[[stage]]\nname='a'\niterations=1", "network"),
        ("network = ", "is not valid TOML"),
    ],
)
def test_bad_settings_say_what_is_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=sentence):
        load(path)


def test_missing_settings_list_the_shipped(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="lin2018.toml"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize("path", sorted((ROOT / "training/configs").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_settings_load_and_name_their_network(path: Path) -> None:
    settings = load(path)
    assert settings.network == path.stem.partition("-")[0] and settings.network in NETWORKS
    last = settings.stages[-1].loss
    assert last == ("novel" if settings.network == "lin2018" else "network")


def test_hold_out_and_weights_are_read(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("network = 'a'\nhold_out = ['x', 'y']\n[weights]\nbox = 2.0\n[[stage]]\nname='a'\niterations=1")
    settings = load(path)
    assert settings.hold_out == ("x", "y") and settings.weights == {"box": 2.0}
    assert settings.stages[0].loss == "network"


def test_too_small_a_batch_for_the_processes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="a batch of 4 for 3 processes; batch normalisation needs at least 2"):
        Trainer(_settings(), toy_data(2, 3), toy_data(1, 3), tmp_path, Place(0, 3, torch.device("cpu")))


def test_damaged_checkpoint_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no checkpoint at"):
        checkpoint.load(tmp_path / "last.pt")
    (tmp_path / "last.pt").write_bytes(b"PK not really")
    with pytest.raises(DataError, match="cannot be read as a checkpoint"):
        checkpoint.load(tmp_path / "last.pt")
    torch.save({"format": 99}, tmp_path / "last.pt")
    with pytest.raises(DataError, match="no carcloud checkpoint of format 1"):
        checkpoint.load(tmp_path / "last.pt")


# --- stages that end early ----------------------------------------------------------------------------------------


class Dot(Network):
    """The least network there is."""

    input_size, source = 64, "nobody"

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))


class Told(Objective):
    """Its validations have the scores it is told, whatever it learns; None is one without a score."""

    def __init__(self, scores: list[float | None]) -> None:
        super().__init__()
        self.network, self.scores = Dot(), scores
        self.seen: list[str] = []

    def forward(self, image: torch.Tensor, stage: Stage) -> dict[str, torch.Tensor]:
        self.seen.append(stage.name)
        return {"weight": self.network.get_parameter("weight")}

    def loss(self, output: dict[str, torch.Tensor], batch: Any, stage: Stage, step: int) -> dict[str, torch.Tensor]:
        return {"total": (output["weight"] - step).square().sum()}

    def validate(self, network: Network, stage: Stage) -> dict[str, float]:
        score = self.scores.pop(0)
        return {"other": 1.0} if score is None else {"score": score}


def _told(run: Path, monkeypatch: pytest.MonkeyPatch, scores: list[float | None], early_stop: int = 2) -> Trainer:
    """Two stages of eight steps, validated after every second."""
    stages = (Stage("one", 8, batch=2), Stage("two", 8, batch=2))
    monkeypatch.setattr("training.loop.build_objective", lambda task: Told(list(scores)))
    run.mkdir(exist_ok=True)
    settings = Settings("dot", stages, validate_every=2, early_stop=early_stop, checkpoint_seconds=1e9)
    return Trainer(settings, toy_data(2, 2), toy_data(1, 2), run, PLACE)


def test_a_stage_ends_after_so_many_validations_without_a_better_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The first stage gets better, then not (equal is not better) twice; the second starts anew and runs to its end.
    trainer = _told(tmp_path, monkeypatch, [5.0, 6.0, 5.0, 9.0, 8.0, 8.5, 7.0])
    trainer.train()
    assert trainer.objective.seen == ["one"] * 6 + ["two"] * 8
    assert "no better validation in 2: stage one ends here" in capsys.readouterr().out
    rows = curve.read(tmp_path / "curve.csv")
    assert [(row["step"], row["stage"]) for row in rows][2:4] == [("6", "one"), ("10", "two")]
    state = checkpoint.load(tmp_path / "last.pt")
    assert (state["ended"], state["step"], state["best"]) == ([0], 16, 7.0)


def test_a_resumed_run_does_not_start_an_ended_stage_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = [5.0, 6.0, 6.0, 9.0, 9.5, 9.5]
    killed_at(_told(tmp_path, monkeypatch, scores), 11)
    resumed = _told(tmp_path, monkeypatch, scores[4:])
    assert resumed.resume() and resumed.ended == [0] and resumed.best == 9.0
    resumed.train()
    assert resumed.objective.seen == ["two"] * 3, "steps 12 to 14, at which it, too, is no better"
    assert checkpoint.load(tmp_path / "last.pt")["ended"] == [0, 1]
    again = _told(tmp_path, monkeypatch, [])
    again.resume()
    again.train()
    assert again.objective.seen == []


def test_without_the_setting_or_a_score_a_stage_runs_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    never = _told(tmp_path / "a", monkeypatch, [5.0] * 8, early_stop=0)
    never.train()
    assert len(never.objective.seen) == 16 and never.ended == []
    codes = _told(tmp_path / "b", monkeypatch, [None] * 8)
    codes.train()
    assert len(codes.objective.seen) == 16 and codes.best == math.inf


def test_a_loss_that_is_not_finite_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = _told(tmp_path, monkeypatch, [1.0] * 8)
    monkeypatch.setattr(trainer.objective, "loss", lambda *_: {"total": trainer.network.weight.sum() * math.nan})
    with pytest.raises(SettingsError, match="the loss became nan at step 1; lower learning_rate in stage 'one'"):
        trainer.train()
