"""scripts/provision --host, over an ssh that leads into a folder; a dry run leaves nothing there."""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from pathlib import Path

from tests.provision_files import ENVIRONMENT, SCRIPT, make_card, make_wheels, tree

FAILED = 1


def test_over_ssh(tmp_path: Path) -> None:
    """An ssh and a sudo that run everything here, in the card's folder: the same files, and firstboot at the end."""
    card, wheels = make_card(tmp_path / "card"), make_wheels(tmp_path / "wheels")
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    log_it = f'echo "$(basename "$0") $*" >>{tmp_path}/log'
    for name, line in {
        "ssh": f'{log_it}; [ "$1" != -t ] || shift; shift; exec sh -c "$*"',
        "sudo": 'exec "$@"',
        "firstboot": f"{log_it}; rm -f {card}/var/lib/carcloud/firstboot",
    }.items():
        (stubs / name).write_text(f"#!/bin/sh\n{line}\n")
        (stubs / name).chmod(0o755)
    (temporary := tmp_path / "temporary").mkdir()  # of this machine and of the board
    environment = dict(ENVIRONMENT, PATH=f"{stubs}:{ENVIRONMENT['PATH']}", TMPDIR=str(temporary))

    def over(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = shlex.join(map(str, arguments))
        program = f". {SCRIPT}; far={card} far_firstboot={stubs}/firstboot; main {words}"
        return subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=120, env=environment)

    before = tree(card)
    flags = ("--host", "me@nano", "--wheels", wheels, "--hostname", "nano1")
    dry = over(*flags, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would write /etc/carcloud/token" in dry.stdout and "would write /etc/hosts" in dry.stdout
    assert tree(card) == before
    log = (tmp_path / "log").read_text()
    assert "python3 -B -c" in log and "mktemp" not in log, "not even for a moment"
    done = over(*flags)
    assert done.returncode == 0, done.stderr
    token = (card / "etc/carcloud/token").read_text().strip()
    assert f"then open: http://nano:8000/#token={token}" in done.stdout
    assert "sudo reboot" in done.stdout
    log = (tmp_path / "log").read_text()
    assert log.count("firstboot \n") == 1
    assert token not in log
    after = tree(card)
    again = over(*flags)
    assert again.returncode == 0 and "nothing to change" in again.stdout
    assert tree(card) == after
    assert (tmp_path / "log").read_text().count("firstboot \n") == 1, "nothing new, so nothing to do"
    for flag, words in [(flags, "  nothing to change\n"),
                        ((*flags, "--port", "8001"), "would write /etc/carcloud/settings.json\n"),
                        (("--host", "me@nano", "--undo"), "would give back /etc/hosts\n")]:
        dry = over(*flag, "--dry-run")
        assert dry.returncode == 0 and words in dry.stdout, dry.stdout + dry.stderr
        assert dry.stdout.count("would write") <= 1 and tree(card) == after
    log = (tmp_path / "log").read_text()
    secret = hashlib.sha256((card / "etc/carcloud/settings.json").read_bytes()).hexdigest()
    assert "settings.json" in log and secret not in log, "a list of processes shows what passwords can be tried on"
    undone = over("--host", "me@nano", "--undo")
    assert undone.returncode == 0, undone.stderr
    assert "firstboot --undo\n" in (tmp_path / "log").read_text()
    assert tree(card) == before
    (stubs / "tar").write_text("#!/bin/sh\nexit 1\n")
    (stubs / "tar").chmod(0o755)
    full = over(*flags)
    assert full.returncode == FAILED and "me@nano takes no files" in full.stderr
    assert list(temporary.iterdir()) == [], "left on one side or the other"
    (stubs / "ssh").write_text("#!/bin/sh\nexit 255\n")
    silent = over(*flags)
    assert silent.returncode == FAILED and "no Jetson answers at me@nano" in silent.stderr
