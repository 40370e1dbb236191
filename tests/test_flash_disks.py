"""scripts/flash on disks of a made-up sysfs: which it takes, which it refuses, and what it says of them."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import ROOT

SCRIPT = ROOT / "scripts" / "flash"
REFUSED = 3
MIB = 1 << 20
GB = 10**9
#: The Python that runs the tests is found first: a shim in its place costs more than all the rest.
ENVIRONMENT = dict(os.environ, PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "nano.img"
    path.write_bytes(bytes(5 * MIB))
    return path


class Machine:
    """A sysfs, a /dev and a /proc of which scripts/flash is made to believe that they are this machine's."""

    def __init__(self, folder: Path) -> None:
        self.sys, self.dev, self.proc = folder / "sys", folder / "dev", folder / "proc"
        for path in (self.sys / "class/block", self.sys / "dev/block", self.dev, self.proc / "self"):
            path.mkdir(parents=True)
        (self.proc / "self/mountinfo").write_text("")
        (self.proc / "swaps").write_text("Filename Type Size Used Priority\n")
        self._count = 0

    def disk(self, name: str, path: str, /, size: int = 32 * GB, removable: int = 0, ro: int = 0, **facts: str) -> None:
        """A whole disk; path: where its controller hangs, as in /sys/devices."""
        folder = self.sys / "devices" / path / "block" / name
        (folder / "holders").mkdir(parents=True)
        (folder / "device").symlink_to(self.sys / "devices" / path)
        for file, value in dict(size=size // 512, removable=removable, ro=ro).items():
            (folder / file).write_text(f"{value}\n")
        for file, value in facts.items():
            (folder / "device" / file).write_text(f"{value}\n")
        self._add(name, folder)

    def part(self, disk: str, name: str) -> None:
        folder = (self.sys / "class/block" / disk).resolve() / name
        (folder / "holders").mkdir(parents=True)
        (folder / "partition").write_text("1\n")
        self._add(name, folder)

    def mapped(self, name: str, on: str) -> None:
        """Encryption, LVM or RAID on a partition."""
        folder = self.sys / "devices/virtual/block" / name
        (folder / "slaves").mkdir(parents=True)
        (folder / "slaves" / on).symlink_to(self.sys / "class/block" / on)
        ((self.sys / "class/block" / on).resolve() / "holders" / name).symlink_to(folder)
        self._add(name, folder)

    def _add(self, name: str, folder: Path) -> None:
        self._count += 1
        (self.sys / "class/block" / name).symlink_to(folder)
        (self.sys / f"dev/block/8:{self._count}").symlink_to(folder)
        (folder / "dev").write_text(f"8:{self._count}\n")
        os.mkfifo(self.dev / name)  # no file; never opened: every test here ends in a refusal or a dry run

    def mount(self, name: str, point: str) -> None:
        number = (self.sys / "class/block" / name / "dev").read_text().strip()
        with open(self.proc / "self/mountinfo", "a") as file:
            file.write(f"36 35 {number} / {point} rw,noatime shared:1 - ext4 /dev/{name} rw\n")

    def mount_btrfs(self, name: str, point: str) -> None:
        """A file system with a device number of its own, which only its source tells."""
        with open(self.proc / "self/mountinfo", "a") as file:
            file.write(f"36 35 0:31 /@ {point} rw - btrfs /dev/{name} rw\n")

    def swap(self, name: str) -> None:
        with open(self.proc / "swaps", "a") as file:
            file.write(f"/dev/{name} partition 1024 0 -2\n")

    def call(self, *arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
        words = shlex.join(map(str, arguments))
        program = f". {SCRIPT}; sys={self.sys} dev={self.dev} proc={self.proc}; main {words}"
        return subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, input=typed,
                              env=ENVIRONMENT)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Built in: sda (its first part is /) and an eMMC. A card in a slot, a card on USB, a stick, an empty reader."""
    made = Machine(tmp_path / "machine")
    made.disk("sda", "pci0/ata1", size=500 * GB, vendor="ATA", model="Samsung SSD")
    made.part("sda", "sda1")
    made.part("sda", "sda2")
    made.mount("sda1", "/")
    made.disk("mmcblk0", "platform/mmc_host/mmc0/mmc0:0001", type="MMC", name="DF4064")
    made.disk("mmcblk1", "platform/mmc_host/mmc1/mmc1:aaaa", type="SD", name="SD32G")
    made.disk("sdb", "pci0/usb1/1-1/host6", removable=1, vendor="Generic", model="Card  Reader")
    made.part("sdb", "sdb1")
    made.disk("sdc", "pci0/usb1/1-2/host7", model="Stick")
    made.disk("sdd", "pci0/usb1/1-3/host8", size=0, removable=1, model="Empty Reader")
    return made


def try_on(machine: Machine, image: Path, name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    checksum = hashlib.sha256(image.read_bytes()).hexdigest()
    return machine.call(image, "--sha256", checksum, "--device", name, "--dry-run", *flags)


@pytest.mark.parametrize(
    "name, words", [("mmcblk1", "card, SD32G"), ("sdb", "usb, Generic Card Reader"), ("sdc", "usb")])
def test_cards_are_taken(machine: Machine, image: Path, name: str, words: str) -> None:
    good = try_on(machine, image, name)
    assert good.returncode == 0, good.stderr
    assert words in good.stdout
    assert "would run: write" in good.stdout


@pytest.mark.parametrize("name, words", [
    ("sda", "sda holds / of this machine"),
    ("sda1", "sda1 is a partition; give the whole disk: sda"),
    ("sdb1", "sdb1 is a partition; give the whole disk: sdb"),
    ("mmcblk0", "mmcblk0 is built in"),
    ("sdd", "there is no card in sdd"),
    ("sdz", "sdz; scripts/flash --list shows the disks"),
])
def test_what_is_no_card_is_refused(machine: Machine, image: Path, name: str, words: str) -> None:
    refused = try_on(machine, image, name, "--unmount")
    assert refused.returncode == REFUSED
    assert words in refused.stderr


@pytest.mark.parametrize("point", ["/", "/boot", "/boot/efi", "/usr", "/var/lib/data", "/home"])
def test_the_systems_own_disk_is_refused_on_usb_too(machine: Machine, image: Path, point: str) -> None:
    machine.mount("sdb1", point)
    refused = try_on(machine, image, "sdb", "--unmount")
    assert refused.returncode == REFUSED
    assert f"sdb holds {point} of this machine" in refused.stderr


def test_swap_btrfs_and_encryption_are_seen_through(machine: Machine, image: Path) -> None:
    machine.swap("sdb1")
    assert "sdb holds swap of this machine" in try_on(machine, image, "sdb").stderr
    machine.mount_btrfs("sdc", "/home")
    assert "sdc holds /home of this machine" in try_on(machine, image, "sdc").stderr
    machine.part("mmcblk1", "mmcblk1p1")
    machine.mapped("dm-0", "mmcblk1p1")
    assert "mmcblk1 is in use by dm-0" in try_on(machine, image, "mmcblk1").stderr
    machine.mount("dm-0", "/var")
    assert "mmcblk1 holds /var of this machine" in try_on(machine, image, "mmcblk1").stderr


def test_other_mounts_want_unmount(machine: Machine, image: Path) -> None:
    machine.mount("sdb1", "/media/me/my\\040card")
    refused = try_on(machine, image, "sdb")
    assert refused.returncode == REFUSED
    assert "sdb is mounted on /media/me/my\\040card" in refused.stderr and "add --unmount" in refused.stderr
    good = try_on(machine, image, "sdb", "--unmount")
    assert good.returncode == 0
    assert "umount /media/me/my\\ card" in good.stdout


def test_small_and_locked_cards_are_refused(machine: Machine, image: Path) -> None:
    machine.disk("sde", "pci0/usb1/1-4/host9", size=4 * MIB, removable=1)
    small = try_on(machine, image, "sde")
    assert small.returncode == REFUSED
    assert "sde holds 0.0 GB, and the image needs 0.0 GB" in small.stderr
    machine.disk("sdf", "pci0/usb1/1-5/host10", removable=1, ro=1)
    assert "sdf is write-protected" in try_on(machine, image, "sdf").stderr


def test_without_a_known_root_disk_all_are_refused(machine: Machine, image: Path) -> None:
    (machine.proc / "self/mountinfo").write_text("36 35 0:55 / / rw - overlay overlay rw,lowerdir=/a\n")
    refused = try_on(machine, image, "sdb")
    assert refused.returncode == REFUSED
    assert "cannot tell on which disk this system lies" in refused.stderr


def test_the_list_says_which_and_why_not(machine: Machine) -> None:
    shown = machine.call("--list")
    assert shown.returncode == 0
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert set(lines) == {"NAME", "sda", "mmcblk0", "mmcblk1", "sdb", "sdc", "sdd"}
    assert "500.0 GB" in lines["sda"] and "no: sda holds /" in lines["sda"]
    assert "Samsung SSD" in lines["sda"]
    assert "no: mmcblk0 is built in" in lines["mmcblk0"]
    assert "no: there is no card" in lines["sdd"]
    assert "no:" not in lines["mmcblk1"] + lines["sdb"] + lines["sdc"]
