"""scripts/arm64 without qemu: what it says, what it refuses, and the pieces that need no arm64 root folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT

SCRIPT = ROOT / "scripts" / "arm64"
CANNOT = 77


def stub(folder: Path, name: str, text: str = "exit 0") -> None:
    """A program of that name, which does what the line of shell says."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def environment(stubs: Path) -> dict[str, str]:
    return dict(os.environ, PATH=f"{stubs}:{os.environ['PATH']}")


@pytest.fixture
def stubs(tmp_path: Path) -> Path:
    """Programs that come first: with them every machine seems able to run the script, up to the emulator."""
    folder = tmp_path / "stubs"
    stub(folder, "uname", "echo x86_64")
    for name in ("apt-get", "apt-config", "dpkg-deb", "unshare", "flock", "qemu-aarch64-static"):
        stub(folder, name)
    return folder


def call(stubs: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPT), *arguments], capture_output=True, text=True, timeout=60, env=environment(stubs)
    )


def call_function(stubs: Path, commands: str) -> subprocess.CompletedProcess[str]:
    """Source the script, which then runs nothing, and run commands with its functions."""
    return subprocess.run(
        ["bash", "-c", f". {SCRIPT}\n{commands}"], capture_output=True, text=True, timeout=60, env=environment(stubs)
    )


