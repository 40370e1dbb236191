"""edge.runtime.board on folders of files as a Nano and other machines have them."""

import os
from typing import Any, Dict

import pytest

from edge.runtime.board import GPU_NAME, Board, read_board, read_temperatures, read_trips

CONF = """# MAXN is the NONE power model to release all constraints
# < POWER_MODEL ID=0 NAME=COMMENT >
< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=5W >
CPU_ONLINE CORE_2 0
< PM_CONFIG DEFAULT=0 >
"""
GPU, ZONE = "sys/class/devfreq/57000000.gpu/", "sys/class/thermal/thermal_zone%d/"


def zone(number: int, kind: str, temp: str, *trips: Any) -> Dict[str, str]:
    files = {ZONE % number + "type": kind + "\n", ZONE % number + "temp": temp + "\n"}
    for index, (name, value) in enumerate(trips):
        files[ZONE % number + "trip_point_%d_type" % index] = name + "\n"
        files[ZONE % number + "trip_point_%d_temp" % index] = "%d\n" % value
    return files


def nano(**changes: str) -> Dict[str, str]:
    files = {
        "proc/device-tree/model": "NVIDIA Jetson Nano Developer Kit\0",
        "proc/meminfo": "MemTotal:  4059252 kB\nMemFree: 1 kB\nMemAvailable:  2457600 kB\n"
        "SwapTotal:  2029616 kB\nSwapFree:  2029600 kB\nHugePages_Total:  0\n",
        "proc/swaps": "Filename Type Size Used Priority\n/dev/zram0 partition 507404 0 5\n/dev/zram1 partition 5 0 5\n",
        "etc/nv_tegra_release": "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64\n",
        "etc/nvpmodel.conf": CONF, "var/lib/nvpmodel/status": "pmode:0000\n",
        GPU + "cur_freq": "614400000\n", GPU + "max_freq": "921600000\n",
        "sys/class/devfreq/nvdla0/cur_freq": "5\n",
        "sys/devices/system/cpu/online": "0-1,3\n",
    }  # fmt: skip
    for core, khz in enumerate((102000, 1224000, 1479000, 918000)):  # core 2 is off: its file does not count
        files["sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq" % core] = "%d\n" % khz
        files["sys/devices/system/cpu/cpu%d/cpufreq/scaling_max_freq" % core] = "1428000\n"
    # The trip points are those of the device tree of L4T 32.4.
    files.update(zone(0, "AO-therm", "41500", ("critical", 110000), ("active", -25000), ("active", 15000)))
    cpu = (("active", 66000), ("active", 86000), ("critical", 102000), ("hot", 100500), ("passive", 97000))
    files.update(zone(1, "CPU-therm", "34000", *cpu))
    files.update(zone(2, "GPU-therm", "31500", ("critical", 102500), ("hot", 101000), ("passive", 97500)))
    files.update(zone(3, "PLL-therm", "32500", ("passive", 70000)))
    files.update({ZONE % 3 + "cdev0/type": "tegra-dram\n", ZONE % 3 + "cdev0_trip_point": "0\n"})
    files.update({ZONE % 2 + "cdev0/type": "gpu-balanced\n", ZONE % 2 + "cdev0_trip_point": "2\n"})
    files.update(zone(4, "PMIC-Die", "100000", ("active", 120000)))
    files.update(zone(5, "thermal-fan-est", "33000", ("active", 30000)))
    files.update(changes)
    return files


def lay(root: Any, files: Dict[str, str]) -> str:
    for name, text in files.items():
        path = os.path.join(str(root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as handle:
            handle.write(text)
    return str(root)


def test_a_nano(tmp_path: Any) -> None:
    board = read_board(lay(tmp_path, nano()))
    assert board.model == "NVIDIA Jetson Nano Developer Kit" and board.l4t == "32.7.1" and board.power_mode == "MAXN"
    clocks = (board.gpu_mhz, board.gpu_max_mhz, board.cpu_mhz, board.cpu_max_mhz)
    assert clocks == pytest.approx((614.4, 921.6, 1224.0, 1428.0)) and board.cores == 3
    zones = {"AO-therm": 41.5, "CPU-therm": 34.0, "GPU-therm": 31.5, "PLL-therm": 32.5, "thermal-fan-est": 33.0}
    assert board.temperatures == zones
    assert board.hottest == ("AO-therm", 41.5)
    assert (board.memory_total_mib, board.memory_free_mib) == (3964, 2400)
    assert (board.swap_total_mib, board.swap_free_mib, board.zram) == (1982, 1982, True)


def test_a_machine_that_tells_nothing(tmp_path: Any) -> None:
    board = read_board(str(tmp_path))
    assert board == Board("", "", "", None, None, None, None, 0, {}, None, None, None, None, False)
    assert board.hottest is None


def test_this_very_machine_can_be_read() -> None:
    board = read_board()
    assert board.cores >= 1 and (board.memory_total_mib or 0) >= (board.memory_free_mib or 0) > 0


@pytest.mark.parametrize("status, name", [("pmode:0001\n", "5W"), ("pmode:0008 fmode:quiet", "mode 8"), ("x", "")])
def test_the_power_mode_has_its_name(tmp_path: Any, status: str, name: str) -> None:
    assert read_board(lay(tmp_path, nano(**{"var/lib/nvpmodel/status": status}))).power_mode == name


def test_swap_in_a_file_is_not_only_zram(tmp_path: Any) -> None:
    swaps = "Filename Type Size Used Priority\n/dev/zram0 partition 5 0 5\n/mnt/4GB.swap file 4194300 0 -2\n"
    assert not read_board(lay(tmp_path, nano(**{"proc/swaps": swaps}))).zram


@pytest.mark.parametrize(
    "name, is_gpu",
    [("57000000.gpu", 1), ("17000000.gpu", 1), ("17000000.gv11b", 1), ("17000000.gp10b", 1), ("17000000.ga10b", 1),
     ("gpu-gpc-0", 1), ("gpu.0", 1), ("gpu-nvd-0", 0), ("15880000.nvdla0", 0), ("bwmgr", 0), ("a.vic", 0)],
)  # fmt: skip
def test_the_gpu_is_known_by_its_name(name: str, is_gpu: int) -> None:
    assert bool(GPU_NAME.search(name)) == bool(is_gpu)


def test_the_gpu_under_devices(tmp_path: Any) -> None:
    root = lay(tmp_path, {"sys/devices/gpu.0/devfreq/57000000.gpu/cur_freq": "76800000"})
    assert read_board(root).gpu_mhz == pytest.approx(76.8) and read_board(root).gpu_max_mhz is None


def test_nonsense_temperatures_are_left_out_and_of_two_zones_the_hotter_counts(tmp_path: Any) -> None:
    files = zone(0, "cv0-thermal", "-256000")
    for other in (zone(1, "cpu", "x"), zone(2, "a", "40000"), zone(3, "a", "50000"), zone(4, "a", "45000")):
        files.update(other)
    root = lay(tmp_path, files)
    os.makedirs(os.path.join(root, ZONE % 5, "temp"))  # cannot be read, as a zone that is powered down
    assert read_temperatures(root) == {"a": 50.0}


def test_trip_points_are_those_that_slow_down(tmp_path: Any) -> None:
    files = nano()
    files.update(zone(7, "off", "40000", ("passive", -274000), ("passive", 0)))
    assert read_trips(lay(tmp_path, files)) == {"CPU-therm": 97.0, "GPU-therm": 97.5}
