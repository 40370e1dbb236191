"""Which kind of photo folder it is, and its photos."""

import os
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

from edge.errors import DataError, SourceError
from edge.photosets.base import Photo, PhotoSet, Published, readable
from edge.photosets.bmw10 import ANNOTATIONS, BMW10, PICTURES, list_bmw10
from edge.photosets.files import Folder, is_root
from edge.photosets.stanford import STANFORD, list_stanford
from edge.photosets.tree import list_tree


class Known(NamedTuple):
    """A published set that is read. marks: its annotation files, one of which tells it; pictures: its photo folders."""

    published: Published
    reader: Callable[[Path], PhotoSet]
    marks: Tuple[str, ...]
    pictures: Tuple[str, ...]


KNOWN = (
    Known(BMW10, list_bmw10, (ANNOTATIONS,), (PICTURES,)),
    Known(STANFORD, list_stanford, STANFORD.marks, ("cars_train", "cars_test", "car_ims")),
)
#: What ``open_photos`` can be told to expect.
KINDS = ("auto",) + tuple(known.published.name for known in KNOWN) + ("folder",)
HINT = "give --kind folder to take every picture there is, without classes, boxes and splits"


def open_photos(folder: str, kind: str = "auto") -> PhotoSet:
    """The photos of a folder, of a published set with their classes, boxes and splits.

    kind: one of ``KINDS``. auto tells BMW-10 and Stanford Cars by their annotation files, in ``folder``, beside it if
    it is their folder of pictures (then only its photos are taken), or in a folder in it that holds all the photos;
    anything else is an ordinary tree, whose groups are its folders.
    SourceError: no such folder or kind, or no photo at all. DataError: the annotation file cannot be read, SciPy is
    missing, or none of the listed photos is there.
    """
    if kind not in KINDS:
        raise SourceError("there is no kind of photo folder %r; known are %s" % (kind, ", ".join(KINDS)))
    if os.path.isfile(folder):
        raise SourceError("%s is a file; give the folder of the photos" % folder)
    if not os.path.isdir(folder):
        raise SourceError("there is no folder %s; give a folder of photos" % folder)
    folder = os.path.abspath(folder)
    if kind == "folder":
        return list_tree(folder)
    for known in KNOWN:
        if kind in ("auto", known.published.name):
            root = _root(Path(folder), known)
            if root is not None:
                return _read(Path(folder), root, known)
    if kind == "auto":
        return _tree_or_child(Path(folder))
    known = next(known for known in KNOWN if known.published.name == kind)
    child = _only([child for child in _children(Path(folder)) if _marked(child, known)])
    # Without a root the reader refuses, and says what it looked for.
    return _read(Path(folder), child or Path(folder), known)


def _root(folder: Path, known: Known) -> Optional[Path]:
    """The folder itself, or the one it lies in if it is a folder of the set's pictures; None if neither is marked."""
    if _marked(folder, known):
        return folder
    beside = folder.name.lower() in known.pictures and _marked(folder.parent, known)
    return folder.parent if beside else None


def _tree_or_child(folder: Path) -> PhotoSet:
    """The ordinary tree, or the one published set in it that all its photos belong to."""
    tree = list_tree(str(folder))
    notes = []
    for known in KNOWN:
        for child in _children(folder):
            if not _marked(child, known):
                continue
            if all(photo.name.startswith(readable(child.name) + "/") for photo in tree.photos):
                return _read(folder, child, known)
            notes.append(
                "%s in it is %s, taken as ordinary folders here: give it alone for its classes, boxes and splits"
                % (readable(child.name), known.published.name)
            )
    if Folder(folder).find(PICTURES) is not None or folder.name.lower() == PICTURES:
        notes.append(
            "this looks like BMW-10, but there is no %s: an ordinary tree, without classes, boxes and splits; %s"
            % (ANNOTATIONS, BMW10.source())
        )
    return tree._replace(notes=tree.notes + notes)


def _read(folder: Path, root: Path, known: Known) -> PhotoSet:
    """The published set at ``root``; if that is where ``folder`` lies in, only what is below ``folder``."""
    try:
        found = known.reader(root)
    except DataError as error:
        raise DataError("%s; or %s" % (error, HINT))
    if root == folder.parent:
        below = readable(folder.name) + "/"
        found = found._replace(
            photos=[photo for photo in found.photos if photo.name.startswith(below)],
            missing=[name for name in found.missing if name.startswith(below)],
        )
    if not found.photos:
        example = " (%s ...)" % found.missing[0] if found.missing else ""
        raise DataError(
            "none of the photos that %s lists is in %s%s; unpack the pictures there, or %s"
            % (known.published.name, folder, example, HINT)
        )
    return _once(found)


def _once(found: PhotoSet) -> PhotoSet:
    """Each photo once: a name stands for one photo."""
    first: Dict[str, Photo] = {}
    for photo in found.photos:
        first.setdefault(photo.name, photo)
    repeated = len(found.photos) - len(first)
    if not repeated:
        return found
    note = "%d more line%s for photos listed before left out" % (repeated, "" if repeated == 1 else "s")
    return found._replace(photos=list(first.values()), notes=found.notes + [note])


def _marked(folder: Path, known: Known) -> bool:
    return is_root(folder, known.published._replace(marks=known.marks))


def _children(folder: Path) -> List[Path]:
    """Folders in a folder that can be listed, hidden ones left out."""
    # os.path.isdir, unlike DirEntry.is_dir, takes a link to itself for no folder instead of raising.
    found = [folder / name for name in sorted(os.listdir(str(folder))) if not name.startswith(".")]
    return [path for path in found if os.path.isdir(str(path)) and os.access(str(path), os.R_OK | os.X_OK)]


def _only(folders: List[Path]) -> Optional[Path]:
    return folders[0] if len(folders) == 1 else None
