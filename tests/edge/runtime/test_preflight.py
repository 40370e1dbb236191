"""What is said before an engine is built, by what the board tells of itself."""

import pytest

from edge.runtime.board import read_board
from edge.runtime.engine.preflight import preflight

#: A Nano that is well: 4 GB of which most is free, a swap file, 10 W, cool.
WELL = read_board("/nowhere")._replace(
    model="NVIDIA Jetson Nano Developer Kit", l4t="32.7.1", power_mode="MAXN", memory_total_mib=3956,
    memory_free_mib=2900, swap_total_mib=4096, swap_free_mib=4000, temperatures={"CPU-therm": 41.0, "GPU-therm": 39.5},
)  # fmt: skip


def look(board, onnx_mib=22.0, workspace_mib=256, disk=5000):
    return {finding.name: finding for finding in preflight(board, ".", onnx_mib, workspace_mib, disk)}


def test_a_board_that_is_well_stops_nothing():
    found = look(WELL)
    assert {name: finding.text for name, finding in found.items()} == {
        "memory": "2900 of 3956 MiB free", "swap": "4000 of 4096 MiB free", "disk": "5000 MiB free in .",
        "power": "mode MAXN", "heat": "41 C at CPU-therm",
    }  # fmt: skip
    assert not any(finding.stops or finding.fix for finding in found.values())


def test_a_machine_that_tells_nothing_is_built_on():
    assert list(look(read_board("/nowhere"))) == ["disk"]


@pytest.mark.parametrize("change, name, text, fix", [
    (dict(memory_free_mib=300, swap_free_mib=100), "memory",
     "300 of 3956 MiB free, and 400 with swap; the builder needs about 722 and would be killed", "isolate multi-user"),
    (dict(memory_free_mib=300, zram=True), "memory", "300 of 3956 MiB free, and 300 with swap", "smaller --workspace"),
    (dict(temperatures={"GPU-therm": 93.0}), "heat", "93 C at GPU-therm: the machine would slow down", "let it cool"),
])
def test_what_makes_no_sense_stops(change, name, text, fix):
    found = look(WELL._replace(**change))[name]
    assert found.stops and text in found.text and fix in found.fix


def test_a_full_disk_stops():
    found = look(WELL, disk=100)["disk"]
    assert found.stops and "100 MiB free in .; engines need 188" in found.text and "--engines FOLDER" in found.fix


@pytest.mark.parametrize("change, name, text, fix", [
    (dict(memory_free_mib=600), "memory", "600 of 3956 MiB free: less than the builder wants (722)", ""),
    (dict(swap_total_mib=0), "swap", "none; a machine of this size needs a swap file", "sudo fallocate -l 4G"),
    (dict(zram=True), "swap", "only zram, which takes the memory it gives", "sudo fallocate"),
    (dict(power_mode="5W"), "power", "mode 5W: building and running are slow", "sudo nvpmodel -m 0"),
    (dict(power_mode="7W"), "power", "mode 7W", "sudo nvpmodel"),
    (dict(temperatures={"CPU-therm": 80.0}), "heat", "80 C at CPU-therm: it may slow down soon", ""),
])
def test_what_makes_it_slow_is_said_and_does_not_stop(change, name, text, fix):
    found = look(WELL._replace(**change))[name]
    assert not found.stops and text in found.text and fix in found.fix and bool(found.fix) == bool(fix)


def test_a_big_machine_needs_no_swap():
    found = look(WELL._replace(memory_total_mib=7620, memory_free_mib=6000, swap_total_mib=0))
    assert found["swap"].text == "none" and not found["swap"].fix
