"""The builder, its configuration, and what a build logs, takes and comes to."""

import hashlib
import json
import os
import signal
import time
from typing import Any, Dict, List, Optional

from fakegpu import knobs
from fakegpu.basics import IHostMemory, Severity, check, check_device, send, to_bytes
from fakegpu.plan import Plan, error_line

CACHE_MAGIC = b"FAKETIMING"


class ITimingCache:
    """How long each layer took on one device: here only which were timed."""

    __slots__ = ("_device", "_entries")
    _api: Any = None

    def __init__(self, device: str, entries: List[str]) -> None:
        self._device, self._entries = device, list(entries)

    def serialize(self) -> IHostMemory:
        content = {"version": self._api.generation.version, "device": self._device, "entries": sorted(self._entries)}
        return IHostMemory(CACHE_MAGIC + json.dumps(content, sort_keys=True).encode())

    def combine(self, input_cache: Any, ignore_mismatch: bool) -> bool:
        check("combine", input_cache, self._api.ITimingCache)
        if input_cache._device != self._device and not ignore_mismatch:
            return False
        self._entries = sorted(set(self._entries) | set(input_cache._entries))
        return True

    def reset(self) -> bool:
        self._entries = []
        return True


#: What the attributes hold that are kept and not looked at, of those that the generation has.
DEFAULTS = {
    "builder_optimization_level": 3,
    "int8_calibrator": None,
    "avg_timing_iterations": 1,
    "min_timing_iterations": 1,
}


class IBuilderConfig:
    """What the builder may use."""

    __slots__ = (
        "profiling_verbosity", "builder_optimization_level", "hardware_compatibility_level", "int8_calibrator",
        "avg_timing_iterations", "min_timing_iterations", "engine_capability", "_flags", "_pools", "_cache", "_logger",
    )  # fmt: skip
    _api: Any = None

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._flags = 1 << int(self._api.BuilderFlag.TF32)
        self._pools: Dict[str, int] = {}
        self._cache: Optional[ITimingCache] = None
        for name, value in DEFAULTS.items():
            if self._api.generation.has("IBuilderConfig", name):
                setattr(self, name, value)
        self.engine_capability = self._api.EngineCapability.STANDARD
        self.profiling_verbosity = next(iter(self._api.ProfilingVerbosity.__members__.values()))
        if self._api.generation.has("IBuilderConfig", "hardware_compatibility_level"):
            self.hardware_compatibility_level = self._api.HardwareCompatibilityLevel.NONE

    def set_flag(self, flag: Any) -> None:
        check("set_flag", flag, self._api.BuilderFlag)
        self._flags |= 1 << int(flag)

    def clear_flag(self, flag: Any) -> None:
        check("clear_flag", flag, self._api.BuilderFlag)
        self._flags &= ~(1 << int(flag))

    def get_flag(self, flag: Any) -> bool:
        check("get_flag", flag, self._api.BuilderFlag)
        return bool(self._flags & 1 << int(flag))

    @property
    def flags(self) -> int:
        return self._flags

    @flags.setter
    def flags(self, flags: int) -> None:
        check("flags", flags, int)
        self._flags = flags

    @property
    def max_workspace_size(self) -> int:
        return self._workspace

    @max_workspace_size.setter
    def max_workspace_size(self, size: int) -> None:
        check("max_workspace_size", size, int)
        self._pools["WORKSPACE"] = size

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        check("set_memory_pool_limit", pool, self._api.MemoryPoolType)
        check("set_memory_pool_limit", pool_size, int)
        self._pools[pool.name] = pool_size

    def get_memory_pool_limit(self, pool: Any) -> int:
        check("get_memory_pool_limit", pool, self._api.MemoryPoolType)
        return self._workspace if pool.name == "WORKSPACE" else self._pools.get(pool.name, 0)

    def set_calibration_profile(self, profile: Any) -> bool:
        return True

    def get_calibration_profile(self) -> None:
        return None

    def create_timing_cache(self, serialized_timing_cache: Any) -> Optional[ITimingCache]:
        data = to_bytes("create_timing_cache", serialized_timing_cache)
        device = "%s %d.%d" % ((knobs.gpu_name(),) + knobs.compute_capability())
        if not data:
            return self._api.ITimingCache(device, [])  # type: ignore[no-any-return]
        content = json.loads(data[len(CACHE_MAGIC) :].decode()) if data.startswith(CACHE_MAGIC) else {}
        if content.get("version") != self._api.generation.version:
            sentence = "Serialization assertion magicTagRead == kMAGIC_TAG failed.Magic tag does not match"
            line = error_line(self._api.generation, "deserializeCudaEngine", 1, "Serialization", sentence)
            send(self._logger, Severity.ERROR, line)
            send(self._logger, Severity.ERROR, "4: The timing cache will not be used!")
            return None
        return self._api.ITimingCache(content["device"], content["entries"])  # type: ignore[no-any-return]

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        check("set_timing_cache", cache, self._api.ITimingCache)
        device = self.create_timing_cache(b"")
        if device is not None and cache._device != device._device and not ignore_mismatch:
            send(self._logger, Severity.ERROR, "Timing cache was made on another device: %s" % cache._device)
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> Optional[ITimingCache]:
        return self._cache

    @property
    def _workspace(self) -> int:
        """Up to 8.2 nothing if nobody says; later all there is."""
        return self._pools.get("WORKSPACE", knobs.memory_bytes() if self._api.generation.at_least("8.4") else 0)

    def _wants(self, flag: str) -> bool:
        number = self._api.BuilderFlag.__members__.get(flag)
        return number is not None and bool(self._flags & 1 << int(number))


