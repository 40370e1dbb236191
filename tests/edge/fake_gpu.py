"""Puts a fake TensorRT and a fake package for the GPU's memory (tests/edge/fakes) in the place of the real ones."""

import os
import sys

from tests.edge import helpers

FAKES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fakes")
#: Each API generation of TensorRT with each package that is found beside it: JetPack 4, 5, 6, 7, and a PC.
PAIRS = [
    ("trt80", "pycuda_old"), ("trt82", "pycuda_old"), ("trt82", "pycuda_new"), ("trt84", "pycuda_new"),
    ("trt85", "pycuda_new"), ("trt86", "cudapython12"), ("trt103", "cudapython12"), ("trt111", "cudapython13"),
]  # fmt: skip
#: The Nano's.
NANO = ("trt82", "pycuda_new")
NANO_GPU = {"FAKE_GPU": "NVIDIA Tegra X1", "FAKE_CC": "5.3"}
MODULES = ("tensorrt", "pycuda", "cuda", "fakegpu")


def folders(pair):
    return [os.path.join(FAKES, name) for name in pair]


def environment(pair, engines, **knobs):
    """For a child process: the fakes, the folder of engines, FAKE_* variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CARCLOUD_", "FAKE_"))}
    path = os.pathsep.join(folders(pair) + [helpers.ROOT])
    return dict(clean, PYTHONPATH=path, CARCLOUD_ENGINES=str(engines), OMP_NUM_THREADS="1", **knobs)


def forget():
    """Drops what was imported of the fakes."""
    for name in list(sys.modules):
        if name.partition(".")[0] in MODULES:
            del sys.modules[name]


class Gpu:
    """In this process and its children, until the test ends: ``Gpu(monkeypatch).use(pair, FAKE_CC="5.3")``."""

    def __init__(self, monkeypatch):
        self._monkeypatch = monkeypatch

    def use(self, pair, **knobs):
        forget()
        for folder in reversed(folders(pair)):
            self._monkeypatch.syspath_prepend(folder)
        path = os.pathsep.join(folders(pair) + [helpers.ROOT])
        self._monkeypatch.setenv("PYTHONPATH", path)
        self.set(**knobs)

    def set(self, **knobs):
        for name, value in knobs.items():
            self._monkeypatch.setenv(name, value)
