"""Doctor's look at the cameras, with drivers that a test plays: what ioctl asks, and what is made of the answers."""

import errno
import struct
from typing import Any, Dict, List, Tuple

import pytest

from edge.cli import check_cameras, check_modes
from edge.cli.check import OK, WARNING, Check
from edge.cli.check_modes import Mode, read_device
from edge.targets import TARGETS
from tests.edge.runtime.test_board import lay

CPU, NANO = TARGETS["cpu"], TARGETS["nano-jp46"]
#: (width, height) and the frame intervals as (seconds, parts), by format.
Formats = Dict[str, List[Tuple[Tuple[int, int], List[Tuple[int, int]]]]]
WEBCAM: Formats = {
    "YUYV": [((640, 480), [(1, 30), (1, 15)]), ((1280, 720), [(1, 10)])],
    "MJPG": [((1920, 1080), [(1, 30)]), ((640, 480), [(1, 30)]), ((320, 240), [(2, 15)])],
}


class Driver:
    """Answers as Linux does, in the layouts of videodev2.h (checked with a C compiler: see the offsets below)."""

    def __init__(self, card: str, formats: Formats, driver: str = "uvcvideo", own: int = 0x04200001,
                 stepwise: bool = False) -> None:
        self.card, self.formats, self.driver, self.own, self.stepwise = card, formats, driver, own, stepwise
        self.failing = 0

    def __call__(self, handle: int, request: int, buffer: bytearray) -> int:
        size = request >> 16 & 0x3FFF
        assert len(buffer) == size, "the size is part of the number"
        if self.failing:
            raise OSError(self.failing, "it fails")
        answers = {0x80685600: self._capability, 0xC0405602: self._format, 0xC02C564A: self._size,
                   0xC034564B: self._interval}
        try:
            answers[request](buffer)
        except IndexError:
            raise OSError(errno.EINVAL, "Invalid argument")
        return 0

    def _capability(self, buffer: bytearray) -> None:
        struct.pack_into("16s32s32sIII", buffer, 0, self.driver.encode(), self.card.encode(), b"usb-1", 0x50F00,
                         self.own | 0x80000001, self.own)

    def _format(self, buffer: bytearray) -> None:
        index, kind = struct.unpack_from("II", buffer)
        assert kind == 1
        buffer[44:48] = (list(self.formats)[index] + "    ")[:4].encode()

    def _sizes(self, code: int) -> Any:
        return self.formats[code.to_bytes(4, "little").decode().strip()]

    def _size(self, buffer: bytearray) -> None:
        index, code = struct.unpack_from("II", buffer)
        size, _ = self._sizes(code)[index]
        if self.stepwise:
            struct.pack_into("IIIIIII", buffer, 8, 3, 16, size[0], 2, 16, size[1], 2)
        else:
            struct.pack_into("III", buffer, 8, 1, *size)

    def _interval(self, buffer: bytearray) -> None:
        index, code, width, height = struct.unpack_from("IIII", buffer)
        intervals = [found for size, found in self._sizes(code) if size == (width, height)][0]
        struct.pack_into("III", buffer, 16, 1, *intervals[index])


def look(tmp_path: Any, *drivers: Driver, target: Any = CPU) -> List[Check]:
    """Doctor's lines where each driver has a device file."""
    root = lay(tmp_path, {"dev/video%d" % number: "" for number in range(len(drivers))})
    waiting = list(drivers)
    opened: Dict[int, Driver] = {}

    def ioctl(handle: int, request: int, buffer: bytearray) -> int:
        if request == check_modes.QUERYCAP:
            opened[handle] = waiting.pop(0)
        return opened[handle](handle, request, buffer)

    return check_cameras.check_cameras(target, root, ioctl)


def test_a_camera_is_asked_for_its_modes(tmp_path: Any) -> None:
    path = tmp_path / "video0"
    path.write_text("")
    device = read_device(str(path), Driver("HD Webcam C615", WEBCAM))
    assert (device.card, device.driver, list(device.formats)) == ("HD Webcam C615", "uvcvideo", ["YUYV", "MJPG"])
    assert device.formats["MJPG"] == [Mode(1920, 1080, 30.0), Mode(640, 480, 30.0), Mode(320, 240, 7.5)]
    assert device.formats["YUYV"][0] == Mode(640, 480, 30.0)
    stepwise = read_device(str(path), Driver("any", {"NV12": [((3264, 2464), [(1, 21)])]}, stepwise=True))
    assert stepwise.formats == {"NV12": [Mode(3264, 2464, 21.0)]}
    assert read_device(str(path), Driver("Metadata", WEBCAM, own=0x04A00000)).formats == {}
    with pytest.raises(OSError, match="Inappropriate ioctl"):
        read_device(str(path))  # the real one: a plain file is no camera


