"""The loop: it learns, it resumes bit for bit, and it says what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from edge.errors import DataError, SettingsError
from tests.training.toys import toy_data
from training import checkpoint, curve
from training.distributed import Place
from training.loop import Trainer
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
    straight = _trainer(tmp_path / "a", _settings())
    straight.train()

    killed = _trainer(tmp_path / "b", _settings())
    steps = 0
    update = killed._update

    def stop_at_four(*arguments: object) -> object:
        nonlocal steps
        if steps == 4:
            killed.save()
            raise KeyboardInterrupt
        steps += 1
        return update(*arguments)  # type: ignore[arg-type]

    killed._update = stop_at_four  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    resumed = _trainer(tmp_path / "b", _settings())
    assert resumed.resume() and resumed.step == 4
    resumed.train()
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    rows = [[r[k] for k in ("step", "samples", "total")] for r in curve.read(tmp_path / "a/curve.csv")]
    assert rows == [[r[k] for k in ("step", "samples", "total")] for r in curve.read(tmp_path / "b/curve.csv")]
    assert [r[0] for r in rows] == ["2", "3", "6", "8", "9"]


def test_it_learns(tmp_path: Path) -> None:
    settings = Settings(
        "lin2018", (Stage("c", 14, map_size=64, batch=8, warm_up=2, learning_rate=3e-3),), validate_every=14
    )
    trainer = _trainer(tmp_path, settings)
    network, stage = trainer.network.train(), settings.stages[0]
    losses = []
    for done in range(stage.iterations):
        losses.append(trainer._update(network, stage, done).total.item())
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
        moved[arguments[0].name] = parts  # type: ignore[attr-defined]
        start.update({n: v.detach().clone() for n, v in trainer.network.named_parameters()})

    trainer._stage = watch  # type: ignore[method-assign,assignment]
    trainer.train()
    assert moved["code"] == {"encoder", "encoder_fc"}
    assert moved["coarse"] == {"decoder_fc", "decoder", "head", "pixel_bias"}
    assert moved["novel"] >= {"encoder", "decoder", "head"}


def test_other_settings_are_refused(tmp_path: Path) -> None:
    _trainer(tmp_path, _settings()).save()
    with pytest.raises(SettingsError, match="was trained with other settings; use another --run folder"):
        _trainer(tmp_path, _settings(7)).resume()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("network = 'lin2018'", "has no \\[\\[stage\\]\\]"),
        ("network = 'lin2018'\nspeed = 3\n[[stage]]\nname='a'\niterations=1", "unknown key 'speed'; known: augment"),
        ("network = 'lin2018'\n[[stage]]\nname='a'\niterations='many'", "iterations must be of type int, not 'many'"),
        ("network = 'lin2018'\n[[stage]]\nname='a'\niterations=1\nloss='x'", "has loss 'x'; known: code, fixed, novel"),
        ("network = 'lin2018'\n[[stage]]\nname='a'\niterations=0", "needs iterations >= 1 and batch >= 2"),
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


def test_shipped_settings_load() -> None:
    settings = load(ROOT / "training/configs/lin2018.toml")
    assert [stage.loss for stage in settings.stages][-1] == "novel"


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


def test_two_processes_train_together(tmp_path: Path) -> None:
    """torchrun with two gloo processes: both finish, one writes, and the weights are finite."""
    script = tmp_path / "two.py"
    script.write_text(
        "import sys, torch\nfrom pathlib import Path\nfrom tests.training.test_loop import _settings\n"
        "from tests.training.toys import toy_data\nfrom training import distributed\n"
        "from training.loop import Trainer\nplace = distributed.start(1)\nassert place.world == 2\n"
        "trainer = Trainer(_settings(2), toy_data(2, 3), toy_data(1, 3, seed=1), Path(sys.argv[1]), place)\n"
        "trainer.train()\ntotal = sum(p.double().sum() for p in trainer.network.parameters()).reshape(1)\n"
        "both = [torch.zeros_like(total) for _ in range(2)]\n"
        "torch.distributed.all_gather(both, total.detach())\nassert torch.equal(both[0], both[1]), both\n"
        "distributed.stop(place)\n"
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        str(script),
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert checkpoint.load(tmp_path / "last.pt")["step"] == 5
