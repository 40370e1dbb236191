"""scripts/device/wheels.bash with a stand-in for pip: what is fetched and built, and only when it must."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT

#: scripts/device/wheels.bash as scripts/provision uses it, but for pip: that writes its name and the date to a log.
PROGRAM = """
set -euo pipefail
. {root}/scripts/lib.bash; . {root}/scripts/device/wheels.bash
quiet_pip() {{
    local log={top}/log verb=$1
    echo "$verb ${{SOURCE_DATE_EPOCH:-}}" >>$log
    while [ "$1" != --dest ] && [ "$1" != --wheel-dir ]; do shift; done
    case $verb in
        wheel) echo $RANDOM >"$2/carcloud-0.1.0-py3-none-any.whl" ;;
        download) : >"$2/pip-21.3.1-py3-none-any.whl" ;;
    esac
    [ ! -e {top}/fails-$verb ]
}}
python={python} version=3.6 target=nano-jp46 wheels= scratch={top}/scratch stage={top}/stage
wanted_pins() {{ cat {top}/pins; }}
root={top}/tree
rm -rf $stage; mkdir -p $scratch
stage_wheels
"""


class Workstation:
    """A small checkout, a cache, and what pip was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.tree = folder, folder / "tree"
        (self.tree / "edge/__pycache__").mkdir(parents=True)
        for name in ("edge/__init__.py", "edge/bundle.onnx", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
            (self.tree / name).write_text(name)
        (folder / "pins").write_text("flask==2.0.3\n")

    def provision(self, *, dry: bool = False) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        """Stage the packages; what pip did meanwhile."""
        log = self.folder / "log"
        log.write_text("")
        program = PROGRAM.format(root=ROOT, top=self.folder, python=sys.executable)
        environment = dict(os.environ, XDG_CACHE_HOME=str(self.folder / "cache"), DRY_RUN=str(int(dry)))
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=120, env=environment)
        return done, log.read_text().split("\n")[:-1]

    def staged(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in (self.folder / "stage/opt/carcloud/wheels").iterdir()}


@pytest.fixture
def workstation(tmp_path: Path) -> Workstation:
    return Workstation(tmp_path)


FETCH = ["download ", "download "]
BUILD = ["wheel 1577836800"]


def test_fetched_and_built_once(workstation: Workstation) -> None:
    done, asked = workstation.provision()
    assert done.returncode == 0, done.stderr
    assert asked == FETCH + BUILD
    first = workstation.staged()
    assert sorted(first) == ["carcloud-0.1.0-py3-none-any.whl", "pip-21.3.1-py3-none-any.whl"]
    (workstation.tree / "edge/__pycache__/x.pyc").write_text("compiled")
    os.utime(workstation.tree / "edge/__init__.py", (1, 1))
    done, asked = workstation.provision()
    assert asked == [] and workstation.staged() == first, "the same sources, the same wheel"
    done, asked = workstation.provision(dry=True)
    assert done.returncode == 0 and asked == [] and workstation.staged() == first


@pytest.mark.parametrize("name", ["edge/__init__.py", "edge/bundle.onnx", "edge/new.py", "pyproject.toml", "README.md"])
def test_built_again_after_a_change(workstation: Workstation, name: str) -> None:
    assert workstation.provision()[0].returncode == 0
    (workstation.tree / name).write_text("changed")
    assert workstation.provision()[1] == BUILD
    assert workstation.provision()[1] == []


def test_fetched_again_after_other_pins(workstation: Workstation) -> None:
    assert workstation.provision()[0].returncode == 0
    (workstation.folder / "pins").write_text("flask==2.0.2\n")
    assert workstation.provision()[1] == FETCH + BUILD


@pytest.mark.parametrize("verb, words", [("download", "the wheels could not be fetched"),
                                         ("wheel", "the device wheel could not be built")])
def test_what_failed_is_tried_again(workstation: Workstation, verb: str, words: str) -> None:
    """What a failed or cut run left in the cache is not taken for whole."""
    (workstation.folder / f"fails-{verb}").touch()
    done, _ = workstation.provision()
    assert done.returncode == 1 and words in done.stderr
    (workstation.folder / f"fails-{verb}").unlink()
    done, asked = workstation.provision()
    assert done.returncode == 0 and asked == (FETCH if verb == "download" else []) + BUILD


def test_a_dry_run_fetches_nothing(workstation: Workstation) -> None:
    done, asked = workstation.provision(dry=True)
    assert done.returncode == 0 and asked == []
    assert "would build the device wheel, and fetch the wheels" in done.stdout
    assert not (workstation.folder / "cache").exists()
