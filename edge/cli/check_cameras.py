"""Doctor's look at the cameras and their modes."""

import fcntl
import os
import re
from typing import List, Tuple

from edge.cli.check import OK, WARNING, Check
from edge.cli.check_modes import Device, Ioctl, Mode, read_device
from edge.targets import Target

#: So many cameras get a line of their own; the screen has an end.
MOST_LINES = 2
#: The driver of the CSI connector on a Jetson, whose cameras GStreamer opens.
CSI_DRIVER = "tegra-video"


def video_nodes(root: str = "/") -> List[str]:
    """Names of the video devices, such as video0, in order."""
    folder = os.path.join(root, "dev")
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted((name for name in names if re.match(r"video\d+$", name)), key=lambda name: int(name[5:]))


def check_cameras(target: Target, root: str = "/", ioctl: Ioctl = fcntl.ioctl) -> List[Check]:
    """A line for all cameras, and one for each with its modes. No camera is no fault.

    Raises SourceError where GStreamer cannot be asked.
    """
    nodes = video_nodes(root)
    lines, locked, csi = [], [], 0
    for name in nodes:
        path = os.path.join(root, "dev", name)
        if not os.access(path, os.R_OK | os.W_OK):
            locked.append(name)
            continue
        try:
            device = read_device(path, ioctl)
        except OSError as error:
            lines.append(Check("camera", WARNING, "/dev/%s does not answer: %s" % (name, error.strerror or error),
                               "fuser -v /dev/%s   (who holds it; or pull the plug, and put it in again)" % name))
            continue
        if device.formats:  # one without takes no pictures: cameras have such beside their own, for metadata
            lines.append(_csi(name, device, csi) if device.driver == CSI_DRIVER else _usb(name, device))
            csi += device.driver == CSI_DRIVER
    return [_all(target, len(lines), locked)] + lines[:MOST_LINES]


def _all(target: Target, count: int, locked: List[str]) -> Check:
    if locked:
        return Check("cameras", WARNING, "no permission for /dev/%s" % locked[0],
                     "sudo usermod -aG video $USER   (log in again)")
    text = "none found; clips, photos and synthetic://car work without"
    if count:
        text = "%d found" % count + (", the first %d are shown" % MOST_LINES if count > MOST_LINES else "")
    if target.camera_elements:
        from edge.runtime.sources.gstreamer import missing_elements

        missing = missing_elements(list(target.camera_elements))
        if missing:
            fix = "sudo apt-get install nvidia-l4t-gstreamer gstreamer1.0-plugins-base"
            return Check("cameras", WARNING, text + "; csi:// lacks GStreamer's " + ", ".join(missing), fix)
    return Check("cameras", OK, text)


def _mode(mode: Tuple[float, ...]) -> str:
    return "%dx%d" % mode[:2] + ("@%.4g" % mode[2] if mode[2] else "")


def _usb(name: str, device: Device) -> Check:
    """The largest mode of each format, and how many there are."""
    parts = []
    for code, modes in device.formats.items():
        largest = max(modes, key=lambda mode: (mode.width * mode.height, mode.fps), default=Mode(0, 0, 0.0))
        size = " to " + _mode(largest) if modes else ""
        parts.append("%s %d size%s%s" % (code, len(modes), "" if len(modes) == 1 else "s", size))
    text = "/dev/%s %s: %s" % (name, device.card[:24], ", ".join(parts[:3]))
    if not {"MJPG", "JPEG"} & set(device.formats):
        fix = "carcloud serve --source 'v4l2:///dev/%s?width=640&height=480'   (small, because it is slow)" % name
        return Check("camera", WARNING, text + "; no MJPG, so that large pictures are slow over USB 2", fix)
    return Check("camera", OK, text)


def _csi(name: str, device: Device, number: int) -> Check:
    """The modes that Argus, not the driver, gives; they are known of some sensors only."""
    from edge.runtime.sources.gstreamer import SENSOR_MODES

    text = "csi://%d (/dev/%s) %s: " % (number, name, device.card[:24])
    sensor = next((known for known in SENSOR_MODES if known in device.card.lower()), None)
    if sensor is None:
        return Check("camera", OK, text + "its modes are not known here; add ?sensor=other to the source")
    return Check("camera", OK, text + ", ".join(_mode(mode) for mode in SENSOR_MODES[sensor]))
