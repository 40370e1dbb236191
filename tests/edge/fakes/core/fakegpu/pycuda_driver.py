"""Makes a module of the fake device: ``pycuda.driver``, without or with Device.retain_primary_context."""

import atexit
import os
import sys
import threading
import weakref
from enum import IntEnum
from types import SimpleNamespace
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from fakegpu import device, knobs

#: What pycuda says on its way out of a process that forgot to pop a context, before it aborts.
NOT_EMPTY = "PyCUDA ERROR: The context stack was not empty upon module cleanup."


class Error(Exception):
    """Base of pycuda's errors. None of them is Python's of the same name."""


class MemoryError(Error):  # noqa: A001
    """The device's memory is used up."""


class LogicError(Error):
    """Wrong use, such as no context in this thread."""


class LaunchError(Error):
    """A kernel failed."""


class RuntimeError(Error):  # noqa: A001
    """No device."""


class device_attribute(IntEnum):
    """Some of the attributes."""

    MULTIPROCESSOR_COUNT = 16
    INTEGRATED = 18
    CAN_MAP_HOST_MEMORY = 19
    UNIFIED_ADDRESSING = 41
    COMPUTE_CAPABILITY_MAJOR = 75
    COMPUTE_CAPABILITY_MINOR = 76


class ctx_flags(IntEnum):
    """How a thread waits for the device."""

    SCHED_AUTO = 0
    SCHED_SPIN = 1
    SCHED_YIELD = 2
    SCHED_BLOCKING_SYNC = 4
    MAP_HOST = 8


class host_alloc_flags(IntEnum):
    """Kinds of page-locked memory."""

    PORTABLE = 1
    DEVICEMAP = 2
    WRITECOMBINED = 4


_state = SimpleNamespace(initialised=False)
_thread = threading.local()
#: Every thread's stack of contexts, for the check at the end.
_stacks: List[List["Context"]] = []


def _stack() -> List["Context"]:
    """pycuda's own stack of this thread, beside the driver's."""
    if not hasattr(_thread, "contexts"):
        _thread.contexts = []
        _stacks.append(_thread.contexts)
    contexts: List["Context"] = _thread.contexts
    return contexts


def _check_cleanup() -> None:
    if any(_stacks):
        sys.stderr.write(NOT_EMPTY + "\n")
        sys.stderr.flush()
        os.abort()


atexit.register(_check_cleanup)


def _need_context(routine: str) -> device.Context:
    """The thread's context. Raises LogicError: the driver has none, or pycuda did not push it."""
    current = device.current()
    if current is None:
        raise LogicError("%s failed: invalid device context" % routine)
    if not _stack():
        text = "explicit_context_dependent failed: invalid device context - no currently active context?"
        raise LogicError(text)
    return current


def init(flags: int = 0) -> None:
    if knobs.no_gpu():
        raise RuntimeError("cuInit failed: no CUDA-capable device is detected")
    _state.initialised = True


def get_version() -> Tuple[int, int, int]:
    return 10, 2, 0


def get_driver_version() -> int:
    return 10020


class Device:
    """The one device, number 0."""

    def __init__(self, number: int) -> None:
        if not _state.initialised:
            raise LogicError("cuDeviceGet failed: initialization error")
        if number != 0:
            raise LogicError("cuDeviceGet failed: invalid device ordinal")

    @staticmethod
    def count() -> int:
        return 1

    def name(self) -> str:
        return knobs.gpu_name()

    def compute_capability(self) -> Tuple[int, int]:
        return knobs.compute_capability()

    def total_memory(self) -> int:
        return knobs.memory_bytes()

    def get_attribute(self, attr: device_attribute) -> int:
        major, minor = knobs.compute_capability()
        values = {"INTEGRATED": int(knobs.integrated()), "COMPUTE_CAPABILITY_MAJOR": major}
        values.update(COMPUTE_CAPABILITY_MINOR=minor, MULTIPROCESSOR_COUNT=1, CAN_MAP_HOST_MEMORY=1)
        values.update(UNIFIED_ADDRESSING=1)
        return values[device_attribute(attr).name]

    def make_context(self, flags: int = 0) -> "Context":
        context = Context(device.Context("made"))
        context.push()
        return context

    def retain_primary_context(self) -> "Context":
        return Context(device.PRIMARY)


