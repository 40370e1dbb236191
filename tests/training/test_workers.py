"""Processes that share work: what is said when one dies, and what becomes of them when the parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.errors import DataError
from tests.repository import ROOT
from training.workers import Workers

PARENT = """
import sys, time
from training.workers import Workers
if __name__ == "__main__":
    with Workers(2) as crew:
        crew.map(abs, [1, 2, 3, 4], "work")
        print(*crew._pool._processes, flush=True)
        sys.stdin.read()
"""


def test_results_come_in_order_however_many_processes() -> None:
    with Workers(2) as crew:
        assert crew.map(abs, [-3, 1, -2], "work") == [3, 1, 2] == Workers().map(abs, [-3, 1, -2], "work")


def test_a_death_is_a_sentence_also_when_work_is_still_being_handed_out() -> None:
    with Workers(2) as crew:
        for _ in range(2):  # the second time the pool is broken from the start
            with pytest.raises(DataError, match="a worker process died during work .*--workers 1"):
                crew.map(os._exit, [1, 1], "work")


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert workers and all(running(pid) for pid in workers)
        parent.kill()
    end = time.monotonic() + 20
    while any(running(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.05)
    left = [pid for pid in workers if running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
