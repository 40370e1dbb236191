"""scripts/provision on a root file system in a folder, as a card."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edge.settings import load_settings
from tests.provision_files import ENVIRONMENT, SCRIPT, UNITS, make_card, make_wheels, tree
from tests.repository import ROOT

DEVICE = ROOT / "scripts" / "device"
FAILED, WRONG = 1, 2


@pytest.fixture
def card(tmp_path: Path) -> Path:
    return make_card(tmp_path / "card")


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    return make_wheels(tmp_path / "wheels")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pub"
    path.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB me@laptop\n")
    return path


def call(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(ENVIRONMENT, **environment))


# --- a card -------------------------------------------------------------------------------------------------------


def test_a_card_twice_and_undone(card: Path, wheels: Path, key: Path, tmp_path: Path) -> None:
    before = tree(card)
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    flags = ("--root", card, "--wheels", wheels, "--login", "me", "--ssh-key", key, "--password-file", secret,
             "--hostname", "nano1", "--wifi", "my net", "--wifi-password-file", secret, "--source", "v4l2:///dev/video0",
             "--ethernet", "192.168.1.20/24,192.168.1.1,9.9.9.9")
    done = call(*flags)
    assert done.returncode == 0, done.stderr
    after = tree(card)

    token = (card / "etc/carcloud/token").read_text().strip()
    assert len(token) == 32
    assert f"then open: http://192.168.1.20:8000/#token={token}" in done.stdout
    assert stat.S_IMODE((card / "etc/carcloud/token").stat().st_mode) == 0o600
    assert after[f"{UNITS}/default.target"] == "/lib/systemd/system/multi-user.target"
    assert after[f"{UNITS}/nvzramconfig.service"] == "/dev/null"
    first = "carcloud-firstboot.service"
    assert after[f"{UNITS}/multi-user.target.wants/{first}"] == f"/{UNITS}/{first}"
    assert f"{UNITS}/multi-user.target.wants/carcloud.service" not in after, "the first boot enables it"
    assert (card / "etc/hostname").read_text() == "nano1\n"
    assert (card / "etc/hosts").read_text() == "127.0.0.1\tlocalhost\n192.168.1.9\tprinter\n127.0.1.1\tnano1\n"
    assert after["etc/sudoers.d/carcloud"][0] == 0o440
    wifi = card / "etc/NetworkManager/system-connections/carcloud-wifi.nmconnection"
    assert stat.S_IMODE(wifi.stat().st_mode) == 0o600
    assert "ssid=my net\n" in wifi.read_text() and "psk=correct horse\n" in wifi.read_text()
    ethernet = wifi.with_name("carcloud-ethernet.nmconnection")
    assert stat.S_IMODE(ethernet.stat().st_mode) == 0o600
    assert "address1=192.168.1.20/24,192.168.1.1\ndns=9.9.9.9;\nmethod=manual\n" in ethernet.read_text()
    first = (card / "etc/carcloud/firstboot.env").read_text()
    assert "login=me\n" in first and "swap_gb=4\n" in first and "power_mode=0\n" in first
    assert re.search(r"^password=\$6\$[0-9a-f]{16}\$\S{80,}$", first, flags=re.MULTILINE)
    assert "correct horse" not in first + done.stdout + done.stderr
    assert stat.S_IMODE((card / "etc/carcloud/firstboot.env").stat().st_mode) == 0o600
    settings = load_settings(str(card / "etc/carcloud/settings.json"), environ={})
    assert settings.source == "v4l2:///dev/video0" and settings.allow_hosts == ("nano1", "nano1.local")
    assert settings.token_file == "/etc/carcloud/token" and settings.host == "0.0.0.0"
    assert sorted(p.name for p in (card / "opt/carcloud/wheels").iterdir()) == sorted(p.name for p in wheels.iterdir())
    assert os.access(card / "opt/carcloud/firstboot", os.X_OK)
    assert (card / "var/lib/carcloud/firstboot").exists()

    (card / "var/lib/carcloud/firstboot").unlink()  # as the first boot does
    after = tree(card)
    again = call(*flags)
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stdout
    assert tree(card) == after

    undone = call("--root", card, "--undo")
    assert undone.returncode == 0, undone.stderr
    assert tree(card) == before
    assert "nothing to change" in call("--root", card, "--undo").stdout


def test_a_dry_run_writes_nothing(card: Path, wheels: Path, key: Path) -> None:
    before = tree(card)
    dry = call("--root", card, "--wheels", wheels, "--login", "me", "--ssh-key", key, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "would write /etc/carcloud/token" in dry.stdout and "nothing was written" in dry.stdout
    assert tree(card) == before


def test_a_dry_run_does_not_guess_at_packages(card: Path, wheels: Path, key: Path, tmp_path: Path) -> None:
    """It cannot know what will be in the folder of packages, so it must not say that those there are given back."""
    flags = ("--root", card, "--login", "me", "--ssh-key", key)
    assert call(*flags, "--wheels", wheels).returncode == 0
    after = tree(card)
    fetch = call(*flags, "--swap", "0", "--dry-run", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert fetch.returncode == 0, fetch.stderr
    assert "would build the device wheel, and fetch the wheels of constraints-py36.txt for Python 3.6" in fetch.stdout
    assert "would write /etc/carcloud/firstboot.env" in fetch.stdout
    assert f"would give back /{UNITS}/var-lib-carcloud-swap.swap" in fetch.stdout
    assert "/opt/carcloud/wheels/" not in fetch.stdout
    assert tree(card) == after and not (tmp_path / "cache").exists()


def test_what_is_not_wanted_any_more_is_given_back(card: Path, wheels: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "psk").write_text("correct horse\n")
    (tmp_path / "token").write_text("a-token-of-my-own-1\n")
    flags = ("--root", card, "--wheels", wheels, "--login", "me", "--ssh-key", key)
    wifi = ("--wifi", "net", "--wifi-password-file", tmp_path / "psk")
    assert "then open: http://nano1.local:8000/#token=" in call(*flags, "--hostname", "nano1", *wifi).stdout
    (card / "var/lib/carcloud/firstboot").unlink()
    less = call(*flags, "--swap", "0", "--desktop", "--power-mode", "1", "--token-file", tmp_path / "token")
    assert less.returncode == 0, less.stderr
    found = tree(card)
    assert "etc/NetworkManager/system-connections/carcloud-wifi.nmconnection" not in found
    assert (card / "etc/hostname").read_text() == "localhost.localdomain\n"
    assert found[f"{UNITS}/default.target"] == "nv-oem-config.target"
    assert f"{UNITS}/var-lib-carcloud-swap.swap" not in found
    assert "power_mode=1\n" in (card / "etc/carcloud/firstboot.env").read_text()
    assert (card / "etc/carcloud/token").read_text() == "a-token-of-my-own-1\n"
    assert (card / "var/lib/carcloud/firstboot").exists(), "the board has to look at what is new"


def test_undo_after_the_first_boot(card: Path, wheels: Path, key: Path) -> None:
    """What the first boot makes goes, too; what somebody else made or changed stays, aloud."""
    before = tree(card)
    flags = ("--root", card, "--wheels", wheels, "--login", "me", "--ssh-key", key, "--hostname", "nano1")
    assert call(*flags).returncode == 0
    (card / "opt/carcloud/lib/edge").mkdir(parents=True)
    (card / "var/lib/carcloud/swap").write_bytes(bytes(4096))
    (card / "var/lib/carcloud/made").write_text("me\n")
    (card / UNITS / "multi-user.target.wants/carcloud.service").symlink_to(f"/{UNITS}/carcloud.service")
    (card / "etc/hosts").write_text("127.0.0.1 localhost elsewhere\n")
    (card / "etc/carcloud/mine").write_text("mine\n")
    undone = call("--root", card, "--undo")
    assert undone.returncode == 0, undone.stderr
    assert "the account me stays" in undone.stdout and "userdel --remove me" in undone.stdout
    assert "/etc/hosts was changed since" in undone.stdout
    assert "/etc/carcloud stays: somebody else put mine there" in undone.stdout
    found = tree(card)
    assert found.pop("etc/hosts.carcloud-saved")[1] == b"127.0.0.1 localhost elsewhere\n"
    assert found.pop("etc/carcloud") == "folder" and found.pop("etc/carcloud/mine")
    assert found == before


# --- interrupted --------------------------------------------------------------------------------------------------

#: Ends the process, as a power cut does, at the Nth file that is put in its place, right before or right after it.
CUT = """
import os, sys
import apply
left, after = int(sys.argv.pop(1)), sys.argv.pop(1) == "after"
replace = os.replace
def cut(*names):
    global left
    left -= 1
    if left < 0 and not after:
        os._exit(9)
    replace(*names)
    if left < 0:
        os._exit(9)
