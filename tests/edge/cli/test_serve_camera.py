"""``carcloud serve`` with a camera that is gone, comes back, is waited for, or never worked."""

import signal
import threading
from typing import Any, Iterator

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.cli import serve
from edge.errors import SettingsError, SourceError
from edge.runtime.sources.cameras import Camera, CameraSource
from edge.server.hub import Hub, State
from edge.settings import Settings
from tests.edge import helpers
from tests.edge.cli.test_serve import Running, finished
from tests.edge.runtime.fakes import wait_for


class Device:
    """A camera device in this process: plugged in or not. Stands in for ``cv2.VideoCapture``, too."""

    def __init__(self) -> None:
        self.plugged = True
        self.daemon = False

    def find(self, uri: str) -> Camera:
        return Camera(uri, self._open, self.daemon)

    def _open(self) -> CameraSource:
        if not self.plugged:
            raise SourceError("there is no camera 0")
        return CameraSource("csi://0", "CSI camera 0", self, "Check its cable", wait=0.001)

    def read(self) -> Any:
        threading.Event().wait(0.01)
        return self.plugged, np.full((64, 64, 3), 90, np.uint8)

    def get(self, prop: int) -> float:
        return 64.0

    def release(self) -> None:
        pass


@pytest.fixture
def device(monkeypatch: Any) -> Iterator[Device]:
    found = Device()
    monkeypatch.setattr(serve, "find_camera", found.find)
    yield found


def stream(hub: Hub, **more: Any) -> serve.Stream:
    settings = Settings(threads=1, find=False, **more)
    return serve.Stream(hub, load_bundle(helpers.TINY_BUNDLE), "csi://0", settings, threading.Event())


def test_a_camera_that_is_unplugged_and_comes_back_is_an_event_and_not_the_end(device: Device, capfd: Any) -> None:
    hub = Hub()
    with stream(hub) as running:
        assert running.counts() == {"reconnects": 0}
        running.start()
        wait_for(lambda: hub.status().state is State.LIVE)
        device.plugged = False
        wait_for(lambda: hub.status().message.startswith("there is no camera 0. Trying again in"))
        status = hub.status()
        assert status.state.value == "reopening" and status.points > 500, "the last cloud stays"
        assert status.age_s is not None and status.age_s > 0.4, "and grows old"
        newest = hub.newest
        assert newest is not None and running.failure is None
        device.plugged = True
        wait_for(lambda: hub.status().state is State.LIVE and hub.status().seq > newest.seq)
        assert running.counts()["reconnects"] == 1
        again = hub.newest
        assert again is not None and again.result.seq > newest.result.seq
        vanished, absent, back = hub.status().errors
    assert vanished.startswith("CSI camera 0 gives no picture any more: it vanished after") and "cable" in vanished
    assert absent == "there is no camera 0" and back.startswith("csi://0 is back after ")
    printed = capfd.readouterr().out
    assert "camera: there is no camera 0. Trying again in 1 s\n" in printed and "camera: csi://0 is back" in printed


def test_a_camera_that_is_not_there_ends_the_command_unless_it_is_waited_for(device: Device) -> None:
    device.plugged, hub = False, Hub()
    with pytest.raises(SourceError, match="there is no camera 0"):
        stream(hub)
    with stream(hub, wait_for_camera=True) as running:
        running.start()
        wait_for(lambda: hub.status().message.startswith("there is no camera 0. Trying again in"))
        running.raise_if_hopeless()
        assert hub.status().state is State.OPENING and hub.status().points == 0
        device.plugged = True
        wait_for(lambda: hub.status().state is State.LIVE and hub.status().points > 0)
        assert running.counts()["reconnects"] == 0


def test_a_camera_that_opens_and_never_gives_a_picture_is_hopeless(device: Device, monkeypatch: Any) -> None:
    monkeypatch.setattr(device, "read", lambda: (False, None))
    hub = Hub()
    with stream(hub) as running:
        running.start()
        wait_for(lambda: running.failure is not None)
        with pytest.raises(SourceError, match="gives no picture any more: it vanished after 0 frames"):
            running.raise_if_hopeless()
        assert hub.status().state is State.FAILED


def test_the_restart_command_is_for_cameras_behind_a_daemon(device: Device) -> None:
    hub, made = Hub(), []
    for device.daemon in (False, True):
        source = serve.open_watched("csi://0", Settings(camera_restart="true"), hub)
        made.append(source._restart)  # type: ignore[attr-defined]
        source.close()
    assert made[0] is None and made[1].run(lambda: False) == ""
    with pytest.raises(SettingsError, match="No closing quotation"):
        serve.open_watched("csi://0", Settings(camera_restart="sudo 'x"), hub)


def test_a_device_file_that_is_missing() -> None:
    code, _, error = finished("--source", "/dev/video99", "--port", "0")
    assert code == 4 and "there is no camera /dev/video99" in error and "Traceback" not in error
    code, _, error = finished("--source", "v4l2:///dev/video99?fps=0", "--wait-for-camera", "--port", "0")
    assert code == 4 and "fps is '0'" in error, "what no waiting mends is not waited for"
    with Running("--source", "/dev/video99", "--wait-for-camera") as server:
        assert "source   /dev/video99, not open yet" in server.printed
        status = server.status(lambda status: status["message"] != "")
        assert status["state"] == "opening" and status["quality"] == "off" and status["reconnects"] == 0
        assert status["message"].startswith("there is no camera /dev/video99; this machine has")
        code, _, error = server.end(signal.SIGTERM)
        assert (code, error) == (0, "")
