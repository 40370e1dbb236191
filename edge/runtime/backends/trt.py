"""TensorRT: runs an engine that ``carcloud build`` made for this very device."""

from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from edge.bundle import Graph
from edge.errors import BackendError
from edge.runtime.backends.base import Backend
from edge.runtime.backends.cuda import Cuda, open_cuda
from edge.runtime.engine.api import Log, Tensor, import_tensorrt, make, tensors


class TrtBackend(Backend):
    """An engine with static shapes, executed by ``execute_v2``, which TensorRT has from 8.0 to 11.1.

    Buffers are made once. Any thread may run it (CUDA's context is made current for each run), one at a time.
    plan: the engine. where: its file, for sentences. precision: what it computes in. cuda: the GPU's memory, which is
    this backend's from now on and closed with it; opened here unless given.
    Raises BackendError: TensorRT or the GPU's Python package missing, an engine TensorRT refuses, other tensors than
    the graph's, no memory.
    """

    name = "trt"

    def __init__(self, graph: Graph, plan: bytes, where: str, precision: str, cuda: Optional[Cuda] = None) -> None:
        self.precision = precision
        trt = import_tensorrt()
        self._cuda: Optional[Cuda] = cuda or open_cuda()
        try:
            with self._cuda.active():
                self._open(trt, graph, plan, where)
                gpu = self._cuda.gpu()
        except BaseException:
            self.close()
            raise
        self.detail = "TensorRT %s, %s, %s, %s" % (trt.__version__, precision, gpu.name, self._cuda.name)

    def _open(self, trt: Any, graph: Graph, plan: bytes, where: str) -> None:
        self._log = Log(trt)
        self._runtime = make(trt.Runtime, self._log)  # an engine does not outlive its runtime
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise BackendError("TensorRT %s refuses the engine %s (%s); type: carcloud build --rebuild" % (
                trt.__version__, where, self._log.why()))
        found = tensors(trt, self._engine)
        _check(graph, found, where)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BackendError("there is no memory to run the engine %s in (%s); end other programs, then try again" % (
                where, self._log.why()))
        self._inputs = [tensor for tensor in found if tensor.is_input]
        # In the graph's order, which is that of the manifest.
        by_name = {tensor.name: tensor for tensor in found}
        self._outputs = [by_name[name] for name in graph.outputs]
        assert self._cuda is not None
        self._addresses = [self._cuda.allocate(4 * int(np.prod(tensor.shape))) for tensor in found]
        self._hosts = {tensor.name: self._cuda.host(tensor.shape) for tensor in self._outputs}

    def buffer(self, shape: Tuple[int, ...]) -> np.ndarray:
        if self._cuda is None:
            raise BackendError("this backend was closed; open it again")
        with self._cuda.active():
            return self._cuda.host(shape)

    def run(self, inputs: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        if self._cuda is None:
            raise BackendError("this backend was closed; open it again")
        with self._cuda.active():
            for tensor in self._inputs:
                self._cuda.copy_in(self._addresses[tensor.position], _fitting(tensor, inputs))
            if not self._context.execute_v2(self._addresses):
                raise BackendError("TensorRT could not run the network (%s); type: carcloud doctor" % self._log.why())
            for tensor in self._outputs:
                self._cuda.copy_out(self._hosts[tensor.name], self._addresses[tensor.position])
        # Copies, because results are still used while the next picture is in the network.
        return {tensor.name: self._hosts[tensor.name].copy() for tensor in self._outputs}

    def close(self) -> None:
        cuda, self._cuda = self._cuda, None
        if cuda is None:
            return
        with cuda.active():
            # In this order: each needs the next.
            self._context = self._engine = self._runtime = None
            self._hosts = {}
        cuda.close()


def _fitting(tensor: Tensor, inputs: Dict[str, np.ndarray]) -> np.ndarray:
    """The input of a tensor, contiguous float32. Raises BackendError."""
    value = inputs.get(tensor.name)
    if value is None or tuple(value.shape) != tensor.shape:
        given = ", ".join("%s %s" % (name, tuple(array.shape)) for name, array in inputs.items()) or "nothing"
        raise BackendError("the network refused its input: it wants %s %s and got %s" % (
            tensor.name, tensor.shape, given))
    return np.ascontiguousarray(value, np.float32)


def _check(graph: Graph, found: List[Tensor], where: str) -> None:
    """The engine has the graph's tensors. Raises BackendError."""
    real = {tensor.name: tensor.shape for tensor in found}
    wanted = dict(graph.outputs, **{graph.input_name: graph.input_shape})
    odd = [tensor.name for tensor in found if not tensor.is_float32]
    if real != wanted or odd:
        raise BackendError("the engine %s has the tensors %s%s and the bundle's network has %s; type: carcloud build "
                           "--rebuild" % (where, real, " (not float32: %s)" % ", ".join(odd) if odd else "", wanted))
