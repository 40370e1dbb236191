"""Doctor's look at the machine: board, power mode, heat, throttling, memory, swap, disk. Not tried on a board."""

import os
import re
import shutil
from typing import Dict, List

from edge.cli.check import OK, WARNING, Check
from edge.runtime.board import Board, cpu_hardware_mhz, power_modes, read_board, read_cooling, read_trips
from edge.runtime.engine.preflight import SMALL_MIB, SWAP
from edge.runtime.watch import BELOW

#: Less than this is worth a warning, MiB.
MEMORY_MIB, DISK_MIB = 600, 500
#: So near to the degrees C from which a machine slows down is worth a warning; where it does not tell them, this hot.
NEAR_C, HOT_C = 7.0, 90.0
#: The fan of a Nano's kit, which stands still until it is told otherwise.
FAN = "sys/devices/pwm-fan/target_pwm"


def check_machine(root: str = "/") -> List[Check]:
    """All that this module looks at. root: where ``sys``, ``proc``, ``etc`` and ``var`` lie."""
    board = read_board(root)
    return [check_board(board), check_power(board, root), check_heat(board, root), check_throttle(board, root),
            check_memory(board), check_swap(board), check_disk()]  # fmt: skip


def check_board(board: Board) -> Check:
    """What machine it is, and whether it runs NVIDIA's Linux if it is theirs."""
    cores = ", %d cores" % board.cores if board.cores else ""
    if board.l4t:
        return Check("board", OK, "%s, L4T %s%s" % (board.model or "a Jetson that tells no model", board.l4t, cores))
    if "jetson" in board.model.lower():
        fix = "sudo apt-get install --reinstall nvidia-l4t-core   (or NVIDIA's own image)"
        return Check("board", WARNING, board.model + ", but no L4T release: /etc/nv_tegra_release is missing", fix)
    return Check("board", OK, (board.model or "no Jetson") + cores)


def _watts(name: str) -> float:
    """What a power mode may draw, by its name: MAXN has no limit."""
    found = re.search(r"(\d+)W", name.upper())
    return float(found.group(1)) if found else float("inf")


def check_power(board: Board, root: str = "/") -> Check:
    """The power mode. The slowest of several is worth a warning: on a Nano it turns off half of the machine."""
    modes: Dict[int, str] = {number: name for number, name in power_modes(root).items() if name != "COMMENT"}
    if not board.power_mode:
        return Check("power", OK, "this machine has no power modes")
    text = "mode " + board.power_mode if not board.power_mode.startswith("mode ") else board.power_mode
    if len(modes) > 1 and _watts(board.power_mode) < float("inf"):
        slowest, fastest = (choose(modes.items(), key=lambda item: _watts(item[1])) for choose in (min, max))
        if _watts(board.power_mode) == _watts(slowest[1]) < _watts(fastest[1]):
            fix = "sudo nvpmodel -m %d   (%s; needs a supply that can: on a Nano 5 V, 4 A at the barrel jack)"
            return Check("power", WARNING, text + ", the slowest of this board", fix % fastest)
    return Check("power", OK, text)


def _cool(root: str) -> str:
    if os.path.exists(os.path.join(root, FAN)):
        return "sudo sh -c 'echo 255 > /%s'   (the fan at full speed)" % FAN
    return "sudo shutdown -h now   (let it cool; then a fan, or a larger heat sink)"


def check_heat(board: Board, root: str = "/") -> Check:
    """The hottest zone, and how near it is to the temperature from which the kernel slows the machine down."""
    if board.hottest is None:
        return Check("heat", OK, "this machine tells no temperature")
    trips = read_trips(root)
    margins = {zone: trips[zone] - degrees for zone, degrees in board.temperatures.items() if zone in trips}
    zone, degrees = board.hottest
    if margins:
        zone = min(margins, key=lambda name: margins[name])
        degrees = board.temperatures[zone]
    text = "%s at %.0f C" % (zone, degrees)
    text += ", slows down from %.0f C on" % trips[zone] if margins else ""
    hot = margins[zone] <= NEAR_C if margins else degrees >= HOT_C
    return Check("heat", WARNING, text, _cool(root)) if hot else Check("heat", OK, text)


def check_throttle(board: Board, root: str = "/") -> Check:
    """Whether the kernel slows CPU or GPU down now, and whether the CPU may run as fast as it can."""
    cooling = read_cooling(root)
    active = ["%s at step %d" % item for item in sorted(cooling.items()) if item[1] > 0]
    if active:
        return Check("throttle", WARNING, "the kernel slows it down: %s" % ", ".join(active), _cool(root))
    most, hardware = board.cpu_max_mhz, cpu_hardware_mhz(root)
    if most is None or hardware is None:
        return Check("throttle", OK, "nothing is slowed down" if cooling else "this machine does not tell")
    text = "the CPU may run at %.0f of %.0f MHz" % (most, hardware)
    limited = _watts(board.power_mode) < float("inf")  # by the mode: the line on power says what there is to say
    if most < BELOW * hardware and board.l4t and not limited:
        fix = "sudo jetson_clocks   (until the next start; sudo nvpmodel -q says more)"
        return Check("throttle", WARNING, text, fix)
    return Check("throttle", OK, "nothing is slowed down; " + text)


def check_memory(board: Board) -> Check:
    """Memory that is free to use."""
    if board.memory_free_mib is None:
        return Check("memory", OK, "not known on this system")
    text = "%d of %d MiB free" % (board.memory_free_mib, board.memory_total_mib or 0)
    if board.memory_free_mib < MEMORY_MIB:
        fix = "sudo systemctl isolate multi-user.target   (ends the desktop)"
        return Check("memory", WARNING, text + "; carcloud may be killed", fix)
    return Check("memory", OK, text)


def check_swap(board: Board) -> Check:
    """Swap, without which the builder of engines is killed on a small board. Compressed memory is none."""
    if board.swap_total_mib is None:
        return Check("swap", OK, "not known on this system")
    small = bool(board.l4t) and board.memory_total_mib is not None and board.memory_total_mib < SMALL_MIB
    if small and (board.zram or not board.swap_total_mib):
        text = "only zram, which takes the memory that it gives" if board.zram else "none"
        return Check("swap", WARNING, text + "; engines cannot be built on a board of this size", SWAP)
    kind = "of zram " if board.zram else ""
    text = "%d of %d MiB %sfree" % (board.swap_free_mib or 0, board.swap_total_mib, kind)
    return Check("swap", OK, text if board.swap_total_mib else "none")


def check_disk(folder: str = ".") -> Check:
    """Room on the disk of the current folder."""
    free = shutil.disk_usage(folder).free >> 20
    if free < DISK_MIB:
        fix = "sudo apt-get clean   (then see: du -xh / | sort -h | tail)"
        return Check("disk", WARNING, "%d MiB free here" % free, fix)
    return Check("disk", OK, "%d MiB free here" % free)
