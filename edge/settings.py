"""The settings of the device side: one frozen record from defaults, a JSON file, the environment and the flags.

Later ones win: default < ``--settings FILE`` < ``CARCLOUD_*`` < flag. What is unknown or of the wrong type is refused.
"""

import argparse
import json
import os
import re
from typing import Any, Callable, Dict, Iterable, Mapping, NamedTuple, Optional, Tuple

from edge.errors import SettingsError

PREFIX = "CARCLOUD_"
#: Variables with the prefix that are no settings: the settings file itself, the client's token, the demo's folder.
OTHER_VARIABLES = ("CARCLOUD_SETTINGS", "CARCLOUD_TOKEN", "CARCLOUD_DEMO_VENV")


#: Kinds of sources that hold no secrets.
LOCAL_SCHEMES = ("file", "dir", "v4l2", "csi", "synthetic")


class Settings(NamedTuple):
    """All settings; :data:`FIELDS` says what each means."""

    bundle: str = "morphable"
    source: Optional[str] = None
    wait_for_camera: bool = False
    camera_restart: Optional[str] = None
    backend: str = "auto"
    threads: int = 0
    precision: str = "auto"
    engines: Optional[str] = None
    build: bool = True
    max_points: int = 16384
    box: Optional[Tuple[float, float, float, float]] = None
    find: bool = True
    average: bool = True
    host: str = "127.0.0.1"
    port: int = 8000
    token_file: Optional[str] = None
    no_auth: bool = False
    allow_hosts: Tuple[str, ...] = ()
    tls_cert: Optional[str] = None
    tls_key: Optional[str] = None
    camera_preview: bool = True
    jpeg_quality: int = 80
    max_clients: int = 32


class Field(NamedTuple):
    """kind: a name in :data:`KINDS`. low, high: range of a whole number. help: one line for ``--help``."""

    kind: str
    help: str
    metavar: str = ""
    low: int = 0
    high: int = 0


FIELDS: Dict[str, Field] = {
    "bundle": Field("text", "network to run: a shipped bundle's name or a bundle folder", "BUNDLE"),
    "source": Field(
        "text or null", "where pictures come from: clip, picture, folder, or a URI such as csi://0", "SOURCE"
    ),
    "wait_for_camera": Field("flag", "wait for a camera that is not there yet, instead of giving up at once"),
    "camera_restart": Field(
        "text or null", "command that restarts the daemon behind a csi:// camera that does not come back", "COMMAND"
    ),
    "backend": Field(
        "text", "what runs the networks: auto, trt (TensorRT), ort (ONNX Runtime on the CPU), ort-cuda, ort-trt", "NAME"
    ),
    "threads": Field("whole", "CPU threads of the network, 0 for one per core", "N", 0, 256),
    "precision": Field("text", "what the network computes in: auto, fp32, fp16 or int8", "NAME"),
    "engines": Field(
        "text or null", "folder of TensorRT engines (default: carcloud/engines in the user's cache)", "DIR"
    ),
    "build": Field("flag", "build TensorRT engines that are missing while the server serves"),
    "max_points": Field("whole", "largest cloud, in points; 0 for no limit", "N", 0, 1000000),
    "box": Field("box", "where the car is, in pixels; without it the car is looked for", "X,Y,W,H"),
    "find": Field("flag", "look for the car; without it, and without --box, it is taken to fill the picture"),
    "average": Field("flag", "average the cloud of a car over the frames in which it was seen"),
    "host": Field("text", "address to listen on; anything but this machine itself needs a token", "ADDRESS"),
    "port": Field("whole", "TCP port to listen on; 0 for any free one", "PORT", 0, 65535),
    "token_file": Field("text or null", "file with the token clients must show; made if it does not exist", "FILE"),
    "no_auth": Field("flag", "let everybody who reaches this machine watch"),
    "allow_hosts": Field("texts", "further name this server answers to (may be repeated)", "NAME"),
    "tls_cert": Field("text or null", "PEM file with the certificate for https (see: carcloud certificate)", "FILE"),
    "tls_key": Field("text or null", "PEM file with the key of that certificate, readable by nobody else", "FILE"),
    "camera_preview": Field("flag", "show the camera picture beside the cloud"),
    "jpeg_quality": Field("whole", "quality of the camera picture, 1 to 100", "N", 1, 100),
    "max_clients": Field("whole", "how many may wait for a cloud at once", "N", 1, 1024),
}


def load_settings(
    path: Optional[str] = None,
    environ: Optional[Mapping[str, str]] = None,
    flags: Optional[Mapping[str, Any]] = None,
) -> Settings:
    """Settings from a JSON file (or the one CARCLOUD_SETTINGS names), the environment and flags.

    environ: ``os.environ`` unless given. flags: values by field name. Raises SettingsError.
    """
    environ = os.environ if environ is None else environ
    path = path or environ.get(PREFIX + "SETTINGS") or None
    values: Dict[str, Any] = {}
    if path is not None:
        for name, value in _read_file(path).items():
            values[name] = _checked(name, value, "settings file %s" % path)
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and variable not in OTHER_VARIABLES:
            name = variable[len(PREFIX) :].lower()
            place = "environment variable %s" % variable
            values[name] = _checked(name, _from_text(name, environ[variable], place), place)
    for name, value in (flags or {}).items():
        values[name] = _checked(name, value, "flag --%s" % name.replace("_", "-"))
    return Settings(**values)


def to_json(settings: Settings) -> str:
    """The settings as a JSON file that ``--settings`` reads; a camera's password is left out of the source."""
    values = settings._asdict()
    values["source"] = redact(settings.source) if settings.source else None
    return json.dumps(values, indent=2) + "\n"


