"""https of the clients: who is trusted, who is not, and that the token goes to nobody else. Real servers, real TLS."""

import hashlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from edge.client.pull import NoCloud, PullClient
from edge.client.trust import SYSTEM, Trust, context_of, speaks_tls, trust_in_own
from edge.errors import ServerError
from edge.server import tls
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub
from edge.server.serving import Server
from tests.edge.server.fake import result

TOKEN, PATIENCE = "a-token-of-good-length", 60
#: Python 3.6 does not say why a certificate was not accepted.
TELLS_REASONS = sys.version_info >= (3, 7)
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: " + tls.INSTALL)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return tls.make_certificate(str(tmp_path_factory.mktemp("pair")), ["localhost"])


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return tls.make_certificate(str(tmp_path_factory.mktemp("other")), ["localhost"])


def serve(hub, pair=None, port=0):
    server = Server(create_app(hub, ServerSettings(token=TOKEN)), port=port, tls=tls.load_tls(*pair) if pair else None)
    server.start()
    return server


@pytest.fixture
def server(pair):
    hub = Hub()
    server = serve(hub, pair)
    hub.publish(result(1))
    yield server
    hub.close()
    server.stop()


def address(server, host="localhost", scheme="https"):
    return "%s://%s:%d" % (scheme, host, server.port)


def pin(certificate):
    with open(certificate) as handle:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(handle.read())).hexdigest()


class Listener:
    """A TLS server with some certificate that keeps what it is told after the greeting; ``with`` starts and ends it."""

    def __init__(self, pair, port=0):
        self._context = tls.load_tls(*pair)
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self._socket.listen(8)
        self.port = self._socket.getsockname()[1]
        self.told, self.greeted = b"", 0
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while True:
            try:
                plain = self._socket.accept()[0]
            except OSError:
                return
            plain.settimeout(PATIENCE)
            try:
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    self.greeted += 1
                    self.told += connection.recv(1000)
            except OSError:  # the client did not like the certificate
                plain.close()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.mark.parametrize("host, trust", [
    ("localhost", lambda certificate: Trust(ca_file=certificate)),
    ("localhost", lambda certificate: Trust(fingerprint=pin(certificate))),
    ("127.0.0.1", trust_in_own),  # a name that the certificate does not have
])
def test_who_is_trusted_is_pulled_from_over_one_connection(host, trust, pair, server):
    with PullClient(address(server, host), TOKEN, trust(pair[0])) as client:
        assert client.next(PATIENCE).seq == 1
        connection = client._connection
        with pytest.raises(NoCloud):
            client.next(0.1)
        assert client.status()["points"] > 500
        assert client._connection is connection and client.reconnects == 0
        assert client.url == address(server, host)


def test_it_comes_back_after_a_restart(pair):
    hub = Hub()
    first = serve(hub, pair)
    for _ in range(3):
        hub.publish(result(1))
    with PullClient(address(first), TOKEN, Trust(ca_file=pair[0])) as client:
        assert client.next(PATIENCE).seq == 3
        hub.close()
        first.stop()
        hub = Hub()
        second = serve(hub, pair, first.port)
        hub.publish(result(1))
        try:
            assert client.next(PATIENCE).seq == 1 and client.reconnects >= 1
        finally:
            hub.close()
            second.stop()


def refused(url, trust=SYSTEM):
    with pytest.raises(ServerError) as caught:
        PullClient(url, TOKEN, trust).next(PATIENCE)
    with pytest.raises(ServerError, match=re.escape(str(caught.value))):
        PullClient(url, TOKEN, trust).status()
    return str(caught.value)


def test_a_certificate_nobody_knows(server):
    sentence = refused(address(server))
    assert sentence.startswith("nobody that this machine trusts vouches for the certificate of " + address(server))
    assert "so nothing was sent" in sentence and "--fingerprint SHA256" in sentence and "--ca-file FILE" in sentence
    assert ("or it has expired" in sentence) == (not TELLS_REASONS)


def test_a_certificate_that_the_file_does_not_vouch_for(server, other):
    assert "nothing in --ca-file %s vouches for" % other[0] in refused(address(server), Trust(ca_file=other[0]))


def test_another_fingerprint(server, other):
    sentence = refused(address(server), Trust(fingerprint=pin(other[0])))
    assert "shows another certificate than the one of --fingerprint, so nothing was sent" in sentence
    assert "somebody stands between" in sentence and "openssl x509 -noout -fingerprint" in sentence


def test_another_name(server, pair):
    sentence = refused(address(server, "127.0.0.1"), Trust(ca_file=pair[0]))
    assert "is for other names than 127.0.0.1, so nothing was sent" in sentence
    assert "carcloud certificate --out FOLDER --name 127.0.0.1, or give its fingerprint" in sentence


