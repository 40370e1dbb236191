"""The watchdog: whether a sign of life goes out for servers that answer or hang, and processes whose parts do."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from typing import Any, Iterator, List, Tuple

import pytest

from edge.cli.serve import status_line
from edge.cli.watchdog import Watchdog, unanswered
from edge.runtime.notify import Notifier
from edge.server import tls
from edge.server.app import create_app
from edge.server.hub import Hub, State
from edge.server.serving import Server
from tests.edge import helpers
from tests.edge.runtime.test_notify import listener

PATIENCE = 120


class Peer:
    """A server on a free port that treats each connection as told: "answer", "hang", "hang up" or "babble"."""

    def __init__(self, manner: str) -> None:
        self.listening = socket.socket()
        self.listening.bind(("127.0.0.1", 0))
        self.listening.listen(5)
        self.url = "http://127.0.0.1:%d/" % self.listening.getsockname()[1]
        self.held: List[socket.socket] = []
        self.manner = manner
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            if self.manner == "hang":
                self.held.append(connection)
                continue
            if self.manner != "hang up":
                connection.recv(4096)
                busy = b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\n\r\n"
                connection.sendall(busy if self.manner == "answer" else b"220 mail ready\r\n")
            connection.close()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.listening.close()


@pytest.mark.parametrize("manner, limit, words", [
    ("answer", 60, ""), ("hang up", 60, ""), ("hang", 0.2, "the server has not answered for 0.2 s"),
    ("babble", 60, "the server does not answer: 220 mail ready"),
])  # fmt: skip
def test_a_server_is_asked(manner: str, limit: float, words: str) -> None:
    with Peer(manner) as peer:
        assert unanswered(peer.url, limit).strip() == words


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, but nobody listens
        url = "http://127.0.0.1:%d/" % free.getsockname()[1]
        assert unanswered(url, 60) == "the server does not answer: [Errno 111] Connection refused"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: " + tls.INSTALL)
def test_a_server_that_speaks_tls_is_asked_too(tmp_path: Any) -> None:
    certificate, key = tls.make_certificate(str(tmp_path), ["localhost"])
    server = Server(create_app(Hub()), port=0, tls=tls.load_tls(certificate, key))
    server.start()
    try:
        assert server.url.startswith("https://") and unanswered(server.url, 60) == ""
    finally:
        server.stop()


@pytest.fixture
def systemd(tmp_path: Any) -> Iterator[Tuple[socket.socket, Notifier]]:
    path = str(tmp_path / "notify")
    with listener(path) as listening:
        listening.setblocking(False)
        yield listening, Notifier({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "20000000"})


def heard(listening: socket.socket) -> List[str]:
    messages = []
    while True:
        try:
            messages.append(listening.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_a_sign_of_life_goes_out_only_while_all_goes_on_and_each_change_is_said_once(systemd: Any, capsys: Any) -> None:
    listening, notifier = systemd
    complaint = [""]
    asked = []

    def stuck(limit: float) -> str:
        asked.append(limit)
        return complaint[0]

    with Peer("answer") as peer:
        watchdog = Watchdog(notifier, peer.url, stuck)
        assert watchdog.look(10.0) and heard(listening) == ["WATCHDOG=1"] and asked == [10.0]
        complaint[0] = "the pipeline has not gone on for 11 s"
        assert not watchdog.look(10.0) and not watchdog.look(10.0) and heard(listening) == []
        complaint[0] = ""
        assert watchdog.look(10.0) and watchdog.look(10.0) and heard(listening) == 2 * ["WATCHDOG=1"]
        peer.manner = "hang"
        assert not watchdog.look(0.2) and heard(listening) == []
    assert capsys.readouterr().out.splitlines() == [
        "watchdog: the pipeline has not gone on for 11 s; systemd gets no sign of life until it does",
        "watchdog: all parts go on again",
        "watchdog: the server has not answered for 0.2 s; systemd gets no sign of life until it does",
    ]


def test_ready_is_said_when_the_server_answers_and_not_before(systemd: Any) -> None:
    listening, notifier = systemd
    listening.settimeout(60)
    notifier.watchdog_s = None
    with Peer("babble") as peer:
        watchdog = Watchdog(notifier, peer.url, lambda limit: "")
        watchdog.start()
        peer.manner = "answer"
        assert listening.recv(4096) == b"READY=1"
        watchdog.close()
    alone = Watchdog(Notifier({}), "http://127.0.0.1:1/", lambda limit: "")
    alone.start()
    alone.close()
    assert alone._thread is None, "without systemd nothing runs"


def test_the_line_for_systemctl_has_no_running_numbers() -> None:
    status = Hub().status()
    for state, message, line in (
        (State.LIVE, "", "live"), (State.NO_CAR, "the cloud is of 3 s ago", "no car in view"),
        (State.STALLED, "no new frame for 4 s", "stalled"), (State.REOPENING, "it is gone", "reopening: it is gone"),
        (State.ENDED, "clip.mp4 ended after 4 frames", "source ended: clip.mp4 ended after 4 frames"),
    ):
        assert status_line(status._replace(state=state, message=message)) == line


SCRIPT = """
import sys, threading
import numpy as np
from edge.cli import main, serve
from edge.errors import SourceError
from edge.runtime.pipeline import Pipeline
from edge.runtime.sources import Frame, Source
from edge.runtime.sources.cameras import Camera, CameraSource
what = sys.argv.pop(1)

