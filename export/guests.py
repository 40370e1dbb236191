"""Networks beside the one that reconstructs, as finder and silhouette: each a file and a section of the manifest."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from edge.bundle import read_manifest, sha256_file
from edge.errors import BundleError
from edge.ply import atomic_file

#: Key of a network's section that names the file of its golden outputs (:mod:`export.golden`).
GOLDEN = "golden"


def put(bundle: Path, manifest: dict[str, Any], section: str, content: bytes, entry: dict[str, Any]) -> bool:
    """Write ``content`` to the file that ``entry["file"]`` names and list both in the bundle's ``manifest``; False when
    they were there already, and nothing was written.

    A kill leaves a bundle that verifies: the old one or the new one; where another network is replaced, in between, the
    old one without it.
    """
    file, seal = entry["file"], {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    target, listed = bundle / file, manifest["files"].get(file)
    there = target.is_file() and sha256_file(str(target)) == seal["sha256"]
    before = {key: value for key, value in manifest.get(section, {}).items() if key != GOLDEN}
    if there and listed == seal and before == entry:
        return False
    if listed not in (None, seal):
        # The old manifest would not verify with the new file, nor the new one with the old file.
        without = copy.deepcopy(manifest)
        without["files"].pop(file)
        without.pop(section, None)
        _write_manifest(bundle, without)
    if not there:
        with atomic_file(str(target)) as handle:
            handle.write(content)
    manifest["files"].pop(manifest.get(section, {}).get(GOLDEN), None)  # the golden outputs of another network
    manifest["files"][file] = seal
    manifest[section] = entry
    _write_manifest(bundle, manifest)
    return True


def add_file(bundle: Path, section: str, key: str, file: str, content: bytes) -> None:
    """Write a further file of a network into a bundle, and its name into the network's section as ``key``.

    A kill leaves a bundle that verifies: without the file, with the old one, or with the new one.
    """
    manifest = read_manifest(str(bundle))
    if file in manifest["files"]:
        manifest["files"].pop(file)
        manifest[section].pop(key, None)
        _write_manifest(bundle, manifest)
    with atomic_file(str(bundle / file)) as handle:
        handle.write(content)
    manifest["files"][file] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest[section][key] = file
    _write_manifest(bundle, manifest)


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


def _write_manifest(bundle: Path, manifest: dict[str, Any]) -> None:
    with atomic_file(str(bundle / "manifest.json")) as handle:
        handle.write((json.dumps(manifest, indent=1) + "\n").encode("utf-8"))
