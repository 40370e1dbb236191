"""The load, in small: that its clients do what they are said to do, and that a goal that is missed is told."""

import json
import socket
import threading
import time

import pytest

from edge.cli.playback import cues
from edge.client.log import LogReader
from tests.edge.server import load, loadclient, loadfigures

GOALS = {"fast": 0.9, "age": 0.5, "age_of": load.THIN, "growth": 5.0}


@pytest.fixture(scope="module")
def run():
    """Figures, and what the clients found. Clouds as large as real ones, so that a thin line is one."""
    return load.measure(3.0, 20.0, 16384, 2)


def by_name(found):
    return {client["name"]: client for client in found}


def test_every_client_gets_what_is_newest_in_order(run):
    figures, found = run
    assert figures["disorder"] == [] and figures["frame_bytes"] > 11 * 16384
    for client in found:
        numbers = [frame[0] for frame in client["frames"]]
        assert numbers == sorted(set(numbers))
        for _, captured, asked, received in client["frames"]:
            assert captured < received and asked < received


def test_slow_ones_get_no_more_than_their_line_lets_through_and_who_never_reads_gets_none(run):
    clients = by_name(run[1])
    assert len(clients) == 5
    assert all(clients[name]["frames"] for name in ("fast 1", "fast 2", "1 MB/s"))
    silent = clients["never reads"]
    assert silent["frames"] == [] and silent["bytes"] == 0 and silent["asked"] >= 1
    for name in ("1 MB/s", "200 kB/s"):
        client = clients[name]
        assert client["refused"] == client["hung_up"] == 0
        took = client["frames"][-1][3] - client["frames"][0][2] if client["frames"] else 0.0
        assert client["bytes"] <= client["rate"] * (took + 2 * loadclient.LATE), "the bucket lets no more through"


def test_the_figures_are_those_of_the_frames(run):
    figures, found = run
    clients, lines = by_name(found), loadfigures.table(figures)
    for client in figures["clients"]:
        frames = clients[client["name"]]["frames"]
        assert client["frames"] == len(frames)
        if frames:
            assert frames[-1][0] - frames[0][0] == client["skipped"] + len(frames) - 1
            assert client["age_s"][2] == max(frame[3] - frame[1] for frame in frames)
        if len(frames) > 1:
            assert client["shown_s"] > max(frame[3] - frame[1] for frame in frames[:-1])
        assert sum(line.startswith(client["name"] + " ") for line in lines) == 1
    assert len(figures["server"]["memory_mb"]) == 3 and min(figures["server"]["memory_mb"]) > 10
    assert figures["server"]["cores"] > 0 and 0 < figures["published_per_s"] < 40
    json.dumps(figures, allow_nan=False)


def test_the_log_plays_at_the_rate_with_the_pause_at_its_end(tmp_path):
    path = str(tmp_path / "load.cclog")
    assert load.write_log(path, 100, 30.0, 2.0) == 72 + 11 * 100
    with LogReader(path) as log:
        times = [cue.time_us / 1e6 for cue in cues(log)]
    assert len(times) == 60 and times[0] == 0
    assert times[-1] + load.LOOP_PAUSE == pytest.approx(2.0, abs=1e-4), "of 60 clouds, 30 a second"


def test_a_tap_drips_at_its_rate(monkeypatch):
    now, slept = [100.0], []
    monkeypatch.setattr(loadclient.time, "monotonic", lambda: now[0])

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(loadclient.time, "sleep", sleep)
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"x" * 5000)
        tap, got = loadclient.Tap(1000), 0
        while got < 3000:
            data = tap.read(here, 65536)
            assert len(data) <= 1000 * loadclient.TICK
            got += len(data)
        assert sum(slept) == pytest.approx(3.0 - loadclient.LATE, abs=2 * loadclient.TICK)
        assert len(loadclient.Tap(0).read(here, 65536)) == 2000, "without a limit all that is there"
        there.close()
        with pytest.raises(ConnectionError, match="hung up"):
            tap.read(here, 10)


