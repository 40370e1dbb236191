"""What systemd and sudo are given on a board: accepted by their own checkers where these are, and fit for JetPack 4."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.repository import ROOT

DEVICE = ROOT / "scripts" / "device"


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze comes with systemd")
    command = tmp_path / "carcloud"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    for unit in (DEVICE / "units").iterdir():
        text = re.sub(r"^(ExecStart=)\S+", rf"\g<1>{command}", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    units = sorted(map(str, tmp_path.glob("*.s*")))
    assert len(units) == 3
    verify = ["systemd-analyze", "verify", "--man=no"]
    verdict = subprocess.run([*verify, *units], capture_output=True, text=True, timeout=60)
    assert verdict.returncode == 0, verdict.stderr
    assert [line for line in verdict.stderr.splitlines() if str(tmp_path) in line] == []
    (tmp_path / "carcloud.service").write_text("[Service]\nType=nonsense\nExecStrat=/bin/true\n")
    bad = subprocess.run([*verify, str(tmp_path / "carcloud.service")], capture_output=True, text=True, timeout=60)
    assert "ExecStrat" in bad.stderr, "it would accept anything"


#: Options of the units that came after systemd 237, JetPack 4's.
NEWER_OPTIONS = {
    "ProtectHostname", "ProtectClock", "ProtectKernelLogs", "ProtectProc", "ProcSubset", "RestrictSUIDSGID",
    "NoExecPaths", "ExecPaths", "TimeoutStartFailureMode", "RestartMode", "RestartSteps", "ExecCondition", "OOMPolicy",
}
#: Options that forbid a process to become root, and with it the one command it may run by sudo.
NO_SUDO = {
    "NoNewPrivileges", "PrivateDevices", "ProtectKernelTunables", "ProtectKernelModules", "MemoryDenyWriteExecute",
    "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "LockPersonality", "SystemCallFilter",
    "SystemCallArchitectures", "DynamicUser",
}


def test_the_units_fit_systemd_237_and_sudo() -> None:
    for unit in (DEVICE / "units").iterdir():
        used = set(re.findall(r"^(\w+)=", unit.read_text(), flags=re.MULTILINE))
        assert used & (NEWER_OPTIONS | NO_SUDO) == set(), unit.name
    server = (DEVICE / "units/carcloud.service").read_text()
    for line in ("Environment=OPENBLAS_CORETYPE=ARMV8", "Restart=on-failure", "StartLimitBurst=", "User=carcloud",
                 "After=nvargus-daemon.service network-online.target"):
        assert line in server


def test_the_server_is_watched_and_not_given_up_when_it_hangs_again_and_again() -> None:
    server = dict(re.findall(r"^(\w+)=(.*)$", (DEVICE / "units/carcloud.service").read_text(), flags=re.MULTILINE))
    assert (server["Type"], server["NotifyAccess"]) == ("notify", "main"), "the wrapper execs Python: one process"
    assert "\nexec " in (DEVICE / "carcloud").read_text()
    patience = int(server["WatchdogSec"])
    assert patience // 2 > 40 + 2, "a camera that is opened keeps nobody that long, but may"
    assert patience * int(server["StartLimitBurst"]) > int(server["StartLimitIntervalSec"])
    assert int(server["TimeoutStartSec"]) > patience
    first = (DEVICE / "units/carcloud-firstboot.service").read_text()
    assert "Type=oneshot" in first and "\nTimeoutStartSec=" in first and "\nWatchdogSec=" not in first


def test_sudo_accepts_the_rule(tmp_path: Path) -> None:
    rule = (DEVICE / "sudoers").read_text()
    granted = [line for line in rule.splitlines() if line and not line.startswith("#")]
    assert granted == ["carcloud ALL=(root) NOPASSWD: /bin/systemctl restart nvargus-daemon, "
                       "/usr/bin/systemctl restart nvargus-daemon"]
    if not shutil.which("visudo"):
        pytest.skip("visudo comes with sudo")
    assert subprocess.run(["visudo", "-cf", str(DEVICE / "sudoers")], capture_output=True).returncode == 0
