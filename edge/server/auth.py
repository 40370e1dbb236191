"""Who may ask: bearer token, Host allow-list against DNS rebinding, and what a bind address demands."""

import hmac
import ipaddress
import os
import re
import secrets
import socket
from typing import FrozenSet, Iterable, Optional

from edge.errors import ServerError

#: Shorter tokens can be guessed; generated ones have 32 characters.
SHORTEST_TOKEN = 16
_FORBIDDEN_BITS = 0o077


def is_loopback(host: str) -> bool:
    """Whether a bind address is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_bind(host: str, token: Optional[str], no_auth: bool) -> None:
    """Refuse to open a camera to the network without a token. Raises ServerError."""
    if not is_loopback(host) and token is None and not no_auth:
        raise ServerError(
            "--host %s lets others on the network see the camera, and no token is set. Add --token-file FILE "
            "(made for you if it does not exist), or --no-auth if everybody who reaches this machine may look" % host
        )


def load_token(path: str) -> str:
    """Read the token from a file; make the file (mode 0600) with a fresh token if there is none.

    Raises ServerError: unreadable, readable by others, empty, or too short a token.
    """
    try:
        return _create_token(path)
    except FileExistsError:
        pass
    except OSError as error:
        raise ServerError("cannot make the token file %s: %s; choose another --token-file" % (path, error.strerror))
    try:
        with open(path, encoding="ascii") as handle:
            mode = os.fstat(handle.fileno()).st_mode
            token = handle.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServerError("cannot read the token file %s: %s" % (path, error))
    if mode & _FORBIDDEN_BITS:
        raise ServerError("token file %s can be read by other users; type: chmod 600 %s" % (path, path))
    if len(token) < SHORTEST_TOKEN or any(c.isspace() for c in token):
        raise ServerError(
            "token file %s must hold one word of at least %d characters; delete it and a good one is made"
            % (path, SHORTEST_TOKEN)
        )
    return token


def _create_token(path: str) -> str:
    token = secrets.token_urlsafe(24)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as writer:
        writer.write(token + "\n")
    return token


def token_matches(header: Optional[str], token: str) -> bool:
    """Compare an ``Authorization`` header with the token in constant time."""
    scheme, _, given = (header or "").partition(" ")
    # Both sides as bytes: compare_digest refuses text that is not ASCII, and a header may hold anything.
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode("utf-8"))
    return same and scheme.lower() == "bearer"


def allowed_hosts(bind_host: str, extra: Iterable[str] = ()) -> FrozenSet[str]:
    """Names a ``Host`` header may carry besides IP addresses: this machine's, and ``extra``."""
    own = socket.gethostname().lower()
    names = {"localhost", own, own.split(".")[0] + ".local", bind_host.lower()}
    return frozenset(names | {name.lower() for name in extra})


def host_allowed(header: str, names: FrozenSet[str]) -> bool:
    """Whether a ``Host`` header is one of ours.

    A page of another site can point its own *name* at this address (DNS rebinding) and then read everything as
    its own origin. It cannot do so with an address, so literal addresses pass.
    """
    host = split_port(header).lower().rstrip(".")
    if host in names:
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def split_port(header: str) -> str:
    """``Host`` without its port: ``name:8000`` -> ``name``, ``[::1]:8000`` -> ``::1``; "" for what is neither."""
    found = re.match(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]@/,\s]+))(?::[0-9]{0,5})?\Z", header)
    return "" if found is None else found.group(1) or found.group(2)
