"""Makes a module of the fake device: cuda-python's CUDA runtime, ``cuda.cudart`` or ``cuda.bindings.runtime``.

Every function gives a tuple, the error first; where it failed the values are None.
"""

from enum import IntEnum
from types import SimpleNamespace
from typing import Any, Callable, Dict, Tuple

import numpy as np

from fakegpu import device, knobs

Function = Callable[..., Tuple[Any, ...]]


class cudaError_t(IntEnum):
    """Some of the errors."""

    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorNoDevice = 100
    cudaErrorInvalidDevice = 101
    cudaErrorInvalidResourceHandle = 400
    cudaErrorIllegalAddress = 700


class cudaMemcpyKind(IntEnum):
    """Which way to copy."""

    cudaMemcpyHostToHost = 0
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3
    cudaMemcpyDefault = 4


class cudaDeviceAttr(IntEnum):
    """Some of the attributes."""

    cudaDevAttrIntegrated = 18
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class cudaStream_t:
    """A stream; int() gives its handle."""

    def __init__(self, handle: int = 0) -> None:
        self._handle = handle

    def __int__(self) -> int:
        return self._handle


TEXTS = {
    0: b"no error",
    1: b"invalid argument",
    2: b"out of memory",
    35: b"CUDA driver version is insufficient for CUDA runtime version",
    100: b"no CUDA-capable device is detected",
    101: b"invalid device ordinal",
    400: b"invalid resource handle",
    700: b"an illegal memory access was encountered",
}
OK = cudaError_t.cudaSuccess
INVALID = cudaError_t.cudaErrorInvalidValue


def cudaGetDeviceCount() -> Tuple[Any, ...]:
    return OK, 1


def cudaSetDevice(device: int) -> Tuple[Any, ...]:  # noqa: A002
    return (_current(device),)


def cudaGetDevice() -> Tuple[Any, ...]:
    return OK, 0


def cudaGetDeviceProperties(device: int) -> Tuple[Any, ...]:
    if device != 0:
        return cudaError_t.cudaErrorInvalidDevice, None
    major, minor = knobs.compute_capability()
    properties = SimpleNamespace(name=knobs.gpu_name().encode(), major=major, minor=minor, multiProcessorCount=1)
    properties.integrated = int(knobs.integrated())
    properties.totalGlobalMem = knobs.memory_bytes()
    return OK, properties


def cudaDeviceGetAttribute(attr: Any, device: int) -> Tuple[Any, ...]:
    major, minor = knobs.compute_capability()
    values = {"Integrated": int(knobs.integrated()), "ComputeCapabilityMajor": major, "ComputeCapabilityMinor": minor}
    return OK, values[attr.name[len("cudaDevAttr") :]]


def cudaMalloc(size: int) -> Tuple[Any, ...]:
    _integer(size)
    try:
        return OK, device.allocate(size, device.runtime_current())
    except device.OutOfMemory:
        return cudaError_t.cudaErrorMemoryAllocation, None


def cudaFree(devPtr: int) -> Tuple[Any, ...]:
    return (OK if not devPtr or device.release(int(devPtr)) else INVALID,)


def cudaHostAlloc(size: int, flags: int) -> Tuple[Any, ...]:
    _integer(size)
    return OK, device.allocate(size, None, host=True)


def cudaMallocHost(size: int) -> Tuple[Any, ...]:
    return cudaHostAlloc(size, 0)


def cudaFreeHost(ptr: int) -> Tuple[Any, ...]:
    return (OK if not ptr or device.release(int(ptr), host=True) else INVALID,)


def cudaMemcpy(dst: Any, src: Any, count: int, kind: Any) -> Tuple[Any, ...]:
    return cudaMemcpyAsync(dst, src, count, kind, 0)


