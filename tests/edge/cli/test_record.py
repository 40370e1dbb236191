"""``carcloud record`` and ``carcloud replay`` as a user runs them: processes, a real server, their sentences."""

import os
import resource
import signal
import subprocess
import time

import numpy as np
import pytest

from edge.cli import playback
from edge.cli.playback import Player, cues, restore
from edge.client.log import CLOUD, PICTURE, SESSION, STATUS, LogReader, LogWriter
from edge.client.pull import PictureClient, PullClient
from edge.client.recorder import Recorder
from edge.errors import LogError, ServerError, WireError
from edge.runtime.following import Sight
from edge.runtime.pipeline import Glimpse
from edge.runtime.tracking import Track
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub, State
from edge.server.serving import Server
from edge.wire import decode, encode
from tests.edge import helpers
from tests.edge.cli.test_serve import PATIENCE, Running, environment
from tests.edge.server.fake import car_cloud, result

TOKEN = "a-token-of-good-length"


def start(*arguments, **more):
    return subprocess.Popen([helpers.python(), "-m", "edge"] + list(arguments), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=environment(), **more)


def finished(*arguments, **more):
    process = start(*arguments, **more)
    try:
        out, error = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, out.decode(), error.decode()


@pytest.fixture(scope="module")
def server():
    with Running("--source", "synthetic://car?fps=20") as server:
        yield server


