"""edge.runtime.capture: the newest frame wins, errors and ends reach the reader, close joins."""

import threading
import time
from typing import Any

import pytest

from edge.errors import SourceError
from edge.runtime import capture
from edge.runtime.capture import NewestFrame
from tests.edge.runtime.fakes import HandFedSource, wait_for


def test_the_newest_frame_wins_and_the_others_are_counted() -> None:
    source = HandFedSource()
    with NewestFrame(source) as newest:
        for seq in (1, 2, 3):
            source.box.put(seq)
        wait_for(lambda: newest.captured == 3)
        frame = newest.get(0, 30.0)
        assert frame is not None and frame.seq == 3 and newest.skipped == 2
        assert newest.get(3, 0.01) is None and not newest.ended
    assert source.closed


def test_get_waits_for_a_newer_frame() -> None:
    source = HandFedSource()
    with NewestFrame(source) as newest:
        source.box.put(1)
        newest.get(0, 30.0)
        threading.Timer(0.05, source.box.put, (2,)).start()
        start = time.monotonic()
        frame = newest.get(1, 5.0)
        assert frame is not None and frame.seq == 2 and time.monotonic() - start < 5


def test_the_last_frame_comes_before_the_end() -> None:
    source = HandFedSource()
    with NewestFrame(source) as newest:
        source.box.put(1)
        source.box.put(None)
        wait_for(lambda: newest._ended)
        assert not newest.ended
        frame = newest.get(0, 30.0)
        assert frame is not None and frame.seq == 1
        assert newest.ended and newest.get(1, 5.0) is None and newest.get(1) is None


def test_an_error_in_the_thread_reaches_the_reader_after_the_frames_before_it() -> None:
    source = HandFedSource()
    with NewestFrame(source) as newest:
        source.box.put(1)
        source.box.put(SourceError("it vanished"))
        wait_for(lambda: newest._ended)
        assert newest.get(0, 30.0) is not None
        for _ in range(2):
            with pytest.raises(SourceError, match="it vanished"):
                newest.get(1, 5.0)


def test_any_error_reaches_the_reader() -> None:
    source = HandFedSource()
    with NewestFrame(source) as newest:
        source.box.put(ZeroDivisionError("a bug"))
        with pytest.raises(ZeroDivisionError):
            newest.get(0, 30.0)


def test_a_source_without_a_clock_loses_no_frame() -> None:
    source = HandFedSource(on_demand=True)
    with NewestFrame(source) as newest:
        for seq in (1, 2, 3):
            source.box.put(seq)
        seen, seq = [], 0
        for _ in range(3):
            time.sleep(0.01)
            frame = newest.get(seq, 30.0)
            assert frame is not None
            seq = frame.seq
            seen.append(seq)
        assert seen == [1, 2, 3] and newest.skipped == 0


def test_close_joins_a_thread_that_waits_for_its_reader() -> None:
    source = HandFedSource(on_demand=True)
    newest = NewestFrame(source)
    source.box.put(1)
    wait_for(lambda: newest.captured == 1)
    newest.close()
    newest.close()
    assert source.closed and not newest._thread.is_alive() and newest.get(1, 1.0) is None


def test_a_read_that_hangs_is_said(monkeypatch: Any) -> None:
    source = HandFedSource()
    monkeypatch.setattr(capture, "JOIN_S", 0.05)
    monkeypatch.setattr(source, "stop", lambda: None)
    newest = NewestFrame(source)
    with pytest.raises(
        SourceError, match="hand-fed hangs in a read and cannot be closed; unplug it or kill this process"
    ):
        newest.close()
    source.box.put(None)
    newest._thread.join(5.0)
