"""Building engines: what to build, a worker for each, the golden check, and safer precisions where that fails.

Nothing half-written: an engine is built under another name, checked, and then takes the place of the one before.
"""

import contextlib
import fcntl
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from edge.bundle import Bundle, Graph
from edge.errors import EngineError
from edge.runtime import golden
from edge.runtime.engine.preflight import SWAP
from edge.runtime.engine.recipe import Host, Recipe, engine_path, make_recipe, network_of, write_sidecar
from edge.runtime.engine.worker import Job

#: From the fastest to the safest.
LADDER = ("int8", "fp16", "fp32")
#: Smallest workspace that is proposed, MiB.
LEAST_MIB = 16
WORKER = "edge.runtime.engine.worker"
#: Events of a worker, as :func:`edge.runtime.engine.worker.tell` writes them.
Listener = Callable[[Dict[str, Any]], None]


class Machine(NamedTuple):
    """What the worker tells of TensorRT and the GPU. memory: package that gives the GPU's memory. fast: precisions that
    are faster than FP32. typed: precisions live in the ONNX file alone. l4t: "" but on a Jetson."""

    host: Host
    name: str
    memory: str
    fast: Tuple[str, ...]
    typed: bool
    integrated: bool
    free_mib: int
    total_mib: int


class Built(NamedTuple):
    """An engine that was built and is good. report: of the golden check, None where the bundle has nothing to check
    with. refused: precisions that were tried before, with the reason."""

    recipe: Recipe
    seconds: float
    megabytes: float
    report: Optional[golden.GoldenReport]
    refused: Tuple[Tuple[str, str], ...]


def ask_machine(l4t: str) -> Machine:
    """TensorRT and GPU of this machine, asked in a process of their own, so that this one stays small.

    Raises EngineError with what is missing and how to install it.
    """
    told: List[Dict[str, Any]] = []
    run_worker(Job(), told.append, "asking TensorRT what this machine is")
    facts = next(event for event in told if event["event"] == "facts")
    host = Host(str(facts["tensorrt"]), str(facts["capability"]), l4t)
    return Machine(host, str(facts["name"]), str(facts["memory"]), tuple(facts["fast"]), bool(facts["typed"]),
                   bool(facts["integrated"]), int(facts["free_mib"]), int(facts["total_mib"]))


def networks(bundle: Bundle) -> List[Graph]:
    """All networks of a bundle, in FP32."""
    beside = [spec.graph for spec in (bundle.finder, bundle.silhouette) if spec is not None]
    return [bundle.graph] + beside


def source_of(bundle: Bundle, graph: Graph, precision: str, typed: bool) -> Graph:
    """The network's file to build a precision from. Raises BundleError, EngineError: the bundle has none for it."""
    if precision == "fp32" or (precision == "fp16" and not typed):
        return graph
    if network_of(graph) == network_of(bundle.graph):
        return bundle.graph_at(precision)
    raise EngineError("the bundle has no %s file of its %s" % (precision, network_of(graph)))


def precisions(bundle: Bundle, graph: Graph, machine: Machine, wanted: str) -> List[str]:
    """What to try for a network, in this order.

    wanted: "auto" is FP16 where that is faster, else FP32; INT8 is for the network that reconstructs, the others are
    then FP16. Raises EngineError: INT8 where the GPU has none.
    """
    if wanted == "int8" and "int8" not in machine.fast:
        raise EngineError(
            "INT8 is refused on this GPU (%s, compute capability %s): it has no INT8 arithmetic, so that such engines "
            "build but run slower than FP16 (ResNet-18 on a Nano: 44 frames/s instead of 90, torch2trt #255); use "
            "--precision fp16" % (machine.name, machine.host.capability)
        )
    main = network_of(graph) == network_of(bundle.graph)
    first = wanted if wanted in LADDER and (main or wanted != "int8") else "fp16"
    possible = []
    for precision in LADDER[LADDER.index(first):]:
        held = not machine.typed or (main and "fp16" in bundle.manifest.get("precisions", {}))
        if precision != "fp16" or (main and wanted == "fp16") or ("fp16" in machine.fast and held):
            possible.append(precision)
    return possible


def build_engine(
    bundle: Bundle, graph: Graph, machine: Machine, wanted: str, workspace_mib: int, folder: str,
    say: Callable[[str], None], on_event: Listener,
) -> Built:
    """Build the engine of a network, check it, and put it into its place; safer precisions are tried aloud.

    Raises EngineError: killed, out of memory, no room, or no precision passes the golden check. The engine that was
    there before is then as it was.
    """
    network = network_of(graph)
    refused: List[Tuple[str, str]] = []
    engine = engine_path(folder, bundle.name, network)
    for precision in precisions(bundle, graph, machine, wanted):
        source = source_of(bundle, graph, precision, machine.typed)
        recipe = make_recipe(bundle, source, machine.host, precision, workspace_mib)
        plan, seconds = _compile(bundle, source, recipe, engine, on_event)
        try:
            report = check_plan(bundle, source, plan, precision)
            if report is None or report.good:
                facts = {"seconds": seconds, "golden": None if report is None else report.worst.text}
                size = os.path.getsize(plan) / 1e6
                _put(plan, engine, recipe, facts)
                return Built(recipe, seconds, size, report, tuple(refused))
            reason = "it does not give the bundle's golden outputs: %s" % report.worst.text
        finally:
            if os.path.exists(plan):
                os.unlink(plan)
        refused.append((precision, reason))
        say("%s: the %s engine is rejected, %s" % (network, precision, reason))
    raise EngineError(
        "%s: no engine passes the golden check (%s); TensorRT %s computes this network wrongly here. Use --backend "
        "ort, and report it with the output of carcloud doctor"
        % (network, "; ".join("%s: %s" % item for item in refused), machine.host.tensorrt)
    )