def test_help(stubs: Path) -> None:
    shown = call(stubs, "--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("usage: scripts/arm64")
    assert str(CANNOT) in shown.stdout


@pytest.mark.parametrize("long", [False, True])
def test_dry_run_says_what_and_writes_nothing(stubs: Path, tmp_path: Path, long: bool) -> None:
    store = tmp_path / "store"
    dry = call(stubs, "--dry-run", "--root", str(store), "--mirror", "http://mirror.example/debian",
               *(["--long"] if long else []))
    assert dry.returncode == 0, dry.stderr
    for words in ("http://mirror.example/debian", "constraints-py36.txt", "would run:", "doctor", "serve --check"):
        assert words in dry.stdout
    assert ("tests/edge" in dry.stdout) == long
    assert not store.exists()


@pytest.mark.parametrize("arguments, words", [
    (["--fast"], "unknown flag --fast; scripts/arm64 --help lists them"),
    (["--root"], "--root wants a folder"),
    (["--mirror"], "--mirror wants an address"),
    (["--pins"], "--pins wants a file of versions"),
    (["--pins", "nothing.txt"], "Python 3.9: nothing.txt; give --pins constraints-py36.txt or constraints-py38.txt"),
    (["--pins", "constraints.txt"], "no file of versions for Python 3.9: constraints.txt"),
    (["--root", "/tmp/with space"], "no folder with a space"),
])
def test_wrong_flags(stubs: Path, arguments: list[str], words: str) -> None:
    refused = call(stubs, *arguments)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert refused.stdout == ""


@pytest.mark.parametrize("name, line, words", [
    ("uname", "echo aarch64", "this machine is an arm64 itself. Type: scripts/demo --check"),
    ("unshare", "exit 1", "no user namespace"),
    ("unshare", 'case "$*" in *binfmt_misc*) exit 1 ;; esac', "lets no namespace have a binfmt_misc of its own"),
])
def test_a_machine_that_cannot(stubs: Path, tmp_path: Path, name: str, line: str, words: str) -> None:
    stub(stubs, name, line)
    refused = call(stubs, "--root", str(tmp_path / "store"))
    assert refused.returncode == CANNOT
    assert refused.stderr.startswith("cannot run here: ")
    assert words in refused.stderr
    assert not (tmp_path / "store").exists()
    dry = call(stubs, "--root", str(tmp_path / "store"), "--dry-run")
    assert dry.returncode == 0
    assert words in dry.stderr


def test_a_program_that_is_missing(stubs: Path) -> None:
    absent = 'command() { case "$*" in *apt-get*) return 1 ;; *) builtin command "$@" ;; esac; }'
    refused = call_function(stubs, f"{absent}; requirements")
    assert refused.returncode == CANNOT
    assert "no apt-get" in refused.stderr


def test_no_emulator_and_none_to_be_had(stubs: Path, tmp_path: Path) -> None:
    stub(stubs, "apt-get", "exit 100")
    refused = call_function(stubs, f"store={tmp_path}; find_qemu() {{ return 1; }}; emulator")
    assert refused.returncode == CANNOT
    assert "Type: apt-get update && apt-get install qemu-user-static" in refused.stderr


def test_a_mirror_without_that_debian(stubs: Path, tmp_path: Path) -> None:
    stub(stubs, "apt-get", "exit 100")
    refused = call_function(stubs, f"store={tmp_path}; debian=$store/debian; mirror=http://mirror.example/debian; "
                                   "keyring=/keys.gpg; debian_root")
    assert refused.returncode == CANNOT
    assert "the mirror http://mirror.example/debian gives no Debian bullseye" in refused.stderr
    assert not (tmp_path / "debian.stamp").exists()


def test_no_mirror_known(stubs: Path, tmp_path: Path) -> None:
    stub(stubs, "apt-get", "echo Ubuntu http://mirror.example/ubuntu/")
    refused = call_function(stubs, f"store={tmp_path}; debian=$store/debian; mirror=; debian_root")
    assert refused.returncode == CANNOT
    assert "--mirror URL" in refused.stderr


def test_the_mirror_is_the_machines_own(stubs: Path) -> None:
    lines = ["Ubuntu http://a.example/ubuntu/", "Debian http://b.example/debian-security/",
             "Debian http://c.example/debian/", "Debian http://d.example/debian/"]
    stub(stubs, "apt-get", "printf '%s\\n' " + " ".join(f"'{line}'" for line in lines))
    assert call_function(stubs, "mirror_here").stdout == "http://c.example/debian/\n"


def test_the_foreign_apt_has_a_folder_of_its_own(stubs: Path, tmp_path: Path) -> None:
    stub(stubs, "apt-config", "echo 'Acquire::http::Proxy \"http://proxy.example:3142\";'; echo 'Dir::Cache \"/var\";'")
    made = call_function(stubs, f"mirror=http://m.example/debian; keyring=/keys.gpg; foreign_apt_folder {tmp_path}/apt")
    assert made.returncode == 0, made.stderr
    sources = (tmp_path / "apt" / "etc" / "sources.list").read_text()
    assert sources == "deb [arch=arm64 signed-by=/keys.gpg] http://m.example/debian bullseye main\n"
    settings = (tmp_path / "apt" / "apt.conf").read_text()
    assert 'Acquire::http::Proxy "http://proxy.example:3142";' in settings
    assert f'Dir::Cache "{tmp_path}/apt";' in settings
    assert "/var" not in settings
    assert (tmp_path / "apt" / "status").read_text() == ""


@pytest.mark.parametrize("pins, there, absent", [
    ("constraints-py36.txt", {"numpy==1.19.5", "onnxruntime==1.10.0", "flask==2.0.3"}, {"dataclasses"}),
    ("constraints-py38.txt", {"numpy==2.0.2", "flask==3.1.3", "exceptiongroup==1.3.1"}, {"numpy==1.24.4"}),
])
def test_pins_are_those_of_the_python_inside(
    stubs: Path, tmp_path: Path, pins: str, there: set[str], absent: set[str]
) -> None:
    pytest.importorskip("pip", reason="pip's own reading of markers")
    stub(tmp_path / "bin", "python", f'exec {sys.executable} "$@"')
    found = call_function(stubs, f"tools={tmp_path}; pins={pins}; fitting_pins")
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert there <= set(lines)
    assert [line for line in lines if any(line.startswith(word) for word in absent)] == []
    assert len({line.split("==")[0] for line in lines}) == len(lines)


def test_a_part_that_fails_is_remembered_and_the_rest_runs(stubs: Path) -> None:
    ran = call_function(stubs, 'timed bad false; timed ends fail sentence; timed good true; echo "${failed[*]}"')
    assert ran.returncode == 0
    assert ran.stdout.splitlines()[-1] == "bad ends"


def test_a_command_without_end_is_ended(stubs: Path) -> None:
    stub(stubs, "unshare", "exec sleep 60")
    ran = call_function(stubs, "emulated 1 python3 || echo code $?")
    assert ran.stdout == "code 124\n"
    assert "no end after 1 s" in ran.stderr


def test_what_pip_said_is_shown_when_it_fails(stubs: Path) -> None:
    ran = call_function(stubs, "logged 'pip could not' sh -c 'echo the reason; exit 3'")
    assert ran.returncode == 1
    assert ran.stderr == "the reason\nerror: pip could not; the reason is above\n"
    assert call_function(stubs, "logged 'pip could not' echo chatter").stdout == ""
