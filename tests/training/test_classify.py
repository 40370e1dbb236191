"""``python -m training classify`` from photos in a published layout to its report; its networks and its stand-in."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import DataError, ImageError, SettingsError
from edge.runtime.backends import open_backend
from edge.runtime.finder import open_finder
from tests.edge.helpers import FINDING_BUNDLE, red_cars
from tests.training.test_classify_parts import bmw10
from tests.training.test_render import box_car
from training.__main__ import main
from training.classify import head, report, standin
from training.classify.arms import ARMS, PAIRS
from training.classify.features import cells, features_of, found_box, grid, stacked
from training.classify.network import Flagship, ImageNet
from training.classify.photos import Examples, open_examples
from training.classify.run import Task, ends, known_arms
from training.classify.run import run as compared
from training.datasets.rendered import TRUTH


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer settings to choose from."""
    monkeypatch.setattr(head, "PENALTIES", (3e-3, 3e-4))
    monkeypatch.setattr(head, "WEIGHTS", (1.5,))


def painted(root: Path, photos: int = 4) -> Path:
    """Two classes that any features tell apart: stripes along, and stripes across."""
    bmw10(root, photos, (1, 2))
    for label in (1, 2):
        for number in range(photos):
            path = root / "bmw10_ims" / str(label) / f"{number}.jpg"
            image = np.full((40, 60, 3), 20 * number, np.uint8)
            image[(slice(number, None, 8), slice(None)) if label == 1 else (slice(None), slice(number, None, 8))] = 250
            cv2.imwrite(str(path), image)
    return root


def test_the_command_learns_from_the_published_split_and_writes_what_it_found(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = painted(tmp_path / "set"), tmp_path / "out"
    (data / "bmw10_ims" / "2" / "3.jpg").write_bytes(b"no picture")
    command = ["classify", "--data", f"bmw10:{data}", "--out", str(out), "--features", "plain,plain+shape"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())
    assert results["train"] == 4 and results["test"] == 3 and results["classes"] == ["bmw 1", "bmw 2"]
    assert "1 photos that cannot be read left out" in results["notes"]
    plain = results["arms"]["plain"]
    assert plain["accuracy"]["mean"] == 1.0 and plain["confusion"] == [[2, 0], [0, 1]]
    assert len(plain["answers"]) == len(results["test_photos"]) == 3
    assert [row["with"] for row in results["differences"]] == ["plain + shape"]
    assert "| plain         | 100.0 (100.0 to 100.0) | 100.0" in shown and (out / "report.md").read_text() in shown
    image = cv2.imread(str(out / "confusion.png"))
    assert image is not None and image.shape[1] > image.shape[0] > 200, "two matrices side by side"
    # A second time nothing is looked at again: the features are kept.
    kept = (out / "features.npz").stat().st_mtime_ns
    assert main([*command, "--split-only"]) == 0
    assert (out / "features.npz").stat().st_mtime_ns == kept
    assert json.loads((out / "results.json").read_text())["arms"] == results["arms"]


def test_missing_data_and_wrong_flags_end_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path / "out")]
    assert main(["classify", "--data", f"bmw10:{tmp_path / 'no'}", *out]) == DataError.exit_code
    assert "get it from https://ai.stanford.edu" in capsys.readouterr().err
    assert main(["classify", "--data", "bmw10:x", "--seed", "-1", *out]) == SettingsError.exit_code
    assert main(["classify", "--data", "stand-in", "--photos", "3", *out]) == SettingsError.exit_code
    assert main(["classify", "--data", "stand-in", "--kind", "old", "--meshes", str(tmp_path), *out]) == 2
    assert "there is no stand-in 'old'; known are unseen, generations, seen" in capsys.readouterr().err
    assert main(["classify", "--data", "bmw10:x", "--features", "plain,colour", *out]) == SettingsError.exit_code
    assert "--features 'plain,colour': 'colour' is none of plain, plain + shape" in capsys.readouterr().err


def test_every_pair_is_of_arms_and_arms_are_named_with_or_without_spaces() -> None:
    assert known_arms("plain+shape, encoder") == ["plain + shape", "encoder"] and known_arms("all") == list(ARMS)
    assert all(one in ARMS and other in ARMS for one, other in PAIRS)
    with pytest.raises(SettingsError, match="'nothing' is none of"):
        known_arms(" , ")


def test_the_networks_tell_the_same_with_their_maps_taken_out() -> None:
    bundle = load_bundle("morphable")
    image = np.random.default_rng(0).normal(size=(1, 3, 128, 128)).astype(np.float32)
    told, maps = Flagship(bundle).look(image)
    with open_backend(bundle, "ort", threads=1) as backend:
        wanted = backend.run({bundle.input_name: image})
        assert told["points"] == pytest.approx(wanted["points"], abs=1e-4)
    assert [value.shape for value in maps[:3]] == [(40, 16, 16), (112, 8, 8), (320, 4, 4)] and maps.pooled is None
    assert all(np.abs(value).max() > 0 for value in maps[:3])
    plain = ImageNet(pretrained=False).look(np.zeros((1, 3, 224, 224), np.float32))
    assert plain.fine.shape == (112, 14, 14) and plain.pooled is not None and plain.pooled.shape == (1280,)


def test_a_bundle_without_the_encoder_is_refused() -> None:
    with pytest.raises(DataError, match="has not the encoder whose features are wanted; give a bundle of the network"):
        Flagship(load_bundle(FINDING_BUNDLE))


def test_quarters_of_a_map() -> None:
    flat = np.arange(9, dtype=np.float32).reshape(1, 3, 3)
    assert cells(flat).tolist() == [2, 3, 5, 6], "the middle of an odd map counts for both sides"


