"""A small threaded HTTP/1.1 server on Werkzeug's: keep-alive, bounded, quiet, and it stops when told."""

import errno
import io
import logging
import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Optional, Set, Tuple

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from edge.errors import ServerError

if TYPE_CHECKING:
    from flask import Flask

LOG = logging.getLogger("carcloud.server")
#: Seconds a silent keep-alive connection, a slow request or one answer to a slow reader may take.
SOCKET_TIMEOUT = 35.0
#: Connections (threads) at once; more are closed at the door.
MAX_CONNECTIONS = 128
#: Longest request line, bytes; ours have under 100. (The standard library bounds the headers.)
MAX_REQUEST_LINE = 8192
#: Bytes of a request's body; a choice of a car has about ten. More than the application allows, which then says so.
MAX_BODY = 8192


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
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        try:
            super().finish()
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
        self.raw_requestline = self.rfile.readline(MAX_REQUEST_LINE + 1)
        if not self.raw_requestline:
            self.close_connection = True
        elif len(self.raw_requestline) > MAX_REQUEST_LINE:
            self.requestline = self.request_version = self.command = ""
            self.send_error(414)
        elif self.parse_request():
            self.run_wsgi()

    def run_wsgi(self) -> None:
        """Answer one request."""
        length = self.headers.get("Content-Length", "0").strip()
        most = MAX_BODY if self.command == "POST" else 0
        known = length.isdecimal() and len(length) < 9 and "Transfer-Encoding" not in self.headers
        if not known or int(length) > most:
            # An unread body would be taken for the next request, so the connection ends here.
            self._send("413 Request Entity Too Large", [("Connection", "close"), ("Content-Length", "0")], b"")
            self.close_connection = True
            return
        self.environ = environ = self.make_environ()
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

    def __init__(self, host: str, app: "Flask", listener: socket.socket) -> None:
        self.connections: Set[socket.socket] = set()
        super().__init__(host, listener.getsockname()[1], app, Handler, fd=listener.fileno())

    def server_bind(self) -> None:
        """Without the reverse name look-up of ``HTTPServer``, which takes seconds where no name server answers."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return len(self.connections) < MAX_CONNECTIONS

    def handle_error(self, request: Any, client_address: Any) -> None:
        LOG.exception("event=request_failed client=%s", client_address[0] if client_address else "?")

    def hang_up(self) -> None:
        """End every open connection; its thread then ends by itself."""
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # already gone
                pass


class Server:
    """The server in a thread of its own. ``port`` 0 takes a free one; read it back from :attr:`port`.

    The port is taken at once; raises ServerError if that fails. Requests are answered after :meth:`start`.
    """

    def __init__(self, app: "Flask", host: str = "127.0.0.1", port: int = 8000) -> None:
        self.host = host
        listener = listen(host, port)
        try:
            self._server = _Server(host, app, listener)
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
        return "http://%s:%d/" % ("[%s]" % host if ":" in host else host, self.port)

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
