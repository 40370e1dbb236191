"""Whom a client believes to be its server over https, and a sentence for each reason not to.

By default whoever the system trusts, as browsers do. A pair of ``carcloud certificate`` is trusted by its fingerprint,
or by a copy of its certificate. There is no way to trust everybody: the token would go to whoever answers.
"""

import hashlib
import hmac
import http.client
import os
import re
import socket
import ssl
from typing import NamedTuple, Optional, Tuple

from edge.errors import ServerError, SettingsError

#: Seconds that a server has to greet when it is only asked whether it speaks TLS.
GREETING = 3.0
#: OpenSSL's reasons to refuse a certificate (x509_vfy.h): too early, too late, another host, another address.
_EARLY, _LATE, _OTHER_NAMES = (9,), (10,), (62, 64)
#: What OpenSSL says of an answer that is no TLS: 1.0.2, 1.1 and later, 3.2 and later.
_NO_TLS = ("UNKNOWN_PROTOCOL", "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
#: How a server's fingerprint is read later.
SHOWN_BY = "openssl x509 -noout -fingerprint -sha256 -in carcloud-cert.pem"


class Trust(NamedTuple):
    """Which certificates are accepted. ca_file: PEM file of those who vouch, or the server's own certificate; names and
    dates are checked. fingerprint: SHA-256 of the server's certificate, 64 digits (:func:`digits`); exactly this one is
    accepted, under any name and at any date. Neither: whom the system trusts."""

    ca_file: Optional[str] = None
    fingerprint: Optional[str] = None


#: Whoever the system trusts.
SYSTEM = Trust()


class PinnedConnection(http.client.HTTPSConnection):
    """Looks at the server's certificate after each greeting, also the one that ``http.client`` makes by itself, before
    anything is sent."""

    def __init__(self, address: Tuple[str, int], timeout: float, context: ssl.SSLContext, trust: Trust) -> None:
        super().__init__(*address, timeout=timeout, context=context)
        self._trust = trust

    def connect(self) -> None:
        super().connect()
        if self._trust.fingerprint is None:  # the context has looked
            return
        shown = self.sock.getpeercert(binary_form=True) or b""  # type: ignore[union-attr]
        if not hmac.compare_digest(hashlib.sha256(shown).hexdigest(), self._trust.fingerprint):
            self.close()
            raise NotTheOne("another certificate than the one with this fingerprint")


class NotTheOne(OSError):
    """The server's certificate has another fingerprint."""


def context_of(trust: Trust) -> ssl.SSLContext:
    """The context of a client, TLS 1.2 or later. Raises ServerError for a file that holds no certificate."""
    if trust.fingerprint is not None:
        # A self-signed certificate has nobody to ask; PinnedConnection compares it before anything is sent.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        path = None if trust.ca_file is None else os.path.expanduser(trust.ca_file)
        try:
            context = ssl.create_default_context(cafile=path)
        except (ssl.SSLError, OSError) as error:
            reason = "it holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
            raise ServerError("cannot use --ca-file %s: %s; give a copy of the carcloud-cert.pem that carcloud "
                              "certificate made on the server" % (trust.ca_file, reason))
        # The file's certificates are believed as they are, as by curl --cacert, whoever signed them.
        context.verify_flags |= getattr(ssl, "VERIFY_X509_PARTIAL_CHAIN", 0)
    if hasattr(context, "minimum_version"):  # Python 3.7 and later
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    else:
        context.options |= ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1
    return context


def digits(fingerprint: str) -> str:
    """The 64 lower-case digits of a fingerprint as ``carcloud certificate``, openssl and browsers show it. Raises
    SettingsError."""
    found = re.sub(r"[:\s]", "", fingerprint.split("=")[-1]).lower()
    if not re.match(r"[0-9a-f]{64}\Z", found):
        raise SettingsError("--fingerprint %s is no SHA-256 fingerprint; give the 64 digits that carcloud certificate "
                            "printed on the server, or that are shown there by: %s" % (fingerprint, SHOWN_BY))
    return found


def trust_in_own(certificate: Optional[str]) -> Trust:
    """The trust of a server that asks itself: in the first certificate of its own PEM file, whatever names it has."""
    if certificate is None:
        return SYSTEM
    with open(os.path.expanduser(certificate), encoding="ascii", errors="replace") as handle:
        block = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", handle.read(), re.DOTALL)
    if block is None:
        raise ServerError("%s holds no PEM certificate; make a pair with: carcloud certificate --out FOLDER"
                          % certificate)
    return Trust(fingerprint=hashlib.sha256(ssl.PEM_cert_to_DER_cert(block.group(0))).hexdigest())


def refusal(error: Exception, url: str, trust: Trust) -> Optional[str]:
    """The sentence for an error that trying again does not mend; None for all others."""
    host = re.sub(r"^https://\[?|\]?:\d+$", "", url)
    if isinstance(error, NotTheOne):
        return ("%s shows another certificate than the one of --fingerprint, so nothing was sent; if a new pair was "
                "made on the server, give its fingerprint, shown there by: %s; if not, somebody stands between"
                % (url, SHOWN_BY))
    if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
        return ("%s does not speak https; start the server with --tls-cert and --tls-key, or on a network that you "
                "trust type http%s" % (url, url[len("https"):]))
    # Until Python 3.6, the wrong name is a ValueError of its own, and the other reasons are not told apart.
    named = isinstance(error, ssl.CertificateError) and not isinstance(error, ssl.SSLError)
    if not named and getattr(error, "reason", None) != "CERTIFICATE_VERIFY_FAILED":
        return None
    code = getattr(error, "verify_code", None)
    if named or code in _OTHER_NAMES:
        return ("the certificate of %s is for other names than %s, so nothing was sent; use a name that it has, make "
                "one on the server: carcloud certificate --out FOLDER --name %s, or give its fingerprint: "
                "--fingerprint SHA256" % (url, host, host))
    if code in _LATE + _EARLY:
        return ("the certificate of %s %s, so nothing was sent; look whether the clocks are right here and there: "
                "date; if so, make a new pair on the server: carcloud certificate --out FOLDER"
                % (url, "has expired" if code in _LATE else "does not hold yet"))
    who = "nobody that this machine trusts" if trust.ca_file is None else "nothing in --ca-file %s" % trust.ca_file
    return ("%s vouches for the certificate of %s%s, so nothing was sent; if it is one of carcloud certificate, give "
            "the fingerprint that was printed on the server, --fingerprint SHA256, or a copy of its carcloud-cert.pem, "
            "--ca-file FILE" % (who, url, "" if code is not None else ", or it has expired"))


def speaks_tls(host: str, port: int) -> bool:
    """Whether a server greets in TLS. Nothing is sent but the greeting."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), GREETING) as plain, \
                context.wrap_socket(plain, server_hostname=host):
            return True
    except (OSError, ValueError):
        return False


def make_connection(
    address: Tuple[str, int], timeout: float, context: Optional[ssl.SSLContext], trust: Trust
) -> http.client.HTTPConnection:
    """An open connection to host and port; without a context plain http.

    Raises OSError and ValueError; :func:`refusal` has sentences for some.
    """
    if context is None:
        connection = http.client.HTTPConnection(*address, timeout=timeout)
    else:
        connection = PinnedConnection(address, timeout, context, trust)
    try:
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, ValueError):
        connection.close()
        raise
    return connection
