"""The checks of ``carcloud doctor``. What may be broken (NumPy, OpenCV, ...) is first imported in a child process."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from typing import Callable, List, Set, Tuple, Union

from edge.cli.check import ERROR, OK, WARNING, Check
from edge.cli.check_board import check_machine
from edge.cli.check_cameras import check_cameras
from edge.cli.check_clock import check_clock
from edge.cli.check_cuda import check_cuda
from edge.cli.check_engines import check_tensorrt
from edge.cli.check_server import check_port, check_token
from edge.cli.check_trust import check_trust
from edge.errors import CarcloudError
from edge.settings import Settings
from edge.targets import TARGETS, Target, detect_target

#: What a check gives: one line, or several.
Lines = Union[Check, List[Check]]
CHILD_LIMIT_S = 120
WITHOUT = "carcloud serve --backend ort   (does without TensorRT)"
TOOLS = "sudo apt-get install gstreamer1.0-tools"
AGAIN = "carcloud doctor --bundle FOLDER   (a bundle that is whole, or copy this one again)"


def child(code: str) -> Tuple[int, str]:
    """Run Python code in a process of its own; its exit status (-N: killed by signal N) and the last line it wrote."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = process.communicate(timeout=CHILD_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return -int(signal.SIGALRM), "no answer in %d s" % CHILD_LIMIT_S
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return process.returncode, lines[-1] if lines else ""


def pip(package: str, last_for_36: str) -> str:
    """The command that installs a package on this Python."""
    pin = "==" + last_for_36 if sys.version_info < (3, 7) else ""
    return "python3 -m pip install %s%s" % (package, pin)


def check_python(target: Target) -> Check:
    """The interpreter, and whether it is the one of this platform."""
    found = tuple(sys.version_info[:2])
    text = "%d.%d.%d on %s" % (sys.version_info[:3] + (target.title,))
    if found < (3, 6):
        return Check("python", ERROR, text + "; carcloud needs 3.6 or later", "sudo apt-get install python3")
    if target.tensorrt is not None and found != target.python:
        fix = "/usr/bin/python3 -m venv --system-site-packages ~/carcloud"
        return Check("python", WARNING, text + "; JetPack's TensorRT is for %d.%d" % target.python, fix)
    return Check("python", OK, text)


def check_numpy() -> Check:
    """NumPy, imported in a child: some wheels die of an illegal instruction on ARM and would take doctor along."""
    status, text = child("import numpy; print(numpy.__version__)")
    if status == -int(signal.SIGILL):
        why = "dies of an illegal instruction: its OpenBLAS misjudges this processor"
        return Check("numpy", ERROR, why, "export OPENBLAS_CORETYPE=ARMV8   (before Python starts; or numpy==1.19.4)")
    if status != 0:
        return Check("numpy", ERROR, "does not import: %s" % text, pip("numpy", "1.19.5"))
    return Check("numpy", OK, text)


def check_opencv(target: Target) -> Check:
    """OpenCV and whether it was built with GStreamer, which CSI cameras need."""
    code = "import cv2, re; print(cv2.__version__, bool(re.search(r'GStreamer:\\s+YES', cv2.getBuildInformation())))"
    status, text = child(code)
    jetson = bool(target.camera_elements)
    if status != 0:
        fix = "sudo apt-get install python3-opencv" if jetson else pip("opencv-python-headless", "4.6.0.66")
        return Check("opencv", ERROR, "does not import: %s" % text, fix)
    version, gstreamer = text.split()
    if gstreamer == "True":
        return Check("opencv", OK, "%s with GStreamer" % version)
    if jetson:
        fix = "python3 -m pip uninstall opencv-python opencv-python-headless   (JetPack's own has it)"
        return Check("opencv", WARNING, "%s without GStreamer: csi:// cannot work" % version, fix)
    return Check("opencv", OK, "%s without GStreamer (only csi:// needs it)" % version)


def check_package(name: str, package: str, last_for_36: str, use: str) -> Check:
    """A package that must import."""
    # Flask dropped __version__ in 3.2; importlib.metadata exists from Python 3.8 on.
    newer = "from importlib.metadata import version; import %s; print(version(%r))" % (package, package)
    older = "import %s; print(%s.__version__)" % (package, package)
    status, text = child(newer if sys.version_info >= (3, 8) else older)
    if status != 0:
        return Check(name, ERROR, "%s does not import, so %s: %s" % (package, use, text), pip(package, last_for_36))
    return Check(name, OK, "%s %s" % (package, text))


def check_onnxruntime(before: List[Check]) -> Check:
    """ONNX Runtime. Nobody misses it where TensorRT has an engine of each network."""
    check = check_package("backend", "onnxruntime", "1.10.0", "no network can run")
    engines = any(other.name == "engines" and other.level == OK for other in before)
    if check.level == ERROR and engines:
        return Check("backend", OK, "TensorRT runs every network; onnxruntime is not installed")
    return check


