"""Tokens, token files, the Host allow-list, and what a bind address demands."""

import os
import stat

import pytest

from edge.errors import ServerError
from edge.server import auth


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_loopback_needs_no_token(host):
    auth.check_bind(host, None, False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "car.local"])
def test_other_binds_need_a_token_or_a_word(host):
    with pytest.raises(ServerError) as caught:
        auth.check_bind(host, None, False)
    assert "--token-file" in str(caught.value) and "--no-auth" in str(caught.value) and host in str(caught.value)
    auth.check_bind(host, "x" * 20, False)
    auth.check_bind(host, None, True)


def test_token_file_is_made_private_and_read_again(tmp_path):
    path = str(tmp_path / "token")
    token = auth.load_token(path)
    assert len(token) >= 32 and stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert auth.load_token(path) == token
    assert auth.load_token(str(tmp_path / "other")) != token


def test_token_file_refusals(tmp_path):
    path = tmp_path / "token"
    path.write_text("a" * 32)
    path.chmod(0o644)
    with pytest.raises(ServerError, match="chmod 600"):
        auth.load_token(str(path))
    path.chmod(0o600)
    for text in ("", "short\n", "two words that are long enough"):
        path.write_text(text)
        with pytest.raises(ServerError, match="one word of at least 16"):
            auth.load_token(str(path))
    path.write_bytes(b"\xff" * 32)
    with pytest.raises(ServerError, match="cannot read the token file"):
        auth.load_token(str(path))
    with pytest.raises(ServerError, match="cannot make the token file"):
        auth.load_token(str(tmp_path / "no" / "folder"))


@pytest.mark.parametrize("header, good", [
    ("Bearer secret-secret-secret", True),
    ("bearer secret-secret-secret", True),
    ("Bearer secret-secret-secre", False),
    ("Basic secret-secret-secret", False),
    ("secret-secret-secret", False),
    ("Bearer ", False),
    ("Bearer \u00e9\u00e9", False),
    ("", False),
    (None, False),
])
def test_token_matches(header, good):
    assert auth.token_matches(header, "secret-secret-secret") is good


@pytest.mark.parametrize("header, good", [
    ("127.0.0.1:8000", True),
    ("localhost:8000", True),
    ("LOCALHOST", True),
    ("[::1]:8000", True),
    ("192.168.4.2:8000", True),
    ("nano.local:8000", True),
    ("evil.example:8000", False),
    ("127.0.0.1.evil.example", False),
    ("localhost.evil.example", False),
    ("", False),
    ("[::1", False),
    ("[::1]evil.example", False),
    ("localhost:80:80", False),
    ("localhost:port", False),
    ("localhost/evil.example", False),
    ("evil.example@localhost", False),
    ("localhost ", False),
    ("localhost.", True),
])
def test_host_allow_list(header, good):
    assert auth.host_allowed(header, auth.allowed_hosts("127.0.0.1", ("nano.local",))) is good
