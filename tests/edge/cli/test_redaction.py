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


def test_a_settings_file_with_a_source_of_the_wrong_kind_is_refused_without_it(tmp_path, capfd):
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"sources": CAMERA}))
    assert cli.main(["serve", "--settings", str(path)]) == 2
    assert SECRET not in capfd.readouterr().err
