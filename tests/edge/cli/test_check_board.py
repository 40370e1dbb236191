"""Doctor's lines on the machine: each on a Nano that is well, and on one that is not; and the whole on one screen."""

import sys
from typing import Any, Dict

import pytest

from edge.cli import check_board, checks
from edge.cli.check_board import check_heat, check_machine, check_memory, check_power, check_swap
from edge.cli.checks import OK, WARNING, Check
from edge.cli.doctor import report
from edge.runtime.board import read_board
from edge.settings import Settings
from tests.edge.helpers import TINY_BUNDLE
from tests.edge.runtime.test_board import ZONE, lay, nano, zone

CPU, COOLER = "sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq", "sys/class/thermal/cooling_device%d/"


def cooler(number: int, kind: str, state: int) -> Dict[str, str]:
    return {COOLER % number + "type": kind + "\n", COOLER % number + "cur_state": "%d\n" % state}


def lines(root: Any, **changes: str) -> Dict[str, Check]:
    """The lines by name, on a Nano with these files changed."""
    files = dict(nano(), **{CPU % core: "1428000\n" for core in range(4)})
    files.update({"proc/swaps": "Filename Type Size Used Priority\n/var/lib/carcloud/swap file 4194300 0 -2\n"})
    files.update(cooler(0, "pwm-fan", 3))
    files.update(changes)
    return {check.name: check for check in check_machine(lay(root, files))}


def test_a_nano_that_is_well(tmp_path: Any) -> None:
    found = lines(tmp_path)
    found.pop("disk")
    assert {check.level for check in found.values()} == {OK}
    assert {name: check.text for name, check in found.items()} == {
        "board": "NVIDIA Jetson Nano Developer Kit, L4T 32.7.1, 3 cores", "power": "mode MAXN",
        "heat": "CPU-therm at 34 C, slows down from 97 C on",
        "throttle": "nothing is slowed down; the CPU may run at 1428 of 1428 MHz",
        "memory": "2400 of 3964 MiB free", "swap": "1982 of 1982 MiB free",
    }  # fmt: skip


def test_a_machine_that_tells_nothing(tmp_path: Any) -> None:
    found = {check.name: check for check in check_machine(str(tmp_path))}
    found.pop("disk")
    assert {check.level for check in found.values()} == {OK}
    assert [found[name].text for name in ("board", "power", "heat", "throttle", "memory", "swap")] == [
        "no Jetson", "this machine has no power modes", "this machine tells no temperature",
        "this machine does not tell", "not known on this system", "not known on this system"]


def test_a_jetson_without_l4t_is_a_warning(tmp_path: Any) -> None:
    check = lines(tmp_path, **{"etc/nv_tegra_release": ""})["board"]
    assert check.level == WARNING and "no L4T release: /etc/nv_tegra_release is missing" in check.text
    assert check.fix.startswith("sudo apt-get install --reinstall nvidia-l4t-core")


ORIN = """< POWER_MODEL ID=0 NAME=15W >
< POWER_MODEL ID=1 NAME=7W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
"""


@pytest.mark.parametrize("conf, number, level, text, fix", [
    (None, 1, WARNING, "mode 5W, the slowest of this board", "sudo nvpmodel -m 0   (MAXN; needs a supply that can"),
    (ORIN, 0, OK, "mode 15W", ""), (ORIN, 2, OK, "mode MAXN_SUPER", ""), (ORIN, 7, OK, "mode 7", ""),
    (ORIN, 1, WARNING, "mode 7W, the slowest of this board", "sudo nvpmodel -m 2   (MAXN_SUPER; "),
])  # fmt: skip
def test_the_slowest_power_mode_is_a_warning(
    tmp_path: Any, conf: Any, number: int, level: str, text: str, fix: str
) -> None:
    changes = {"var/lib/nvpmodel/status": "pmode:%04d\n" % number}
    if conf is not None:
        changes["etc/nvpmodel.conf"] = conf
    root = lay(tmp_path, dict(nano(), **changes))
    check = check_power(read_board(root), root)
    assert (check.level, check.text) == (level, text) and check.fix.startswith(fix) and bool(check.fix) == bool(fix)


def test_a_zone_near_its_limit_is_a_warning_with_the_fan_where_there_is_one(tmp_path: Any) -> None:
    hot = zone(1, "CPU-therm", "90500", ("passive", 97000))
    check = lines(tmp_path / "a", **hot)["heat"]
    assert check.level == WARNING and check.text == "CPU-therm at 90 C, slows down from 97 C on"
    assert check.fix.startswith("sudo shutdown -h now")
    hot["sys/devices/pwm-fan/target_pwm"] = "0\n"
    assert lines(tmp_path / "b", **hot)["heat"].fix.startswith(
        "sudo sh -c 'echo 255 > /sys/devices/pwm-fan/target_pwm'")
    for degrees, level in (("89000", OK), ("91000", WARNING)):  # a machine that does not tell its limits
        root = lay(tmp_path / degrees, {ZONE % 0 + "type": "x86_pkg_temp\n", ZONE % 0 + "temp": degrees})
        assert check_heat(read_board(root), root).level == level


