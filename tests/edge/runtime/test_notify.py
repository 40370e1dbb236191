"""edge.runtime.notify against a socket as systemd holds it, and pulses of threads that go on or do not."""

import os
import socket
from typing import Any, List

import pytest

from edge.errors import SettingsError, SourceError
from edge.runtime.notify import LONGEST_STATUS, Notifier, Pulse, PulsedSource
from tests.edge.runtime.fakes import HandFedSource


def listener(address: str) -> socket.socket:
    """Systemd's end. The test fails, and does not hang, where nothing comes."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(address)
    listening.settimeout(60)
    return listening


@pytest.mark.parametrize("abstract", [False, True])
def test_what_systemd_hears(tmp_path: Any, abstract: bool) -> None:
    name = "carcloud-test-%d" % os.getpid() if abstract else str(tmp_path / "notify")
    with listener("\0" + name if abstract else name) as systemd:
        notifier = Notifier({"NOTIFY_SOCKET": "@" + name if abstract else name, "WATCHDOG_USEC": "3000000"})
        assert notifier.wanted and notifier.watchdog_s == 3.0
        notifier.ready()
        notifier.status("reopening: the camera\nis gone, caf\xe9")
        notifier.alive()
        notifier.stopping()
        notifier.status("x" * 5000)
        heard = [systemd.recv(4096).decode("utf-8") for _ in range(5)]
    assert heard[:4] == ["READY=1", "STATUS=reopening: the camera is gone, caf\xe9", "WATCHDOG=1", "STOPPING=1"]
    assert heard[4] == "STATUS=" + "x" * LONGEST_STATUS


def test_without_systemd_nothing_is_said_and_nothing_fails() -> None:
    notifier = Notifier({"WATCHDOG_USEC": "3000000"})
    assert not notifier.wanted and notifier.watchdog_s is None
    for say in (notifier.ready, notifier.alive, notifier.stopping, lambda: notifier.status("live")):
        say()


def test_a_watchdog_that_is_meant_for_another_process_is_none() -> None:
    given = {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": "180000000"}
    assert Notifier(given).watchdog_s == 180.0
    assert Notifier(dict(given, WATCHDOG_PID=str(os.getpid()))).watchdog_s == 180.0
    assert Notifier(dict(given, WATCHDOG_PID=str(os.getppid()))).watchdog_s is None
    assert Notifier({"NOTIFY_SOCKET": "/run/notify"}).watchdog_s is None


@pytest.mark.parametrize("name, value, words", [
    ("NOTIFY_SOCKET", "vsock:2:1", "NOTIFY_SOCKET is 'vsock:2:1'; systemd gives a path, or @ and a name. Unset it"),
    ("NOTIFY_SOCKET", "@", "gives a path"),
    ("WATCHDOG_USEC", "soon", "WATCHDOG_USEC is 'soon'; systemd gives a whole number above 0. Unset it"),
    ("WATCHDOG_USEC", "0", "WATCHDOG_USEC is '0'"),
    ("WATCHDOG_PID", "-1", "WATCHDOG_PID is '-1'"),
])  # fmt: skip
def test_an_environment_that_is_not_systemds_is_refused(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Notifier(dict({"NOTIFY_SOCKET": "/run/notify"}, **{name: value}))
    assert words in str(caught.value)


def test_a_socket_that_nobody_holds_is_said_once(tmp_path: Any, caplog: Any) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    for _ in range(3):
        notifier.alive()
    assert [record.getMessage().split(" error=")[0] for record in caplog.records] == [
        "event=notify_failed message=WATCHDOG"]


def test_a_pulse_is_at_rest_until_it_begins_and_stuck_when_it_does_not_go_on() -> None:
    now = [1000.0]
    pulse = Pulse("pipeline", lambda: now[0])
    now[0] += 500
    assert pulse.stuck(5) == "", "it has not begun"
    pulse.beat()
    now[0] += 5
    assert pulse.stuck(5) == ""
    now[0] += 1
    assert pulse.stuck(5) == "the pipeline has not gone on for 6 s"
    pulse.slack = 2.0
    assert pulse.stuck(5) == ""
    pulse.slack = 0.0
    pulse.beat()
    assert pulse.stuck(5) == "", "it goes on"
    now[0] += 500
    pulse.rest()
    assert pulse.stuck(5) == "", "it has ended"


def test_a_source_shows_in_its_pulse_while_it_is_read() -> None:
    seen: List[str] = []
    now = [0.0]
    pulse = Pulse("source", lambda: now[0])

    class Slow(HandFedSource):
        fps = 0.5

        def read(self) -> Any:
            now[0] += 12
            seen.append(pulse.stuck(9))
            seen.append(pulse.stuck(10))
            return super().read()

    inner = Slow(on_demand=True)
    source = PulsedSource(inner, pulse)
    assert (source.uri, source.on_demand, source.describe()) == ("hand-fed", True, "hand-fed")
    for item in (1, SourceError("gone"), None):
        inner.box.put(item)
    frame = source.read()
    assert frame is not None and frame.seq == 1
    assert seen == ["the source has not gone on for 12 s", ""], "a picture each two seconds is allowed for"
    now[0] += 500
    assert pulse.stuck(5) == "", "between two reads it rests"
    with pytest.raises(SourceError, match="gone"):
        source.read()
    assert source.read() is None and source.ending == "hand-fed ended" and pulse.stuck(0) == ""
    source.stop()
    source.close()
    assert inner.closed and inner.box.get() is None
