"""Imports point down only (docs/architecture.md): the rules that keep the device part small and torch-free."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT, imports, module_name, python_files

#: Third-party packages each layer of the device part may import; tensorrt, pycuda and cuda only exist on a Jetson.
DEVICE_PACKAGES = {
    "ground floor": {"numpy"},
    # scipy: only where an annotation file of MATLAB's is read.
    "edge.photosets": {"numpy", "scipy"},
    "edge.runtime": {"numpy", "cv2", "onnxruntime", "tensorrt", "pycuda", "cuda"},
    "edge.server": {"numpy", "cv2", "flask", "werkzeug"},
    # mcap and rerun: only where a log is exported for Foxglove and for Rerun, whose formats are theirs to write.
    "edge.client": {"numpy", "open3d", "mcap", "rerun"},
    "edge.models": {"numpy", "cv2"},
    "edge.cli": {"numpy", "cv2"},
}
#: Layers of `edge` that each layer may import, besides itself and the ground floor.
MAY_IMPORT = {
    "ground floor": set(),
    "edge.photosets": set(),
    "edge.runtime": set(),
    "edge.server": {"edge.runtime"},
    "edge.client": {"edge.runtime"},
    # Meshes are the client's, the networks the runtime's.
    "edge.models": {"edge.photosets", "edge.runtime", "edge.client"},
    "edge.cli": {"edge.photosets", "edge.runtime", "edge.server", "edge.client", "edge.models"},
}
LAYERS = [name for name in MAY_IMPORT if name != "ground floor"]


def layer_of(module: str) -> str:
    """Layer of a dotted name inside `edge`; ``edge.__main__`` belongs to the command line."""
    if module.startswith("edge.__main__"):
        return "edge.cli"
    return next((name for name in LAYERS if module == name or module.startswith(name + ".")), "ground floor")


def offences(path: Path) -> list[str]:
    """What one module of `edge` imports against the rules, as sentences."""
    layer = layer_of(module_name(path))
    found = []
    for line, name in imports(path):
        top = name.split(".")[0]
        where = f"{path.relative_to(ROOT)}:{line}"
        if top in {"training", "export", "tests"}:
            found.append(f"{where} imports {name}: the device part knows nothing of the workstation")
        elif top == "edge":
            target = layer_of(name)
            if target not in {layer, "ground floor"} | MAY_IMPORT[layer]:
                found.append(f"{where} ({layer}) imports {name} ({target}), which lies above or beside it")
        elif top not in sys.stdlib_module_names | DEVICE_PACKAGES[layer]:
            found.append(f"{where} ({layer}) imports {name}; this layer has only {sorted(DEVICE_PACKAGES[layer])}")
    return found


def test_edge_imports_point_down() -> None:
    modules = python_files("edge")
    assert modules
    assert [sentence for path in modules for sentence in offences(path)] == []


@pytest.mark.parametrize("package, forbidden", [
    ("export", {"edge.server", "edge.client", "edge.models", "edge.cli"}),
    ("training", {"export", "edge.server", "edge.client", "edge.cli"}),
])
def test_workstation_imports_point_down(package: str, forbidden: set[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in python_files(package)
        for line, name in imports(path)
        if any(name == word or name.startswith(word + ".") for word in forbidden)
    ]
    assert found == []


def test_runtime_loads_neither_flask_nor_torch_nor_open3d() -> None:
    """The same rule by doing: import every module of the runtime in a fresh interpreter and look what came along."""
    modules = [module_name(path) for path in python_files("edge/runtime")]
    assert modules
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(*sorted({'flask', 'werkzeug', 'torch', 'open3d', 'training', 'export'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("place, text, what", [
    ("edge/geometry.py", "import edge.runtime.pipeline", "lies above or beside it"),
    ("edge/wire.py", "import cv2", "this layer has only"),
    ("edge/photosets/x.py", "from edge.runtime.images import is_image", "lies above or beside it"),
    ("edge/runtime/x.py", "from flask import Flask", "this layer has only"),
    ("edge/runtime/x.py", "def f():\n    import torch", "this layer has only"),
    ("edge/runtime/__init__.py", "from ..server import app", "lies above or beside it"),
    ("edge/server/app.py", "from ..client.pull import PullClient", "lies above or beside it"),
    ("edge/client/pull.py", "import edge.server.hub as hub", "lies above or beside it"),
    ("edge/cli/serve.py", "import importlib\nimportlib.import_module('training.cli')", "nothing of the workstation"),
])
def test_the_rules_find_offences(
    place: str, text: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks above can fail: each kind of forbidden import is found."""
    monkeypatch.setattr("tests.repository.ROOT", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    found = offences(path)
    assert len(found) == 1
    assert what in found[0]


def test_the_rules_allow_what_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.repository.ROOT", tmp_path)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "edge" / "cli" / "serve.py"
    path.parent.mkdir(parents=True)
    allowed = "import json; import cv2; from edge.server import app; from ..client import pull; from . import bench"
    path.write_text(allowed.replace("; ", "\n"))
    assert offences(path) == []
