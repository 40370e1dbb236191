"""``carcloud bench``: how fast this machine turns pictures into clouds, and how fast clients get them."""

import argparse
import json
import platform
import sys
from contextlib import ExitStack
from typing import Any, Dict, List

import edge
from edge import settings
from edge.cli.progress import Progress
from edge.errors import SettingsError
from edge.runtime.board import usable_cores

#: As fast as it is asked, so that the source does not limit the rate.
DEFAULT_SOURCE = "synthetic://car?seed=0&fps=0"
CLIENTS = (1, 8)
REPORT_FILE = "carcloud-report.json"
#: What a stage's line adds.
NOTES = {
    "capture": "   waiting for the source", "find": "   a few times a second",
    "handover": "   waiting for the second thread, which does what follows during the next frame",
}  # fmt: skip

DESCRIPTION = """Measure this machine: milliseconds of each stage (median and 90th percentile), frames a second from
the picture to the cloud, and how long after its publication a cloud is in a client's hands, for one and for eight
clients over this machine's own network. A fixed NumPy loop is timed in the same run: compare machines, or a busy
machine with an idle one, by the ratios to it."""

EPILOG = """examples:
  carcloud bench
  carcloud bench --source file://drive.mp4?pace=0 --frames 200
  carcloud bench --source v4l2:///dev/video0      a camera's own rate limits the result
  carcloud bench --json > this-machine.json
  carcloud bench --report --frames 3000           with the board's clocks and temperatures, a paragraph to send us
"""


