"""``carcloud bench --report``: what a person with a board measures, as JSON and as a paragraph to paste in public.

Neither holds a host or user name, a serial number or a path: of a source only its kind and its numbers are told.
"""

import json
import math
import os
import platform
import re
import time
from typing import Any, Dict, List, Optional

import edge
from edge.bundle import DEFAULT, Bundle, load_bundle
from edge.cli import bench
from edge.cli import measure as m
from edge.cli.progress import Progress
from edge.errors import SettingsError
from edge.ply import atomic_file
from edge.runtime.board import Board, read_board, usable_cores
from edge.runtime.opening import open_network
from edge.runtime.watch import BELOW, Range, Watch
from edge.settings import LOCAL_SCHEMES, Settings
from edge.targets import detect_target

FORMAT, FORMAT_VERSION = "carcloud-report", 1
#: Runs of each network alone.
RUNS = 50
#: What the estimates are of.
NANO, BACKEND, PRECISION = "nano-jp46", "trt", "fp16"
NO_ESTIMATE = "There is no estimate for this machine: the estimates are of a Jetson Nano with TensorRT in FP16"
#: Frames a second of the shipped bundle on a live picture of 640 x 480 (docs/estimate.md, "End to end").
END_TO_END = {"frames_per_s": 24.0, "low": 16.0, "high": 34.0}
#: Settings that figure is of.
END_TO_END_OF = {"max_points": 16384, "box": None, "find": True, "average": True}
#: Cores of others from which on they are said to disturb.
DISTURBED = 0.25


