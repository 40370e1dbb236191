"""What an engine was made of and for: kept beside it as JSON, and checked before it is opened.

Engines are not portable "across platforms or TensorRT versions" (NVIDIA's support matrix), and TensorRT's own sentence
about one that does not fit is at best a number. So everything an engine depends on is written down when it is built.
"""

import json
import os
import re
from typing import Any, Dict, NamedTuple, Optional, Tuple

from edge.bundle import DEFAULT, SHIPPED, Bundle, Graph, sha256_file
from edge.errors import EngineError
from edge.ply import atomic_file

#: Why an engine must be built again, by what differs: as it was built, as it must be.
REASONS = {
    "tensorrt": "it was built by TensorRT %s and here is %s: engines are not portable between versions",
    "capability": "it was built for a GPU of compute capability %s and this one has %s",
    "l4t": "it was built under L4T %s and here is %s",
    "precision": "it computes in %s and %s is wanted",
    "workspace_mib": "it was built with %s MiB of workspace and %s are wanted",
    "input_shape": "its input is %s and the network's is %s",
}
#: Raised when engines are built in another way than before.
SCHEMA = 1
VARIABLE = "XDG_CACHE_HOME"


class Host(NamedTuple):
    """What an engine depends on beside its network.

    tensorrt: full version. capability: the GPU's, "5.3". l4t: release of the Jetson's system, "" elsewhere.
    """

    tensorrt: str
    capability: str
    l4t: str


class Recipe(NamedTuple):
    """What an engine is built of and for. source: name of the ONNX file. workspace_mib: builder's scratch memory."""

    source: str
    onnx_sha256: str
    tensorrt: str
    capability: str
    l4t: str
    precision: str
    workspace_mib: int
    input_shape: Tuple[int, ...]
    schema: int = SCHEMA


def default_folder() -> str:
    """Where engines are kept if nobody says otherwise: in the user's cache."""
    base = os.environ.get(VARIABLE) or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "carcloud", "engines")


def network_of(graph: Graph) -> str:
    """The network's name, as that of its file: "reconstructor" of reconstructor.fp16.onnx."""
    return os.path.basename(graph.path).split(".")[0]


def engine_path(folder: Optional[str], bundle: str, network: str) -> str:
    """Where the engine of a bundle's network is kept; its sidecar is beside it."""
    return os.path.join(folder or default_folder(), re.sub(r"[^A-Za-z0-9_-]", "_", bundle), network + ".engine")


def build_command(bundle: Bundle, folder: Optional[str]) -> str:
    """What to type to build the engines of a bundle into a folder."""
    words = ["carcloud build"]
    if os.path.dirname(bundle.path) != SHIPPED:
        words.append("--bundle " + bundle.path)
    elif bundle.name != DEFAULT:
        words.append("--bundle " + bundle.name)
    return " ".join(words + (["--engines " + folder] if folder else []))


def sidecar_path(engine: str) -> str:
    """The file that describes an engine."""
    return os.path.splitext(engine)[0] + ".json"


def make_recipe(bundle: Bundle, graph: Graph, host: Host, precision: str, workspace_mib: int) -> Recipe:
    """The recipe of an engine of a bundle's network for this machine."""
    source = os.path.basename(graph.path)
    return Recipe(source, str(bundle.manifest["files"][source]["sha256"]), host.tensorrt, host.capability, host.l4t,
                  precision, workspace_mib, tuple(graph.input_shape))


def write_sidecar(engine: str, recipe: Recipe, more: Dict[str, Any]) -> None:
    """Describe an engine that is there. more: how it was built and checked, for people."""
    facts = dict(recipe._asdict(), engine_sha256=sha256_file(engine), engine_bytes=os.path.getsize(engine), **more)
    with atomic_file(sidecar_path(engine)) as handle:
        handle.write((json.dumps(facts, indent=1) + "\n").encode("utf-8"))


def read_sidecar(engine: str) -> Dict[str, Any]:
    """What is written beside an engine. Raises EngineError with the reason why it must be built again."""
    path = sidecar_path(engine)
    if not os.path.isfile(engine):
        raise EngineError("none was built yet")
    try:
        with open(path, encoding="utf-8") as handle:
            facts = json.load(handle)
    except FileNotFoundError:
        raise EngineError("%s, which describes it, is missing" % path)
    except (OSError, ValueError) as error:
        raise EngineError("%s, which describes it, cannot be read (%s)" % (path, error))
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        found = facts.get("schema") if isinstance(facts, dict) else None
        raise EngineError("it was built by another carcloud (engine schema %s, here %d)" % (found, SCHEMA))
    return facts


def check_engine(
    engine: str, bundle: Bundle, graph: Graph, host: Host, precision: Optional[str] = None,
    workspace_mib: Optional[int] = None,
) -> Dict[str, Any]:
    """The sidecar of an engine that is whole, and was built for this bundle's network and this machine.

    graph: the network, in any of its precisions. precision, workspace_mib: as it must have been built; None takes any.
    Raises EngineError, whose text is the reason why it must be built (again).
    """
    facts = read_sidecar(engine)
    entry = bundle.manifest["files"].get(facts.get("source"), {})
    if not entry or facts.get("onnx_sha256") != entry.get("sha256"):
        raise EngineError("the bundle's network is another one now (%s of sha256 %s... is not in it)" % (
            facts.get("source"), str(facts.get("onnx_sha256"))[:12]))
    wanted = {
        "tensorrt": host.tensorrt, "capability": host.capability, "l4t": host.l4t, "precision": precision,
        "workspace_mib": workspace_mib, "input_shape": list(graph.input_shape),
    }  # fmt: skip
    for name, sentence in REASONS.items():
        if wanted[name] is not None and facts.get(name) != wanted[name]:
            raise EngineError(sentence % (facts.get(name) or "none", wanted[name] or "none"))
    if os.path.getsize(engine) != facts.get("engine_bytes") or sha256_file(engine) != facts.get("engine_sha256"):
        raise EngineError("its file is damaged: it is not the one that %s describes" % sidecar_path(engine))
    return facts
