"""The files of the static viewer and the description of the API, read from the package."""

import hashlib
import os
from typing import Dict, Tuple

from edge.errors import ServerError

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "static")
#: Said here because the system's table differs from machine to machine, and nosniff makes browsers believe it.
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


#: What the server answers, in OpenAPI 3.0; a test holds the running server to it.
OPENAPI = os.path.join(os.path.dirname(FOLDER), "openapi.json")


def load_openapi() -> bytes:
    """The description of the API, JSON. Raises ServerError if it was not installed."""
    try:
        with open(OPENAPI, "rb") as handle:
            return handle.read()
    except OSError as error:
        raise ServerError("cannot read %s: %s; install carcloud again" % (OPENAPI, error.strerror))


def load_page() -> Dict[str, Tuple[bytes, str, str]]:
    """Name -> (content, MIME type, tag for caches). Raises ServerError if the page was not installed."""
    files = {}
    for name in sorted(os.listdir(FOLDER)) if os.path.isdir(FOLDER) else []:
        extension = os.path.splitext(name)[1]
        if extension in TYPES:
            with open(os.path.join(FOLDER, name), "rb") as handle:
                body = handle.read()
            files[name] = (body, TYPES[extension], hashlib.sha256(body).hexdigest()[:16])
    if "index.html" not in files:
        raise ServerError("the viewer's files are missing from %s; install carcloud again" % FOLDER)
    return files
