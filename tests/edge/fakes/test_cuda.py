"""The fake pycuda and cuda-python: memory, contexts of threads, streams, errors."""

import importlib
import threading
from typing import Any, List, Optional

import numpy as np
import pytest

from tests.edge.fakes import CUDA, use_fakes
from tests.edge.fakes.graphs import tiny_onnx
from tests.edge.fakes.kit import Kit, child, drop_knobs


@pytest.fixture(autouse=True)
def no_knobs(monkeypatch: Any) -> None:
    drop_knobs(monkeypatch)


# --- pycuda -------------------------------------------------------------------------------------------------------


def in_thread(function: Any) -> Optional[Exception]:
    """What the function raises in a thread of its own."""
    raised: List[Exception] = []

    def run() -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


def pycuda(monkeypatch: Any, flavour: str = "pycuda_old") -> Any:
    use_fakes(monkeypatch, flavour)
    import pycuda.driver

    return pycuda.driver


@pytest.mark.parametrize("flavour", CUDA[:2])
def test_pycuda_copies(monkeypatch: Any, flavour: str) -> None:
    cuda = pycuda(monkeypatch, flavour)
    with pytest.raises(cuda.LogicError, match="cuDeviceGet failed: initialization error"):
        cuda.Device(0)
    cuda.init()
    monkeypatch.setenv("FAKE_GPU", "NVIDIA Tegra X1")
    monkeypatch.setenv("FAKE_CC", "5.3")
    gpu = cuda.Device(0)
    assert (gpu.name(), gpu.compute_capability()) == ("NVIDIA Tegra X1", (5, 3))
    assert gpu.get_attribute(cuda.device_attribute.INTEGRATED) == 1
    assert hasattr(gpu, "retain_primary_context") == (flavour == "pycuda_new")
    context = gpu.make_context()
    try:
        memory = cuda.mem_alloc(16)
        free, total = cuda.mem_get_info()
        assert free == total - 16 and total == 7620 << 20
        host, back = cuda.pagelocked_empty((2, 2), np.float32), cuda.pagelocked_empty(4, np.float32)
        host[...], back[...] = 3, 0
        cuda.memcpy_htod(memory, host)
        cuda.memcpy_dtoh(back, int(memory))
        np.testing.assert_array_equal(back, 3)
        stream = cuda.Stream()
        host[...] = 4
        cuda.memcpy_htod_async(memory, host, stream)
        cuda.memcpy_dtoh_async(back, memory, stream)
        assert not stream.is_done() and back[0] == 3
        stream.synchronize()
        assert stream.is_done() and back[0] == 4
        with pytest.raises(cuda.LogicError, match="cuMemcpyHtoD failed: invalid argument"):
            cuda.memcpy_htod(memory, np.zeros(5, np.float32))
        with pytest.raises(cuda.MemoryError, match="cuMemAlloc failed: out of memory"):
            cuda.mem_alloc(total)
        memory.free()
        with pytest.raises(cuda.LogicError, match="invalid resource handle"):
            memory.free()
    finally:
        context.pop()
    with pytest.raises(cuda.LogicError, match="cannot pop non-current context"):
        context.pop()
    context.detach()
    with pytest.raises(cuda.LogicError, match="cannot detach from invalid context"):
        context.detach()


def test_pycuda_errors_are_not_pythons(monkeypatch: Any) -> None:
    cuda = pycuda(monkeypatch)
    assert not issubclass(cuda.RuntimeError, RuntimeError) and not issubclass(cuda.MemoryError, MemoryError)
    assert issubclass(cuda.LogicError, cuda.Error)
    monkeypatch.setenv("FAKE_NO_GPU", "1")
    with pytest.raises(cuda.RuntimeError, match="cuInit failed: no CUDA-capable device is detected"):
        cuda.init()


def test_a_thread_has_no_context_of_another(monkeypatch: Any) -> None:
    cuda = pycuda(monkeypatch)
    cuda.init()
    context = cuda.Device(0).make_context()
    try:
        error = in_thread(lambda: cuda.mem_alloc(16))
        assert isinstance(error, cuda.LogicError) and str(error) == "cuMemAlloc failed: invalid device context"

        def push() -> None:
            context.push()
            cuda.mem_alloc(16)
            context.pop()

        assert in_thread(push) is None
    finally:
        context.pop()
        context.detach()


def test_an_engine_executes_in_its_context_only(monkeypatch: Any) -> None:
    kit = Kit(monkeypatch, "trt82", "pycuda_old")
    import pycuda.driver as cuda

    cuda.init()
    owner = cuda.Device(0).make_context()
    try:
        context = kit.engine(kit.build(tiny_onnx())).create_execution_context()
        x, y = cuda.mem_alloc(16), cuda.mem_alloc(16)
        results: List[bool] = []
        assert in_thread(lambda: results.append(context.execute_v2([int(x), int(y)]))) is None
        assert results == [False] and "Cuda Runtime (invalid resource handle)" in kit.errors()
        assert context.execute_v2([int(x), int(y)])
        pinned = cuda.pagelocked_empty(4, np.float32)  # one address space: the device reads it, too
        pinned[...] = 1
        assert context.execute_v2([int(pinned.ctypes.data), int(y)])
        with pytest.raises(TypeError):
            context.execute_v2([x, y])
    finally:
        owner.pop()
        owner.detach()


