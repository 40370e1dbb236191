"""What a service tells systemd of itself (``sd_notify``): that it is ready, how it is, that it lives, that it ends.

One datagram of ``NAME=value`` lines to the socket that systemd names in the environment; nothing of systemd is needed
for it, and nothing happens where it did not start this process. After the manual pages sd_notify(3) and
sd_watchdog_enabled(3), as they are since systemd 209.
"""

import logging
import os
import socket
import time
from typing import Callable, Mapping, Optional

from edge.errors import SettingsError
from edge.runtime.sources import Frame, Source

LOG = logging.getLogger("carcloud.notify")
#: systemd reads 4096 bytes of a message; a sentence has fewer.
LONGEST_STATUS = 500
#: A socket that takes nothing for so many seconds is not waited for: systemd itself has stopped.
SEND_LIMIT_S = 2.0


class Notifier:
    """Speaks to the systemd that started this process; says nothing, and fails at nothing, without one.

    wanted: whether there is one that listens. watchdog_s: seconds within which it wants to hear :meth:`alive`, None if
    it does not watch this process. Raises SettingsError where the environment is not as systemd makes it.
    """

    def __init__(self, environ: Optional[Mapping[str, str]] = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.wanted = self._address != ""
        self.watchdog_s = _watchdog(environ) if self.wanted else None
        self._failed = False

    def ready(self) -> None:
        """The start is over. systemd starts what waits for it, and its watchdog."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """How it is, for ``systemctl status``: one line."""
        self._send("STATUS=" + " ".join(text.split())[:LONGEST_STATUS])

    def alive(self) -> None:
        """All parts go on; for the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, line: str) -> None:
        if not self.wanted:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(SEND_LIMIT_S)
                sender.sendto(line.encode("utf-8", "replace"), self._address)
        except OSError as error:
            if not self._failed:  # said once; what follows from it, systemd's own log says
                LOG.warning("event=notify_failed message=%s error=%s", line.partition("=")[0], error)
            self._failed = True


def _address(text: str) -> str:
    """The socket's address; "" without one. A leading @ stands for the zero byte of an abstract one."""
    if text and (text[0] not in "/@" or len(text) < 2):
        raise SettingsError("NOTIFY_SOCKET is %r; systemd gives a path, or @ and a name. Unset it" % text)
    return "\0" + text[1:] if text.startswith("@") else text


def _watchdog(environ: Mapping[str, str]) -> Optional[float]:
    """Seconds that systemd's watchdog waits; None if there is none, or it is meant for another process."""
    text, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    for name, value in (("WATCHDOG_USEC", text), ("WATCHDOG_PID", process)):
        if value and not (value.isdigit() and int(value) > 0):
            raise SettingsError("%s is %r; systemd gives a whole number above 0. Unset it" % (name, value))
    if not text or (process and int(process) != os.getpid()):
        return None
    return int(text) / 1e6


class Pulse:
    """Shows from outside whether a thread goes on. It is at rest until it begins something, and when it says so.

    name: of the part, for people. slack: seconds that it may take longer than others.
    """

    def __init__(self, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.slack = 0.0
        self._now = now
        self._since: Optional[float] = None

    def beat(self) -> None:
        """It begins something, or goes on with it."""
        self._since = self._now()

    def rest(self) -> None:
        """It has nothing to do, or has ended as it should."""
        self._since = None

    def stuck(self, limit: float) -> str:
        """The sentence that says that it has not gone on for more than ``limit`` seconds; "" if it has."""
        since = self._since
        silence = 0.0 if since is None else self._now() - since
        return "the %s has not gone on for %.0f s" % (self.name, silence) if silence > limit + self.slack else ""


class PulsedSource(Source):
    """A source whose reads show in a pulse. Whether a camera is there does not matter: see ``SupervisedCamera``."""

    def __init__(self, source: Source, pulse: Pulse) -> None:
        self._source = source
        self._pulse = pulse
        super().__init__(source.uri, source.on_demand)
        fps = getattr(source, "fps", 0.0)  # a folder that is shown slowly waits that long for the next picture
        pulse.slack = 1.0 / fps if fps > 0 else 0.0

    def read(self) -> Optional[Frame]:
        self._pulse.beat()
        try:
            frame = self._source.read()
        finally:
            self._pulse.rest()
        self.ending = self._source.ending
        return frame

    def describe(self) -> str:
        return self._source.describe()

    def stop(self) -> None:
        self._source.stop()

    def close(self) -> None:
        self._source.close()
