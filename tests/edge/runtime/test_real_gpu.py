"""The real thing, where TensorRT and a CUDA GPU are at hand: built, run, compared, timed. Skipped aloud elsewhere."""

import json
import subprocess
import time

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.errors import CarcloudError
from edge.runtime.backends import open_backend
from edge.runtime.backends.cuda import open_cuda
from edge.runtime.engine import api
from edge.runtime.engine.build import networks
from edge.runtime.engine.recipe import network_of
from edge.runtime.golden import check_network
from tests.edge import helpers


def missing():
    """Why there is no GPU to test with, "" if there is one."""
    if not api.is_installed():
        return "TensorRT is not installed"
    try:
        api.import_tensorrt()
        open_cuda().close()
    except CarcloudError as error:
        return str(error)
    return ""


WHY = missing()
pytestmark = [pytest.mark.gpu, pytest.mark.slow, pytest.mark.skipif(bool(WHY), reason="no real TensorRT: " + WHY)]


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """Engines of the shipped bundle, built by ``carcloud build``."""
    folder = str(tmp_path_factory.mktemp("engines"))
    subprocess.check_call([helpers.python(), "-m", "edge", "build", "--engines", folder])
    return folder


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_network_runs_and_gives_what_it_must(engines, number):
    bundle = load_bundle("morphable")
    graph = networks(bundle)[number]
    image = np.random.RandomState(0).randn(*graph.input_shape).astype(np.float32)
    milliseconds = {}
    for name in ("ort", "trt"):
        with open_backend(bundle, name, graph=graph, engines=engines) as backend:
            assert backend.name == name
            report = check_network(bundle, network_of(graph), backend, backend.precision)
            assert report.good, [deviation.text for deviation in report.deviations]
            times = []
            for _ in range(60):
                start = time.perf_counter()
                backend.run({graph.input_name: image})
                times.append((time.perf_counter() - start) * 1e3)
            milliseconds[backend.detail] = round(float(np.median(times[10:])), 3)
    print("\n%s: milliseconds %s" % (network_of(graph), json.dumps(milliseconds)))


def test_int8_runs_where_the_gpu_has_it(tmp_path):
    bundle = load_bundle("morphable")
    if "int8" not in bundle.manifest["precisions"]:
        pytest.skip("the shipped bundle has no INT8 file")
    flags = ["--precision", "int8", "--engines", str(tmp_path)]
    process = subprocess.Popen([helpers.python(), "-m", "edge", "build"] + flags, stderr=subprocess.PIPE)
    _, error = process.communicate()
    if process.returncode and b"INT8 is refused" in error:
        pytest.skip("this GPU has no INT8")
    assert process.returncode == 0, error
    with open_backend(bundle, "trt", precision="int8", engines=str(tmp_path)) as backend:
        assert check_network(bundle, "reconstructor", backend, "int8").good


def test_the_server_runs_on_engines(engines):
    flags = ["--backend", "trt", "--engines", engines, "--port", "0", "--check", "10"]
    out = subprocess.check_output([helpers.python(), "-m", "edge", "serve"] + flags, universal_newlines=True)
    assert "check passed" in out and "backend  TensorRT" in out