os.replace = cut
os.sync = lambda: None  # of the whole machine, which has other things to do
os.fsync = lambda handle: None
sys.exit(apply.main())
"""


def apply_cut(number: int, when: str, *arguments: object) -> int:
    command = [sys.executable, "-c", CUT, str(number), when, *map(str, arguments)]
    environment = dict(os.environ, PYTHONPATH=str(DEVICE), PYTHONDONTWRITEBYTECODE="1")
    return subprocess.run(command, stdout=subprocess.DEVNULL, timeout=60, env=environment).returncode


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_power_cut_anywhere_is_recovered(card: Path, tmp_path: Path, when: str) -> None:
    stage = tmp_path / "stage"
    (stage / "etc/carcloud").mkdir(parents=True)
    (stage / "etc/carcloud/token").write_text("a-token-of-my-own-1\n")
    (stage / "etc/hostname").write_text("nano1\n")
    (stage / UNITS).mkdir(parents=True)
    (stage / UNITS / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    before = tree(card)
    assert apply_cut(99, when, "apply", stage, card) == 0
    good = tree(card)
    assert apply_cut(99, when, "undo", card) == 0
    cuts = 0
    while apply_cut(cuts, when, "apply", stage, card) == 9:
        cuts += 1
        if cuts % 2:  # undone from there
            assert apply_cut(99, when, "undo", card) == 0
            assert tree(card) == before
        else:  # or finished from there
            assert apply_cut(99, when, "apply", stage, card) == 0
            assert tree(card) == good
            assert apply_cut(0, when, "undo", card) == 9
            assert apply_cut(99, when, "undo", card) == 0
            assert tree(card) == before
    assert cuts >= 8, "the cuts are not in the middle"


def test_a_power_cut_in_another_run_is_recovered_by_the_first_one(card: Path, tmp_path: Path) -> None:
    """Back to the first flags after a cut: no half of a file stays, and undo takes nobody else's change for ours."""
    first, second = tmp_path / "first", tmp_path / "second"
    for stage, name in ((first, "nano1\n"), (second, "nano2\n")):
        (stage / "etc/carcloud").mkdir(parents=True)
        (stage / "etc/carcloud/firstboot.env").write_text(name)
        (stage / "etc/hostname").write_text(name)
    before = tree(card)
    assert apply_cut(99, "before", "apply", first, card) == 0
    good = tree(card)
    cuts = 0
    while apply_cut(cuts, "before", "apply", second, card) == 9:
        cuts += 1
        assert tree(card) != good
        assert apply_cut(99, "before", "apply", first, card) == 0
        assert tree(card) == good
    assert cuts == 5, "the flag, and for both files the manifest and the file"
    assert apply_cut(3, "before", "apply", first, card) == 9
    assert apply_cut(99, "before", "apply", second, card) == 0
    assert apply_cut(99, "before", "undo", card) == 0
    assert tree(card) == before


