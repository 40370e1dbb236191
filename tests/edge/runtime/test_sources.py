"""Sources by URI: clips, folders, photos, the drawn car, and each sentence of what is refused."""

import logging
import os
import time
from typing import Any, List

import numpy as np
import pytest

from edge.errors import SourceError
from edge.runtime.sources import Source, open_source
from edge.runtime.sources.uri import parse_uri
from edge.settings import redact
from tests.edge.helpers import picture, write_clip, write_picture


def levels(source: Source, limit: int = 100) -> List[int]:
    """Grey level / 20 of the frames of a ``write_clip`` clip until its end, at most ``limit``."""
    found = []
    while len(found) < limit:
        frame = source.read()
        if frame is None:
            break
        assert frame.seq == len(found) + 1
        found.append(int(round(frame.image.mean() / 20)))
    return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory: Any) -> str:
    """Ten frames at 20 frames/s."""
    return write_clip(str(tmp_path_factory.mktemp("clip") / "a.avi"))


def test_a_clip_is_played_once_and_its_end_is_said(clip: str) -> None:
    source = open_source("file://%s?pace=0" % clip)
    assert source.on_demand and levels(source) == list(range(10))
    assert source.read() is None and source.ending == "file://%s?pace=0 ended after 10 frames" % clip
    source.close()
    source.close()


def test_a_looped_clip_starts_again_and_keeps_counting(clip: str) -> None:
    source = open_source("file://%s?pace=0&loop=1" % clip)
    assert levels(source, 23) == (list(range(10)) * 3)[:23]
    source.close()


def test_a_clip_is_paced_at_its_own_rate(clip: str) -> None:
    source = open_source(clip)
    assert not source.on_demand and "20 frames/s" in source.describe() and "64 x 48" in source.describe()
    start = time.monotonic()
    assert len(levels(source)) == 10
    assert 0.4 < time.monotonic() - start < 20
    source.close()


def test_the_receiver_owns_its_frame(clip: str) -> None:
    source = open_source("file://%s?pace=0" % clip)
    first = source.read()
    assert first is not None
    copy = first.image.copy()
    levels_after = source.read()
    assert levels_after is not None and np.abs(levels_after.image.astype(int) - copy).mean() > 10
    np.testing.assert_array_equal(first.image, copy)
    source.close()


def test_captured_is_monotonic_time(clip: str) -> None:
    source = open_source("file://%s?pace=0" % clip)
    before = time.monotonic()
    frame = source.read()
    assert frame is not None and before <= frame.captured <= time.monotonic() and frame.name == "a.avi"
    source.close()


def test_a_name_with_a_question_mark_is_written_with_percent(tmp_path: Any) -> None:
    path = write_clip(str(tmp_path / "a.avi"))
    os.rename(path, str(tmp_path / "what? 50%.avi"))
    source = open_source("file://%s/what%%3F 50%%.avi?pace=0" % tmp_path)
    assert len(levels(source)) == 10
    source.close()


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "is no clip OpenCV can read"),
        (b"RIFF not a clip" * 9, "is no clip OpenCV can read"),
        (None, "is no clip|no pic"),
    ],
)
def test_what_is_no_clip_is_refused(tmp_path: Any, clip: str, content: Any, sentence: str) -> None:
    if content is None:  # a clip cut in its header
        with open(clip, "rb") as handle:
            content = handle.read()[:3000]
    path = tmp_path / "b.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=sentence):
        open_source(str(path))


def pictures(tmp_path: Any, count: int = 3) -> str:
    """A folder of pictures 1.png, 2.png, ..."""
    for index in range(1, count + 1):
        write_picture(str(tmp_path / "p" / ("%d.png" % index)), seed=index)
    return str(tmp_path / "p")


def test_a_folder_gives_its_pictures_in_order_and_ends(tmp_path: Any) -> None:
    source = open_source("dir://%s?fps=0" % pictures(tmp_path))
    frames = [source.read() for _ in range(3)]
    assert source.on_demand and [frame.name for frame in frames if frame] == ["1.png", "2.png", "3.png"]
    assert frames[2] is not None
    np.testing.assert_array_equal(frames[2].image, picture(seed=3))
    assert source.read() is None and source.ending.endswith("ended after 3 pictures")


def test_a_folder_is_shown_at_its_rate(tmp_path: Any) -> None:
    source = open_source("dir://%s?fps=20&loop=1" % pictures(tmp_path, 2))
    start = time.monotonic()
    names = [frame.name for frame in (source.read() for _ in range(5)) if frame]
    assert names == ["1.png", "2.png", "1.png", "2.png", "1.png"] and time.monotonic() - start >= 0.19


def test_unreadable_pictures_are_reported_once_and_skipped(tmp_path: Any, caplog: Any) -> None:
    folder = pictures(tmp_path)
    with open(os.path.join(folder, "2.png"), "wb") as handle:
        handle.write(b"text")
    with caplog.at_level(logging.WARNING):
        source = open_source("dir://%s?fps=0&loop=1" % folder)
        names = [frame.name for frame in (source.read() for _ in range(6)) if frame]
    assert names == ["1.png", "3.png"] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "skipped: %s is no picture OpenCV can read; wanted is one of .jpg .jpeg .png .bmp .webp .tif .tiff .ppm .pgm"
        % os.path.join(folder, "2.png")
    ]


@pytest.mark.parametrize("loop", [0, 1])
def test_a_folder_without_a_readable_picture_is_an_error(tmp_path: Any, loop: int) -> None:
    folder = pictures(tmp_path, 1)
    open(os.path.join(folder, "1.png"), "wb").close()
    source = open_source("dir://%s?loop=%d" % (folder, loop))
    with pytest.raises(SourceError, match="no picture of dir.* could be read: .*1.png is empty"):
        source.read()


