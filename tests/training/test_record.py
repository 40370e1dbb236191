"""What a run's folder says about the run."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy
import pytest
import torch

import edge
from tests.training.data_samples import hand_made
from training import cli, record
from training.settings import Settings, Stage

SETTINGS = Settings("lin2018", (Stage("a", 3),), seed=7, arguments={"init_std": 0.02}, hold_out=("s0",))


def test_a_record_says_all_that_a_run_can_be_repeated_with(tmp_path: Path) -> None:
    hand_made(tmp_path, 2)
    record.write_record(tmp_path, SETTINGS, tmp_path, "python -m training train --config a.toml")
    found = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert found["command"] == "python -m training train --config a.toml"
    assert found["settings"] == json.loads(json.dumps(dataclasses.asdict(SETTINGS)))
    assert found["settings"]["seed"] == 7 and found["settings"]["stages"][0]["iterations"] == 3
    index = (tmp_path / "index.json").read_bytes()
    assert found["data"]["index_sha256"] == hashlib.sha256(index).hexdigest()
    assert found["data"]["shards"] == 2 and found["data"]["settings"]["size"] == 16
    assert found["carcloud"] == edge.__version__ and found["machine"]["threads"] == torch.get_num_threads()
    assert found["packages"]["numpy"] == numpy.__version__ and all(found["packages"].values()), "each is installed"
    assert found["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert "start_sha256" not in found
    (tmp_path / "start.pt").write_bytes(b"weights")
    record.write_record(tmp_path, SETTINGS, tmp_path, "again", tmp_path / "start.pt")
    again = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert again["start_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob("*.tmp"))


def test_the_command_is_what_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["training/__main__.py", "train", "--run", "runs/a b"])
    assert record.command_line() == "python -m training train --run 'runs/a b'"


def test_outside_a_checkout_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(record, "__file__", str(tmp_path / "record.py"))
    assert record._commit() == ""
    assert record._version("no-such-package-anywhere") == ""


def flags(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    return parser.parse_args(["train", *given])


def test_settings_can_be_printed_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text("network = 'lin2018'\nseed = 5\n[[stage]]\nname = 'a'\niterations = 2\n")
    assert cli.run_train(flags("--config", str(tmp_path / "a.toml"), "--print-config")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["seed"] == 5 and printed["stages"][0]["loss"] == "network"
