"""Finding files of an unpacked archive: the right folder, and names whose case or slashes differ."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from edge.errors import DataError
from training.datasets.base import DataSet, split_name

#: Folders looked into when the right one is not where the user says.
MOST_FOLDERS = 200


class Folder:
    """A root whose files are looked up by relative name, in any case and with either slash; listings are kept."""

    def __init__(self, root: Path):
        self.root = Path(root)
        self._listings: dict[Path, dict[str, str]] = {}

    def find(self, name: str) -> Path | None:
        """The file or folder, or None. DataError if the name leads out of the root."""
        parts = clean(name)
        path = self.root
        for part in parts:
            listing = self._listing(path)
            entry = listing.get(part) or listing.get(part.lower())
            if entry is None:
                return None
            path = path / entry
        return path

    def first(self, names: Sequence[str]) -> Path | None:
        """The first of several names that is there."""
        return next((path for path in map(self.find, names) if path is not None), None)

    def names(self, name: str) -> list[str]:
        """Sorted names in a folder; empty if it is not there."""
        path = self.find(name)
        return sorted(set(self._listing(path).values())) if path is not None else []

    def _listing(self, path: Path) -> dict[str, str]:
        """Names in a folder by themselves and by their lower case; empty if it is none."""
        if path not in self._listings:
            try:
                entries = sorted(entry.name for entry in os.scandir(path))
            except NotADirectoryError:
                entries = []
            except OSError as error:
                raise DataError(f"folder {path} cannot be listed ({error}); check its permissions") from error
            # Exact names last, so that they win over another file's lower case.
            self._listings[path] = {e.lower(): e for e in entries} | {e: e for e in entries}
        return self._listings[path]


def clean(name: str) -> tuple[str, ...]:
    """Parts of a relative name from an archive, Windows or not. DataError if it leads out of its folder."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise DataError(f"the file name {name!r} leads out of the data set's folder; its list is damaged")
    return path.parts


def locate(folder: Path, dataset: DataSet) -> Path:
    """``folder`` if it is the data set's root; else a DataError that names the right one if it is near."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; unpack {dataset.name} and give its folder ({dataset.source()})")
    if _is_root(folder, dataset):
        return folder
    for near in _near(folder):
        if _is_root(near, dataset):
            raise DataError(f"{folder} is not the folder of {dataset.name}, but {near} is; give {near}")
    marks = " or ".join(dataset.marks)
    layout = "\n".join(f"  {line}" for line in dataset.layout)
    raise DataError(
        f"{folder} does not hold {dataset.name}: there is no {marks}. Expected\n{layout}\n{dataset.source()}"
    )


def _is_root(folder: Path, dataset: DataSet) -> bool:
    return Folder(folder).first(dataset.marks) is not None


def _near(folder: Path) -> list[Path]:
    """Parents, then children and grandchildren; nothing that cannot be listed."""
    resolved = folder.resolve()
    near = list(resolved.parents)[:4]
    level = [folder]
    for _ in range(2):
        level = [child for parent in level for child in _children(parent)][:MOST_FOLDERS]
        near += level
    return [path for path in near if os.access(path, os.R_OK | os.X_OK)]


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(Path(entry.path) for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []


def read_lines(path: Path) -> list[str]:
    """Lines of a text file without blanks at the ends, empty ones left out. DataError if it is no text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error}); unpack it again") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_split_file(path: Path) -> list[str]:
    """Model ids of a list with one ``ID`` or ``SYNSET/ID`` a line."""
    return [clean(line)[-1] for line in read_lines(path)]


def read_listed(folder: Folder, lists: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Split of each model id, and the names of lists that are not there.

    lists: the set's word for a split, and the name of its list (one model id a line).
    """
    splits: dict[str, str] = {}
    missing = []
    for word, name in lists.items():
        path = folder.find(name)
        if path is None:
            missing.append(name)
        else:
            splits |= dict.fromkeys(read_split_file(path), split_name(word))
    return splits, missing


def model_splits(folder: Folder, synset: str) -> tuple[dict[str, str], str]:
    """Split of each model id, and a sentence on where it comes from.

    Looks for SYNSET_train.txt, SYNSET_val.txt and SYNSET_test.txt (also in ``splits``; differentiable-point-clouds
    ships the 5,247/750/1,500 split so), train.lst, val.lst and test.lst in SYNSET (Occupancy Networks), then all.csv
    (SHREC'16, the official split of ShapeNetCore v2). DataError if a model is listed in two splits.
    """
    for pattern in ("splits/{0}_{1}.txt", "{0}_{1}.txt", "{0}/{0}_{1}.txt", "{0}/{1}.lst"):
        paths = {word: folder.find(pattern.format(synset, word)) for word in ("train", "val", "test")}
        found = {word: path for word, path in paths.items() if path is not None}
        if found:
            return _from_lists(found)
    table = folder.find("all.csv")
    if table is not None:
        splits = _from_csv(table, synset)
        return splits, f"split from {table.name}: {_sizes(splits)}"
    return {}, (
        "no split files: every model is in split none. Put "
        f"{synset}_train.txt, {synset}_val.txt and {synset}_test.txt (one model id a line; lists with 5,247/750/1,500 "
        "cars come with the project differentiable-point-clouds, data/splits), or all.csv, into this folder"
    )


def _from_lists(paths: dict[str, Path]) -> tuple[dict[str, str], str]:
    splits: dict[str, str] = {}
    for word, path in paths.items():
        for model in read_split_file(path):
            if splits.setdefault(model, split_name(word)) != split_name(word):
                raise DataError(f"model {model} is in {path.name} and in another split file; take lists of one origin")
    names = ", ".join(path.name for path in paths.values())
    return splits, f"split from {names}: {_sizes(splits)}"


def _from_csv(path: Path, synset: str) -> dict[str, str]:
    """all.csv: id, synsetId, subSynsetId, modelId, split; ids may have lost their leading zeros."""
    try:
        rows = list(csv.DictReader(read_lines(path)))
        return {
            row["modelId"]: split_name(row["split"]) for row in rows if row["synsetId"].strip().zfill(8) == synset
        }
    except (KeyError, AttributeError, csv.Error) as error:
        raise DataError(
            f"{path} lacks a column ({error}); expected id,synsetId,subSynsetId,modelId,split: download it again"
        ) from error


def _sizes(splits: dict[str, str]) -> str:
    words = list(splits.values())
    return ", ".join(f"{words.count(s):,} {s}" for s in ("train", "validation", "test"))
