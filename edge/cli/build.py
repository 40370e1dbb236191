"""``carcloud build``: the bundle's networks to TensorRT engines for this very machine."""

import argparse
import os
import signal
import sys
from typing import Any, Dict, List, Optional

from edge import settings
from edge.cli.progress import Progress
from edge.errors import EngineError, SettingsError
from edge.settings import Settings

#: MiB. Users of a Nano report that 1 GB of workspace is what kills their builder, and that 256 MB do (tensorrt_demos).
WORKSPACE_MIB = 256

DESCRIPTION = """Compile the bundle's networks into TensorRT engines for this machine, and check each against the golden
outputs in the bundle before it is used. Takes minutes on a Jetson; run it again after an update of JetPack or of the
bundle. What fits already is left as it is. An engine that does not give the golden outputs is rejected, and the next
safer precision is tried. The build runs in a process of its own, so that running out of memory ends it and nothing
else."""

EPILOG = """examples:
  carcloud build                           engines for the shipped bundle, in FP16 where the GPU is faster so
  carcloud build --check                   only say which engines fit, and why others do not
  carcloud build --precision int8          on Orin and later; refused on a Nano, whose GPU has no INT8
  carcloud build --workspace 64            if memory runs out
  carcloud build --bundle ./my-bundle --engines /data/engines

exit code: 0 if all engines are there, 10 if one could not be built (or, with --check, does not fit).
"""


