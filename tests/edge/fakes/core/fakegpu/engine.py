"""The runtime: engines, and the contexts that execute them on the addresses they are given."""

import json
import warnings
from typing import Any, Dict, List, Union

import numpy as np

from fakegpu import device, knobs
from fakegpu.basics import Dims, IHostMemory, Severity, check, check_device, send, to_bytes
from fakegpu.network import Tensor, open_session, session_tensors
from fakegpu.plan import Plan, Refused, error_line, read_plan, refusal_lines


class Runtime:
    """Makes engines of bytes."""

    __slots__ = ("_logger",)
    _api: Any = None

    def __init__(self, logger: Any) -> None:
        check_device(logger, self._api.ILogger)
        self._logger = logger

    @property
    def logger(self) -> Any:
        return self._logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        data = to_bytes("deserialize_cuda_engine", serialized_engine)
        send(self._logger, Severity.INFO, "Loaded engine size: %d MiB" % (len(data) >> 20))
        try:
            return self._api.ICudaEngine(read_plan(data, self._api.generation), self._logger)
        except Refused as refused:
            for line in refusal_lines(self._api.generation, refused):
                send(self._logger, Severity.ERROR, line)
            return None


class ICudaEngine:
    """A built network."""

    __slots__ = ("_plan", "_logger", "_session", "_tensors", "_owner")
    _api: Any = None

    def __init__(self, plan: Plan, logger: Any) -> None:
        self._plan, self._logger = plan, logger
        self._session = open_session(plan.model)
        self._tensors: List[Tensor] = session_tensors(self._session, self._api.DataType.__members__)
        self._owner = device.runtime_current()

    def _old(self, successor: str) -> None:
        """From 8.5 on what asks by binding warns."""
        if self._api.generation.at_least("8.5"):
            warnings.warn("Use %s instead." % successor, DeprecationWarning, stacklevel=3)

    def _find(self, key: Union[int, str]) -> Tensor:
        index = self._index(key) if isinstance(key, str) else key
        if not 0 <= index < len(self._tensors):
            raise IndexError("no binding %r" % (key,))
        return self._tensors[index]

    def _index(self, name: str) -> int:
        names = [tensor.name for tensor in self._tensors]
        return names.index(name) if name in names else -1

    # --- by binding, up to 8.6

    @property
    def num_bindings(self) -> int:
        return len(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __getitem__(self, key: Union[int, str]) -> Union[int, str]:
        if isinstance(key, str) and not self._api.generation.at_least("10.3"):
            return self._index(key)
        check("__getitem__", key, int)
        index = int(key)
        return self._find(index + len(self._tensors) if index < 0 else index).name

    def get_binding_name(self, index: int) -> str:
        self._old("get_tensor_name")
        check("get_binding_name", index, int)
        return self._find(index).name

    def get_binding_index(self, name: str) -> int:
        self._old("get_tensor_name")
        check("get_binding_index", name, str)
        return self._index(name)

    def binding_is_input(self, index: Any = None, name: Any = None) -> bool:
        self._old("get_tensor_mode")
        return self._find(index if name is None else name).is_input

    def get_binding_shape(self, index: Any = None, name: Any = None) -> Dims:
        self._old("get_tensor_shape")
        return Dims(self._find(index if name is None else name).shape)

    def get_binding_dtype(self, index: Any = None, name: Any = None) -> Any:
        self._old("get_tensor_dtype")
        return getattr(self._api.DataType, self._find(index if name is None else name).dtype)

    @property
    def max_batch_size(self) -> int:
        return 1

    @property
    def has_implicit_batch_dimension(self) -> bool:
        return False

    # --- by tensor, from 8.5 on

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        check("get_tensor_name", index, int)
        return self._find(index).name

    def get_tensor_mode(self, name: str) -> Any:
        check("get_tensor_mode", name, str)
        if self._index(name) < 0:
            return self._api.TensorIOMode.NONE
        return self._api.TensorIOMode.INPUT if self._find(name).is_input else self._api.TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> Dims:
        check("get_tensor_shape", name, str)
        return Dims(self._find(name).shape)

    def get_tensor_dtype(self, name: str) -> Any:
        check("get_tensor_dtype", name, str)
        return getattr(self._api.DataType, self._find(name).dtype)

    def get_tensor_location(self, name: str) -> Any:
        check("get_tensor_location", name, str)
        return self._api.TensorLocation.DEVICE

    # --- all

    @property
    def name(self) -> str:
        return str(self._plan.header["name"])

    @property
    def num_layers(self) -> int:
        return int(self._plan.header["layers"])

    @property
    def num_optimization_profiles(self) -> int:
        return 1

    @property
    def profiling_verbosity(self) -> Any:
        return self._api.ProfilingVerbosity.LAYER_NAMES_ONLY

    @property
    def hardware_compatibility_level(self) -> Any:
        return self._api.HardwareCompatibilityLevel.NONE

    @property
    def device_memory_size(self) -> int:
        """As much as the file is long, in steps of 512 bytes."""
        return -(-len(self._plan.model) // 512) * 512

    @property
    def device_memory_size_v2(self) -> int:
        return -(-len(self._plan.model) // 512) * 512

    def serialize(self) -> IHostMemory:
        return IHostMemory(self._plan.to_bytes())

    def create_execution_context(self) -> Any:
        size = -(-len(self._plan.model) // 512) * 512
        if size > device.free_bytes():
            line = error_line(
                self._api.generation, "executeV2", 2, "OutOfMemory", "Requested size was %d bytes." % size
            )
            send(self._logger, Severity.ERROR, line)
            return None
        return self._api.IExecutionContext(self)

    def create_execution_context_without_device_memory(self) -> Any:
        return self._api.IExecutionContext(self)

    def create_engine_inspector(self) -> Any:
        return self._api.EngineInspector(self)


class EngineInspector:
    """Tells of an engine's layers."""

    __slots__ = ("execution_context", "_engine")
    _api: Any = None

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.execution_context = None

    def get_layer_information(self, layer_index: int, format: Any) -> str:
        check("get_layer_information", format, self._api.LayerInformationFormat)
        return json.dumps("layer %d" % layer_index)

    def get_engine_information(self, format: Any) -> str:
        check("get_engine_information", format, self._api.LayerInformationFormat)
        layers = ["layer %d" % index for index in range(self._engine.num_layers)]
        return json.dumps({"Layers": layers, "Bindings": [tensor.name for tensor in self._engine._tensors]})


class IExecutionContext:
    """Executes an engine."""

    __slots__ = ("name", "_engine", "_addresses", "_noise")
    _api: Any = None

    def __init__(self, engine: Any) -> None:
        self.name = ""
        self._engine = engine
        self._addresses: Dict[str, int] = {}
        self._noise = np.random.RandomState(0)

    @property
    def engine(self) -> Any:
        return self._engine

    @property
    def all_binding_shapes_specified(self) -> bool:
        return True

    @property
    def all_shape_inputs_specified(self) -> bool:
        return True

    # --- by binding

    def execute(self, batch_size: int = 1, bindings: Any = None) -> bool:
        return self.execute_v2(bindings)

    def execute_v2(self, bindings: List[int]) -> bool:
        return self._enqueue("executeV2", self._named(bindings), 0)

    def execute_async(
        self, batch_size: int = 1, bindings: Any = None, stream_handle: int = 0, input_consumed: Any = None
    ) -> bool:
        return self._enqueue("enqueueV2", self._named(bindings), stream_handle)

    def execute_async_v2(self, bindings: List[int], stream_handle: int, input_consumed: Any = None) -> bool:
        return self._enqueue("enqueueV2", self._named(bindings), stream_handle)

    def get_binding_shape(self, binding: int) -> Dims:
        return Dims(self._engine._find(binding).shape)

    def set_binding_shape(self, binding: int, shape: Any) -> bool:
        return self._same_shape(self._engine._find(binding), shape)

    # --- by tensor

    def set_tensor_address(self, name: str, memory: int) -> bool:
        check("set_tensor_address", name, str)
        check("set_tensor_address", memory, int)
        if self._engine._index(name) < 0:
            return self._fail("enqueueV3", 3, "API Usage Error", "Given invalid tensor name: %s" % name)
        self._addresses[name] = memory
        return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def set_input_shape(self, name: str, shape: Any) -> bool:
        return self._same_shape(self._engine._find(name), shape)

    def get_tensor_shape(self, name: str) -> Dims:
        return Dims(self._engine._find(name).shape)

    def infer_shapes(self) -> List[str]:
        return []

    def execute_async_v3(self, stream_handle: int) -> bool:
        return self._enqueue("enqueueV3", self._addresses, stream_handle)

    # ---

    def _named(self, bindings: Any) -> Dict[str, int]:
        check("execute", bindings, list, tuple)
        for binding in bindings:
            check("execute", binding, int)
        return {tensor.name: address for tensor, address in zip(self._engine._tensors, bindings)}

    def _same_shape(self, tensor: Tensor, shape: Any) -> bool:
        """Nothing but the shape it was built for."""
        if tuple(shape) == tensor.shape:
            return True
        sentence = "Static dimension mismatch while setting input shape for %s. Set dimensions are %s. Expected %s."
        sentence %= (tensor.name, list(shape), list(tensor.shape))
        return self._fail("enqueueV3", 3, "API Usage Error", sentence)

    def _enqueue(self, function: str, addresses: Dict[str, int], stream: int) -> bool:
        check(function, stream, int)
        owner = device.runtime_current()
        if knobs.run_fails():
            return self._fail(function, 1, "Cuda Runtime", "unspecified launch failure")
        if owner is not self._engine._owner:
            return self._fail(function, 1, "Cuda Runtime", "invalid resource handle")
        for index, tensor in enumerate(self._engine._tensors):
            address = addresses.get(tensor.name, 0)
            if not address:
                sentence = "Parameter check failed, condition: bindings[%d] != nullptr" % index
                return self._fail(function, 3, "API Usage Error", sentence)
            allocation = device.find(address, tensor.nbytes, pinned=True)
            if allocation is None or allocation.context not in (owner, None):
                return self._fail(function, 1, "Cuda Runtime", "an illegal memory access was encountered")
        wanted = dict(addresses)
        if not device.enqueue(stream, lambda: self._compute(wanted)):
            return self._fail(function, 1, "Cuda Runtime", "invalid resource handle")
        return True

    def _compute(self, addresses: Dict[str, int]) -> None:
        tensors = self._engine._tensors
        views = {tensor.name: device.view(addresses[tensor.name], tensor.shape, tensor.numpy) for tensor in tensors}
        inputs = {tensor.name: views[tensor.name].astype(tensor.given) for tensor in tensors if tensor.is_input}
        outputs = [tensor.name for tensor in tensors if not tensor.is_input]
        size = knobs.noise(self._engine._plan.header["precision"])
        for name, value in zip(outputs, self._engine._session.run(outputs, inputs)):
            if size and value.dtype.kind == "f":
                value = value + self._noise.uniform(-size, size, value.shape)
            views[name][...] = value

    def _fail(self, function: str, code: int, kind: str, sentence: str) -> bool:
        line = error_line(self._api.generation, function, code, kind, sentence)
        send(self._engine._logger, Severity.ERROR, line)
        return False


def nptype_table(api: Any) -> Dict[Any, Any]:
    """What nptype knows. Up to 8.5 it asks for np.bool, which NumPy 1.24 to 1.26 have not: AttributeError."""
    boolean = np.bool_ if api.generation.at_least("8.6") else np.bool  # type: ignore[attr-defined]
    known = {"FLOAT": np.float32, "HALF": np.float16, "INT8": np.int8, "INT32": np.int32, "BOOL": boolean}
    known.update({"UINT8": np.uint8, "INT64": np.int64})
    members = api.DataType.__members__
    return {members[name]: kind for name, kind in known.items() if name in members}
