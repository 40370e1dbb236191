"""The device: contexts, one current per thread, and memory, which is the host's and is known by its address."""

import ctypes
import threading
from typing import Any, Callable, Dict, List, Optional

import numpy as np

from fakegpu import knobs


class OutOfMemory(Exception):
    """More is asked for than the device has left."""


class Context:
    """What a CUDA context is here: an owner of memory and engines."""

    def __init__(self, name: str) -> None:
        self.name = name


class Allocation:
    """Memory from an address on; ``host`` if a copy between host and device may start or end here as the host."""

    def __init__(self, size: int, context: Optional[Context], host: bool) -> None:
        self.size = size
        self.context = context
        self.host = host
        self.array = np.empty(max(size, 1), np.uint8)
        self.address = int(self.array.ctypes.data)


#: The context that the CUDA runtime makes and shares with everyone who uses it.
PRIMARY = Context("primary")
_allocations: Dict[int, Allocation] = {}
_streams: Dict[int, List[Callable[[], None]]] = {}
_lock = threading.Lock()
_thread = threading.local()


def stack() -> List[Context]:
    """This thread's contexts, the current one last."""
    if not hasattr(_thread, "contexts"):
        _thread.contexts = []
    contexts: List[Context] = _thread.contexts
    return contexts


def current() -> Optional[Context]:
    """The driver's view: this thread's context, or None."""
    return stack()[-1] if stack() else None


def runtime_current() -> Context:
    """The runtime's view: where the thread has none, the primary context becomes its current one."""
    if not stack():
        stack().append(PRIMARY)
    return stack()[-1]


def allocate(size: int, context: Optional[Context], host: bool = False) -> int:
    """Address of ``size`` new bytes. Raises OutOfMemory."""
    with _lock:
        if not host and size > free_bytes():
            raise OutOfMemory("%d bytes of %d" % (size, free_bytes()))
        allocation = Allocation(size, None if host else context, host)
        _allocations[allocation.address] = allocation
        return allocation.address


def release(address: int, host: bool = False) -> bool:
    """Free an allocation; False if none starts at this address."""
    with _lock:
        allocation = _allocations.get(address)
        if allocation is None or allocation.host != host:
            return False
        del _allocations[address]
        return True


def release_all(context: Context) -> None:
    """Free what a context owns, which ends with it."""
    with _lock:
        for address in [a.address for a in _allocations.values() if a.context is context]:
            del _allocations[address]


def host_array(address: int) -> np.ndarray:
    """The bytes of an allocation of the host's memory; whoever holds the array keeps them."""
    return _allocations[address].array


def free_bytes() -> int:
    return knobs.memory_bytes() - sum(a.size for a in _allocations.values() if not a.host)


def find(address: int, size: int = 1, pinned: bool = False) -> Optional[Allocation]:
    """The device memory that holds ``size`` bytes from ``address`` on, or None. ``pinned``: the host's will do."""
    for allocation in list(_allocations.values()):
        if (pinned or not allocation.host) and allocation.address <= address:
            if address + size <= allocation.address + allocation.size:
                return allocation
    return None


def device_allocations() -> int:
    """How many allocations of device memory nobody freed yet."""
    return sum(not a.host for a in _allocations.values())


def new_stream() -> int:
    """Handle of a stream. What is put on it is done when it is synchronised, and not before."""
    with _lock:
        handle = 0x5000 + 16 * len(_streams)
        _streams[handle] = []
        return handle


def enqueue(stream: int, work: Callable[[], None]) -> bool:
    """Put work on a stream; on 0, the default one, it is done at once. False if there is no such stream."""
    if stream == 0:
        work()
        return True
    if stream not in _streams:
        return False
    _streams[stream].append(work)
    return True


def synchronise(stream: int) -> None:
    pending, _streams[stream] = _streams[stream], []
    for work in pending:
        work()


def synchronise_all() -> None:
    for stream in list(_streams):
        synchronise(stream)


def is_done(stream: int) -> bool:
    return not _streams[stream]


def view(address: int, shape: Any, dtype: Any) -> np.ndarray:
    """The array at an address; writing to it writes there."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = (ctypes.c_uint8 * size).from_address(address)
    return np.frombuffer(memory, dtype).reshape(shape)


def copy(target: int, source: int, size: int) -> None:
    """Move bytes; both ends were checked by the caller."""
    ctypes.memmove(target, source, size)
