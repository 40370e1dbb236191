"""Cameras: USB through Video4Linux, CSI through GStreamer, and RTSP streams."""

import os
import stat
import time
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

import cv2

from edge.errors import SourceError
from edge.runtime.sources import gstreamer
from edge.runtime.sources.base import Frame, Source
from edge.runtime.sources.uri import Parameters, SourceUri

#: FOURCC of motion JPEG, as cv2 numbers it.
MJPG = int.from_bytes(b"MJPG", "little")
#: So many reads in a row may fail, with so many seconds between them, before the camera counts as gone.
FAILED_READS = 10
FAILED_READ_WAIT = 0.1
#: An RTSP camera must answer within so many milliseconds (OpenCV waits 30 s by itself).
RTSP_TIMEOUT_MS = 8000


class Camera(NamedTuple):
    """A camera whose URI is understood and which may be opened, again and again.

    uri: safe to print. open: opens it anew. Raises SourceError: what plugging in, waiting or a restart may mend. What
    these cannot mend (a wrong parameter, an unknown sensor mode) was refused before.
    daemon: whether a camera daemon stands between the camera and us.
    """

    uri: str
    open: Callable[[], Source]
    daemon: bool = False


class CameraSource(Source):
    """A live ``cv2.VideoCapture``. A camera has no end: ``read`` gives a frame, raises SourceError, or was stopped.

    capture: an opened ``cv2.VideoCapture``. what: for people. hint: what to do when it vanishes. device: its file,
    which goes when the camera is unplugged; "" if it has none. note: more to describe it by.
    """

    def __init__(
        self, uri: str, what: str, capture: Any, hint: str, wait: float = FAILED_READ_WAIT, device: str = "",
        note: str = "",
    ) -> None:  # fmt: skip
        super().__init__(uri)
        self._what = what
        self._capture = capture
        self._hint = hint
        self._wait = wait
        self._device = device
        self._note = note
        self._seq = 0
        self._stopped = False

    def read(self) -> Optional[Frame]:
        for _ in range(FAILED_READS):
            if self._stopped:
                self.ending = "%s was stopped" % self.uri
                return None
            found, image = self._grab()
            # Some versions of OpenCV go on with the last picture after the plug was drawn (its issues 6107, 14044).
            if self._device and not os.path.exists(self._device):
                raise SourceError(
                    "%s was unplugged after %d frames: its file is gone. %s" % (self._what, self._seq, self._hint)
                )
            if found and image is not None:
                self._seq += 1
                return Frame(image, self._seq, time.monotonic(), "")
            time.sleep(self._wait)
        raise SourceError(
            "%s gives no picture any more: it vanished after %d frames (%d reads failed in a row). %s"
            % (self._what, self._seq, FAILED_READS, self._hint)
        )

    def _grab(self) -> Tuple[bool, Any]:
        try:
            found, image = self._capture.read()
        except cv2.error:
            return False, None  # such as a torn JPEG; as good as no picture
        return found, image

    def describe(self) -> str:
        width, height = self._capture.get(cv2.CAP_PROP_FRAME_WIDTH), self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        return "%s, %d x %d, %.4g frames/s%s" % (self._what, width, height, rate, self._note)

    def stop(self) -> None:
        self._stopped = True

    def close(self) -> None:
        self._capture.release()


def v4l2_camera(uri: SourceUri) -> Camera:
    """``v4l2:///dev/video0?width=640&height=480&fps=30``: MJPG, because raw 720p over USB 2 drops to 5-10 frames/s.

    Raises SourceError: wrong parameter; when it is opened: no such device, no permission, busy.
    """
    parameters = Parameters(uri, ("width", "height", "fps"))
    width, height = parameters.integer("width", 640, 16, 8192), parameters.integer("height", 480, 16, 8192)
    fps = parameters.integer("fps", 30, 1, 240)
    return Camera(uri.text, lambda: _open_v4l2(uri, width, height, fps))


