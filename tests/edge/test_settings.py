"""edge.settings: the order of the layers, and each sentence of what is refused."""

import argparse
import json
import os
from typing import Any, Dict

import pytest

from edge.bundle import DEFAULT
from edge.errors import SettingsError
from edge.settings import FIELDS, Settings, add_arguments, from_options, load_settings, to_json


def written(tmp_path: Any, values: Any) -> str:
    """A settings file with these values."""
    path = str(tmp_path / "settings.json")
    with open(path, "w") as handle:
        handle.write(values if isinstance(values, str) else json.dumps(values))
    return path


def parsed(*arguments: str) -> argparse.Namespace:
    """A command line with every settings flag."""
    parser = argparse.ArgumentParser()
    add_arguments(parser, FIELDS)
    return parser.parse_args(list(arguments))


def test_every_field_is_described() -> None:
    assert tuple(FIELDS) == Settings._fields


def test_flags_win_over_environment_over_file_over_default(tmp_path: Any) -> None:
    path = written(tmp_path, {"port": 1, "host": "a", "threads": 1})
    environ = {"CARCLOUD_PORT": "2", "CARCLOUD_HOST": "b"}
    settings = load_settings(path, environ, {"port": 3})
    assert (settings.port, settings.host, settings.threads, settings.bundle) == (3, "b", 1, "morphable")
    assert settings.bundle == DEFAULT


def test_the_environment_may_name_the_file(tmp_path: Any) -> None:
    assert load_settings(None, {"CARCLOUD_SETTINGS": written(tmp_path, {"port": 7})}).port == 7


def test_every_type_comes_through_the_environment() -> None:
    environ = {
        "CARCLOUD_BOX": "1,2,3.5,4",
        "CARCLOUD_ALLOW_HOSTS": "nano, nano.local",
        "CARCLOUD_CAMERA_PREVIEW": "0",
        "CARCLOUD_TOKEN_FILE": "/t",
        "CARCLOUD_MAX_POINTS": "0",
    }
    settings = load_settings(None, environ)
    assert settings.box == (1.0, 2.0, 3.5, 4.0) and settings.allow_hosts == ("nano", "nano.local")
    assert settings.camera_preview is False and settings.token_file == "/t" and settings.max_points == 0


def test_every_type_comes_through_flags() -> None:
    options = parsed("--box", "1,2,3,4", "--allow-host", "a", "--allow-host", "b", "--no-camera-preview", "--no-auth")
    settings = from_options(options)
    assert settings.box == (1, 2, 3, 4) and settings.allow_hosts == ("a", "b")
    assert settings.camera_preview is False and settings.no_auth is True


def test_flags_that_are_not_given_leave_the_file_in_force(tmp_path: Any) -> None:
    path = written(tmp_path, {"no_auth": True, "camera_preview": False, "allow_hosts": ["x"], "box": [0, 0, 9, 9]})
    settings = from_options(parsed("--settings", path))
    assert settings.no_auth and not settings.camera_preview and settings.allow_hosts == ("x",) and settings.box


def test_what_is_printed_is_a_settings_file(tmp_path: Any) -> None:
    settings = load_settings(None, {}, {"box": [1, 2, 3, 4], "allow_hosts": ["a"], "source": "csi://0"})
    assert load_settings(written(tmp_path, to_json(settings)), {}) == settings
    assert load_settings(written(tmp_path, to_json(Settings())), {}) == Settings()


def test_what_is_printed_hides_a_cameras_password() -> None:
    text = to_json(Settings(source="rtsp://me:secret@cam/stream?key=secret"))
    assert "secret" not in text and "rtsp://***@cam/stream?***" in text


@pytest.mark.parametrize(
    "values, sentence",
    [
        ({"prot": 1}, "settings file .*: unknown setting prot; known are allow_hosts, .*backend, box, build, bundle"),
        ({"port": "80"}, 'port is "80"; it must be a whole number from 0 to 65535'),
        ({"port": True}, "port is true; it must be a whole number"),
        ({"port": 65536}, "port is 65536; it must be a whole number from 0 to 65535"),
        ({"threads": 1.5}, "threads is 1.5; it must be a whole number from 0 to 256"),
        ({"source": ""}, 'source is ""; it must be a text'),
        ({"bundle": None}, "bundle is null; it must be a text"),
        ({"no_auth": 1}, "no_auth is 1; it must be true or false"),
        ({"box": [1, 2, 3]}, "box is .1, 2, 3.; it must be x,y,width,height in pixels"),
        ({"box": [1, 2, 0, 4]}, "width and height above 0"),
        ({"allow_hosts": "nano"}, 'allow_hosts is "nano"; it must be a list of texts'),
        ("[1]", "holds no object; write"),
        ("{", "is not valid JSON"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Any, values: Any, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load_settings(written(tmp_path, values), {})


@pytest.mark.parametrize(
    "environ, sentence",
    [
        ({"CARCLOUD_PROT": "1"}, "environment variable CARCLOUD_PROT: unknown setting prot"),
        ({"CARCLOUD_PORT": "http"}, 'CARCLOUD_PORT: port is "http"; it must be a whole number'),
        ({"CARCLOUD_NO_AUTH": "maybe"}, "no_auth is .*true or false .1 or 0 in the environment"),
        ({"CARCLOUD_BOX": "1,2,x,4"}, "CARCLOUD_BOX is '1,2,x,4'; give x,y,width,height in pixels"),
    ],
)
def test_a_wrong_environment_is_refused(environ: Dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        load_settings(None, environ)


def test_variables_of_others_are_left_alone() -> None:
    assert load_settings(None, {"CARCLOUD_TOKEN": "x", "PORT": "1", "HOME": "/"}) == Settings()


def test_a_wrong_flag_is_named() -> None:
    with pytest.raises(SettingsError, match='flag --max-points: max_points is "many"; it must be a whole number'):
        from_options(parsed("--max-points", "many"))
    with pytest.raises(SettingsError, match="flag --box is '1;2'; give x,y,width,height in pixels"):
        from_options(parsed("--box", "1;2"))


def test_a_missing_file_is_refused(tmp_path: Any) -> None:
    with pytest.raises(SettingsError, match="cannot read settings file .*none.json: No such file"):
        load_settings(os.path.join(str(tmp_path), "none.json"), {})
