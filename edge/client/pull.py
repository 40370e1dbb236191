"""The pull clients: ask a carcloud server for what is newest, again and again, over one kept connection."""

import http.client
import json
import time
from email.message import Message
from typing import Any, Dict, Generic, Iterator, NamedTuple, Optional, Tuple, TypeVar
from urllib.parse import urlsplit

from edge import wire
from edge.client.trust import SYSTEM, Trust, context_of, make_connection, refusal, speaks_tls
from edge.errors import ServerError, WireError
from edge.wire import Packet

#: Pause before the first and the longest pause between attempts to reconnect, seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
#: A cloud of a million points with colour has 9.4 MB; more is no answer of ours.
MAX_ANSWER = 16 << 20


class NoCloud(ServerError):
    """Nothing came in time; asking again may help."""


class Shot(NamedTuple):
    """One camera picture. headers: what the server says of it: X-Image-Size, X-Crop, X-Pose, X-Cars."""

    seq: int
    jpeg: bytes
    headers: Dict[str, str]


Pulled = TypeVar("Pulled", Packet, Shot)


class Puller(Generic[Pulled]):
    """Pulls from one path of one server, by http or https. Not for sharing between threads.

    trust: which certificate is accepted over https. The token is sent to no other server.
    received, skipped, reconnects: counters; skipped are frames the server published and this client never saw.
    connected: whether the last request was answered. body: the bytes of the last frame as they came.
    age: seconds from capture to the moment the last frame was decoded here. It needs no common clock: the server says
        how old the frame was when it left, and this side adds the time from the answer's first byte on.
    """

    path = ""
    what = ""

    def __init__(self, url: str, token: Optional[str] = None, trust: Trust = SYSTEM) -> None:
        scheme, host, port = address_of(url)
        self._address, self._trust = (host, port), trust
        self._context = context_of(trust) if scheme == "https" else None
        #: The server's host and port as one word.
        self.name = "%s:%d" % ("[%s]" % host if ":" in host else host, port)
        self.url = "%s://%s" % (scheme, self.name)
        self._headers = {"Authorization": "Bearer " + token} if token else {}
        self._connection: Optional[http.client.HTTPConnection] = None
        self._after = 0
        self.received = 0
        self.skipped = 0
        self.reconnects = 0
        self.age = float("nan")
        self.connected = False
        self.body = b""

    def next(self, timeout: float = 10.0) -> Pulled:
        """The newest frame that this client has not seen, waiting for it up to ``timeout`` seconds.

        Reconnects with growing pauses while the server is away or busy. Raises NoCloud: nothing came in time;
        ServerError: the token is missing or wrong, the certificate is not accepted, or this is no carcloud server;
        WireError: damaged bytes.
        """
        deadline = time.monotonic() + timeout
        pause, reason = FIRST_PAUSE, "the server published no new %s" % self.what
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoCloud("no %s from %s within %g s: %s" % (self.what, self.url, timeout, reason))
            try:
                frame = self._ask(left)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                self.connected = False
                self.reconnects += 1
                reason = "%s; is 'carcloud serve' running there?" % _words(error)
            except _Busy as error:
                reason = str(error)
            else:
                if frame is not None:
                    return frame
                pause = FIRST_PAUSE
                continue
            time.sleep(max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(2 * pause, LONGEST_PAUSE)

    def __iter__(self) -> Iterator[Pulled]:
        """Frames without end; leave the loop when you have enough."""
        while True:
            yield self.next()

    def __enter__(self: "Client") -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def status(self, timeout: float = 5.0) -> Optional[Dict[str, Any]]:
        """The server's state as it is now, see ``docs/server.md``; None if it does not answer. Raises ServerError."""
        try:
            status, body, _, _ = self._get("/api/v1/status", timeout)
        except (OSError, http.client.HTTPException):
            self.close()
            return None
        if status != 200:
            raise ServerError("%s answers %d: %s" % (self.url, status, _sentence(body)))
        try:
            state = json.loads(body.decode("utf-8"))
        except ValueError:
            state = None
        if not isinstance(state, dict):
            raise ServerError("%s tells its state in %r; is this carcloud?" % (self.url, body[:60]))
        return state

    def close(self) -> None:
        """Drop the connection; the next :meth:`next` makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _decode(self, body: bytes, headers: Message) -> Pulled:
        raise NotImplementedError

    def _ask(self, left: float) -> Optional[Pulled]:
        """One request; None if the server had nothing newer."""
        wait = min(left, 10.0)
        status, body, headers, first_byte = self._get(
            "%s?after=%d&timeout=%.3f" % (self.path, self._after, wait), left + 5.0)
        self.connected = True
        if status == 204:
            return None
        if status == 503:
            raise _Busy(_sentence(body))
        if status != 200:
            raise ServerError("%s answers %d: %s" % (self.url, status, _sentence(body)))
        frame = self._decode(body, headers)
        # NaN if the server does not say.
        self.age = float(headers.get("X-Age-Ms") or "nan") / 1e3 + time.monotonic() - first_byte
        seq = frame.seq
        if 0 < self._after < seq:
            self.skipped += seq - self._after - 1
        self._after = seq
        self.received += 1
        self.body = body
        return frame

    def _get(self, path: str, timeout: float) -> Tuple[int, bytes, Message, float]:
        """Status, body, headers, and when the answer's first byte came.

        Raises ServerError where trying again is vain, OSError and HTTPException where it is not.
        """
        if self._connection is not None and self._connection.sock is None:  # the server closed it after its answer
            self.close()
        fresh = self._connection is None
        try:
            if self._connection is None:
                self._connection = make_connection(self._address, timeout, self._context, self._trust)
            else:
                self._connection.sock.settimeout(timeout)
            self._connection.request("GET", path, headers=self._headers)
            answer = self._connection.getresponse()
            first_byte = time.monotonic()
            body = answer.read(MAX_ANSWER + 1)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.close()
            sentence = refusal(error, self.url, self._trust) if fresh else None
            if fresh and self._context is None and _is_no_http(error) and speaks_tls(*self._address):
                sentence = "%s speaks https, and was asked by http; type https://%s" % (self.url, self.name)
            if sentence is None:
                raise
            raise ServerError(sentence)
        if len(body) > MAX_ANSWER:
            raise http.client.HTTPException("the answer has more than %d bytes" % MAX_ANSWER)
        return answer.status, body, answer.headers, first_byte


Client = TypeVar("Client", bound=Puller)


class PullClient(Puller[Packet]):
    """Pulls clouds; see :class:`Puller`."""

    path, what = "/api/v1/cloud", "cloud"

    def _decode(self, body: bytes, headers: Message) -> Packet:
        return wire.decode(body)


class PictureClient(Puller[Shot]):
    """Pulls camera pictures; see :class:`Puller`."""

    path, what = "/camera.jpg", "picture"

    def _decode(self, body: bytes, headers: Message) -> Shot:
        seq = headers.get("X-Seq", "")
        if not seq.isdecimal() or body[:2] != b"\xff\xd8":
            raise WireError("%s%s answers with %d bytes that are no numbered JPEG; is this carcloud?"
                            % (self.url, self.path, len(body)))
        names = ("X-Image-Size", "X-Crop", "X-Pose", "X-Cars")
        return Shot(int(seq), body, {name: headers[name] for name in names if name in headers})


class _Busy(Exception):
    """The server has as many clients as it allows."""


def address_of(url: str) -> Tuple[str, str, int]:
    """Scheme, host and port of a server's address; without a scheme http, without a port carcloud's own. Raises
    ServerError."""
    parts = urlsplit(url if "//" in url else "//" + url, scheme="http")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ServerError("%r is not the address of a carcloud server; give e.g. http://127.0.0.1:8000" % url)
    try:
        parts.hostname.encode("idna")
        return parts.scheme, parts.hostname, parts.port or 8000
    except UnicodeError:
        raise ServerError("%r has no valid host name; give e.g. http://127.0.0.1:8000" % url)
    except ValueError:
        raise ServerError("%r has no valid port; give e.g. http://127.0.0.1:8000" % url)


def _is_no_http(error: Exception) -> bool:
    """Whether a server that speaks TLS only may have ended a plain request so: hung up, or answered in TLS."""
    return isinstance(error, (ConnectionError, http.client.BadStatusLine))


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _sentence(body: bytes) -> str:
    """The sentence of an error answer; a foreign server's page is cut to its first characters."""
    try:
        return str(json.loads(body.decode("utf-8"))["error"])
    except (ValueError, KeyError, TypeError):
        return repr(body[:60])
