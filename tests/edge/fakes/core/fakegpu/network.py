"""The network definition and the ONNX parser that fills it."""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from fakegpu import knobs
from fakegpu.basics import Dims, Severity, check, send, to_bytes
from fakegpu.onnxfile import Graph, read_graph

#: onnxruntime's tensor types: (NumPy, DataType, DataType where the generation has it, else the first).
TYPES = {
    "tensor(float)": (np.float32, "FLOAT"),
    "tensor(float16)": (np.float16, "HALF"),
    "tensor(double)": (np.float64, "FLOAT"),
    "tensor(int8)": (np.int8, "INT8"),
    "tensor(uint8)": (np.uint8, "UINT8"),
    "tensor(int32)": (np.int32, "INT32"),
    "tensor(int64)": (np.int64, "INT64"),
    "tensor(bool)": (np.bool_, "BOOL"),
}
NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "INT8": np.int8, "UINT8": np.uint8, "INT32": np.int32}
NUMPY.update({"INT64": np.int64, "BOOL": np.bool_})


class Tensor(NamedTuple):
    """An input or output. given: what onnxruntime takes or gives. dtype: name in DataType, narrower on older ones."""

    name: str
    shape: Tuple[int, ...]
    given: Any
    dtype: str
    is_input: bool

    @property
    def numpy(self) -> Any:
        return NUMPY[self.dtype]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.numpy).itemsize