def register(subparsers: Any) -> None:
    """Add the ``bench`` command."""
    parser = subparsers.add_parser(
        "bench", help="how fast this machine is", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--frames", type=int, default=100, metavar="N", help="frames to measure (default: 100)")
    parser.add_argument(
        "--seconds", type=float, default=3.0, metavar="S",
        help="seconds to pull with each number of clients, 0 to leave that out (default: 3)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--report", nargs="?", const=REPORT_FILE, metavar="FILE",
        help="also measure each network alone, watch clocks and temperatures, compare with the estimates for a Jetson "
        "Nano, write all of it to FILE (default: %s) and print a paragraph to paste into an issue" % REPORT_FILE,
    )  # fmt: skip
    names = ("source", "bundle", "backend", "threads", "precision", "engines", "max_points", "box", "find", "average")
    settings.add_arguments(parser, names)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    chosen = settings.from_options(options)
    chosen = chosen._replace(source=chosen.source or DEFAULT_SOURCE)
    if options.print_config:
        print(settings.to_json(chosen), end="")
        return 0
    if not 1 <= options.frames <= 100000 or not 0 <= options.seconds <= 3600:
        raise SettingsError("--frames must be from 1 to 100000 and --seconds from 0 to 3600")
    if options.report is not None:
        return write_report(chosen, options)
    figures = measure(chosen, options.frames, options.seconds)
    print(json.dumps(figures, indent=1) if options.json else "\n".join(table(figures)))
    return 0


def write_report(chosen: settings.Settings, options: argparse.Namespace) -> int:
    """Measure, write the report and print its paragraph, or all of it with --json."""
    from edge.cli import report

    report.check_file(options.report)
    made = report.make_report(chosen, options.frames, options.seconds)
    report.write_file(options.report, made)
    print(json.dumps(made, indent=1) if options.json else made["text"])
    print("all figures are in %s" % options.report, file=sys.stderr)
    return 0


def measure(chosen: settings.Settings, frames: int, seconds: float) -> Dict[str, Any]:
    """All figures as one JSON-ready dictionary."""
    from edge.bundle import load_bundle
    from edge.cli import measure as m
    from edge.runtime.opening import enter_backend, enter_finder, enter_silhouette
    from edge.runtime.reconstructor import Reconstructor

    source = str(chosen.source)
    bundle = load_bundle(chosen.bundle)
    network = bundle.manifest.get("network", {})
    with ExitStack() as stack:
        backend = enter_backend(stack, bundle, chosen)
        where = m.Where(chosen.box, enter_finder(stack, bundle, chosen), chosen.average)
        silhouette = enter_silhouette(stack, bundle, chosen)
        reconstructor = Reconstructor(bundle, backend, chosen.max_points, silhouette=silhouette)
        before = m.time_reference()
        progress = Progress(frames + m.WARM_UP, "frames")
        line = m.measure_pipeline(source, reconstructor, where, frames, progress.update)
        pulls = []
        for clients in CLIENTS if seconds > 0 else ():
            progress.say("pulling for %g s with %d client%s" % (seconds, clients, "s"[: clients > 1]))
            pulls.append(m.measure_pulls(source, reconstructor, where, clients, seconds))
        detail = backend.detail
    # Before and after, so that a machine that gets busy in between shows in the 90th percentile.
    reference = m.stage(before + m.time_reference())
    gflop = float(network.get("gflop", float("nan")))
    busy = line.stages["network"].median
    return {
        "carcloud": edge.__version__,
        "machine": machine(),
        "bundle": bundle.name,
        "backend": detail,
        "source": settings.redact(source),
        "network": {"parameters": network.get("parameters"), "gflop": gflop, "gflop_per_s": gflop / busy * 1e3},
        "stages_ms": {name: value._asdict() for name, value in line.stages.items()},
        "frames": line.frames,
        "frames_per_s": line.fps,
        "points": line.points,
        "ms_between_frames": {"first_tenth": line.seconds[0] * 1e3, "last_tenth": line.seconds[1] * 1e3},
        "memory_mb": {"first_tenth": line.megabytes[0], "end": line.megabytes[1]},
        "pull": [dict(pull._asdict(), latency=pull.latency._asdict()) for pull in pulls],
        "reference_ms": reference._asdict(),
        "ratios": dict(
            {"network": busy / reference.median, "frame": 1e3 / line.fps / reference.median},
            **{"pull_%d" % pull.clients: pull.latency.median / reference.median for pull in pulls},
        ),
    }


def table(figures: Dict[str, Any]) -> List[str]:
    """The figures for people, line by line."""
    network, reference, ratios = figures["network"], figures["reference_ms"], figures["ratios"]
    lines = [
        "machine    %s" % figures["machine"],
        "bundle     %s: %s parameters, %.4g GFLOP a frame"
        % (figures["bundle"], _count(network["parameters"]), network["gflop"]),
        "backend    %s: %.3g GFLOP/s in the network" % (figures["backend"], network["gflop_per_s"]),
        "source     %s" % figures["source"],
        "reference  %.2f ms for a 512 x 512 matrix product in NumPy (p90 %.2f)"
        % (reference["median"], reference["p90"]),
        "",
        "stage        median      p90   ms, %d frames, %d points a cloud" % (figures["frames"], figures["points"]),
    ]
    for name, value in figures["stages_ms"].items():
        lines.append("%-10s %8.2f %8.2f%s" % (name, value["median"], value["p90"], NOTES.get(name, "")))
    between, memory = figures["ms_between_frames"], figures["memory_mb"]
    lines += [
        "", "end to end   %.1f frames/s" % figures["frames_per_s"],
        "a frame      %8.2f %8.2f   ms, median of the first and of the last tenth"
        % (between["first_tenth"], between["last_tenth"]),
        "memory       %8.1f %8.1f   MB, after the first tenth and at the end" % (memory["first_tenth"], memory["end"]),
    ]  # fmt: skip
    for pull in figures["pull"]:
        lines.append(
            "pull       %8.2f %8.2f   ms from publication to decoded, %d client%s, %.1f clouds/s each"
            % (
                pull["latency"]["median"],
                pull["latency"]["p90"],
                pull["clients"],
                "s"[: pull["clients"] > 1],
                pull["rate"],
            )
        )
    parts = ["%s %.3g" % (name.replace("_", " x"), value) for name, value in ratios.items()]
    return lines + ["ratio to the reference: " + ", ".join(parts)]


def machine() -> str:
    """This machine in one line: processor, cores this process may use, system, Python."""
    version = "Python %d.%d" % sys.version_info[:2]
    return "%s, %d cores, %s, %s" % (processor(), usable_cores(), platform.system(), version)


def processor() -> str:
    """A board's name, or that of the processor."""
    name = platform.processor() or platform.machine()
    for path, key in (("/proc/device-tree/model", ""), ("/proc/cpuinfo", "model name")):
        try:
            with open(path, encoding="utf-8", errors="replace") as handle:
                found = [line for line in handle if line.startswith(key)]
        except OSError:
            continue
        if found:
            name = found[0].partition(":")[2].strip() if key else found[0].strip("\0\n ")
            break
    return name


def _count(value: Any) -> str:
    return "{:,}".format(value) if isinstance(value, int) else "an unknown number of"
