"""Lists of an unpacked archive: its text files, and which model is in which split."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from edge.errors import DataError
from edge.photosets.base import split_name
from edge.photosets.files import Folder, clean


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