def open_session(model: bytes) -> Any:
    """The file in onnxruntime, on one thread. Raises one of a dozen classes of its own."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])


def session_tensors(session: Any, data_types: Dict[str, int]) -> List[Tensor]:
    """Inputs, then outputs. A size that is not fixed is -1. A type that the generation has not becomes 32 bits wide."""
    tensors = []
    for is_input, values in ((True, session.get_inputs()), (False, session.get_outputs())):
        for value in values:
            given, dtype = TYPES[value.type]
            dtype = {"INT64": "INT32", "UINT8": "INT32"}[dtype] if dtype not in data_types else dtype
            shape = tuple(size if isinstance(size, int) else -1 for size in value.shape)
            tensors.append(Tensor(value.name, shape, given, dtype, is_input))
    return tensors


class ITensor:
    """A tensor of the network."""

    __slots__ = ("name", "dtype", "_shape", "_is_input")
    _api: Any = None

    def __init__(self, tensor: Tensor) -> None:
        self.name = tensor.name
        self.dtype = getattr(self._api.DataType, tensor.dtype)
        self._shape = tensor.shape
        self._is_input = tensor.is_input

    @property
    def shape(self) -> Dims:
        return Dims(self._shape)

    @property
    def is_network_input(self) -> bool:
        return self._is_input

    @property
    def is_network_output(self) -> bool:
        return not self._is_input


class ILayer:
    """A layer: here each node of the file is one. Its precision can be asked for where typing is not strong."""

    __slots__ = ("name", "_precision", "_output_types")
    _api: Any = None

    def __init__(self, name: str) -> None:
        self.name = name
        self._precision: Any = None
        self._output_types: Dict[int, Any] = {}

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def precision(self) -> Any:
        return self._precision or self._api.DataType.FLOAT

    @precision.setter
    def precision(self, dtype: Any) -> None:
        check("precision", dtype, self._api.DataType)
        self._precision = dtype

    @property
    def precision_is_set(self) -> bool:
        return self._precision is not None

    def reset_precision(self) -> None:
        self._precision = None

    def set_output_type(self, index: int, dtype: Any) -> None:
        check("set_output_type", dtype, self._api.DataType)
        self._output_types[index] = dtype

    def get_output_type(self, index: int) -> Any:
        return self._output_types.get(index, self._api.DataType.FLOAT)

    def output_type_is_set(self, index: int) -> bool:
        return index in self._output_types

    def reset_output_type(self, index: int) -> None:
        self._output_types.pop(index, None)


class INetworkDefinition:
    """Empty until a parser fills it."""

    __slots__ = ("name", "_flags", "_layers", "_tensors", "_model", "_graph")
    _api: Any = None

    def __init__(self, flags: int) -> None:
        self.name = "Unnamed Network 0"
        self._flags = flags
        self._layers: List[Any] = []
        self._tensors: List[Tensor] = []
        self._model = b""
        self._graph: Optional[Graph] = None

    def _has(self, flag: str) -> bool:
        number = self._api.NetworkDefinitionCreationFlag.__members__.get(flag)
        return number is not None and bool(self._flags & 1 << int(number))

    @property
    def _strongly_typed(self) -> bool:
        return self._api.generation.at_least("11.1") or self._has("STRONGLY_TYPED")

    def _side(self, is_input: bool) -> List[Tensor]:
        return [tensor for tensor in self._tensors if tensor.is_input == is_input]

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: int) -> Any:
        return self.get_layer(index)

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    @property
    def num_inputs(self) -> int:
        return len(self._side(True))

    @property
    def num_outputs(self) -> int:
        return len(self._side(False))

    def get_layer(self, index: int) -> Any:
        return self._layers[index]

    def get_input(self, index: int) -> Any:
        return self._api.ITensor(self._side(True)[index]) if index < self.num_inputs else None

    def get_output(self, index: int) -> Any:
        return self._api.ITensor(self._side(False)[index]) if index < self.num_outputs else None

    @property
    def has_implicit_batch_dimension(self) -> bool:
        return not self._api.generation.at_least("10.3") and not self._has("EXPLICIT_BATCH")

    @property
    def has_explicit_precision(self) -> bool:
        return self._has("EXPLICIT_PRECISION")

    @property
    def flags(self) -> int:
        return self._flags

    def get_flag(self, flag: Any) -> bool:
        check("get_flag", flag, self._api.NetworkDefinitionCreationFlag)
        return bool(self._flags & 1 << int(flag))


class ParserError:
    """Why the parser refused; node is -1 where no node is to blame."""

    __slots__ = ("_code", "_desc", "_func", "_node", "_name", "_operator")
    _api: Any = None

    def __init__(self, code: str, desc: str, func: str, node: int = -1, name: str = "", operator: str = "") -> None:
        self._code, self._desc, self._func = getattr(self._api.ErrorCode, code), desc, func
        self._node, self._name, self._operator = node, name, operator

    def code(self) -> Any:
        return self._code

    def desc(self) -> str:
        return self._desc

    def file(self) -> str:
        return "ModelImporter.cpp"

    def line(self) -> int:
        return 0

    def func(self) -> str:
        return self._func

    def node(self) -> int:
        return self._node

    def node_name(self) -> str:
        return self._name

    def node_operator(self) -> str:
        return self._operator

    def __str__(self) -> str:
        return "In node %d (%s): %s: %s" % (self._node, self._func, self._code.name, self._desc)

    __repr__ = __str__


class OnnxParser:
    """Fills a network from a file that onnxruntime loads."""

    __slots__ = ("_network", "_logger", "_errors", "_flags")
    _api: Any = None

    def __init__(self, network: Any, logger: Any) -> None:
        check("__init__", network, self._api.INetworkDefinition)
        check("__init__", logger, self._api.ILogger)
        self._network, self._logger = network, logger
        self._errors: List[Any] = []
        self._flags = 0

    def parse(self, model: Any, path: Optional[str] = None) -> bool:
        data = to_bytes("parse", model)
        if self._network.has_implicit_batch_dimension:
            sentence = "This version of the ONNX parser only supports TensorRT INetworkDefinitions with an explicit"
            return self._fail("INVALID_VALUE", sentence + " batch dimension.", "importModel")
        try:
            graph = read_graph(data)
            tensors = session_tensors(open_session(data), self._api.DataType.__members__)
        except Exception as error:  # noqa: BLE001  onnxruntime's errors have no common base
            return self._fail("MODEL_DESERIALIZE_FAILED", "Failed to parse the ONNX model. (%s)" % error, "parse")
        if "refuse" in knobs.build():
            name, kind = graph.nodes[-1]
            sentence = "No importer registered for op: %s" % kind
            return self._fail("UNSUPPORTED_NODE", sentence, "parseGraph", len(graph.nodes) - 1, name, kind)
        self._network._graph, self._network._model, self._network._tensors = graph, data, tensors
        self._network._layers = [self._api.ILayer(name) for name, _ in graph.nodes]
        return True

    def parse_from_file(self, model: str) -> bool:
        if not os.path.isfile(model):
            return self._fail("MODEL_DESERIALIZE_FAILED", "Could not open file %s" % model, "parseFromFile")
        with open(model, "rb") as file:
            return self.parse(file.read())

    def supports_model(self, model: Any, path: Optional[str] = None) -> Tuple[bool, List[Any]]:
        scratch = self._api.OnnxParser(self._network, self._logger)
        return scratch.parse(model, path), []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def clear_errors(self) -> None:
        self._errors = []

    @property
    def flags(self) -> int:
        return self._flags

    @flags.setter
    def flags(self, flags: int) -> None:
        self._flags = int(flags)

    def set_flag(self, flag: Any) -> None:
        check("set_flag", flag, self._api.OnnxParserFlag)
        self._flags |= 1 << int(flag)

    def clear_flag(self, flag: Any) -> None:
        check("clear_flag", flag, self._api.OnnxParserFlag)
        self._flags &= ~(1 << int(flag))

    def get_flag(self, flag: Any) -> bool:
        check("get_flag", flag, self._api.OnnxParserFlag)
        return bool(self._flags & 1 << int(flag))

    def _fail(self, code: str, sentence: str, func: str, node: int = -1, name: str = "", operator: str = "") -> bool:
        error = self._api.ParserError(code, sentence, func, node, name, operator)
        self._errors.append(error)
        send(self._logger, Severity.ERROR, "ModelImporter.cpp:%d: %s" % (error.line(), error))
        return False
