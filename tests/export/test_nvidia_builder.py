"""The device's builder process with NVIDIA's real parser and builder (TensorRT for RTX, which needs no GPU to build).

What is real here: parsing, building, the log, the engine's bytes. What is not: the GPU's memory, which is the fake of
cuda-python, and running the engine, which needs a driver.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from edge.bundle import SHIPPED, load_bundle
from edge.errors import EngineError
from edge.runtime.engine.build import networks, run_worker
from edge.runtime.engine.worker import Job
from tests.edge.fake_gpu import FAKES
from tests.repository import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("tensorrt_rtx") is None,
        reason="tensorrt-rtx is not installed: pip install -c constraints.txt tensorrt-rtx",
    ),
]
NETWORKS = [
    pytest.param(name, graph.path, id=f"{name} {os.path.basename(graph.path)}")
    for name in sorted(os.listdir(SHIPPED))
    for graph in networks(load_bundle(name, verify=False))
]


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [str(Path(__file__).parent / "rtx"), os.path.join(FAKES, "cudapython13"), str(ROOT)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.setenv("PYTHONWARNINGS", "ignore::DeprecationWarning")


@pytest.mark.parametrize(("bundle", "path"), NETWORKS)
def test_every_shipped_network_is_built(real: None, tmp_path: Path, bundle: str, path: str) -> None:
    told: list[dict[str, Any]] = []
    job = Job(str(tmp_path / "plan"), path, "fp32", 256, str(tmp_path / "cache"), str(tmp_path / "log"))
    run_worker(job, told.append, "building")
    assert [event["event"] for event in told if event["event"] != "timing"] == ["network", "done"]
    assert next(event["layers"] for event in told if event["event"] == "network") > 20
    assert any(event["event"] == "timing" for event in told), "the builder's log is not understood any more"
    assert (tmp_path / "plan").stat().st_size > 0.9 * os.path.getsize(path) / 2
    assert "Opset version:    13" in (tmp_path / "log").read_text(encoding="utf-8")


def test_what_the_parser_refuses_is_said(real: None, tmp_path: Path) -> None:
    node = helper.make_node("Unique", ["image"], ["out"], name="odd_one")
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("image", "out")]
    model = helper.make_model(
        helper.make_graph([node], "odd", value[:1], value[1:]), opset_imports=[helper.make_opsetid("", 13)],
        ir_version=7,
    )  # fmt: skip
    onnx.save(model, str(tmp_path / "odd.onnx"))
    with pytest.raises(EngineError, match=r"(?s)odd.onnx \(node 0 Unique odd_one: .*python -m export lint names"):
        run_worker(Job(str(tmp_path / "plan"), str(tmp_path / "odd.onnx")), lambda event: None, "building")
    assert not (tmp_path / "plan").exists()


def test_without_a_driver_an_engine_is_refused_with_the_reason(
    real: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge.errors import BackendError
    from edge.runtime.backends.trt import TrtBackend
    from tests.edge import fake_gpu

    bundle = load_bundle("morphable", verify=False)
    silhouette = networks(bundle)[-1]
    run_worker(Job(str(tmp_path / "plan"), silhouette.path), lambda event: None, "building")
    fake_gpu.forget()
    for folder in reversed(os.environ["PYTHONPATH"].split(os.pathsep)):
        monkeypatch.syspath_prepend(folder)
    try:
        with pytest.raises(BackendError, match=r"TensorRT 1\.\S+ refuses the engine .* \(.+\); type: carcloud build"):
            TrtBackend(silhouette, (tmp_path / "plan").read_bytes(), str(tmp_path / "plan"), "fp32")
    finally:
        fake_gpu.forget()