def cudaMemcpyAsync(dst: Any, src: Any, count: int, kind: Any, stream: Any) -> Tuple[Any, ...]:
    direction = cudaMemcpyKind(kind.value)
    target, source = _address(dst), _address(src)
    device.runtime_current()
    to_device = direction in (cudaMemcpyKind.cudaMemcpyHostToDevice, cudaMemcpyKind.cudaMemcpyDeviceToDevice)
    from_device = direction in (cudaMemcpyKind.cudaMemcpyDeviceToHost, cudaMemcpyKind.cudaMemcpyDeviceToDevice)
    if direction == cudaMemcpyKind.cudaMemcpyDefault:
        to_device, from_device = device.find(target) is not None, device.find(source) is not None
    for wanted, address in ((to_device, target), (from_device, source)):
        if (device.find(address, count) is None) if wanted else (not address or device.find(address) is not None):
            return (INVALID,)
    keep = (dst, src)

    def work(keep: Any = keep) -> None:
        device.copy(target, source, count)

    return (OK if device.enqueue(int(stream or 0), work) else cudaError_t.cudaErrorInvalidResourceHandle,)


def cudaMemGetInfo() -> Tuple[Any, ...]:
    return OK, device.free_bytes(), knobs.memory_bytes()


def cudaStreamCreate() -> Tuple[Any, ...]:
    device.runtime_current()
    return OK, cudaStream_t(device.new_stream())


def cudaStreamSynchronize(stream: Any) -> Tuple[Any, ...]:
    if int(stream):
        device.synchronise(int(stream))
    return (OK,)


def cudaStreamDestroy(stream: Any) -> Tuple[Any, ...]:
    return (OK,)


def cudaDeviceSynchronize() -> Tuple[Any, ...]:
    device.synchronise_all()
    return (OK,)


def cudaGetErrorString(error: Any) -> Tuple[Any, ...]:
    return OK, TEXTS[error.value]


def cudaGetErrorName(error: Any) -> Tuple[Any, ...]:
    return OK, error.name.encode()


def _current(number: int) -> Any:
    if number != 0:
        return cudaError_t.cudaErrorInvalidDevice
    device.runtime_current()
    return OK


def _integer(value: Any) -> None:
    if not isinstance(value, int):
        raise TypeError("an integer is required")


def _address(pointer: Any) -> int:
    """An address as it is, or where a buffer lies. Raises TypeError for what is neither."""
    if pointer is None or isinstance(pointer, int):
        return int(pointer or 0)
    try:
        return int(np.frombuffer(pointer, np.uint8).ctypes.data)
    except (TypeError, AttributeError):
        raise TypeError("Provided argument is of type %s but expected pointer-like" % type(pointer))


#: How many values each function gives after the error.
VALUES = {
    "cudaGetDeviceCount": 1, "cudaSetDevice": 0, "cudaGetDevice": 1, "cudaGetDeviceProperties": 1,
    "cudaDeviceGetAttribute": 1, "cudaMalloc": 1, "cudaFree": 0, "cudaHostAlloc": 1, "cudaMallocHost": 1,
    "cudaFreeHost": 0, "cudaMemcpy": 0, "cudaMemcpyAsync": 0, "cudaMemGetInfo": 2, "cudaStreamCreate": 1,
    "cudaStreamSynchronize": 0, "cudaStreamDestroy": 0, "cudaDeviceSynchronize": 0,
}  # fmt: skip


def fill(module: Dict[str, Any], loads_driver: bool) -> None:
    """Put the functions into a module's globals.

    loads_driver: cuda-python 12 looks for the driver's library itself and raises where there is none; later ones give
    error 35.
    """
    for name, values in VALUES.items():
        module[name] = _guarded(globals()[name], values, loads_driver)
    kinds = (cudaError_t, cudaMemcpyKind, cudaDeviceAttr, cudaStream_t, cudaGetErrorName)
    module.update({kind.__name__: kind for kind in kinds}, cudaHostAllocDefault=0, cudaHostAllocMapped=2)
    module["cudaGetErrorString"] = _guarded(cudaGetErrorString, -1, True) if loads_driver else cudaGetErrorString


def _guarded(function: Any, values: int, loads_driver: bool) -> Function:
    """The function where there is a driver; without one what both generations do."""

    def call(*arguments: Any, **keywords: Any) -> Tuple[Any, ...]:
        if not knobs.no_gpu():
            return function(*arguments, **keywords)  # type: ignore[no-any-return]
        if not loads_driver:
            return (cudaError_t.cudaErrorInsufficientDriver,) + (None,) * values
        first = function.__name__ == "cudaGetDeviceCount"
        raise RuntimeError("Failed to dlopen libcuda.so.1" if first else 'Function "cuInit" not found')

    call.__name__ = function.__name__
    return call
