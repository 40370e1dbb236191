"""The process that builds an engine: a job as JSON on stdin, what happens as JSON lines on stdout.

TensorRT's builder takes minutes and most of a Nano's memory, and on a board with 4 GB it is the program that the kernel
kills when memory runs out. So it runs alone: ``python -m edge.runtime.engine.worker``, started by
:mod:`edge.runtime.engine.build`, asks to be the first to be killed, and dies with the process that started it.
"""

import contextlib
import json
import os
import re
import sys
import time
from typing import IO, Any, Dict, NamedTuple, Optional

from edge.errors import CarcloudError, EngineError
from edge.ply import atomic_file
from edge.runtime.backends.cuda import open_cuda
from edge.runtime.engine import api
from edge.runtime.engine.process import be_killed_first, end_with_parent

#: The builder times a layer: "--------------- Timing Runner: Conv_0 + Relu_1 (CaskConvolution)", severity VERBOSE.
TIMING = re.compile(r"Timing Runner: (.+?) \([A-Za-z]")
#: It leaves out a kernel for want of memory; 8.x and 10.x say it in different words.
MEMORY = re.compile(
    r"Tactic Device request: (\d+) ?MB Available: (\d+) ?MB|insufficient memory on requested size of (\d+)"
)


class Job(NamedTuple):
    """What to build. plan: file that the engine is written to; "" only asks what machine this is.

    onnx: network's file. precision: fp32, fp16 or int8. workspace_mib: scratch memory. timing_cache: file, kept between
    builds. log: text file for what TensorRT says.
    """

    plan: str = ""
    onnx: str = ""
    precision: str = "fp32"
    workspace_mib: int = 256
    timing_cache: str = ""
    log: str = ""


def tell(event: str, **facts: Any) -> None:
    """One line to the process that waits."""
    sys.stdout.write(json.dumps(dict(facts, event=event)) + "\n")
    sys.stdout.flush()


def facts() -> Dict[str, Any]:
    """TensorRT and the GPU of this machine. Raises BackendError."""
    trt, cuda = api.import_tensorrt(), open_cuda()
    try:
        with cuda.active():
            gpu = cuda.gpu()
            log = api.Log(trt)
            builder = api.make(trt.Builder, log)
            fast = [name for name in ("fp16", "int8") if api.fast(trt, builder, name, gpu.capability)]
            del builder
        typed = api.is_strongly_typed(trt)
        return dict(gpu._asdict(), tensorrt=str(trt.__version__), memory=cuda.name, fast=fast, typed=typed)
    finally:
        cuda.close()


class Listener:
    """Turns the builder's log into events: layers timed, kernels left out for want of memory.

    log: takes the lines. short_mib: the largest memory that was not to be had.
    """

    def __init__(self, log: Optional[IO[str]]) -> None:
        self.short_mib = 0
        self._log = log
        self._timed: Dict[str, None] = {}

    def __call__(self, severity: str, text: str) -> None:
        if self._log is not None and severity != "VERBOSE":
            self._log.write("%s %s\n" % (severity, text))
        found = TIMING.search(text)
        if found is not None and found.group(1) not in self._timed:
            self._timed[found.group(1)] = None
            tell("timing", layer=found.group(1), count=len(self._timed))
        found = MEMORY.search(text)
        request = 0 if found is None else int(found.group(1) or found.group(3))
        if found is not None and request > self.short_mib:
            self.short_mib = request
            tell("memory", request_mib=request, available_mib=int(found.group(2) or 0))


def build(job: Job) -> None:
    """Build the engine of a job and write it. Raises EngineError, BackendError."""
    trt = api.import_tensorrt()
    with contextlib.ExitStack() as stack:
        text = stack.enter_context(open(job.log, "w", encoding="utf-8")) if job.log else None
        cuda = open_cuda()
        stack.callback(cuda.close)
        listener = Listener(text)
        log = api.Log(trt, listener)
        with cuda.active():
            plan = _plan(trt, job, log, listener)
        try:
            with atomic_file(job.plan) as handle:
                handle.write(plan)
        except OSError as error:
            raise EngineError(
                "the engine (%.0f MB) cannot be written to %s: %s; make room there (df -h %s), or give another folder: "
                "--engines FOLDER" % (len(plan) / 1e6, job.plan, error.strerror, os.path.dirname(job.plan))
            )


def _plan(trt: Any, job: Job, log: api.Log, listener: Listener) -> bytes:
    """The engine's bytes."""
    builder = api.make(trt.Builder, log)
    network = builder.create_network(api.creation_flags(trt))
    parser = trt.OnnxParser(network, log.logger)
    with open(job.onnx, "rb") as handle:
        read = parser.parse(handle.read())
    if not read:
        raise EngineError(
            "TensorRT %s cannot build %s (%s); python -m export lint names what it does not have, and what to use "
            "instead"
            % (trt.__version__, job.onnx, "%s. %s" % (api.parse_errors(parser), log.why()))
        )
    tell("network", layers=int(network.num_layers))
    config = builder.create_builder_config()
    api.set_workspace(trt, config, job.workspace_mib)
    api.set_precision(trt, config, job.precision)
    cache = _timing_cache(config, job.timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        if listener.short_mib:
            raise EngineError(
                "TensorRT's builder ran out of memory: a kernel wanted %d MiB (%s). Free some: sudo systemctl isolate "
                "multi-user.target (ends the desktop); or let it use less: --workspace %d"
                % (listener.short_mib, log.why(), max(16, job.workspace_mib // 2))
            )
        raise EngineError("TensorRT %s could not build %s (%s); all it said is in %s" % (
            trt.__version__, job.onnx, log.why(), job.log or "its log"))
    if cache is not None:
        _keep(cache, job.timing_cache)
    return bytes(memoryview(plan))


def _timing_cache(config: Any, path: str) -> Any:
    """TensorRT's record of timed kernels, from the builds before; it refuses one of another version by itself."""
    if not path:
        return None
    held = b""
    if os.path.isfile(path):
        with open(path, "rb") as handle:
            held = handle.read()
    cache = config.create_timing_cache(held)
    if cache is None and held:
        tell("warning", text="the timing cache %s does not fit this TensorRT, a new one is begun" % path)
        cache = config.create_timing_cache(b"")
    if cache is not None:
        config.set_timing_cache(cache, False)
    return cache


def _keep(cache: Any, path: str) -> None:
    """Write the record. It only saves time: without room for it the engine is still good."""
    try:
        with atomic_file(path) as handle:
            handle.write(bytes(memoryview(cache.serialize())))
    except OSError as error:
        tell("warning", text="the timing cache %s cannot be written: %s" % (path, error.strerror))


def main() -> int:
    """Do the job on stdin; 0 if it is done."""
    end_with_parent()
    be_killed_first()
    job, start = Job(**json.loads(sys.stdin.readline())), time.monotonic()
    try:
        if job.plan:
            build(job)
            tell("done", seconds=round(time.monotonic() - start, 1))
        else:
            tell("facts", **facts())
        return 0
    except CarcloudError as error:
        tell("failed", text=str(error))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
