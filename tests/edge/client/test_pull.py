"""The pull client against the real server."""

import socket
import threading
import time

import pytest

from edge.client.check import examine, run_check
from edge.client.pull import PullClient
from edge.errors import ServerError, WireError
from edge.geometry import Cloud
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub
from edge.server.serving import Server
from edge.wire import decode, encode
from tests.edge.server.fake import car_cloud, result

TOKEN = "a-token-of-good-length"


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def server(hub):
    server = Server(create_app(hub, ServerSettings(token=TOKEN)), port=0)
    server.start()
    yield server
    hub.close()
    server.stop()


class Publisher:
    """Publishes a cloud every 20 ms until the block ends."""

    def __init__(self, hub, cloud=None):
        self.hub, self.cloud, self.stop = hub, cloud or car_cloud(800), threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        seq = 0
        while not self.stop.wait(0.02):
            seq += 1
            self.hub.publish(result(seq, self.cloud))

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def test_pulls_in_order_over_one_connection(hub, server):
    with Publisher(hub), PullClient(server.url, TOKEN) as client:
        packets = [packet for packet, _ in zip(client, range(10))]
        assert [b.seq > a.seq for a, b in zip(packets, packets[1:])] == [True] * 9
        assert client.reconnects == 0 and client.received >= 10 and 0 <= client.age < 60


def test_skipped_frames_are_counted(hub, server):
    client = PullClient(server.url, TOKEN)
    hub.publish(result(1))
    client.next(5)
    for seq in range(2, 7):
        hub.publish(result(seq))
    assert client.next(5).seq == 6 and client.skipped == 4
    client.close()


def test_age_counts_from_capture(hub, server):
    hub.publish(result(1, captured=time.monotonic() - 2.0))
    with PullClient(server.url, TOKEN) as client:
        client.next(5)
        assert 2.0 <= client.age < 60.0


@pytest.mark.parametrize("token", [None, "wrong"])
def test_wrong_token_is_a_sentence(server, token):
    with pytest.raises(ServerError, match="answers 401.*token"):
        PullClient(server.url, token).next(5)


def test_nothing_published_is_a_sentence(server):
    with pytest.raises(ServerError, match="no cloud .* within 0.2 s: the server published no new cloud"):
        PullClient(server.url, TOKEN).next(0.2)


def test_nobody_there_is_a_sentence():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ServerError, match="carcloud serve"):
        PullClient("http://127.0.0.1:%d" % port).next(0.3)


@pytest.mark.parametrize("url", ["", "http://", "http://x:port", "ftp://x", "https://", "http://a..b"])
def test_bad_addresses_are_sentences(url):
    with pytest.raises(ServerError, match="http://127.0.0.1:8000"):
        PullClient(url)


def test_reconnects_after_a_restart(hub):
    first = Server(create_app(hub), port=0)
    first.start()
    for seq in range(1, 6):
        hub.publish(result(seq))
    client = PullClient(first.url)
    assert client.next(5).seq == 5
    hub.close()
    first.stop()
    fresh = Hub()
    fresh.publish(result(1))
    second = Server(create_app(fresh), port=first.port)
    second.start()
    try:
        assert client.next(10).seq == 1 and client.reconnects >= 1 and client.skipped == 0
    finally:
        client.close()
        fresh.close()
        second.stop()


def test_check_passes_on_a_sound_stream(hub, server, capsys):
    done = []
    with Publisher(hub):
        assert run_check(PullClient(server.url, TOKEN), 5, lambda: None, done.append) == 0
    assert "check passed: 5 clouds" in capsys.readouterr().out and done == [1, 2, 3, 4, 5]


def test_check_fails_on_small_clouds(hub, server, capsys):
    with Publisher(hub, car_cloud(100)):
        assert run_check(PullClient(server.url, TOKEN), 5, lambda: None, lambda _: None) == 1
    assert "has 100 points" in capsys.readouterr().err


def test_examine_refuses():
    good = decode(encode(car_cloud(600), 7, 1, 2))
    examine(good, 6)
    with pytest.raises(WireError, match="came after"):
        examine(good, 7)
    with pytest.raises(WireError, match="not finite"):
        examine(good._replace(cloud=Cloud(good.cloud.points * float("nan"))), 6)
    with pytest.raises(WireError, match="outside its own box"):
        examine(good._replace(half=good.half / 2), 6)
    far = decode(encode(Cloud(car_cloud(600).points * 3), 7, 1, 2))
    with pytest.raises(WireError, match="from the origin"):
        examine(far, 6)