class Builder:
    """Builds the engine of a network."""

    __slots__ = ("_logger", "max_batch_size")
    _api: Any = None

    def __init__(self, logger: Any) -> None:
        check_device(logger, self._api.ILogger)
        self._logger = logger
        if self._api.generation.has("Builder", "max_batch_size"):
            self.max_batch_size = 1
        text = "[MemUsageChange] Init CUDA: CPU +203, GPU +0, now: CPU 221, GPU 2543 (MiB)"
        send(logger, Severity.INFO, text)

    @property
    def logger(self) -> Any:
        return self._logger

    def create_network(self, flags: int = 0) -> Any:
        check("create_network", flags, int)
        return self._api.INetworkDefinition(flags)

    def create_builder_config(self) -> Any:
        return self._api.IBuilderConfig(self._logger)

    @property
    def platform_has_fast_fp16(self) -> bool:
        return knobs.fast_fp16()

    @property
    def platform_has_fast_int8(self) -> bool:
        return knobs.fast_int8()

    @property
    def platform_has_tf32(self) -> bool:
        return knobs.compute_capability() >= (8, 0)

    @property
    def num_DLA_cores(self) -> int:
        return 0

    def is_network_supported(self, network: Any, config: Any) -> bool:
        self._check_pair("is_network_supported", network, config)
        return self._problem(network, config) is None

    def build_serialized_network(self, network: Any, config: Any) -> Optional[IHostMemory]:
        self._check_pair("build_serialized_network", network, config)
        plan = self._build(network, config)
        return None if plan is None else IHostMemory(plan.to_bytes())

    def build_engine(self, network: Any, config: Any) -> Any:
        self._check_pair("build_engine", network, config)
        plan = self._build(network, config)
        return None if plan is None else self._api.ICudaEngine(plan, self._logger)

    def _check_pair(self, function: str, network: Any, config: Any) -> None:
        check(function, network, self._api.INetworkDefinition)
        check(function, config, self._api.IBuilderConfig)

    def _problem(self, network: Any, config: Any) -> Optional[str]:
        """Why the builder does not even begin. The two sentences on INT8 are from memory, the others were seen."""
        if not network.num_outputs:
            return "Network must have at least one output"
        if any(size < 0 for tensor in network._tensors if tensor.is_input for size in tensor.shape):
            return "Network has dynamic or shape inputs, but no optimization profile has been defined."
        if network._strongly_typed:
            for flag in ("FP16", "INT8"):
                if config._wants(flag):
                    return "Parameter check failed, condition: !config.getFlag(BuilderFlag::k%s). " % flag
        elif network._graph.quantized and not config._wants("INT8"):
            return "Int8 precision has been set for a layer or layer output, but int8 is not configured in the builder"
        elif config._wants("INT8") and not network._graph.quantized:
            return (
                "Calibration failure occurred with no scaling factors detected. This could be due to no int8 calibrator"
                " or insufficient custom scales for network layers. Please see int8 sample to setup calibration"
                " correctly."
            )
        return None

    def _build(self, network: Any, config: Any) -> Optional[Plan]:
        problem = self._problem(network, config)
        if problem is not None:
            usage = problem.startswith("Parameter check")
            return self._fail(3 if usage else 4, "API Usage Error" if usage else "Internal Error", problem)
        return Build(self, network, config).run()

    def _fail(self, code: int, kind: str, sentence: str) -> None:
        send(
            self._logger,
            Severity.ERROR,
            error_line(self._api.generation, "buildSerializedNetwork", code, kind, sentence),
        )


