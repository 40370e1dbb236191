"""``carcloud build`` as a user runs it, and each way in which a build ends badly. The GPU is a fake."""

import errno
import glob
import json
import os
import resource
import signal
import subprocess
import time

import pytest

from edge.bundle import load_bundle
from edge.cli import main
from edge.errors import EngineError
from edge.runtime.board import read_board
from edge.runtime.engine import build as building
from edge.runtime.engine import recipe
from tests.edge import fake_gpu, helpers

PATIENCE = 120


@pytest.fixture
def gpu(monkeypatch):
    yield fake_gpu.Gpu(monkeypatch)
    fake_gpu.forget()


def run(folder, *flags, **options):
    """Exit code, stdout and stderr of a build."""
    pair = options.pop("pair", fake_gpu.NANO)
    process = subprocess.Popen(
        words(folder, *flags), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
        env=fake_gpu.environment(pair, folder, **options))
    try:
        out, error = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode, out, error


def words(folder, *flags):
    return [helpers.python(), "-m", "edge", "build", "--bundle", helpers.FINDING_BUNDLE] + list(flags)


def files(folder):
    return sorted(os.path.relpath(path, str(folder)) for path in glob.glob(os.path.join(str(folder), "*", "*"))
                  + glob.glob(os.path.join(str(folder), "*", ".*")))


def facts(folder, network="reconstructor"):
    return recipe.read_sidecar(recipe.engine_path(str(folder), "finding", network))


def test_a_nano_gets_fp16_and_a_second_time_nothing(tmp_path):
    code, out, error = run(tmp_path, **fake_gpu.NANO_GPU)
    assert code == 0, error
    assert out.startswith("TensorRT 8.2.1.8, NVIDIA Tegra X1 (compute capability 5.3), pycuda 2022.1\n")
    assert "reconstructor  to be built: none was built yet" in out
    assert "fp16, 0.0 MB; points differ by" in out and "finder         built in" in out
    names = ("finding/%s.%s" % (name, end) for name in ("finder", "reconstructor") for end in ("engine", "json", "log"))
    assert files(tmp_path) == list(names)
    told = facts(tmp_path)
    assert (told["precision"], told["tensorrt"], told["capability"]) == ("fp16", "8.2.1.8", "5.3")
    assert told["workspace_mib"] == 256 and told["input_shape"] == [1, 3, 64, 64]
    assert told["source"] == "reconstructor.onnx"
    assert glob.glob(str(tmp_path / "timing-8.2.1.8-sm5.3.cache"))
    before = {name: os.stat(str(tmp_path / name)).st_mtime_ns for name in files(tmp_path)}
    code, out, _ = run(tmp_path, **fake_gpu.NANO_GPU)
    assert code == 0 and "reconstructor  fits (fp16" in out and "built in" not in out
    assert {name: os.stat(str(tmp_path / name)).st_mtime_ns for name in files(tmp_path)} == before
    code, out, _ = run(tmp_path, "--check", "--workspace", "64", **fake_gpu.NANO_GPU)
    assert code == 10 and "it was built with 256 MiB of workspace and 64 are wanted" in out
    code, out, _ = run(tmp_path, "--rebuild", **fake_gpu.NANO_GPU)
    assert code == 0 and "fits (fp16, 0.0 MB), and is built again" in out and "built in" in out


def test_int8_is_refused_on_a_nano_before_anything_is_built(tmp_path):
    code, out, error = run(tmp_path, "--precision", "int8", **fake_gpu.NANO_GPU)
    assert code == 10 and files(tmp_path) == []
    assert ("error: INT8 is refused on this GPU (NVIDIA Tegra X1, compute capability 5.3): it has no INT8 arithmetic, "
            "so that such engines build but run slower than FP16") in error and "use --precision fp16" in error


def test_int8_needs_the_bundles_int8_file(tmp_path):
    code, _, error = run(tmp_path, "--precision", "int8", FAKE_CC="8.7")
    assert code == 3 and "holds no int8 network, it has fp32; type: python -m export precisions" in error


def test_a_gpu_without_fast_fp16_gets_fp32(tmp_path):
    code, out, _ = run(tmp_path, FAKE_CC="6.1", FAKE_INTEGRATED="0")
    assert code == 0 and facts(tmp_path)["precision"] == "fp32"


def test_tensorrt_11_takes_the_precision_of_the_file(tmp_path):
    code, _, error = run(tmp_path, pair=("trt111", "cudapython13"))
    assert code == 0 and facts(tmp_path)["precision"] == "fp32"
    code, _, error = run(tmp_path, "--precision", "fp16", pair=("trt111", "cudapython13"))
    assert code == 3 and "holds no fp16 network, it has fp32" in error


