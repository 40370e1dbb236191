"""A server whose TensorRT engines are missing, broken, or cannot be built says so, and serves. The GPU is a fake."""

import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
import urllib.request

import pytest

from edge.runtime.engine import recipe
from tests.edge import fake_gpu, helpers

PATIENCE = 120


def words(*flags):
    serve = [helpers.python(), "-m", "edge", "serve", "--bundle", helpers.FINDING_BUNDLE, "--no-find", "--port", "0"]
    return serve + ["--source", "synthetic://car", "--threads", "1"] + list(flags)


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """Engines that the Nano's fakes built."""
    folder = str(tmp_path_factory.mktemp("engines"))
    build = [helpers.python(), "-m", "edge", "build", "--bundle", helpers.FINDING_BUNDLE]
    subprocess.check_call(build, env=fake_gpu.environment(fake_gpu.NANO, folder, **fake_gpu.NANO_GPU))
    return folder


class Serving:
    """A server; lines: what it has printed, both ways, up to now."""

    def __init__(self, process):
        self.process, self.lines, self.url = process, [], None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def text(self):
        return "\n".join(self.lines)

    def until(self, what, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end and self.process.poll() is None, "%s: %s" % (what, self.text)
            time.sleep(0.05)

    def says(self, sentence):
        self.until(sentence, lambda: sentence in self.text)

    def serves(self):
        """Two clouds, one after the other."""
        self.until("page", lambda: re.search(r"page +(http://[^#\s]+)", self.text))
        url = re.search(r"page +(http://[^#\s]+)", self.text).group(1)
        self.until("live", lambda: status(url)["state"] == "live")
        before = status(url)["seq"]
        self.until("a newer cloud", lambda: status(url)["seq"] > before)
        return status(url)


def status(url):
    with urllib.request.urlopen(url + "api/v1/status", timeout=30) as answer:
        return json.loads(answer.read().decode())


@contextlib.contextmanager
def serving(folder, *flags, **options):
    pair, limit = options.pop("pair", fake_gpu.NANO), options.pop("limit", None)
    knobs = dict(fake_gpu.NANO_GPU, **options)
    process = subprocess.Popen(
        words(*flags), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, preexec_fn=limit,
        env=fake_gpu.environment(pair, folder, **knobs))
    try:
        server = Serving(process)
        yield server
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0, server.text
        assert "Traceback" not in server.text
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def engine(folder):
    return recipe.engine_path(str(folder), "finding", "reconstructor")


@pytest.fixture
def copy(engines, tmp_path):
    folder = str(tmp_path / "engines")
    shutil.copytree(engines, folder)
    return folder


def test_engines_that_fit_are_used(copy):
    with serving(copy) as server:
        server.serves()
        assert "backend  TensorRT 8.2.1.8, fp16, NVIDIA Tegra X1, pycuda" in server.text
        assert "build:" not in server.text and "WARNING" not in server.text


def test_missing_engines_are_built_while_it_serves_and_then_used(tmp_path):
    with serving(tmp_path) as server:
        server.says("no TensorRT engine of the reconstructor to use: none was built yet; type: carcloud build")
        server.says("backend  onnxruntime")
        server.says("build: TensorRT engines are built in the background")
        server.says("build: reconstructor  built in")
        server.says("from now on it is TensorRT 8.2.1.8, fp16")
        server.serves()
    assert os.path.isfile(engine(tmp_path))


def corrupt(folder):
    with open(engine(folder), "r+b") as handle:
        handle.seek(50)
        handle.write(b"\0\1\2\3")


@pytest.mark.parametrize("change, pair, sentence", [
    (corrupt, fake_gpu.NANO, "reconstructor to use: its file is damaged: it is not the one that "),
    (lambda folder: None, ("trt85", "pycuda_new"),
     "built by TensorRT 8.2.1.8 and here is 8.5.2.2: engines are not portable between versions; type: carcloud build"),
])
def test_engines_that_do_not_fit_are_said_and_it_serves(copy, change, pair, sentence):
    change(copy)
    with serving(copy, "--no-build", pair=pair) as server:
        server.says(sentence)
        server.says("Until then ONNX Runtime runs it")
        server.serves()
        assert "build:" not in server.text


def limit_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))


@pytest.mark.parametrize("options, sentence", [
    (dict(FAKE_BUILD="killed"), "the builder was killed by signal 9, most likely because memory ran out"),
    (dict(FAKE_BUILD="oom"), "TensorRT's builder ran out of memory: a kernel wanted 826 MiB"),
    (dict(limit=limit_files), "cannot be written to "),
    (dict(FAKE_NOISE="fp16=0.02,fp32=0.02"), "no engine passes the golden check (fp16: it does not give the bundle's"),
])
def test_builds_that_end_badly_are_said_and_it_serves(tmp_path, options, sentence):
    with serving(tmp_path, **options) as server:
        server.says(sentence)
        server.says("build: it failed; ONNX Runtime goes on")
        assert server.serves()["state"] == "live"
        assert not os.path.exists(engine(tmp_path))


def children(process):
    """Numbers of the processes that a process has started, and theirs."""
    found = [pid for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()) if state(pid)[1] == process]
    return found + [pid for child in found for pid in children(child)]


def state(pid):
    """A process's state (Z: it has ended) and the number of the one that started it."""
    try:
        with open("/proc/%d/stat" % pid) as handle:
            words = handle.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "Z", 0
    return words[0], int(words[1])


def test_the_builder_ends_with_the_server_even_if_that_is_killed(tmp_path):
    process = subprocess.Popen(
        words(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
        env=fake_gpu.environment(fake_gpu.NANO, tmp_path, FAKE_BUILD="slow=300", **fake_gpu.NANO_GPU))
    try:
        server = Serving(process)
        server.says("build: disk")
        server.until("worker", lambda: len(children(process.pid)) == 2)
        started = children(process.pid)
        process.kill()
        process.wait()
        end = time.monotonic() + PATIENCE
        while any(state(pid)[0] != "Z" for pid in started):
            assert time.monotonic() < end, started
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
