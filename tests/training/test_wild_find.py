"""``training find``: photos with cars, pictures and drawn scenes without."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import SettingsError, SourceError
from edge.runtime.finder import Detection
from edge.runtime.following import Follower
from edge.runtime.tracking import alike
from tests.edge.helpers import FINDING_BUNDLE, picture, red_cars
from training.render.scene import CAR, GLOSSY
from training.wild import cli, nothing
from training.wild import empty as drawing
from training.wild.empty import LOOKS, RATE, EmptyStreets
from training.wild.nothing import by_hand, watch
from training.wild.photos import chosen, inside, read_truth
from training.wild.play import open_remembering


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    options = parser.parse_args([str(item) for item in arguments])
    return int(options.run(options))


def photos(folder: Path) -> Path:
    """Two photos with a red car in cell (3, 3) of 8 x 8 of 320 x 240, that is around (140, 105), and one without."""
    folder.mkdir()
    for name in ("one.png", "two.png"):
        cv2.imwrite(str(folder / name), red_cars((3, 3)))
    cv2.imwrite(str(folder / "wall.png"), red_cars())
    return folder


def test_photos_are_counted_judged_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, boxes, out = photos(tmp_path / "photos"), tmp_path / "plates.json", tmp_path / "out"
    boxes.write_text(json.dumps({"one.png": [130, 100, 20, 8], "two.png": [[0, 0, 9, 4], [300, 0, 9, 4]]}))
    assert command("find", folder, "--bundle", FINDING_BUNDLE, "--boxes", boxes, "--out", out) == 0
    found = json.loads((out / "find.json").read_text())["photos"]
    assert found["photos"] == 3 and found["found"] == 2 and found["missed"] == ["wall.png"]
    assert found["found_at"]["0.35"] == 2 and found["milliseconds"]["median"] > 0
    assert found["plates"] == {"given": 2, "of_found": 2, "inside": 1, "outside": ["two.png"]}
    box = found["per_photo"]["one.png"]["box"]
    assert inside([130, 100, 20, 8], box) == 1 and box[2] == pytest.approx(80, abs=2)
    sheet = cv2.imread(str(out / found["sheets"][0]))
    assert sheet is not None and (sheet == (60, 210, 40)).all(2).sum() > 500, "the chosen box is drawn in green"
    shown = capsys.readouterr().out
    assert "2 of 3 photos show a car at 0.35" in shown and "missed: wall.png" in shown
    assert "1 of 2 plates lie inside the chosen box (2 given); outside: two.png" in shown


def test_boxes_of_whole_cars_are_compared_by_their_overlap(tmp_path: Path) -> None:
    folder, boxes = photos(tmp_path / "photos"), tmp_path / "cars.json"
    boxes.write_text(json.dumps({"one.png": [100, 75, 80, 60], "wall.png": [0, 0, 50, 50]}))
    arguments = ("--bundle", FINDING_BUNDLE, "--boxes", boxes, "--truth", "cars", "--out", tmp_path)
    assert command("find", folder, *arguments) == 0
    found = json.loads((tmp_path / "find.json").read_text())["photos"]["cars"]
    assert found["median_iou"] > 0.9 and found["iou_above_half"] == 1 and found["poor"] == ["wall.png"]
    assert (found["given"], found["of_found"]) == (2, 1)


def test_what_a_box_is_worth() -> None:
    assert inside([0, 0, 10, 10], [5, 0, 100, 100]) == pytest.approx(0.5)
    assert inside([0, 0, 10, 10], [20, 20, 5, 5]) == 0
    assert alike([0, 0, 10, 10], [0, 0, 10, 5]) == pytest.approx(0.5)
    far, near = Detection((0, 0, 20, 20), 0.9), Detection((40, 40, 50, 50), 0.5)
    assert chosen([far, near], (100, 100), 0.35) == near and chosen([far, near], (100, 100), 0.6) == far
    assert chosen([far, near], (100, 100), 0.95) is None


def test_car_free_pictures_are_counted_by_box_and_by_belief(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = photos(tmp_path / "none")
    (folder / "broken.png").write_bytes(b"")
    assert command("find", "--none", folder, "--bundle", FINDING_BUNDLE, "--out", tmp_path) == 0
    found = json.loads((tmp_path / "find.json").read_text())["none"]
    assert found["pictures"] == 3 and found["with_a_box_as_it_is"] == ["one.png", "two.png"] == found["believed"]
    assert len(found["left_out"]) == 1 and (tmp_path / found["sheets"][0]).is_file()
    shown = capsys.readouterr().out
    assert "of 3 car-free pictures 2 have a box as they are at 0.35" in shown
    assert "believed to be a car: 2: one.png, two.png" in shown and "broken.png is empty" in shown


def test_one_wrong_box_is_no_car_and_two_are() -> None:
    with open_remembering(load_bundle(FINDING_BUNDLE)) as finder:
        wall = red_cars()
        once = watch([wall, red_cars((3, 3)), wall, wall], Follower(finder, interval=0.0), finder)
        assert (once.looks, once.boxes, once.with_box, once.believed, once.clouds) == (4, 1, 1, (), 0)
        assert once.best > 0.35 and len(once.detections) == 1
        twice = watch([red_cars((3, 3))] * 2, Follower(finder, interval=0.0), finder)
        assert twice.believed == (1,) and twice.clouds == 1


def test_by_hand_ever_another_window_of_the_same_size_is_seen() -> None:
    image = picture(100, 80)
    seen = list(by_hand(image, 5))
    assert {one.shape for one in seen} == {(74, 92, 3)}
    assert np.array_equal(seen[0], image[3:77, 4:96]) and len({one.tobytes() for one in seen}) == 5


@pytest.mark.parametrize("seed", range(6))
def test_no_car_stands_in_an_empty_street_nor_its_shade(seed: int) -> None:
    scene = drawing.empty_street(np.random.default_rng(seed))
    assert not scene.neighbours and scene.contact[0] == 0
    assert not np.isin(scene.boxes[:, 7], (CAR, GLOSSY)).any() and len(scene.boxes) >= 3


@pytest.mark.parametrize("seed", range(6))
def test_the_wide_picture_holds_every_look(seed: int) -> None:
    assert drawing.wide_size((400, 300)) == (768, 400)
    scene, size = drawing.random_scene(np.random.default_rng(seed)), (400, 300)
    wide = drawing.wide_camera(scene, size)
    corners = np.array([[x, y, 1.0] for x in (0, 400) for y in (0, 300)]).T
    for look in range(LOOKS):
        rays = drawing.turned(scene, look).T @ np.linalg.inv(drawing.lens(scene.view, size)) @ corners
        place = wide.K @ wide.R @ rays
        assert (place[2] > 0).all()
        x, y = place[:2] / place[2]
        assert x.min() > -1 and y.min() > -1 and x.max() < 769 and y.max() < 401


def test_empty_streets_are_drawn_pan_and_are_the_same_again() -> None:
    with EmptyStreets(3, (160, 120)) as streets:
        first, again, other = (list(streets.pictures(number)) for number in (0, 0, 1))
    assert len(first) == LOOKS and {one.shape for one in first} == {(120, 160, 3)}
    assert all(np.array_equal(a, b) for a, b in zip(first, again)) and not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[0], first[-1]) and min(one.std() for one in first) > 3


class Drawn:
    """Stands in for EmptyStreets: in the second scene something is taken for a car all the time."""

    def __init__(self, seed: int) -> None:
        pass

    def __enter__(self) -> Drawn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def pictures(self, number: int) -> Iterator[np.ndarray]:
        return iter([red_cars((3, 3)) if number == 1 else red_cars()] * LOOKS)


def test_minutes_of_empty_scenes_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nothing, "EmptyStreets", Drawn)
    minutes = 3 * LOOKS / RATE / 60
    assert command("find", "--empty-minutes", minutes, "--bundle", FINDING_BUNDLE, "--out", tmp_path) == 0
    found: dict[str, Any] = json.loads((tmp_path / "find.json").read_text())["empty"]
    assert found["scenes"] == 3 and found["looks"] == 3 * LOOKS and found["believed"] == 1
    assert found["boxes"] == found["looks_with_a_box"] == LOOKS and list(found["scenes_with_a_box"]) == ["1"]
    # Believed at its second look, and remembered for two seconds after the scene has gone.
    assert found["looks_that_would_give_a_cloud"] >= LOOKS - 1
    assert found["sheets"] == ["scenes-00.png", "empty-alarms-00.png"]
    assert "0.15 minutes of 3 empty scenes, 36 looks at 0.35: 12 boxes in 12 looks, 1 cars" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "is no list of boxes"), ("{", "is no list of boxes"), ('{"one.png": "x"}', "is no list of boxes"),
        ('{"one.png": [1, 2, 3]}', "gives one.png no four numbers with a width and a height"),
        ('{"one.png": [[1, 2, 3, 0]]}', "gives one.png no four numbers with a width and a height"),
    ],
)  # fmt: skip
def test_a_bad_list_of_boxes_says_how_to_write_it(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=words + r".*it should read like \{"):
        read_truth(path)


def test_bad_input_says_what_to_do(tmp_path: Path) -> None:
    folder, boxes = photos(tmp_path / "photos"), tmp_path / "boxes.json"
    boxes.write_text('{"gone.png": [0, 0, 5, 5]}')
    with pytest.raises(SettingsError, match="nothing to look at; give a folder of PHOTOS, --none DIR, or --empty"):
        command("find")
    with pytest.raises(SettingsError, match="--boxes are of photos; give their folder, too"):
        command("find", "--none", folder, "--boxes", boxes)
    with pytest.raises(SettingsError, match="cannot read the boxes in .*no.json"):
        command("find", folder, "--boxes", tmp_path / "no.json")
    with pytest.raises(SettingsError, match="holds no gone.png, which the boxes name; add it or take it off the list"):
        command("find", folder, "--boxes", boxes, "--bundle", FINDING_BUNDLE, "--out", tmp_path)
    for minutes in (0, 1e4):
        with pytest.raises(SettingsError, match="--empty-minutes is .*; give up to 600, for example 10"):
            command("find", "--empty-minutes", minutes, "--bundle", FINDING_BUNDLE, "--out", tmp_path)
    with pytest.raises(SettingsError, match="--seed is -1; give 0 or more"):
        command("find", "--empty-minutes", 1, "--seed", -1)
    with pytest.raises(SourceError, match="there is no folder"):
        command("find", tmp_path / "no", "--bundle", FINDING_BUNDLE, "--out", tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"")
    for flag in ((), ("--none",)):
        with pytest.raises(SourceError, match="no (photo|picture) of .*broken could be read: .*a.png is empty"):
            command("find", *flag, broken, "--bundle", FINDING_BUNDLE, "--out", tmp_path)
