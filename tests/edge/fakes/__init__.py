"""Stand-ins for TensorRT and CUDA, one folder for each version; core/fakegpu/__init__.py says how they work.

A folder goes on sys.path or PYTHONPATH; several go together, such as trt82 and pycuda_old for a Jetson Nano.
"""

import os
import sys
from typing import Any, Dict, Optional

FOLDER = os.path.dirname(os.path.abspath(__file__))
#: Each TensorRT generation's folder and the version it gives.
TENSORRT = {
    "trt80": "8.0.1.6",
    "trt82": "8.2.1.8",
    "trt84": "8.4.1.5",
    "trt85": "8.5.2.2",
    "trt86": "8.6.2",
    "trt103": "10.3.0",
    "trt111": "11.1.0.106",
}
#: The ways to reach device memory: pycuda without and with Device.retain_primary_context, cuda-python 12 and 13.
CUDA = ("pycuda_old", "pycuda_new", "cudapython12", "cudapython13")


def fake_path(*names: str) -> str:
    """The folders of the named fakes as a value for PYTHONPATH."""
    for name in names:
        assert name in TENSORRT or name in CUDA, name
    return os.pathsep.join(os.path.join(FOLDER, name) for name in names)


def fake_environment(*names: str, knobs: Optional[Dict[str, str]] = None) -> Dict[str, str]:
    """This process's environment without other knobs, in which a child finds the named fakes and the given knobs."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FAKE_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [fake_path(*names), environment.get("PYTHONPATH", "")]))
    environment.update(knobs or {})
    return environment


def use_fakes(monkeypatch: Any, *names: str) -> None:
    """Until the test's end an import of tensorrt, pycuda.driver or cuda finds the named fakes, on a new device."""
    core = os.path.join(FOLDER, "core", "fakegpu")
    own = ["fakegpu." + name[: -len(".py")] for name in os.listdir(core) if name.endswith(".py")]
    real = ["tensorrt", "pycuda", "pycuda.driver", "cuda", "cuda.cudart", "cuda.bindings", "cuda.bindings.runtime"]
    for module in ["fakegpu"] + own + real:
        monkeypatch.setitem(sys.modules, module, None)  # so that the end of the test takes out what it imports
        del sys.modules[module]
    for name in names:
        monkeypatch.syspath_prepend(fake_path(name))
