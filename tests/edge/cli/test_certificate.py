"""https from the command line: what serve refuses, and a server that is asked over TLS."""

import re
import shutil
import ssl
import subprocess
import time
import urllib.request

import pytest

from edge import cli
from edge.server import tls
from tests.edge.cli.test_serve import PATIENCE, command, environment, finished

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: " + tls.INSTALL)


def test_half_a_pair_is_one_sentence(capsys):
    assert cli.main(["serve", "--tls-cert", "cert.pem"]) == 6
    assert "--tls-cert and --tls-key belong together" in capsys.readouterr().err


@needs_openssl
def test_serve_talks_https_with_the_pair_that_certificate_made(tmp_path, capsys):
    folder = str(tmp_path / "pair")
    assert cli.main(["certificate", "--out", folder]) == 0
    certificate, key = re.search(r"--tls-cert (\S+) --tls-key (\S+)", capsys.readouterr().out).groups()
    pair = ["--tls-cert", certificate, "--tls-key", key]
    code, out, error = finished("--port", "0", "--source", "synthetic://car", "--check", "3", *pair)
    assert code == 0 and "page     https://" in out and "check passed: 3 clouds" in out, error

    process = subprocess.Popen(command("--port", "0", "--source", "synthetic://car", *pair), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=environment())
    try:
        printed = ""
        while "Ctrl-C" not in printed:
            line = process.stdout.readline().decode()
            assert line, printed
            printed += line
        url = re.search(r"page +(https://[^#\s]+)", printed).group(1)
        context = ssl.create_default_context(cafile=certificate)
        page, end = b"", time.monotonic() + PATIENCE
        while b"carcloud_frames_captured_total" not in page:  # the capture has begun
            assert time.monotonic() < end, page
            with urllib.request.urlopen(url + "metrics", timeout=PATIENCE, context=context) as answer:
                page = answer.read()
            time.sleep(0.05)
        assert b"carcloud_frames_skipped_total" in page
    finally:
        process.kill()
        process.communicate()


@needs_openssl
def test_a_pair_is_not_overwritten(tmp_path, capsys):
    assert cli.main(["certificate", "--out", str(tmp_path)]) == 0
    assert cli.main(["certificate", "--out", str(tmp_path)]) == 6
    assert "exists already and is kept" in capsys.readouterr().err
