"""What this machine is and how it is doing: model, power mode, clocks, temperatures, memory.

Everything is read from files that the kernel, L4T and nvpmodel keep, without root and without starting a program. The
paths are those of the kernel's documentation, of a Nano's device tree and of published logs of Jetsons; the module was
not tried on a board.
"""

import glob
import os
import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from edge.targets import l4t_version

#: Names of the GPU under ``/sys/class/devfreq``: 57000000.gpu (Nano), 17000000.gp10b, .gv11b, .ga10b or .gpu (TX2,
#: Xavier, Orin), gpu-gpc-0 (Thor, whose gpu-nvd-0 is the video engine).
GPU_NAME = re.compile(r"(^|\.)gpu(-gpc-\d+|\.\d+)?$|\.g[abpv]\d+b$")
#: Degrees C between which a temperature is believed: zones that are powered down tell -256, disabled ones -274.
BELIEVED = (-40.0, 150.0)
#: Trip points at which the kernel slows the machine down; at "active" ones a fan starts, at "critical" it goes off.
SLOWING = ("passive", "hot")
#: Types of the cooling devices by which the kernel slows CPU or GPU down; fans, memory and screens are none of them.
SLOWED = re.compile(r"cpu|gpu|processor|balanced|emergency|throttl", re.IGNORECASE)


class Board(NamedTuple):
    """A machine. What it does not tell is "" or None (no cores: 0).

    model: as the board calls itself, "" on a PC. l4t: release of Jetson Linux, "32.7.1". power_mode: nvpmodel's name
    of the mode in force, "MAXN"; "mode 3" if only its number is known.
    gpu_mhz, cpu_mhz: clocks now, of the CPU the highest of the cores that are on. gpu_max_mhz, cpu_max_mhz: what the
    power mode (and, while the machine is too hot, the kernel) allows. cores: those that are on.
    temperatures: degrees C by zone. zram: all swap is compressed memory, so it makes no room for big weights.
    """

    model: str
    l4t: str
    power_mode: str
    gpu_mhz: Optional[float]
    gpu_max_mhz: Optional[float]
    cpu_mhz: Optional[float]
    cpu_max_mhz: Optional[float]
    cores: int
    temperatures: Dict[str, float]
    memory_total_mib: Optional[int]
    memory_free_mib: Optional[int]
    swap_total_mib: Optional[int]
    swap_free_mib: Optional[int]
    zram: bool

    @property
    def hottest(self) -> Optional[Tuple[str, float]]:
        """The hottest zone and its degrees C."""
        return max(self.temperatures.items(), key=lambda item: item[1]) if self.temperatures else None


def read_board(root: str = "/") -> Board:
    """This machine now. root: where ``sys``, ``proc``, ``etc`` and ``var`` lie."""
    memory = _memory(root)
    clocks = read_clocks(root)
    return Board(
        model=(_read(root, "proc/device-tree/model") or "").strip("\0\n "),
        l4t=l4t_version(os.path.join(root, "etc/nv_tegra_release")),
        power_mode=_power_mode(root),
        cores=len(online_cores(root)),
        temperatures=read_temperatures(root),
        memory_total_mib=memory.get("MemTotal"),
        memory_free_mib=memory.get("MemAvailable"),
        swap_total_mib=memory.get("SwapTotal"),
        swap_free_mib=memory.get("SwapFree"),
        zram=_only_zram(root),
        **clocks._asdict()
    )


class Clocks(NamedTuple):
    """MHz, as in :class:`Board`."""

    gpu_mhz: Optional[float]
    gpu_max_mhz: Optional[float]
    cpu_mhz: Optional[float]
    cpu_max_mhz: Optional[float]


def read_clocks(root: str = "/") -> Clocks:
    """The clocks now and what they may be."""
    gpu = _gpu_folder(root)
    now, most = (None if gpu is None else _number(root, gpu, name, 1e-6) for name in ("cur_freq", "max_freq"))
    folders = ["sys/devices/system/cpu/cpu%d/cpufreq" % core for core in online_cores(root)]
    cores, limits = (
        [value for value in (_number(root, folder, name, 1e-3) for folder in folders) if value is not None]
        for name in ("scaling_cur_freq", "scaling_max_freq")
    )
    return Clocks(now, most, max(cores, default=None), max(limits, default=None))


def cpu_hardware_mhz(root: str = "/") -> Optional[float]:
    """The highest clock of the cores that are on, whatever the power mode allows; None where it is not told."""
    folders = ["sys/devices/system/cpu/cpu%d/cpufreq" % core for core in online_cores(root)]
    found = [_number(root, folder, "cpuinfo_max_freq", 1e-3) for folder in folders]
    return max((value for value in found if value is not None), default=None)


def read_cooling(root: str = "/") -> Dict[str, int]:
    """The step that each cooling device which slows CPU or GPU down is at, by its type; 0 is full speed."""
    found: Dict[str, int] = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(root), "sys/class/thermal/cooling_device*"))):
        folder = "sys/class/thermal/" + os.path.basename(path)
        name, state = (_read(root, folder + "/type") or "").strip(), _number(root, folder, "cur_state", 1)
        if SLOWED.search(name) and state is not None and state >= 0:
            found[name] = max(int(state), found.get(name, 0))
    return found


