"""Encryption for networks that are not trusted: a key pair of one's own, and the context that serves with it."""

import ipaddress
import os
import re
import ssl
import stat
import subprocess
from typing import Iterable, List, Optional

from edge.errors import ServerError

CERTIFICATE, KEY = "carcloud-cert.pem", "carcloud-key.pem"
#: Browsers refuse certificates that hold for longer.
DAYS = 397
_FORBIDDEN_BITS = 0o077
INSTALL = "sudo apt-get install openssl"


def load_tls(certificate: Optional[str], key: Optional[str]) -> Optional[ssl.SSLContext]:
    """The context that serves with a certificate and its key (PEM files); None if neither is given.

    TLS 1.2 or later. Raises ServerError: only one of them, a file that cannot be read or holds something else, a key
    of another certificate, a key that others may read.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise ServerError("--tls-cert and --tls-key belong together, and only one is given; make both with: "
                          "carcloud certificate --out FOLDER")
    certificate, key = os.path.expanduser(certificate), os.path.expanduser(key)
    _check_private(key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if hasattr(context, "minimum_version"):  # Python 3.7 and later
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:
        context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    try:
        # An empty password, so that an encrypted key is refused instead of asked for on a console nobody sits at.
        context.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        raise ServerError("cannot serve with the certificate %s and the key %s: %s; make a pair with: carcloud "
                          "certificate --out FOLDER" % (certificate, key, _reason(error)))
    return context


def _check_private(key: str) -> None:
    try:
        mode = os.stat(key).st_mode
    except OSError as error:
        raise ServerError("cannot read the key %s: %s; make a pair with: carcloud certificate --out FOLDER"
                          % (key, error.strerror))
    if mode & _FORBIDDEN_BITS:
        raise ServerError("key %s can be read by other users; type: chmod 600 %s" % (key, key))


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        known = {"KEY_VALUES_MISMATCH": "the key belongs to another certificate", "BAD_DECRYPT": "the key is encrypted",
                 "BAD_PASSWORD_READ": "the key is encrypted"}
        return known.get(error.reason or "", "one of them is no PEM file of its kind")
    return str(error.strerror or error)


def make_certificate(folder: str, names: Iterable[str], program: str = "openssl", days: int = DAYS) -> List[str]:
    """Make a self-signed certificate and its key in a folder; returns their two paths. The key gets mode 0600.

    names: host names and addresses that it is for. Raises ServerError: files that are there already, no openssl
    (a program that JetPack and every distribution have), a folder that cannot be written.
    """
    paths = [os.path.join(folder, name) for name in (CERTIFICATE, KEY)]
    for path in paths:
        if os.path.exists(path):
            raise ServerError("%s exists already and is kept; take another folder, or delete it first" % path)
    kinds = ",".join(_kind(name) for name in names)
    # OpenSSL 1.1.0 of JetPack 4 has no -addext: the names come from a configuration, on standard input.
    config = ("[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=carcloud\n[ext]\n"
              "subjectAltName=%s\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n" % kinds)
    try:
        os.makedirs(folder, exist_ok=True)
        # Made here, so that the key is private from its first byte on; openssl keeps the mode of what it overwrites.
        os.close(os.open(paths[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR))
    except OSError as error:
        raise ServerError("cannot write to %s: %s; choose another --out" % (folder, error.strerror))
    command = [program, "req", "-x509", "-newkey", "rsa:2048", "-sha256", "-nodes", "-days", str(days),
               "-config", "/dev/stdin", "-out", paths[0], "-keyout", paths[1]]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = process.communicate(config.encode("ascii"))[0].decode("utf-8", "replace").strip()
    except FileNotFoundError:
        os.remove(paths[1])
        raise ServerError("the program %s, which makes certificates, is not installed; type: %s" % (program, INSTALL))
    if process.returncode != 0:
        for path in filter(os.path.exists, paths):
            os.remove(path)
        raise ServerError("%s could not make the certificate: %s; is openssl whole? Type: %s" % (
            program, (output.splitlines() or ["it said nothing"])[-1], INSTALL))
    return paths


def is_name(text: str) -> bool:
    """Whether a text is a host name or an address that a certificate can be for."""
    try:
        ipaddress.ip_address(text)
        return True
    except ValueError:
        return re.match(r"[a-z0-9-]+(\.[a-z0-9-]+)*\Z", text, re.IGNORECASE) is not None and len(text) < 254


def _kind(name: str) -> str:
    """A name as OpenSSL's configuration wants it. Raises ServerError for what is no name."""
    if not is_name(name):
        raise ServerError("%r is no host name and no address; give e.g. --name nano.local" % name)
    try:
        return "IP:%s" % ipaddress.ip_address(name)
    except ValueError:
        return "DNS:%s" % name
