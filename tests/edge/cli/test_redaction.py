"""A camera's password shows in nothing that any command prints, whatever becomes of the source."""

import json

import pytest

from edge import cli
from tests.edge import helpers

SECRET = "hunter2"
#: Nothing listens on the discard port of this machine: refused at once.
CAMERA = "rtsp://admin:%s@127.0.0.1:9/live?key=%s" % (SECRET, SECRET)
STRANGE = "gopher://admin:%s@127.0.0.1:9/live" % SECRET
BUNDLE = ["--bundle", helpers.TINY_BUNDLE]


@pytest.mark.parametrize("arguments, code", [
    (["serve", "--port", "0", "--source", CAMERA] + BUNDLE, 4),
    (["serve", "--port", "0", "--source", STRANGE] + BUNDLE, 4),
    (["serve", "--source", CAMERA, "--print-config"], 0),
    (["reconstruct", CAMERA, "--out", "out"] + BUNDLE, 4),
    (["bench", "--source", CAMERA] + BUNDLE, 4),
    (["bench", "--source", CAMERA, "--json"] + BUNDLE, 4),
])
def test_no_command_prints_a_password(arguments, code, capfd, caplog, monkeypatch):
    monkeypatch.delenv("CARCLOUD_SOURCE", raising=False)
    assert cli.main(arguments) == code
    out, error = capfd.readouterr()
    assert SECRET not in out + error + caplog.text and "***" in out + error, out + error


@pytest.mark.parametrize("values, shown", [
    ({"sources": CAMERA}, "unknown setting sources"),
    ({"source": [CAMERA]}, "source is a list; it must be a text or null"),
    ({"source": {"uri": "rtsp://127.0.0.1:9/live", "password": SECRET}}, "source is an object; it must be"),
    ({"port": CAMERA}, 'port is "rtsp://***@127.0.0.1:9/live?***"; it must be a whole number'),
    ({"box": [CAMERA, STRANGE]}, 'box is ["rtsp://***@127.0.0.1:9/live"]; it must be'),
    ({"allow_hosts": CAMERA}, 'allow_hosts is "rtsp://***@127.0.0.1:9/live?***"; it must be'),
])
def test_a_wrong_settings_file_is_refused_without_the_password_in_it(values, shown, tmp_path, capfd):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(values))
    assert cli.main(["serve", "--settings", str(path)]) == 2
    error = capfd.readouterr().err
    assert shown in error and SECRET not in error


@pytest.mark.parametrize("name", ["PORT", "BOX"])
def test_a_wrong_variable_is_refused_without_the_password_in_it(name, capfd, monkeypatch):
    monkeypatch.setenv("CARCLOUD_" + name, CAMERA)
    assert cli.main(["serve", "--print-config"]) == 2
    error = capfd.readouterr().err
    assert "rtsp://***@127.0.0.1:9/live?***" in error and SECRET not in error
