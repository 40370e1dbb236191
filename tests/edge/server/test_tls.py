"""https: a pair made by openssl, what is refused, and the server that serves with it."""

import argparse
import http.client
import os
import shutil
import socket
import ssl
import stat
import subprocess

import pytest

from edge.cli import certificate as command
from edge.errors import ServerError
from edge.server import serving, tls
from edge.server.app import create_app
from edge.server.hub import Hub
from edge.server.serving import Server

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: " + tls.INSTALL)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    return tls.make_certificate(str(tmp_path_factory.mktemp("pair")), ["localhost", "127.0.0.1", "::1"])


@pytest.fixture
def server(pair):
    server = Server(create_app(Hub()), port=0, tls=tls.load_tls(*pair))
    server.start()
    yield server
    server.stop()


@needs_openssl
def test_a_pair_is_made_and_its_key_is_private(tmp_path, capsys):
    parser = argparse.ArgumentParser()
    command.register(parser.add_subparsers())
    folder = str(tmp_path / "new" / "folder")
    options = parser.parse_args(["certificate", "--out", folder, "--name", "car.example.org"])
    assert options.run(options) == 0
    certificate, key = (os.path.join(folder, name) for name in (tls.CERTIFICATE, tls.KEY))
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    text = subprocess.check_output(["openssl", "x509", "-in", certificate, "-noout", "-text"]).decode()
    assert all(name in text for name in ("DNS:localhost", "DNS:car.example.org", "IP Address:127.0.0.1"))
    printed = capsys.readouterr().out
    assert "--tls-cert %s --tls-key %s" % (certificate, key) in printed
    assert command.fingerprint(certificate) in printed and len(command.fingerprint(certificate)) == 95
    with pytest.raises(ServerError, match="exists already and is kept; take another folder"):
        options.run(options)


def test_openssl_is_missing(tmp_path):
    with pytest.raises(ServerError, match="no-such-program, which makes certificates, .*apt-get install openssl"):
        tls.make_certificate(str(tmp_path), ["localhost"], "no-such-program")
    assert os.listdir(str(tmp_path)) == [], "no half pair is left"


def test_openssl_is_broken(tmp_path):
    with pytest.raises(ServerError, match="false could not make the certificate: it said nothing; is openssl whole"):
        tls.make_certificate(str(tmp_path), ["localhost"], "false")
    assert os.listdir(str(tmp_path)) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ServerError, match="cannot write to .*; choose another --out"):
        tls.make_certificate(str(tmp_path / "file"), ["localhost"])


@pytest.mark.parametrize("name", ["", "two words", "a,DNS:b", "a\nb", "..", "caf\u00e9.local", "a" * 300])
def test_names_that_are_none_are_refused(tmp_path, name):
    with pytest.raises(ServerError, match="is no host name and no address"):
        tls.make_certificate(str(tmp_path), [name])


def test_own_names_are_names():
    names = command.own_names()
    assert "localhost" in names and len(set(names)) == len(names) and all(tls.is_name(name) for name in names)


def test_without_a_pair_there_is_no_encryption():
    assert tls.load_tls(None, None) is None


@pytest.mark.parametrize("certificate, key", [("cert.pem", None), (None, "key.pem")])
def test_half_a_pair_is_refused(certificate, key):
    with pytest.raises(ServerError, match="belong together, .*carcloud certificate --out"):
        tls.load_tls(certificate, key)


@needs_openssl
def test_pairs_that_do_not_fit_are_refused(pair, tmp_path):
    certificate, key = pair
    with pytest.raises(ServerError, match="cannot read the key .*nothing: No such file"):
        tls.load_tls(certificate, str(tmp_path / "nothing"))
    with pytest.raises(ServerError, match="cannot serve with the certificate .*nothing"):
        tls.load_tls(str(tmp_path / "nothing"), key)
    other = tls.make_certificate(str(tmp_path), ["localhost"])
    with pytest.raises(ServerError, match="the key belongs to another certificate"):
        tls.load_tls(certificate, other[1])
    with pytest.raises(ServerError, match="one of them is no PEM file"):
        tls.load_tls(key, key)
    os.chmod(other[1], 0o640)
    with pytest.raises(ServerError, match="can be read by other users; type: chmod 600"):
        tls.load_tls(other[0], other[1])


def ask(server, pair, path="/healthz"):
    context = ssl.create_default_context(cafile=pair[0])
    connection = http.client.HTTPSConnection("localhost", server.port, timeout=30, context=context)
    try:
        connection.request("GET", path)
        first = connection.getresponse()
        first.read()
        connection.request("GET", path)  # over the same connection
        return first.status, connection.getresponse().status
    finally:
        connection.close()


@needs_openssl
def test_it_serves_https(server, pair):
    assert server.url == "https://127.0.0.1:%d/" % server.port
    assert ask(server, pair) == (200, 200) and ask(server, pair, "/nowhere") == (404, 404)


@needs_openssl
def test_who_does_not_greet_keeps_nobody_waiting_and_is_hung_up_on(server, pair, monkeypatch):
    monkeypatch.setattr(serving, "REQUEST_TIMEOUT", 0.3)
    with socket.create_connection(("127.0.0.1", server.port), 60) as silent:
        with socket.create_connection(("127.0.0.1", server.port), 60) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                assert b"200" not in plain.recv(1000), "no data without encryption"
            except ConnectionError:
                pass  # hung up on without a word
        monkeypatch.setattr(serving, "REQUEST_TIMEOUT", 30.0)
        assert ask(server, pair) == (200, 200)
        assert silent.recv(1000) == b"", "hung up on after REQUEST_TIMEOUT"
