"""carcloud doctor: each line can be ok and can be not ok, and then names what mends it."""

import json
import os
import re
import signal
import sys
from typing import Any, Dict

import numpy as np
import pytest

from edge.cli import checks, main
from edge.cli.check_engines import check_tensorrt
from edge.cli.checks import ERROR, OK, WARNING
from edge.cli.doctor import report
from edge.runtime.finder import Detection, Finder
from edge.settings import Settings
from edge.targets import TARGETS
from tests.edge import fake_gpu
from tests.edge.helpers import FINDING_BUNDLE, TINY_BUNDLE, copy_bundle, copy_tiny_bundle

CPU, NANO = TARGETS["cpu"], TARGETS["nano-jp46"]


def found(capsys: Any, *arguments: str) -> Dict[str, Any]:
    """The report of a run as check by name."""
    main(["doctor", "--json"] + list(arguments))
    return {check["name"]: check for check in json.loads(capsys.readouterr().out)}


def test_a_good_machine_is_well(capsys: Any) -> None:
    report_of = found(capsys, "--bundle", TINY_BUNDLE, "--threads", "1", "--port", "0")
    # Of these there are lines where there are cameras, and TensorRT.
    report_of = {name: check for name, check in report_of.items() if name not in ("camera", "engines")}
    assert list(report_of) == [
        "board", "power", "heat", "throttle", "memory", "swap", "disk", "clock", "python", "numpy", "opencv", "cuda",
        "server", "bundle", "trust", "tensorrt", "backend", "golden", "finding", "cameras", "port", "token",
    ]  # fmt: skip
    assert [name for name, check in report_of.items() if check["level"] == ERROR] == []
    assert report_of["numpy"]["text"] == np.__version__
    assert "points of the maps differ by" in report_of["golden"]["text"] and report_of["golden"]["level"] == OK


def test_the_networks_beside_the_reconstructor_run(monkeypatch: Any, tmp_path: Any) -> None:
    check = checks.check_finding(Settings(threads=1))
    assert check.level == OK and re.match(r"finder \d+ ms, silhouette \d+ ms$", check.text), "the bundle that ships"
    check = checks.check_finding(Settings(bundle=FINDING_BUNDLE, threads=1))
    assert check.level == OK and re.match(r"finder \d+ ms, no silhouette in the bundle$", check.text)
    check = checks.check_finding(Settings(bundle=TINY_BUNDLE, threads=1))
    assert check.level == OK and "no finder in the bundle" in check.text
    # A file that is no network, and a finder that sees cars everywhere.
    folder = copy_bundle(FINDING_BUNDLE, str(tmp_path))
    with open(os.path.join(folder, "finder.onnx"), "wb") as handle:
        handle.write(b"no network")
    check, = checks.guarded("finding", lambda: checks.check_finding(Settings(bundle=folder, threads=1)), checks.AGAIN)
    assert check.level == ERROR and "finder.onnx" in check.text and check.fix == checks.AGAIN
    monkeypatch.setattr(Finder, "find", lambda self, image: [Detection((0, 0, 9, 9), 0.9)])
    check = checks.check_finding(Settings(bundle=FINDING_BUNDLE, threads=1))
    assert check.level == ERROR and "plain grey" in check.text