def test_a_usb_camera_in_a_line(tmp_path: Any) -> None:
    both, camera = look(tmp_path, Driver("HD Webcam C615", WEBCAM), Driver("HD Webcam C615", WEBCAM, own=0x04A00000))
    assert (both.level, both.text) == (OK, "1 found")
    assert (camera.level, camera.text) == (
        OK, "/dev/video0 HD Webcam C615: YUYV 2 sizes to 1280x720@10, MJPG 3 sizes to 1920x1080@30")


def test_a_usb_camera_without_mjpg_is_a_warning(tmp_path: Any) -> None:
    _, camera = look(tmp_path, Driver("Old", {"YUYV": WEBCAM["YUYV"][:1]}))
    assert camera.level == WARNING
    assert camera.text == (
        "/dev/video0 Old: YUYV 1 size to 640x480@30; no MJPG, so that large pictures are slow over USB 2")
    assert camera.fix.startswith("carcloud serve --source 'v4l2:///dev/video0?width=640&height=480'")


def test_csi_cameras_by_the_list_of_sensor_modes(tmp_path: Any, monkeypatch: Any) -> None:
    from edge.runtime.sources import gstreamer

    monkeypatch.setattr(gstreamer, "missing_elements", lambda names: [])
    raw: Formats = {"RG10": [((3264, 2464), [(1, 21)])]}
    drivers = [Driver("vi-output, " + sensor, raw, "tegra-video") for sensor in ("imx219 7-0010", "imx477 8-001a")]
    both, first, second = look(tmp_path, *drivers, target=NANO)
    assert both == Check("cameras", OK, "2 found")
    assert first.text == ("csi://0 (/dev/video0) vi-output, imx219 7-0010: 3264x2464@21, 3264x1848@28, 1920x1080@30, "
                          "1640x1232@30, 1280x720@60")
    assert second.level == OK and second.text.startswith("csi://1 (/dev/video1) vi-output, imx477 8-001a: its modes ")
    assert "?sensor=other" in second.text


def test_a_device_that_does_not_answer_is_a_warning(tmp_path: Any) -> None:
    held = Driver("HD", WEBCAM)
    held.failing = errno.EBUSY
    both, camera = look(tmp_path, held)
    assert (camera.level, camera.text) == (WARNING, "/dev/video0 does not answer: it fails")
    assert camera.fix.startswith("fuser -v /dev/video0")


def test_many_cameras_leave_room_for_the_rest(tmp_path: Any) -> None:
    found = look(tmp_path, *[Driver("HD", WEBCAM) for _ in range(4)])
    assert len(found) == 3 and found[0].text == "4 found, the first 2 are shown"


def test_no_camera_and_none_that_may_be_opened(tmp_path: Any, monkeypatch: Any) -> None:
    check, = look(tmp_path / "none")
    assert check.level == OK and check.text.startswith("none found; clips, photos and synthetic://car work without")
    monkeypatch.setattr(check_cameras.os, "access", lambda path, mode: False)
    check, = look(tmp_path / "one", Driver("HD", WEBCAM))
    assert check.level == WARNING and check.text == "no permission for /dev/video0"
    assert check.fix.startswith("sudo usermod -aG video $USER")


def test_gstreamer_elements_are_looked_for_on_a_jetson(tmp_path: Any, monkeypatch: Any) -> None:
    from edge.runtime.sources import gstreamer

    monkeypatch.setattr(gstreamer, "missing_elements", lambda names: ["nvarguscamerasrc"])
    check, = look(tmp_path, target=NANO)
    assert check.level == WARNING and "csi:// lacks GStreamer's nvarguscamerasrc" in check.text
    assert check.fix == "sudo apt-get install nvidia-l4t-gstreamer gstreamer1.0-plugins-base"
