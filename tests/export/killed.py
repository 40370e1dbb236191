"""Networks that are put into bundles: being killed at a file that is written, and whether a bundle holds its word."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from edge.bundle import read_manifest, sha256_file
from edge.ply import atomic_file
from export import guests


class Killed(BaseException):
    """No handler of errors catches it."""


def kill_at(monkeypatch: pytest.MonkeyPatch, number: int, after: bool) -> None:
    """Be killed at the file written as the number-th: just before it appears, or just after."""
    count = 0

    @contextlib.contextmanager
    def writing(path: str) -> Iterator[IO[bytes]]:
        nonlocal count
        count += 1
        with atomic_file(path) as handle:
            yield handle
            if count == number and not after:
                raise Killed
        if count == number:
            raise Killed

    monkeypatch.setattr(guests, "atomic_file", writing)


def verified(folder: Path, section: str, file: str) -> dict[str, Any]:
    """The manifest; its promises are kept, and it has the section where it has the file."""
    manifest = read_manifest(str(folder))
    for name, entry in manifest["files"].items():
        assert sha256_file(str(folder / name)) == entry["sha256"]
        assert (folder / name).stat().st_size == entry["bytes"]
    assert (section in manifest) == (file in manifest["files"])
    return manifest
