"""edge.runtime.pipeline: results in order, the three ways to end, the rate, the signals."""

import os
import signal
import threading
import time
from typing import Any, List

import pytest

from edge.bundle import load_bundle
from edge.errors import SettingsError, SourceError
from edge.runtime.backends import open_backend
from edge.runtime.capture import NewestFrame
from edge.runtime.pipeline import Pipeline, Rate, Result, stop_on_signals
from edge.runtime.reconstructor import Reconstruction, Reconstructor
from edge.runtime.sources import open_source
from tests.edge.helpers import TINY_BUNDLE
from tests.edge.runtime.fakes import HandFedSource, wait_for


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    bundle = load_bundle(TINY_BUNDLE)
    return Reconstructor(bundle, open_backend(bundle, "auto", 1))


def test_every_frame_becomes_a_result_until_the_source_ends(reconstructor: Reconstructor) -> None:
    results: List[Result] = []
    with NewestFrame(open_source("synthetic://car?fps=0&frames=5&width=96&height=64")) as newest:
        pipeline = Pipeline(newest, reconstructor, results.append)
        ending = pipeline.run(threading.Event())
    assert ending == "synthetic://car?fps=0&frames=5&width=96&height=64 ended after 5 frames"
    assert [result.seq for result in results] == [1, 2, 3, 4, 5] and pipeline.processed == 5
    last = results[-1]
    assert last.frame.shape == (64, 96, 3) and len(last.reconstruction.cloud.points) > 1000
    assert set(last.timings) == {"capture", "crop", "network", "fusion", "handover"}
    assert last.rate == pipeline.rate > 0 and results[0].rate == 0
    assert 0 <= time.monotonic() - last.captured < 60


def test_the_box_is_used(reconstructor: Reconstructor) -> None:
    results: List[Result] = []
    with NewestFrame(open_source("synthetic://car?fps=0&frames=1&width=96&height=64")) as newest:
        Pipeline(newest, reconstructor, results.append, (10, 10, 20, 20)).run(threading.Event())
    assert results[0].reconstruction.crop_box == (8, 8, 24)


def test_a_box_outside_the_picture_ends_it_with_a_sentence(reconstructor: Reconstructor) -> None:
    with NewestFrame(open_source("synthetic://car?fps=0&width=96&height=64")) as newest:
        pipeline = Pipeline(newest, reconstructor, lambda result: None, (500, 0, 9, 9))
        with pytest.raises(SettingsError, match="lies outside the picture, which is 96 x 64"):
            pipeline.run(threading.Event())


def test_a_camera_that_vanishes_ends_it_with_its_sentence(reconstructor: Reconstructor) -> None:
    source = HandFedSource()
    source.box.put(1)
    source.box.put(SourceError("camera gone"))
    with NewestFrame(source) as newest, pytest.raises(SourceError, match="camera gone"):
        Pipeline(newest, reconstructor, lambda result: None).run(threading.Event())


def test_it_stops_while_it_waits_for_a_frame(reconstructor: Reconstructor) -> None:
    stop = threading.Event()
    with NewestFrame(HandFedSource()) as newest:
        threading.Timer(0.05, stop.set).start()
        start = time.monotonic()
        assert Pipeline(newest, reconstructor, lambda result: None).run(stop) == "stopped"
        assert time.monotonic() - start < 10


def test_after_a_slow_result_comes_the_newest_frame(reconstructor: Reconstructor) -> None:
    source, stop, seen, begun = HandFedSource(), threading.Event(), [], []

    class Counted(Reconstructor):
        def predict(self, *arguments: Any) -> Reconstruction:
            begun.append(1)
            return super().predict(*arguments)

    counted = Counted(reconstructor.bundle, reconstructor.backend)
    with NewestFrame(source) as newest:

        def sink(result: Result) -> None:
            seen.append(result.seq)
            if result.seq == 5:
                stop.set()
            if result.seq != 1:
                return
            # The first result is slow: the next frame goes through the network meanwhile, and then waits.
            source.box.put(2)
            wait_for(lambda: len(begun) == 2)
            for seq in (3, 4, 5):
                source.box.put(seq)
            wait_for(lambda: newest.captured == 5)

        source.box.put(1)
        Pipeline(newest, counted, sink).run(stop)
        assert seen == [1, 2, 5] and newest.skipped == 2


def test_the_rate_follows_the_intervals() -> None:
    rate = Rate(0.5)
    assert rate.tick(10.0) == 0 and rate.value == 0
    assert rate.tick(10.5) == pytest.approx(2.0)
    assert rate.tick(10.75) == pytest.approx(1 / 0.375)
    for step in range(40):
        rate.tick(10.75 + 0.1 * (step + 1))
    assert rate.value == pytest.approx(10.0, rel=1e-3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_event_and_the_old_handler_comes_back(number: Any) -> None:
    before = signal.getsignal(number)
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(10.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            time.sleep(10.0)
    assert signal.getsignal(number) is before
