"""Backends run the bundle's networks; every one takes and gives NumPy arrays by tensor name."""

import logging
from typing import Optional

from edge.bundle import Bundle, Graph
from edge.errors import BackendError, EngineError, SettingsError
from edge.runtime.backends.base import Backend
from edge.runtime.backends.fallback import Fallback
from edge.runtime.engine import api

__all__ = ["Backend", "BACKENDS", "Fallback", "open_backend"]

LOG = logging.getLogger("carcloud.backends")
#: What ``--backend`` accepts: what there is, TensorRT, and ONNX Runtime on the CPU, by CUDA, or by TensorRT.
BACKENDS = ("auto", "trt", "ort", "ort-cuda", "ort-trt")
#: What ``--precision`` accepts.
PRECISIONS = ("auto", "fp32", "fp16", "int8")


def open_backend(
    bundle: Bundle, name: str = "auto", threads: int = 0, graph: Optional[Graph] = None, precision: str = "auto",
    engines: Optional[str] = None,
) -> Backend:
    """Load a network of the bundle into a backend: the one that reconstructs, or another ``graph`` of it (in FP32).

    name: one of :data:`BACKENDS`. "auto" is TensorRT where that is installed and has an engine for this network, else
    ONNX Runtime; that it falls back is said once, with the reason.
    threads: CPU threads of the network, 0 for the backend's own choice (one per core).
    precision: one of :data:`PRECISIONS`; "auto" is the engine's own, whatever it is, and FP32 in ONNX Runtime.
    engines: folder of TensorRT's engines, None for the user's cache.
    Raises BackendError: unknown name, not installed, no engine that fits, or a network that does not fit its manifest.
    """
    if name not in BACKENDS:
        raise BackendError("unknown backend %r; this version has: %s" % (name, ", ".join(BACKENDS)))
    if precision not in PRECISIONS:
        raise SettingsError("unknown precision %r; give one of %s" % (precision, ", ".join(PRECISIONS)))
    if threads < 0:
        raise BackendError("threads is %d; give 0 (one per core) or a positive number" % threads)
    network = graph or bundle.graph
    if name == "trt" or (name == "auto" and api.is_installed()):
        try:
            return open_engine(bundle, network, precision, engines)
        except BackendError as error:
            if name == "trt":
                raise
            reason = str(error)
        LOG.warning("event=fallback %s. Until then ONNX Runtime runs it", reason)
        spare = _open_ort(bundle, network, "auto", threads, precision, reason)
        return Fallback(spare, lambda: open_engine(bundle, network, precision, engines))
    return _open_ort(bundle, network, name, threads, precision, "")


def open_engine(bundle: Bundle, graph: Graph, precision: str = "auto", engines: Optional[str] = None) -> Backend:
    """The TensorRT engine of a network that ``carcloud build`` made. Raises BackendError with what to type."""
    from edge.runtime.backends.cuda import open_cuda  # loads CUDA, only where it is chosen
    from edge.runtime.backends.trt import TrtBackend
    from edge.runtime.engine import recipe
    from edge.targets import l4t_version

    trt = api.import_tensorrt()
    network = recipe.network_of(graph)
    path = recipe.engine_path(engines, bundle.name, network)
    # Beside the network that reconstructs nothing is quantised: theirs are FP16 then.
    exact = None if precision == "auto" or network != recipe.network_of(bundle.graph) else precision
    cuda = open_cuda()
    try:
        with cuda.active():
            host = recipe.Host(str(trt.__version__), cuda.gpu().capability, l4t_version())
        facts = recipe.check_engine(path, bundle, graph, host, exact)
        with open(path, "rb") as handle:
            plan = handle.read()
    except BackendError:
        cuda.close()
        raise
    except (EngineError, OSError) as error:
        cuda.close()
        raise BackendError("there is no TensorRT engine of the %s to use: %s; type: %s" % (
            network, error, recipe.build_command(bundle, engines)))
    return TrtBackend(graph, plan, path, str(facts["precision"]), cuda)


def _open_ort(bundle: Bundle, graph: Graph, name: str, threads: int, precision: str, reason: str) -> Backend:
    """ONNX Runtime; reason: why TensorRT does not run, for the sentence if neither does."""
    from edge.runtime.backends.ort import open_ort  # onnxruntime is loaded only where it is chosen

    held = "fp32"
    if precision not in ("auto", "fp32") and graph == bundle.graph:
        on_gpu = name in ("ort-cuda", "ort-trt")
        held = "int8-cpu" if precision == "int8" and not on_gpu else precision
        graph = bundle.graph_at(held)
    try:
        return open_ort(graph, threads, name, held)
    except BackendError as error:
        raise BackendError("%s. And %s" % (reason, error)) if reason else error
