"""Cameras without cameras: the pipeline string, the checks before it is opened, and a camera that vanishes."""

import os
import stat
from typing import Any, List

import pytest

from edge.errors import SourceError
from edge.runtime.sources import cameras, find_camera, gstreamer, open_source
from edge.runtime.sources.uri import parse_uri
from tests.edge.runtime.fakes import ScriptedCapture


def test_the_csi_pipeline_drops_stale_frames() -> None:
    assert gstreamer.csi_pipeline(1, 1920, 1080, 30, 2) == (
        "nvarguscamerasrc sensor-id=1"
        " ! video/x-raw(memory:NVMM), width=(int)1920, height=(int)1080, format=(string)NV12, framerate=(fraction)30/1"
        " ! nvvidconv flip-method=2"
        " ! video/x-raw, format=(string)BGRx"
        " ! videoconvert"
        " ! video/x-raw, format=(string)BGR"
        " ! appsink drop=true max-buffers=1 sync=false"
    )


def test_elements_are_told_from_caps() -> None:
    found = gstreamer.pipeline_elements(gstreamer.csi_pipeline(0, 1280, 720, 30))
    assert found == ["nvarguscamerasrc", "nvvidconv", "videoconvert", "appsink"]


def test_sensor_modes_are_checked() -> None:
    gstreamer.check_sensor_mode("imx219", 1280, 720, 60)
    gstreamer.check_sensor_mode("imx219", 3264, 2464, 5)
    gstreamer.check_sensor_mode("other", 1, 1, 999)
    with pytest.raises(SourceError, match="no mode 1280 x 720 at 61 frames/s; it has 3264x2464@21, .*1280x720@60"):
        gstreamer.check_sensor_mode("imx219", 1280, 720, 61)
    with pytest.raises(SourceError, match="no mode 640 x 480"):
        gstreamer.check_sensor_mode("imx219", 640, 480, 30)
    with pytest.raises(SourceError, match="unknown CSI sensor ov5647; known: imx219, or sensor=other"):
        gstreamer.check_sensor_mode("ov5647", 640, 480, 30)


def install_gst_inspect(tmp_path: Any, monkeypatch: Any, script: str) -> None:
    """Put a stand-in for gst-inspect-1.0 alone on the PATH."""
    tool = tmp_path / "gst-inspect-1.0"
    tool.write_text("#!/bin/sh\n" + script + "\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_missing_elements_are_found_before_opencv_can_hang(tmp_path: Any, monkeypatch: Any) -> None:
    install_gst_inspect(tmp_path, monkeypatch, 'case "$1" in nv*) exit 1;; esac')
    opened: List[str] = []
    monkeypatch.setattr(gstreamer, "has_gstreamer", lambda: True)
    with pytest.raises(
        SourceError, match="no nvarguscamerasrc and no nvvidconv here; the nv elements come with JetPack"
    ):
        cameras.csi_camera(parse_uri("csi://0"), opened.append).open()
    assert opened == []


def test_a_gst_inspect_that_hangs_or_is_missing_is_said(tmp_path: Any, monkeypatch: Any) -> None:
    install_gst_inspect(tmp_path, monkeypatch, "exec /bin/sleep 20")
    with pytest.raises(SourceError, match="gst-inspect-1.0 appsink did not answer in 0.2 s; is nvargus-daemon stuck"):
        gstreamer.missing_elements(["appsink"], 0.2)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SourceError, match="not installed; type: sudo apt-get install gstreamer1.0-tools"):
        gstreamer.missing_elements(["appsink"])


def test_opencv_without_gstreamer_is_refused(monkeypatch: Any) -> None:
    monkeypatch.setattr(gstreamer, "has_gstreamer", lambda: False)
    with pytest.raises(SourceError, match="needs OpenCV with GStreamer, and this OpenCV .* has none: .*pip uninstall"):
        open_source("csi://0")