# --- refused ------------------------------------------------------------------------------------------------------


def test_no_jetson(card: Path, wheels: Path, key: Path) -> None:
    flags = ("--root", card, "--wheels", wheels, "--login", "me", "--ssh-key", key, "--dry-run")
    (card / "etc/nv_tegra_release").write_text("# R32 (release), REVISION: 6.1\n")
    old = call(*flags)
    assert old.returncode == FAILED and "update to JetPack 4.6.1" in old.stderr
    (card / "etc/nv_tegra_release").unlink()
    other = call(*flags)
    assert other.returncode == FAILED and "is no Jetson's root file system" in other.stderr
    orin = call(*flags, "--target", "orin-jp6")
    assert orin.returncode == 0 and "orin-jp6, Python 3.10" in orin.stdout
    no_board = call(*flags, "--target", "cpu")
    assert no_board.returncode == FAILED and "cpu is no board" in no_board.stderr


def test_a_card_nobody_could_log_in_to(card: Path, wheels: Path) -> None:
    before = tree(card)
    refused = call("--root", card, "--wheels", wheels)
    assert refused.returncode == WRONG
    assert "nobody could log in" in refused.stderr and "--login NAME --ssh-key FILE" in refused.stderr
    assert tree(card) == before
    with open(card / "etc/passwd", "a") as file:
        file.write("me:x:1000:1000::/home/me:/bin/bash\n")
    assert call("--root", card, "--wheels", wheels, "--dry-run").returncode == 0