@pytest.mark.slow
@pytest.mark.parametrize("wanted, file", [("auto", "reconstructor.fp16.onnx"), ("int8", "reconstructor.int8.onnx")])
def test_the_shipped_bundle_brings_the_files_that_tensorrt_11_needs(tmp_path, wanted, file):
    environment = fake_gpu.environment(("trt111", "cudapython13"), tmp_path)
    subprocess.check_call([helpers.python(), "-m", "edge", "build", "--precision", wanted], env=environment)
    told = recipe.read_sidecar(recipe.engine_path(str(tmp_path), "morphable", "reconstructor"))
    assert told["source"] == file and told["precision"] == file.split(".")[1]
    assert recipe.read_sidecar(recipe.engine_path(str(tmp_path), "morphable", "finder"))["precision"] == "fp32"


def test_golden_mismatch_takes_the_next_safer_precision_aloud(tmp_path):
    code, out, error = run(tmp_path, FAKE_NOISE="fp16=0.02", **fake_gpu.NANO_GPU)
    assert code == 0 and facts(tmp_path)["precision"] == "fp32"
    assert "reconstructor: the fp16 engine is rejected, it does not give the bundle's golden outputs: " in error
    assert "reconstructor  built in" in out and "fp32" in out


def test_golden_mismatch_in_all_precisions_keeps_the_old_engine(tmp_path):
    assert run(tmp_path, **fake_gpu.NANO_GPU)[0] == 0
    before = facts(tmp_path)
    code, _, error = run(tmp_path, "--rebuild", FAKE_NOISE="fp16=0.02,fp32=0.02", **fake_gpu.NANO_GPU)
    assert code == 10 and facts(tmp_path) == before
    assert "error: reconstructor: no engine passes the golden check (fp16: it does not give" in error
    assert "fp32: it does not give" in error and "computes this network wrongly here. Use --backend ort" in error
    assert not [name for name in files(tmp_path) if "/." in name]


@pytest.mark.parametrize("knob, sentence", [
    ("killed", "building reconstructor (fp16): the builder was killed by signal 9, most likely because memory ran out. "
               "Give it memory: a swap file (sudo fallocate -l 4G /swapfile"),
    ("oom", "TensorRT's builder ran out of memory: a kernel wanted 826 MiB"),
    ("refuse", "cannot build {bundle}/reconstructor.onnx (node "),
    ("crash", "building reconstructor (fp16): the builder ended with status 1 (RuntimeError"),
])
def test_a_build_that_ends_badly_leaves_nothing_and_says_why(tmp_path, knob, sentence):
    code, _, error = run(tmp_path, FAKE_BUILD=knob, **fake_gpu.NANO_GPU)
    assert code == 10 and sentence.format(bundle=helpers.FINDING_BUNDLE) in error, error
    assert "Traceback" not in error
    assert [name for name in files(tmp_path) if not name.endswith(".log")] == []


def test_memory_that_suffices_for_a_smaller_workspace_is_proposed(tmp_path):
    code, _, error = run(tmp_path, FAKE_BUILD="oom=100", **fake_gpu.NANO_GPU)
    assert code == 10 and "--workspace 128" in error and "826 MiB is left out, 186 are free" in error
    assert run(tmp_path, "--workspace", "64", FAKE_BUILD="oom=100", **fake_gpu.NANO_GPU)[0] == 0


