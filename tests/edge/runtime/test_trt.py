"""The TensorRT runtime against the API of each generation: built, opened, run, refused. The GPU is a fake."""

import os
import shutil
import threading

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.cli import main
from edge.errors import BackendError
from edge.runtime.backends import open_backend
from edge.runtime.backends.cuda import open_cuda
from edge.runtime.engine import api, recipe
from edge.runtime.golden import check_golden
from tests.edge import fake_gpu, helpers


@pytest.fixture
def gpu(monkeypatch):
    yield fake_gpu.Gpu(monkeypatch)
    fake_gpu.forget()


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Engines that were built already, by TensorRT and GPU: a build takes three processes."""
    return str(tmp_path_factory.mktemp("shelf"))


@pytest.fixture
def build(shelf):
    """build(folder): the engines of FINDING_BUNDLE by the fakes in use, in a folder that is not there yet."""

    def build_into(folder):
        held = os.path.join(shelf, api.import_tensorrt().__version__ + os.environ.get("FAKE_CC", ""))
        if not os.path.isdir(held):
            assert main(["build", "--bundle", helpers.FINDING_BUNDLE, "--engines", held]) == 0
        shutil.copytree(os.path.join(held, "finding"), os.path.join(str(folder), "finding"))

    return build_into


def engine_of(engines, network="reconstructor"):
    return recipe.engine_path(str(engines), "finding", network)


@pytest.mark.parametrize("pair", fake_gpu.PAIRS)
def test_every_generation_builds_and_runs(gpu, build, tmp_path, pair):
    gpu.use(pair)
    build(tmp_path)
    bundle = load_bundle(helpers.FINDING_BUNDLE)
    for graph in (bundle.graph, bundle.finder.graph):
        image = np.random.RandomState(1).rand(*graph.input_shape).astype(np.float32)
        with open_backend(bundle, "ort", 1, graph) as reference:
            wanted = reference.run({graph.input_name: image})
        with open_backend(bundle, "trt", 1, graph, "auto", str(tmp_path)) as backend:
            assert backend.name == "trt" and backend.detail.startswith("TensorRT %s." % {
                "trt80": "8.0", "trt82": "8.2", "trt84": "8.4", "trt85": "8.5", "trt86": "8.6", "trt103": "10.3",
                "trt111": "11.1"}[pair[0]])
            for _ in range(2):  # buffers are used again
                found = backend.run({graph.input_name: image})
                assert list(found) == list(graph.outputs)
                for name, value in wanted.items():
                    assert np.allclose(found[name], value, atol=1e-5)


@pytest.mark.parametrize("pair", [("trt82", "pycuda_old"), ("trt82", "pycuda_new"), ("trt111", "cudapython13")])
def test_any_thread_may_run_it_and_results_stay(gpu, build, tmp_path, pair):
    gpu.use(pair)
    build(tmp_path)
    bundle = load_bundle(helpers.FINDING_BUNDLE)
    found = {}
    with open_backend(bundle, "trt", engines=str(tmp_path)) as backend:
        image = backend.buffer(bundle.graph.input_shape)
        image[:] = 0.5

        def work():
            found["first"] = backend.run({"image": image})["points"]
            kept = found["first"].copy()
            backend.run({"image": np.zeros_like(image)})
            found["same"] = np.array_equal(kept, found["first"])

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert found["first"].shape == (1, 600, 3) and found["same"]
        assert check_golden(bundle, backend).good
    backend.close()
    for call in (lambda: backend.run({"image": image}), lambda: backend.buffer((1,))):
        with pytest.raises(BackendError, match="was closed; open it again"):
            call()


@pytest.mark.parametrize("capability, integrated, pins", [("5.3", "1", False), ("8.7", "1", True), ("6.1", "0", True)])
@pytest.mark.parametrize("package", ["pycuda_new", "cudapython13"])
def test_memory_is_pinned_where_that_is_cached(gpu, package, capability, integrated, pins):
    gpu.use(("trt86", package), FAKE_CC=capability, FAKE_INTEGRATED=integrated)
    cuda = open_cuda()
    assert cuda.pins == pins
    with cuda.active():
        array = cuda.host((2, 3))
        array[:] = 7
        address = cuda.allocate(24)
        cuda.copy_in(address, array)
        back = np.zeros((2, 3), np.float32)
        cuda.copy_out(back, address)
    assert (back == 7).all()
    cuda.close()
    cuda.close()


def test_a_wrong_input_is_refused(gpu, build, tmp_path):
    gpu.use(fake_gpu.NANO)
    build(tmp_path)
    with open_backend(load_bundle(helpers.FINDING_BUNDLE), "trt", engines=str(tmp_path)) as backend:
        with pytest.raises(BackendError, match=r"wants image \(1, 3, 64, 64\) and got image \(1, 3, 32, 32\)"):
            backend.run({"image": np.zeros((1, 3, 32, 32), np.float32)})
        with pytest.raises(BackendError, match="and got nothing"):
            backend.run({})


def test_a_failing_run_says_what_tensorrt_said(gpu, build, tmp_path):
    gpu.use(fake_gpu.NANO)
    build(tmp_path)
    with open_backend(load_bundle(helpers.FINDING_BUNDLE), "trt", engines=str(tmp_path)) as backend:
        gpu.set(FAKE_RUN="fail")
        with pytest.raises(BackendError, match="TensorRT could not run the network .*[Cc]uda.*type: carcloud doctor"):
            backend.run({"image": np.zeros((1, 3, 64, 64), np.float32)})


@pytest.mark.parametrize("package", ["pycuda_new", "cudapython12", "cudapython13"])
def test_no_gpu_is_said(gpu, tmp_path, package):
    gpu.use(("trt86", package), FAKE_NO_GPU="1")
    with pytest.raises(BackendError, match="(finds no GPU it can use|CUDA's cuda.* failed: ).*type: carcloud doctor"):
        open_backend(load_bundle(helpers.FINDING_BUNDLE), "trt", engines=str(tmp_path))


def test_no_package_for_the_memory_is_said(gpu, tmp_path):
    gpu.use(("trt86", "trt86"))
    with pytest.raises(BackendError, match="needs pycuda or cuda-python .* python3 -m pip install pycuda"):
        open_backend(load_bundle(helpers.FINDING_BUNDLE), "trt", engines=str(tmp_path))


def test_auto_takes_a_fitting_engine_and_else_says_why_not(gpu, build, tmp_path, caplog):
    gpu.use(fake_gpu.NANO)
    bundle = load_bundle(helpers.FINDING_BUNDLE)
    with open_backend(bundle, engines=str(tmp_path)) as backend:
        assert backend.name == "ort"
        assert "no TensorRT engine of the reconstructor to use: none was built yet; type: carcloud build" in caplog.text
        assert "Until then ONNX Runtime runs it" in caplog.text
        build(tmp_path)
        image = np.random.RandomState(1).rand(1, 3, 64, 64).astype(np.float32)
        before = backend.run({"image": image})
        assert backend.name == "ort"  # nobody told it to try again
        backend.retry()
        after = backend.run({"image": image})
        assert backend.name == "trt" and "from now on it is TensorRT 8.2.1.8, fp16" in caplog.text
        assert np.allclose(before["points"], after["points"], atol=1e-5)
    caplog.clear()
    with open_backend(bundle, engines=str(tmp_path)) as backend:
        assert backend.name == "trt" and backend.precision == "fp16" and not caplog.text


def test_a_retry_in_vain_goes_on(gpu, tmp_path, caplog):
    gpu.use(fake_gpu.NANO)
    with open_backend(load_bundle(helpers.FINDING_BUNDLE), engines=str(tmp_path)) as backend:
        backend.retry()
        assert backend.run({"image": np.zeros((1, 3, 64, 64), np.float32)})["points"].shape == (1, 600, 3)
        assert "none was built yet" in caplog.text and "goes on" in caplog.text


def damage(path):
    with open(path, "r+b") as handle:
        handle.seek(100)
        handle.write(b"\xff\xfe")


def cut(path):
    with open(path, "r+b") as handle:
        handle.truncate(200)


@pytest.mark.parametrize("change, sentence", [
    (lambda path: os.remove(path), "none was built yet"),
    (damage, "its file is damaged: it is not the one that .*reconstructor.json describes"),
    (cut, "its file is damaged"),
    (lambda path: os.remove(recipe.sidecar_path(path)), "reconstructor.json, which describes it, is missing"),
    (lambda path: cut_text(recipe.sidecar_path(path)), "reconstructor.json, which describes it, cannot be read"),
])
def test_a_damaged_engine_is_not_opened(gpu, build, tmp_path, change, sentence):
    gpu.use(fake_gpu.NANO)
    build(tmp_path)
    change(engine_of(tmp_path))
    with pytest.raises(BackendError, match=sentence + ".*; type: carcloud build --bundle .*finding_bundle --engines"):
        open_backend(load_bundle(helpers.FINDING_BUNDLE), "trt", engines=str(tmp_path))


def cut_text(path):
    with open(path, "r+b") as handle:
        handle.truncate(20)


def test_an_engine_of_another_tensorrt_is_not_opened(gpu, build, tmp_path):
    gpu.use(("trt82", "pycuda_new"))
    build(tmp_path)
    gpu.use(("trt85", "pycuda_new"))
    with pytest.raises(BackendError, match="built by TensorRT 8.2.1.8 and here is 8.5.2.2: engines are not portable"):
        open_backend(load_bundle(helpers.FINDING_BUNDLE), "trt", engines=str(tmp_path))


def test_an_engine_of_another_gpu_or_network_or_precision_is_not_opened(gpu, build, tmp_path):
    gpu.use(("trt85", "pycuda_new"), FAKE_CC="8.7")
    build(tmp_path)
    bundle = load_bundle(helpers.FINDING_BUNDLE)
    with pytest.raises(BackendError, match="it computes in fp16 and fp32 is wanted"):
        open_backend(bundle, "trt", precision="fp32", engines=str(tmp_path))
    other = dict(bundle.manifest, files=dict(bundle.manifest["files"], **{"reconstructor.onnx": {"sha256": "0" * 64}}))
    with pytest.raises(BackendError, match="the bundle's network is another one now .reconstructor.onnx of sha256"):
        open_backend(bundle._replace(manifest=other), "trt", engines=str(tmp_path))
    gpu.set(FAKE_CC="7.2")
    with pytest.raises(BackendError, match="for a GPU of compute capability 8.7 and this one has 7.2"):
        open_backend(bundle, "trt", engines=str(tmp_path))


def test_what_tensorrt_itself_refuses_is_said(gpu, build, tmp_path):
    """A sidecar that fits an engine that does not: TensorRT gives None, and the reason in its log only."""
    gpu.use(("trt85", "pycuda_new"))
    build(tmp_path)
    path = engine_of(tmp_path)
    facts = recipe.read_sidecar(path)
    with open(path, "wb") as handle:
        handle.write(b"something else")
    recipe.write_sidecar(path, recipe.Recipe(**{name: facts[name] for name in recipe.Recipe._fields}), {})
    with pytest.raises(BackendError, match="TensorRT 8.5.2.2 refuses the engine .*[Mm]agic.*carcloud build --rebuild"):
        open_backend(load_bundle(helpers.FINDING_BUNDLE), "trt", engines=str(tmp_path))


def test_an_engine_with_other_tensors_is_refused(gpu, build, tmp_path):
    gpu.use(("trt85", "pycuda_new"))
    build(tmp_path)
    bundle = load_bundle(helpers.FINDING_BUNDLE)
    other = bundle._replace(outputs=dict(bundle.outputs, points=(1, 700, 3)))
    with pytest.raises(BackendError, match=r"has the tensors .*\(1, 600, 3\).* the bundle.* has .*\(1, 700, 3\)"):
        open_backend(other, "trt", engines=str(tmp_path))


def test_a_name_that_is_a_path_stays_in_the_folder(tmp_path):
    path = recipe.engine_path(str(tmp_path), "../../etc", "reconstructor")
    assert os.path.dirname(os.path.dirname(path)) == str(tmp_path)