def test_gstreamer_is_read_from_opencvs_build_information(monkeypatch: Any) -> None:
    monkeypatch.setattr(gstreamer.cv2, "getBuildInformation", lambda: "  Video I/O:\n    GStreamer:    YES (1.14.5)\n")
    assert gstreamer.has_gstreamer()
    monkeypatch.setattr(gstreamer.cv2, "getBuildInformation", lambda: "    GStreamer:    NO\n    FFMPEG:  YES\n")
    assert not gstreamer.has_gstreamer()


def test_a_csi_camera_opens_with_the_pipeline_of_its_uri(tmp_path: Any, monkeypatch: Any) -> None:
    install_gst_inspect(tmp_path, monkeypatch, "exit 0")
    monkeypatch.setattr(gstreamer, "has_gstreamer", lambda: True)
    opened: List[str] = []

    def opener(pipeline: str) -> ScriptedCapture:
        opened.append(pipeline)
        return ScriptedCapture([True])

    source = cameras.csi_camera(parse_uri("csi://1?width=1640&height=1232&fps=15&flip=2"), opener).open()
    assert opened == [gstreamer.csi_pipeline(1, 1640, 1232, 15, 2)]
    assert source.describe() == "CSI camera 1, 6 x 4, 30 frames/s"
    with pytest.raises(SourceError, match="CSI camera 0 does not open. .*sudo systemctl restart nvargus-daemon"):
        cameras.csi_camera(parse_uri("csi://0"), lambda pipeline: ScriptedCapture([False], opened=False)).open()