def _open_v4l2(uri: SourceUri, width: int, height: int, fps: int) -> Source:
    device = uri.target
    if not os.path.exists(device):
        raise SourceError("there is no camera %s; this machine has %s" % (device, ", ".join(video_devices()) or "none"))
    if not stat.S_ISCHR(os.stat(device).st_mode):
        raise SourceError("%s is no camera device; cameras are called /dev/video0 or /dev/v4l/by-id/..." % device)
    if not os.access(device, os.R_OK | os.W_OK):
        raise SourceError("no permission for %s; type: sudo usermod -aG video $USER, then log in again" % device)
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    if not capture.isOpened():
        capture.release()
        raise SourceError("camera %s does not open; does another program hold it? Type: fuser %s" % (device, device))
    capture.set(cv2.CAP_PROP_FOURCC, MJPG)
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    capture.set(cv2.CAP_PROP_FPS, fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # one stale frame at most
    note = _asked_and_given(capture, width, height)
    return CameraSource(uri.text, "camera %s" % device, capture, "Check its cable", device=device, note=note)


def _asked_and_given(capture: Any, width: int, height: int) -> str:
    """What a USB camera does instead of what it was asked for; drivers choose without a word. "" if it obeys."""
    notes = []
    given = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if given != (width, height):
        notes.append("it has no %d x %d" % (width, height))
    code = int(capture.get(cv2.CAP_PROP_FOURCC))
    if code not in (0, MJPG):  # 0: not told
        name = (code & 0xFFFFFFFF).to_bytes(4, "little").decode("latin-1")
        notes.append("it has no MJPG in this size but %s, which is slow over USB 2" % ascii(name)[1:-1])
    return "".join("; " + note for note in notes)


def csi_camera(uri: SourceUri, opener: Optional[Callable[[str], Any]] = None) -> Camera:
    """``csi://0?width=1280&height=720&fps=30&flip=0&sensor=imx219``: a Jetson's camera connector.

    Raises SourceError: unknown sensor mode, OpenCV without GStreamer, missing GStreamer element; when it is opened:
    camera taken, or not there.
    opener: makes a capture of a pipeline string; OpenCV's GStreamer backend unless given.
    """
    parameters = Parameters(uri, ("width", "height", "fps", "flip", "sensor"))
    if not uri.target.isdigit():
        raise SourceError("source %s: the camera is a number; write csi://0" % uri.text)
    sensor = uri.query.get("sensor", "imx219")
    width, height = parameters.integer("width", 1280, 16, 8192), parameters.integer("height", 720, 16, 8192)
    fps = parameters.integer("fps", 30, 1, 240)
    gstreamer.check_sensor_mode(sensor, width, height, fps)
    pipeline = gstreamer.csi_pipeline(int(uri.target), width, height, fps, parameters.integer("flip", 0, 0, 7))
    # Both checks come first: with an element missing, OpenCV 4.6 was seen to hang for ever instead of failing.
    gstreamer.check_opencv()
    gstreamer.check_elements(pipeline)
    return Camera(uri.text, lambda: _open_csi(uri, (opener or _open_gstreamer)(pipeline)), daemon=True)


def _open_csi(uri: SourceUri, capture: Any) -> Source:
    hint = (
        "Check its ribbon cable; if it was unplugged or a program crashed, type: sudo systemctl restart nvargus-daemon"
    )
    if not capture.isOpened():
        capture.release()
        raise SourceError("CSI camera %s does not open. %s" % (uri.target, hint))
    return CameraSource(uri.text, "CSI camera %s" % uri.target, capture, hint)


def rtsp_camera(uri: SourceUri, opener: Optional[Callable[[str], Any]] = None) -> Camera:
    """``rtsp://user:password@camera/stream``: passed to OpenCV's FFmpeg as it is; messages show it redacted."""
    return Camera(uri.text, lambda: _open_rtsp(uri, (opener or _open_ffmpeg)(uri.target)))


def _open_rtsp(uri: SourceUri, capture: Any) -> Source:
    if not capture.isOpened():
        capture.release()
        raise SourceError(
            "%s does not open; check the address, the user name and password, and that the camera is on" % uri.text
        )
    return CameraSource(uri.text, uri.text, capture, "Check the camera and the network")


def video_devices() -> List[str]:
    """Device files of the cameras Linux knows."""
    names = os.listdir("/dev") if os.path.isdir("/dev") else []
    return sorted("/dev/" + name for name in names if name.startswith("video") and name[5:].isdigit())


def _open_gstreamer(pipeline: str) -> Any:
    return cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)


def _open_ffmpeg(address: str) -> Any:
    if not hasattr(cv2, "CAP_PROP_OPEN_TIMEOUT_MSEC"):
        return cv2.VideoCapture(address, cv2.CAP_FFMPEG)  # before OpenCV 4.5.2; waits 30 s by itself
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, RTSP_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, RTSP_TIMEOUT_MS]
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)
