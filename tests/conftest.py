"""What every test shares. Runs on Python 3.6 too: the device part is tested on the interpreter of each JetPack."""

import importlib
import importlib.util
import sys
from typing import List

#: Workstation code needs Python 3.10; on an older interpreter only tests/edge is collected.
collect_ignore = [] if sys.version_info >= (3, 10) else ["training", "export", "test_layering.py", "test_repository.py"]


def pytest_report_header(config: object) -> List[str]:
    """Say which versions this run is about: the first thing one wants to know of a failure elsewhere."""
    words = []
    for name in ("numpy", "flask", "cv2", "onnxruntime", "torch"):
        if importlib.util.find_spec(name) is None:
            words.append("no %s" % name)
        else:
            words.append("%s %s" % (name, _version(name)))
    return ["carcloud: " + ", ".join(words)]


def _version(name: str) -> str:
    # Not module.__version__: importing torch only for a headline would take seconds.
    if sys.version_info < (3, 8):
        return str(importlib.import_module(name).__version__)
    metadata = importlib.import_module("importlib.metadata")
    distribution = {"cv2": "opencv-python-headless"}.get(name, name)
    try:
        return str(metadata.version(distribution))
    except metadata.PackageNotFoundError:
        return "(version unknown)"
