"""Shards: one ``.npz`` per shape with everything that training needs of it, and the index that lists them.

The format is documented in ``docs/shards.md``.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import sha256_file
from edge.errors import DataError

FORMAT, FORMAT_VERSION = "carcloud-shards", 1
#: Raise when the generator draws other pictures for the same seed: shards of other versions are made anew.
GENERATOR_VERSION = 1
IMAGE_SIZE = 128
INDEX = "index.json"


@dataclass(frozen=True)
class ShardSettings:
    """What a data set is made of. pictures, novel: per shape. variants: stretched shapes per training body."""

    pictures: int = 48
    variants: int = 5
    novel: int = 24
    seed: int = 0


@dataclass(frozen=True)
class ShardMeta:
    """What a shard holds, stored in it as JSON.

    name: BODY-VARIANT, variant 0 is the original. stretch: factors of length, width and height.
    length_m: of this variant, metres.
    """

    name: str
    body: str
    variant: int
    stretch: tuple[float, float, float]
    split: str
    body_class: str
    source: str
    length_m: float
    pictures: int
    novel: int
    seed: int
    generator_version: int = GENERATOR_VERSION


def shard_path(root: Path, name: str) -> Path:
    """Where the shard of a shape lies."""
    return root / f"{name}.npz"


def sync_replace(scratch: Path, target: Path) -> None:
    """Make a written file durable, then give it its name: nobody ever sees half of it."""
    with open(scratch, "rb") as handle:
        os.fsync(handle.fileno())
    os.replace(scratch, target)


def write_shard(root: Path, meta: ShardMeta, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Write one shard atomically and return its entry for the index."""
    target = shard_path(root, meta.name)
    scratch = target.with_name(f"{target.name}.{os.getpid()}.part")
    with open(scratch, "wb") as handle:
        np.savez(handle, allow_pickle=False, **{"meta": np.array(json.dumps(asdict(meta))), **arrays})
    sync_replace(scratch, target)
    return index_entry(root, meta)


def index_entry(root: Path, meta: ShardMeta) -> dict[str, Any]:
    """Name, file, checksum, size and counts of a shard on disk."""
    path = shard_path(root, meta.name)
    return {
        "name": meta.name, "file": path.name, "sha256": sha256_file(str(path)), "bytes": path.stat().st_size,
        "split": meta.split, "body": meta.body, "variant": meta.variant, "body_class": meta.body_class,
        "pictures": meta.pictures, "novel": meta.novel,
    }


def read_meta(path: Path) -> ShardMeta:
    """The description inside a shard. Raises DataError if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            fields = json.loads(str(data["meta"]))
        return ShardMeta(**{**fields, "stretch": tuple(fields["stretch"])})
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"shard {path} is damaged ({error}); {remedy(path.parent)}") from error


def remedy(root: Path) -> str:
    """The sentence that says how to get shards back."""
    return f"make it again: python -m training data --out {root} (finished shards are kept)"


def write_index(root: Path, settings: ShardSettings, entries: list[dict[str, Any]]) -> None:
    """Write ``index.json`` atomically; shards sorted by name."""
    body = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "generator_version": GENERATOR_VERSION,
        "settings": asdict(settings), "image_size": IMAGE_SIZE, "shards": sorted(entries, key=lambda e: e["name"]),
    }
    scratch = root / f"{INDEX}.part"
    scratch.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    sync_replace(scratch, root / INDEX)


def read_index(root: Path) -> dict[str, Any]:
    """The parsed index. Raises DataError if missing, damaged or of another format version."""
    path = root / INDEX
    if not path.is_file():
        raise DataError(f"no shards in {root}: {INDEX} is missing; make them: python -m training data --out {root}")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        found = index["format"], index["format_version"]
        entries = [dict(entry) for entry in index["shards"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error!r}); {remedy(root)}") from error
    if found != (FORMAT, FORMAT_VERSION):
        raise DataError(f"{path} has format {found[0]} {found[1]}, wanted {FORMAT} {FORMAT_VERSION}; {remedy(root)}")
    return {**index, "shards": entries}