def test_who_never_reads_notices_that_it_was_hung_up_on():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)
        done = threading.Event()

        def slam():
            while not done.is_set():
                try:
                    listener.accept()[0].close()  # with its request unread: a reset
                except OSError:
                    return

        thread = threading.Thread(target=slam, daemon=True)
        thread.start()
        found = loadclient.pester(listener.getsockname()[1], time.monotonic() + 1.5)
        done.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join(60)
    assert found["hung_up"] >= 1 and found["frames"] == []


def client(name="fast 1", rate=0, frames=(), **more):
    return dict({"name": name, "rate": rate, "frames": list(frames), "bytes": 0, "refused": 0, "hung_up": 0}, **more)


def test_disorder_is_found():
    fast = client(frames=[(1, 0.0, 0.0, 0.1), (2, 1.0, 0.1, 1.1), (3, 2.0, 1.1, 2.1)])
    slow = client("slow", 5, [(1, 0.0, 0.0, 1.0), (2, 1.0, 1.2, 3.0)])
    assert loadfigures.disorder([fast, slow]) == [], "number 3 came after number 2 was asked for"
    slow["frames"][1] = (2, 1.0, 2.2, 3.0)
    assert loadfigures.disorder([fast, slow]) == ["slow got 1 frames that were not the newest when it asked"]
    fast["frames"].append((3, 2.0, 2.1, 2.2))
    assert loadfigures.disorder([fast]) == ["fast 1 got a frame that was not newer than the one before"]


def good():
    """Figures that miss nothing."""
    frames = [(number, number / 30.0, (number - 1) / 30.0, number / 30.0 + 0.01) for number in range(1, 31)]
    clients = [client(frames=frames), client("1 MB/s", load.THIN, frames[::6]), client("never reads", -1, hung_up=3)]
    rate = loadfigures.published(clients)
    return {
        "published_per_s": rate, "wanted_per_s": 30.0, "disorder": loadfigures.disorder(clients),
        "clients": [loadfigures.of_client(one, rate, 1.0) for one in clients],
        "server": {"growth_percent": loadfigures.growth([100.0, 101.0, 104.0])},
    }


def test_nothing_is_missed_where_all_is_well():
    assert loadfigures.missed(good(), GOALS) == []


@pytest.mark.parametrize("who, what, value, sentence", [
    (None, "published_per_s", 20.0, "the server published 20.0 clouds a second and not 30"),
    (None, "disorder", ["a sentence"], "a sentence"),
    (None, "server", {"growth_percent": 5.1}, "the server's memory grew by 5.1 %; the goal is 5 % at most"),
    (0, "of_published", 0.89, "fast 1 got 0.89 of what was published; the goal is 0.9"),
    (0, "refused", 2, "fast 1 was refused 2 times and hung up on 0 times"),
    (1, "age_s", [0.2, 0.3, 0.5], "1 MB/s got a frame that was 0.50 s old; the goal is less than 0.5 s"),
    (1, "age_s", None, "1 MB/s got a frame that was never old"),
    (1, "hung_up", 1, "1 MB/s was refused 0 times and hung up on 1 times"),
    (2, "bytes_per_s", 1.0, "never reads has read"),
])
def test_a_goal_that_is_missed_is_a_sentence(who, what, value, sentence):
    figures = good()
    (figures if who is None else figures["clients"][who])[what] = value
    found = loadfigures.missed(figures, GOALS)
    assert len(found) == 1 and found[0].startswith(sentence), found


def test_the_command_says_what_was_missed_and_fails(run, monkeypatch, capsys):
    monkeypatch.setattr(load, "measure", lambda *_: run)
    assert load.main(["--goal-fast", "0", "--goal-age", "600", "--goal-growth", "1e6"]) in (0, 1)
    assert load.main(["--goal-age", "0", "--json"]) == 1
    out, error = capsys.readouterr()
    assert "missed: 1 MB/s got a frame that was " in error and '"missed": [' in out and "until the next" in out
    with pytest.raises(SystemExit):
        load.main(["--seconds", "0"])
