"""scripts/firstboot in a folder, with stand-ins for a board's programs: what it does, in which order, and only once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.repository import ROOT

SCRIPT = ROOT / "scripts" / "firstboot"

#: name -> what the stand-in does after it wrote itself and its arguments to the log.
STUBS = {
    "useradd": 'for name in "$@"; do :; done; echo "$name" >>"$BOARD/accounts"',
    "userdel": "",
    "usermod": "",
    "chpasswd": 'cat >>"$BOARD/log"',
    "chown": "",
    "getent": '[ "$1" = group ] || { grep -qx "$2" "$BOARD/accounts" && echo "$2:x:1000:1000::/home/$2:/bin/bash"; }',
    "install": 'for folder in "$@"; do :; done; mkdir -p "$folder"',
    "fallocate": 'for file in "$@"; do :; done; : >"$file"',
    "mkswap": "",
    "swapoff": "",
    "systemctl": "",
    "nvpmodel": "",
    "runuser": 'exit "${BUILD:-0}"',
    "python3": '''echo "date $SOURCE_DATE_EPOCH" >>"$BOARD/log"
while [ "$1" != --target ]; do shift; done; mkdir -p "$2/edge"
case $* in *.tar.gz*) exit "${COMPILE:-0}" ;; esac; exit "${PIP:-0}"''',
}


class Board:
    """A provisioned root file system before its first boot, and the log of what was called."""

    def __init__(self, folder: Path) -> None:
        self.root, self.stubs, self.log_file = folder / "board", folder / "stubs", folder / "board" / "log"
        self.put("etc/carcloud/firstboot.env", "login=me\npassword=$6$salt$hash\nswap_gb=4\npower_mode=0\n")
        self.put("etc/carcloud/authorized_keys", "ssh-ed25519 AAAA me@laptop\n")
        self.put("etc/carcloud/token", "a-token-of-my-own-1\n")
        self.put("etc/carcloud/settings.json", "{}")
        self.put("var/lib/carcloud/firstboot", "")
        self.put("accounts", "root\n")
        self.put("usr/lib/nvidia/resizefs/nvresizefs.sh", '#!/bin/sh\necho "nvresizefs" >>"$BOARD/log"\n')
        (self.root / "usr/lib/nvidia/resizefs/nvresizefs.sh").chmod(0o755)
        for wheel in ("carcloud-0.1.0", "Flask-2.0.3", "pip-21.3.1"):
            self.put(f"opt/carcloud/wheels/{wheel}-py3-none-any.whl", wheel)
        self.put("opt/carcloud/wheels/pycuda-2022.1.tar.gz", "pycuda")
        self.stubs.mkdir()
        for name, line in STUBS.items():
            (self.stubs / name).write_text(f'#!/bin/sh\necho "{name} $*" >>"$BOARD/log"\n{line}\n')
            (self.stubs / name).chmod(0o755)

    def put(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def call(self, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it; the log then holds what this run called."""
        self.log_file.write_text("")
        program = f". {SCRIPT}; top={self.root}; main {' '.join(flags)}"
        own = dict(os.environ, PATH=f"{self.stubs}:{os.environ['PATH']}", BOARD=str(self.root), **environment)
        return subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, env=own)

    def log(self) -> list[str]:
        return self.log_file.read_text().replace(str(self.root), "").splitlines()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def position(log: list[str], start: str) -> int:
    """Where a line that starts so stands."""
    return next(number for number, line in enumerate(log) if line.startswith(start))


def test_a_first_boot(board: Board) -> None:
    done = board.call()
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert [line[:3] for line in said[:7]] == [f"{number}/7" for number in range(1, 8)], said
    assert said[2] == "3/7 swap file of 4 GB" and said[-1] == "first boot is done"
    log = board.log()
    order = ["nvresizefs", "useradd --system", "usermod --append --groups video carcloud",
             "chown carcloud:carcloud /etc/carcloud/token", "useradd --create-home", "me:$6$salt$hash",
             "fallocate -l 4G", "mkswap", "systemctl start var-lib-carcloud-swap.swap", "nvpmodel -m 0",
             "python3 -m pip", "runuser -u carcloud", "systemctl daemon-reload", "systemctl enable carcloud.service",
             "systemctl --no-block restart carcloud.service"]
    assert [position(log, start) for start in order] == sorted(position(log, start) for start in order)
    install = log[position(log, "python3 -m pip")]
    assert "--no-index --no-deps" in install and "/wheels/Flask-2.0.3" in install and "/wheels/pip-" not in install
    compiles = position(log, "date 1577836800")
    assert not [line for line in log[:compiles] if line.startswith("date 1")], "only what is compiled is packed"
    sources = log[compiles - 1]
    assert "--no-build-isolation" in sources and "/wheels/pycuda-2022.1.tar.gz" in sources
    assert "build --settings /etc/carcloud/settings.json" in log[position(log, "runuser")]
    assert (board.root / "home/me/.ssh/authorized_keys").read_text() == "ssh-ed25519 AAAA me@laptop\n"
    assert (board.root / "var/lib/carcloud/made").read_text() == "me\n"
    assert (board.root / "opt/carcloud/lib/edge").is_dir()
    assert not (board.root / "var/lib/carcloud/firstboot").exists()


