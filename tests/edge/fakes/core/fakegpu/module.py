"""Makes a module of the classes: ``tensorrt`` of one version."""

from types import SimpleNamespace
from typing import Any, Dict, Iterable

from fakegpu import basics, builder, engine, network
from fakegpu.enums import make_enum
from fakegpu.generations import ARITHMETIC, MEMBERS, generation_of

CLASSES = (
    network.ITensor, network.ILayer, network.INetworkDefinition, network.ParserError, network.OnnxParser,
    builder.ITimingCache, builder.IBuilderConfig, builder.Builder,
    engine.Runtime, engine.ICudaEngine, engine.EngineInspector, engine.IExecutionContext,
)  # fmt: skip
#: DataType members at module level.
SHORT = {
    "float32": "FLOAT", "float16": "HALF", "int8": "INT8", "int32": "INT32", "bool": "BOOL", "uint8": "UINT8",
    "fp8": "FP8", "bfloat16": "BF16", "int64": "INT64", "int4": "INT4", "fp4": "FP4", "e8m0": "E8M0",
}  # fmt: skip
#: Bytes of one element; what is smaller than a byte has none.
ITEM_SIZES = {"FLOAT": 4, "HALF": 2, "INT8": 1, "INT32": 4, "BOOL": 1, "UINT8": 1, "FP8": 1, "BF16": 2, "INT64": 8}


def fill(module: Dict[str, Any], version: str) -> None:
    """Put into a module's globals what this version of TensorRT has."""
    generation = generation_of(version)
    api = SimpleNamespace(generation=generation)
    for name in MEMBERS:
        if generation.has("module", name):
            setattr(api, name, make_enum(name, generation.members(name), name in ARITHMETIC))
    api.DataType.itemsize = property(lambda dtype: ITEM_SIZES[dtype.name])
    api.ILogger = generation.trim(basics.ILogger)
    api.Logger = generation.trim(basics.Logger, (api.ILogger,))
    for logger in (api.ILogger, api.Logger):
        logger.Severity = basics.Severity
        for name, member in basics.Severity.__members__.items():
            setattr(logger, name, member)
    for kind in CLASSES:
        if generation.has("module", kind.__name__):
            setattr(api, kind.__name__, generation.trim(kind))
            getattr(api, kind.__name__)._api = api
    api.Dims, api.IHostMemory = basics.Dims, basics.IHostMemory

    def nptype(trt_type: Any) -> Any:
        table = engine.nptype_table(api)
        if trt_type not in table:
            raise TypeError("Could not resolve TensorRT datatype to an equivalent numpy datatype.")
        return table[trt_type]

    for name, value in vars(api).items():
        if name != "generation":
            module[name] = value
    for name, member in SHORT.items():
        if generation.has("module", name):
            module[name] = getattr(api.DataType, member)
    module.update(__version__=version, nptype=nptype, volume=volume, init_libnvinfer_plugins=init_libnvinfer_plugins)


def volume(iterable: Iterable[int]) -> int:
    """The product of the sizes."""
    product = 1
    for size in iterable:
        product *= size
    return product


def init_libnvinfer_plugins(logger: Any, namespace: str) -> bool:
    """There are no plugins here."""
    return True
