"""The files of the static viewer, read from the package."""

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
