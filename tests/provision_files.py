"""What the tests of scripts/provision share: a root file system, a folder of packages, and what lies in a folder."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from tests.repository import ROOT

SCRIPT = ROOT / "scripts" / "provision"
UNITS = "etc/systemd/system"
ENVIRONMENT = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def tree(folder: Path) -> dict[str, object]:
    """All that is in a folder: files with mode and content, links with their goal, folders."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_dir():
            found[name] = "folder"
        else:
            found[name] = (stat.S_IMODE(path.stat().st_mode), path.read_bytes())
    return found


def make_card(made: Path) -> Path:
    """What matters of a Jetson Nano's root file system before its first boot."""
    for folder in (UNITS + "/multi-user.target.wants", "var/lib", "opt", "usr/local/bin",
                   "etc/NetworkManager/system-connections"):
        (made / folder).mkdir(parents=True)
    (made / "etc/nv_tegra_release").write_text("# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref\n")
    (made / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n")
    (made / "etc/hostname").write_text("localhost.localdomain\n")
    (made / "etc/hosts").write_text("127.0.0.1\tlocalhost\n127.0.1.1\tnano-desktop\n192.168.1.9\tprinter\n")
    (made / UNITS / "default.target").symlink_to("nv-oem-config.target")
    (made / UNITS / "nvzramconfig.service").write_text("[Unit]\nDescription=ZRAM configuration\n")
    return made


def make_wheels(folder: Path) -> Path:
    """Packages by name, to be given as --wheels."""
    folder.mkdir()
    for name in ("carcloud-0.1.0-py3-none-any", "Flask-2.0.3-py3-none-any", "pip-21.3.1-py3-none-any"):
        (folder / f"{name}.whl").write_text(name)
    return folder
