"""The GStreamer pipeline of a Jetson's CSI camera, and the checks that must pass before OpenCV may open it."""

import re
import shutil
import subprocess
from typing import Dict, List, Tuple

import cv2

from edge.errors import SourceError

#: Sensor modes as Argus reports them: width, height, highest frame rate. Anything else makes Argus pick a mode
#: of its own without a word, hence the check.
SENSOR_MODES: Dict[str, Tuple[Tuple[int, int, int], ...]] = {
    "imx219": ((3264, 2464, 21), (3264, 1848, 28), (1920, 1080, 30), (1640, 1232, 30), (1280, 720, 60)),
}
#: ``sensor=other`` skips the check of the mode, for sensors that are not in the table.
UNCHECKED = "other"


def csi_pipeline(sensor_id: int, width: int, height: int, fps: int, flip: int = 0) -> str:
    """Pipeline from a CSI sensor to BGR frames, newest only.

    drop, max-buffers and sync make the appsink give the newest frame when inference is slower than the camera.
    flip: nvvidconv's flip-method, 0 none, 2 turned by 180 degrees.
    """
    return (
        "nvarguscamerasrc sensor-id=%d"
        " ! video/x-raw(memory:NVMM), width=(int)%d, height=(int)%d, format=(string)NV12, framerate=(fraction)%d/1"
        " ! nvvidconv flip-method=%d ! video/x-raw, format=(string)BGRx"
        " ! videoconvert ! video/x-raw, format=(string)BGR"
        " ! appsink drop=true max-buffers=1 sync=false" % (sensor_id, width, height, fps, flip)
    )


def pipeline_elements(pipeline: str) -> List[str]:
    """Names of the elements of a pipeline string, without the caps between them."""
    words = [part.strip().split()[0].rstrip(",") for part in pipeline.split("!") if part.strip()]
    return [word for word in words if "/" not in word]


def check_sensor_mode(sensor: str, width: int, height: int, fps: int) -> None:
    """Raises SourceError unless the sensor has such a mode; the message lists those it has."""
    if sensor == UNCHECKED:
        return
    if sensor not in SENSOR_MODES:
        raise SourceError(
            "unknown CSI sensor %s; known: %s, or sensor=%s to pass any mode on unchecked"
            % (sensor, ", ".join(sorted(SENSOR_MODES)), UNCHECKED)
        )
    modes = SENSOR_MODES[sensor]
    if not any((width, height) == mode[:2] and fps <= mode[2] for mode in modes):
        raise SourceError(
            "sensor %s has no mode %d x %d at %d frames/s; it has %s (that rate or less)"
            % (sensor, width, height, fps, ", ".join("%dx%d@%d" % mode for mode in modes))
        )


def has_gstreamer() -> bool:
    """Whether this OpenCV was built with GStreamer; wheels from the package index are not."""
    return re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()) is not None


def check_opencv() -> None:
    """Raises SourceError if this OpenCV has no GStreamer."""
    if not has_gstreamer():
        raise SourceError(
            "csi:// needs OpenCV with GStreamer, and this OpenCV %s (%s) has none: wheels installed by pip lack it."
            " On a Jetson use JetPack's own; type: python3 -m pip uninstall opencv-python opencv-python-headless"
            % (cv2.__version__, cv2.__file__)
        )


def missing_elements(names: List[str], limit_s: float = 20.0) -> List[str]:
    """Which GStreamer elements this machine lacks. Raises SourceError if it cannot be asked."""
    tool = shutil.which("gst-inspect-1.0")
    if tool is None:
        raise SourceError("gst-inspect-1.0 is not installed; type: sudo apt-get install gstreamer1.0-tools")
    missing = []
    for name in names:
        try:
            status = subprocess.call(
                [tool, name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=limit_s
            )
        except subprocess.TimeoutExpired:
            raise SourceError("gst-inspect-1.0 %s did not answer in %g s; is nvargus-daemon stuck?" % (name, limit_s))
        if status != 0:
            missing.append(name)
    return missing


def check_elements(pipeline: str) -> None:
    """Raises SourceError if the pipeline needs an element this machine lacks."""
    missing = missing_elements(pipeline_elements(pipeline))
    if missing:
        raise SourceError(
            "GStreamer has no %s here; the nv elements come with JetPack on a Jetson, the others with"
            " sudo apt-get install gstreamer1.0-plugins-base" % " and no ".join(missing)
        )