CONFIG = """
[req]
distinguished_name = names
[names]
[ca]
default_ca = ca
[ca]
database = {0}/index.txt
serial = {0}/serial
new_certs_dir = {0}
default_md = sha256
policy = policy
[policy]
commonName = supplied
[ext]
subjectAltName = DNS:localhost
"""


def dated(folder, begin, end):
    """A self-signed pair that holds from begin to end; what every openssl can do, by its small authority only."""
    certificate, key, request, config = (str(folder / name) for name in ("cert.pem", "key.pem", "request", "config"))
    (folder / "config").write_text(CONFIG.format(folder))
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01")
    for command in (["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                     "/CN=localhost", "-keyout", key, "-out", request, "-config", config],
                    ["ca", "-batch", "-selfsign", "-config", config, "-extensions", "ext", "-in", request,
                     "-keyfile", key, "-startdate", begin, "-enddate", end, "-out", certificate]):
        subprocess.check_output(["openssl"] + command, stderr=subprocess.STDOUT)
    os.chmod(key, 0o600)
    return certificate, key


@pytest.mark.parametrize("begin, end, words", [
    ("20200101000000Z", "20200201000000Z", "has expired"),
    ("20450101000000Z", "20450201000000Z", "does not hold yet"),  # as a board without a clock sees it
])
def test_a_certificate_at_another_time(begin, end, words, tmp_path):
    pair, hub = dated(tmp_path, begin, end), Hub()
    server = serve(hub, pair)
    try:
        sentence = refused(address(server), Trust(ca_file=pair[0]))
    finally:
        hub.close()
        server.stop()
    words += ", so nothing was sent; look whether the clocks are right here and there: date"
    assert (words if TELLS_REASONS else "or it has expired") in sentence


def test_https_to_a_server_that_speaks_http():
    hub = Hub()
    server = serve(hub)
    try:
        sentence = refused(address(server))
    finally:
        hub.close()
        server.stop()
    assert "does not speak https; start the server with --tls-cert and --tls-key" in sentence
    assert "type " + address(server, scheme="http") in sentence


def test_http_to_a_server_that_speaks_https(server):
    assert refused(address(server, scheme="http")) == "%s speaks https, and was asked by http; type %s" % (
        address(server, scheme="http"), address(server))


def test_a_server_that_hangs_up_is_asked_again():
    """Plain http, and no TLS either: it may be starting."""
    hub = Hub()
    server = serve(hub)
    server._server.verify_request = lambda *_: False
    try:
        assert not speaks_tls("127.0.0.1", server.port)
        with pytest.raises(NoCloud, match="is 'carcloud serve' running there"):
            PullClient(address(server, scheme="http"), TOKEN).next(0.5)
    finally:
        hub.close()
        server.stop()


@pytest.mark.parametrize("trust", [lambda pair: SYSTEM, lambda pair: Trust(ca_file=pair[0]),
                                   lambda pair: Trust(fingerprint=pin(pair[0]))])
def test_who_takes_the_servers_place_is_told_nothing(trust, pair, other):
    with Listener(other) as impostor:
        refused("https://localhost:%d" % impostor.port, trust(pair))
        assert impostor.told == b""


def test_who_takes_the_servers_place_later_is_told_nothing(pair, other):
    """Also where the connection is made anew after an answer."""
    hub = Hub()
    server = serve(hub, pair)
    hub.publish(result(1))
    with PullClient(address(server), TOKEN, Trust(fingerprint=pin(pair[0]))) as client:
        client.next(PATIENCE)
        client._connection.sock.close()
        client._connection.sock = None  # as http.client leaves it when the server closes after an answer
        hub.close()
        server.stop()
        with Listener(other, server.port) as impostor:
            with pytest.raises(ServerError, match="another certificate"):
                client.next(PATIENCE)
            end = time.monotonic() + PATIENCE
            while impostor.greeted == 0 and time.monotonic() < end:
                time.sleep(0.02)
            assert impostor.greeted == 1 and impostor.told == b""


def test_files_that_hold_no_certificate_are_sentences(pair, tmp_path):
    (tmp_path / "empty").write_text("nothing")
    with pytest.raises(ServerError, match="cannot use --ca-file .*empty: it holds no certificate; give a copy of"):
        context_of(Trust(ca_file=str(tmp_path / "empty")))
    with pytest.raises(ServerError, match="cannot use --ca-file .*none: No such file"):
        context_of(Trust(ca_file=str(tmp_path / "none")))
    with pytest.raises(ServerError, match="holds no PEM certificate; make a pair with"):
        trust_in_own(str(tmp_path / "empty"))


def test_the_first_of_a_chain_is_ones_own(pair, other, tmp_path):
    with open(pair[0]) as first, open(other[0]) as second:
        (tmp_path / "chain.pem").write_text("Certificate:\n  text\n" + first.read() + second.read())
    assert trust_in_own(str(tmp_path / "chain.pem")) == Trust(fingerprint=pin(pair[0]))
    assert trust_in_own(None) == SYSTEM