def make_folder(folder: str, bundle: str) -> str:
    """The folder of a bundle's engines, made if it is not there. Raises EngineError."""
    path = os.path.dirname(engine_path(folder, bundle, "any"))
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise EngineError("no folder for engines can be made at %s (%s); give another: --engines FOLDER" % (
            path, error.strerror))
    return path


@contextlib.contextmanager
def alone(path: str) -> Iterator[None]:
    """Holds the lock file ``path``, which a process that ends lets go. Raises EngineError where another holds it."""
    with open(path, "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EngineError("another carcloud build is at work in %s; wait until it is done" % os.path.dirname(path))
        yield


def _put(plan: str, engine: str, recipe: Recipe, facts: Dict[str, Any]) -> None:
    """Replace an engine. Killed in between, the old description tells that the new file is not its own."""
    try:
        os.replace(plan, engine)
        write_sidecar(engine, recipe, facts)
    except OSError as error:
        raise EngineError("%s cannot be written (%s); make room there, or give another folder: --engines FOLDER" % (
            engine, error.strerror))


def check_plan(bundle: Bundle, graph: Graph, plan: str, precision: str) -> Optional[golden.GoldenReport]:
    """Run the bundle's golden pictures through an engine's file. Raises BackendError."""
    from edge.runtime.backends.trt import TrtBackend  # loads CUDA, which a process that only asks must not

    with open(plan, "rb") as handle:
        content = handle.read()
    with TrtBackend(graph, content, plan, precision) as backend:
        return golden.check_network(bundle, network_of(graph), backend, precision)


def _compile(bundle: Bundle, source: Graph, recipe: Recipe, engine: str, on_event: Listener) -> Tuple[str, float]:
    """An engine under a temporary name, and the seconds it took. Raises EngineError."""
    folder = os.path.dirname(engine)
    cache = os.path.join(os.path.dirname(folder), "timing-%s-sm%s.cache" % (recipe.tensorrt, recipe.capability))
    for left in glob.glob(os.path.join(glob.escape(folder), ".%s.*" % glob.escape(os.path.basename(engine)))):
        os.unlink(left)  # of a build that was killed
    handle, plan = tempfile.mkstemp(dir=folder, prefix=".%s." % os.path.basename(engine))
    os.close(handle)
    told: List[Dict[str, Any]] = []

    def listen(event: Dict[str, Any]) -> None:
        told.append(event)
        on_event(event)

    job = Job(plan, source.path, recipe.precision, recipe.workspace_mib, cache, os.path.splitext(engine)[0] + ".log")
    try:
        run_worker(job, listen, "building %s (%s)" % (network_of(source), recipe.precision))
    except BaseException:
        os.unlink(plan)
        raise
    return plan, float(next(event["seconds"] for event in told if event["event"] == "done"))


def run_worker(job: Job, on_event: Listener, doing: str) -> None:
    """Run a worker to its end. doing: for sentences. Raises EngineError with what it said, or of what it died."""
    failure = None
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", WORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            universal_newlines=True,
        )  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(job._asdict()) + "\n")
            process.stdin.close()
            for line in process.stdout:
                event = _event(line)
                if event is not None and event["event"] == "failed":
                    failure = str(event["text"])
                elif event is not None:
                    on_event(event)
            status = process.wait()
        except BaseException:  # whoever waits is told to stop: so is the worker
            process.kill()
            process.wait()
            raise
        finally:
            process.stdout.close()
        errors.seek(0)
        last = errors.read().decode("utf-8", "replace").strip().splitlines()[-1:] or ["it said nothing"]
    if failure is not None:
        raise EngineError(failure)
    if status < 0:
        raise EngineError(
            "%s: the builder was killed by signal %d%s. Give it memory: a swap file (%s), no desktop (sudo systemctl "
            "isolate multi-user.target), or less to use: --workspace %d; then type carcloud build again"
            % (doing, -status, ", most likely because memory ran out" if status == -signal.SIGKILL else "", SWAP,
               max(LEAST_MIB, job.workspace_mib // 2))
        )  # fmt: skip
    if status != 0:
        raise EngineError("%s: the builder ended with status %d (%s); type carcloud doctor" % (doing, status, last[0]))


def _event(line: str) -> Optional[Dict[str, Any]]:
    """An event of a worker; None for what a library printed in between."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