def test_a_context_that_was_left_aborts_the_process() -> None:
    code = "import pycuda.driver as cuda; cuda.init(); context = cuda.Device(0).make_context(); print('made')"
    done = child(code, "pycuda_old")
    assert done.returncode == -6 and "The context stack was not empty upon module cleanup" in done.stdout
    assert child(code + "; context.pop()", "pycuda_old").returncode == 0
    retained = code.replace("make_context", "retain_primary_context")
    assert child(retained, "pycuda_new").returncode == 0  # retained is not pushed
    assert child(retained, "pycuda_old").returncode == 1


# --- cuda-python --------------------------------------------------------------------------------------------------


def cuda_runtime(monkeypatch: Any, flavour: str) -> Any:
    """The module of a flavour, which has not that of the other."""
    use_fakes(monkeypatch, flavour)
    old, new = "cuda.cudart", "cuda.bindings.runtime"
    with pytest.raises(ImportError):
        importlib.import_module(new if flavour == "cudapython12" else old)
    return importlib.import_module(old if flavour == "cudapython12" else new)


@pytest.mark.parametrize("flavour", CUDA[2:])
def test_cuda_python_copies(monkeypatch: Any, flavour: str) -> None:
    cuda = cuda_runtime(monkeypatch, flavour)
    ok, invalid = cuda.cudaError_t.cudaSuccess, cuda.cudaError_t.cudaErrorInvalidValue
    kinds = cuda.cudaMemcpyKind
    assert cuda.cudaGetDeviceCount() == (ok, 1) and cuda.cudaSetDevice(0) == (ok,)
    assert cuda.cudaSetDevice(1) == (cuda.cudaError_t.cudaErrorInvalidDevice,)
    error, properties = cuda.cudaGetDeviceProperties(0)
    assert error == ok and properties.name == b"Orin (nvgpu)" and (properties.major, properties.minor) == (8, 7)
    assert properties.integrated == 1
    error, memory = cuda.cudaMalloc(16)
    assert error == ok and cuda.cudaMemGetInfo() == (ok, (7620 << 20) - 16, 7620 << 20)
    host, back = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    assert cuda.cudaMemcpy(memory, host.ctypes.data, 16, kinds.cudaMemcpyHostToDevice) == (ok,)
    assert cuda.cudaMemcpy(back.ctypes.data, memory, 16, kinds.cudaMemcpyDeviceToHost) == (ok,)
    np.testing.assert_array_equal(back, host)
    assert cuda.cudaMemcpy(host.ctypes.data, memory, 16, kinds.cudaMemcpyHostToDevice) == (invalid,)
    assert cuda.cudaMemcpy(memory, host.ctypes.data, 17, kinds.cudaMemcpyHostToDevice) == (invalid,)
    with pytest.raises(AttributeError, match="'int' object has no attribute 'value'"):
        cuda.cudaMemcpy(memory, host.ctypes.data, 16, 1)
    error, pinned = cuda.cudaHostAlloc(16, 0)
    assert error == ok and cuda.cudaMemcpy(pinned, memory, 16, kinds.cudaMemcpyDeviceToHost) == (ok,)
    assert cuda.cudaFreeHost(pinned) == (ok,) and cuda.cudaFree(memory) == (ok,) and cuda.cudaFree(memory) == (invalid,)
    error, nothing = cuda.cudaMalloc(1 << 40)
    assert error == cuda.cudaError_t.cudaErrorMemoryAllocation and nothing is None
    assert cuda.cudaGetErrorString(error) == (ok, b"out of memory")


def test_cuda_python_without_a_driver(monkeypatch: Any) -> None:
    monkeypatch.setenv("FAKE_NO_GPU", "1")
    cuda = cuda_runtime(monkeypatch, "cudapython13")
    error = cuda.cudaError_t.cudaErrorInsufficientDriver
    assert cuda.cudaGetDeviceCount() == (error, None) and cuda.cudaMemGetInfo() == (error, None, None)
    assert cuda.cudaSetDevice(0) == (error,) and int(error) == 35
    assert cuda.cudaGetErrorString(error)[1] == b"CUDA driver version is insufficient for CUDA runtime version"
    cuda = cuda_runtime(monkeypatch, "cudapython12")
    with pytest.raises(RuntimeError, match="Failed to dlopen libcuda.so.1"):
        cuda.cudaGetDeviceCount()
    with pytest.raises(RuntimeError, match='Function "cuInit" not found'):
        cuda.cudaMalloc(16)
