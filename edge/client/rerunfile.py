"""A log as a recording of Rerun (RRD), by Rerun's own package, which writes only what its own version reads."""

from typing import Callable

from edge import wire
from edge.client.foxglove import times
from edge.client.log import CLOUD, LogReader
from edge.errors import LogError, WireError
from edge.ply import atomic_file


def write_rrd(log: LogReader, path: str, every: int, say: Callable[[str], None]) -> int:
    """Write each ``every``-th cloud (as ``car``) and all pictures (as ``camera``) of a log, on the timeline
    ``capture``; whole or not at all. Returns how many clouds.

    say: gets a sentence for each record that is damaged and left out. Raises LogError if the package ``rerun-sdk`` is
    not installed.
    """
    try:
        import rerun  # type: ignore[import-not-found]
    except ImportError:
        raise LogError("RRD files need the package rerun-sdk, which is not installed; type: pip install rerun-sdk")
    clouds = 0
    with atomic_file(path) as handle:
        recording = rerun.RecordingStream("carcloud")
        recording.save(handle.name)
        recording.log("/", rerun.ViewCoordinates.FLU, static=True)
        seen = 0
        for entry, time_ns in times(log):
            if entry.kind == CLOUD:
                seen += 1
                if (seen - 1) % every:
                    continue
            try:
                body = log.body(entry)
                cloud = wire.decode(body).cloud if entry.kind == CLOUD else None
            except (LogError, WireError) as error:
                say(str(error))
                continue
            recording.set_time("capture", timestamp=time_ns / 1e9)
            if cloud is None:
                recording.log("camera", rerun.EncodedImage(contents=body, media_type="image/jpeg"))
            else:
                clouds += 1
                recording.log("car", rerun.Points3D(cloud.points, colors=cloud.rgb))
        recording.flush()
        recording.disconnect()
    return clouds
