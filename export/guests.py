"""Networks beside the one that reconstructs, as finder and silhouette: each a file and a section of the manifest."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.bundle import read_manifest, sha256_file
from edge.errors import BundleError
from edge.ply import atomic_file

#: Changes a manifest in place.
Change = Callable[[dict[str, Any]], None]
#: Key of a network's section that names the file of its golden outputs (:mod:`export.golden`).
GOLDEN = "golden"


def put(bundle: Path, manifest: dict[str, Any], section: str, content: bytes, entry: dict[str, Any]) -> bool:
    """Write ``content`` to the file that ``entry["file"]`` names and list both in the bundle's ``manifest``; False when
    they were there already, and nothing was written.

    A kill leaves a bundle that verifies: the old one or the new one; where another network is replaced, in between, the
    old one without it.
    """
    before = manifest.get(section, {})
    golden = before.get(GOLDEN)

    def unlist(old: dict[str, Any]) -> None:
        old.pop(section, None)

    def enlist(new: dict[str, Any]) -> None:
        new["files"].pop(golden, None)  # the golden outputs of another network
        new[section] = entry

    told = {key: value for key, value in before.items() if key != GOLDEN} == entry
    return put_file(bundle, manifest, entry["file"], content, told, unlist, enlist)


def add_file(bundle: Path, section: str, key: str, file: str, content: bytes) -> bool:
    """Write a further file of a network into a bundle, and its name into the network's section as ``key``; False when
    it was there already.

    A kill leaves a bundle that verifies: without the file, with the old one, or with the new one.
    """
    manifest = read_manifest(str(bundle))

    def unlist(old: dict[str, Any]) -> None:
        old[section].pop(key, None)

    def enlist(new: dict[str, Any]) -> None:
        new[section][key] = file

    return put_file(bundle, manifest, file, content, manifest[section].get(key) == file, unlist, enlist)


def put_file(
    bundle: Path, manifest: dict[str, Any], file: str, content: bytes, told: bool, unlist: Change, enlist: Change
) -> bool:
    """Write a file of a bundle and change its manifest; False when it was there and ``told``, and nothing was written.

    told: whether the manifest says of the file what ``enlist`` makes it say. unlist: takes out of a manifest what it
    says of another file of that name, because the old manifest would not verify with the new file, nor the new one with
    the old file. A kill leaves a bundle that verifies.
    """
    seal = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    target, listed = bundle / file, manifest["files"].get(file)
    there = target.is_file() and sha256_file(str(target)) == seal["sha256"]
    if there and listed == seal and told:
        return False
    manifest = copy.deepcopy(manifest)
    if listed not in (None, seal):
        manifest["files"].pop(file)
        unlist(manifest)
        write_manifest(bundle, manifest)
    if not there:
        with atomic_file(str(target)) as handle:
            handle.write(content)
    manifest["files"][file] = seal
    enlist(manifest)
    write_manifest(bundle, manifest)
    return True


def write_manifest(bundle: Path, manifest: dict[str, Any]) -> None:
    """Replace a bundle's manifest, whole or not at all."""
    with atomic_file(str(bundle / "manifest.json")) as handle:
        handle.write((json.dumps(manifest, indent=1) + "\n").encode("utf-8"))


def keep(old: Path, new: Path, manifest: dict[str, Any], section: str) -> None:
    """Copy the section and its file of the bundle ``old``, if it is one and has it, to the folder ``new`` and its
    manifest: it does not depend on the network beside it."""
    try:
        before = read_manifest(str(old))
    except BundleError:
        return
    if section in before:
        for file in [before[section][key] for key in ("file", GOLDEN) if key in before[section]]:
            shutil.copyfile(old / file, new / file)
            manifest["files"][file] = before["files"][file]
        manifest[section] = before[section]
