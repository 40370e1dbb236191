"""What goes wrong in the field, as a client sees it: a camera that stalls or is gone, a clock that jumps, a damaged
bundle, a second server on the same port. A full disk and a kill while recording: ``tests/edge/cli/test_record.py``."""

import ast
import itertools
import json
import os
import socket
import time

import pytest

from edge import errors, wire
from edge.client.log import CLOUD, LogReader, LogWriter
from edge.client.pull import PullClient
from edge.client.recorder import Recorder
from edge.server import hub, limits
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub, State
from edge.server.limits import Guesses, Limits, Rates
from edge.server.serving import Server
from tests.edge import helpers
from tests.edge.cli.test_serve import Running, finished
from tests.edge.runtime.flaky import FRAME, HANG, SILENCE
from tests.edge.runtime.test_supervisor import ABSENT, GONE, Watched
from tests.edge.server.fake import result

TOKEN = "a-token-of-good-length"
YEARS = 10 * 365 * 86400.0


# --- the camera -----------------------------------------------------------------------------------------------------


class Served(Watched):
    """A supervised camera that fails as it is told, its hub, and what a client is answered after each of its events.

    seen: status, code of the probe, and whether the last cloud can be had.
    """

    def __init__(self, *lives):
        super().__init__(*lives)
        self.hub, self.seen = Hub(), []
        self.client = create_app(self.hub, counts=lambda: {"reconnects": self.source.reconnects}).test_client()
        self.source._tell_event = self.tell

    def tell(self, event):
        """As ``carcloud serve`` tells its hub; then the client asks."""
        self.hub.set_camera(State(event.state.value), event.sentence, event.then)
        cloud = self.client.get("/api/v1/cloud?after=0&timeout=0").status_code == 200
        self.seen.append((self.status(), self.client.get("/readyz").status_code, cloud))

    def publish(self):
        """The camera's next frame becomes a cloud."""
        self.hub.publish(result(self.pull().seq))

    def status(self):
        return json.loads(self.client.get("/api/v1/status").data.decode())

    def states(self):
        """What clients saw, each once in a row."""
        return [state for state, _ in itertools.groupby(status["state"] for status, _, _ in self.seen)]


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """The hub's own clock is the real one: on a busy machine it must not find a test's stream stalled."""
    monkeypatch.setattr(hub, "STALLED_AFTER", 600.0)


@pytest.mark.parametrize("failure, states, sentence", [
    (SILENCE, ["stalled", "reopening"], "csi://0 has given no picture for 5 s"),
    (HANG, ["stalled", "reopening"], "a read of csi://0 hangs in the driver, which holds the device"),
    (GONE, ["reopening"], "camera 0 is gone. Trying again in 0.5 s"),
])
def test_a_camera_that_stalls_hangs_or_is_gone_is_a_state_over_http_and_comes_back(failure, states, sentence):
    with Served([FRAME, failure], ABSENT, [FRAME]) as served:
        served.publish()
        assert served.status()["state"] == "live" and served.client.get("/readyz").status_code == 200
        served.clock.later = [(served.clock.time + 20, served.flaky.unplug)]
        served.publish()
        assert served.states() == ["opening", "starting"] + states + ["live"]
        away = served.seen[2:-1]
        assert all(code == 503 and status["quality"] == "off" for status, code, _ in away)
        assert all(cloud for _, _, cloud in away), "the last cloud stays"
        messages = [status["message"] for status, _, _ in away]
        assert any(message.startswith(sentence) for message in messages), messages
        assert messages[-1].startswith("there is no camera 0. Trying again in ")
        now = served.status()
        assert (now["state"], now["message"], now["reconnects"], now["seq"]) == ("live", "", 1, 2)
        assert now["errors"][-2] == "there is no camera 0" and now["errors"][-1].startswith("csi://0 is back after ")


def test_a_hundred_restarts_are_counted_over_http_and_told_in_bounded_space():
    with Served(*[[FRAME, GONE]] * 100 + [[FRAME]]) as served:
        for _ in range(101):
            served.publish()
        now = served.status()
        assert (now["state"], now["reconnects"], now["seq"], len(now["errors"])) == ("live", 100, 101, 8)
        assert served.states() == ["opening", "starting"] + ["reopening", "live"] * 100
        assert "carcloud_source_reconnects_total 100\n" in served.client.get("/metrics").data.decode()


# --- the clock ------------------------------------------------------------------------------------------------------


@pytest.fixture
def jumps(monkeypatch):
    """The wall clock is ten years ahead, in 1970, and ten years behind by turns: another one each time it is read."""
    real, offsets = time.time, itertools.cycle([YEARS, None, -YEARS])

    def jump():
        offset = next(offsets)
        return 0.0 if offset is None else real() + offset

    monkeypatch.setattr(time, "time", jump)


