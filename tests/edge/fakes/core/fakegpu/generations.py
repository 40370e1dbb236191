"""Which TensorRT has which name, as its bindings' source (8.0, 8.2, 8.5) or the module itself (8.5 to 11.1) says.

A name that is not listed here is in all versions.
"""

from typing import Any, Dict, List, NamedTuple, Tuple

#: In order of time. 8.4 is between two that were looked at: what 8.2 lacks and 8.5 has was looked up in its manual.
GENERATIONS = ("8.0", "8.2", "8.4", "8.5", "8.6", "10.3", "11.1")
FIRST, LAST = GENERATIONS[0], GENERATIONS[-1]

#: Class or module: {name: (first, last generation that has it)}.
LIFETIMES: Dict[str, Dict[str, Tuple[str, str]]] = {
    "module": {
        "LayerInformationFormat": ("8.2", LAST),
        "EngineInspector": ("8.2", LAST),
        "MemoryPoolType": ("8.4", LAST),
        "TensorIOMode": ("8.5", LAST),
        "uint8": ("8.5", LAST),
        "HardwareCompatibilityLevel": ("8.6", LAST),
        "OnnxParserFlag": ("8.6", LAST),
        "fp8": ("8.6", LAST),
        "bfloat16": ("10.3", LAST),
        "int64": ("10.3", LAST),
        "int4": ("10.3", LAST),
        "fp4": ("11.1", LAST),
        "e8m0": ("11.1", LAST),
    },
    "Builder": {
        "build_engine": (FIRST, "8.6"),
        "max_batch_size": (FIRST, "8.6"),
        "platform_has_fast_fp16": (FIRST, "10.3"),
        "platform_has_fast_int8": (FIRST, "10.3"),
        "platform_has_tf32": (FIRST, "10.3"),
        "logger": ("8.2", LAST),
    },
    "IBuilderConfig": {
        "max_workspace_size": (FIRST, "8.6"),
        "min_timing_iterations": (FIRST, "8.6"),
        "int8_calibrator": (FIRST, "10.3"),
        "set_calibration_profile": (FIRST, "10.3"),
        "get_calibration_profile": (FIRST, "10.3"),
        "set_memory_pool_limit": ("8.4", LAST),
        "get_memory_pool_limit": ("8.4", LAST),
        "builder_optimization_level": ("8.6", LAST),
        "hardware_compatibility_level": ("8.6", LAST),
    },
    "INetworkDefinition": {
        "has_explicit_precision": (FIRST, "8.6"),
        "flags": ("10.3", LAST),
        "get_flag": ("10.3", LAST),
    },
    "ILayer": {
        "precision": (FIRST, "10.3"),
        "precision_is_set": (FIRST, "10.3"),
        "reset_precision": (FIRST, "10.3"),
        "set_output_type": (FIRST, "10.3"),
        "output_type_is_set": (FIRST, "10.3"),
        "reset_output_type": (FIRST, "10.3"),
    },
    "OnnxParser": {
        "supports_model": (FIRST, "10.3"),
        "flags": ("8.6", LAST),
        "set_flag": ("8.6", LAST),
        "get_flag": ("8.6", LAST),
        "clear_flag": ("8.6", LAST),
    },
    "ParserError": {
        "node_name": ("10.3", LAST),
        "node_operator": ("10.3", LAST),
    },
    "Runtime": {
        "logger": ("8.2", LAST),
    },
    "ICudaEngine": {
        "num_bindings": (FIRST, "8.6"),
        "__len__": (FIRST, "8.6"),
        "get_binding_name": (FIRST, "8.6"),
        "get_binding_index": (FIRST, "8.6"),
        "get_binding_shape": (FIRST, "8.6"),
        "get_binding_dtype": (FIRST, "8.6"),
        "binding_is_input": (FIRST, "8.6"),
        "max_batch_size": (FIRST, "8.6"),
        "has_implicit_batch_dimension": (FIRST, "10.3"),
        "device_memory_size": (FIRST, "10.3"),
        "create_execution_context_without_device_memory": (FIRST, "10.3"),
        "create_engine_inspector": ("8.2", LAST),
        "profiling_verbosity": ("8.2", LAST),
        "num_io_tensors": ("8.5", LAST),
        "get_tensor_name": ("8.5", LAST),
        "get_tensor_mode": ("8.5", LAST),
        "get_tensor_shape": ("8.5", LAST),
        "get_tensor_dtype": ("8.5", LAST),
        "get_tensor_location": ("8.5", LAST),
        "hardware_compatibility_level": ("8.6", LAST),
        "device_memory_size_v2": ("10.3", LAST),
    },
    "IExecutionContext": {
        "execute": (FIRST, "8.6"),
        "execute_async": (FIRST, "8.6"),
        "execute_async_v2": (FIRST, "8.6"),
        "get_binding_shape": (FIRST, "8.6"),
        "set_binding_shape": (FIRST, "8.6"),
        "all_shape_inputs_specified": (FIRST, "10.3"),
        "execute_async_v3": ("8.5", LAST),
        "set_tensor_address": ("8.5", LAST),
        "get_tensor_address": ("8.5", LAST),
        "set_input_shape": ("8.5", LAST),
        "get_tensor_shape": ("8.5", LAST),
        "infer_shapes": ("8.5", LAST),
    },
}