def register(subparsers: Any) -> None:
    """Add the ``build`` command."""
    parser = subparsers.add_parser(
        "build", help="TensorRT engines for this machine", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--workspace", type=int, metavar="MIB", help="scratch memory of the builder (default: %d)" % WORKSPACE_MIB
    )
    parser.add_argument("--rebuild", action="store_true", help="also build engines that fit already")
    parser.add_argument("--force", action="store_true", help="build although memory, disk or heat speak against it")
    parser.add_argument("--background", action="store_true", help=argparse.SUPPRESS)  # a server's: ends with it
    parser.add_argument("--check", action="store_true", help="build nothing, say which engines fit")
    settings.add_arguments(parser, ("bundle", "precision", "engines"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Build what does not fit; 0 if all engines are there afterwards. Raises EngineError."""
    chosen = settings.from_options(options)
    if options.print_config:
        print(settings.to_json(chosen), end="")
        return 0
    from edge.runtime.backends import PRECISIONS
    from edge.runtime.engine.process import end_with_parent

    if chosen.precision not in PRECISIONS:
        raise SettingsError("unknown precision %r; give one of %s" % (chosen.precision, ", ".join(PRECISIONS)))
    if options.workspace is not None and not 1 <= options.workspace <= 65536:
        raise SettingsError("--workspace is %d; give 1 to 65536 MiB" % options.workspace)
    if options.background:
        end_with_parent()
    signal.signal(signal.SIGTERM, _interrupt)  # so that workers and temporary files end with it
    return Build(chosen, options).run()


def _interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


class Build:
    """One run of the command."""

    def __init__(self, chosen: Settings, options: argparse.Namespace) -> None:
        from edge.bundle import load_bundle
        from edge.runtime.board import read_board
        from edge.runtime.engine import build, recipe

        self._chosen, self._options = chosen, options
        self._bundle = load_bundle(chosen.bundle)
        self._folder = chosen.engines or recipe.default_folder()
        self._board = read_board()
        self._machine = build.ask_machine(self._board.l4t)
        host = self._machine.host
        print("TensorRT %s, %s (compute capability %s), %s" % (
            host.tensorrt, self._machine.name, host.capability, self._machine.memory))

    def run(self) -> int:
        """Look at every engine, then build what must be."""
        from edge.runtime.engine import build

        wanted = [graph for graph in build.networks(self._bundle) if self._is_wanted(graph)]
        if self._options.check or not wanted:
            return EngineError.exit_code if wanted else 0
        for graph in wanted:  # what is refused, is refused before minutes are spent
            build.precisions(self._bundle, graph, self._machine, self._chosen.precision)
        self._preflight(max(os.path.getsize(graph.path) for graph in wanted) / 2.0**20)
        with build.alone(os.path.join(self._folder, "build.lock")):
            for graph in wanted:
                self._build(graph)
        print("all engines are in %s" % self._folder)
        return 0

    def _is_wanted(self, graph: Any) -> bool:
        """Whether the engine of a network must be built; says why."""
        from edge.runtime.engine import recipe

        network = recipe.network_of(graph)
        path = recipe.engine_path(self._folder, self._bundle.name, network)
        precision = self._chosen.precision
        main = network == recipe.network_of(self._bundle.graph)
        exact: Optional[str] = None if precision == "auto" or not main else precision
        try:
            facts = recipe.check_engine(
                path, self._bundle, graph, self._machine.host, exact, self._options.workspace)
        except EngineError as error:
            print("%-14s to be built: %s" % (network, error))
            return True
        again = bool(self._options.rebuild and not self._options.check)
        print("%-14s fits (%s, %.1f MB)%s" % (
            network, facts["precision"], facts["engine_bytes"] / 1e6, ", and is built again" if again else ""))
        return again

    def _preflight(self, onnx_mib: float) -> None:
        """Say how the machine is. Raises EngineError where a build makes no sense."""
        from edge.runtime.engine.build import make_folder
        from edge.runtime.engine.preflight import preflight

        folder = make_folder(self._folder, self._bundle.name)
        stops: List[str] = []
        for finding in preflight(self._board, folder, onnx_mib, self._workspace):
            print("%-14s %s" % (finding.name, finding.text))
            if finding.fix:
                print("%-14s to mend it: %s" % ("", finding.fix))
            if finding.stops:
                stops.append("%s: %s" % (finding.name, finding.text))
        if stops and not self._options.force:
            raise EngineError("nothing was built: %s; mend it, or type carcloud build --force" % "; ".join(stops))

    @property
    def _workspace(self) -> int:
        return self._options.workspace or WORKSPACE_MIB

    def _build(self, graph: Any) -> None:
        from edge.runtime.engine import build, recipe

        network = recipe.network_of(graph)
        progress = Building(network)
        try:
            built = build.build_engine(
                self._bundle, graph, self._machine, self._chosen.precision, self._workspace, self._folder,
                progress.say, progress.listen)
        finally:
            progress.close()
        checked = "the bundle has no golden outputs for it" if built.report is None else built.report.worst.text
        print("%-14s built in %.0f s: %s, %.1f MB; %s" % (
            network, built.seconds, built.recipe.precision, built.megabytes, checked))
        sys.stdout.flush()


class Building:
    """Shows how a build gets on: how many layers were timed, of at most as many as the network has."""

    def __init__(self, network: str) -> None:
        self._network = network
        self._progress: Optional[Progress] = None
        self._layers = 0

    def listen(self, event: Dict[str, Any]) -> None:
        """An event of the worker."""
        kind = event["event"]
        if kind == "network":
            self.close()
            self._layers = int(event["layers"])
            self._progress = Progress(self._layers, self._network)
        elif kind == "timing" and self._progress is not None:
            # Layers are fused, so the end comes before the last number.
            self._progress.update(min(int(event["count"]), self._layers - 1), str(event["layer"])[:40])
        elif kind == "memory":
            self.say("%s: a kernel that wants %d MiB is left out, %d are free" % (
                self._network, event["request_mib"], event["available_mib"]))
        elif kind == "warning":
            self.say("%s: %s" % (self._network, event["text"]))

    def say(self, sentence: str) -> None:
        """A line of its own."""
        if self._progress is not None:
            self._progress.say(sentence)
        else:
            print(sentence, file=sys.stderr)

    def close(self) -> None:
        """End the bar."""
        if self._progress is not None:
            self._progress.close()
