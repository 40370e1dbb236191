"""What the classes of a fake TensorRT share: loggers, dimensions, host memory, checks of arguments as pybind11's."""

import sys
import time
from typing import Any, Iterable, Tuple

from fakegpu import knobs
from fakegpu.enums import make_enum

#: One for all generations: it is the same in all.
Severity = make_enum("Severity", ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"), arithmetic=True)
#: The letter of each in the default logger's lines.
LETTERS = "FEWIV"


class LoggerType(type):
    """pybind11 refuses an object whose subclass forgot to call the base's __init__."""

    def __call__(cls, *args: Any, **keywords: Any) -> Any:
        made = super().__call__(*args, **keywords)
        if not getattr(made, "_initialised", False):
            raise TypeError("tensorrt.tensorrt.ILogger.__init__() must be called when overriding __init__")
        return made


class ILogger(metaclass=LoggerType):
    """Base of a logger of one's own."""

    __slots__ = ("_initialised",)

    def __init__(self) -> None:
        self._initialised = True

    def log(self, severity: Any, msg: str) -> None:
        sys.stderr.write('[ERROR] Exception caught in log(): Tried to call pure virtual function "ILogger::log"\n')


class Logger(ILogger):
    """Writes to standard output what is at least as severe as ``min_severity``."""

    __slots__ = ("min_severity",)

    def __init__(self, min_severity: Any = Severity.WARNING) -> None:
        check("__init__", min_severity, Severity)
        self._initialised = True
        self.min_severity = min_severity

    def log(self, severity: Any, msg: str) -> None:
        check("log", severity, Severity)
        if severity <= self.min_severity:
            stamp = time.strftime("%m/%d/%Y-%H:%M:%S")
            sys.stdout.write("[%s] [TRT] [%s] %s\n" % (stamp, LETTERS[int(severity)], msg))


def send(logger: Any, severity: Any, message: str) -> None:
    """Log a line as the C++ side does: what the logger raises goes to standard error and no further."""
    try:
        logger.log(severity, message)
    except Exception as error:  # noqa: BLE001
        sys.stderr.write("[ERROR] Exception caught in log(): %s: %s\n" % (type(error).__name__, error))


def check(function: str, value: Any, *kinds: type) -> None:
    """Raises TypeError, as a function of pybind11, where ``value`` is of none of the kinds."""
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds and int in kinds):
        raise TypeError(
            "%s(): incompatible function arguments. Wanted: %s. Invoked with: %r"
            % (function, " or ".join(kind.__name__ for kind in kinds), value)
        )


def check_device(logger: Any, base: type) -> None:
    """What makes the constructors fail: no logger, or no driver."""
    if not isinstance(logger, base):
        raise TypeError("__init__(): incompatible constructor arguments. Invoked with: %r" % (logger,))
    if knobs.no_gpu():
        send(logger, Severity.ERROR, "CUDA initialization failure with error: 35. Please check your CUDA installation")
        raise TypeError("pybind11::init(): factory function returned nullptr")


class Dims:
    """A shape. It equals a tuple and is none: it has no hash, and json does not know it."""

    __slots__ = ("_values",)

    def __init__(self, shape: Iterable[int] = ()) -> None:
        self._values: Tuple[int, ...] = tuple(int(value) for value in shape)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> Any:
        return self._values[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (tuple, list, Dims)) and self._values == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return str(self._values)


class IHostMemory(bytes):
    """Bytes whose buffer can be read; of what bytes can do besides it shows nothing."""

    def __getattribute__(self, name: str) -> Any:
        if name == "nbytes":
            return bytes.__len__(self)
        if name.startswith("__"):
            return bytes.__getattribute__(self, name)
        raise AttributeError("'tensorrt.tensorrt.IHostMemory' object has no attribute '%s'" % name)

    def __dir__(self) -> Any:
        return ["nbytes"]

    def __repr__(self) -> str:
        return "<tensorrt.tensorrt.IHostMemory object at 0x%x>" % id(self)

    __str__ = __repr__

    def __len__(self) -> int:
        raise TypeError("object of type 'tensorrt.tensorrt.IHostMemory' has no len()")

    def __getitem__(self, index: Any) -> Any:
        raise TypeError("'tensorrt.tensorrt.IHostMemory' object is not subscriptable")

    def __iter__(self) -> Any:
        raise TypeError("'tensorrt.tensorrt.IHostMemory' object is not iterable")


def to_bytes(function: str, data: Any) -> bytes:
    """A copy of a buffer. Raises TypeError where ``data`` is none."""
    try:
        return memoryview(data).tobytes()
    except TypeError:
        raise TypeError("%s(): incompatible function arguments. Invoked with: %r" % (function, type(data)))