def check_bundle(chosen: Settings) -> Check:
    """The bundle is complete and its hashes are right."""
    from edge.bundle import load_bundle

    bundle = load_bundle(chosen.bundle)
    return Check("bundle", OK, "%s, %d files, hashes match" % (bundle.name, len(bundle.manifest["files"])))


def check_golden(chosen: Settings) -> Check:
    """The network gives here what it gave when it was exported."""
    from edge.bundle import load_bundle
    from edge.runtime import golden
    from edge.runtime.opening import enter_backend

    bundle = load_bundle(chosen.bundle, verify=False)
    with ExitStack() as stack:
        backend = enter_backend(stack, bundle, chosen)
        report = golden.check_golden(bundle, backend, backend.precision)
    text = "%s: %d samples; %s" % (backend.detail, report.samples, report.worst.text)
    if report.good:
        return Check("golden", OK, text)
    return Check("golden", ERROR, text, pip("--force-reinstall onnxruntime", "1.10.0"))


def check_finding(chosen: Settings) -> Check:
    """The bundle's networks beside the reconstructor run here: finder and silhouette, on a grey picture. A bundle may
    do without."""
    import numpy as np

    from edge.bundle import load_bundle
    from edge.runtime.finder import open_finder
    from edge.runtime.opening import how
    from edge.runtime.silhouette import open_silhouette

    bundle, grey = load_bundle(chosen.bundle, verify=False), np.full((480, 640, 3), 128, np.uint8)
    square = (80, 0, 480)
    finder = open_finder(bundle, *how(chosen))
    if finder is None:
        return Check("finding", OK, "no finder in the bundle: give --box, or let the car fill the picture")
    with finder:
        if finder.find(grey) or finder.find(grey):  # the first look takes longer
            return Check("finding", ERROR, "the finder sees a car on a plain grey picture", AGAIN)
        text = "finder %.0f ms" % finder.milliseconds
    silhouette = open_silhouette(bundle, *how(chosen))
    if silhouette is None:
        return Check("finding", OK, text + ", no silhouette in the bundle")
    with silhouette:
        for _ in range(2):
            silhouette.mask(grey, square)
        text += ", silhouette %.0f ms" % silhouette.milliseconds
    return Check("finding", OK, text)


def guarded(name: str, check: Callable[[], Lines], fix: str) -> List[Check]:
    """The lines of a check; its CarcloudError becomes one."""
    try:
        lines = check()
    except CarcloudError as error:
        return [Check(name, ERROR, str(error), fix)]
    return [lines] if isinstance(lines, Check) else lines


def run_checks(chosen: Settings, root: str = "/") -> List[Check]:
    """All checks in order; those that need a broken part are said to be left out.

    root: where the machine's ``sys``, ``proc``, ``etc``, ``var``, ``run`` and ``dev`` lie.
    """
    checks = []
    try:
        target = detect_target(os.path.join(root, "etc/nv_tegra_release"))
    except CarcloudError as error:
        target = TARGETS["cpu"]
        checks.append(Check("platform", ERROR, str(error), "sudo apt-get dist-upgrade"))
    checks += check_machine(root)
    checks += [check_clock(root), check_python(target), check_numpy(), check_opencv(target)]
    checks.append(check_cuda(target, child, root))
    checks.append(check_package("server", "flask", "2.0.3", "carcloud serve cannot run"))
    broken = {check.name for check in checks if check.level == ERROR}
    steps: List[Tuple[str, Set[str], Callable[[], Lines], str]] = [
        ("bundle", {"numpy"}, lambda: check_bundle(chosen), AGAIN),
        ("trust", {"numpy", "bundle"}, lambda: check_trust(chosen), AGAIN),
        ("tensorrt", {"numpy", "bundle"}, lambda: check_tensorrt(target, chosen), WITHOUT),
        ("backend", set(), lambda: check_onnxruntime(checks), AGAIN),
        ("golden", {"numpy", "backend", "bundle"}, lambda: check_golden(chosen), AGAIN),
        ("finding", {"numpy", "opencv", "backend", "bundle"}, lambda: check_finding(chosen), AGAIN),
        ("cameras", {"numpy", "opencv"}, lambda: check_cameras(target, root), TOOLS),
    ]
    for name, needs, check, fix in steps:
        lacking = sorted(needs & broken)
        if lacking:
            checks.append(
                Check(name, WARNING, "not checked, because of %s" % " and ".join(lacking), "carcloud doctor   (again)")
            )
            continue
        checks += guarded(name, check, fix)
        if checks[-1].level == ERROR:
            broken.add(name)
    return checks + [check_port(chosen.host, chosen.port), check_token(chosen)]
