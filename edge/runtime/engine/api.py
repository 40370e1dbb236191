"""TensorRT's Python module from 8.0 to 11.1: features are detected, versions never compared (docs/engines.md).

What each version has was read in its bindings (NVIDIA/TensorRT, python/src/infer/pyCore.cpp of each release).
"""

import importlib.util
from typing import Any, Callable, List, NamedTuple, Tuple

from edge.errors import BackendError

INSTALL = (
    "on a Jetson: sudo apt-get install python3-libnvinfer, and a virtual environment made with --system-site-packages; "
    "on a PC: python3 -m pip install tensorrt"
)
#: Severities of what goes wrong.
ERRORS = ("INTERNAL_ERROR", "ERROR")


def is_installed() -> bool:
    """Whether there is a ``tensorrt`` module, without loading it: that takes seconds and much memory on a Nano."""
    return importlib.util.find_spec("tensorrt") is not None


def import_tensorrt() -> Any:
    """The tensorrt module. Raises BackendError with the commands that install it."""
    try:
        import tensorrt
    except ImportError as error:
        raise BackendError("TensorRT's Python module does not import (%s); %s" % (error, INSTALL))
    return tensorrt


class Log:
    """Takes what TensorRT says. on_line: called with (severity, text) for every line, down to VERBOSE.

    logger: what TensorRT's classes want; keep it as long as them.
    """

    def __init__(self, trt: Any, on_line: Callable[[str, str], None] = lambda severity, text: None) -> None:
        self._errors: List[str] = []

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, text: str) -> None:
                name = str(severity).rpartition(".")[2]
                if name in ERRORS:
                    keep(text)
                on_line(name, text)

        keep = self._errors.append
        self.logger = Logger()

    def why(self) -> str:
        """The errors since the last call; of many the first ones, which are those that say something."""
        told = "; ".join(text.strip() for text in self._errors[:3])
        del self._errors[:]
        return told or "it does not say why"


def make(kind: Any, log: Log) -> Any:
    """A Builder or Runtime of TensorRT's. Raises BackendError where it makes none: without a driver or memory."""
    try:
        made = kind(log.logger)
    except TypeError as error:  # pybind11: "factory function returned nullptr"
        raise BackendError("TensorRT makes no %s (%s; %s); type: carcloud doctor" % (kind.__name__, error, log.why()))
    return made


class Tensor(NamedTuple):
    """An input or output of an engine. position: its place in the list that ``execute_v2`` takes."""

    name: str
    is_input: bool
    shape: Tuple[int, ...]
    is_float32: bool
    position: int


def tensors(trt: Any, engine: Any) -> List[Tensor]:
    """Inputs and outputs of an engine: named tensors from 8.5 on, bindings before."""
    found = []
    if hasattr(engine, "num_io_tensors"):
        for n in range(engine.num_io_tensors):
            name = engine.get_tensor_name(n)
            is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
            # trt.nptype is of no use: up to 8.6 it names numpy.bool, which newer NumPy does not have.
            is_float = engine.get_tensor_dtype(name) == trt.DataType.FLOAT
            found.append(Tensor(name, is_input, tuple(engine.get_tensor_shape(name)), is_float, n))
    else:
        for n in range(engine.num_bindings):
            is_float = engine.get_binding_dtype(n) == trt.DataType.FLOAT
            name, shape = engine.get_binding_name(n), tuple(engine.get_binding_shape(n))
            found.append(Tensor(name, bool(engine.binding_is_input(n)), shape, is_float, n))
    return found


def is_strongly_typed(trt: Any) -> bool:
    """Whether precisions live in the ONNX file alone: TensorRT 11 has no flags for them."""
    return not hasattr(trt.BuilderFlag, "FP16")


def creation_flags(trt: Any) -> int:
    """For ``create_network``: explicit batch where that is a choice, strong typing where it is the only way."""
    flags, names = 0, trt.NetworkDefinitionCreationFlag
    if hasattr(names, "EXPLICIT_BATCH"):
        flags |= 1 << int(names.EXPLICIT_BATCH)
    if is_strongly_typed(trt) and hasattr(names, "STRONGLY_TYPED"):
        flags |= 1 << int(names.STRONGLY_TYPED)
    return flags


def fast(trt: Any, builder: Any, precision: str, capability: str) -> bool:
    """Whether the GPU computes faster in "fp16" or "int8" than in FP32.

    TensorRT tells until 10; 11 dropped the question together with the GPUs of which the answer is no, so there it
    follows from the compute capability ("8.7"): INT8 from 6.1 on, but not 6.2 (CUDA C programming guide, arithmetic
    instructions).
    """
    told = getattr(builder, "platform_has_fast_" + precision, None)
    if told is not None:
        return bool(told)
    number = tuple(int(part) for part in capability.split("."))
    return precision == "fp16" or (number >= (6, 1) and number != (6, 2))


def set_workspace(trt: Any, config: Any, mib: int) -> None:
    """Limit the builder's scratch memory."""
    if hasattr(config, "set_memory_pool_limit"):
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, mib << 20)
    else:
        config.max_workspace_size = mib << 20


def set_precision(trt: Any, config: Any, precision: str) -> None:
    """Allow the precision, and FP16 beside INT8 for what is not quantised. Nothing to do with strong typing."""
    if is_strongly_typed(trt):
        return
    for name, wanted in (("FP16", ("fp16", "int8")), ("INT8", ("int8",))):
        if precision in wanted:
            config.set_flag(getattr(trt.BuilderFlag, name))


def parse_errors(parser: Any) -> str:
    """What the ONNX parser complains of, in one line: the node, by operator and name from TensorRT 10 on, and why."""
    lines = []
    for error in (parser.get_error(n) for n in range(parser.num_errors)):
        told = [getattr(error, name)() for name in ("node_operator", "node_name") if hasattr(error, name)]
        lines.append("node %s: %s" % (" ".join(["%d" % error.node()] + told), error.desc().strip()))
    return "; ".join(lines) or "it does not say why"
