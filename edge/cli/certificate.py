"""``carcloud certificate``: a self-signed key pair, for https on a network that is not trusted."""

import argparse
import hashlib
import socket
import ssl
from typing import Any, List

from edge.server.serving import own_address
from edge.server.tls import DAYS, is_name, make_certificate

DESCRIPTION = """Make a self-signed certificate and its key, so that carcloud serve talks https. Browsers warn once,
because nobody vouches for it: compare the fingerprint that is printed here with the one the browser shows."""

EPILOG = """examples:
  carcloud certificate --out ~/.carcloud
  carcloud certificate --out ~/.carcloud --name car.example.org --name 192.168.1.20
  carcloud serve --host 0.0.0.0 --token-file ~/.carcloud/token \\
      --tls-cert ~/.carcloud/carcloud-cert.pem --tls-key ~/.carcloud/carcloud-key.pem
"""


def register(subparsers: Any) -> None:
    """Add the ``certificate`` command."""
    parser = subparsers.add_parser(
        "certificate", help="a self-signed key pair, for https", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where the two files go; made if missing")
    parser.add_argument("--name", action="append", metavar="NAME", default=[], dest="names",
                        help="a further host name or address it is for (may be repeated)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the pair and say how to use it."""
    certificate, key = make_certificate(options.out, own_names() + options.names)
    print("certificate  %s" % certificate)
    print("key          %s   (only you can read it)" % key)
    print("holds for    %d days" % DAYS)
    print("fingerprint  %s" % fingerprint(certificate))
    print("serve with   carcloud serve --tls-cert %s --tls-key %s" % (certificate, key))
    return 0


def own_names() -> List[str]:
    """Names and addresses of this machine, as far as a certificate can be for them."""
    own = socket.gethostname().lower()
    names = ["localhost", "127.0.0.1", "::1", own_address(), own, own.split(".")[0] + ".local"]
    return [name for at, name in enumerate(names) if is_name(name) and name not in names[:at]]


def fingerprint(certificate: str) -> str:
    """SHA-256 of the certificate as browsers show it."""
    with open(certificate, encoding="ascii") as handle:
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(handle.read())).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