def test_throttling_by_the_kernel_is_a_warning_and_a_fan_is_none(tmp_path: Any) -> None:
    check = lines(tmp_path / "a", **cooler(1, "gpu-balanced", 2))["throttle"]
    assert check.level == WARNING and check.text == "the kernel slows it down: gpu-balanced at step 2" and check.fix
    quiet = dict(cooler(1, "gpu-balanced", 0), **cooler(2, "tegra-dram", 1))
    quiet.update(cooler(3, "intel_powerclamp", -1))
    assert lines(tmp_path / "b", **quiet)["throttle"].level == OK


def test_a_clock_below_what_the_processor_can_is_a_warning_unless_the_power_mode_says_so(tmp_path: Any) -> None:
    slow = {CPU % core: "1900000\n" for core in range(4)}
    check = lines(tmp_path / "a", **slow)["throttle"]
    assert check.level == WARNING and check.text == "the CPU may run at 1428 of 1900 MHz"
    assert check.fix.startswith("sudo jetson_clocks")
    slow["var/lib/nvpmodel/status"] = "pmode:0001\n"
    check = lines(tmp_path / "b", **slow)["throttle"]
    assert check.level == OK and check.text == "nothing is slowed down; the CPU may run at 1428 of 1900 MHz"


@pytest.mark.parametrize("free, level", [(599, WARNING), (601, OK)])
def test_little_memory_is_a_warning(tmp_path: Any, free: int, level: str) -> None:
    text = "MemTotal:  4096000 kB\nMemAvailable:  %d kB\nOdd:\n" % (free * 1024)
    check = check_memory(read_board(lay(tmp_path, {"proc/meminfo": text})))
    assert check.level == level and check.text.startswith("%d of 4000 MiB free" % free)
    assert ("systemctl isolate multi-user.target" in check.fix) == (level == WARNING)


@pytest.mark.parametrize("swap, total, release, level, text", [
    ("/dev/zram0 partition 5 0 5", 2000, "# R32 (release), REVISION: 7.1", WARNING, "only zram, which takes"),
    ("", 0, "# R32 (release), REVISION: 7.1", WARNING, "none; engines cannot be built on a board of this size"),
    ("/swapfile file 5 0 5", 4000, "# R32 (release), REVISION: 7.1", OK, "4000 of 4000 MiB free"),
    ("/dev/zram0 partition 5 0 5", 2000, "", OK, "2000 of 2000 MiB of zram free"), ("", 0, "", OK, "none"),
])  # fmt: skip
def test_a_small_board_needs_swap_that_is_not_memory(
    tmp_path: Any, swap: str, total: int, release: str, level: str, text: str
) -> None:
    check = check_swap(read_board(lay(tmp_path, {
        "proc/meminfo": "MemTotal: 4059252 kB\nSwapTotal: %d kB\nSwapFree: %d kB\n" % (total * 1024, total * 1024),
        "proc/swaps": "Filename Type Size Used Priority\n%s\n" % swap, "etc/nv_tegra_release": release + "\n"})))
    assert check.level == level and check.text.startswith(text)
    assert check.fix.startswith("sudo fallocate -l 4G") == (level == WARNING)


def test_a_full_disk_is_a_warning(monkeypatch: Any) -> None:
    monkeypatch.setattr(check_board, "DISK_MIB", 0)
    assert check_board.check_disk().level == OK
    monkeypatch.setattr(check_board, "DISK_MIB", 10**9)
    check = check_board.check_disk()
    assert check.level == WARNING and check.text.endswith(" MiB free here") and "apt-get clean" in check.fix


def test_the_report_of_a_board_in_a_bad_way_fits_on_one_screen(tmp_path: Any, monkeypatch: Any) -> None:
    changes = dict(zone(1, "CPU-therm", "96000", ("passive", 97000)), **cooler(1, "cpu-balanced", 3))
    changes.update({"proc/meminfo": "MemTotal: 4059252 kB\nMemAvailable: 90000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
                    "var/lib/nvpmodel/status": "pmode:0001\n", "proc/swaps": "Filename\n"})
    changes.update({"dev/video%d" % number: "" for number in range(5)})
    root = lay(tmp_path, dict(nano(), **changes))
    monkeypatch.setattr("edge.runtime.sources.gstreamer.missing_elements", lambda names: ["nvarguscamerasrc"])
    found = checks.run_checks(Settings(bundle=TINY_BUNDLE, threads=1, host="0.0.0.0", port=0), root)
    by_name = {check.name: check.level for check in found}
    for name in ("power", "heat", "throttle", "memory", "swap", "cameras", "camera"):
        assert by_name[name] == WARNING, name
    screen = report(found, False)
    assert len(screen) <= 40 and [line for line in screen if line.count("shutdown -h now")] == [screen[5]]
    assert [line for line in screen if len(line) > 120 and "to mend it" not in line] == []
    assert sys.version_info[:2] == (3, 6) or by_name["python"] == WARNING
