"""/metrics, and what the status tells of camera and machine: on folders of files as a Jetson Nano has them."""

import json
import os
import re
import socket
import time

import pytest

import edge
from edge.runtime.board import Board
from edge.server import metrics
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub, State, Status
from edge.server.serving import Server
from edge.server.telemetry import Machine, Reading, Snapshot, quality, resident_bytes
from tests.edge.runtime.test_board import ZONE, lay, nano
from tests.edge.server.fake import result

NANO = "proc/self/statm"
COUNTS = {"captured": 120, "skipped": 7, "reconnects": 2}


def machine(folder, clock=time.monotonic, **changes):
    return Machine(lay(folder, nano(**dict({NANO: "9000 2500 1 1 0 1 0\n"}, **changes))), 2.0, clock)


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def client(hub, tmp_path):
    settings = ServerSettings(bundle='a "strange"\\name\n')
    return create_app(hub, settings, counts=lambda: COUNTS, machine=machine(tmp_path)).test_client()


def page(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200 and answer.headers["Content-Type"] == metrics.CONTENT_TYPE
    return answer.data.decode("utf-8")


def samples(text):
    """{(name, labels as they stand): value} of every sample; the lines of help and type checked on the way."""
    found, typed = {}, {}
    for line in text.splitlines():
        if line.startswith("#"):
            word, name, rest = re.match(r"# (HELP|TYPE) ([a-z_]+) (.+)$", line).groups()
            assert word == "HELP" or (rest in ("counter", "gauge") and name not in typed)
            if word == "TYPE":
                typed[name] = rest
            continue
        name, labels, value = re.match(r"([a-z_]+)(\{.*\})? (\S+)$", line).groups()
        assert name in typed and (name, labels) not in found
        assert (typed[name] == "counter") == name.endswith("_total"), name
        found[name, labels] = float(value)
    return found


def test_every_number_that_the_issue_names(hub, client):
    for seq in range(1, 4):
        hub.publish(result(seq))
    client.get("/nowhere")
    client.get("/healthz")
    found = samples(page(client))
    wanted = {
        "carcloud_frames_captured_total": 120, "carcloud_frames_skipped_total": 7,
        "carcloud_source_reconnects_total": 2, "carcloud_clouds_published_total": 3,
        "carcloud_pictures_published_total": 3, "carcloud_cloud_points": 6000, "carcloud_clients_waiting": 0,
        "process_resident_memory_bytes": 2500 * os.sysconf("SC_PAGE_SIZE"), "carcloud_cpu_cores_online": 3,
    }
    assert {name: found[name, None] for name in wanted} == wanted
    labelled = {
        ("carcloud_state", '{state="live"}'): 1, ("carcloud_state", '{state="failed"}'): 0,
        ("carcloud_stage_seconds", '{stage="network"}'): 0.03025,
        ("carcloud_http_requests_total", '{code="404"}'): 1, ("carcloud_http_requests_total", '{code="200"}'): 1,
        ("carcloud_temperature_celsius", '{zone="GPU-therm"}'): 31.5, ("carcloud_zone_hot", '{zone="GPU-therm"}'): 0,
        ("carcloud_clock_hertz", '{unit="gpu"}'): 614.4e6, ("carcloud_clock_limit_hertz", '{unit="cpu"}'): 1428e6,
        ("carcloud_memory_bytes", '{kind="available"}'): 2400 * 1024 * 1024,
        ("carcloud_info", '{bundle="a \\"strange\\"\\\\name\\n",version="%s"}' % edge.__version__): 1,
    }
    assert {key: found[key] for key in labelled} == labelled
    board = [labels for name, labels in found if name == "carcloud_board_info"]
    assert len(board) == 1 and 'power_mode="MAXN"' in board[0] and 'l4t="32.7.1"' in board[0]
    assert 0 <= found["carcloud_cloud_age_seconds", None] < 60 and found["carcloud_uptime_seconds", None] > 0


def test_requests_that_never_reach_the_application_are_counted_too(hub):
    app = create_app(hub)
    server = Server(app, port=0)
    server.start()
    try:
        for request, code in (
            (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n", b"413"),
            (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", b"414"),
            (b"GET /healthz HTTP/1.1\r\n" + b"X: 1\r\n" * 101 + b"\r\n", b"431"),
            (b"GET /healthz HTTP/2.0\r\n\r\n", b"505"),
            (b"GET /healthz HTTP/x\r\n\r\n", b"400"),
            (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"200"),
        ):
            with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
                connection.sendall(request)
                assert connection.recv(65536).split(b" ")[1] == code
    finally:
        server.stop()
    found = samples(page(app.test_client()))
    counted = {labels: number for (name, labels), number in found.items() if name == "carcloud_http_requests_total"}
    assert counted == {'{code="%d"}' % code: 1 for code in (200, 400, 413, 414, 431, 505)}


def test_what_is_not_told_is_left_out_and_not_zero(hub, tmp_path):
    text = page(create_app(hub, machine=Machine(str(tmp_path))).test_client())
    for name in ("frames", "reconnects", "age", "stage", "temperature", "clock", "memory", "board", "cores"):
        assert name not in text, text
    found = samples(text)
    assert found["carcloud_clouds_published_total", None] == 0 and found["carcloud_state", '{state="starting"}'] == 1


def test_prometheus_own_parser_reads_it(hub, client):
    parser = pytest.importorskip(
        "prometheus_client.parser", reason="prometheus_client is not installed: pip install prometheus_client")
    hub.publish(result(1))
    text = page(client)
    families = list(parser.text_string_to_metric_families(text))
    names = {family.name for family in families}
    assert {"carcloud_stage_seconds", "carcloud_frames_skipped", "process_resident_memory_bytes"} <= names
    assert all(family.documentation and family.type in ("counter", "gauge") for family in families)
    ours = [(sample.name, sample.labels, sample.value) for family in families for sample in family.samples]
    assert len(ours) == len(samples(text)) and ("carcloud_frames_skipped_total", {}, 7.0) in ours
    info = next(labels for name, labels, _ in ours if name == "carcloud_info")
    assert info["bundle"] == 'a "strange"\\name\n', "escaped as the parser unescapes"


def test_the_status_tells_the_same(hub, client):
    facts = json.loads(client.get("/api/v1/status").data.decode())
    assert (facts["captured"], facts["skipped"], facts["reconnects"]) == (120, 7, 2)
    assert facts["power_mode"] == "MAXN" and facts["temperature"] == {"zone": "AO-therm", "celsius": 41.5}
    assert facts["quality"] == "off" and facts["state"] == "starting"


def test_a_status_of_a_machine_that_tells_nothing(hub, tmp_path):
    client = create_app(hub, machine=Machine(str(tmp_path))).test_client()
    facts = json.loads(client.get("/api/v1/status").data.decode())
    assert (facts["captured"], facts["skipped"], facts["reconnects"], facts["temperature"]) == (None,) * 4
    assert facts["power_mode"] == ""


def test_metrics_want_the_token(hub):
    token = "a-token-of-good-length"
    client = create_app(hub, ServerSettings(token=token)).test_client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer " + token}).status_code == 200


@pytest.mark.parametrize("state, fps, age, hot, word", [
    (State.LIVE, 15.0, 0.1, (), "good"),
    (State.LIVE, 4.9, 0.1, (), "slow"),
    (State.LIVE, 5.0, 0.5, (), "good"),
    (State.LIVE, 4.9, 0.6, (), "late"),
    (State.LIVE, 15.0, None, (), "late"),
    (State.LIVE, 4.9, 0.6, ("GPU-therm",), "hot"),
    (State.NO_CAR, 0.0, 9.0, ("GPU-therm",), "idle"),
    (State.STARTING, 0.0, None, (), "off"),
    (State.STALLED, 0.0, 9.0, (), "off"),
    (State.REOPENING, 0.0, 9.0, ("GPU-therm",), "off"),
])
def test_one_word_for_how_it_goes(state, fps, age, hot, word):
    assert quality(Status(state, "", 1, 1, fps, age, {}, 0, ()), hot) == word


def test_the_machine_is_read_once_in_a_while_and_a_hot_zone_is_seen(tmp_path):
    now = [100.0]
    box = machine(tmp_path, lambda: now[0])
    assert box.read().hot == () and box.read() is box.read()
    # 70 C at PLL-therm only refreshes the memory more often; the GPU slows down from 97.5 C on.
    lay(tmp_path, {ZONE % 3 + "temp": "90000\n", ZONE % 2 + "temp": "97500\n"})
    now[0] += 1.9
    assert box.read().hot == ()
    now[0] += 0.2
    assert box.read().hot == ("GPU-therm",) and box.read().board.temperatures["GPU-therm"] == 97.5


def test_memory_of_this_process(tmp_path):
    assert resident_bytes() > 1 << 20
    assert resident_bytes(str(tmp_path)) is None


def test_numbers_are_written_so_that_they_read_back():
    board = Board("", "", "", None, None, None, None, 0, {"a": 0.1}, None, None, None, None, False)
    status = Status(State.LIVE, "", 2 ** 53 + 1, 0, 1e-9, None, {}, 0, ())
    text = metrics.render(Snapshot(status, 0, {}, Reading(board, (), None), "good", {}, 1.0), {}).decode()
    assert "carcloud_clouds_published_total 9007199254740993\n" in text and "second 1e-09\n" in text
    assert "carcloud_info 1\n" in text and text.endswith("\n")