def check_file(path: str) -> None:
    """Refuse, before anything is measured, a file that cannot be written or that is something else than a report.

    Raises SettingsError.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise SettingsError("no report can be written to %s: there is no folder that one may write to; give another "
                            "one: --report FILE" % path)
    if not os.path.lexists(path):
        return
    try:
        with open(path, encoding="utf-8") as handle:
            found = json.load(handle)
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise SettingsError("%s exists and is no report of carcloud bench, so it is not overwritten; give another one: "
                            "--report FILE" % path)


def write_file(path: str, report: Dict[str, Any]) -> None:
    """Write a report, whole or not at all. Raises SettingsError."""
    try:
        with atomic_file(path) as handle:
            handle.write((json.dumps(report, indent=1, allow_nan=False) + "\n").encode("utf-8"))
    except OSError as error:
        raise SettingsError("the report cannot be written to %s: %s; give another one: --report FILE" % (
            path, error.strerror or error))


def make_report(chosen: Settings, frames: int, seconds: float, root: str = "/") -> Dict[str, Any]:
    """Measure everything; JSON-ready. root: where the board's files lie.

    Raises what ``carcloud bench`` raises.
    """
    bundle = load_bundle(chosen.bundle)
    before, others, start = read_board(root), m.OtherProcesses(), time.monotonic()
    with Watch(root) as watch:
        networks = measure_networks(bundle, chosen)
        figures = bench.measure(chosen, frames, seconds)
        elapsed, cores = time.monotonic() - start, others.cores()
    figures.update(source=public_source(str(chosen.source)), backend=without_paths(figures["backend"]))
    report: Dict[str, Any] = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "target": target_name(root), "machine": figures["machine"], "versions": versions(networks, before),
        "bundle": {"name": bundle.name, "sha256": {n: e["sha256"] for n, e in bundle.manifest["files"].items()}},
        "board": {
            "before": before._asdict(), "during": watched(watch, elapsed, cores), "after": read_board(root)._asdict(),
        },
        "networks": networks,
        "end_to_end": {"frames_per_s": figures["frames_per_s"]},
        "bench": figures,
    }  # fmt: skip
    add_comparisons(report, bundle.manifest, chosen)
    report["warnings"] = warnings_of(report, watch)
    report["text"] = paragraph(report)
    return finite(report)


def measure_networks(bundle: Bundle, chosen: Settings) -> Dict[str, Dict[str, Any]]:
    """Each network of the bundle alone, one after the other so that only one is in memory."""
    graphs = {"network": None, "finder": bundle.finder and bundle.finder.graph,
              "silhouette": bundle.silhouette and bundle.silhouette.graph}  # fmt: skip
    graphs = {name: graph for name, graph in graphs.items() if name == "network" or graph is not None}
    progress, found = Progress(len(graphs), "networks"), {}
    for name, graph in graphs.items():
        with open_network(bundle, chosen, graph) as backend:
            taken = m.measure_network(backend, graph or bundle.graph, RUNS)
            found[name] = {"ms": dict(taken._asdict()), "runs": RUNS, "backend": backend.name,
                           "precision": backend.precision, "detail": without_paths(backend.detail)}  # fmt: skip
        progress.update(len(found))
    return found


def add_comparisons(report: Dict[str, Any], manifest: Dict[str, Any], chosen: Settings) -> None:
    """Add ``estimate``, ``ratio`` (measured over estimated) and ``within_band`` to what there are estimates of, and
    ``no_estimate``, why there are none for this machine, "" if there are."""
    known = {name: report["target"] == NANO and one["backend"] == BACKEND and one["precision"] == PRECISION
             for name, one in report["networks"].items()}  # fmt: skip
    report["no_estimate"] = "" if known["network"] else NO_ESTIMATE
    for name, one in report["networks"].items():
        estimate = manifest.get(name, {}).get("nano_ms_estimate")
        if known[name] and estimate:
            one.update(compared(one["ms"]["median"], estimate, "ms"))
    settings = {name: getattr(chosen, name) for name in END_TO_END_OF}
    if all(known.values()) and settings == END_TO_END_OF and manifest["name"] == DEFAULT:
        report["end_to_end"].update(compared(report["end_to_end"]["frames_per_s"], END_TO_END, "frames_per_s"))


def compared(value: float, estimate: Dict[str, float], key: str) -> Dict[str, Any]:
    """A measured value beside its estimate and the band of that."""
    within = estimate["low"] <= value <= estimate["high"]
    return {"estimate": dict(estimate), "ratio": value / estimate[key], "within_band": within}


def warnings_of(report: Dict[str, Any], watch: Watch) -> List[str]:
    """What makes these figures worse than the machine is, each with what to do."""
    board, found = report["board"]["before"], []
    jetson, nano = bool(board["l4t"]), report["target"] == NANO
    if not report["target"]:
        found.append("the L4T release is none that carcloud knows")
    if jetson and report["networks"]["network"]["backend"] != BACKEND:
        found.append("TensorRT did not run (carcloud build, then carcloud bench --backend trt)")
    if jetson and board["power_mode"] and not board["power_mode"].startswith("MAXN"):
        found.append("power mode %s, not MAXN (%s)" % (
            board["power_mode"], "sudo nvpmodel -m 0" if nano else "sudo nvpmodel -m N; N as in /etc/nvpmodel.conf"))
    if watch.throttled:
        found.append("throttled: %s" % watch.reason)
        if nano and not watch.hot:
            found.append("no zone was hot, so the power supply may be weak (a Nano takes 5 V 2 A by micro-USB, 4 A by "
                         "the barrel jack with jumper J48)")
    elif jetson and any(_idled(watch, name) for name in ("gpu", "cpu")):
        found.append("clocks not pinned (sudo jetson_clocks)")
    cores = report["board"]["during"]["other_processes_cores"]
    if cores is not None and cores >= DISTURBED:
        found.append("other processes used %.1f cores; end them and measure again" % cores)
    return found


def paragraph(report: Dict[str, Any]) -> str:
    """All of it in one paragraph: no line breaks, for these would stay where it is pasted."""
    board, during, figures = report["board"]["before"], report["board"]["during"], report["bench"]
    cores, l4t, mode = board["cores"] or usable_cores(), board["l4t"], board["power_mode"]
    known = [report["target"], l4t and "L4T " + l4t, mode and "power mode " + mode, "%d cores" % cores]
    what = report["versions"]
    parts = [
        "carcloud %s, bundle %s (%s), measured on %s (%s), Python %s, OpenCV %s, %s." % (
            what["carcloud"], report["bundle"]["name"], report["bundle"]["sha256"]["reconstructor.onnx"][:12],
            board["model"] or bench.processor(), ", ".join(filter(None, known)), what["python"], what["opencv"],
            what["backend"]),
        "Networks alone, median (90th percentile) of %d runs: %s." % (RUNS, "; ".join(
            "%s %.2f ms (%.2f)%s" % (name, one["ms"]["median"], one["ms"]["p90"], _beside(one, "ms", "%.2f"))
            for name, one in report["networks"].items())),
        "End to end %.1f frames/s%s, %d frames of %s, %d points a cloud." % (
            figures["frames_per_s"], _beside(report["end_to_end"], "frames_per_s", "%.0f"), figures["frames"],
            figures["source"], figures["points"]),
        "Stages, ms: %s." % ", ".join("%s %.2f" % (n, v["median"]) for n, v in figures["stages_ms"].items()),
        figures["pull"] and "From publication to a client, ms: %s." % ", ".join("%.1f (%d client%s)" % (
            one["latency"]["median"], one["clients"], "s"[: one["clients"] > 1]) for one in figures["pull"]),
        "During these %.0f s: %s." % (during["seconds"], "; ".join(_state(during))),
        report["no_estimate"] and report["no_estimate"] + ".",
        "WARNING: %s." % "; ".join(report["warnings"]) if report["warnings"] else "",
    ]  # fmt: skip
    return " ".join(filter(None, parts))


def _beside(one: Dict[str, Any], key: str, form: str) -> str:
    if "estimate" not in one:
        return ""
    estimate = one["estimate"]
    return ", estimated %s (%s to %s): %.2f times that, %s the band" % (
        form % estimate[key], form % estimate["low"], form % estimate["high"], one["ratio"],
        "within" if one["within_band"] else "outside")  # fmt: skip


def _state(during: Dict[str, Any]) -> List[str]:
    """Clocks, temperature, throttling and company, in words."""
    found = []
    for name in ("gpu", "cpu"):
        clock, most = during[name + "_mhz"], during[name + "_max_mhz"]
        if clock is not None:
            found.append("%s %.0f to %.0f%s MHz" % (
                name.upper(), clock["low"], clock["high"], " of %.0f" % most["high"] if most else ""))
    if not found:
        found.append("clocks not told")
    if during["temperatures"]:
        zone, value = max(during["temperatures"].items(), key=lambda item: item[1]["high"])
        found.append("hottest %s with %.1f C" % (zone, value["high"]))
    word = {True: "throttled", False: "not throttled", None: "throttling not known"}[during["throttled"]]
    found.append("%s (%s)" % (word, during["reason"]))
    if during["other_processes_cores"] is not None:
        found.append("other processes used %.1f cores" % during["other_processes_cores"])
    return found


def watched(watch: Watch, seconds: float, cores: Optional[float]) -> Dict[str, Any]:
    """What a watch saw; JSON-ready."""
    values: Dict[str, Any] = {name: _pair(getattr(watch, name)) for name in (
        "gpu_mhz", "gpu_max_mhz", "cpu_mhz", "cpu_max_mhz")}  # fmt: skip
    values["temperatures"] = {name: _pair(value) for name, value in watch.temperatures.items()}
    return dict(values, seconds=seconds, samples=watch.samples, throttled=watch.throttled, reason=watch.reason,
                other_processes_cores=cores)


def versions(networks: Dict[str, Dict[str, Any]], board: Board) -> Dict[str, Any]:
    """Of what a network's time may depend on; None where there is none."""
    import cv2
    import numpy as np

    detail = networks["network"]["detail"]
    tensorrt = re.search(r"TensorRT (\d[\w.]*)", detail)
    return {"carcloud": edge.__version__, "python": platform.python_version(), "numpy": np.__version__,
            "opencv": cv2.__version__, "backend": detail, "l4t": board.l4t or None,
            "tensorrt": tensorrt.group(1) if tensorrt else None}  # fmt: skip


