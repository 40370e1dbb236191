"""A log as MCAP with Foxglove's own schemas, as JSON: Foxglove and Lichtblick show it without a plug-in.

https://docs.foxglove.dev/docs/sdk/schemas/point-cloud and compressed-image; they are known by their names, and bytes
are base64 text, which the schema has to say.
"""

import base64
import json
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

from edge import wire
from edge.client.log import CLOUD, PICTURE, SESSION, Entry, LogReader
from edge.errors import LogError, WireError
from edge.geometry import Cloud
from edge.ply import atomic_file

CLOUD_TOPIC, PICTURE_TOPIC = "/carcloud/cloud", "/carcloud/camera"
#: The frames of reference: the car's own (canonical, docs/architecture.md), and the camera's.
CLOUD_FRAME, PICTURE_FRAME = "car", "camera"
#: foxglove.NumericType.
UINT8, FLOAT32 = 1, 7

_WHOLE, _NUMBER, _TEXT = {"type": "integer"}, {"type": "number"}, {"type": "string"}
_BYTES = {"type": "string", "contentEncoding": "base64"}


def _object(**properties: Any) -> Dict[str, Any]:
    return {"type": "object", "properties": properties}


_TIME = _object(sec=_WHOLE, nsec=_WHOLE)
SCHEMAS = {
    "foxglove.PointCloud": dict(_object(
        timestamp=_TIME, frame_id=_TEXT,
        pose=_object(position=_object(x=_NUMBER, y=_NUMBER, z=_NUMBER),
                     orientation=_object(x=_NUMBER, y=_NUMBER, z=_NUMBER, w=_NUMBER)),
        point_stride=_WHOLE,
        fields={"type": "array", "items": _object(name=_TEXT, offset=_WHOLE, type=_WHOLE)}, data=_BYTES),
        title="foxglove.PointCloud"),
    "foxglove.CompressedImage": dict(
        _object(timestamp=_TIME, frame_id=_TEXT, data=_BYTES, format=_TEXT), title="foxglove.CompressedImage"),
}  # fmt: skip


def point_cloud(cloud: Cloud, time_ns: int) -> Dict[str, Any]:
    """A cloud as foxglove.PointCloud: x y z, red green blue alpha, confidence and mark, as far as they are known."""
    fields: List[Tuple[str, str]] = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    values: List[np.ndarray] = list(np.asarray(cloud.points, np.float32).T)
    if cloud.rgb is not None:
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1"), ("alpha", "u1")]
        values += list(cloud.rgb.T) + [np.full(len(cloud.points), 255, np.uint8)]
    if cloud.confidence is not None:
        fields.append(("confidence", "<f4"))
        values.append(cloud.confidence)
    if cloud.mark is not None:
        fields.append(("mark", "u1"))
        values.append(cloud.mark)
    kind = np.dtype(fields)
    table = np.empty(len(cloud.points), kind)
    for (name, _), value in zip(fields, values):
        table[name] = value
    offsets = [kind.fields[name][1] for name, _ in fields] if kind.fields is not None else []
    return {
        "timestamp": _time(time_ns), "frame_id": CLOUD_FRAME,
        "pose": {"position": dict(x=0, y=0, z=0), "orientation": dict(x=0, y=0, z=0, w=1)},
        "point_stride": kind.itemsize,
        "fields": [{"name": name, "offset": offset, "type": FLOAT32 if code == "<f4" else UINT8}
                   for (name, code), offset in zip(fields, offsets)],
        "data": base64.b64encode(table.tobytes()).decode("ascii"),
    }  # fmt: skip


def write_mcap(log: LogReader, path: str, every: int, say: Callable[[str], None]) -> int:
    """Write each ``every``-th cloud and all pictures of a log as MCAP, whole or not at all; returns how many clouds.

    Times are those of capture, on the recorder's wall clock. say: gets a sentence for each record that is damaged and
    left out. Raises LogError if the package ``mcap`` is not installed.
    """
    try:
        from mcap.writer import Writer  # type: ignore[import-not-found]
    except ImportError:
        raise LogError("MCAP files need the package mcap, which is not installed; type: pip install mcap")
    seen = clouds = 0
    with atomic_file(path) as handle:
        writer = Writer(handle)
        writer.start(library="carcloud")
        channels = {}
        for topic, name in ((CLOUD_TOPIC, "foxglove.PointCloud"), (PICTURE_TOPIC, "foxglove.CompressedImage")):
            schema = writer.register_schema(name, "jsonschema", json.dumps(SCHEMAS[name]).encode("ascii"))
            channels[topic] = writer.register_channel(topic, "json", schema)
        for entry, time_ns in times(log):
            topic = CLOUD_TOPIC if entry.kind == CLOUD else PICTURE_TOPIC
            if entry.kind == CLOUD:
                seen += 1
                if (seen - 1) % every:
                    continue
            try:
                message = _message(log, entry, time_ns)
            except (LogError, WireError) as error:
                say(str(error))
                continue
            data = json.dumps(message, separators=(",", ":")).encode("ascii")
            writer.add_message(channels[topic], time_ns, data, time_ns)
            clouds += entry.kind == CLOUD
        writer.finish()
    return clouds


def times(log: LogReader) -> List[Tuple[Entry, int]]:
    """Clouds and pictures with the time of their capture, nanoseconds since 1970 on the recorder's wall clock, oldest
    first."""
    found, began = [], 0
    for entry in log.entries:
        if entry.kind == SESSION:
            began = int(entry.facts.get("unix_us") or 0) - entry.time_us
        elif entry.kind in (CLOUD, PICTURE):
            age_us = int(1e3 * float(entry.facts.get("age_ms") or 0.0))
            found.append((entry, 1000 * max(0, began + entry.time_us - age_us)))
    return sorted(found, key=lambda item: item[1])


def _message(log: LogReader, entry: Entry, time_ns: int) -> Dict[str, Any]:
    body = log.body(entry)
    if entry.kind == CLOUD:
        return point_cloud(wire.decode(body).cloud, time_ns)
    return {"timestamp": _time(time_ns), "frame_id": PICTURE_FRAME, "format": "jpeg",
            "data": base64.b64encode(body).decode("ascii")}  # fmt: skip


def _time(time_ns: int) -> Dict[str, int]:
    return {"sec": time_ns // 10**9, "nsec": time_ns % 10**9}