def test_a_second_one_leaves_what_is_there(board: Board) -> None:
    assert board.call().returncode == 0
    again = board.call()
    assert again.returncode == 0, again.stderr
    assert "packages: installed already" in again.stdout
    called = {line.split()[0] for line in board.log()}
    assert called & {"useradd", "fallocate", "mkswap", "python3"} == set()
    assert (board.root / "home/me/.ssh/authorized_keys").read_text().count("\n") == 1
    assert (board.root / "var/lib/carcloud/made").read_text() == "me\n"
    board.put("opt/carcloud/wheels/carcloud-0.1.0-py3-none-any.whl", "newer")
    assert board.call().returncode == 0
    assert "python3" in {line.split()[0] for line in board.log()}


def test_what_fails_is_tried_again(board: Board) -> None:
    """Without packages there is no server: the flag stays, and so does what was installed before."""
    failed = board.call(PIP="1")
    assert failed.returncode == 1
    assert "could not be installed; the reason is above" in failed.stderr
    assert (board.root / "var/lib/carcloud/firstboot").exists()
    assert not (board.root / "opt/carcloud/lib").exists()
    assert board.call().returncode == 0
    assert not (board.root / "var/lib/carcloud/firstboot").exists()


def test_pycuda_that_does_not_compile(board: Board) -> None:
    failed = board.call(COMPILE="1")
    assert failed.returncode == 1
    assert "pycuda could not be compiled" in failed.stderr and "apt-get install python3-dev" in failed.stderr
    assert (board.root / "var/lib/carcloud/firstboot").exists()
    assert not (board.root / "opt/carcloud/lib").exists()


def test_what_can_wait_is_said_aloud(board: Board) -> None:
    """No engine, no power mode, no larger file system: the server starts all the same."""
    board.put("usr/lib/nvidia/resizefs/nvresizefs.sh", "#!/bin/sh\nexit 1\n")
    (board.stubs / "nvpmodel").write_text("#!/bin/sh\nexit 1\n")
    done = board.call(BUILD="10")
    assert done.returncode == 0, done.stderr
    for words in ("root file system: NOT GROWN", "power mode: NOT SET", "engines: NOT BUILT"):
        assert words in done.stdout
    assert any(line.startswith("systemctl --no-block restart") for line in board.log())


def test_a_full_card(board: Board) -> None:
    (board.stubs / "fallocate").write_text("#!/bin/sh\nexit 1\n")
    full = board.call()
    assert full.returncode == 1
    assert "no room for a swap file of 4 GB" in full.stderr
    assert not (board.root / "var/lib/carcloud/swap").exists()


def test_a_dry_run_changes_nothing(board: Board) -> None:
    before = sorted(board.root.rglob("*"))
    dry = board.call("--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would run: systemctl enable carcloud.service" in dry.stdout
    assert {line.split()[0] for line in board.log()} <= {"getent"}
    assert [path for path in sorted(board.root.rglob("*")) if path.name != "log"] == before


def test_undo(board: Board) -> None:
    assert board.call().returncode == 0
    assert (board.root / "var/lib/carcloud/swap").exists()
    undone = board.call("--undo")
    assert undone.returncode == 0, undone.stderr
    assert {"systemctl disable --now carcloud.service", "userdel carcloud"} <= set(board.log())
    for name in ("var/lib/carcloud/swap", "opt/carcloud/lib", "opt/carcloud/lib.sum", "var/lib/carcloud/engines"):
        assert not (board.root / name).exists()


def test_a_board_that_is_not_provisioned(board: Board) -> None:
    (board.root / "etc/carcloud/firstboot.env").unlink()
    refused = board.call()
    assert refused.returncode == 1
    assert "this board is not provisioned" in refused.stderr


def test_help_and_wrong_flags() -> None:
    shown = subprocess.run([str(SCRIPT), "--help"], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and shown.stdout.startswith("usage: firstboot")
    wrong = subprocess.run([str(SCRIPT), "--fast"], capture_output=True, text=True, timeout=60)
    assert wrong.returncode == 2 and "unknown flag --fast; firstboot --help lists them" in wrong.stderr