def test_a_photo_without_a_box_is_searched_and_else_taken_whole() -> None:
    finder = open_finder(load_bundle(FINDING_BUNDLE), threads=1)
    assert finder is not None
    box = found_box(red_cars((3, 3)), finder)
    assert box is not None and inside((140, 105), box), "the red square is around there"
    assert found_box(red_cars(), finder) is None and found_box(red_cars((3, 3)), None) is None


def inside(point: tuple[float, float], box: tuple[float, float, float, float]) -> bool:
    return box[0] < point[0] < box[0] + box[2] and box[1] < point[1] < box[1] + box[3]


def test_a_grid_has_the_channels_of_all_maps_cell_by_cell() -> None:
    maps = [np.arange(36, dtype=np.float32).reshape(1, 6, 6), np.zeros((2, 3, 6), np.float32)]
    table = grid(maps).reshape(3, 6, 3)
    assert (table[..., 1:] == 0).all() and table[0, :, 0].tolist() == [3, 4, 5, 6, 7, 8] and table[2, 5, 0] == 32


def test_photos_that_cannot_be_read_are_rows_of_zeros(tmp_path: Path) -> None:
    rows = stacked([None, {"a": np.ones(2)}])
    assert rows["a"].tolist() == [[0, 0], [1, 1]] and rows["read"].tolist() == [False, True]
    with pytest.raises(ImageError, match="none of the photos can be read; unpack the data set again"):
        stacked([None])
    found = open_examples(f"bmw10:{bmw10(tmp_path, 2, (1, 2))}")
    for path in found.paths[1:]:
        Path(path).write_bytes(b"")
    features = features_of(found, load_bundle("morphable"), tmp_path / "kept.npz")
    with pytest.raises(DataError, match="too few of the photos can be read to learn and to test"):
        Task(found, features, ["plain"])


def made_up(shape_tells: bool) -> Task:
    """Photos of three classes around the car, whose plain features tell little and whose shape tells all or nothing."""
    rng = np.random.default_rng(0)
    labels, test = np.repeat(np.arange(3), 24), np.tile([False, True], 36)
    count = len(labels)
    shape = rng.normal(size=(count, 10, 3)) * 0.1 + (labels[:, None, None] if shape_tells else 0)
    features = {
        "plain": rng.normal(size=(count, 8)) + 0.3 * np.eye(8)[labels], "plain_cells": rng.normal(size=(count, 8)),
        "points": shape, "told": rng.normal(size=(count, 11)) + 4.0 * shape_tells * np.eye(11)[labels],
        "read": np.ones(count, bool), "azimuth": np.zeros(count),
    }  # fmt: skip
    azimuth = rng.uniform(0, 360, count)
    names = [str(row) for row in range(count)]
    found = Examples(names, names, [None] * count, labels, test, ["a", "b", "c"], azimuth, ["made up"])
    return Task(found, features, ["plain", "plain + shape", "shape"])


def test_the_further_tests_say_what_shape_adds_and_are_drawn(quick: None, tmp_path: Path) -> None:
    results = compared(made_up(True))
    assert results["views"] == "true" and results["train"] == results["test"] == 36
    difference = results["differences"][0]
    assert difference["with"] == "plain + shape" and difference["low"] > 0.05
    assert [row["photos"] for row in results["curve"]] == [4, 8]
    few = results["curve"][0]
    assert few["differences"][0]["mean"] > 0.1 and few["by_view"]["shape"][0]["mean"] > 0.5
    assert sum(row["answers"] for row in few["by_view"]["plain"]) == 3 * 36
    assert results["ends"]["other"]["arms"]["shape"]["mean"] > 0.6
    results = {"data": "made up", "counts": "3 classes", "notes": ["made up"], **results}
    text = report.as_text(results)
    assert "(plain + shape) - (plain)" in text and "other end" in text and "| 4 photos" in text
    paths = report.write(results, tmp_path)
    assert [path.name for path in paths] == ["results.json", "report.md", "confusion.png", "curve.png"]
    assert all(path.stat().st_size > 500 for path in paths)


def test_shape_that_tells_nothing_adds_nothing(quick: None) -> None:
    results = compared(made_up(False), further=False)
    assert results["differences"][0]["low"] < 0.05 and "curve" not in results
    assert results["arms"]["shape"]["accuracy"]["mean"] < 0.6


def test_a_class_seen_from_one_end_only_leaves_that_test_out() -> None:
    task = made_up(True)
    task.azimuth[task.labels == 1] = 5.0
    assert ends(task) == {}


def test_generations_are_rendered_in_the_published_layout_on_their_parents_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = box_car("p406")
    cars = standin.generations(parent, [parent], 2)
    assert [car.name for car in cars] == ["p406 1", "p406 2"]
    assert not np.allclose(np.concatenate(cars[0].bounds()), np.concatenate(cars[1].bounds()), atol=0.01)
    monkeypatch.setattr(standin, "bodies_of", lambda *_: cars)
    monkeypatch.setattr(standin, "SIZE", (96, 72))
    root = standin.render("generations", tmp_path, tmp_path, [], photos=2)
    found = open_examples(f"bmw10:{root}")
    assert found.classes == ["p406 1", "p406 2"] and found.test.sum() == 2 and np.isfinite(found.azimuth).all()
    truth = json.loads((root / TRUTH).read_text())
    assert {row["split"] for row in truth["classes"]} == {"test"}
    monkeypatch.setattr(standin, "write_photoset", None)
    assert standin.render("generations", tmp_path, tmp_path, []) == root, "what is there is not made again"


def test_a_stand_in_needs_its_cars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin, "load_cars", lambda *_: iter([box_car("p406")]))
    with pytest.raises(DataError, match=r"needs the car skd, which is not in .*; type: python -m training meshes"):
        standin.bodies_of("unseen", tmp_path, [])
