"""What is looked at before an engine is built: memory, swap, disk, power mode, temperature.

"Killed" without a word is what most people see whose builder runs out of memory on a Nano (tensorrt_demos #293,
ultralytics #14751, ...). The cures named there are said beforehand.
"""

import shutil
from typing import List, NamedTuple, Optional

from edge.runtime.board import Board

#: MiB that TensorRT and CUDA need beside the workspace and the network, without which a builder is sure to be killed;
#: and a comfortable multiple of it. Estimated: not measured on a board.
NEEDED_MIB, COMFORT_MIB = 400, 1200
#: A Jetson with less memory than this needs a swap file to build, MiB.
SMALL_MIB = 6000
#: MiB of disk beside the engines themselves: temporary file, timing cache, log.
DISK_MIB = 100
#: Degrees C: from here on clocks are likely to fall soon, and from here on a build had better wait.
WARM, HOT = 75.0, 90.0
#: nvpmodel's names of modes that leave half of the machine off begin so.
SLOW_MODES = ("5W", "7W")
SWAP = "sudo fallocate -l 4G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile"


class Finding(NamedTuple):
    """What was looked at. stops: whether nothing is built because of it, without --force. fix: what to type, or ""."""

    name: str
    text: str
    stops: bool = False
    fix: str = ""


def preflight(
    board: Board, folder: str, onnx_mib: float, workspace_mib: int, free_disk_mib: Optional[int] = None
) -> List[Finding]:
    """Look at the machine before engines are built into an existing ``folder``.

    onnx_mib: size of the largest network. free_disk_mib: only for tests.
    """
    free = shutil.disk_usage(folder).free >> 20 if free_disk_mib is None else free_disk_mib
    found = [_memory(board, onnx_mib, workspace_mib), _swap(board), _disk(free, folder, onnx_mib)]
    return [finding for finding in found + [_power(board), _heat(board)] if finding is not None]


def _memory(board: Board, onnx_mib: float, workspace_mib: int) -> Optional[Finding]:
    if board.memory_free_mib is None:
        return None
    # The network is held as it was read, as TensorRT converts it, and as the engine.
    need = int(NEEDED_MIB + workspace_mib + 3 * onnx_mib)
    room = board.memory_free_mib + (0 if board.zram else board.swap_free_mib or 0)
    text = "%d of %s MiB free" % (board.memory_free_mib, board.memory_total_mib or "?")
    if room < need:
        return Finding(
            "memory", "%s, and %d with swap; the builder needs about %d and would be killed" % (text, room, need), True,
            "sudo systemctl isolate multi-user.target   (ends the desktop; or a smaller --workspace, or a swap file)",
        )
    if board.memory_free_mib < min(need, COMFORT_MIB):
        return Finding("memory", "%s: less than the builder wants (%d); it may swap, and take long" % (text, need))
    return Finding("memory", text)


def _swap(board: Board) -> Optional[Finding]:
    if board.swap_total_mib is None:
        return None
    small = board.memory_total_mib is not None and board.memory_total_mib < SMALL_MIB
    if small and (board.zram or not board.swap_total_mib):
        text = "only zram, which takes the memory it gives" if board.zram else "none"
        return Finding("swap", text + "; a machine of this size needs a swap file to build large networks", False, SWAP)
    if not board.swap_total_mib:
        return Finding("swap", "none")
    return Finding("swap", "%d of %d MiB free" % (board.swap_free_mib or 0, board.swap_total_mib))


def _disk(free: int, folder: str, onnx_mib: float) -> Finding:
    need = int(DISK_MIB + 4 * onnx_mib)  # an engine in FP32, the one before it, and a temporary one
    text = "%d MiB free in %s" % (free, folder)
    if free < need:
        fix = "sudo apt-get clean   (or --engines FOLDER on another disk)"
        return Finding("disk", "%s; engines need %d" % (text, need), True, fix)
    return Finding("disk", text)


def _power(board: Board) -> Optional[Finding]:
    if not board.power_mode:
        return None
    if board.power_mode.upper().startswith(SLOW_MODES):
        fix = "sudo nvpmodel -m 0   (needs a supply that can: on a Nano 5 V, 4 A at the barrel jack)"
        return Finding("power", "mode %s: building and running are slow" % board.power_mode, False, fix)
    return Finding("power", "mode %s" % board.power_mode)


def _heat(board: Board) -> Optional[Finding]:
    if board.hottest is None:
        return None
    zone, degrees = board.hottest
    text = "%.0f C at %s" % (degrees, zone)
    if degrees >= HOT:
        text += ": the machine would slow down or switch itself off"
        return Finding("heat", text, True, "let it cool; a fan helps")
    return Finding("heat", text + (": it may slow down soon" if degrees >= WARM else ""))