class Fed(Source):
    count = 0
    def read(self):
        if what == "source" and self.count == 3:
            print("HANGS", flush=True)
            threading.Event().wait()
        threading.Event().wait(0.02)
        self.count += 1
        return Frame(np.full((64, 64, 3), 90, np.uint8), self.count, 0.0)

class Gone:
    count = 0
    def read(self):
        threading.Event().wait(0.02)
        self.count += 1
        return self.count < 4, np.full((64, 64, 3), 90, np.uint8)
    def get(self, prop):
        return 64.0
    def release(self):
        pass

opened = []
def open_camera():
    opened.append(1)
    if what == "slow":
        print("opening", flush=True)
        threading.Event().wait()
    if len(opened) > 1:
        raise SourceError("there is no camera 0")
    return CameraSource("csi://0", "CSI camera 0", Gone(), "Check its cable", wait=0.001)

begin = Pipeline._begin
def hang(self, frame, waited):
    if what == "pipeline" and frame.seq > 2:
        print("HANGS", flush=True)
        threading.Event().wait()
    return begin(self, frame, waited)

Pipeline._begin = hang
serve.find_camera = lambda uri: Camera("csi://0", open_camera) if what in ("gone", "slow") else None
serve.open_source = lambda uri: Fed("fed")
sys.exit(main(["serve", "--no-find", "--source", "csi://0", "--port", "0", "--threads", "1"] + sys.argv[1:]))
"""


class Service:
    """A server process with this test for its systemd. ``with`` ends it."""

    def __init__(self, tmp_path: Any, what: str, watchdog_s: float) -> None:
        path = str(tmp_path / "notify")
        self.listening = listener(path)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CARCLOUD_")}
        environment.update(PYTHONPATH=helpers.ROOT, OMP_NUM_THREADS="1", NOTIFY_SOCKET=path,
                           WATCHDOG_USEC="%d" % (watchdog_s * 1e6))
        self.log = str(tmp_path / "log")
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [helpers.python(), "-c", SCRIPT, what, "--bundle", helpers.TINY_BUNDLE], stdout=log, stderr=log,
                env=environment)
        self.heard: List[str] = []

    def hear(self, message: str) -> None:
        """Wait until a message comes that begins so."""
        end = time.monotonic() + PATIENCE
        while True:
            self.heard.append(self.listening.recv(4096).decode())
            if self.heard[-1].startswith(message):
                return
            assert time.monotonic() < end, self.heard

    def printed(self, words: str) -> str:
        """The log, once these words stand in it."""
        end = time.monotonic() + PATIENCE
        while True:
            with open(self.log) as handle:
                text = handle.read()
            if words in text:
                return text
            assert time.monotonic() < end and self.process.poll() is None, text
            time.sleep(0.05)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.listening.close()


@pytest.mark.parametrize("what, words", [
    ("pipeline", "watchdog: the pipeline has not gone on for"),
    ("source", "watchdog: the thread that reads the source has not gone on for"),
])  # fmt: skip
def test_a_thread_that_hangs_ends_the_signs_of_life_and_the_traces_say_where(
    tmp_path: Any, what: str, words: str
) -> None:
    with Service(tmp_path, what, 2.0) as service:
        service.hear("READY=1")
        service.printed("HANGS")
        service.printed(words)
        service.listening.setblocking(False)
        end = time.monotonic() + PATIENCE
        quiet = False
        while not quiet:  # a busy machine may have sent a last one late; sooner or later there are no more
            heard(service.listening)
            time.sleep(2.5)
            quiet = "WATCHDOG=1" not in heard(service.listening)
            assert time.monotonic() < end
        service.process.send_signal(signal.SIGABRT)  # as systemd does then
        assert service.process.wait(PATIENCE) == -signal.SIGABRT
        with open(service.log) as handle:
            traces = handle.read()
        assert "Fatal Python error: Aborted" in traces and 'File "<string>"' in traces and "threading.py" in traces


def test_a_camera_that_is_gone_is_no_reason_to_die(tmp_path: Any) -> None:
    with Service(tmp_path, "gone", 2.0) as service:
        service.hear("READY=1")
        service.hear("STATUS=reopening: ")
        for _ in range(3):
            service.hear("WATCHDOG=1")
        assert service.process.poll() is None
        service.process.send_signal(signal.SIGTERM)
        service.hear("STOPPING=1")
        assert service.process.wait(PATIENCE) == 0


def test_the_page_is_there_while_a_camera_hangs_in_its_first_opening(tmp_path: Any) -> None:
    with Service(tmp_path, "slow", 2.0) as service:
        service.hear("READY=1")
        service.hear("STATUS=opening")
        service.hear("WATCHDOG=1")
        text = service.printed("Ctrl-C stops.")
        assert "source   csi://0, not open yet" in text and "page     http://" in text
