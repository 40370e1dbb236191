"""The flags for tokens and certificates, and record, replay and view over https as a user runs them."""

import argparse
import shutil

import pytest

from edge.cli import main
from edge.cli.access import add_access, read_access
from edge.client.log import CLOUD, LogReader
from edge.client.trust import SYSTEM, Trust
from edge.errors import CarcloudError
from edge.server import tls
from edge.server.app import ServerSettings, create_app
from edge.server.hub import Hub
from edge.server.serving import Server
from tests.edge.cli.test_record import finished, recorded
from tests.edge.server.fake import result

TOKEN = "a-token-of-good-length"
DIGITS = "AB:" * 31 + "AB"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: " + tls.INSTALL)


def read(words, urls):
    parser = argparse.ArgumentParser()
    add_access(parser, several=True)
    return read_access(parser.parse_args(words), urls)


def test_the_token_is_read_from_a_file_or_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "token"
    path.write_text(TOKEN + "\n")
    assert read(["--token-file", str(path)], ["http://a"]) == [("http://a", TOKEN, SYSTEM)]
    monkeypatch.setenv("CARCLOUD_TOKEN", "other")
    assert [access.token for access in read([], ["http://a", "http://b"])] == ["other", "other"]
    monkeypatch.delenv("CARCLOUD_TOKEN")
    assert read([], ["http://a"])[0].token is None


def test_each_server_has_its_own_token_or_all_have_one(tmp_path):
    paths = []
    for word in ("one", "two"):
        (tmp_path / word).write_text(word)
        paths += ["--token-file", str(tmp_path / word)]
    assert [access.token for access in read(paths, ["http://a", "http://b"])] == ["one", "two"]
    assert [access.token for access in read(paths[:2], ["http://a", "http://b"])] == ["one", "one"]


def test_certificates_are_for_those_with_https():
    urls = ["https://a", "http://b", "https://c"]
    pins = ["--fingerprint", DIGITS, "--fingerprint", "sha256 Fingerprint=" + DIGITS.replace("A", "c")]
    expected = [Trust(fingerprint="ab" * 32), SYSTEM, Trust(fingerprint="cb" * 32)]
    assert [access.trust for access in read(pins, urls)] == expected
    assert [access.trust for access in read(["--ca-file", "x.pem"], urls)] == [Trust("x.pem"), SYSTEM, Trust("x.pem")]


@pytest.mark.parametrize("words, code, sentence", [
    (["--token-file", "{}/none"], 6, "cannot read the token file"),
    (["--token-file", "{}/words"], 6, "must hold one word"),
    (["--token-file", "a", "--token-file", "b"], 2, "is given 2 times for 3 servers; give it once for all, or"),
    (["--fingerprint", "AB:CD"], 2, "--fingerprint AB:CD is no SHA-256 fingerprint; give the 64 digits"),
    (["--fingerprint", DIGITS, "--ca-file", "x"], 2, "are two ways to know a server; give one of them"),
])
def test_mistakes_are_sentences(words, code, sentence, tmp_path):
    (tmp_path / "words").write_text("two words")
    with pytest.raises(CarcloudError, match=sentence) as caught:
        read([word.format(tmp_path) for word in words], ["https://a", "https://b", "https://c"])
    assert caught.value.exit_code == code


@pytest.mark.parametrize("flag", ["--fingerprint", "--ca-file"])
def test_a_certificate_for_plain_http_is_refused(flag):
    with pytest.raises(CarcloudError, match=flag + " is for https, and http://a is plain http; give the address as"):
        read([flag, DIGITS], ["http://a"])


@needs_openssl
def test_recorded_and_replayed_over_https(tmp_path, capsys):
    certificate, key = tls.make_certificate(str(tmp_path / "pair"), ["localhost"])
    (tmp_path / "token").write_text(TOKEN)
    hub = Hub()
    server = Server(create_app(hub, ServerSettings(token=TOKEN)), port=0, tls=tls.load_tls(certificate, key))
    server.start()
    try:
        hub.publish(result(1))
        url, path = "https://localhost:%d" % server.port, str(tmp_path / "a.cclog")
        words = ["record", url, "--out", path, "--clouds", "1", "--token-file", str(tmp_path / "token")]
        assert main(words) == 6  # nobody vouches for it
        assert "--ca-file FILE" in capsys.readouterr().err
        with LogReader(path) as log:
            assert log.of_kind(CLOUD) == []
        assert main(words + ["--append", "--ca-file", certificate]) == 0
        assert "recording https://localhost:" in capsys.readouterr().out
        with LogReader(path) as log:
            assert len(log.of_kind(CLOUD)) == 1
    finally:
        hub.close()
        server.stop()
    code, out, error = finished("replay", recorded(tmp_path / "b.cclog"), "--port", "0", "--loop", "--check", "2",
                                "--tls-cert", certificate, "--tls-key", key)
    assert code == 0, error
    assert "page     https://127.0.0.1:" in out and "check passed: 2 clouds" in out


def test_record_says_a_wrong_certificate_file_before_it_makes_a_log(tmp_path, capsys):
    path = tmp_path / "a.cclog"
    assert main(["record", "https://x", "--out", str(path), "--ca-file", str(tmp_path / "none")]) == 6
    assert "cannot use --ca-file" in capsys.readouterr().err and not path.exists()
