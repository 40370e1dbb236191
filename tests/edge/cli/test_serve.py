"""``carcloud serve`` as a user runs it: a process, its sentences and its exit codes."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from edge.cli import serve
from edge.errors import SourceError
from edge.server.serving import listen
from tests.edge import helpers

PATIENCE = 60


def command(*flags):
    return [helpers.python(), "-m", "edge", "serve", "--bundle", helpers.TINY_BUNDLE, "--threads", "1"] + list(flags)


def environment():
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CARCLOUD_")}
    return dict(clean, PYTHONPATH=helpers.ROOT, OMP_NUM_THREADS="1")


def finished(*flags):
    """Exit code, stdout and stderr of a command that ends by itself."""
    process = subprocess.Popen(command(*flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    try:
        out, error = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, out.decode(), error.decode()


class Running:
    """A server process; ``with`` ends it. url, printed: its page and the lines up to it."""

    def __init__(self, *flags):
        self.process = subprocess.Popen(
            command("--port", "0", *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        self.printed = ""
        while "Ctrl-C" not in self.printed:
            line = self.process.stdout.readline().decode()
            assert line, self.process.stderr.read().decode()
            self.printed += line
        self.url = re.search(r"page +(http://[^#\s]+)", self.printed).group(1)

    def status(self, until):
        """The status once ``until(status)`` holds."""
        end = time.monotonic() + PATIENCE
        while True:
            with urllib.request.urlopen(self.url + "api/v1/status", timeout=10) as answer:
                status = json.loads(answer.read().decode())
            if until(status):
                return status
            assert time.monotonic() < end, status
            time.sleep(0.05)

    def end(self, number):
        self.process.send_signal(number)
        out, error = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.decode(), error.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()
        self.process.stdout.close()
        self.process.stderr.close()


def test_check_passes():
    code, out, error = finished("--source", "synthetic://car", "--port", "0", "--check", "5")
    assert code == 0, error
    assert re.search(r"check passed: 5 clouds, [0-9.]+ a second, median age \d+ ms, \d+ to \d+ points", out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(number):
    with Running("--source", "synthetic://car") as server:
        assert server.status(lambda status: status["points"] > 500)["state"] == "live"
        code, out, error = server.end(number)
        assert (code, error) == (0, "") and "stopping" in out


def test_the_end_of_a_clip_is_a_state_and_the_last_cloud_stays(tmp_path):
    clip = helpers.write_clip(str(tmp_path / "clip.avi"), frames=4)
    with Running("--source", clip) as server:
        status = server.status(lambda status: status["state"] == "source ended")
        assert "ended after 4 frames" in status["message"] and status["points"] > 500 and status["age_s"] > 0
        with urllib.request.urlopen(server.url + "api/v1/cloud", timeout=10) as answer:
            assert answer.status == 200


def test_token_is_made_printed_once_and_wanted(tmp_path):
    path = str(tmp_path / "token")
    flags = ("--source", "synthetic://car", "--token-file", path)
    with Running(*flags) as server:
        with open(path) as handle:
            token = handle.read().strip()
        assert "#token=" + token in server.printed
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(server.url + "api/v1/status", timeout=10)
        assert caught.value.code == 401
        caught.value.close()
        ask = urllib.request.Request(server.url + "api/v1/status", headers={"Authorization": "Bearer " + token})
        with urllib.request.urlopen(ask, timeout=10) as answer:
            assert answer.status == 200
    with Running(*flags) as server:
        assert token not in server.printed and path in server.printed


def test_port_in_use():
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        code, _, error = finished("--source", "synthetic://car", "--port", port)
    assert code == 6 and "port %s" % port in error and "in use" in error and "Traceback" not in error


@pytest.mark.parametrize("flags, code, words", [
    (("--host", "0.0.0.0"), 6, "--token-file"),
    (("--source", "no/such/clip.mp4"), 4, "no/such/clip.mp4"),
    (("--bundle", "nosuch"), 3, "no bundle at nosuch"),
    (("--box", "9000,0,10,10"), 2, "outside the picture"),
    (("--check", "0"), 2, "give 1 or more"),
])
def test_mistakes_are_one_sentence(flags, code, words):
    flags = ("--port", "0") + flags
    given, _, error = finished(*(flags if "--source" in flags else ("--source", "synthetic://car") + flags))
    assert given == code and words in error and "Traceback" not in error


def test_print_config_starts_nothing():
    code, out, _ = finished("--port", "8123", "--print-config")
    assert code == 0 and json.loads(out)["port"] == 8123


def test_without_the_demo_clip_it_says_what_else_to_give(monkeypatch, tmp_path):
    monkeypatch.setattr(serve, "DEMO_CLIP", str(tmp_path / "100%" / "demo.mp4"))
    with pytest.raises(SourceError, match="--source synthetic://car"):
        serve.demo_uri()
    os.makedirs(str(tmp_path / "100%"))
    open(serve.DEMO_CLIP, "w").close()
    from edge.runtime.sources.uri import parse_uri

    assert parse_uri(serve.demo_uri()).target == serve.DEMO_CLIP
