"""The pull client: asks a carcloud server for the newest cloud, again and again, over one kept connection."""

import http.client
import json
import socket
import time
from typing import Iterator, Optional, Tuple
from urllib.parse import urlsplit

from edge import wire
from edge.errors import ServerError
from edge.wire import Packet

#: Pause before the first and the longest pause between attempts to reconnect, seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
#: A cloud of a million points with colour has 9.4 MB; more is no answer of ours.
MAX_ANSWER = 16 << 20


class NoCloud(ServerError):
    """Nothing came in time; asking again may help."""


class PullClient:
    """Pulls clouds from one server. Not for sharing between threads.

    received, skipped, reconnects: counters; skipped are frames the server published and this client never saw.
    age: seconds from capture to the moment the last cloud was decoded here. It needs no common clock: the server says
        how old the frame was when it left, and this side adds the time from the answer's first byte on.
    """

    def __init__(self, url: str, token: Optional[str] = None) -> None:
        parts = urlsplit(url if "//" in url else "//" + url, scheme="http")
        if parts.scheme != "http" or not parts.hostname:
            raise ServerError("%r is not the address of a carcloud server; give e.g. http://127.0.0.1:8000" % url)
        try:
            self._address: Tuple[str, int] = (parts.hostname, parts.port or 8000)
        except ValueError:
            raise ServerError("%r has no valid port; give e.g. http://127.0.0.1:8000" % url)
        self._headers = {"Authorization": "Bearer " + token} if token else {}
        self._connection: Optional[http.client.HTTPConnection] = None
        self._after = 0
        self.received = 0
        self.skipped = 0
        self.reconnects = 0
        self.age = float("nan")

    def next(self, timeout: float = 10.0) -> Packet:
        """The newest cloud that this client has not seen, waiting for it up to ``timeout`` seconds.

        Reconnects with growing pauses while the server is away or busy. Raises NoCloud: nothing came in time;
        ServerError: the token is missing or wrong, or this is no carcloud server; WireError: damaged bytes.
        """
        deadline = time.monotonic() + timeout
        pause, reason = FIRST_PAUSE, "the server published no new cloud"
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoCloud("no cloud from http://%s:%d within %g s: %s" % (self._address + (timeout, reason)))
            try:
                packet = self._ask(left)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                self.reconnects += 1
                reason = "%s; is 'carcloud serve' running there?" % _words(error)
            except _Busy as error:
                reason = str(error)
            else:
                if packet is not None:
                    return packet
                pause = FIRST_PAUSE
                continue
            time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(2 * pause, LONGEST_PAUSE)

    def __iter__(self) -> Iterator[Packet]:
        """Clouds without end; leave the loop when you have enough."""
        while True:
            yield self.next()

    def __enter__(self) -> "PullClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection; the next :meth:`next` makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, left: float) -> Optional[Packet]:
        """One request; None if the server had nothing newer."""
        wait = min(left, 10.0)
        status, body, seconds_old = self._get("/api/v1/cloud?after=%d&timeout=%.3f" % (self._after, wait), left + 5.0)
        if status == 204:
            return None
        if status == 503:
            raise _Busy(_sentence(body))
        if status != 200:
            raise ServerError("http://%s:%d answers %d: %s" % (self._address + (status, _sentence(body))))
        start = time.monotonic()
        packet = wire.decode(body)
        self.age = seconds_old + time.monotonic() - start
        if 0 < self._after < packet.seq:
            self.skipped += packet.seq - self._after - 1
        self._after = packet.seq
        self.received += 1
        return packet

    def _get(self, path: str, timeout: float) -> Tuple[int, bytes, float]:
        """Status, body, and how old the frame is now that all of it is here (NaN if the server does not say)."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._address[0], self._address[1], timeout=timeout)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        elif self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        first_byte = time.monotonic()
        body = answer.read(MAX_ANSWER + 1)
        if len(body) > MAX_ANSWER:
            raise http.client.HTTPException("the answer has more than %d bytes" % MAX_ANSWER)
        age = answer.getheader("X-Age-Ms")
        return answer.status, body, float(age or "nan") / 1e3 + time.monotonic() - first_byte


class _Busy(Exception):
    """The server has as many clients as it allows."""


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _sentence(body: bytes) -> str:
    """The sentence of an error answer; a foreign server's page is cut to its first characters."""
    try:
        return str(json.loads(body.decode("utf-8"))["error"])
    except (ValueError, KeyError, TypeError):
        return repr(body[:60])