def power_modes(root: str = "/") -> Dict[int, str]:
    """Names of nvpmodel's modes by their numbers; {} on machines without it."""
    conf = _read(root, "etc/nvpmodel.conf") or ""
    return {int(key): name for key, name in
            re.findall(r"^\s*<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)", conf, re.MULTILINE)}


def online_cores(root: str = "/") -> List[int]:
    """Numbers of the cores that are on, from a list like ``0-1,3``; [] where the kernel does not tell."""
    cores: List[int] = []
    for part in (_read(root, "sys/devices/system/cpu/online") or "").strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            cores += range(int(first), int(last or first) + 1)
    return cores


def read_temperatures(root: str = "/") -> Dict[str, float]:
    """Degrees C by the type of the thermal zone; of zones of the same type the hottest. Without the PMIC, which always
    tells 100 on a Nano, and without zones that cannot be read or tell nonsense."""
    found: Dict[str, float] = {}
    for folder in _zones(root):
        name, degrees = (_read(root, folder + "/type") or "").strip(), _number(root, folder, "temp", 1e-3)
        if name and "pmic" not in name.lower() and degrees is not None and BELIEVED[0] < degrees < BELIEVED[1]:
            found[name] = max(degrees, found.get(name, degrees))
    return found


def read_trips(root: str = "/") -> Dict[str, float]:
    """Degrees C by the type of the zone, from which the kernel slows CPU or GPU down because of that zone: its lowest
    trip point of type passive or hot. Zones without one are left out.

    A Nano has them at 97 (CPU-therm) and 97.5 (GPU-therm). It has another at 70 (PLL-therm) that only refreshes the
    memory more often; a point whose every cooling device is the memory's does not count.
    """
    found: Dict[str, float] = {}
    for folder in _zones(root):
        name = (_read(root, folder + "/type") or "").strip()
        cooled_by = _cooling_devices(root, folder)
        for path in glob.glob(os.path.join(glob.escape(root), folder, "trip_point_*_temp")):
            point = os.path.basename(path)[: -len("_temp")]
            degrees = _number(root, folder, point + "_temp", 1e-3)
            kind = (_read(root, "%s/%s_type" % (folder, point)) or "").strip()
            devices = cooled_by.get(point[len("trip_point_") :], [])
            slows = kind in SLOWING and not (devices and all("dram" in device for device in devices))
            if name and slows and degrees is not None and 0 < degrees < BELIEVED[1]:
                found[name] = min(degrees, found.get(name, degrees))
    return found


def _read(root: str, path: str) -> Optional[str]:
    """A small file's text; None where it is not there or cannot be read: a zone that is powered down gives EAGAIN."""
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return None


def _number(root: str, folder: str, name: str, scale: float) -> Optional[float]:
    text = (_read(root, "%s/%s" % (folder, name)) or "").strip()
    return int(text) * scale if re.match(r"-?\d+$", text) else None


def _zones(root: str) -> List[str]:
    folders = glob.glob(os.path.join(glob.escape(root), "sys/class/thermal/thermal_zone*"))
    return sorted("sys/class/thermal/" + os.path.basename(folder) for folder in folders)


def _cooling_devices(root: str, folder: str) -> Dict[str, List[str]]:
    """Types of a zone's cooling devices by the number of the trip point that they are bound to."""
    found: Dict[str, List[str]] = {}
    for path in glob.glob(os.path.join(glob.escape(root), folder, "cdev*_trip_point")):
        device = os.path.basename(path)[: -len("_trip_point")]
        number = (_read(root, "%s/%s_trip_point" % (folder, device)) or "").strip()
        found.setdefault(number, []).append((_read(root, "%s/%s/type" % (folder, device)) or "").strip().lower())
    return found


def _gpu_folder(root: str) -> Optional[str]:
    for pattern in ("sys/class/devfreq/*", "sys/devices/*gpu*/devfreq/*"):  # the second: as older guides name it
        for path in sorted(glob.glob(os.path.join(glob.escape(root), pattern))):
            if GPU_NAME.search(os.path.basename(path)):
                return os.path.relpath(path, root)
    return None


def _power_mode(root: str) -> str:
    """nvpmodel keeps the number of its mode as ``pmode:0000``, and the names in its configuration."""
    number = re.search(r"pmode:(\d+)", _read(root, "var/lib/nvpmodel/status") or "")
    if number is None:
        return ""
    return power_modes(root).get(int(number.group(1)), "mode %d" % int(number.group(1)))


def _memory(root: str) -> Dict[str, int]:
    lines = re.findall(r"^(\w+):\s+(\d+) kB$", _read(root, "proc/meminfo") or "", re.MULTILINE)
    return {name: int(kilobytes) // 1024 for name, kilobytes in lines}


def _only_zram(root: str) -> bool:
    swaps = [line.split()[0] for line in (_read(root, "proc/swaps") or "").splitlines()[1:] if line.strip()]
    return bool(swaps) and all(name.startswith("/dev/zram") for name in swaps)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