def target_name(root: str = "/") -> str:
    """Name of this machine's target; "" for a Jetson whose release is not known."""
    try:
        return detect_target(os.path.join(root, "etc/nv_tegra_release")).name
    except SettingsError:
        return ""


def public_source(uri: str) -> str:
    """A source without what may tell who measured: its kind, and of a local one the parameters that are numbers.

    A camera's name may hold its serial number, a path the user's name, a network camera's anything.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return "file"
    if scheme.lower() not in LOCAL_SCHEMES:
        return scheme.lower()
    target, _, query = rest.partition("?")
    kept = "&".join(item for item in query.split("&") if re.match(r"[a-z_]+=[\d.]+$", item))
    shown = target if re.match(r"car$|\d$", target) and scheme.lower() in ("synthetic", "csi") else ""
    return scheme.lower() + (separator + shown if shown else "") + ("?" + kept if kept else "")


def without_paths(text: str) -> str:
    """A text in which of an absolute path only the last part is left."""
    return re.sub(r"(?<![\w./:])/(?:[^\s/,;()]+/)+([^\s/,;()]+)", r"\1", text)


def finite(value: Any) -> Any:
    """The same with None for each number that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _pair(value: Optional[Range]) -> Optional[Dict[str, float]]:
    return None if value is None else dict(value._asdict())


def _idled(watch: Watch, name: str) -> bool:
    clock, most = getattr(watch, name + "_mhz"), getattr(watch, name + "_max_mhz")
    return clock is not None and most is not None and clock.low < BELOW * most.high