def test_a_damaged_bundle_is_an_error_and_the_golden_check_is_left_out(tmp_path: Any, capsys: Any) -> None:
    folder = copy_tiny_bundle(tmp_path)
    with open(os.path.join(folder, "reconstructor.onnx"), "ab") as handle:
        handle.write(b"!")
    assert main(["doctor", "--bundle", folder, "--port", "0"]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert " error bundle " in text and "does not match the hash" in text
    assert "warning golden not checked, because of bundle" in text and re.search(r"1 errors, \d warnings", text)


def test_a_network_that_computes_something_else_is_an_error(tmp_path: Any) -> None:
    import hashlib

    folder = copy_tiny_bundle(tmp_path)
    path = os.path.join(folder, "golden.npz")
    with np.load(path) as stored:
        image, maps = stored["image"], stored["maps"] + np.float32(0.1)
    np.savez(path, image=image, maps=maps)
    with open(path, "rb") as handle:
        digest = hashlib.sha256(handle.read()).hexdigest()
    manifest = os.path.join(folder, "manifest.json")
    with open(manifest) as handle:
        document = json.load(handle)
    document["files"]["golden.npz"]["sha256"] = digest
    with open(manifest, "w") as handle:
        json.dump(document, handle)
    check = checks.check_golden(Settings(bundle=folder))
    assert "points of the maps differ by 1.0e-01 at most (limit 0.001)" in check.text
    assert check.level == ERROR and "onnxruntime" in check.fix


def say(monkeypatch: Any, status: int, text: str) -> None:
    """Make the child process end like this."""
    monkeypatch.setattr(checks, "child", lambda code: (status, text))


def test_an_illegal_instruction_in_numpy_is_explained(monkeypatch: Any) -> None:
    say(monkeypatch, -int(signal.SIGILL), "")
    check = checks.check_numpy()
    assert check.level == ERROR and "illegal instruction" in check.text and "OPENBLAS_CORETYPE=ARMV8" in check.fix


def test_an_illegal_instruction_does_not_take_doctor_along() -> None:
    status, _ = checks.child("import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    assert status == -signal.SIGILL
    assert checks.child("print('a'); print('b')") == (0, "b")
    status, text = checks.child("import a_package_that_is_not_there")
    assert status == 1 and "a_package_that_is_not_there" in text


def test_a_child_that_hangs_is_ended(monkeypatch: Any) -> None:
    monkeypatch.setattr(checks, "CHILD_LIMIT_S", 0.3)
    status, text = checks.child("import time; time.sleep(30)")
    assert status != 0 and "no answer" in text


def test_missing_packages_name_the_command(monkeypatch: Any) -> None:
    say(monkeypatch, 1, "No module named x")
    pin = "==1.10.0" if sys.version_info < (3, 7) else ""
    for check, fix in (
        (checks.check_numpy(), "pip install numpy"),
        (checks.check_opencv(CPU), "pip install opencv-python-headless"),
        (checks.check_opencv(NANO), "sudo apt-get install python3-opencv"),
        (
            checks.check_package("backend", "onnxruntime", "1.10.0", "no network can run"),
            "pip install onnxruntime" + pin,
        ),
    ):
        assert check.level == ERROR and "does not import" in check.text and fix in check.fix


def test_opencv_without_gstreamer_matters_on_a_jetson_only(monkeypatch: Any) -> None:
    say(monkeypatch, 0, "4.6.0 False")
    assert checks.check_opencv(CPU).level == OK
    check = checks.check_opencv(NANO)
    assert check.level == WARNING and "csi:// cannot work" in check.text and "pip uninstall" in check.fix
    say(monkeypatch, 0, "4.1.1 True")
    assert checks.check_opencv(NANO).text == "4.1.1 with GStreamer"


def test_another_python_than_jetpacks_is_a_warning() -> None:
    assert checks.check_python(CPU).level == OK
    other = TARGETS["orin-jp7"] if sys.version_info[:2] != (3, 12) else NANO
    check = checks.check_python(other)
    assert (
        check.level == WARNING and "JetPack's TensorRT is for" in check.text and "--system-site-packages" in check.fix
    )


def test_checks_that_need_a_broken_part_are_left_out(monkeypatch: Any) -> None:
    say(monkeypatch, 1, "broken")
    by_name = {check.name: check for check in checks.run_checks(Settings(bundle=TINY_BUNDLE, port=0))}
    assert by_name["bundle"].text == "not checked, because of numpy"
    assert by_name["golden"].text == "not checked, because of backend and numpy"
    assert by_name["cameras"].text == "not checked, because of numpy and opencv"


def test_an_unknown_jetson_is_an_error_and_the_rest_is_checked(monkeypatch: Any) -> None:
    from edge.errors import SettingsError

    def refuse(release: str) -> None:
        raise SettingsError("this Jetson runs L4T 32.6.1")

    monkeypatch.setattr(checks, "detect_target", refuse)
    found_checks = checks.run_checks(Settings(bundle=TINY_BUNDLE, port=0))
    assert found_checks[0].name == "platform" and found_checks[0].level == ERROR
    assert [check.name for check in found_checks][-2:] == ["port", "token"] and len(found_checks) >= 23


def test_the_report_has_a_fix_below_each_complaint_and_colour_on_a_terminal() -> None:
    lines = report([checks.Check("a", OK, "fine"), checks.Check("b", ERROR, "broken", "mend b")], False)
    assert lines == [
        "ok       a         fine",
        "error    b         broken",
        " " * 19 + "to mend it: mend b",
        "",
        "1 errors, 0 warnings",
    ]
    twice = [checks.Check("b", ERROR, "broken", "mend b")] * 2
    said = [line.strip() for line in report(twice, False)[:3]]
    assert said == ["error    b         broken"] * 2 + ["to mend it: mend b"]
    assert report([checks.Check("a", OK, "fine")], True)[0].startswith("\033[32mok     \033[0m  a")
    assert report([checks.Check("a", OK, "fine")], False)[-1] == "all is well"


def test_a_long_text_goes_on_below_itself_and_a_command_stays_whole() -> None:
    lines = report([checks.Check("a", ERROR, "word " * 40, "type " * 40 + "this")], False)
    assert len(lines) == 5 and max(map(len, lines[:2])) <= 120 and lines[1].startswith(" " * 19 + "word")
    assert lines[2] == " " * 19 + "to mend it: " + "type " * 40 + "this"


@pytest.fixture
def gpu(monkeypatch: Any) -> Any:
    yield fake_gpu.Gpu(monkeypatch)
    fake_gpu.forget()


def test_tensorrt_and_its_engines_are_looked_at(gpu: Any, tmp_path: Any) -> None:
    chosen = Settings(bundle=FINDING_BUNDLE, engines=str(tmp_path))
    check, = check_tensorrt(CPU, chosen)
    assert check.text == "not installed; ONNX Runtime runs the networks"
    check, = check_tensorrt(NANO, chosen)
    assert check.level == WARNING and "the GPU does nothing" in check.text and "python3-libnvinfer" in check.fix
    gpu.use(fake_gpu.NANO, **fake_gpu.NANO_GPU)
    check, engines = check_tensorrt(NANO, chosen)
    assert check.level == OK and check.text.startswith("8.2.1.8, NVIDIA Tegra X1 (compute capability 5.3), pycuda")
    assert engines.name == "engines" and engines.level == WARNING
    assert engines.text == "none of the reconstructor: none was built yet"
    assert engines.fix == "carcloud build --bundle %s --engines %s" % (FINDING_BUNDLE, tmp_path)
    assert main(["build", "--bundle", FINDING_BUNDLE, "--engines", str(tmp_path)]) == 0
    check, engines = check_tensorrt(NANO, chosen)
    assert (check.level, engines.level, engines.text) == (OK, OK, "reconstructor fp16, finder fp16")
    golden = checks.check_golden(chosen)
    assert golden.level == OK and golden.text.startswith("TensorRT 8.2.1.8, fp16")
    assert "(limit 0.005)" in golden.text  # of FP16, not of FP32
    gpu.set(FAKE_NO_GPU="1")
    check, = checks.guarded("tensorrt", lambda: check_tensorrt(NANO, chosen), checks.WITHOUT)
    assert check.level == ERROR and "finds no GPU" in check.text and check.fix == checks.WITHOUT


def test_onnxruntime_is_not_missed_where_tensorrt_runs_every_network(monkeypatch: Any) -> None:
    say(monkeypatch, 1, "No module named 'onnxruntime'")
    runs = checks.Check("engines", OK, "reconstructor fp16")
    assert checks.check_onnxruntime([runs]).level == OK
    for other in ([], [checks.Check("tensorrt", OK, "not installed; ONNX Runtime runs the networks")],
                  [runs._replace(level=WARNING)]):
        assert checks.check_onnxruntime(other).level == ERROR