def limit_files():
    """No file of this process and its children may get larger than this; Python gives OSError instead of a signal."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))


def test_no_room_for_the_engine_is_said_and_nothing_is_left(tmp_path):
    process = subprocess.Popen(
        words(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
        preexec_fn=limit_files, env=fake_gpu.environment(fake_gpu.NANO, tmp_path, **fake_gpu.NANO_GPU))
    _, error = process.communicate(timeout=PATIENCE)
    assert process.returncode == 10 and "MB) cannot be written to " in error
    assert "File too large; make room there" in error
    assert [name for name in files(tmp_path) if not name.endswith(".log")] == []


def test_no_room_for_the_sidecar_is_said_and_the_engine_counts_as_not_built(gpu, tmp_path, monkeypatch, capsys):
    gpu.use(fake_gpu.NANO)

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(recipe, "atomic_file", full)
    flags = ["build", "--bundle", helpers.FINDING_BUNDLE, "--engines", str(tmp_path)]
    assert main(flags) == 10
    told = capsys.readouterr().err
    assert "cannot be written (No space left on device); make room there, or give another folder" in told
    assert main(flags + ["--check"]) == 10
    assert "reconstructor.json, which describes it, is missing" in capsys.readouterr().out


def test_a_machine_that_is_not_fit_stops_it_and_force_goes_on(gpu, tmp_path, monkeypatch, capsys):
    gpu.use(fake_gpu.NANO)
    small = read_board()._replace(memory_free_mib=200, swap_total_mib=0, swap_free_mib=0, memory_total_mib=3900)
    monkeypatch.setattr("edge.runtime.board.read_board", lambda: small)
    flags = ["build", "--bundle", helpers.FINDING_BUNDLE, "--engines", str(tmp_path)]
    assert main(flags) == 10
    told = capsys.readouterr()
    assert "error: nothing was built: memory: 200 of 3900 MiB free, and 200 with swap; the builder needs" in told.err
    assert "mend it, or type carcloud build --force" in told.err and "to mend it: sudo fallocate" in told.out
    assert main(flags + ["--force"]) == 0


def test_two_builds_do_not_get_into_each_others_way(gpu, tmp_path, capsys):
    gpu.use(fake_gpu.NANO)
    with building.alone(str(tmp_path / "build.lock")):
        assert main(["build", "--bundle", helpers.FINDING_BUNDLE, "--engines", str(tmp_path)]) == 10
    assert "another carcloud build is at work in %s; wait until it is done" % tmp_path in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_said(gpu, tmp_path, capsys):
    gpu.use(fake_gpu.NANO)
    (tmp_path / "file").write_text("in the way")
    assert main(["build", "--bundle", helpers.FINDING_BUNDLE, "--engines", str(tmp_path / "file")]) == 10
    assert "no folder for engines can be made at" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_build_and_worker(tmp_path, number):
    process = subprocess.Popen(
        words(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
        env=fake_gpu.environment(fake_gpu.NANO, tmp_path, FAKE_BUILD="slow=60", **fake_gpu.NANO_GPU))
    try:
        end = time.monotonic() + PATIENCE
        while not [name for name in files(tmp_path) if name.endswith(".log")]:  # the worker is at work
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        _, error = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 130 and error.strip().endswith("interrupted")
    assert [name for name in files(tmp_path) if not name.endswith(".log")] == []


def test_what_a_killed_build_left_is_swept_up(tmp_path):
    folder = tmp_path / "finding"
    folder.mkdir()
    (folder / ".reconstructor.engine.abc123").write_bytes(b"half")
    assert run(tmp_path, **fake_gpu.NANO_GPU)[0] == 0
    assert not [name for name in files(tmp_path) if "/." in name]


@pytest.mark.parametrize("pair, knobs, sentence", [
    (("trt82", "trt82"), {}, "TensorRT needs pycuda or cuda-python for the GPU's memory"),
    (fake_gpu.NANO, {"FAKE_NO_GPU": "1"}, "pycuda finds no GPU it can use"),
])
def test_what_is_missing_is_said(tmp_path, pair, knobs, sentence):
    code, _, error = run(tmp_path, pair=pair, **knobs)
    assert code == 10 and sentence in error


@pytest.mark.parametrize("flags, sentence", [
    (["--precision", "fp8"], "unknown precision 'fp8'; give one of auto, fp32, fp16, int8"),
    (["--workspace", "0"], "--workspace is 0; give 1 to 65536 MiB"),
])
def test_wrong_flags_are_refused(flags, sentence, capsys):
    assert main(["build"] + flags) == 2
    assert sentence in capsys.readouterr().err


def test_print_config_builds_nothing(capsys):
    assert main(["build", "--precision", "fp16", "--print-config"]) == 0
    assert json.loads(capsys.readouterr().out)["precision"] == "fp16"


def machine(fast=("fp16", "int8"), typed=False):
    return building.Machine(recipe.Host("8.5.2.2", "8.7", "35.4.1"), "Orin", "pycuda", tuple(fast), typed, True, 1, 2)


@pytest.mark.parametrize("wanted, fast, typed, held, expected", [
    ("auto", ("fp16", "int8"), False, (), ["fp16", "fp32"]),
    ("auto", (), False, (), ["fp32"]),
    ("fp16", (), False, (), ["fp16", "fp32"]),
    ("fp32", ("fp16",), False, (), ["fp32"]),
    ("int8", ("fp16", "int8"), False, ("int8",), ["int8", "fp16", "fp32"]),
    ("auto", ("fp16", "int8"), True, (), ["fp32"]),
    ("auto", ("fp16", "int8"), True, ("fp16",), ["fp16", "fp32"]),
])
def test_the_order_of_precisions(wanted, fast, typed, held, expected):
    bundle = load_bundle(helpers.FINDING_BUNDLE)
    bundle.manifest["precisions"] = dict({"fp32": {"file": "reconstructor.onnx"}}, **{p: {"file": p} for p in held})
    assert building.precisions(bundle, bundle.graph, machine(fast, typed), wanted) == expected
    beside = building.precisions(bundle, bundle.finder.graph, machine(fast, typed), wanted)
    assert "int8" not in beside and beside[-1] == "fp32"


def test_int8_on_the_wrong_gpu_is_an_error():
    bundle = load_bundle(helpers.FINDING_BUNDLE)
    with pytest.raises(EngineError, match="INT8 is refused on this GPU"):
        building.precisions(bundle, bundle.graph, machine(("fp16",)), "int8")
