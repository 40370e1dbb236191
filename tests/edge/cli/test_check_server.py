"""Doctor's look at port and token."""

import os
import socket
from typing import Any

import pytest

from edge.cli import check_server
from edge.cli.check import ERROR, OK, WARNING
from edge.cli.check_server import check_port, check_token, is_carcloud
from edge.server.app import create_app
from edge.server.hub import Hub
from edge.server.serving import Server
from edge.settings import Settings

SECRET = "Zw5-a-word-that-must-not-show"


def test_a_port_in_use_is_a_warning_with_another_port(monkeypatch: Any) -> None:
    monkeypatch.setattr(check_server, "ASK_S", 0.2)  # who listens there will not say who it is
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        check = check_port("127.0.0.1", port)
    assert check.level == WARNING and "cannot be used: Address already in use" in check.text
    assert check.fix == "carcloud serve --port %d   (who has it: sudo ss -ltnp 'sport = :%d')" % (port + 1, port)
    assert check_port("127.0.0.1", port).level == OK
    assert check_port("203.0.113.7", 8000).level == WARNING
    assert check_port("127.0.0.1", 0).text == "any free one"


def test_a_port_that_carcloud_itself_has_is_well() -> None:
    server = Server(create_app(Hub()), port=0)
    server.start()
    try:
        check = check_port("127.0.0.1", server.port)
        assert (check.level, check.text) == (OK, "%d on 127.0.0.1: a carcloud server is running there" % server.port)
        assert is_carcloud("0.0.0.0", server.port)
    finally:
        server.stop()
    assert not is_carcloud("127.0.0.1", server.port)


@pytest.mark.parametrize("more, level, text", [
    ({}, OK, "none: only this machine can connect"),
    ({"host": "0.0.0.0"}, ERROR, "none, so that carcloud serve refuses --host 0.0.0.0"),
    ({"host": "0.0.0.0", "no_auth": True}, WARNING,
     "none, by --no-auth: everybody who reaches this machine sees the camera"),
])  # fmt: skip
def test_without_a_token(more: Any, level: str, text: str) -> None:
    check = check_token(Settings(**more))
    assert (check.level, check.text) == (level, text)
    assert check.fix == ("" if level == OK else "carcloud serve --host 0.0.0.0 --token-file ~/.carcloud-token")


@pytest.mark.parametrize("text, mode, level, words, fix", [
    (SECRET, 0o600, OK, "of user ", ""),
    (SECRET, 0o644, ERROR, "can be read by others (mode 0644)", "chmod 600 "),
    (SECRET, 0o660, ERROR, "can be read by others (mode 0660)", "chmod 600 "),
    ("short", 0o600, ERROR, "must hold one word of at least 16 characters", "rm "),
    (SECRET + " two", 0o600, ERROR, "must hold one word", "rm "), ("", 0o600, ERROR, "must hold one word", "rm "),
])  # fmt: skip
def test_a_token_file(tmp_path: Any, text: str, mode: int, level: str, words: str, fix: str) -> None:
    path = str(tmp_path / "token")
    with open(path, "w") as handle:
        handle.write(text + "\n")
    os.chmod(path, mode)
    check = check_token(Settings(token_file=path, host="0.0.0.0"))
    assert check.level == level and check.text.startswith(path) and words in check.text
    assert check.fix.startswith(fix) and bool(check.fix) == bool(fix) and SECRET not in str(check)


def test_a_token_file_that_is_not_there(tmp_path: Any, monkeypatch: Any) -> None:
    path = str(tmp_path / "token")
    check = check_token(Settings(token_file=path))
    assert (check.level, check.text) == (OK, path + " is made when the server first starts")
    assert not os.path.exists(path), "nothing is changed"
    check = check_token(Settings(token_file=str(tmp_path / "no" / "token")))
    assert check.level == ERROR and "cannot be made: its folder is not there" in check.text
    assert check.fix == "mkdir -m 700 -p %s" % (tmp_path / "no")
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    check = check_token(Settings(token_file=path))
    assert check.level == ERROR and "this user cannot make it" in check.text and check.fix.startswith("sudo chown")


def test_a_token_file_of_another_user(tmp_path: Any) -> None:
    check = check_token(Settings(token_file=str(tmp_path)))  # a folder: even root cannot read it
    assert check.level == WARNING and "cannot be read by this user: Is a directory" in check.text
    assert check.fix.startswith("sudo carcloud doctor --token-file ")
