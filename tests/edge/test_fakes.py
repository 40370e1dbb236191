"""tests.edge.fakes: each TensorRT has its version's names, no others, and takes a network from file to result."""

import warnings
from typing import Any

import numpy as np
import pytest

from tests.edge.fakes import TENSORRT
from tests.edge.fakes.graphs import tiny_onnx
from tests.edge.fakes.kit import Kit, drop_knobs, get, put

ALL = list(TENSORRT)


@pytest.fixture(autouse=True)
def no_knobs(monkeypatch: Any) -> None:
    drop_knobs(monkeypatch)


# --- names --------------------------------------------------------------------------------------------------------

#: Class and name: the folders whose version has it. Written down a second time, apart from what the fakes go by.
UP_TO_86 = ["trt80", "trt82", "trt84", "trt85", "trt86"]
UP_TO_10 = UP_TO_86 + ["trt103"]
FROM_85 = ["trt85", "trt86", "trt103", "trt111"]
NAMES = {
    "Builder.build_serialized_network": ALL,
    "Builder.build_engine": UP_TO_86,
    "Builder.is_network_supported": ALL,
    "Builder.max_batch_size": UP_TO_86,
    "Builder.platform_has_fast_fp16": UP_TO_10,
    "Builder.platform_has_fast_int8": UP_TO_10,
    "IBuilderConfig.max_workspace_size": UP_TO_86,
    "IBuilderConfig.set_memory_pool_limit": ALL[2:],
    "IBuilderConfig.set_timing_cache": ALL,
    "IBuilderConfig.create_timing_cache": ALL,
    "IBuilderConfig.int8_calibrator": UP_TO_10,
    "IBuilderConfig.set_calibration_profile": UP_TO_10,
    "IBuilderConfig.builder_optimization_level": ALL[4:],
    "IBuilderConfig.hardware_compatibility_level": ALL[4:],
    "ICudaEngine.num_bindings": UP_TO_86,
    "ICudaEngine.get_binding_name": UP_TO_86,
    "ICudaEngine.get_binding_shape": UP_TO_86,
    "ICudaEngine.get_binding_dtype": UP_TO_86,
    "ICudaEngine.get_binding_index": UP_TO_86,
    "ICudaEngine.binding_is_input": UP_TO_86,
    "ICudaEngine.max_batch_size": UP_TO_86,
    "ICudaEngine.__len__": UP_TO_86,
    "ICudaEngine.__getitem__": ALL,
    "ICudaEngine.num_io_tensors": FROM_85,
    "ICudaEngine.get_tensor_name": FROM_85,
    "ICudaEngine.get_tensor_mode": FROM_85,
    "ICudaEngine.get_tensor_shape": FROM_85,
    "ICudaEngine.get_tensor_dtype": FROM_85,
    "ICudaEngine.device_memory_size": UP_TO_10,
    "ICudaEngine.device_memory_size_v2": ALL[5:],
    "ICudaEngine.create_engine_inspector": ALL[1:],
    "IExecutionContext.execute": UP_TO_86,
    "IExecutionContext.execute_v2": ALL,
    "IExecutionContext.execute_async_v2": UP_TO_86,
    "IExecutionContext.execute_async_v3": FROM_85,
    "IExecutionContext.set_tensor_address": FROM_85,
    "IExecutionContext.set_input_shape": FROM_85,
    "ILayer.precision": UP_TO_10,
    "OnnxParser.supports_model": UP_TO_10,
    "ParserError.node_operator": ALL[5:],
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": UP_TO_10,
    "NetworkDefinitionCreationFlag.EXPLICIT_PRECISION": UP_TO_86,
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": ALL[5:],
    "BuilderFlag.FP16": UP_TO_10,
    "BuilderFlag.INT8": UP_TO_10,
    "BuilderFlag.TF32": ALL,
    "BuilderFlag.STRICT_TYPES": UP_TO_86,
    "BuilderFlag.OBEY_PRECISION_CONSTRAINTS": ALL[1:6],
    "BuilderFlag.PREFER_PRECISION_CONSTRAINTS": ALL[1:6],
    "DataType.UINT8": FROM_85,
    "DataType.INT64": ALL[5:],
    "tensorrt.MemoryPoolType": ALL[2:],
    "tensorrt.TensorIOMode": FROM_85,
    "tensorrt.HardwareCompatibilityLevel": ALL[4:],
    "tensorrt.int64": ALL[5:],
    "tensorrt.nptype": ALL,
}