def redact(source: str) -> str:
    """A source URI without user name, password and query where these may be secrets (all that is not local)."""
    scheme, separator, rest = source.partition("://")
    if not separator or scheme.lower() in LOCAL_SCHEMES:
        return source
    # Up to the last @: a password with a slash or an @ in it must not show either.
    return scheme + "://" + re.sub(r"\?.*", "?***", re.sub(r".*@", "***@", rest, flags=re.DOTALL), flags=re.DOTALL)


def add_arguments(parser: argparse.ArgumentParser, names: Iterable[str]) -> None:
    """Add ``--settings``, ``--print-config`` and a flag for each of the named fields to a command."""
    group = parser.add_argument_group("settings", "also from a JSON file or from %sNAME in the environment" % PREFIX)
    group.add_argument("--settings", metavar="FILE", help="JSON file with any of the settings")
    group.add_argument("--print-config", action="store_true", help="print the settings that hold, as JSON, and stop")
    for name in names:
        field = FIELDS[name]
        default = getattr(Settings(), name)
        flag = "--" + name.replace("_", "-")
        shown = field.help if default in (None, (), True, False) else "%s (default: %s)" % (field.help, default)
        # SUPPRESS keeps a flag that was not given out of the options, so that file and environment hold.
        if field.kind == "flag" and default:
            group.add_argument(
                "--no-" + flag[2:], dest=name, action="store_const", const=False, default=argparse.SUPPRESS,
                help="do not " + field.help,
            )  # fmt: skip
        elif field.kind == "flag":
            group.add_argument(flag, action="store_const", const=True, default=argparse.SUPPRESS, help=shown)
        elif field.kind == "texts":
            group.add_argument(
                flag[:-1], dest=name, action="append", metavar=field.metavar, default=argparse.SUPPRESS, help=shown
            )
        else:
            group.add_argument(flag, metavar=field.metavar, default=argparse.SUPPRESS, help=shown)


def from_options(options: argparse.Namespace) -> Settings:
    """The settings that hold for a parsed command line. Raises SettingsError."""
    flags = {}
    for name, value in vars(options).items():
        if name in FIELDS and value is not None:
            text = isinstance(value, str)
            flags[name] = _from_text(name, value, "flag --%s" % name.replace("_", "-")) if text else value
    return load_settings(getattr(options, "settings", None), flags=flags)


def _read_file(path: str) -> Dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as handle:
            values = json.load(handle)
    except OSError as error:
        raise SettingsError("cannot read settings file %s: %s" % (path, error.strerror))
    except ValueError as error:
        raise SettingsError("settings file %s is not valid JSON: %s" % (path, error))
    if not isinstance(values, dict):
        raise SettingsError('settings file %s holds no object; write {"source": "csi://0"}' % path)
    return values


def _from_text(name: str, text: str, place: str) -> Any:
    """The JSON value a text from the environment or a flag stands for; checked later like one from a file."""
    kind = FIELDS[name].kind if name in FIELDS else "text"
    if kind == "whole":
        return int(text) if text.lstrip("-").isdigit() else text
    if kind == "flag":
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}.get(text.lower(), text)
    if kind == "texts":
        return [word.strip() for word in text.split(",") if word.strip()]
    if kind == "box":
        try:
            return [float(word) for word in text.split(",")] if text else None
        except ValueError:
            raise SettingsError("%s is %r; give x,y,width,height in pixels" % (place, redact(text)))
    return text


def _whole(field: Field, value: Any) -> Any:
    good = isinstance(value, int) and not isinstance(value, bool) and field.low <= value <= field.high
    return value if good else None


def _box(field: Field, value: Any) -> Any:
    if value is None:
        return ()
    good = isinstance(value, (list, tuple)) and len(value) == 4
    good = good and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
    return tuple(float(v) for v in value) if good and value[2] > 0 and value[3] > 0 else None


def _texts(field: Field, value: Any) -> Any:
    good = isinstance(value, (list, tuple)) and all(isinstance(v, str) and v for v in value)
    return tuple(value) if good else None


#: What a value of each kind must be, and the function that returns it checked, or None if it is not.
KINDS: Dict[str, Tuple[str, Callable[[Field, Any], Any]]] = {
    "text": ("a text", lambda field, value: value if isinstance(value, str) and value else None),
    "text or null": ("a text or null", lambda field, value: value if isinstance(value, str) and value else None),
    "flag": (
        "true or false (1 or 0 in the environment)",
        lambda field, value: value if isinstance(value, bool) else None,
    ),
    "whole": ("a whole number from %d to %d", _whole),
    "box": ("x,y,width,height in pixels with width and height above 0, or null", _box),
    "texts": ("a list of texts", _texts),
}


def _checked(name: str, value: Any, place: str) -> Any:
    """The value in its final type. Raises SettingsError naming ``place``."""
    field = FIELDS.get(name)
    if field is None:
        raise SettingsError("%s: unknown setting %s; known are %s" % (place, name, ", ".join(sorted(FIELDS))))
    if value is None and field.kind == "text or null":
        return None
    wanted, check = KINDS[field.kind]
    checked = check(field, value)
    if checked is None:
        wanted = wanted % (field.low, field.high) if field.kind == "whole" else wanted
        raise SettingsError("%s: %s is %s; it must be %s" % (place, name, _shown(name, value), wanted))
    return None if checked == () and field.kind == "box" else checked


def _shown(name: str, value: Any) -> str:
    """A wrong value for a sentence, which ends up in logs: without the password of a camera that is in it."""
    if name == "source" and isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"  # a password may be anywhere in it
    return json.dumps(redact(value)) if isinstance(value, str) else redact(json.dumps(value, default=str))