@pytest.mark.parametrize(
    "uri, sentence",
    [
        ("csi://left", "the camera is a number; write csi://0"),
        ("csi://0?flip=8", "flip is '8'; give a whole number from 0 to 7"),
        ("csi://0?hight=720", "unknown parameter hight; csi:// knows flip, fps, height, sensor, width"),
        ("csi://0?width=800&height=600", "has no mode 800 x 600"),
        ("v4l2:///dev/video99", "there is no camera /dev/video99; this machine has"),
        ("v4l2:///dev/video99?fps=0", "fps is '0'; give a whole number from 1 to 240"),
        ("v4l2:///dev/video99?loop=1", "unknown parameter loop; v4l2:// knows fps, height, width"),
    ],
)
def test_a_wrong_camera_uri_is_refused(uri: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        open_source(uri)


def test_a_file_is_no_usb_camera(tmp_path: Any) -> None:
    path = tmp_path / "video0"
    path.write_text("")
    with pytest.raises(SourceError, match="is no camera device; cameras are called /dev/video0"):
        open_source("v4l2://%s" % path)


def test_a_device_that_is_no_camera_does_not_open() -> None:
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    with pytest.raises(SourceError, match="camera /dev/null does not open; does another program hold it"):
        open_source("v4l2:///dev/null")


def test_no_permission_is_said(monkeypatch: Any) -> None:
    monkeypatch.setattr(cameras.os, "access", lambda path, mode: False)
    with pytest.raises(SourceError, match="no permission for /dev/null; type: sudo usermod -aG video"):
        open_source("v4l2:///dev/null")


def test_an_rtsp_address_goes_through_untouched_and_is_shown_redacted() -> None:
    opened: List[str] = []

    def opener(address: str) -> ScriptedCapture:
        opened.append(address)
        return ScriptedCapture([True], opened=len(opened) == 1)

    uri = "rtsp://me:pw@5ecret@cam/s?quality=1"
    source = cameras.rtsp_camera(parse_uri(uri), opener).open()
    assert opened == [uri] and source.uri == "rtsp://***@cam/s?***" and "pw" not in source.describe()
    with pytest.raises(SourceError, match=r"rtsp://\*\*\*@cam/s\?\*\*\* does not open; check the address") as caught:
        cameras.rtsp_camera(parse_uri(uri), opener).open()
    assert "5ecret" not in str(caught.value)


def test_an_rtsp_camera_that_is_not_there_is_refused() -> None:
    # Port 9 of this machine: refused at once, no network needed.
    with pytest.raises(SourceError, match=r"rtsp://\*\*\*@127.0.0.1:9/s does not open"):
        open_source("rtsp://me:secret@127.0.0.1:9/s")


def test_a_camera_that_stutters_goes_on() -> None:
    capture = ScriptedCapture([True] + [False] * (cameras.FAILED_READS - 1) + [True])
    source = cameras.CameraSource("cam", "camera", capture, "Check it", wait=0)
    frames = [source.read(), source.read()]
    assert [frame.seq for frame in frames if frame] == [1, 2]
    source.close()
    assert capture.released


@pytest.mark.parametrize(
    "width, code, note",
    [
        (640, b"MJPG", ""),
        (640, bytes(4), ""),
        (320, b"MJPG", "; it has no 640 x 480"),
        (640, b"YUYV", "; it has no MJPG in this size but YUYV, which is slow over USB 2"),
    ],
)
def test_a_usb_camera_that_does_not_obey_is_said(monkeypatch: Any, width: int, code: bytes, note: str) -> None:
    capture, asked = ScriptedCapture([True]), {}
    told = {3: float(width), 4: 480.0, 5: 30.0, 6: float(int.from_bytes(code, "little"))}
    monkeypatch.setattr(capture, "get", told.get)
    monkeypatch.setattr(capture, "set", asked.__setitem__, raising=False)
    monkeypatch.setattr(cameras.cv2, "VideoCapture", lambda device, backend: capture)
    source = open_source("v4l2:///dev/null")
    assert source.describe() == "camera /dev/null, %d x 480, 30 frames/s%s" % (width, note)
    assert (asked[3], asked[4], asked[6], asked[38]) == (640, 480, cameras.MJPG, 1), "MJPG, one frame at most"


def test_a_camera_whose_plug_is_drawn_gives_no_stale_pictures(tmp_path: Any) -> None:
    device = tmp_path / "video0"
    device.write_text("")
    source = cameras.CameraSource(
        "cam", "camera video0", ScriptedCapture([True]), "Check its cable", wait=0, device=str(device)
    )
    assert source.read() is not None
    device.unlink()
    with pytest.raises(
        SourceError, match="camera video0 was unplugged after 1 frames: its file is gone. Check its cable"
    ):
        source.read()


def test_a_torn_picture_counts_as_none(monkeypatch: Any) -> None:
    capture = ScriptedCapture([True])

    def torn() -> Any:
        raise cameras.cv2.error("cannot decode")

    monkeypatch.setattr(capture, "read", torn)
    with pytest.raises(SourceError, match="it vanished after 0 frames"):
        cameras.CameraSource("cam", "camera", capture, "", wait=0).read()


def test_cameras_are_told_from_other_sources(tmp_path: Any, monkeypatch: Any) -> None:
    for text in ("synthetic://car", "file://clip.mp4", "dir://photos", str(tmp_path)):
        assert find_camera(text) is None
    for text in ("/dev/video97", "/dev/v4l/by-id/usb-cam", "v4l2:///dev/video97"):
        camera = find_camera(text)
        assert camera is not None and not camera.daemon, "whether it is plugged in or not"
        with pytest.raises(SourceError, match="there is no camera /dev/v"):
            camera.open()
    camera = find_camera("rtsp://me:secret@cam/s")
    assert camera is not None and camera.uri == "rtsp://***@cam/s"
    install_gst_inspect(tmp_path, monkeypatch, "exit 0")
    monkeypatch.setattr(gstreamer, "has_gstreamer", lambda: True)
    camera = find_camera("csi://0")
    assert camera is not None and camera.daemon


def test_a_camera_that_vanishes_is_an_error_that_says_so() -> None:
    source = cameras.CameraSource(
        "cam", "camera /dev/video0", ScriptedCapture([True, True, False]), "Check its cable", wait=0
    )
    source.read()
    source.read()
    with pytest.raises(
        SourceError, match="video0 gives no picture any more: it vanished after 2 frames .* Check its cable"
    ):
        source.read()


def test_a_stopped_camera_ends() -> None:
    source = cameras.CameraSource("cam", "camera", ScriptedCapture([False]), "", wait=0)
    source.stop()
    assert source.read() is None and source.ending == "cam was stopped"
