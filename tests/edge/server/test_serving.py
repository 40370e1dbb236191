"""The real server over real sockets: keep-alive, bounds, slow readers, errors, clean stop."""

import http.client
import json
import socket
import threading
import time

import pytest

from edge import wire
from edge.errors import ServerError
from edge.geometry import Cloud
from edge.server import serving
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub
from edge.server.serving import Server
from tests.edge.server.fake import car_cloud, result

CLOSING = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def hub():
    return Hub()


@pytest.fixture
def server(hub):
    server = Server(create_app(hub), port=0)
    server.start()
    yield server
    hub.close()
    server.stop()


def connect(server):
    return http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)


def raw(server, request):
    """Send bytes, return all that comes back until the server hangs up."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(request)
        answer = b""
        while True:
            part = connection.recv(65536)
            if not part:
                return answer
            answer += part


def test_one_connection_carries_many_answers(hub, server):
    connection = connect(server)
    connection.connect()
    port = connection.sock.getsockname()[1]
    for seq in range(1, 6):
        hub.publish(result(seq))
        connection.request("GET", "/api/v1/cloud?after=%d" % (seq - 1))
        answer = connection.getresponse()
        assert answer.status == 200 and answer.version == 11 and wire.decode(answer.read()).seq == seq
        assert connection.sock.getsockname()[1] == port
    for path, status in (("/api/v1/cloud?after=5&timeout=0", 204), ("/nowhere", 404), ("/", 200), ("/healthz", 200)):
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status and connection.sock.getsockname()[1] == port
    connection.request("HEAD", "/cloud.ply")
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read() == b"" and int(answer.getheader("Content-Length")) > 1000
    connection.close()


def test_keep_alive_answers_are_quick(hub, server):
    """Werkzeug's own handler waits 10 ms after each answer for stray bytes; ours must not."""
    hub.publish(result(1))
    connection = connect(server)
    times = []
    for _ in range(40):
        start = time.monotonic()
        connection.request("GET", "/api/v1/cloud")
        connection.getresponse().read()
        times.append(time.monotonic() - start)
    connection.close()
    assert min(times) < 0.009


def test_long_poll_is_answered_when_a_frame_comes(hub, server):
    connection = connect(server)
    connection.request("GET", "/api/v1/cloud?timeout=10")
    threading.Timer(0.1, lambda: hub.publish(result(1))).start()
    start = time.monotonic()
    assert connection.getresponse().getheader("X-Seq") == "1"
    assert time.monotonic() - start < 3
    connection.close()


def test_a_slow_reader_does_not_delay_a_fast_one(hub, server):
    slow = socket.create_connection(("127.0.0.1", server.port), 10)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    big = car_cloud(200000)
    hub.publish(result(1, big))
    slow.sendall(b"GET /api/v1/cloud?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")  # and never reads
    fast, waits = connect(server), []
    for seq in range(2, 12):
        hub.publish(result(seq, Cloud(big.points[:6000])))
        start = time.monotonic()
        fast.request("GET", "/api/v1/cloud?after=%d" % (seq - 1))
        assert wire.decode(fast.getresponse().read()).seq == seq
        waits.append(time.monotonic() - start)
    slow.close()
    fast.close()
    assert sorted(waits)[5] < 1  # behind the slow one it would be its whole time-out, 35 s