#: Enumeration: from a generation on, its members by number, as text.
MEMBERS: Dict[str, Dict[str, str]] = {
    "BuilderFlag": {
        "8.0": "FP16 INT8 DEBUG GPU_FALLBACK STRICT_TYPES REFIT DISABLE_TIMING_CACHE TF32 SPARSE_WEIGHTS SAFETY_SCOPE",
        "8.2": "+OBEY_PRECISION_CONSTRAINTS PREFER_PRECISION_CONSTRAINTS DIRECT_IO REJECT_EMPTY_ALGORITHMS",
        "8.5": "+ENABLE_TACTIC_HEURISTIC",
        "8.6": "+VERSION_COMPATIBLE EXCLUDE_LEAN_RUNTIME FP8",
        "10.3": "FP16 INT8 DEBUG GPU_FALLBACK REFIT DISABLE_TIMING_CACHE TF32 SPARSE_WEIGHTS SAFETY_SCOPE"
        " OBEY_PRECISION_CONSTRAINTS PREFER_PRECISION_CONSTRAINTS DIRECT_IO REJECT_EMPTY_ALGORITHMS"
        " VERSION_COMPATIBLE EXCLUDE_LEAN_RUNTIME FP8 ERROR_ON_TIMING_CACHE_MISS BF16 DISABLE_COMPILATION_CACHE"
        " STRIP_PLAN=WEIGHTLESS REFIT_IDENTICAL WEIGHT_STREAMING INT4 REFIT_INDIVIDUAL",
        "11.1": "- - DEBUG GPU_FALLBACK REFIT DISABLE_TIMING_CACHE TF32 SPARSE_WEIGHTS SAFETY_SCOPE - - DIRECT_IO"
        " VERSION_COMPATIBLE EXCLUDE_LEAN_RUNTIME - ERROR_ON_TIMING_CACHE_MISS - DISABLE_COMPILATION_CACHE STRIP_PLAN"
        " REFIT_IDENTICAL WEIGHT_STREAMING - REFIT_INDIVIDUAL STRICT_NANS MONITOR_MEMORY - EDITABLE_TIMING_CACHE"
        " DISTRIBUTIVE_INDEPENDENCE",
    },
    "NetworkDefinitionCreationFlag": {
        "8.0": "EXPLICIT_BATCH EXPLICIT_PRECISION",
        "10.3": "EXPLICIT_BATCH STRONGLY_TYPED",
        "11.1": "STRONGLY_TYPED PREFER_JIT_PYTHON_PLUGINS PREFER_AOT_PYTHON_PLUGINS",
    },
    "MemoryPoolType": {
        "8.4": "WORKSPACE DLA_MANAGED_SRAM DLA_LOCAL_DRAM DLA_GLOBAL_DRAM",
        "8.6": "+TACTIC_DRAM",
        "10.3": "+TACTIC_SHARED_MEMORY",
    },
    "DataType": {
        "8.0": "FLOAT HALF INT8 INT32 BOOL",
        "8.5": "+UINT8",
        "8.6": "+FP8",
        "10.3": "+BF16 INT64 INT4",
        "11.1": "+FP4 E8M0",
    },
    "ProfilingVerbosity": {
        "8.0": "DEFAULT NONE VERBOSE",
        "8.2": "LAYER_NAMES_ONLY=DEFAULT NONE DETAILED=VERBOSE",
        "10.3": "LAYER_NAMES_ONLY NONE DETAILED",
    },
    "EngineCapability": {
        "8.0": "STANDARD=DEFAULT SAFETY=SAFE_GPU DLA_STANDALONE=SAFE_DLA",
        "10.3": "STANDARD SAFETY DLA_STANDALONE",
    },
    "TensorIOMode": {"8.5": "NONE INPUT OUTPUT"},
    "TensorLocation": {"8.0": "DEVICE HOST"},
    "LayerInformationFormat": {"8.2": "ONELINE JSON"},
    "HardwareCompatibilityLevel": {"8.6": "NONE AMPERE_PLUS", "11.1": "+SAME_COMPUTE_CAPABILITY"},
    "OnnxParserFlag": {
        "8.6": "NATIVE_INSTANCENORM",
        "11.1": "+ENABLE_UINT8_AND_ASYMMETRIC_QUANTIZATION_DLA REPORT_CAPABILITY_DLA ENABLE_PLUGIN_OVERRIDE"
        " ADJUST_FOR_DLA",
    },
    "ErrorCode": {
        "8.0": "SUCCESS INTERNAL_ERROR MEM_ALLOC_FAILED MODEL_DESERIALIZE_FAILED INVALID_VALUE INVALID_GRAPH"
        " INVALID_NODE UNSUPPORTED_GRAPH UNSUPPORTED_NODE",
        "10.3": "+UNSUPPORTED_NODE_ATTR UNSUPPORTED_NODE_INPUT UNSUPPORTED_NODE_DATATYPE UNSUPPORTED_NODE_DYNAMIC"
        " UNSUPPORTED_NODE_SHAPE REFIT_FAILED",
    },
}
#: Their members are ordered.
ARITHMETIC = {"BuilderFlag", "NetworkDefinitionCreationFlag", "OnnxParserFlag"}


