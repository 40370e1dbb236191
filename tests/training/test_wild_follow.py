"""``training follow``: a toy clip through the real pipeline, and the figures that are made of what it gives."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import BundleError, DataError, ImageError, NoCarError, SettingsError, SourceError
from edge.geometry import Cloud
from edge.pose import Pose
from edge.runtime.following import Sight
from edge.runtime.reconstructor import Reconstruction
from edge.runtime.tracking import Track
from tests.edge.helpers import FINDING_BUNDLE, TINY_BUNDLE, red_cars, write_clip
from tests.training.benchmark_cars import toy_car
from training.benchmark import protocol
from training.wild import cli, truth
from training.wild.journal import KEPT, Journal, Moves
from training.wild.play import ByIndex, Moment, numbered, open_clip, play
from training.wild.strip import draw_strip, overlay
from training.wild.turning import against_known, fitted, step_figures, wrapped


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    options = parser.parse_args([str(item) for item in arguments])
    return int(options.run(options))


def folder_clip(folder: Path, count: int, start: int = 0) -> Path:
    """Pictures 1.png ... in which the red car comes in frame ``start`` and stays; other pictures are no part of it."""
    folder.mkdir()
    for index in range(count):
        picture = red_cars((3, 3)) if index >= start else red_cars()
        cv2.imwrite(str(folder / f"{index + 1}.png"), picture)
    cv2.imwrite(str(folder / "logo.png"), red_cars((0, 0)))
    return folder


def test_follow_writes_figures_and_a_strip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = folder_clip(tmp_path / "clip", 12, start=3)
    out = tmp_path / "out"
    assert command("follow", clip, "--bundle", FINDING_BUNDLE, "--out", out, "--step", 5, "--seconds-skipped", 0.5) == 0
    found = json.loads((out / "follow.json").read_text())
    assert found["frames"] == 12 and found["fps"] == 10 and found["followed"] == [1]
    # Found in the fourth frame, believed in the fifth.
    assert found["states"] == {"car": 8, "no car in view": 4}
    assert [line["car"] for line in found["per_frame"]] == [None] * 4 + [1] * 8
    assert all(line["azimuth"] is None for line in found["per_frame"][:4])
    # The toy network always says the same: nothing moves, and a known turn is missed by all of itself.
    assert found["azimuth_step"] == {"median": 0, "p95": 0, "largest": 0}
    assert found["known"]["step_error"]["median"] == 5 and found["known"]["from_frame"] == 5
    assert found["movement"]["single"]["mean"] == 0 and found["averaged"]
    strip = cv2.imread(str(out / "strip.png"))
    assert strip is not None and strip.shape[1] == 8 * 326 - 6 and strip.std() > 10
    shown = capsys.readouterr().out
    assert "12 frames at 10 a second, 8 with a car, 4 without; followed: car 1" in shown
    assert "step off by 5.0°" in shown and "averaged ones: points move 0.000 %" in shown


def test_without_averaging_nothing_is_said_of_it(tmp_path: Path) -> None:
    clip = folder_clip(tmp_path / "clip", 4)
    assert command("follow", clip, "--bundle", FINDING_BUNDLE, "--out", tmp_path, "--no-average", "--columns", 2) == 0
    found = json.loads((tmp_path / "follow.json").read_text())
    assert not found["averaged"] and set(found["movement"]) == {"single"} and "known" not in found


def test_a_clip_without_a_car_is_an_error_after_the_figures_are_written(tmp_path: Path) -> None:
    clip = folder_clip(tmp_path / "clip", 3, start=3)
    with pytest.raises(NoCarError, match=r"no car was found in any of 3 frames of .*clip; see .*strip.png"):
        command("follow", clip, "--bundle", FINDING_BUNDLE, "--out", tmp_path)
    found = json.loads((tmp_path / "follow.json").read_text())
    assert found["clouds"] == 0 and found["azimuth_step"] is None and (tmp_path / "strip.png").is_file()


def test_time_is_the_clips_own(tmp_path: Path) -> None:
    source, fps = open_clip(Path(write_clip(str(tmp_path / "clip.avi"), frames=6)), None)
    assert fps == 20
    newest = ByIndex(source, fps)
    try:
        times, frame = [], newest.get()
        while frame is not None:
            times.append(frame.captured)
            frame = newest.get(frame.seq)
    finally:
        newest.close()
    assert times == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.25])


def test_single_clouds_are_told_beside_their_mean(tmp_path: Path) -> None:
    moments: list[Moment] = []
    play(folder_clip(tmp_path / "clip", 4), load_bundle(FINDING_BUNDLE), moments.append, fps=4)
    last = moments[-1]
    assert last.number == 3 and last.single is not None and last.reconstruction is not None
    assert last.reconstruction.directions == 1 and last.single.rgb is None, "as the network gave it, without colours"
    assert np.allclose(last.single.points, last.reconstruction.cloud.points, atol=1e-6)


def test_numbered_pictures_in_counting_order_and_any_names_without_numbers(tmp_path: Path) -> None:
    clip = folder_clip(tmp_path / "clip", 11)
    assert [Path(path).stem for path in numbered(clip)] == [str(n) for n in range(1, 12)]
    named = tmp_path / "named"
    named.mkdir()
    for name in ("view10.png", "view9.png"):
        cv2.imwrite(str(named / name), red_cars())
    assert [Path(path).name for path in numbered(named)] == ["view9.png", "view10.png"]


def test_a_picture_that_cannot_be_read_is_a_gap(tmp_path: Path) -> None:
    clip = folder_clip(tmp_path / "clip", 3)
    (clip / "2.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"2.png is no picture .*; without it the clip has a gap"):
        command("follow", clip, "--bundle", FINDING_BUNDLE, "--out", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (("nothing.mp4",), SourceError, r"there is no clip .*nothing.mp4; give a video file, or a folder"),
        (("clip/1.png",), SourceError, r"1.png is one picture, not a clip; give a video, or the folder"),
        (("clip", "--fps", "0"), SettingsError, "--fps 0 is no rate; give 0.1 to 1000"),
        (("clip", "--step", "0"), SettingsError, "--step 0 is no turn .* give degrees, for example 7.06"),
        (("clip", "--seconds-skipped", "-1"), SettingsError, "--seconds-skipped is -1; give 0 or more"),
        (("clip", "--columns", "0"), SettingsError, "--columns is 0; give 1 to 48"),
        (("clip", "--threshold", "1.5"), SettingsError, "--threshold 1.5 is no score; give one between 0 and 1"),
        (("clip", "--bundle", TINY_BUNDLE), BundleError, "has no finder, so nothing is found or followed; give"),
    ],
)
def test_bad_input_says_what_to_do(
    tmp_path: Path, arguments: tuple[str, ...], error: type[Exception], words: str
) -> None:
    folder_clip(tmp_path / "clip", 2)
    given = ("--bundle", FINDING_BUNDLE, *arguments[1:])
    with pytest.raises(error, match=words):
        command("follow", tmp_path / arguments[0], "--out", tmp_path / "out", *given)


def test_known_turn_is_fitted_by_sense_and_offset_whatever_is_quite_wrong() -> None:
    rng = np.random.default_rng(0)
    frames = list(range(60))
    azimuths = wrapped(40 - 7.06 * np.arange(60) + rng.normal(0, 1, 60))
    azimuths[[10, 30, 31]] = wrapped(azimuths[[10, 30, 31]] + 180)
    errors, offset, sense = fitted(frames, azimuths.tolist(), 7.06)
    assert sense == -1 and offset == pytest.approx(40, abs=1) and np.median(np.abs(errors)) < 1.5
    found = against_known(frames, azimuths.tolist(), 7.06, first=11)
    assert found is not None and found["flips"] == 2 and found["flipped_frames"] == [30, 31] and found["frames"] == 49
    assert found["direction_error"]["median"] < 1.5 and found["step_error"]["median"] < 2.5
    assert against_known(frames, azimuths.tolist(), 7.06, first=59) is None


def test_steps_count_only_from_one_frame_to_the_next_and_across_180() -> None:
    found = step_figures([0, 1, 2, 7, 8], [170, 178, -174, 0, 20])
    assert found == {"median": 8, "p95": pytest.approx(18.8), "largest": 20}
    assert step_figures([0, 2], [0, 5]) is None


def test_movement_is_of_one_car_in_frames_in_a_row() -> None:
    moves = Moves()
    for frame, number, x in ((0, 1, 0.0), (1, 1, 0.1), (2, 2, 5.0), (3, 2, 5.3), (5, 2, 9.0)):
        moves.add(frame, number, np.array([[x, 0, 0]], np.float32))
    figures = moves.figures()
    assert figures is not None and figures["mean"] == pytest.approx(20) and figures["second_half"] == pytest.approx(30)
    assert Moves().figures() is None


def posed(points: np.ndarray, index: int = 0) -> Moment:
    """A frame whose cloud lies in the middle of a picture of 200 x 100."""
    cloud = Cloud(np.asarray(points, np.float32))
    pose = Pose(90.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    made = Reconstruction(cloud, (50, 0, 100), {}, pose, directions=1)
    sight = Sight((Track(1, (50.0, 0.0, 100.0, 100.0), 0.9, 5, 0.0),), 1, 0.0)
    return Moment(index, np.full((100, 200, 3), 100, np.uint8), sight, made, cloud)


def test_a_long_clip_is_kept_in_few_frames_evenly() -> None:
    journal = Journal(True)
    for index in range(500):
        journal.add(posed(np.zeros((4, 3)), index))
    assert len(journal.lines) == 500 and KEPT / 2 <= len(journal.kept) <= KEPT
    steps = np.diff([one.line.frame for one in journal.kept])
    assert (steps == steps[0]).all()
    assert draw_strip(journal.kept, 3).width == 3 * 326 - 6


def test_the_overlay_lies_where_the_pose_says() -> None:
    journal = Journal(True)
    # Seen from the left (azimuth 90) the nose points to the left of the picture: x = 0.5 is a quarter of the crop left.
    journal.add(posed(np.array([[0.5, 0, 0]])))
    drawn, plain = overlay(journal.kept[0]), np.asarray(journal.kept[0].image * 0.55, np.uint8)
    rows, columns = np.nonzero((drawn != plain).any(2))
    assert set(rows) == {50, 51} and set(columns) == {75, 76}


def test_clouds_are_scored_against_the_named_car(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "TRUTH_POINTS", 3000)
    monkeypatch.setattr(truth, "load_cars", lambda meshes, glb: iter([toy_car("p406")]))
    with pytest.raises(DataError, match="there is no car 'other' for --truth; choose one of: p406"):
        truth.target_of("other", tmp_path, [], tmp_path)
    target = truth.target_of("p406", tmp_path, [], tmp_path)
    journal = Journal(True)
    journal.add(posed(target.points + 0.03))
    found = truth.truth_figures(journal.kept, target.points, target, True)
    assert found["averaged"]["f1"] == 100 and found["single"]["f1"] < 90 and found["scored_frames"] == 1
    assert found["f1_ratio"] > 1.1
    assert "averaged" not in truth.truth_figures(journal.kept, target.points, target, False)
