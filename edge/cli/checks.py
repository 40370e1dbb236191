"""The checks of ``carcloud doctor``. What may be broken (NumPy, OpenCV, ...) is first imported in a child process."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import Callable, List, Tuple

from edge.cli.check import ERROR, OK, WARNING, Check
from edge.cli.check_engines import ABSENT, check_tensorrt
from edge.cli.check_trust import check_trust
from edge.errors import CarcloudError
from edge.settings import Settings
from edge.targets import Target, detect_target

#: Less than this is worth a warning, MiB.
MEMORY_MIB, DISK_MIB = 600, 500
CHILD_LIMIT_S = 120
WITHOUT = "carcloud serve --backend ort   (does without TensorRT)"
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
    engines = any(other.name == "tensorrt" and other.level == OK and other.text != ABSENT for other in before)
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
    from edge.cli.finding import enter_backend
    from edge.runtime import golden

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
    from edge.cli.finding import how
    from edge.runtime.finder import open_finder
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


def check_cameras(target: Target) -> Check:
    """USB cameras, and on a Jetson the GStreamer elements of the CSI camera. No camera is no fault."""
    found = sorted(n for n in os.listdir("/dev") if n.startswith("video")) if os.path.isdir("/dev") else []
    text = ", ".join("/dev/" + name for name in found) or "none found; clips, photos and synthetic://car work without"
    locked = [name for name in found if not os.access("/dev/" + name, os.R_OK | os.W_OK)]
    if locked:
        return Check(
            "cameras", WARNING, "no permission for /dev/%s" % locked[0], "sudo usermod -aG video $USER   (log in again)"
        )
    if target.camera_elements:
        from edge.runtime.sources.gstreamer import missing_elements

        missing = missing_elements(list(target.camera_elements))
        if missing:
            fix = "sudo apt-get install nvidia-l4t-gstreamer gstreamer1.0-plugins-base"
            return Check("cameras", WARNING, text + "; csi:// lacks GStreamer's " + ", ".join(missing), fix)
    return Check("cameras", OK, text)


def check_memory(path: str = "/proc/meminfo") -> Check:
    """Memory that is free to use."""
    if not os.path.isfile(path):
        return Check("memory", OK, "not known on this system")
    with open(path, encoding="ascii") as handle:
        values = {line.split(":")[0]: int(line.split()[1]) // 1024 for line in handle if len(line.split()) > 1}
    free, total = values.get("MemAvailable", 0), values.get("MemTotal", 0)
    text = "%d of %d MiB free" % (free, total)
    if free < MEMORY_MIB:
        return Check(
            "memory",
            WARNING,
            text + "; carcloud may be killed",
            "sudo systemctl isolate multi-user.target   (ends the desktop)",
        )
    return Check("memory", OK, text)


def check_disk(folder: str = ".") -> Check:
    """Room on the disk of the current folder."""
    free = shutil.disk_usage(folder).free >> 20
    if free < DISK_MIB:
        return Check(
            "disk", WARNING, "%d MiB free here" % free, "sudo apt-get clean   (then see: du -xh / | sort -h | tail)"
        )
    return Check("disk", OK, "%d MiB free here" % free)


def check_port(host: str, port: int) -> Check:
    """The port is free. Nothing listens on it afterwards."""
    where = "%d on %s" % (port, host)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)  # on Linux two sockets may bind with SO_REUSEADDR, only one may listen
    except OSError as error:
        other = "carcloud serve --port %d" % (port + 1 if port < 65535 else 8000)
        return Check("port", WARNING, "%s cannot be used: %s" % (where, error.strerror or error), other)
    return Check("port", OK, "%s is free" % where if port else "any free one")


def guarded(name: str, check: Callable[[], Check], fix: str) -> Check:
    """A check whose CarcloudError becomes its line."""
    try:
        return check()
    except CarcloudError as error:
        return Check(name, ERROR, str(error), fix)


def run_checks(chosen: Settings) -> List[Check]:
    """All checks in order; those that need a broken part are said to be left out."""
    try:
        target = detect_target()
        checks = [check_python(target)]
    except CarcloudError as error:
        from edge.targets import TARGETS

        target = TARGETS["cpu"]
        checks = [Check("platform", ERROR, str(error), "sudo apt-get dist-upgrade"), check_python(target)]
    checks += [check_numpy(), check_opencv(target)]
    checks.append(check_package("server", "flask", "2.0.3", "carcloud serve cannot run"))
    broken = {check.name for check in checks if check.level == ERROR}
    for name, needs, check, fix in (
        ("bundle", {"numpy"}, lambda: check_bundle(chosen), AGAIN),
        ("trust", {"numpy", "bundle"}, lambda: check_trust(chosen), AGAIN),
        ("tensorrt", {"numpy", "bundle"}, lambda: check_tensorrt(target, chosen), WITHOUT),
        ("backend", set(), lambda: check_onnxruntime(checks), AGAIN),
        ("golden", {"numpy", "backend", "bundle"}, lambda: check_golden(chosen), AGAIN),
        ("finding", {"numpy", "opencv", "backend", "bundle"}, lambda: check_finding(chosen), AGAIN),
        ("cameras", {"numpy", "opencv"}, lambda: check_cameras(target), "sudo apt-get install gstreamer1.0-tools"),
    ):
        lacking = sorted(needs & broken)
        if lacking:
            checks.append(
                Check(name, WARNING, "not checked, because of %s" % " and ".join(lacking), "carcloud doctor   (again)")
            )
            continue
        checks.append(guarded(name, check, fix))
        if checks[-1].level == ERROR:
            broken.add(name)
    return checks + [check_memory(), check_disk(), check_port(chosen.host, chosen.port)]
