"""The two commands from end to end, on toy cars and the tiny bundle."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.errors import CarcloudError, DataError, SettingsError
from tests.edge.helpers import TINY_BUNDLE, write_picture
from tests.training.benchmark_cars import toy_car
from training.benchmark import cli, protocol
from training.benchmark import run as running
from training.meshes.model import CarMesh


@pytest.fixture
def cars(monkeypatch: pytest.MonkeyPatch) -> list[CarMesh]:
    """Two test bodies and a training body instead of the fetched packages."""
    made = [toy_car("p406"), toy_car("suv", 1.9, 3.2, body_class="suv"), toy_car("other", 1.7)]

    def load_cars(cache: Path, glb: object) -> Iterator[CarMesh]:
        return iter(made)

    monkeypatch.setattr(running, "load_cars", load_cars)
    return made


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    options = parser.parse_args(arguments)
    return options.run(options)


def test_benchmark_writes_tables_and_gives_the_same_figures_again(
    cars: list[CarMesh], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    flags = ["benchmark", "--bundle", TINY_BUNDLE, "--rows", "network,noise,oracle", "--views", "2", "--out", str(out)]
    flags += ["--cache", str(cache), "--conditions", "plain"]
    assert command(*flags) == 0
    shown = capsys.readouterr()
    assert "| network tiny, plain |" in shown.out and "results.md" in shown.out
    assert "not scored: chevrolet, chrono_jeep_cherokee" in shown.err
    first = json.loads((out / "results.json").read_text())
    assert [row["name"] for row in first["rows"]] == ["tiny", "oracle", "noise"]
    network, oracle, noise = first["rows"]
    assert network["kind"] == "network" and len(network["pairs"]["p406"]) == 2
    assert network["mean"]["8192"]["f1"] < oracle["mean"]["8192"]["f1"] < noise["mean"]["8192"]["f1"]
    assert oracle["notes"] == {"p406": "other", "suv": "other"}
    assert network["groups"].keys() == {"saloons", "others"}
    assert network["cost"]["megabytes"] > 0 and network["mean"]["ms"]["network"] > 0
    kept = {path.name for path in cache.iterdir()}
    assert command(*flags) == 0
    again = json.loads((out / "results.json").read_text())
    assert {path.name for path in cache.iterdir()} == kept
    for row in (*first["rows"], *again["rows"]):
        row["mean"].pop("ms", None)
    assert [row["mean"] for row in again["rows"]] == [row["mean"] for row in first["rows"]]


def test_a_bundle_that_sees_no_car_is_scored_worst(cars: list[CarMesh], tmp_path: Path) -> None:
    truth = protocol.truth_of(cars[0], running.Store(tmp_path), 5000)

    def blind(rgb: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
        return np.zeros((0, 3), np.float32), {}

    (record,) = protocol.score_views(blind, truth, [np.zeros((8, 8, 3), np.uint8)])
    assert record["whole.f5"] == 0.0 and record["8192.pred_to_gt"] == 100.0 and record["emd"] == 100.0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--rows", "network,best"], "--rows does not know 'best'; give a comma list out of: network, mean"),
        (["--rows", ","], "--rows is empty"),
        (["--conditions", "occluded"], "--conditions does not know 'occluded'; .*plain, clutter"),
        (["--views", "0"], "--views is 0; give 1 or more"),
        (["--max-points", "-1"], "--max-points is -1; give 0 or more"),
    ],
)
def test_wrong_flags_are_sentences(flags: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        command("benchmark", *flags)


def test_no_bundle_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(CarcloudError, match="no bundle at"):
        command("benchmark", "--bundle", str(tmp_path / "absent"), "--cache", str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_no_test_body_is_a_sentence(cars: list[CarMesh], tmp_path: Path) -> None:
    del cars[:2]
    with pytest.raises(DataError, match="holds no test body; run: python -m training meshes fetch"):
        command("benchmark", "--rows", "noise", "--cache", str(tmp_path / "cache"))


def test_sheet_of_renders_and_photos(cars: list[CarMesh], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    write_picture(str(photos / "good.png"))
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    boxes = tmp_path / "boxes.json"
    boxes.write_text('{"good.png": [10, 10, 40, 30]}')
    out = tmp_path / "sheet.png"
    flags = ["--bundle", TINY_BUNDLE, "--renders", "1", "--cache", str(tmp_path / "cache"), "--boxes", str(boxes)]
    assert command("sheet", *flags, "--out", str(out), "--photos", str(photos)) == 0
    shown = capsys.readouterr()
    assert "2 pictures on" in shown.out
    assert "left out" in shown.err and "broken.jpg" in shown.err
    assert Image.open(out).width > 800


def test_sheet_without_anything_to_show_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"")
    flags = ["--bundle", TINY_BUNDLE, "--renders", "0", "--out", str(tmp_path / "s.png")]
    with pytest.raises(CarcloudError, match="nothing to put on the sheet: give --renders N"):
        command("sheet", *flags, "--photos", str(tmp_path / "broken.jpg"))
    assert not (tmp_path / "s.png").exists()