def test_one_photo_is_a_source(tmp_path: Any) -> None:
    path = write_picture(str(tmp_path / "a.jpg"))
    source = open_source("file://%s?loop=1&fps=0" % path)
    assert [frame.name for frame in (source.read() for _ in range(3)) if frame] == ["a.jpg"] * 3
    assert source.describe() == "picture %s, 1 picture, as fast as asked, looped" % path
    assert open_source(path).describe() == "picture %s, 1 picture, 2 a second" % path


def test_bare_paths_are_told_apart(tmp_path: Any, clip: str) -> None:
    assert open_source(pictures(tmp_path)).describe().startswith("folder ")
    source = open_source(clip)
    assert source.describe().startswith("clip ")
    source.close()


def test_stop_ends_a_wait(tmp_path: Any) -> None:
    source = open_source("dir://%s?fps=0.01" % pictures(tmp_path))
    source.read()
    source.stop()
    start = time.monotonic()
    assert source.read() is None and source.ending.endswith("was stopped") and time.monotonic() - start < 50


@pytest.mark.parametrize(
    "uri, sentence",
    [
        ("", "no source given; give one of: csi://0"),
        ("nowhere.mp4", "there is no file or folder nowhere.mp4; a source is one of: csi://0"),
        ("file://nowhere.mp4", "there is no clip nowhere.mp4"),
        ("file://nowhere.jpg", "there is no picture nowhere.jpg"),
        ("dir://nowhere", "there is no folder nowhere"),
        ("http://me:secret@cam/x?y=1", r"unknown kind of source http://\*\*\*@cam/x\?\*\*\*; give one of: csi"),
        ("file://a.mp4?lop=1", "unknown parameter lop; file:// knows loop, pace|no clip a.mp4"),
        ("synthetic://car?sead=1", "unknown parameter sead; synthetic:// knows fps, frames, height, seed, turn, width"),
        ("synthetic://car?seed", "parameter 'seed' has no value; write name=value"),
        ("synthetic://car?seed=1&seed=2", "gives a parameter twice"),
        ("synthetic://car?seed=one", "seed is 'one'; give a whole number from 0 to 2147483647"),
        ("synthetic://car?width=9", "width is '9'; give a whole number from 64 to 4096"),
        ("synthetic://car?fps=fast", "fps is 'fast'; give a number from 0 to 1000"),
        ("synthetic://car?fps=nan", "fps is 'nan'; give a number from 0 to 1000"),
        ("synthetic://boat", "only synthetic://car is known"),
    ],
)
def test_a_wrong_uri_is_refused(uri: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        open_source(uri)


def test_flags_of_a_uri_are_1_or_0(clip: str) -> None:
    with pytest.raises(SourceError, match="loop is 'often'; give 1 or 0"):
        open_source("file://%s?loop=often" % clip)
    with pytest.raises(SourceError, match="unknown parameter lop; file:// knows loop, pace"):
        open_source("file://%s?lop=1" % clip)


def test_a_folder_given_as_a_file_is_told_so(tmp_path: Any) -> None:
    with pytest.raises(SourceError, match="is a folder; write dir://"):
        open_source("file://%s" % tmp_path)
    with pytest.raises(SourceError, match="holds no picture"):
        open_source("dir://%s" % tmp_path)


@pytest.mark.parametrize(
    "text, shown",
    [
        ("rtsp://me:pw@cam:554/s", "rtsp://***@cam:554/s"),
        ("rtsp://me:p@w/x@cam/s", "rtsp://***@cam/s"),
        ("rtsps://cam/s?user=me&pw=x", "rtsps://cam/s?***"),
        ("rtsp://cam/s", "rtsp://cam/s"),
        ("file://a@b.mp4?loop=1", "file://a@b.mp4?loop=1"),
        ("clip.mp4", "clip.mp4"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert parse_uri(text).text == shown


def test_the_drawn_car_is_the_same_every_time_and_turns() -> None:
    first, again, other = (open_source("synthetic://car?fps=0&seed=%d&width=160&height=120" % s) for s in (3, 3, 4))
    frames = [source.read() for source in (first, again, other)]
    assert all(frame is not None and frame.image.shape == (120, 160, 3) for frame in frames)
    images = [frame.image.astype(int) for frame in frames if frame]
    assert (images[0] == images[1]).all() and np.abs(images[0] - images[2]).mean() > 1
    later = [frame.image.astype(int) for frame in (first.read() for _ in range(30)) if frame][-1]
    assert np.abs(later - images[0]).mean() > 1


def test_the_drawn_car_fills_its_picture_and_touches_no_border() -> None:
    source = open_source("synthetic://car?fps=0&turn=1&width=320&height=240")
    frames = [frame.image.astype(int) for frame in (source.read() for _ in range(30)) if frame]
    moving = np.ptp(np.stack(frames), axis=0).max(-1) > 12
    columns, rows = np.flatnonzero(moving.any(0)), np.flatnonzero(moving.any(1))
    assert 0.7 * 320 < np.ptp(columns) < 0.97 * 320
    assert columns[0] > 2 and columns[-1] < 317 and rows[0] > 2 and rows[-1] < 237


def test_the_drawn_car_can_end() -> None:
    source = open_source("synthetic://car?fps=0&frames=2&width=64&height=64")
    assert [source.read() is None for _ in range(3)] == [False, False, True]
    assert source.ending.endswith("ended after 2 frames")