def test_request_bodies_are_refused(server):
    answer = raw(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")
    assert answer.startswith(b"HTTP/1.1 413") and b"Connection: close" in answer
    answer = raw(server, b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    for length in (b"8193", b"-1", b"9" * 5000, b"\xb2", b"1, 1"):
        answer = raw(server, b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: %s\r\n\r\n" % length)
        assert answer.startswith(b"HTTP/1.1 413"), length


def test_endless_headers_are_refused(server):
    many = b"".join(b"X-%d: 1\r\n" % number for number in range(200))
    long = b"X: " + b"a" * 70000 + b"\r\n"
    some = b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(60))
    for headers in (many, long, some):
        answer = raw_or_reset(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n")
        assert answer == b"" or b" 431 " in answer.split(b"\r\n")[0], "an unread rest may reset the connection"
    assert b" 200 " in raw(server, CLOSING), "a browser's headers pass"


def drips(server, head, drop, most=200):
    """Send ``drop`` again and again; how often it went before the server hung up (or ``most``)."""
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        connection.sendall(head)
        connection.settimeout(0.05)
        for count in range(most):
            try:
                if connection.recv(1000) == b"":
                    return count
            except socket.timeout:
                pass
            except ConnectionError:
                return count
            try:
                connection.sendall(drop)
            except OSError:
                return count
    return most


@pytest.mark.parametrize("head, drop", [
    (b"GET /healthz HTTP/1.1\r\n", b"X: a\r\n"),
    (b"GET /", b"a"),
    (b"POST /api/v1/target HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000\r\n\r\n", b" "),
])
def test_who_sends_a_byte_now_and_then_is_hung_up_on(server, monkeypatch, head, drop):
    """Slow loris: each byte comes in time, and the request never ends."""
    monkeypatch.setattr(serving, "REQUEST_TIMEOUT", 0.5)
    assert drips(server, head, drop) < 200
    assert b" 200 " in raw(server, CLOSING)


def test_a_silent_connection_is_closed(server, monkeypatch):
    monkeypatch.setattr(serving, "SOCKET_TIMEOUT", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        assert connection.recv(1) == b""


def test_who_reads_too_slowly_is_hung_up_on(hub, server, monkeypatch):
    monkeypatch.setattr(serving, "SOCKET_TIMEOUT", 0.5)
    hub.publish(result(1, car_cloud(200000)))
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(b"GET /cloud.ply HTTP/1.1\r\nHost: localhost\r\n\r\n")
        end = time.monotonic() + 60
        while server._server.connections or time.monotonic() > end:
            assert time.monotonic() < end, "its thread is still writing"
            time.sleep(0.02)
            if not slow.recv(1):
                break


def test_one_address_cannot_take_all_connections(server, monkeypatch):
    monkeypatch.setattr(serving, "MAX_FROM_ONE", 1)
    first = connect(server)
    first.request("GET", "/healthz")
    first.getresponse().read()
    assert raw_or_reset(server) == b""
    with socket.socket() as other:
        other.bind(("127.0.0.2", 0))
        other.connect(("127.0.0.1", server.port))
        other.sendall(CLOSING)
        assert b" 200 " in other.recv(1000)
    first.close()


@pytest.mark.parametrize("request_line, code", [
    (b"GET http://[ HTTP/1.1", b"400"),
    (b"GET http://evil.example/api/v1/status HTTP/1.1", b"403"),
    (b"GET /healthz HTTP/2.0", b"505"),
    (b"GET /healthz HTTP/x", b"400"),
    (b"FETCH /healthz HTTP/1.1", b"405"),
])
def test_strange_requests_get_an_answer(server, request_line, code):
    answer = raw(server, request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ")[1] == code


@pytest.mark.parametrize("host", [
    b"Host: evil.example\r\n", b"Host: localhost\r\nHost: evil.example\r\n", b"Host: localhost,evil.example\r\n",
    b"Host: evil.example@localhost\r\n", b"Host: 127.0.0.1.evil.example\r\n", b"", b"Host: \r\n",
])
def test_dns_rebinding_is_refused(server, host):
    for line in (b"GET /api/v1/status", b"GET /", b"GET /metrics", b"POST /api/v1/target"):
        answer = raw(server, line + b" HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n")
        assert answer.split(b" ")[1] == b"403", (line, host)


def test_endless_request_lines_are_refused(server):
    assert b" 414 " in raw(server, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n").split(b"\r\n")[0]


def test_garbage_is_refused_and_the_server_lives(hub, server):
    assert b"400" in raw(server, b"\x16\x03\x01\x02\x00\x01\r\n\r\n")
    connection = connect(server)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()


def test_one_connection_too_many_is_closed_at_the_door(hub, server, monkeypatch):
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 1)
    first = connect(server)
    first.request("GET", "/healthz")
    first.getresponse().read()
    assert raw_or_reset(server) == b""
    first.request("GET", "/healthz")
    assert first.getresponse().status == 200
    first.close()


def raw_or_reset(server, request=b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
    try:
        return raw(server, request)
    except ConnectionError:
        return b""


def test_port_in_use_is_a_sentence(server, hub):
    with pytest.raises(ServerError) as caught:
        Server(create_app(hub), port=server.port)
    for words in ("port %d" % server.port, "in use", "--port"):
        assert words in str(caught.value)


@pytest.mark.parametrize("host, port, words", [
    ("127.0.0.1", 70000, "not a port"),
    ("127.0.0.1", -1, "not a port"),
    ("198.51.100.7", 0, "no address of this machine"),
])
def test_bad_addresses_are_sentences(hub, host, port, words):
    with pytest.raises(ServerError, match=words):
        serving.listen(host, port)


def test_privileged_port_sentence():
    error = OSError(13, "Permission denied")
    assert "administrator rights" in serving._bind_sentence("127.0.0.1", 80, error)


def test_stop_ends_waiting_requests_and_frees_the_port(hub):
    server = Server(create_app(hub), port=0)
    server.start()
    connection = connect(server)
    connection.request("GET", "/api/v1/cloud?timeout=30")
    while hub.status().waiting == 0:
        time.sleep(0.005)
    start = time.monotonic()
    hub.close()
    server.stop()
    server.stop()
    assert time.monotonic() - start < 3
    try:
        assert connection.getresponse().status == 503
    except (ConnectionError, http.client.HTTPException):
        pass  # hung up on: also an end
    connection.close()
    again = Server(create_app(Hub()), port=server.port)
    again.stop()


def test_url_and_free_port(server):
    assert server.port > 0 and server.url == "http://127.0.0.1:%d/" % server.port


def test_errors_come_as_json(server):
    connection = connect(server)
    connection.request("GET", "/api/v1/cloud?after=x")
    answer = connection.getresponse()
    assert answer.status == 400 and "after=x" in json.loads(answer.read().decode())["error"]
    connection.close()


def test_public_url_is_an_address_others_can_use(hub):
    server = Server(create_app(hub, ServerSettings("0.0.0.0", no_auth=True)), "0.0.0.0", 0)
    server.stop()
    assert "0.0.0.0" not in server.public_url and server.public_url.endswith(":%d/" % server.port)
