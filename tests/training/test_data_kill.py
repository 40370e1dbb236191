"""kill -9 in the middle of making shards, several times, at parent and workers: the result is as without it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.repository import ROOT
from tests.training import data_samples
from tests.training.data_samples import cars, contents
from training.data.generate import generate
from training.data.shards import read_index, read_meta

SETTINGS = replace(data_samples.SETTINGS, variants=3)


def start(folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.data_samples", str(folder), str(SETTINGS.variants)], cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )


def workers_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            ours = int(stat.read_text().rpartition(")")[2].split()[1]) == parent
            if ours and b"spawn_main" in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
        except (OSError, ValueError):
            continue  # it ended while we looked
    return found


def wait_for(what: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.002)


def writes(folder: Path, shards: int) -> bool:
    """Whether a shard is being written, or there are more than there were. (The index has its .part, too.)"""
    return any(folder.glob("*.tar.*.part")) or len(list(folder.glob("*.tar"))) > shards


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.slow
def test_killed_runs_leave_only_whole_shards_and_end_the_same(tmp_path):
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "killed"
    generate(undisturbed, cars(), SETTINGS, workers=2)
    folder.mkdir()
    rng, ended = random.Random(7), []
    for target in ("parent", "worker", "parent"):
        shards = len(list(folder.glob("*.tar")))
        process = start(folder)
        # From the first sign of writing on, at a random moment.
        wait_for(lambda: writes(folder, shards) or process.poll() is not None, 60)  # noqa: B023
        time.sleep(rng.uniform(0, 0.3))
        workers = workers_of(process.pid)
        if target == "parent":
            process.kill()
        elif workers:
            os.kill(workers[0], signal.SIGKILL)
        ended.append(process.wait(60))
        wait_for(lambda: all(map(gone, workers)), 20)  # noqa: B023
        for path in folder.glob("*.tar"):
            assert path.read_bytes() == (undisturbed / path.name).read_bytes(), "what has its name is whole"
            assert read_meta(path)["name"] == path.stem
        for entry in read_index(folder)["shards"]:
            assert (folder / entry["file"]).stat().st_size == entry["bytes"], "nothing unfinished is listed"
    assert ended[0] == -signal.SIGKILL, "killed before it was done"
    outcome = generate(folder, cars(), SETTINGS, workers=1)
    assert not outcome.left_out and len(outcome.entries) == 5
    assert contents(folder) == contents(undisturbed)
