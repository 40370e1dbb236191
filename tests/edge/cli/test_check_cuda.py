"""Doctor's look at CUDA: what the child may say, and real libraries that answer, refuse, crash or are none."""

import os
import shutil
import signal
import subprocess
from typing import Any

import pytest

from edge.cli import checks
from edge.cli.check import OK, WARNING
from edge.cli.check_cuda import CODE, INSTALL, check_cuda
from edge.targets import TARGETS

CPU, NANO = TARGETS["cpu"], TARGETS["nano-jp46"]


@pytest.mark.parametrize("said, pc, jetson, text", [
    ("10.2 10.2", OK, OK, "runtime 10.2, driver for 10.2"), ("13.0 12.6", OK, OK, "runtime 12.6, driver for 13.0"),
    ("12.2 12.6", OK, OK, "runtime 12.6, driver for 12.2"),  # minor versions go together
    ("12.6 13.0", WARNING, WARNING, "runtime 13.0 is newer than the driver, which is for 12.6"),
    ("none 13.0", OK, WARNING, "runtime 13.0, no driver (libcuda.so.1)"),
    ("12.6 none", OK, WARNING, "driver for 12.6, no runtime (libcudart)"),
    ("broken:libcuda.so.1:_bad_file none", WARNING, WARNING, "libcuda.so.1: bad file"),
])  # fmt: skip
def test_what_the_child_says(said: str, pc: str, jetson: str, text: str) -> None:
    for target, level in ((CPU, pc), (NANO, jetson)):
        check = check_cuda(target, lambda code: (0, said))
        assert (check.level, check.text) == (level, text) and bool(check.fix) == (level == WARNING)


def test_no_cuda_is_missed_on_a_jetson_only() -> None:
    assert check_cuda(CPU, lambda code: (0, "none none")).text == "not installed; only TensorRT needs it"
    check = check_cuda(NANO, lambda code: (0, "none none"))
    assert check.level == WARNING and "so that the GPU does nothing" in check.text and check.fix == INSTALL


def test_a_library_that_kills_the_process_does_not_take_doctor_along() -> None:
    check = check_cuda(NANO, lambda code: (-int(signal.SIGSEGV), ""))
    assert check.level == WARNING and check.text.startswith("a process that loads it dies (SIGSEGV)") and check.fix
    assert "dies (exit code 1): what" in check_cuda(NANO, lambda code: (1, "what")).text
    assert check_cuda(NANO, lambda code: (-99, "")).text.startswith("a process that loads it dies (signal 99)")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc makes the libraries of this test")
@pytest.mark.parametrize("body, level, text", [
    ("*v = 10020; return 0;", OK, "runtime 10.2"), ("*v = 0; return 35;", WARNING, "error 35"),
    ("__builtin_trap();", WARNING, "a process that loads it dies (SIG"),
])  # fmt: skip
def test_real_libraries(tmp_path: Any, body: str, level: str, text: str, monkeypatch: Any) -> None:
    folder = tmp_path / "usr" / "local" / "cuda-10.2" / "lib64"
    os.makedirs(str(folder))
    source = tmp_path / "cudart.c"
    source.write_text("int cudaRuntimeGetVersion(int *v) { %s }\n" % body)
    subprocess.check_call(["gcc", "-shared", "-fPIC", "-o", str(folder / "libcudart.so.10.2"), str(source)])

    def ask(code: str) -> Any:
        """The child, in which the linker knows no runtime."""
        return checks.child("import ctypes.util; ctypes.util.find_library = lambda name: None\n" + code)

    check = check_cuda(CPU, ask, str(tmp_path))
    assert check.level == level and text in check.text


def test_a_file_that_is_no_library_is_said(tmp_path: Any) -> None:
    folder = tmp_path / "usr" / "local" / "cuda" / "lib64"
    os.makedirs(str(folder))
    (folder / "libcudart.so").write_text("no library")
    code = "import ctypes.util; ctypes.util.find_library = lambda name: None\n" + CODE % str(tmp_path)
    status, text = checks.child(code)
    assert status == 0 and text.split()[1].startswith("broken:") and "libcudart.so" in text
