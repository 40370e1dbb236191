"""Doctor's look at what the server needs: a port, and a token where others may connect."""

import errno
import http.client
import os
import pwd
import socket
import stat

from edge.cli.check import ERROR, OK, WARNING, Check
from edge.server.auth import SHORTEST_TOKEN, is_loopback
from edge.settings import Settings

#: Seconds that whoever holds the port has to say who it is.
ASK_S = 3.0
TOKEN = "carcloud serve --host %s --token-file ~/.carcloud-token"


def check_port(host: str, port: int) -> Check:
    """The port is free, or held by a carcloud server. Nothing listens on it afterwards."""
    where = "%d on %s" % (port, host)
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)  # on Linux two sockets may bind with SO_REUSEADDR, only one may listen
    except OSError as error:
        if error.errno == errno.EADDRINUSE and is_carcloud(host, port):
            return Check("port", OK, "%s: a carcloud server is running there" % where)
        other = "carcloud serve --port %d" % (port + 1 if port < 65535 else 8000)
        if error.errno == errno.EADDRINUSE:
            other += "   (who has it: sudo ss -ltnp 'sport = :%d')" % port
        return Check("port", WARNING, "%s cannot be used: %s" % (where, error.strerror or error), other)
    return Check("port", OK, "%s is free" % where if port else "any free one")


def is_carcloud(host: str, port: int) -> bool:
    """Whether who listens there answers as our server does. One with https is not recognised."""
    connection = http.client.HTTPConnection(
        {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port, timeout=ASK_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().getheader("Server", "") == "carcloud"
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def check_token(chosen: Settings) -> Check:
    """Whether the server asks for a token where it must, and the file with it is private. The token is never shown."""
    if chosen.token_file is None:
        if is_loopback(chosen.host):
            return Check("token", OK, "none: only this machine can connect")
        if chosen.no_auth:
            return Check("token", WARNING, "none, by --no-auth: everybody who reaches this machine sees the camera",
                         TOKEN % chosen.host)
        text = "none, so that carcloud serve refuses --host %s" % chosen.host
        return Check("token", ERROR, text, TOKEN % chosen.host)
    path = os.path.expanduser(chosen.token_file)
    try:
        with open(path, "rb") as handle:
            facts, word = os.fstat(handle.fileno()), handle.read(4096).strip()
    except FileNotFoundError:
        return _absent(path)
    except OSError as error:
        fix = "sudo carcloud doctor --token-file %s   (as root; or as the server's user)" % path
        return Check("token", WARNING, "%s cannot be read by this user: %s" % (path, error.strerror), fix)
    if facts.st_mode & 0o077:
        mode = stat.S_IMODE(facts.st_mode)
        return Check("token", ERROR, "%s can be read by others (mode %04o)" % (path, mode), "chmod 600 %s" % path)
    if len(word) < SHORTEST_TOKEN or len(word.split()) != 1:
        return Check("token", ERROR, "%s must hold one word of at least %d characters" % (path, SHORTEST_TOKEN),
                     "rm %s   (the server makes a new one)" % path)
    return Check("token", OK, "%s, of user %s, readable by nobody else" % (path, _user(facts.st_uid)))


def _absent(path: str) -> Check:
    folder = os.path.dirname(path) or "."
    if os.path.isdir(folder) and os.access(folder, os.W_OK):
        return Check("token", OK, "%s is made when the server first starts" % path)
    if os.path.isdir(folder):
        text, fix = "%s is not there, and this user cannot make it" % path, "sudo chown $USER " + folder
    else:
        text, fix = "%s cannot be made: its folder is not there" % path, "mkdir -m 700 -p " + folder
    return Check("token", ERROR, text, fix)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
