"""For tests of the fakes: a fake TensorRT with what a test needs around it, device memory, child processes."""

import os
import subprocess
import sys
from typing import Any, List

import numpy as np

from tests.edge.fakes import fake_environment, use_fakes
from tests.edge.helpers import ROOT


class Kit:
    """A fake TensorRT with a logger that remembers, and the shortest ways to a network, an engine and a result."""

    def __init__(self, monkeypatch: Any, generation: str, *cuda: str) -> None:
        use_fakes(monkeypatch, generation, *cuda)
        import tensorrt

        class Memory(tensorrt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                tensorrt.ILogger.__init__(self)
                self.lines: List[str] = []

            def log(self, severity: Any, msg: str) -> None:
                self.lines.append("%s %s" % (severity.name, msg))

        self.trt = tensorrt
        self.logger: Any = Memory()

    def network(self, model: bytes, *flags: str) -> Any:
        members = self.trt.NetworkDefinitionCreationFlag.__members__
        wanted = sum(1 << int(members[name]) for name in ("EXPLICIT_BATCH",) + flags if name in members)
        network = self.trt.Builder(self.logger).create_network(wanted)
        parser = self.trt.OnnxParser(network, self.logger)
        assert parser.parse(model), parser.get_error(0).desc()
        return network

    def build(self, model: bytes, *flags: str, config: Any = None, creation: Any = ()) -> Any:
        builder = self.trt.Builder(self.logger)
        config = config or self.config()
        for flag in flags:
            config.set_flag(getattr(self.trt.BuilderFlag, flag))
        return builder.build_serialized_network(network=self.network(model, *creation), config=config)

    def config(self) -> Any:
        return self.trt.Builder(self.logger).create_builder_config()

    def engine(self, plan: Any) -> Any:
        return self.trt.Runtime(self.logger).deserialize_cuda_engine(plan)

    def errors(self) -> str:
        return "\n".join(line for line in self.logger.lines if line.startswith("ERROR"))


def put(values: np.ndarray) -> int:
    """Address of new device memory that holds the values."""
    from fakegpu import device

    address = device.allocate(values.nbytes, device.runtime_current())
    device.view(address, values.shape, values.dtype)[...] = values
    return int(address)


def get(address: int, count: int = 4) -> np.ndarray:
    from fakegpu import device

    return np.array(device.view(address, (count,), np.float32))


def child(code: str, *names: str, **knobs: str) -> Any:
    """The completed process of a child that has the named fakes and knobs; stdout holds both its outputs."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=fake_environment(*names, knobs=knobs),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        timeout=120,
    )


def drop_knobs(monkeypatch: Any) -> None:
    """Until the test's end no knob is set."""
    for name in list(os.environ):
        if name.startswith("FAKE_"):
            monkeypatch.delenv(name)