class Context:
    """A context; the one on top of the thread's stack is the current one."""

    def __init__(self, owner: device.Context) -> None:
        self._owner: Optional[device.Context] = owner
        self._thread = threading.get_ident()

    def push(self) -> None:
        if self._owner is None:
            raise LogicError("cuCtxPushCurrent failed: invalid device context")
        device.stack().append(self._owner)
        _stack().append(self)

    @staticmethod
    def pop() -> None:
        if not _stack():
            raise LogicError("context::pop failed: invalid device context - cannot pop non-current context")
        device.stack().pop()
        _stack().pop()

    def detach(self) -> None:
        """Ends the context and frees its memory, but only in the thread that made it; the current one is popped."""
        if self._owner is None:
            raise LogicError("context::detach failed: invalid device context - cannot detach from invalid context")
        if _stack() and _stack()[-1] is self:
            self.pop()
        if self._owner is not device.PRIMARY and self._thread == threading.get_ident():
            device.release_all(self._owner)
        self._owner = None

    @staticmethod
    def get_current() -> Optional["Context"]:
        return _stack()[-1] if _stack() else None

    @staticmethod
    def get_device() -> Device:
        _need_context("cuCtxGetDevice")
        return Device(0)

    @staticmethod
    def synchronize() -> None:
        _need_context("cuCtxSynchronize")
        device.synchronise_all()


class Stream:
    """Work that is done in order, when the stream is synchronised."""

    def __init__(self, flags: int = 0) -> None:
        _need_context("cuStreamCreate")
        self._handle = device.new_stream()

    @property
    def handle(self) -> int:
        return self._handle

    def synchronize(self) -> None:
        device.synchronise(self._handle)

    def is_done(self) -> bool:
        return device.is_done(self._handle)


class DeviceAllocation:
    """Memory of the device; freed with the object."""

    def __init__(self, address: int) -> None:
        self._address: Optional[int] = address

    def __int__(self) -> int:
        return self._address or 0

    __index__ = __int__

    def free(self) -> None:
        if self._address is None:
            raise LogicError("device_allocation::free failed: invalid resource handle")
        device.release(self._address)
        self._address = None

    def __del__(self) -> None:
        if self._address is not None:
            self.free()


def mem_alloc(bytes: int) -> DeviceAllocation:  # noqa: A002
    owner = _need_context("cuMemAlloc")
    if bytes <= 0:
        raise LogicError("cuMemAlloc failed: invalid argument")
    try:
        return DeviceAllocation(device.allocate(bytes, owner))
    except device.OutOfMemory:
        raise MemoryError("cuMemAlloc failed: out of memory")


def mem_get_info() -> Tuple[int, int]:
    _need_context("cuMemGetInfo")
    return device.free_bytes(), knobs.memory_bytes()


def pagelocked_empty(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
    _need_context("cuMemHostAlloc")
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    address = device.allocate(size, None, host=True)
    array = device.host_array(address)[:size].view(dtype).reshape(shape, order=order)
    weakref.finalize(array, device.release, address, True)
    return array


def pagelocked_zeros(shape: Any, dtype: Any, order: str = "C", mem_flags: int = 0) -> np.ndarray:
    array = pagelocked_empty(shape, dtype, order, mem_flags)
    array.fill(0)
    return array


def memcpy_htod(dest: Any, src: Any) -> None:
    memcpy_htod_async(dest, src)


def memcpy_dtoh(dest: Any, src: Any) -> None:
    memcpy_dtoh_async(dest, src)


def memcpy_htod_async(dest: Any, src: Any, stream: Optional[Stream] = None) -> None:
    host = np.frombuffer(src, np.uint8)
    _copy("cuMemcpyHtoD", int(dest), int(dest), int(host.ctypes.data), host, stream)


def memcpy_dtoh_async(dest: Any, src: Any, stream: Optional[Stream] = None) -> None:
    host = np.frombuffer(dest, np.uint8)
    if not host.flags.writeable:
        raise BufferError("Object is not writable.")
    _copy("cuMemcpyDtoH", int(src), int(host.ctypes.data), int(src), host, stream)


def _copy(routine: str, pointer: int, target: int, source: int, host: np.ndarray, stream: Optional[Stream]) -> None:
    _need_context(routine)
    if device.find(pointer, host.nbytes) is None:
        raise LogicError("%s failed: invalid argument" % routine)

    def work() -> None:
        device.copy(target, source, host.nbytes)  # host keeps the buffer alive until then

    device.enqueue(0 if stream is None else stream.handle, work)


def fill(module: Dict[str, Any], primary: bool) -> None:
    """Put into a module's globals what a pycuda without or with ``primary`` contexts has."""
    names = """Error MemoryError LogicError LaunchError RuntimeError device_attribute ctx_flags host_alloc_flags init
        get_version get_driver_version Context Stream DeviceAllocation mem_alloc mem_get_info pagelocked_empty
        pagelocked_zeros memcpy_htod memcpy_dtoh memcpy_htod_async memcpy_dtoh_async"""
    module.update({name: globals()[name] for name in names.split()})
    own = {name: value for name, value in Device.__dict__.items() if primary or name != "retain_primary_context"}
    module["Device"] = type("Device", (), {n: v for n, v in own.items() if n not in ("__dict__", "__weakref__")})
