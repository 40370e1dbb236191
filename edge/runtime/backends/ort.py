"""ONNX Runtime: on the CPU the backend that runs anywhere, and the reference the others are compared with."""

import logging
import sys
from typing import Any, Dict, List, Optional, Tuple, Type

import numpy as np

from edge.bundle import Graph
from edge.errors import BackendError
from edge.runtime.backends.base import Backend

LOG = logging.getLogger("carcloud.backends")
CPU = "CPUExecutionProvider"
#: Provider of each backend's name.
PROVIDERS = {"ort": CPU, "ort-cuda": "CUDAExecutionProvider", "ort-trt": "TensorrtExecutionProvider"}


def install_hint(version: Optional[Tuple[int, ...]] = None) -> str:
    """The command that installs onnxruntime on this Python: 1.10.0 is the last one for 3.6."""
    version = sys.version_info[:3] if version is None else version
    return "python3 -m pip install onnxruntime" + ("==1.10.0" if version < (3, 7) else "")


def open_ort(graph: Graph, threads: int = 0, name: str = "ort", precision: str = "fp32") -> "OrtBackend":
    """A network in ONNX Runtime. name: one of :data:`PROVIDERS`, or "auto": by CUDA where that runs, else on the CPU.

    Raises BackendError, as :class:`OrtBackend` does.
    """
    if name != "auto":
        return OrtBackend(graph, threads, name, precision)
    if PROVIDERS["ort-cuda"] in import_onnxruntime().get_available_providers():
        try:
            return OrtBackend(graph, threads, "ort-cuda", precision)
        except BackendError as error:
            LOG.warning("event=fallback %s. It runs on the CPU", error)
    return OrtBackend(graph, threads, precision=precision)


def import_onnxruntime() -> Any:
    """The onnxruntime module. Raises BackendError with the command that installs it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendError(
            "backend ort needs onnxruntime, which does not import (%s). Type: %s" % (error, install_hint())
        )
    return onnxruntime


def runtime_errors(runtime: Any) -> Tuple[Type[Exception], ...]:
    """What onnxruntime raises: a dozen classes of its own without a common base, and two of Python's."""
    own = vars(runtime.capi.onnxruntime_pybind11_state).values()
    return (RuntimeError, ValueError) + tuple(c for c in own if isinstance(c, type) and issubclass(c, Exception))


class OrtBackend(Backend):
    """A network in ONNX Runtime.

    threads: CPU threads, 0 for one per core. name: which provider, see :data:`PROVIDERS`. precision: that of the graph.
    Raises BackendError: onnxruntime missing, provider not there, file refused, names or shapes other than the
    manifest's.
    """

    def __init__(self, graph: Graph, threads: int = 0, name: str = "ort", precision: str = "fp32") -> None:
        self.precision = precision
        runtime = import_onnxruntime()
        self.name, path, provider = name, graph.path, PROVIDERS[name]
        there = runtime.get_available_providers()
        if provider not in there:
            raise BackendError(
                "backend %s needs an onnxruntime with %s, this one has %s; install onnxruntime-gpu (on a Jetson: the "
                "wheel of NVIDIA's Jetson Zoo), or type --backend ort" % (name, provider, ", ".join(there))
            )
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait for work in a loop are quick where one network has the machine to itself. Here three and the
        # threads that capture, colour and serve share it: on two cores half of all time went into waiting.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            wanted = list(dict.fromkeys([provider, CPU]))
            session = runtime.InferenceSession(path, sess_options=options, providers=wanted)
        except runtime_errors(runtime) as error:
            raise BackendError(
                "onnxruntime %s refuses %s (%s); export the bundle again, with opset 13"
                % (runtime.__version__, path, error)
            )
        # onnxruntime drops a provider it cannot start and goes on without a word; what runs is what counts.
        if session.get_providers()[0] != provider:
            raise BackendError(
                "onnxruntime runs %s instead of %s; type: %s" % (session.get_providers(), provider, "carcloud doctor"
                    if provider != CPU else install_hint())
            )  # fmt: skip
        _check_tensor(path, "input", session.get_inputs(), graph.input_name, graph.input_shape)
        for name, shape in graph.outputs.items():
            _check_tensor(path, "output", session.get_outputs(), name, shape)
        self._session: Any = session
        self._errors = runtime_errors(runtime)
        self._outputs = list(graph.outputs)
        where = "%d threads" % threads if threads else "one thread per core"
        self.detail = "onnxruntime %s, %s, %s%s" % (
            runtime.__version__, provider[: -len("ExecutionProvider")], "" if precision == "fp32" else precision + ", ",
            where)

    def run(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        if self._session is None:
            raise BackendError("this backend was closed; open it again")
        try:
            values = self._session.run(self._outputs, inputs)
        except self._errors as error:
            raise BackendError("the network refused its input: %s" % error)
        return dict(zip(self._outputs, values))

    def close(self) -> None:
        self._session = None


def _check_tensor(path: str, role: str, found: List[Any], name: str, shape: Tuple[int, ...]) -> None:
    names = [tensor.name for tensor in found]
    if name not in names:
        raise BackendError(
            "%s has %s %s and its manifest says %s; export the bundle again" % (path, role, ", ".join(names), name)
        )
    real = tuple(found[names.index(name)].shape)
    if real != shape:
        raise BackendError(
            "%s has %s %s of shape %s and its manifest says %s; export the bundle again"
            % (path, role, name, real, shape)
        )
