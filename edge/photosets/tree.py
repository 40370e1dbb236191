"""An ordinary tree of folders with photos in it: every picture at any depth, grouped by the folder it lies in."""

import json
import os
import stat
from typing import List, Set, Tuple

from edge.errors import SourceError
from edge.photosets.base import Photo, PhotoSet, readable
from edge.suffixes import EXTENSIONS, is_image, natural

#: Left out wherever they lie, besides names that start with a dot: what archivers leave behind.
LITTER = ("__MACOSX", "Thumbs.db")
#: Pictures of kinds that are not read, so that a folder full of them does not just look empty.
UNREAD = (".heic", ".heif", ".avif", ".gif", ".jxl", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2")
#: ``carcloud models`` writes this file into its output, with this word as its format.
MODELS_FILE, MODELS_FORMAT = "models.json", "carcloud-models"
#: A models.json that starts with something else within so many bytes is somebody else's.
MOST_HEAD = 1 << 16


def list_tree(root: str) -> PhotoSet:
    """Every picture below ``root``, in the order people count; links are followed, each folder is entered once.

    SourceError: the folder cannot be listed, is itself an output of ``carcloud models``, or holds no picture.
    """
    root = os.path.abspath(root)
    if is_output(root):
        raise SourceError("%s is what carcloud models has written; give the folder of the photos instead" % root)
    walk = _Walk(root)
    walk.run()
    if not walk.names:
        hidden = "".join("; " + note for note in walk.notes) + (
            "; %s is a link to nothing" % readable(walk.missing[0]) if walk.missing else ""
        )
        raise SourceError("%s holds no photo at any depth; wanted are %s%s" % (root, " ".join(EXTENSIONS), hidden))
    photos = [_photo(root, name) for name in sorted(walk.names, key=natural)]
    missing = [readable(name) for name in sorted(walk.missing, key=natural)]
    return PhotoSet("folder", root, photos, missing, walk.notes)


def _photo(root: str, name: str) -> Photo:
    shown = readable(name)
    return Photo(os.path.join(root, *name.split("/")), shown, shown.rpartition("/")[0] or None)


def is_output(folder: str) -> bool:
    """Whether a folder was written by ``carcloud models``: its models.json says so."""
    try:
        with open(os.path.join(folder, MODELS_FILE), encoding="utf-8") as handle:
            head = handle.read(MOST_HEAD)
            content = json.loads(head + handle.read()) if MODELS_FORMAT in head else None
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == MODELS_FORMAT


class _Walk:
    """Goes through a tree, real folders first, then what links lead to, so that no link takes a folder's own name."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.names: List[str] = []
        self.missing: List[str] = []
        self.notes: List[str] = []
        self._seen: Set[Tuple[int, int]] = set()
        self._linked: List[str] = []
        self._unread: Set[str] = set()
        self._outputs = 0
        self._again = 0

    def run(self) -> None:
        """Fills names, missing and notes."""
        waiting = [""]
        while waiting or self._linked:
            # Links come last, and in the order people count: which of two names a folder goes by is no accident.
            if not waiting:
                self._linked.sort(key=natural)
                waiting.append(self._linked.pop(0))
            waiting += self._folder(waiting.pop())
        if self._unread:
            kinds = " ".join(sorted({os.path.splitext(name)[1].lower() for name in self._unread}))
            self.notes.append(
                "%d picture%s of kinds that are not read left out (%s); save them as .jpg"
                % (len(self._unread), _s(len(self._unread)), kinds)
            )
        if self._outputs:
            self.notes.append("%d folder%s written by carcloud models left out" % (self._outputs, _s(self._outputs)))
        if self._again:
            self.notes.append("%d folder%s met again by links, listed once" % (self._again, _s(self._again)))

    def _folder(self, name: str) -> List[str]:
        """Notes one folder's pictures; returns the names of the real folders in it."""
        path = os.path.join(self.root, name)
        try:
            status = os.stat(path)
            key = (status.st_dev, status.st_ino)
            if key in self._seen:
                self._again += 1
                return []
            self._seen.add(key)
            with os.scandir(path) as listing:
                entries = list(listing)
        except OSError as error:
            if not name:
                raise SourceError("folder %s cannot be listed: %s" % (self.root, error.strerror))
            self.notes.append("folder %s cannot be listed: %s" % (readable(name), error.strerror))
            return []
        if name and any(entry.name == MODELS_FILE for entry in entries) and is_output(path):
            self._outputs += 1
            return []
        return [found for found in (self._entry(name, entry) for entry in entries) if found]

    def _entry(self, folder: str, entry: "os.DirEntry[str]") -> str:
        """Sorts one entry into pictures, links and missing; returns its name if it is a real folder, else ""."""
        if entry.name.startswith(".") or entry.name in LITTER:
            return ""
        name = "%s/%s" % (folder, entry.name) if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            return name
        if entry.name.lower().endswith(UNREAD):
            self._unread.add(name)
            return ""
        if not entry.is_symlink():
            if is_image(entry.name) and entry.is_file(follow_symlinks=False):
                self.names.append(name)
            return ""
        try:
            mode = os.stat(os.path.join(self.root, name)).st_mode
        except OSError:  # a link to nothing, or to itself
            if is_image(entry.name):
                self.missing.append(name)
            return ""
        if stat.S_ISDIR(mode):
            self._linked.append(name)
        elif stat.S_ISREG(mode) and is_image(entry.name):
            self.names.append(name)
        return ""


def _s(count: int) -> str:
    return "" if count == 1 else "s"
