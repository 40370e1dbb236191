"""What is made once of a data set's shapes and kept beside the shards: a row a shape, valid for these very shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edge.errors import DataError
from edge.ply import atomic_file
from training.data.archive import DAMAGE
from training.data.shards import Entry, read_index
from training.workers import Workers

Part = TypeVar("Part")


def entries_of(root: Path, *splits: str) -> list[Entry]:
    """The shards of some splits, by name. Raises DataError."""
    return sorted((e for e in read_index(root)["shards"] if e["split"] in splits), key=lambda e: str(e["name"]))


def fingerprint(about: Sequence[Any], entries: Sequence[Entry]) -> str:
    """SHA-256 of all that decides the result: ``about``, fit for JSON, and the shards' own hashes."""
    return hashlib.sha256(json.dumps([*about, [e["sha256"] for e in entries]]).encode()).hexdigest()


def read_kept(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """The arrays of a file, if it was kept under this key; None if not, or if it is damaged: it is then made again."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files} if str(kept["key"]) == key else None
    except DAMAGE:
        return None


def keep(path: Path, key: str, compressed: bool = False, **arrays: Any) -> None:
    """Write arrays under a key, whole or not at all."""
    write = np.savez_compressed if compressed else np.savez
    with atomic_file(str(path)) as handle:
        write(handle, key=np.array(key), **arrays)


def in_pieces(
    function: Callable[[list[Entry]], Part], entries: list[Entry], size: int, workers: int, label: str
) -> list[Part]:
    """``function`` of every ``size`` shards, in order, by several processes."""
    with Workers(workers) as crew:
        return crew.map(function, [entries[start : start + size] for start in range(0, len(entries), size)], label)


def rows_of(kept: list[str], wanted: list[str], lacking: str, file: str) -> np.ndarray:
    """Rows of the wanted names among those kept. DataError if one is missing, or rather ``lacking``."""
    place = {name: row for row, name in enumerate(kept)}
    missing = [name for name in wanted if name not in place]
    if missing:
        raise DataError(f"{missing[0]} {lacking}; delete {file} in the shards' folder and train again")
    return np.array([place[name] for name in wanted])
