"""``/metrics``: the telemetry in the text format of Prometheus, version 0.0.4.

Names and units as its manual wants them: base units (seconds, bytes, hertz, degrees Celsius), ``_total`` for what only
grows (https://prometheus.io/docs/practices/naming/, .../instrumenting/exposition_formats/).
"""

from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Tuple, Union

from edge.server.hub import State
from edge.server.telemetry import QUALITIES, Snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MIB = 1 << 20
Value = Union[int, float]
#: Label values, or None for a metric without labels, and the number.
Sample = Tuple[Optional[Dict[str, str]], Value]


class Metric(NamedTuple):
    """kind: "counter" or "gauge"."""

    name: str
    kind: str
    help: str
    samples: List[Sample]


def render(snapshot: Snapshot, facts: Dict[str, str]) -> bytes:
    """The page for Prometheus. facts: constants such as version and bundle, the labels of ``carcloud_info``.

    A metric that this machine or source does not tell is left out, rather than given as 0.
    """
    lines: List[str] = []
    for metric in metrics(snapshot, facts):
        if metric.samples:
            lines.append("# HELP %s %s" % (metric.name, metric.help.replace("\\", "\\\\").replace("\n", "\\n")))
            lines.append("# TYPE %s %s" % (metric.name, metric.kind))
            lines += [_line(metric.name, labels, value) for labels, value in metric.samples]
    return ("\n".join(lines) + "\n").encode("utf-8")


def _line(name: str, labels: Optional[Dict[str, str]], value: Value) -> str:
    inner = ",".join('%s="%s"' % (key, _escaped(text)) for key, text in sorted((labels or {}).items()))
    number = "%d" % value if isinstance(value, int) else repr(float(value))
    return "%s%s %s" % (name, "{%s}" % inner if inner else "", number)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def metrics(snapshot: Snapshot, facts: Dict[str, str]) -> Iterator[Metric]:
    """All metrics, those without a sample too."""
    yield _one("carcloud_info", "gauge", "What runs here; always 1.", 1, facts)
    yield from _of_stream(snapshot)
    yield from _of_machine(snapshot)


def _of_stream(snapshot: Snapshot) -> Iterator[Metric]:
    status, counts = snapshot.status, snapshot.counts
    states = [({"state": state.value}, int(state is status.state)) for state in State]
    yield _many("carcloud_state", "gauge", "1 for the state the stream is in, 0 for the others.", states)
    words = [({"quality": word}, int(word == snapshot.quality)) for word in QUALITIES]
    yield _many("carcloud_quality", "gauge", "1 for the word that says how well it goes, 0 for the others.", words)
    yield _one("carcloud_frames_captured_total", "counter", "Frames read from the source.", counts.get("captured"))
    yield _one("carcloud_frames_skipped_total", "counter",
               "Frames that a newer one replaced before they were looked at.", counts.get("skipped"))
    yield _one("carcloud_source_reconnects_total", "counter",
               "Times the source was opened again after it was lost.", counts.get("reconnects"))
    yield _one("carcloud_pictures_published_total", "counter", "Pictures shown, with or without a car.",
               snapshot.pictures)
    yield _one("carcloud_clouds_published_total", "counter", "Clouds made.", status.seq)
    yield _one("carcloud_clouds_per_second", "gauge", "Clouds a second over the last three seconds.", status.fps)
    yield _one("carcloud_cloud_age_seconds", "gauge", "Time since the frame of the newest cloud was captured.",
               status.age_s)
    yield _one("carcloud_cloud_points", "gauge", "Points of the newest cloud.", status.points)
    yield _many("carcloud_stage_seconds", "gauge", "Time that each stage took for the newest frame.",
                [({"stage": name}, value / 1e3) for name, value in sorted(status.timings_ms.items())])
    yield _one("carcloud_clients_waiting", "gauge", "Requests that wait for the next frame.", status.waiting)
    yield _many("carcloud_http_requests_total", "counter", "Requests answered, by status code.",
                [({"code": str(code)}, count) for code, count in sorted(snapshot.requests.items())])
    yield _one("carcloud_uptime_seconds", "gauge", "Time since the server was made.", snapshot.uptime_s)


def _of_machine(snapshot: Snapshot) -> Iterator[Metric]:
    board, hot = snapshot.reading.board, snapshot.reading.hot
    names = {"model": board.model, "l4t": board.l4t, "power_mode": board.power_mode}
    yield _one("carcloud_board_info", "gauge", "The board and its power mode; always 1.",
               1 if any(names.values()) else None, names)
    zones = sorted(board.temperatures.items())
    yield _many("carcloud_temperature_celsius", "gauge", "Temperature by thermal zone.",
                [({"zone": name}, degrees) for name, degrees in zones])
    yield _many("carcloud_zone_hot", "gauge", "1 for a zone so hot that the kernel slows the machine down.",
                [({"zone": name}, int(name in hot)) for name, _ in zones])
    yield _many("carcloud_clock_hertz", "gauge", "Clock now; of the CPU that of its fastest core.",
                _told("unit", {"gpu": board.gpu_mhz, "cpu": board.cpu_mhz}, 1e6))
    yield _many("carcloud_clock_limit_hertz", "gauge", "Clock that the power mode and the heat allow.",
                _told("unit", {"gpu": board.gpu_max_mhz, "cpu": board.cpu_max_mhz}, 1e6))
    yield _one("carcloud_cpu_cores_online", "gauge", "Cores that are switched on.", board.cores or None)
    memory = {
        "total": board.memory_total_mib, "available": board.memory_free_mib,
        "swap_total": board.swap_total_mib, "swap_free": board.swap_free_mib,
    }
    yield _many("carcloud_memory_bytes", "gauge", "Memory and swap of the machine: all, and what is free.",
                _told("kind", memory, MIB))
    yield _one("process_resident_memory_bytes", "gauge", "Resident memory of this process.",
               snapshot.reading.memory_bytes)


def _one(name: str, kind: str, text: str, value: Optional[Value], labels: Optional[Dict[str, str]] = None) -> Metric:
    return Metric(name, kind, text, [] if value is None else [(labels, value)])


def _many(name: str, kind: str, text: str, samples: List[Any]) -> Metric:
    return Metric(name, kind, text, samples)


def _told(label: str, values: Mapping[str, Optional[float]], scale: Value) -> List[Any]:
    return [({label: name}, value * scale) for name, value in sorted(values.items()) if value is not None]
