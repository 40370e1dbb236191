"""How the laptop's commands reach servers: the flags for tokens and for certificates."""

import argparse
import os
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Sequence

from edge.errors import ServerError, SettingsError

if TYPE_CHECKING:
    from edge.client.trust import Trust

#: The environment variable with the server's token.
TOKEN = "CARCLOUD_TOKEN"


class Access(NamedTuple):
    """How one server is reached: its address, its token, and which certificate it may show over https."""

    url: str
    token: Optional[str]
    trust: "Trust"


def add_access(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Add the flags for token and certificate. several: the command takes several addresses."""
    group = parser.add_argument_group(
        "access", "each flag once for all servers, or once for each in their order; certificates for those with "
        "https:// only" if several else None)
    group.add_argument(
        "--token-file", metavar="FILE", action="append",
        help="file with the server's token (default: the environment variable %s)" % TOKEN)
    group.add_argument(
        "--fingerprint", metavar="SHA256", action="append",
        help="of the one certificate that is accepted over https, as carcloud certificate printed it on the server")
    group.add_argument(
        "--ca-file", metavar="FILE", action="append",
        help="PEM file of whoever vouches for the server, or a copy of its own certificate (default: whom the system "
             "trusts)")


def read_access(options: argparse.Namespace, urls: Sequence[str]) -> List[Access]:
    """How each server is reached. Raises ServerError, SettingsError."""
    from edge.client.pull import address_of
    from edge.client.trust import Trust, digits

    encrypted = [url for url in urls if address_of(url)[0] == "https"]
    for flag, given in (("--fingerprint", options.fingerprint), ("--ca-file", options.ca_file)):
        if given and not encrypted:
            raise SettingsError("%s is for https, and %s is plain http; give the address as https://..."
                                % (flag, urls[0]))
    if options.fingerprint and options.ca_file:
        raise SettingsError("--fingerprint and --ca-file are two ways to know a server; give one of them")
    tokens = [read_token(path) for path in spread("--token-file", options.token_file, len(urls))]
    prints = spread("--fingerprint", options.fingerprint, len(encrypted))
    files = spread("--ca-file", options.ca_file, len(encrypted))
    trusts = iter([Trust(path, None if text is None else digits(text)) for path, text in zip(files, prints)])
    return [Access(url, token, next(trusts) if url in encrypted else Trust()) for url, token in zip(urls, tokens)]


def spread(flag: str, values: Optional[Sequence[str]], count: int) -> List[Optional[str]]:
    """A value for each of ``count`` servers: none, one for all, or one for each. Raises SettingsError."""
    if not values:
        return [None] * count
    if len(values) not in (1, count):
        raise SettingsError("%s is given %d times for %d servers; give it once for all, or once for each in their order"
                            % (flag, len(values), count))
    return [values[number % len(values)] for number in range(count)]


def read_token(path: Optional[str]) -> Optional[str]:
    """The token in a file, or in the environment, or None. Raises ServerError."""
    if path is None:
        return os.environ.get(TOKEN) or None
    try:
        with open(os.path.expanduser(path), encoding="ascii") as handle:
            token = handle.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServerError("cannot read the token file %s: %s" % (path, error))
    if not token or len(token.split()) != 1:
        raise ServerError("token file %s must hold one word: the token that the server printed at its first start"
                          % path)
    return token
