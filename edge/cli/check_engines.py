"""Doctor's look at TensorRT: whether it runs here, and whether the bundle's engines fit."""

from typing import List

from edge.cli.check import OK, WARNING, Check
from edge.errors import EngineError
from edge.settings import Settings
from edge.targets import Target, l4t_version

#: What is said where there is no TensorRT and none is missed.
ABSENT = "not installed; ONNX Runtime runs the networks"
INSTALL = "sudo apt-get install python3-libnvinfer   (and a virtual environment with --system-site-packages)"


def check_tensorrt(target: Target, chosen: Settings) -> List[Check]:
    """TensorRT and the GPU, asked in a process of their own; and, where it runs, an engine of each network that fits
    and is whole, in a line of its own.

    That there is no TensorRT is worth a warning on a Jetson only. Raises EngineError, BundleError.
    """
    from edge.bundle import load_bundle
    from edge.runtime.engine import api, recipe
    from edge.runtime.engine.build import ask_machine, networks

    if not api.is_installed():
        if target.tensorrt is None:
            return [Check("tensorrt", OK, ABSENT)]
        return [Check("tensorrt", WARNING, "not installed, so that the GPU does nothing", INSTALL)]
    machine = ask_machine(l4t_version())
    runs = Check("tensorrt", OK, "%s, %s (compute capability %s), %s" % (
        machine.host.tensorrt, machine.name, machine.host.capability, machine.memory))
    bundle = load_bundle(chosen.bundle, verify=False)
    built = []
    for graph in networks(bundle):
        network = recipe.network_of(graph)
        path = recipe.engine_path(chosen.engines, bundle.name, network)
        try:
            facts = recipe.check_engine(path, bundle, graph, machine.host)
        except EngineError as error:
            fix = recipe.build_command(bundle, chosen.engines)
            return [runs, Check("engines", WARNING, "none of the %s: %s" % (network, error), fix)]
        built.append("%s %s" % (network, facts["precision"]))
    return [runs, Check("engines", OK, ", ".join(built))]
