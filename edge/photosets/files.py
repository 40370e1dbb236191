"""Finding files of an unpacked archive: the right folder, and names whose case, slashes or accents differ."""

import os
import unicodedata
from pathlib import Path, PurePosixPath
from typing import Dict, List, Optional, Sequence, Tuple

from edge.errors import DataError
from edge.photosets.base import Published, readable

#: Folders looked into when the right one is not where the user says.
MOST_FOLDERS = 200


class Folder:
    """A root whose files are looked up by relative name, in any case and with either slash; listings are kept."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._listings: Dict[Path, Dict[str, str]] = {}

    def find(self, name: str) -> Optional[Path]:
        """The file or folder, or None. DataError if the name leads out of the root."""
        path = self.root
        for part in clean(name):
            listing = self._listing(path)
            entry = listing.get(part) or listing.get(_folded(part))
            if entry is None:
                return None
            path = path / entry
        return path

    def first(self, names: Sequence[str]) -> Optional[Path]:
        """The first of several names that is there."""
        return next((path for path in map(self.find, names) if path is not None), None)

    def names(self, name: str) -> List[str]:
        """Sorted names in a folder; empty if it is not there."""
        path = self.find(name)
        return sorted(set(self._listing(path).values())) if path is not None else []

    def _listing(self, path: Path) -> Dict[str, str]:
        """Names in a folder by themselves and by their folded form; empty if it is none."""
        if path not in self._listings:
            try:
                entries = sorted(os.listdir(str(path)))
            except NotADirectoryError:
                entries = []
            except OSError as error:
                raise DataError("folder %s cannot be listed (%s); check its permissions" % (path, error))
            # Exact names last, so that they win over another file's lower case.
            listing = {_folded(entry): entry for entry in entries}
            listing.update((entry, entry) for entry in entries)
            self._listings[path] = listing
        return self._listings[path]


def _folded(name: str) -> str:
    """Lower case, accents composed: Macs take them apart."""
    return unicodedata.normalize("NFC", readable(name)).lower()


def clean(name: str) -> Tuple[str, ...]:
    """Parts of a relative name from an archive, Windows or not. DataError if it leads out of its folder."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise DataError("the file name %r leads out of the data set's folder; its list is damaged" % name)
    return path.parts


def below(path: Path, root: Path) -> str:
    """Name of a file below a root, with ``/``, as text."""
    return readable(path.relative_to(root).as_posix())


def locate(folder: Path, published: Published) -> Path:
    """``folder`` if it is the data set's root; else a DataError that names the right one if it is near."""
    folder, name = Path(folder), published.name
    if not folder.is_dir():
        raise DataError("%s is not a folder; unpack %s and give its folder (%s)" % (folder, name, published.source()))
    if is_root(folder, published):
        return folder
    for near in _near(folder):
        if is_root(near, published):
            raise DataError("%s is not the folder of %s, but %s is; give %s" % (folder, name, near, near))
    marks = " or ".join(published.marks)
    layout = "\n".join("  " + line for line in published.layout)
    raise DataError(
        "%s does not hold %s: there is no %s. Expected\n%s\n%s" % (folder, name, marks, layout, published.source())
    )


def is_root(folder: Path, published: Published) -> bool:
    """Whether one of the data set's marks lies in the folder."""
    return Folder(folder).first(published.marks) is not None


def _near(folder: Path) -> List[Path]:
    """Parents, then children and grandchildren; nothing that cannot be listed."""
    near = list(folder.resolve().parents)[:4]
    level = [folder]
    for _ in range(2):
        level = [child for parent in level for child in _children(parent)][:MOST_FOLDERS]
        near += level
    return [path for path in near if os.access(str(path), os.R_OK | os.X_OK)]


def _children(folder: Path) -> List[Path]:
    try:
        names = sorted(os.listdir(str(folder)))
    except OSError:
        return []
    # os.path.isdir, unlike DirEntry.is_dir, takes a link to itself for no folder instead of raising.
    return [folder / name for name in names if os.path.isdir(str(folder / name))]