@pytest.mark.parametrize("generation", ALL)
def test_each_generation_has_its_names_and_no_others(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    assert kit.trt.__version__ == TENSORRT[generation]
    engine = kit.engine(kit.build(tiny_onnx()))
    builder = kit.trt.Builder(kit.logger)
    made = {
        "Builder": builder,
        "IBuilderConfig": builder.create_builder_config(),
        "ICudaEngine": engine,
        "IExecutionContext": engine.create_execution_context(),
        "ILayer": kit.network(tiny_onnx()).get_layer(0),
        "tensorrt": kit.trt,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for where, generations in NAMES.items():
            owner, name = where.split(".")
            objects = [made[owner]] if owner in made else [getattr(kit.trt, owner)]
            objects += [getattr(kit.trt, owner)] if owner in made and owner != "tensorrt" else []
            for thing in objects:
                assert hasattr(thing, name) == (generation in generations), (where, thing)


@pytest.mark.parametrize("generation", ALL)
def test_what_a_generation_has_not_cannot_be_set_either(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    config = kit.trt.Builder(kit.logger).create_builder_config()
    if generation in UP_TO_86:
        config.max_workspace_size = 1 << 28
        assert config.max_workspace_size == 1 << 28
    else:
        with pytest.raises(AttributeError):
            config.max_workspace_size = 1 << 28
    if generation in NAMES["tensorrt.MemoryPoolType"]:
        pool = kit.trt.MemoryPoolType.WORKSPACE
        assert config.get_memory_pool_limit(pool) > 0  # all there is, where nobody said otherwise
        config.set_memory_pool_limit(pool=pool, pool_size=1 << 27)
        assert config.get_memory_pool_limit(pool) == 1 << 27
    with pytest.raises(AttributeError):
        config.no_such_thing = 1


@pytest.mark.parametrize("generation", ALL)
def test_enumerations_are_as_strict_as_the_real_ones(monkeypatch: Any, generation: str) -> None:
    trt = Kit(monkeypatch, generation).trt
    flag = trt.BuilderFlag.TF32
    assert 1 << int(flag) and repr(flag) == "<BuilderFlag.TF32: %d>" % int(flag) and flag in {flag: 1}
    assert flag != int(flag) and trt.float32 == trt.DataType.FLOAT and trt.DataType.FLOAT != trt.Logger.INTERNAL_ERROR
    assert trt.Logger.INFO > trt.Logger.WARNING and trt.Logger.Severity.INFO is trt.ILogger.INFO
    for wrong in (lambda: 1 << flag, lambda: flag | flag, lambda: trt.Logger.INFO > 1, lambda: trt.int8 < trt.int32):
        with pytest.raises(TypeError):
            wrong()
    config = trt.Builder(trt.Logger()).create_builder_config()
    with pytest.raises(TypeError, match="incompatible function arguments"):
        config.set_flag(int(flag))
    config.clear_flag(flag)
    assert not config.get_flag(flag) and config.flags == 0


@pytest.mark.parametrize("generation", ALL)
def test_nptype_needs_np_bool_up_to_8_5(monkeypatch: Any, generation: str) -> None:
    trt = Kit(monkeypatch, generation).trt
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lacks = not hasattr(np, "bool")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if generation in ALL[:4] and lacks:
            with pytest.raises(AttributeError):
                trt.nptype(trt.float32)
            return
        assert trt.nptype(trt.float16) is np.float16 and trt.nptype(trt.int32) is np.int32
    assert trt.volume(trt.Dims((2, 3))) == 6 and trt.float16.itemsize == 2


# --- from a file to a result --------------------------------------------------------------------------------------


@pytest.mark.parametrize("generation", ALL)
def test_build_serialise_deserialise_execute(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    plan = kit.build(tiny_onnx())
    assert isinstance(plan, kit.trt.IHostMemory) and plan.nbytes == len(bytes(plan)) == memoryview(plan).nbytes
    assert not hasattr(plan, "decode") and bytes(kit.engine(bytes(plan)).serialize()) == bytes(plan)
    engine = kit.engine(plan)
    assert [engine[0], engine[1], engine[-1]] == ["x", "y", "y"] and engine.num_layers == 2
    context = engine.create_execution_context()
    x, y = put(np.arange(4, dtype=np.float32)), put(np.zeros(4, np.float32))
    assert context.execute_v2(bindings=[x, y]) is True
    np.testing.assert_array_equal(get(y), [0, 2, 4, 6])
    for line in ("Init CUDA", "Local timing cache in use", "Detected 1 inputs and 1 output", "Engine generation"):
        assert any(line in text for text in kit.logger.lines), line


@pytest.mark.parametrize("generation", UP_TO_86)
def test_an_engine_is_asked_by_binding(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    engine = kit.engine(kit.build(tiny_onnx()))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert engine.num_bindings == len(engine) == 2 and engine.get_binding_index("y") == engine["y"] == 1
        assert engine.get_binding_name(0) == "x" and engine.binding_is_input("x") and not engine.binding_is_input(1)
        shape = engine.get_binding_shape(1)
        assert shape == (4,) and not isinstance(shape, tuple) and engine.get_binding_dtype("y") == kit.trt.float32
    assert bool(caught) == (generation in FROM_85)
    with pytest.raises(IndexError):
        engine[2]


@pytest.mark.parametrize("generation", FROM_85)
def test_an_engine_is_asked_by_tensor(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation, "cudapython13")
    from cuda.bindings import runtime

    engine = kit.engine(kit.build(tiny_onnx()))
    assert [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)] == ["x", "y"]
    mode = kit.trt.TensorIOMode
    assert [engine.get_tensor_mode(name) for name in ("x", "y", "z")] == [mode.INPUT, mode.OUTPUT, mode.NONE]
    assert engine.get_tensor_shape("x") == (4,) and engine.get_tensor_dtype("y") == kit.trt.DataType.FLOAT
    context = engine.create_execution_context()
    x, y = put(np.ones(4, np.float32)), put(np.zeros(4, np.float32))
    _, stream = runtime.cudaStreamCreate()
    assert context.set_tensor_address("x", x)
    assert not context.execute_async_v3(int(stream)) and "bindings[1] != nullptr" in kit.errors()
    assert context.set_tensor_address("y", y) and not context.set_tensor_address("z", y)
    assert context.set_input_shape("x", (4,)) and not context.set_input_shape("x", (5,))
    assert context.execute_async_v3(int(stream))
    np.testing.assert_array_equal(get(y), 0)  # nothing is there before the stream was waited for
    runtime.cudaStreamSynchronize(stream)
    np.testing.assert_array_equal(get(y), 2)
    with pytest.raises(TypeError):
        engine["x"] if generation in ALL[5:] else engine[1.5]


@pytest.mark.parametrize("generation", ["trt82", "trt103"])
def test_addresses_are_checked(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    context = kit.engine(kit.build(tiny_onnx())).create_execution_context()
    x = put(np.ones(4, np.float32))
    assert not context.execute_v2([x, 0]) and "bindings[1] != nullptr" in kit.errors()
    assert not context.execute_v2([x, put(np.ones(3, np.float32))]) and "illegal memory access" in kit.errors()
    with pytest.raises(TypeError):
        context.execute_v2([x, None])
    monkeypatch.setenv("FAKE_RUN", "fail")
    assert not context.execute_v2([x, x]) and "Cuda Runtime (unspecified launch failure)" in kit.errors()


def test_an_engine_of_one_version_is_refused_by_the_others(monkeypatch: Any) -> None:
    plans = {name: bytes(Kit(monkeypatch, name).build(tiny_onnx())) for name in ALL}
    for name in ALL:
        kit = Kit(monkeypatch, name)
        for other, plan in plans.items():
            kit.logger.lines.clear()
            assert (kit.engine(plan) is None) == (name != other)
            assert ("Version tag does not match. Note: Current Version: " in kit.errors()) == (name != other)


@pytest.mark.parametrize("generation", ALL)
def test_refusals_have_the_real_sentences(monkeypatch: Any, generation: str) -> None:
    kit = Kit(monkeypatch, generation)
    plan = bytes(kit.build(tiny_onnx()))
    short = ".".join(TENSORRT[generation].split(".")[:3])
    patched = plan.replace(b'"version": "%s' % short.encode(), b'"version": "%s' % (short[:-1] + "9").encode())
    monkeypatch.setenv("FAKE_CC", "5.3")
    for data, sentence in (
        (b"no engine at all, but long", "Magic tag does not match"),
        (plan[:-1], "Size specified in header does not match archive size"),
        (b"", "Parameter check failed"),
        (plan, "expecting compute 5.3 got compute 8.7, please rebuild."),
        (patched, "expecting library version %s got %s9, please rebuild." % (short, short[:-1])),
    ):
        kit.logger.lines.clear()
        assert kit.engine(data) is None and sentence in kit.errors(), sentence
        old = "Error Code 4: Internal Error (Engine deserialization failed.)" in kit.errors()
        assert old == (generation in UP_TO_86) and ("IRuntime::deserializeCudaEngine: " in kit.errors()) != old
    with pytest.raises(TypeError):
        kit.engine("text")
