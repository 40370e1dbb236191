"""The folder of a data set: one tar per shape, and ``index.json``, which lists them with their checksums.

The format is documented in ``docs/shards.md``.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge.bundle import sha256_file
from edge.errors import DataError
from training.data.archive import DAMAGE, Member, tar_bytes, tar_members, write_durably
from training.data.plan import GENERATOR_VERSION, ShapePlan, ShardSettings

FORMAT, FORMAT_VERSION = "carcloud-shards", 3
#: Side of the depth maps in pixels, whatever the size of the pictures.
MAP_SIZE = 128
INDEX = "index.json"
Entry = dict[str, Any]
#: What an entry of the index takes from a shard's meta.
LISTED = ("name", "split", "body", "variant", "kind", "real", "body_class", "source", "licence", "pictures", "novel")


def shard_path(root: Path, name: str) -> Path:
    """Where the shard of a shape lies. DataError if the name is not fit for a file and a sample key."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise DataError(f"{name!r} cannot name a shard; rename the car: letters, digits, _ and - only, at most 60")
    return root / f"{name}.tar"


def write_shard(root: Path, meta: dict[str, Any], members: Iterable[Member]) -> Entry:
    """Write one shard durably and return its entry for the index."""
    path, data = shard_path(root, meta["name"]), tar_bytes(members)
    return index_entry(meta, write_durably(path, data), len(data))


def index_entry(meta: dict[str, Any], sha256: str, size: int) -> Entry:
    """A shard's line in the index."""
    return {"file": f"{meta['name']}.tar", "sha256": sha256, "bytes": size, **{key: meta[key] for key in LISTED}}


def read_meta(path: Path) -> dict[str, Any]:
    """The description inside a shard, without reading the rest. Raises DataError if it is damaged."""
    try:
        with tarfile.open(path, "r:") as tar:
            first = tar.next()
            stream = tar.extractfile(first) if first is not None and first.name.endswith("/shape.meta.json") else None
            if stream is None:
                raise ValueError("it does not begin with the shape's meta")
            return dict(json.loads(stream.read()))
    except DAMAGE as error:
        raise DataError(f"shard {path} is missing or damaged ({error}); {remedy(path.parent)}") from error


def finished(root: Path, plan: ShapePlan, known: Entry | None) -> Entry | None:
    """The index entry of a shape whose whole, unaltered shard is there already and was made by the same plan.

    known: its entry in the index there was, if it had one.
    """
    try:
        path = shard_path(root, plan.name)
        if not path.is_file():
            return None
        meta = read_meta(path)
        wanted = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(plan)}
        if any(meta.get(key) != value for key, value in wanted.items()):
            return None
        if known is None:
            # Finished after the index was last written; the rename made it whole, so this only finds later damage.
            for _ in tar_members(path.read_bytes(), lambda name: True):
                continue
        digest = sha256_file(str(path))
        return index_entry(meta, digest, path.stat().st_size) if known is None or known["sha256"] == digest else None
    except (DataError, *DAMAGE):
        return None  # a damaged shard is simply made again


def check_shard(root: Path, entry: Entry, verify: bool = True) -> Path:
    """Path of a listed shard after checking its size and, if ``verify``, its SHA-256. Raises DataError."""
    path = Path(root) / str(entry["file"])
    if not path.is_file():
        raise DataError(f"shard {path} is listed in the index but missing; {remedy(path.parent)}")
    if path.stat().st_size != entry["bytes"] or (verify and sha256_file(str(path)) != entry["sha256"]):
        raise DataError(
            f"shard {path} does not match the index: it was altered or cut short; {remedy(path.parent)}"
        )
    return path


def remedy(root: Path) -> str:
    """The sentence that says how to get shards back."""
    return f"make it again: python -m training data --out {root} (with the flags of the first time; good shards stay)"


def write_index(root: Path, settings: ShardSettings, entries: Iterable[Entry], left_out: dict[str, str]) -> None:
    """Write ``index.json`` durably; shards and shapes left out are sorted by name, so that timing leaves no trace."""
    body = {
        "format": FORMAT, "format_version": FORMAT_VERSION, "generator_version": GENERATOR_VERSION,
        "settings": asdict(settings), "image_size": settings.size, "map_size": MAP_SIZE,
        "shards": sorted(entries, key=lambda e: str(e["name"])),
        "left_out": [{"name": name, "problem": left_out[name]} for name in sorted(left_out)],
    }
    write_durably(root / INDEX, (json.dumps(body, indent=1) + "\n").encode())


def read_index(root: Path) -> dict[str, Any]:
    """The parsed index. Raises DataError if missing, damaged or of another format version."""
    path = Path(root) / INDEX
    if not path.is_file():
        raise DataError(f"no shards in {root}: {INDEX} is missing; make them: python -m training data --out {root}")
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        found = index["format"], index["format_version"]
        entries = [dict(entry) for entry in index["shards"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged ({error!r}); delete it and {remedy(root)}") from error
    if found != (FORMAT, FORMAT_VERSION):
        raise DataError(
            f"{path} has format {found[0]} {found[1]}, wanted {FORMAT} {FORMAT_VERSION}: the shards are of another "
            f"version of carcloud; delete the folder and make it anew: python -m training data --out {root}"
        )
    return {**index, "shards": entries}