def test_a_link_that_leads_out_of_the_card(card: Path, wheels: Path, key: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (card / "opt").rmdir()
    (card / "opt").symlink_to(outside)
    refused = call("--root", card, "--wheels", wheels, "--login", "me", "--ssh-key", key)
    assert refused.returncode == FAILED
    assert "/opt of" in refused.stderr and "is a link; nothing is written through it" in refused.stderr
    assert list(outside.iterdir()) == []


def test_a_manifest_of_another_version(card: Path) -> None:
    (card / "var/lib/carcloud").mkdir()
    (card / "var/lib/carcloud/provision.json").write_text(json.dumps({"version": 99}))
    refused = call("--root", card, "--undo")
    assert refused.returncode == FAILED and "is of another version of scripts/provision" in refused.stderr


def test_wheels_without_the_devices_own(card: Path, wheels: Path, key: Path) -> None:
    next(wheels.glob("carcloud-*")).unlink()
    refused = call("--root", card, "--wheels", wheels, "--login", "me", "--ssh-key", key)
    assert refused.returncode == FAILED and "holds no wheel of carcloud" in refused.stderr


def test_help() -> None:
    shown = call("--help")
    assert shown.returncode == 0
    assert shown.stdout.startswith("usage: scripts/provision")


@pytest.mark.parametrize("arguments, words", [
    ([], "where to? --root FOLDER for a card, --host USER@BOARD for a running board"),
    (["--root", "{card}", "--host", "me@nano"], "--root or --host, one of them"),
    (["--root", "/"], "--root / is this machine itself"),
    (["--fast"], "unknown flag --fast; scripts/provision --help lists them"),
    (["--root"], "--root wants something after it"),
    (["--root", "{card}", "--token-file", "nothing"], "--token-file: there is no file nothing"),
    (["--root", "{card}", "--login", "Me"], "'Me' is no name of an account"),
    (["--root", "{card}", "--login", "me"], "how may me log in? --ssh-key FILE, --password-file FILE, or both"),
    (["--root", "{card}", "--hostname", "nano_1"], "'nano_1' is no name of a machine"),
    (["--root", "{card}", "--swap", "much"], "--swap wants GB, 0 to 99"),
    (["--root", "{card}", "--port", "80"], "--port wants 1024 to 65535"),
    (["--root", "{card}", "--power-mode", "max"], "--power-mode wants a number"),
    (["--root", "{card}", "--ssh-key", "{short}"], "is no public key"),
    (["--root", "{card}", "--token-file", "{short}"], "must hold one word of at least 16"),
    (["--root", "{card}", "--wifi-address", "10.0.0.5/24,10.0.0.1"], "which network? --wifi SSID belongs to"),
    (["--root", "{card}", "--ethernet", "192.168.1.20"], "--ethernet wants ADDRESS/PREFIX,GATEWAY[,DNS]"),
    (["--root", "{card}", "--wifi", "a", "--wifi-address", "10.0.0.5/24,10.1.0.1"], "is not in 10.0.0.0/24"),
    (["--root", "{card}", "--wifi", "a", "--wifi-password-file", "{short}"], "has 5 characters; WPA wants 8 to 63"),
])
def test_wrong_flags(card: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    short = tmp_path / "short"
    short.write_text("short\n")
    wrong = call(*[word.format(card=card, short=short) for word in arguments])
    assert wrong.returncode == WRONG
    assert words in wrong.stderr
