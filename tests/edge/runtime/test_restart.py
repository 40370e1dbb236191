"""edge.runtime.restart: the command that restarts a camera daemon, and each way in which it fails."""

import signal
from typing import Any

import pytest

from edge.errors import SettingsError
from edge.runtime.restart import DaemonRestart


def never() -> bool:
    return False


def test_the_command_runs_without_a_shell(tmp_path: Any) -> None:
    restart = DaemonRestart("touch '%s/a b' %s/$HOME" % (tmp_path, tmp_path))
    assert restart.run(never) == "" and restart.run(never) == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["$HOME", "a b"]


@pytest.mark.parametrize(
    "command, sentence",
    [
        ("sh -c 'echo first >&2; echo no password >&2; exit 3'", "ended with exit code 3: no password"),
        ("false", "false ended with exit code 1"),
        ("no-such-command -n", "no-such-command does not start: No such file or directory"),
        ("sh -c 'kill -9 $$'", "was ended by signal %d" % signal.SIGKILL),
    ],
)
def test_its_failure_is_said(command: str, sentence: str) -> None:
    said = DaemonRestart(command).run(never)
    assert said.startswith("the camera daemon was not restarted: ") and sentence in said


def test_one_that_takes_too_long_is_left_alone_and_not_started_twice(tmp_path: Any) -> None:
    log, go = str(tmp_path / "log"), str(tmp_path / "go")
    restart = DaemonRestart("sh -c 'echo run >> %s; until [ -e %s ]; do sleep 0.02; done'" % (log, go), limit_s=0.0)
    assert "still runs after 0 s" in restart.run(never) and "still runs after 0 s" in restart.run(never)
    assert restart.run(lambda: True) == "", "whoever is told to stop waits for nothing"
    open(go, "w").close()
    while restart.run(never):  # soon it has ended
        pass
    assert (tmp_path / "log").read_text() == "run\n"


@pytest.mark.parametrize("command, sentence", [
    ("systemctl 'restart", "camera_restart is .*: No closing quotation; write it as in a shell"),
    ("  ", "camera_restart is empty; give a command, such as sudo -n systemctl restart nvargus-daemon"),
])
def test_a_command_that_is_none_is_refused(command: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        DaemonRestart(command)
