"""The GPU's memory behind one small class: with pycuda (JetPack 4 and 5) and with cuda-python (JetPack 6 and later).

Pinned host memory is what the GPU copies from and to without the driver's detour through a buffer of its own. On a
Jetson whose processor does not share its caches with the GPU (compute capability below 7.2: Nano, TX1, TX2) it is
uncached for the processor, so that ordinary memory is the better choice ("CUDA for Tegra", I/O coherency and pinned
memory guidelines): ``pins`` says which it is here. Not measured on a board.
"""

import contextlib
import ctypes
from typing import Any, Iterator, List, NamedTuple, Tuple

import numpy as np

from edge.errors import BackendError

#: Jetsons from this compute capability on share caches.
COHERENT = (7, 2)


class Gpu(NamedTuple):
    """name: of the GPU. capability: compute capability, "8.7". integrated: shares the processor's memory.
    free_mib, total_mib: of its memory."""

    name: str
    capability: str
    integrated: bool
    free_mib: int
    total_mib: int


class Cuda:
    """Device memory. Everything happens within :meth:`active`, in whatever thread that is entered.

    name: package and version. pins: whether :meth:`host` gives pinned memory.
    """

    name = ""

    def __init__(self) -> None:
        with self.active():
            gpu = self.gpu()
        number = tuple(int(part) for part in gpu.capability.split("."))
        self.pins = not gpu.integrated or number >= COHERENT

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Makes the GPU current in this thread."""
        raise NotImplementedError

    def gpu(self) -> Gpu:
        """What the GPU is."""
        raise NotImplementedError

    def allocate(self, size: int) -> int:
        """Address of ``size`` bytes on the device. Raises BackendError: there is no room."""
        raise NotImplementedError

    def host(self, shape: Tuple[int, ...]) -> np.ndarray:
        """A float32 array in the processor's memory, pinned where that is good. Raises BackendError."""
        return self._pinned(shape) if self.pins else np.zeros(shape, np.float32)

    def copy_in(self, address: int, array: np.ndarray) -> None:
        """A contiguous float32 array to the device."""
        raise NotImplementedError

    def copy_out(self, array: np.ndarray, address: int) -> None:
        """From the device into a contiguous float32 array."""
        raise NotImplementedError

    def close(self) -> None:
        """Free everything; outside of :meth:`active`. Arrays of :meth:`host` must not be used any more."""
        raise NotImplementedError

    def _pinned(self, shape: Tuple[int, ...]) -> np.ndarray:
        raise NotImplementedError


class PyCuda(Cuda):
    """pycuda. The device's primary context is shared by all networks; an old pycuda makes one for each."""

    def __init__(self, pycuda: Any, driver: Any) -> None:
        self._driver = driver
        self.name = "pycuda %s" % getattr(pycuda, "VERSION_TEXT", "")
        try:
            driver.init()
            self._device = driver.Device(0)
            if hasattr(self._device, "retain_primary_context"):
                self._context = self._device.retain_primary_context()
            else:
                self._context = self._device.make_context()
                self._context.pop()  # make_context leaves it current in this thread
        except driver.Error as error:
            raise BackendError("pycuda finds no GPU it can use (%s); type: carcloud doctor" % error)
        self._buffers: List[Any] = []
        super(PyCuda, self).__init__()

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        self._context.push()
        try:
            yield
        except self._driver.Error as error:
            raise BackendError("the GPU refused: %s; type: carcloud doctor" % error)
        finally:
            self._context.pop()

    def gpu(self) -> Gpu:
        free, total = self._driver.mem_get_info()
        integrated = self._device.get_attribute(self._driver.device_attribute.INTEGRATED)
        capability = "%d.%d" % tuple(self._device.compute_capability())
        return Gpu(self._device.name(), capability, bool(integrated), int(free) >> 20, int(total) >> 20)

    def allocate(self, size: int) -> int:
        self._buffers.append(self._driver.mem_alloc(size))
        return int(self._buffers[-1])

    def copy_in(self, address: int, array: np.ndarray) -> None:
        self._driver.memcpy_htod(address, array)

    def copy_out(self, array: np.ndarray, address: int) -> None:
        self._driver.memcpy_dtoh(array, address)

    def close(self) -> None:
        if self._context is None:
            return
        with self.active():
            for buffer in self._buffers:
                buffer.free()
        self._buffers = []
        self._context.detach()
        self._context = None

    def _pinned(self, shape: Tuple[int, ...]) -> np.ndarray:
        return np.asarray(self._driver.pagelocked_empty(shape, np.float32))


