"""Tells systemd that the server is ready, and then that it lives, as long as all of its parts really do."""

import faulthandler
import http.client
import socket
import ssl
import sys
import threading
from typing import Callable, Optional
from urllib.parse import urlsplit

from edge.runtime.notify import Notifier

#: Seconds between two tries to reach a server that has just been started, and that one try may take.
FIRST_TRIES_S, FIRST_LIMIT_S = 0.2, 10.0


def unanswered(url: str, limit_s: float) -> str:
    """Ask the server at ``url`` whether it is there. "", or the sentence that says that it does not answer in time.

    Any answer will do, also that there were too many requests; and so will a connection that is accepted and closed at
    once, which is what happens while as many are open as may be.
    """
    place = urlsplit(url)
    host, port = place.hostname or "", place.port
    connection = http.client.HTTPConnection(host, port, timeout=limit_s)
    if place.scheme == "https":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it is asked for a sign of life, no more
        connection = http.client.HTTPSConnection(host, port, timeout=limit_s, context=context)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse().read()
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
        return ""
    except socket.timeout:
        return "the server has not answered for %.3g s" % limit_s
    except (OSError, http.client.HTTPException) as error:
        return "the server does not answer: %s" % (str(error) or type(error).__name__)
    finally:
        connection.close()
    return ""


class Watchdog:
    """A thread that looks at the server and its threads, twice as often as systemd wants to hear of it.

    url: of the server on this machine. stuck: the sentence that says which part has not gone on for so many seconds, or
    "". A part may take half of systemd's time; nothing is said of it before, and no sign of life is sent after. Then
    systemd ends the process, which prints where each of its threads was, and starts it again.
    """

    def __init__(self, notifier: Notifier, url: str, stuck: Callable[[float], str]) -> None:
        self._notifier = notifier
        self._url = url
        self._stuck = stuck
        self._stop = threading.Event()
        self._complaint = ""
        self._thread: Optional[threading.Thread] = None

    def start(self) -> None:
        """Begin, if there is a systemd that listens."""
        if not self._notifier.wanted:
            return
        if self._notifier.watchdog_s is not None:
            faulthandler.enable(sys.stderr)  # systemd ends it by SIGABRT
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it. The process that ends has its own time limit."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while unanswered(self._url, FIRST_LIMIT_S):
            if self._stop.wait(FIRST_TRIES_S):
                return
        self._notifier.ready()
        if self._notifier.watchdog_s is None:
            return
        period = self._notifier.watchdog_s / 2
        self.look(period)
        while not self._stop.wait(period):
            self.look(period)

    def look(self, limit_s: float) -> bool:
        """Look once: a sign of life, or one sentence on the console. Returns which."""
        complaint = self._stuck(limit_s) or unanswered(self._url, limit_s)
        if not complaint:
            self._notifier.alive()
        if bool(complaint) != bool(self._complaint):
            what = complaint + "; systemd gets no sign of life until it does" if complaint else "all parts go on again"
            print("watchdog: %s" % what, flush=True)
        self._complaint = complaint
        return not complaint