class Generation(NamedTuple):
    """version: ``tensorrt.__version__``. name: of GENERATIONS. serial: of its engines' format."""

    version: str
    name: str
    serial: int

    def at_least(self, name: str) -> bool:
        return GENERATIONS.index(self.name) >= GENERATIONS.index(name)

    def has(self, owner: str, name: str) -> bool:
        first, last = LIFETIMES.get(owner, {}).get(name, (FIRST, LAST))
        return GENERATIONS.index(first) <= GENERATIONS.index(self.name) <= GENERATIONS.index(last)

    def members(self, enumeration: str) -> Dict[str, int]:
        """Members and numbers of an enumeration; none where the generation has none."""
        slots: List[str] = []
        for generation in GENERATIONS[: GENERATIONS.index(self.name) + 1]:
            text = MEMBERS[enumeration].get(generation, "+")
            slots = slots + text[1:].split() if text.startswith("+") else text.split()
        return {name: number for number, slot in enumerate(slots) if slot != "-" for name in slot.split("=")}

    def trim(self, kind: Any, bases: Tuple[type, ...] = (object,)) -> Any:
        """The class without the names that this generation has not. What is not a slot cannot be set on it either."""
        dropped = {"__dict__", "__weakref__", *kind.__dict__.get("__slots__", ())}
        names = {
            name: value
            for name, value in kind.__dict__.items()
            if name not in dropped and self.has(kind.__name__, name)
        }
        names["__module__"] = "tensorrt"
        names["__slots__"] = tuple(n for n in kind.__dict__.get("__slots__", ()) if self.has(kind.__name__, n))
        return type(kind)(kind.__name__, bases, names)


#: 205, 213, 232, 236 and 239 were seen in reports of engines that were refused; those of 8.0 and 11.1 are made up.
SERIALS = {"8.0": 200, "8.2": 205, "8.4": 213, "8.5": 232, "8.6": 236, "10.3": 239, "11.1": 300}


def generation_of(version: str) -> Generation:
    name = ".".join(version.split(".")[:2])
    return Generation(version, name, SERIALS[name])