class Build:
    """One build: a line for each step, as the real one's, and what FAKE_BUILD asks for half way."""

    def __init__(self, builder: Any, network: Any, config: Any) -> None:
        self.builder, self.network, self.config = builder, network, config
        self.knobs = knobs.build()
        self.logger = builder._logger
        self.started = time.monotonic()

    def run(self) -> Optional[Plan]:
        nodes = self.network._graph.nodes
        self._info("[MemUsageSnapshot] Begin constructing builder kernel library: CPU 261 MiB, GPU 2625 MiB")
        cache = self.config._cache
        if cache is None:
            self._info("Local timing cache in use. Profiling results in this builder pass will not be stored.")
        else:
            self._info("Global timing cache in use. Profiling results in this builder pass will be stored.")
        for index, (name, kind) in enumerate(nodes):
            if index == len(nodes) // 2:
                self._break_off(name)
                if self._out_of_memory(name):
                    return None
            self._time_layer(name, kind, cache)
            time.sleep(float(self.knobs.get("slow", "0")) / len(nodes))
        sides = (self.network.num_inputs, self.network.num_outputs)
        self._info("Detected %d inputs and %d output network tensors." % sides)
        self._info("Total Host Persistent Memory: %d" % (512 * len(nodes)))
        self._info("Total Device Persistent Memory: %d" % len(self.network._model))
        self._info("Total Scratch Memory: 0")
        self._info("Engine generation completed in %.5f seconds." % (time.monotonic() - self.started))
        return self._plan()

    def _plan(self) -> Plan:
        api = self.builder._api
        header = {
            "version": api.generation.version,
            "serial": api.generation.serial,
            "compute_capability": "%d.%d" % knobs.compute_capability(),
            "precision": self._precision(),
            "layers": len(self.network._layers),
            "name": self.network.name,
        }
        return Plan(header, self.network._model)

    def _precision(self) -> str:
        """By the flags; where typing is strong, by the file."""
        graph = self.network._graph
        if self.network._strongly_typed:
            return "int8" if graph.quantized else "fp16" if graph.half else "fp32"
        return "int8" if self.config._wants("INT8") else "fp16" if self.config._wants("FP16") else "fp32"

    def _time_layer(self, name: str, kind: str, cache: Optional[ITimingCache]) -> None:
        key = hashlib.sha1(("%s %s %s" % (name, kind, self._precision())).encode()).hexdigest()
        if cache is not None and key in cache._entries:
            return
        self._verbose("--------------- Timing Runner: %s (Cudnn%s)" % (name, kind))
        self._verbose("Tactic: 0x0000000000000000 Time: 0.08")
        self._verbose("Fastest Tactic: 0x0000000000000000 Time: 0.08")
        if cache is not None:
            cache._entries.append(key)

    def _break_off(self, name: str) -> None:
        if "killed" in self.knobs:
            os.kill(os.getpid(), signal.SIGKILL)
        if "crash" in self.knobs:
            raise RuntimeError("the fake builder crashed at node %s, as FAKE_BUILD asks" % name)

    def _out_of_memory(self, name: str) -> bool:
        limit = self.knobs.get("oom")
        if limit is None or (limit and self.config._workspace <= int(limit) << 20):
            return False
        for tactic in (3, 60, 64):
            text = "Tactic Device request: 826MB Available: 186MB. Device memory is insufficient to use tactic."
            send(self.logger, Severity.WARNING, text)
            if self.builder._api.generation.at_least("8.6"):
                text = "UNSUPPORTED_STATE: Skipping tactic %d due to insufficient memory on requested size of 866123776"
                send(self.logger, Severity.WARNING, text % tactic + " detected for tactic 0xf79479a62ea9f901.")
            else:
                text = "Skipping tactic %d due to insuficient memory on requested size of 826 detected for tactic 4."
                advice = "\nTry decreasing the workspace size with IBuilderConfig::setMaxWorkspaceSize()."
                send(self.logger, Severity.WARNING, text % tactic + advice)
        sentence = "Could not find any implementation for node %s." % name
        if self.builder._api.generation.name in ("8.5", "8.6"):
            send(self.logger, Severity.ERROR, "10: " + sentence)
        self.builder._fail(10, "Internal Error", sentence)
        if not self.builder._api.generation.at_least("10.3"):
            self.builder._fail(2, "Internal Error", "Assertion engine != nullptr failed. ")
        return True

    def _info(self, text: str) -> None:
        send(self.logger, Severity.INFO, text)

    def _verbose(self, text: str) -> None:
        send(self.logger, Severity.VERBOSE, text)
