"""Frame sources by URI: the same words for a clip, a folder, a camera or the built-in drawing."""

import os
from typing import TYPE_CHECKING, Optional

from edge.errors import SourceError
from edge.runtime.sources.base import Frame, Source
from edge.runtime.sources.uri import SourceUri, known_sources, parse_uri

if TYPE_CHECKING:
    from edge.runtime.sources.cameras import Camera

__all__ = ["Frame", "Source", "find_camera", "known_sources", "open_source"]


def open_source(text: str) -> Source:
    """Open a source by URI, or by the bare path of a clip, a picture or a folder.

    Raises SourceError (missing, unreadable, unknown scheme or parameter) or ImageError.
    """
    camera = find_camera(text)
    if camera is not None:
        return camera.open()
    uri = _parsed(text)
    if uri.scheme == "synthetic":
        from edge.runtime.sources.synthetic import SyntheticSource

        return SyntheticSource(uri)
    return _open_files(uri)


def find_camera(text: str) -> "Optional[Camera]":
    """The camera of a URI or device file, not opened yet; None if the source is none. Raises SourceError."""
    uri = _parsed(text)
    if uri.scheme in ("synthetic", "file", "dir"):
        return None
    from edge.runtime.sources import cameras

    if uri.scheme == "v4l2":
        return cameras.v4l2_camera(uri)
    if uri.scheme == "csi":
        return cameras.csi_camera(uri)
    return cameras.rtsp_camera(uri)


def _parsed(text: str) -> SourceUri:
    uri = parse_uri(text)
    return _bare_path(uri) if uri.scheme == "" else uri


def _bare_path(uri: SourceUri) -> SourceUri:
    path = os.path.expanduser(uri.target)
    if os.path.isdir(path):
        return uri._replace(scheme="dir")
    # A camera that is not plugged in has no file, and is a camera all the same.
    if path.startswith(("/dev/video", "/dev/v4l/")) or (path.startswith("/dev/") and os.path.exists(path)):
        return uri._replace(scheme="v4l2")
    if not os.path.exists(path):
        raise SourceError("there is no file or folder %s; a source is one of: %s" % (uri.text, known_sources()))
    return uri._replace(scheme="file")


def _open_files(uri: SourceUri) -> Source:
    from edge.runtime.images import is_image
    from edge.runtime.sources.files import ClipSource, PicturesSource

    path = os.path.expanduser(uri.target)
    if uri.scheme == "dir":
        return PicturesSource(uri)
    if os.path.isdir(path):
        raise SourceError("%s is a folder; write dir://%s" % (path, uri.target))
    if not is_image(path):
        return ClipSource(uri)
    if not os.path.isfile(path):
        raise SourceError("there is no picture %s; give the path of an existing file" % path)
    return PicturesSource(uri, [path])