def until(condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_recorded_and_replayed(server, tmp_path):
    path = str(tmp_path / "drive.cclog")
    code, out, error = finished("record", server.url, "--out", path, "--clouds", "8")
    assert code == 0, error
    assert "recorded %s: " % path in out and " lost " in out
    with LogReader(path) as log:
        assert log.warnings == [] and len(log.of_kind(CLOUD)) >= 8 and len(log.of_kind(PICTURE)) >= 4
        assert len(log.of_kind(SESSION)) == 1
        times = [entry.time_us for entry in log.entries]
        assert times == sorted(times)
        seqs = [decode(log.body(entry)).seq for entry in log.of_kind(CLOUD)]
        assert seqs == sorted(set(seqs))
        assert log.body(log.of_kind(PICTURE)[0])[:2] == b"\xff\xd8"
    code, out, error = finished("replay", path, "--port", "0", "--loop", "--check", "4")
    assert code == 0, error
    assert "check passed: 4 clouds" in out and server.url.rstrip("/") in out


def test_killed_while_recording_the_log_opens(server, tmp_path):
    path = str(tmp_path / "drive.cclog")
    process = start("record", server.url, "--out", path)
    try:
        until(lambda: os.path.exists(path) and os.path.getsize(path) > 200000)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    size = os.path.getsize(path)
    with LogReader(path) as log:
        assert len(log.of_kind(CLOUD)) >= 2
        for entry in log.of_kind(CLOUD):
            decode(log.body(entry))
        # At most the frame that was being written is missing.
        assert size - log.good < 100000 and len(log.warnings) <= 1
        before = len(log.of_kind(CLOUD))
    code, _, error = finished("record", server.url, "--out", path, "--append", "--clouds", "1")
    assert code == 0, error
    with LogReader(path) as log:
        assert log.warnings == [] and len(log.of_kind(CLOUD)) > before and len(log.of_kind(SESSION)) == 2


def test_a_full_disk_ends_it_with_a_sentence(server, tmp_path):
    """A limit on the size of files: the system refuses as a full disk does, in the middle of a record."""
    path, limit = str(tmp_path / "drive.cclog"), 300000
    code, _, error = finished("record", server.url, "--out", path,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert code == LogError.exit_code and "Traceback" not in error
    assert "cannot write on in %s: " % path in error and "are whole and can be read" in error
    with LogReader(path) as log:
        assert log.warnings == [] and log.good == os.path.getsize(path) <= limit and len(log.of_kind(CLOUD)) >= 2


@pytest.mark.parametrize("arguments, code, words", [
    (("record", "ftp://x", "--out", "{}/new"), 6, "is not the address of a carcloud server"),
    (("record", "http://x", "--out", "{}/new", "--seconds", "0"), 2, "--seconds is 0; give more than 0"),
    (("record", "http://x", "--out", "{}/new", "--clouds", "0"), 2, "--clouds is 0; give 1 or more"),
    (("record", "http://x", "--out", "{}/new", "--token-file", "{}/no"), 6, "cannot read the token file"),
    (("replay", "{}/none"), 11, "cannot open the log"),
    (("replay", "{}/none", "--speed", "0"), 2, "--speed is 0; give 0.01 to 100"),
    (("replay", "{}/none", "--check", "0"), 2, "--check is 0; give 1 or more"),
    (("replay", "{}/none", "--host", "0.0.0.0"), 6, "--token-file"),
])
def test_mistakes_are_one_sentence(arguments, code, words, tmp_path, capsys):
    from edge.cli import main

    assert main([word.format(tmp_path) for word in arguments]) == code
    error = capsys.readouterr().err
    assert words in error and error.count("\n") == 1 and not os.path.exists(str(tmp_path / "new"))


def test_nobody_there_is_waited_for_and_said(tmp_path, capsys):
    from edge.cli import main

    path = str(tmp_path / "a.cclog")
    assert main(["record", "http://127.0.0.1:9", "--out", path, "--seconds", "0.3"]) == 1
    assert "0 clouds" in capsys.readouterr().out
    with LogReader(path) as log:
        assert [entry.kind for entry in log.entries] == [SESSION]


class Live:
    """A server in this process; ``with`` starts and ends it."""

    def __init__(self, token=None):
        self.hub = Hub()
        self.server = Server(create_app(self.hub, ServerSettings(token=token, source="file://clip.mp4",
                                                                 bundle="tiny")), port=0)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.hub.close()
        self.server.stop()


def test_a_wrong_token_ends_the_recording(tmp_path):
    def record_on(recorder):
        with recorder:
            for _ in range(PATIENCE):
                recorder.wait(1.0)

    with Live(TOKEN) as live, LogWriter(str(tmp_path / "a")) as log:  # noqa: SIM117
        with pytest.raises(ServerError, match="answers 401"):
            record_on(Recorder(log, live.server.url, "wrong"))


def test_damaged_answers_are_counted_and_survived(tmp_path, monkeypatch):
    calls = []

    def damaged(body):
        calls.append(body)
        raise WireError("no frame")

    monkeypatch.setattr("edge.client.pull.wire.decode", damaged)
    with Live() as live, LogWriter(str(tmp_path / "a")) as log:
        live.hub.publish(result(1))
        with Recorder(log, live.server.url, pictures=False) as recorder:
            until(lambda: recorder.tally().damaged > 0)
            recorder.wait(0)
        assert "damaged" in recorder.tally().sentence() and recorder.tally().clouds == 0


def test_a_server_without_pictures_is_recorded_all_the_same(tmp_path):
    path = str(tmp_path / "a")
    hub = Hub()
    server = Server(create_app(hub, ServerSettings(camera_preview=False)), port=0)
    server.start()
    hub.publish(result(1))
    try:
        with LogWriter(path) as log, Recorder(log, server.url) as recorder:
            until(lambda: recorder.tally().clouds == 1)
            recorder.wait(0.2)
    finally:
        hub.close()
        server.stop()
    with LogReader(path) as log:
        assert log.of_kind(PICTURE) == [] and restore(log, cues(log)[0], 1, 0.0).frame.shape == (240, 320, 3)


def test_lost_clouds_and_reconnects_are_said(tmp_path):
    with Live() as live, LogWriter(str(tmp_path / "a")) as log, Recorder(log, live.server.url) as recorder:
        live.hub.publish(result(1))
        until(lambda: recorder.tally().clouds == 1)
        tally = recorder.tally()
        assert tally.connected and tally.lost == 0 and 0 <= tally.age < PATIENCE
    tally = tally._replace(connected=False, lost=3, seconds=2.0, megabytes=1.5, rate=0.5, age=0.25, pictures=4)
    assert tally.sentence() == ("2 s  1 clouds (0.5 a second), 4 pictures, 1.5 MB  age 250 ms  lost 3  no answer "
                                "from the server, trying again")


def recorded(path, jpeg=None):
    """A log of three clouds, a picture of the second, one without a car, and a state. Returns its path."""
    if jpeg is None:
        import cv2

        jpeg = cv2.imencode(".jpg", helpers.picture(160, 120))[1].tobytes()
    with LogWriter(str(path)) as log:
        log.append(SESSION, 0, {"url": "http://nano:8000"})
        for number in range(1, 4):
            cloud = car_cloud(700, seed=number)
            log.append(CLOUD, 40000 * number, {"age_ms": 30.0}, encode(cloud, 10 * number, 0, 0))
        log.append(PICTURE, 81000, {"seq": 9, "age_ms": 31.0, "headers": {
            "X-Image-Size": "160,120", "X-Crop": "20,0,120", "X-Pose": "38.2,11.6,0.5,0.1,-0.1,1.4,0.2",
            "X-Cars": '[{"number":3,"box":[20,10,90,60],"score":0.9,"followed":true,"unseen_s":0.0}]'}}, jpeg)
        log.append(STATUS, 90000, {
            "bundle": "morphable", "fps": 25.0, "timings_ms": {"network": 20.5, "jpeg": 3.0}, "directions": 4,
            "pose": {"azimuth": 38.2, "elevation": 11.6, "certainty": 0.9},
            "length": {"metres": 4.0, "plus_minus": 0.2}, "body_class": {"name": "sedan", "probability": 0.7}})
        log.append(PICTURE, 130000, {"seq": 10, "age_ms": 5.0, "headers": {"X-Cars": "[]"}}, jpeg)
    return str(path)


def test_a_cue_becomes_the_result_that_was_shown(tmp_path):
    with LogReader(recorded(tmp_path / "a")) as log:
        shown = [restore(log, cue, number, 100.0) for number, cue in enumerate(cues(log), 1)]
        raw = [log.body(entry) for entry in log.of_kind(CLOUD)]
    assert [type(one).__name__ for one in shown] == ["Result", "Result", "Result", "Glimpse"]
    second = shown[1]
    assert np.abs(second.reconstruction.cloud.points - decode(raw[1]).cloud.points).max() == 0
    assert second.frame.shape == (120, 160, 3) and second.captured == pytest.approx(99.97)
    made = second.reconstruction
    assert made.crop_box == (20, 0, 120) and made.pose.azimuth == 38.2 and made.pose.certainty == 0.9
    assert made.facts()["length"] == {"metres": 4.0, "plus_minus": 0.2} and made.body_class.name == "sedan"
    assert made.directions == 4 and second.timings == {"network": 20.5}
    assert second.sight == Sight((Track(3, (20.0, 10.0, 90.0, 60.0), 0.9, 2, 0.0),), 3, 0.0)
    assert shown[3].sight == Sight((), None, 0.0)


def test_a_replay_fills_the_hub_and_ends_with_a_sentence(tmp_path):
    hub = Hub()
    with LogReader(recorded(tmp_path / "a")) as log, Player(log, hub, speed=50.0):
        until(lambda: hub.status().state == State.ENDED)
        assert hub.newest.seq == 3 and hub.picture.seq == 4
        assert hub.status().message == "the recording ended after 3 clouds" and hub.status().errors == ()


def test_a_looped_replay_begins_again(tmp_path):
    hub = Hub()
    with LogReader(recorded(tmp_path / "a")) as log, Player(log, hub, speed=50.0, loop=True):
        until(lambda: hub.newest is not None and hub.newest.seq > 6)


def test_damaged_records_of_a_replay_are_said_and_left_out(tmp_path):
    hub = Hub()
    path = recorded(tmp_path / "a", jpeg=b"\xff\xd8 no picture")
    with LogReader(path) as log, Player(log, hub, speed=50.0) as player:
        until(lambda: hub.status().state == State.ENDED)
    assert player.damaged == 4 and "cannot be decoded; leave it out" in hub.status().errors[-1]


def test_facts_that_make_no_sense_are_a_sentence(tmp_path):
    path = str(tmp_path / "a")
    with LogWriter(path) as writer:
        writer.append(STATUS, 0, {"length": {"metres": 0.0, "plus_minus": 1.0}})
        writer.append(CLOUD, 0, {}, encode(car_cloud(700), 1, 0, 0))
    with LogReader(path) as log, pytest.raises(LogError, match="makes no sense: ZeroDivisionError"):
        restore(log, cues(log)[0], 1, 0.0)


def test_a_log_without_clouds_is_a_sentence(tmp_path):
    path = str(tmp_path / "a")
    LogWriter(path).close()
    with LogReader(path) as log, pytest.raises(LogError, match="holds no cloud"):
        cues(log)


def test_a_bug_while_replaying_is_said_in_the_page(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("broken")

    hub = Hub()
    monkeypatch.setattr(playback, "restore", broken)
    with LogReader(recorded(tmp_path / "a")) as log, Player(log, hub, speed=50.0) as player:
        until(lambda: hub.status().state == State.FAILED)
    assert "RuntimeError" in hub.status().message and isinstance(player.failure, RuntimeError)


def test_pictures_are_pulled_with_what_is_said_of_them():
    with Live() as live, PictureClient(live.server.url) as client:
        live.hub.publish(result(1))
        live.hub.publish_unseen(Glimpse(2, result(2).frame, {}, time.monotonic(), "", 0.0, Sight((), None, 0.0)))
        shot = client.next(PATIENCE)
        assert shot.seq == 2 and shot.headers == {"X-Image-Size": "320,240", "X-Cars": "[]"}
        assert client.age < PATIENCE and client.skipped == 0


def test_an_answer_that_is_no_picture_is_a_sentence(monkeypatch):
    monkeypatch.setattr(PictureClient, "path", "/healthz")
    with Live() as live, pytest.raises(WireError, match="no numbered JPEG; is this carcloud"):
        PictureClient(live.server.url).next(PATIENCE)


def test_the_state_is_asked_for():
    with Live(TOKEN) as live:
        assert PullClient(live.server.url, TOKEN).status()["source"] == "file://clip.mp4"
        with pytest.raises(ServerError, match="answers 401"):
            PullClient(live.server.url).status()
    assert PullClient("http://127.0.0.1:9").status(0.5) is None
