"""scripts/docker-check without buildah: what it says, what it refuses, and when it cannot."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.repository import ROOT
from tests.test_docker import call, stub

SCRIPT = str(ROOT / "scripts" / "docker-check")


def test_docker_check_says_what_it_would_do_and_writes_nothing(tmp_path: Path) -> None:
    dry = call([SCRIPT, "--dry-run", "--root", str(tmp_path / "store"), "--mirror", "http://mirror.example/debian"])
    assert dry.returncode == 0, dry.stderr
    for words in ("would do: build nano-jp46", "would do: serve orin-jp7", "would do: health nano-jp46"):
        assert words in dry.stdout
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("arguments, words", [
    (["--fast"], "unknown flag --fast; scripts/docker-check --help lists them"),
    (["--line", "xavier"], "--line wants nano-jp46 or orin-jp7"),
    (["--root"], "--root wants a folder"),
    (["--mirror"], "--mirror wants an address"),
])
def test_docker_check_refuses_wrong_flags(arguments: list[str], words: str) -> None:
    ran = call([SCRIPT, *arguments])
    assert ran.returncode == 2 and ran.stderr == f"error: {words}\n"


@pytest.mark.parametrize("name, text, words", [
    ("id", "echo 1000", "Type: sudo scripts/docker-check"),
    ("buildah", "", "no buildah. Type: apt-get install buildah crun debootstrap"),
])
def test_docker_check_that_cannot_says_what_to_type(tmp_path: Path, name: str, text: str, words: str) -> None:
    stub(tmp_path, "id", "echo 0")
    stub(tmp_path, "debootstrap", "true")
    for tool in ("bash", "dirname", "realpath", "env", "sh"):
        os.symlink(shutil.which(tool) or tool, tmp_path / tool)
    if text:
        stub(tmp_path, name, text)
    ran = call([SCRIPT, "--root", str(tmp_path / "store"), "--mirror", "http://mirror.example"], PATH=str(tmp_path))
    assert ran.returncode == 77, ran.stderr
    assert "cannot run here: " in ran.stderr and words in ran.stderr
    assert not (tmp_path / "store").exists()
