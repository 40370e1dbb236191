"""A small threaded HTTP/1.1 server on Werkzeug's: keep-alive, bounded, quiet, and it stops when told."""

import errno
import http.client
import io
import json
import logging
import socket
import socketserver
import ssl
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Tuple

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from edge.errors import ServerError
from edge.server.limits import network_of
from edge.server.telemetry import COUNT_ANSWER

if TYPE_CHECKING:
    from flask import Flask

LOG = logging.getLogger("carcloud.server")
#: Seconds that a connection may be silent between two requests, and that one answer to a slow reader may take.
SOCKET_TIMEOUT = 35.0
#: Seconds from a request's first byte to its last, and for the greeting of TLS, however the bytes trickle.
REQUEST_TIMEOUT = 10.0
#: Connections (threads) at once, of all and of one address; more are closed at the door.
MAX_CONNECTIONS, MAX_FROM_ONE = 128, 64
#: Longest request line, bytes; ours have under 100.
MAX_REQUEST_LINE = 8192
#: Longest request, bytes, with all its headers; a browser's have about 1000.
MAX_REQUEST = 32768
#: Bytes of a request's body; a choice of a car has about ten. More than the application allows, which then says so.
MAX_BODY = 8192


class _Patience(io.RawIOBase):
    """Reads a connection under the handler's eyes: so many bytes, until then. The first bytes may let wait for them
    as long as a silent connection may; from then on the clock runs, for a time-out of each read alone is kept by who
    sends a byte now and then (slow loris)."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._deadline: Optional[float] = None
        self._left = 0

    def readable(self) -> bool:
        return True

    def begin(self) -> None:
        """A new request may come."""
        self._deadline, self._left = None, MAX_REQUEST

    def grant(self, count: int) -> None:
        """A body of so many bytes may follow; what is read ahead of need does not count."""
        self._left = count + io.DEFAULT_BUFFER_SIZE

    def readinto(self, buffer: Any) -> int:
        if self._left <= 0:
            raise http.client.HTTPException("more than %d bytes" % MAX_REQUEST)  # the standard library answers 431
        now = time.monotonic()
        wait = SOCKET_TIMEOUT if self._deadline is None else self._deadline - now
        if wait <= 0:
            raise socket.timeout("the request took too long")
        self._connection.settimeout(wait)
        count = self._connection.recv_into(buffer)
        if self._deadline is None:
            self._deadline = time.monotonic() + REQUEST_TIMEOUT
        self._left -= count
        return count


class _Writer(io.BufferedIOBase):
    """Writes all of what it is given within the time that an answer may take. (``sendall`` does the same, but over TLS
    it starts the time anew with each 16 KiB.)"""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        rest, deadline = memoryview(data), time.monotonic() + SOCKET_TIMEOUT
        while rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise socket.timeout("the answer was read too slowly")
            self._connection.settimeout(left)
            rest = rest[self._connection.send(rest):]
        return len(data)


class Handler(WSGIRequestHandler):
    """One connection. Whole answers with a length, so that the connection can be used again.

    Werkzeug's own ``run_wsgi`` closes the connection after each answer (from 2.1 on, and it waits 10 ms for stray
    bytes before), which costs a pull client a TCP connection for each frame.
    """

    protocol_version = "HTTP/1.1"
    timeout = SOCKET_TIMEOUT
    disable_nagle_algorithm = True
    server: "_Server"

    def setup(self) -> None:
        if self.server.tls is not None:
            # Here, in the connection's own thread: in accept() one silent client would keep all others waiting.
            self.request.settimeout(REQUEST_TIMEOUT)
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()
        self.server.connections[self.client] = self.connection
        self.rfile.close()
        self._patience = _Patience(self.connection)
        self.rfile, self.wfile = io.BufferedReader(self._patience), _Writer(self.connection)

    @property
    def client(self) -> Tuple[str, int]:
        """Address and port, which tell connections apart."""
        return self.client_address[:2]

    def finish(self) -> None:
        try:
            super().finish()
            if self.server.tls is not None:
                self.connection.close()  # the server closes only what it accepted, which TLS has replaced
        except OSError:  # the peer is gone; there is nobody left to tell
            pass

    def version_string(self) -> str:
        return "carcloud"

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Access log at debug level, without the query string: thirty lines a second help nobody."""
        path = vars(self).get("path", "").partition("?")[0]  # a line that could not be parsed has none
        LOG.debug("method=%s path=%s code=%s", self.command, path, code)

    def log_error(self, format: str, *args: Any) -> None:
        LOG.debug(format, *args)

    def handle_one_request(self) -> None:
        """Read one request and answer it; the line is bounded, which Werkzeug 2.0 forgets."""
        self._patience.begin()
        self.raw_requestline = self.rfile.readline(MAX_REQUEST_LINE + 1)
        if not self.raw_requestline:
            self.close_connection = True
        elif len(self.raw_requestline) > MAX_REQUEST_LINE:
            self.requestline = self.command = ""
            self.send_error(414)
        elif self.parse_request():
            if self.request_version == "HTTP/0.9":  # has no headers, so neither host nor token
                self.send_error(505)
            else:
                self.run_wsgi()

    def send_error(self, code: int, message: Optional[str] = None, explain: Optional[str] = None) -> None:
        """An error of HTTP itself: JSON as all errors here, and the end of the connection."""
        self.request_version = self.protocol_version  # where it could not be read, 0.9 is assumed: no status line
        words = self.responses[code][0] if code in self.responses else "Error"
        self._refuse(code, words, message or words)

    def _refuse(self, code: int, words: str, sentence: str) -> None:
        body = json.dumps({"error": sentence}).encode("ascii") + b"\n"
        self.server.count_answer(int(code))  # the application, which counts the others, never sees this one
        self._send("%d %s" % (code, words), [("Content-Type", "application/json"), ("Cache-Control", "no-store"),
                                             ("X-Content-Type-Options", "nosniff"), ("Connection", "close")], body)
        self.close_connection = True

    def run_wsgi(self) -> None:
        """Answer one request."""
        length = self.headers.get("Content-Length", "0").strip()
        most = MAX_BODY if self.command == "POST" else 0
        known = length.isdecimal() and len(length) < 9 and "Transfer-Encoding" not in self.headers
        if not known or int(length) > most:
            # An unread body would be taken for the next request, so the connection ends here.
            self._refuse(413, "Request Entity Too Large", "a body may have %d bytes here" % most)
            return
        try:
            self.environ = environ = self.make_environ()
        except ValueError:  # an address such as http://[
            self.send_error(400)
            return
        self._patience.grant(int(length))
        environ["wsgi.input"] = io.BytesIO(self.rfile.read(int(length)))
        head: List[Any] = []

        def start_response(status: str, headers: List[Tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], Any]:
            head[:] = [status, headers]
            return body.write

        body = io.BytesIO()
        chunks: Iterable[bytes] = self.server.app(environ, start_response)
        try:
            for chunk in chunks:
                body.write(chunk)
        finally:
            if hasattr(chunks, "close"):
                chunks.close()
        status, headers = head
        self._send(status, headers, body.getvalue())

    def _send(self, status: str, headers: List[Tuple[str, str]], body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Server", self.version_string())
        self.send_header("Date", self.date_time_string())
        bodiless = int(code) in (204, 304)
        if "content-length" not in names and not bodiless:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body and self.command != "HEAD" and not bodiless:
            self.wfile.write(body)

    def send_response(self, code: int, message: Optional[str] = None) -> None:
        """The status line joins the header buffer, so that it leaves in the same packet."""
        self.log_request(code)
        self.send_response_only(code, message)


class _Server(ThreadedWSGIServer):
    """Counts and remembers its connections, so that it can refuse one too many and hang up at the end."""

    request_queue_size = 64

    def __init__(self, host: str, app: "Flask", listener: socket.socket, tls: Optional[ssl.SSLContext] = None) -> None:
        self.connections: Dict[Tuple[str, int], socket.socket] = {}
        self.tls = tls
        self.count_answer: Callable[[int], Any] = app.extensions.get(COUNT_ANSWER, lambda code: None)
        super().__init__(host, listener.getsockname()[1], app, Handler, fd=listener.fileno())

    def server_bind(self) -> None:
        """Without the reverse name look-up of ``HTTPServer``, which takes seconds where no name server answers."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room. Counted here, by the one thread that accepts: a burst must not slip through."""
        network = network_of(client_address[0])
        alike = sum(network_of(address) == network for address, _ in list(self.connections))
        if len(self.connections) >= MAX_CONNECTIONS or alike >= MAX_FROM_ONE:
            return False
        self.connections[client_address[:2]] = request
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.pop(client_address[:2], None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        client = client_address[0] if client_address else "?"
        if isinstance(sys.exc_info()[1], OSError):  # gone, too slow, or not speaking TLS: theirs, not ours
            LOG.debug("event=connection_lost client=%s", client, exc_info=True)
        else:
            LOG.exception("event=request_failed client=%s", client)

    def hang_up(self) -> None:
        """End every open connection; its thread then ends by itself."""
        for connection in list(self.connections.values()):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # already gone
                pass


class Server:
    """The server in a thread of its own. ``port`` 0 takes a free one; read it back from :attr:`port`.

    The port is taken at once; raises ServerError if that fails. Requests are answered after :meth:`start`.
    tls: makes it https, see ``edge.server.tls``.
    """

    def __init__(
        self, app: "Flask", host: str = "127.0.0.1", port: int = 8000, tls: Optional[ssl.SSLContext] = None
    ) -> None:
        self.host = host
        self._scheme = "http" if tls is None else "https"
        listener = listen(host, port)
        try:
            self._server = _Server(host, app, listener, tls)
        finally:
            listener.close()  # the server works on a duplicate
        self.port = int(self._server.socket.getsockname()[1])
        self._thread: Optional[threading.Thread] = None

    @property
    def url(self) -> str:
        """Address for a browser on this machine."""
        return self._url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host))

    @property
    def public_url(self) -> str:
        """Address for other machines, if they can reach this server; otherwise the same as :attr:`url`."""
        return self._url(own_address()) if self.host in ("0.0.0.0", "::") else self.url

    def _url(self, host: str) -> str:
        return "%s://%s:%d/" % (self._scheme, "[%s]" % host if ":" in host else host, self.port)

    def start(self) -> None:
        """Answer requests until :meth:`stop`."""
        self._thread = threading.Thread(target=self._serve, name="server", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """Take no new connection, hang up on the open ones, free the port. May be called twice."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.hang_up()
        self._server.server_close()


def own_address() -> str:
    """This machine's IPv4 address towards the network; 127.0.0.1 where there is no network. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket only chooses the route; any address that is not local will do.
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ServerError with a sentence: port in use, not permitted, no such address.

    Made here because Werkzeug, from 2.2 on, prints its own message and ends the process.
    """
    if not 0 <= port <= 65535:
        raise ServerError("--port %d is not a port; give a number from 0 (any free one) to 65535" % port)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)[0][4]
    except socket.gaierror as error:
        raise ServerError("--host %s is no address of this machine (%s); try 127.0.0.1" % (host, error.strerror))
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise ServerError(_bind_sentence(host, port, error))
    return listener


def _bind_sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return ("port %d on %s is in use by another program; stop that one, or choose another port: --port %d "
                "(--port 0 takes any free one)" % (port, host, port + 1 if port < 65535 else 8000))
    if error.errno == errno.EACCES:
        return "port %d needs administrator rights; choose one above 1023: --port 8000" % port
    if error.errno == errno.EADDRNOTAVAIL:
        return "--host %s is no address of this machine; try 127.0.0.1, or 0.0.0.0 for all of them" % host
    return "cannot listen on %s port %d: %s" % (host, port, error.strerror)
