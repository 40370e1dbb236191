"""Backends run the bundle's network; every one takes and gives NumPy arrays by tensor name."""

from typing import Optional

from edge.bundle import Bundle, Graph
from edge.errors import BackendError
from edge.runtime.backends.base import Backend

__all__ = ["Backend", "BACKENDS", "open_backend"]

#: What ``--backend`` accepts.
BACKENDS = ("auto", "ort")


def open_backend(bundle: Bundle, name: str = "auto", threads: int = 0, graph: Optional[Graph] = None) -> Backend:
    """Load a network of the bundle into a backend: the one that reconstructs, or another ``graph`` of it.

    name: "ort" (ONNX Runtime on the CPU) or "auto", which today means the same.
    threads: CPU threads of the network, 0 for the backend's own choice (one per core).
    Raises BackendError: unknown name, not installed, or a network that does not fit its manifest.
    """
    if name == "trt":
        raise BackendError("backend trt (TensorRT) is not in this version of carcloud; use --backend ort")
    if name not in BACKENDS:
        raise BackendError("unknown backend %r; this version has: %s" % (name, ", ".join(BACKENDS)))
    if threads < 0:
        raise BackendError("threads is %d; give 0 (one per core) or a positive number" % threads)
    from edge.runtime.backends.ort import OrtBackend  # onnxruntime is loaded only where it is chosen

    return OrtBackend(graph or bundle.graph, threads)
