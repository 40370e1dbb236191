"""The fake builders: parser, precisions, timing cache, loggers, and the knobs of a build."""

import time
from typing import Any

import numpy as np
import pytest

from tests.edge.fakes import TENSORRT
from tests.edge.fakes.graphs import tiny_onnx
from tests.edge.fakes.kit import Kit, child, drop_knobs, get, put

ALL = list(TENSORRT)
UP_TO_86, UP_TO_10 = ALL[:5], ALL[:6]


@pytest.fixture(autouse=True)
def no_knobs(monkeypatch: Any) -> None:
    drop_knobs(monkeypatch)


# --- parser and precision -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ["trt82", "trt103"])
def test_the_parser_says_why_it_refuses(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    network = kit.trt.Builder(kit.logger).create_network(1)
    parser = kit.trt.OnnxParser(network=network, logger=kit.logger)
    assert not parser.parse(b"no onnx file") and parser.num_errors == 1
    assert parser.get_error(0).node() == -1 and "Failed to parse" in parser.get_error(0).desc()
    monkeypatch.setenv("FAKE_BUILD", "refuse")
    parser.clear_errors()
    assert not parser.parse(tiny_onnx()) and parser.num_errors == 1
    error = parser.get_error(0)
    assert error.node() == 1 and error.desc() == "No importer registered for op: Mul"
    assert error.code() == kit.trt.ErrorCode.UNSUPPORTED_NODE and network.num_layers == 0
    assert hasattr(error, "node_name") == (generation == "trt103")
    assert kit.trt.Builder(kit.logger).build_serialized_network(network, kit.config()) is None


@pytest.mark.parametrize("generation", ALL)
def test_explicit_batch_is_needed_up_to_8_6(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    network = kit.trt.Builder(kit.logger).create_network()
    parser = kit.trt.OnnxParser(network, kit.logger)
    assert parser.parse(tiny_onnx()) == (generation not in UP_TO_86)
    assert parser.num_errors == int(generation in UP_TO_86)


def test_the_network_tells_what_was_parsed(monkeypatch: Any) -> None:
    network = Kit(monkeypatch, "trt82").network(tiny_onnx())
    assert (network.num_layers, network.num_inputs, network.num_outputs) == (2, 1, 1)
    assert network.get_input(0).name == "x" and network.get_output(0).shape == (4,) and network.get_input(1) is None
    assert [network.get_layer(i).name for i in range(2)] == ["cast", "double"]


@pytest.mark.parametrize("generation", UP_TO_10)
def test_precision_by_flag(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    assert b'"precision": "fp32"' in bytes(kit.build(tiny_onnx("fp16")))
    assert b'"precision": "fp16"' in bytes(kit.build(tiny_onnx(), "FP16"))
    assert b'"precision": "int8"' in bytes(kit.build(tiny_onnx("int8"), "FP16", "INT8"))
    assert kit.build(tiny_onnx(), "INT8") is None and "no scaling factors detected" in kit.errors()
    assert kit.build(tiny_onnx("int8")) is None and "int8 is not configured in the builder" in kit.errors()


@pytest.mark.parametrize("generation", ["trt103", "trt111"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_precision_by_the_file_where_typing_is_strong(monkeypatch: Any, generation: str, precision: str) -> None:
    kit = Kit(monkeypatch, generation)
    plan = kit.build(tiny_onnx(precision), creation=["STRONGLY_TYPED"])
    assert b'"precision": "%s"' % precision.encode() in bytes(plan)
    if generation == "trt103":
        assert kit.build(tiny_onnx(precision), "FP16", creation=["STRONGLY_TYPED"]) is None
        assert "condition: !config.getFlag(BuilderFlag::kFP16). " in kit.errors()


def test_an_open_size_needs_a_profile(monkeypatch: Any) -> None:
    kit = Kit(monkeypatch, "trt82")
    assert kit.network(tiny_onnx(size="n")).get_input(0).shape == (-1,)
    assert kit.build(tiny_onnx(size="n")) is None and "no optimization profile has been defined" in kit.errors()


def test_a_timing_cache_is_of_one_version_and_device(monkeypatch: Any) -> None:
    kit = Kit(monkeypatch, "trt82")
    config = kit.config()
    assert config.get_timing_cache() is None
    assert config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    kit.build(tiny_onnx(), config=config)
    kept = bytes(config.get_timing_cache().serialize())
    assert any("Global timing cache in use" in line for line in kit.logger.lines)
    assert sum("Timing Runner" in line for line in kit.logger.lines) == 2
    again = kit.config()
    assert again.set_timing_cache(again.create_timing_cache(kept), False)
    kit.logger.lines.clear()
    kit.build(tiny_onnx(), config=again)
    assert not any("Timing Runner" in line for line in kit.logger.lines)
    monkeypatch.setenv("FAKE_GPU", "Xavier")
    other = kit.config()
    assert not other.set_timing_cache(other.create_timing_cache(kept), False)
    assert other.set_timing_cache(other.create_timing_cache(kept), True)
    newer = Kit(monkeypatch, "trt84")
    for bad in (kept, b"no cache"):
        assert newer.config().create_timing_cache(bad) is None
        assert "The timing cache will not be used!" in newer.errors()


# --- loggers ------------------------------------------------------------------------------------------------------


def test_loggers(monkeypatch: Any, capfd: Any) -> None:
    trt = Kit(monkeypatch, "trt82").trt

    class Forgetful(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            pass

    class Raising(trt.ILogger):  # type: ignore[misc]
        def log(self, severity: Any, msg: str) -> None:
            raise ValueError("in the logger")

    with pytest.raises(TypeError, match="must be called when overriding __init__"):
        Forgetful()
    assert trt.Runtime(Raising()).deserialize_cuda_engine(b"bad") is None
    assert trt.Runtime(trt.Logger()).deserialize_cuda_engine(b"bad") is None
    with pytest.raises(TypeError):
        trt.Runtime(None)
    out, err = capfd.readouterr()
    assert "Exception caught in log(): ValueError: in the logger" in err and "] [TRT] [E] 4: [runtime.cpp" in out


# --- knobs --------------------------------------------------------------------------------------------------------

BUILD = """
import os, sys
import tensorrt as trt
from tests.edge.fakes.graphs import tiny_onnx
logger = trt.Logger(trt.Logger.INFO)
builder = trt.Builder(logger)
network = builder.create_network(1)
assert trt.OnnxParser(network, logger).parse(tiny_onnx())
print("BUILT", builder.build_serialized_network(network, builder.create_builder_config()))
"""


def test_knobs_reach_a_child_which_may_be_killed() -> None:
    done = child(BUILD, "trt82")
    assert done.returncode == 0 and "BUILT <" in done.stdout, done.stdout
    done = child(BUILD, "trt82", FAKE_BUILD="killed")
    assert done.returncode == -9 and "Begin constructing builder" in done.stdout and "BUILT" not in done.stdout
    done = child(BUILD, "trt82", FAKE_BUILD="crash")
    assert done.returncode == 1 and "RuntimeError: the fake builder crashed at node double" in done.stdout
    done = child(BUILD, "trt82", FAKE_BUILD="typo")
    assert done.returncode == 1 and "FAKE_BUILD has typo" in done.stdout


@pytest.mark.parametrize("generation", ALL)
def test_a_build_without_memory_says_so(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    monkeypatch.setenv("FAKE_BUILD", "oom")
    assert kit.build(tiny_onnx()) is None
    text = "Tactic Device request: 826MB Available: 186MB. Device memory is insufficient to use tactic."
    assert "WARNING " + text in kit.logger.lines
    assert "Error Code 10: Internal Error (Could not find any implementation for node double.)" in kit.errors()


def test_a_smaller_workspace_may_help(monkeypatch: Any) -> None:
    kit = Kit(monkeypatch, "trt82")
    monkeypatch.setenv("FAKE_BUILD", "oom=128")
    for size, fits in ((256 << 20, False), (128 << 20, True)):
        config = kit.config()
        config.max_workspace_size = size
        assert (kit.build(tiny_onnx(), config=config) is not None) == fits


def test_a_slow_build(monkeypatch: Any) -> None:
    kit = Kit(monkeypatch, "trt82")
    monkeypatch.setenv("FAKE_BUILD", "slow=0.3")
    started = time.monotonic()
    assert kit.build(tiny_onnx()) is not None and time.monotonic() - started >= 0.3


def test_noise_is_of_a_precision(monkeypatch: Any) -> None:
    kit = Kit(monkeypatch, "trt82")
    monkeypatch.setenv("FAKE_NOISE", "fp16=0.25,int8=8")
    x, y = put(np.zeros(4, np.float32)), put(np.ones(4, np.float32))
    for flags, model, size in (((), "fp32", 0), (("FP16",), "fp32", 0.25), (("INT8",), "int8", 8)):
        context = kit.engine(kit.build(tiny_onnx(model), *flags)).create_execution_context()
        assert context.execute_v2([x, y])
        worst = np.abs(get(y)).max()
        assert worst <= size and (worst > size / 8 or size == 0)


@pytest.mark.parametrize("cc, fp16, int8", [("5.3", 1, 0), ("6.1", 0, 1), ("6.2", 1, 0), ("8.7", 1, 1)])
def test_fast_precisions_by_compute_capability(monkeypatch: Any, cc: str, fp16: int, int8: int) -> None:
    kit = Kit(monkeypatch, "trt82")
    monkeypatch.setenv("FAKE_CC", cc)
    builder = kit.trt.Builder(kit.logger)
    assert (builder.platform_has_fast_fp16, builder.platform_has_fast_int8) == (bool(fp16), bool(int8))
    monkeypatch.setenv("FAKE_FAST_FP16", str(1 - fp16))
    monkeypatch.setenv("FAKE_FAST_INT8", str(1 - int8))
    assert (builder.platform_has_fast_fp16, builder.platform_has_fast_int8) == (not fp16, not int8)
    monkeypatch.setenv("FAKE_FAST_INT8", "yes")
    with pytest.raises(ValueError, match="FAKE_FAST_INT8 is 'yes'"):
        assert builder.platform_has_fast_int8


@pytest.mark.parametrize("generation", ALL)
def test_without_a_driver_nothing_is_made(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    monkeypatch.setenv("FAKE_NO_GPU", "1")
    for kind in (kit.trt.Builder, kit.trt.Runtime):
        with pytest.raises(TypeError, match="factory function returned nullptr"):
            kind(kit.logger)
    assert "CUDA initialization failure with error: 35" in kit.errors()


def test_a_context_needs_memory(monkeypatch: Any) -> None:
    kit = Kit(monkeypatch, "trt82")
    engine = kit.engine(kit.build(tiny_onnx()))
    monkeypatch.setenv("FAKE_GPU_MIB", "0")
    assert engine.create_execution_context() is None and "OutOfMemory (Requested size was" in kit.errors()
