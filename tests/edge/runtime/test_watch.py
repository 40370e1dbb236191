"""edge.runtime.watch over files that change as those of a Nano would."""

import time
from typing import Any, Dict

import pytest

from edge.runtime.watch import Range, Watch
from tests.edge.runtime.test_board import GPU, ZONE, lay, nano, zone


def watched(tmp_path: Any, *changes: Dict[str, str]) -> Watch:
    """A watch that read a Nano once for each of the changes."""
    watch = Watch(lay(tmp_path, nano()))
    for change in changes:
        lay(tmp_path, change)
        watch.sample()
    return watch


def test_the_watch_keeps_lowest_and_highest(tmp_path: Any) -> None:
    slow = {GPU + "cur_freq": "307200000", ZONE % 2 + "temp": "52000"}
    watch = watched(tmp_path, {}, slow, {GPU + "cur_freq": "921600000"})
    assert watch.samples == 3 and watch.gpu_mhz == pytest.approx((307.2, 921.6))
    assert watch.cpu_mhz == (1224.0, 1224.0) and watch.temperatures["GPU-therm"] == Range(31.5, 52.0)
    assert watch.throttled is False and watch.reason == "GPU-therm stayed 46 C below its trip point of 97.5 C"


def test_hot_and_slow_is_throttled(tmp_path: Any) -> None:
    watch = watched(tmp_path, {ZONE % 2 + "temp": "97500"}, {ZONE % 2 + "temp": "60000"})
    assert watch.throttled is True and watch.hot == "GPU-therm"
    assert watch.reason == (
        "the GPU ran at 614 of 922 MHz while GPU-therm was at 97.5 C; it slows down from 97.5 C on"
    )  # fmt: skip


def test_hot_at_full_speed_is_not(tmp_path: Any) -> None:
    cores = {"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1428000"}
    watch = watched(tmp_path, dict(cores, **{GPU + "cur_freq": "921600000", ZONE % 1 + "temp": "97000"}))
    assert watch.throttled is False and watch.reason == "CPU-therm was at its trip point of 97.0 C, but no clock fell"


@pytest.mark.parametrize("name", ["GPU", "CPU"])
def test_a_maximum_that_falls_is_throttled_at_any_temperature(tmp_path: Any, name: str) -> None:
    cpu = {"sys/devices/system/cpu/cpu%d/cpufreq/scaling_max_freq" % core: "918000" for core in range(4)}
    watch = watched(tmp_path, cpu if name == "CPU" else {GPU + "max_freq": "640000000"})
    assert watch.throttled is True and watch.hot == ""
    assert watch.reason == "what the %s may run at fell from %s MHz" % (
        (name, "1428 to 918") if name == "CPU" else (name, "922 to 640")
    )


def test_what_cannot_be_told_is_none(tmp_path: Any) -> None:
    watch = Watch(str(tmp_path))
    assert watch.throttled is None and watch.reason == "the measurement was over before anything was read"
    watch.sample()
    assert watch.throttled is None and watch.reason == "this machine tells no temperature" and watch.gpu_mhz is None
    watch = Watch(lay(tmp_path, zone(0, "a", "50000")))
    watch.sample()
    assert watch.throttled is None and "tells no temperature at which it slows down" in watch.reason
    watch = Watch(lay(tmp_path, zone(0, "a", "50000", ("passive", 90000))))
    watch.sample()
    assert watch.throttled is None and watch.reason == "this machine tells no clock"


def test_the_watch_reads_in_a_thread_until_the_end(tmp_path: Any) -> None:
    with Watch(lay(tmp_path, nano()), period=0.001) as watch:
        end = time.monotonic() + 10
        while watch.samples < 3 and time.monotonic() < end:
            time.sleep(0.01)
    count = watch.samples
    time.sleep(0.02)
    assert 3 <= count == watch.samples


def test_the_memory_s_trip_point_does_not_throttle_and_another_device_at_it_would(tmp_path: Any) -> None:
    warm = {ZONE % 3 + "temp": "75000"}
    assert watched(tmp_path, warm).throttled is False
    lay(tmp_path, {ZONE % 3 + "cdev1/type": "cpu-balanced", ZONE % 3 + "cdev1_trip_point": "0"})
    watch = Watch(str(tmp_path))
    watch.sample()
    assert watch.throttled is True and watch.hot == "PLL-therm"
