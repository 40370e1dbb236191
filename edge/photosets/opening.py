"""Which kind of photo folder it is, and its photos."""

import os

from edge.errors import SourceError
from edge.photosets.base import PhotoSet
from edge.photosets.tree import list_tree

#: What ``open_photos`` can be told to expect.
KINDS = ("auto", "folder")


def open_photos(folder: str, kind: str = "auto") -> PhotoSet:
    """The photos of a folder. SourceError: no such folder, no such kind, no photo."""
    if kind not in KINDS:
        raise SourceError("there is no kind of photo folder %r; known are %s" % (kind, ", ".join(KINDS)))
    if os.path.isfile(folder):
        raise SourceError("%s is a file; give the folder of the photos" % folder)
    if not os.path.isdir(folder):
        raise SourceError("there is no folder %s; give a folder of photos" % folder)
    return list_tree(folder)