class CudaPython(Cuda):
    """cuda-python: CUDA's runtime, which makes the device's primary context current by itself."""

    def __init__(self, runtime: Any, version: str) -> None:
        self._cuda = runtime
        self.name = "cuda-python %s" % version
        self._buffers: List[int] = []
        self._hosts: List[int] = []
        super(CudaPython, self).__init__()

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        self._call("cudaSetDevice", 0)
        yield

    def gpu(self) -> Gpu:
        facts = self._call("cudaGetDeviceProperties", 0)
        free, total = self._call("cudaMemGetInfo")
        name = facts.name.decode("utf-8", "replace") if isinstance(facts.name, bytes) else str(facts.name)
        capability = "%d.%d" % (facts.major, facts.minor)
        return Gpu(name.rstrip("\0"), capability, bool(facts.integrated), int(free) >> 20, int(total) >> 20)

    def allocate(self, size: int) -> int:
        self._buffers.append(int(self._call("cudaMalloc", size)))
        return self._buffers[-1]

    def copy_in(self, address: int, array: np.ndarray) -> None:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpy", address, array.ctypes.data, array.nbytes, kind)

    def copy_out(self, array: np.ndarray, address: int) -> None:
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpy", array.ctypes.data, address, array.nbytes, kind)

    def close(self) -> None:
        buffers, hosts = self._buffers, self._hosts
        self._buffers, self._hosts = [], []
        for address in buffers:
            self._call("cudaFree", address)
        for address in hosts:
            self._call("cudaFreeHost", address)

    def _pinned(self, shape: Tuple[int, ...]) -> np.ndarray:
        count = int(np.prod(shape))
        address = int(self._call("cudaMallocHost", 4 * count))
        self._hosts.append(address)
        return np.ctypeslib.as_array((ctypes.c_float * count).from_address(address)).reshape(shape)

    def _call(self, name: str, *arguments: Any) -> Any:
        """A function of the runtime; what it gives beside its error. Raises BackendError."""
        try:
            result = getattr(self._cuda, name)(*arguments)
        except RuntimeError as error:  # without a driver, what loads it raises instead of giving a status
            raise BackendError("CUDA's %s failed: %s; type: carcloud doctor" % (name, error))
        status, values = self._split(result)
        if int(status) != 0:
            words = self._split(self._cuda.cudaGetErrorString(status))[1]
            text = words[0].decode("utf-8", "replace") if words and isinstance(words[0], bytes) else str(words[:1])
            raise BackendError("CUDA's %s failed: %s (error %d); type: carcloud doctor" % (name, text, int(status)))
        return values[0] if len(values) == 1 else values

    @staticmethod
    def _split(result: Any) -> Tuple[Any, Tuple[Any, ...]]:
        """Every function gives a tuple whose first is the error."""
        return (result[0], tuple(result[1:])) if isinstance(result, tuple) else (result, ())


def open_cuda() -> Cuda:
    """The GPU by cuda-python, or by pycuda. Raises BackendError: neither is there, or there is no GPU."""
    try:
        from cuda import bindings
        from cuda.bindings import runtime

        return CudaPython(runtime, str(bindings.__version__))
    except ImportError:
        pass
    try:
        import cuda
        from cuda import cudart

        return CudaPython(cudart, str(getattr(cuda, "__version__", "12")))  # a namespace has no version
    except ImportError:
        pass
    try:
        import pycuda
        import pycuda.driver as driver

        return PyCuda(pycuda, driver)
    except ImportError as error:
        raise BackendError(
            "TensorRT needs pycuda or cuda-python for the GPU's memory, and neither imports (%s). On JetPack 4 and 5: "
            "python3 -m pip install pycuda   (with /usr/local/cuda/bin in PATH); later: python3 -m pip install "
            "cuda-python" % error
        )