def test_a_clock_that_jumps_changes_neither_ages_nor_rates_nor_the_order_of_a_log(jumps, tmp_path):
    slot, path, began = Hub(), str(tmp_path / "drive.cclog"), time.monotonic()
    server = Server(create_app(slot, ServerSettings(token=TOKEN)), port=0)
    server.start()
    try:
        with LogWriter(path) as log, Recorder(log, server.url, TOKEN), PullClient(server.url, TOKEN) as client:
            for seq in range(1, 41):
                captured = time.monotonic() - 0.25
                slot.publish(result(seq, captured=captured))
                packet, age = client.next(60), client.age
                assert packet.seq == seq and packet.captured_us == int(captured * 1e6) and packet.epoch_offset_us >= 0
                assert packet.captured_us < packet.published_us <= time.monotonic() * 1e6
                assert 0.24 < age < time.monotonic() - captured + 0.01
                time.sleep(0.03)
            now, least = client.status(60), time.monotonic() - captured
            assert now["state"] == "live" and least - 60 < now["age_s"] < least + 0.01 and now["uptime_s"] >= 1
            assert now["uptime_s"] <= time.monotonic() - began + 0.1 and 0 <= now["fps"] < 40
        took = time.monotonic() - began
    finally:
        slot.close()
        server.stop()
    with LogReader(path) as log:
        times = [entry.time_us for entry in log.entries]
        assert times == sorted(times) and times[0] >= 0 and times[-1] < (took + 1) * 1e6 and not log.warnings
        clouds = log.of_kind(CLOUD)
        assert clouds and all(240 < entry.facts["age_ms"] < (took + 1) * 1e3 for entry in clouds)
        numbers = [wire.decode(log.body(entry)).seq for entry in clouds]
        assert numbers == sorted(set(numbers))


def test_a_clock_that_jumps_gives_nobody_more_guesses_and_keeps_the_viewer(jumps):
    began, guesses = time.monotonic(), Guesses(sleep=lambda seconds: None)
    client = create_app(Hub(), ServerSettings(token=TOKEN), limits=Limits(guesses, Rates())).test_client()

    def ask(token):
        return client.get("/api/v1/status", headers={"Authorization": "Bearer " + token}).status_code

    codes = [ask("wrong-%d" % number) for number in range(40)]
    allowed = 11 + (time.monotonic() - began) / limits.REGAIN_S
    assert set(codes) == {401, 429} and codes.count(401) <= allowed, "years would have filled the bucket again"
    assert ask(TOKEN) == 200


def test_only_what_is_told_to_people_reads_the_wall_clock():
    """Where time.time or datetime stand: the offset in the wire's header, and when a recording was made."""
    found = set()
    for layer in ("runtime", "server", "client"):
        for folder, _, names in os.walk(os.path.join(helpers.ROOT, "edge", layer)):
            for name in sorted(name for name in names if name.endswith(".py")):
                with open(os.path.join(folder, name), encoding="utf-8") as handle:
                    found |= {name for node in ast.walk(ast.parse(handle.read())) if reads_the_wall_clock(node)}
    assert found == {"hub.py", "recorder.py"}


def reads_the_wall_clock(node):
    if isinstance(node, ast.Attribute):
        return node.attr in ("time", "ctime", "localtime", "gmtime") and getattr(node.value, "id", "") == "time"
    modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    modules += [node.module] if isinstance(node, ast.ImportFrom) else []
    return "datetime" in modules or isinstance(node, ast.ImportFrom) and node.module == "time" and (
        any(alias.name == "time" for alias in node.names))


@pytest.mark.parametrize("text, reads", [
    ("import time; time.time()", True), ("import time; clock=time.time", True), ("from time import time", True),
    ("from datetime import datetime", True), ("import time; time.monotonic()", False), ("event.time", False),
])
def test_the_wall_clock_is_found(text, reads):
    assert any(reads_the_wall_clock(node) for node in ast.walk(ast.parse(text))) == reads


# --- the bundle and the port ----------------------------------------------------------------------------------------


def flip(path):
    """Change one bit in the middle of a file."""
    with open(path, "r+b") as handle:
        handle.seek(os.path.getsize(path) // 2)
        byte = handle.read(1)[0]
        handle.seek(-1, os.SEEK_CUR)
        handle.write(bytes([byte ^ 1]))


def cut(path):
    """Lose the second half of a file."""
    os.truncate(path, os.path.getsize(path) // 2)


@pytest.mark.parametrize("damage, name, words", [
    (flip, "reconstructor.onnx", "reconstructor.onnx"),
    (cut, "manifest.json", "is not valid JSON"),
    (os.remove, "reconstructor.onnx", "reconstructor.onnx"),
])
def test_a_damaged_bundle_is_a_sentence_and_no_server(damage, name, words, tmp_path):
    bundle = helpers.copy_tiny_bundle(str(tmp_path))
    damage(os.path.join(bundle, name))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code, out, error = finished("--source", "synthetic://car", "--port", str(port), "--bundle", bundle)
    assert code == errors.BundleError.exit_code == 3 and out == ""
    assert error.startswith("error: ") and words in error and bundle in error and "Traceback" not in error
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 10).close()


def test_a_second_server_on_the_port_gives_up_and_the_first_goes_on():
    with Running("--source", "synthetic://car?fps=20") as first:
        port = first.url.rsplit(":", 1)[1].strip("/")
        before = first.status(lambda status: status["seq"] > 0)["seq"]
        for host in ((), ("--host", "0.0.0.0", "--no-auth")):
            code, out, error = finished("--source", "synthetic://car", "--port", port, *host)
            assert code == errors.ServerError.exit_code == 6 and "page" not in out and "Traceback" not in error
            assert "port %s on " % port in error and "is in use by another program" in error
        assert first.process.poll() is None
        after = first.status(lambda status: status["seq"] > before + 5)
        assert after["state"] == "live" and after["errors"] == []
        with PullClient(first.url) as client:
            assert client.next(60).seq >= after["seq"] and client.next(60).seq > after["seq"]
