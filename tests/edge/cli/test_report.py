"""carcloud bench --report: what is in it, what it says of a Nano, and what it keeps to itself."""

import copy
import json
import os
import platform
import re
import socket
from typing import Any, Dict
from unittest import mock

import pytest

from edge.cli import bench, main, report
from edge.errors import SettingsError
from edge.runtime.opening import open_network
from edge.runtime.watch import Watch
from edge.settings import Settings
from tests.edge.cli.test_bench import QUICK, SMALL
from tests.edge.helpers import FINDING_BUNDLE, TINY_BUNDLE, copy_tiny_bundle, write_clip
from tests.edge.runtime.test_board import GPU, ZONE, lay, nano

ARGUMENTS = QUICK + ["--seconds", "0", "--report"]
#: A clock of the CPU's cores that are on, at its most, and of the GPU.
PINNED = {"sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1428000", GPU + "cur_freq": "921600000"}
CHOSEN = Settings(bundle=TINY_BUNDLE, source=SMALL, threads=1)


@pytest.fixture(autouse=True)
def few_runs(monkeypatch: Any) -> None:
    monkeypatch.setattr(report, "RUNS", 3)


def test_the_report_is_written_and_its_paragraph_printed(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(ARGUMENTS + ["--bundle", FINDING_BUNDLE, "--no-find", "--source", SMALL]) == 0
    captured = capsys.readouterr()
    with open("carcloud-report.json") as handle:
        made = json.load(handle)
    assert os.listdir(".") == ["carcloud-report.json"] and "carcloud-report.json" in captured.err
    assert captured.out == made["text"] + "\n" and "\n" not in made["text"]
    assert list(made["networks"]) == ["network", "finder"]
    for one in made["networks"].values():
        assert 0 < one["ms"]["median"] <= one["ms"]["p90"] and one["runs"] == 3 and one["backend"] == "ort"
        assert "estimate" not in one
    assert made["end_to_end"] == {"frames_per_s": made["bench"]["frames_per_s"]} and made["bench"]["frames"] == 12
    assert made["bundle"]["name"] == "finding" and len(made["bundle"]["sha256"]["finder.onnx"]) == 64
    assert made["target"] == "cpu" and made["versions"]["tensorrt"] is None and made["versions"]["opencv"]
    assert made["board"]["before"]["memory_total_mib"] > 0 and made["board"]["after"]["cores"] > 0
    text = made["text"]
    assert "measured on " in text and "There is no estimate for this machine" in text and "from publ" not in text
    assert "finder %.2f ms" % made["networks"]["finder"]["ms"]["median"] in text
    assert "End to end %.1f frames/s, 12 frames of %s," % (made["bench"]["frames_per_s"], SMALL) in text


def test_a_report_may_be_written_again_and_printed_whole(tmp_path: Any, capsys: Any) -> None:
    path = str(tmp_path / "mine.json")
    with open(path, "w") as handle:
        json.dump({"format": "carcloud-report"}, handle)
    bundle = changed_bundle(str(tmp_path), name="of unknown GFLOP")
    assert main(ARGUMENTS + [path, "--source", SMALL, "--json", "--bundle", bundle]) == 0
    with open(path) as handle:
        found = json.load(handle)
    assert found == json.loads(capsys.readouterr().out) and found["bench"]["network"]["gflop"] is None


@pytest.mark.parametrize("content", ["my notes", '{"format": "carcloud-bundle"}', "[1]", None])
def test_another_file_is_not_overwritten(tmp_path: Any, capsys: Any, content: Any) -> None:
    path = tmp_path / "x"
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)
    assert main(ARGUMENTS + [str(path), "--source", "nothing-is-opened"]) == 2
    assert "x exists and is no report of carcloud bench, so it is not overwritten" in capsys.readouterr().err
    assert content is None or path.read_text() == content


def test_a_folder_that_is_not_there_is_said_before_anything_is_measured(tmp_path: Any, capsys: Any) -> None:
    assert main(ARGUMENTS + [str(tmp_path / "no" / "x"), "--source", "nothing-is-opened"]) == 2
    assert "there is no folder that one may write to; give another one: --report FILE" in capsys.readouterr().err


def test_a_disk_that_is_full_is_said(tmp_path: Any, monkeypatch: Any) -> None:
    def full(path: str) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "atomic_file", full)
    with pytest.raises(SettingsError, match="cannot be written to x: No space left on device; give another one"):
        report.write_file("x", {})


def pretend_tensorrt(monkeypatch: Any, precision: str = "fp16") -> None:
    def opened(*arguments: Any) -> Any:
        backend = open_network(*arguments)
        backend.name, backend.precision = "trt", precision
        backend.detail = "TensorRT 8.2.1.8, %s, NVIDIA Tegra X1, /usr/lib/libcudart.so" % precision
        return backend

    monkeypatch.setattr(report, "open_network", opened)


class OneReading(Watch):
    """Without a thread, whose first reading may come too late for a measurement as short as these."""

    def __enter__(self) -> "OneReading":
        self.sample()
        return self


#: What one measurement gave, for the tests that are about something else.
FIGURES: Dict[str, Any] = {}


def report_of(root: str, chosen: Settings = CHOSEN) -> Dict[str, Any]:
    if not FIGURES:
        FIGURES.update(bench.measure(CHOSEN, 5, 0))
    measured = mock.patch.object(bench, "measure", lambda *_: copy.deepcopy(FIGURES))
    with measured, mock.patch.object(report, "Watch", OneReading):
        return report.make_report(chosen, 5, 0, root)


def changed_bundle(folder: Any, **network: Any) -> str:
    path = copy_tiny_bundle(folder)
    manifest = os.path.join(path, "manifest.json")
    with open(manifest) as handle:
        values = json.load(handle)
    values["network"] = network
    with open(manifest, "w") as handle:
        json.dump(values, handle)
    return path


def with_estimate(folder: Any, ms: float) -> str:
    return changed_bundle(folder, nano_ms_estimate={"ms": ms, "low": 0.0, "high": ms * 1.4})


@pytest.mark.parametrize("ms, within, word", [(1e5, True, "within"), (1e-6, False, "outside")])
def test_a_nano_is_compared_with_its_estimate(
    tmp_path: Any, monkeypatch: Any, ms: float, within: bool, word: str
) -> None:
    pretend_tensorrt(monkeypatch)
    root = lay(tmp_path / "root", nano(**PINNED))
    made = report_of(root, CHOSEN._replace(bundle=with_estimate(tmp_path, ms)))
    one = made["networks"]["network"]
    assert one["ratio"] == pytest.approx(one["ms"]["median"] / ms) and one["within_band"] is within
    assert ", estimated %.2f (0.00 to %.2f): %.2f times that, %s the band" % (ms, ms * 1.4, one["ratio"], word) in (
        made["text"]
    )
    assert made["no_estimate"] == "" and made["target"] == "nano-jp46" and "no estimate" not in made["text"]
    assert "measured on NVIDIA Jetson Nano Developer Kit (nano-jp46, L4T 32.7.1, power mode MAXN, 3 cores)" in (
        made["text"]
    )
    assert made["versions"]["tensorrt"] == "8.2.1.8" and made["versions"]["l4t"] == "32.7.1"
    assert made["networks"]["network"]["detail"].endswith("Tegra X1, libcudart.so")


def test_a_nano_without_fp16_has_no_estimate(tmp_path: Any, monkeypatch: Any) -> None:
    pretend_tensorrt(monkeypatch, "fp32")
    made = report_of(lay(tmp_path / "root", nano()), CHOSEN._replace(bundle=with_estimate(tmp_path, 5)))
    assert "estimate" not in made["networks"]["network"] and made["no_estimate"] == report.NO_ESTIMATE


def test_the_estimate_from_end_to_end_is_of_the_shipped_bundle_as_it_comes() -> None:
    def compare(chosen: Settings, name: str = "morphable", other: str = "trt") -> Dict[str, Any]:
        nets = {"network": {"backend": "trt", "precision": "fp16", "ms": {"median": 15.0}}}
        nets["finder"] = dict(nets["network"], backend=other)
        made = {"target": "nano-jp46", "networks": nets, "end_to_end": {"frames_per_s": 18.0}}
        report.add_comparisons(made, {"name": name}, chosen)
        return dict(made["end_to_end"])

    found = compare(Settings())
    assert found["ratio"] == 0.75 and found["within_band"] and found["estimate"]["low"] == 16.0
    for other in (Settings(max_points=0), Settings(find=False), Settings(box=(0, 0, 9, 9)), Settings(average=False)):
        assert "ratio" not in compare(other)
    assert "ratio" not in compare(Settings(), "lin2018") and "ratio" not in compare(Settings(), other="ort")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"var/lib/nvpmodel/status": "pmode:0001"}, "power mode 5W, not MAXN (sudo nvpmodel -m 0)"),
        ({GPU + "cur_freq": "76800000"}, "clocks not pinned (sudo jetson_clocks)"),
        ({GPU + "cur_freq": "76800000", ZONE % 1 + "temp": "99000"}, "throttled: the GPU ran at 77 of 922 MHz while"),
        ({"etc/nv_tegra_release": "# R32 (release), REVISION: 6.1"}, "the L4T release is none that carcloud knows"),
        ({}, "TensorRT did not run (carcloud build, then carcloud bench --backend trt)"),
    ],
)
def test_what_makes_the_figures_worse_is_said(tmp_path: Any, changes: Dict[str, str], sentence: str) -> None:
    made = report_of(lay(tmp_path, nano(**dict(PINNED, **changes))))
    assert any(sentence in one for one in made["warnings"]) and sentence in made["text"].split("WARNING: ")[1]


def test_a_nano_at_its_best_is_not_warned_of(tmp_path: Any, monkeypatch: Any) -> None:
    pretend_tensorrt(monkeypatch)
    monkeypatch.setattr(report.m.OtherProcesses, "cores", lambda self: 0.1)
    made = report_of(lay(tmp_path, nano(**PINNED)))
    assert made["warnings"] == [] and "WARNING" not in made["text"]
    assert "other processes used 0.1 cores" in made["text"]
    monkeypatch.setattr(report.m.OtherProcesses, "cores", lambda self: 0.5)
    assert report_of(str(tmp_path))["warnings"] == ["other processes used 0.5 cores; end them and measure again"]


def test_a_maximum_that_falls_while_cool_points_to_the_power_supply(tmp_path: Any) -> None:
    watch = Watch(lay(tmp_path, nano(**PINNED)))
    lay(tmp_path, {GPU + "max_freq": "614400000"})
    watch.sample()
    made = {"board": {"before": {"l4t": "32.7.1", "power_mode": "MAXN"}, "during": {"other_processes_cores": None}},
            "target": "nano-jp46", "networks": {"network": {"backend": "trt"}}}  # fmt: skip
    found = report.warnings_of(made, watch)
    assert len(found) == 2 and "fell from 922 to 614 MHz" in found[0] and "5 V 2 A by micro-USB" in found[1]
    assert len(report.warnings_of(dict(made, target="orin-jp6"), watch)) == 1
    lay(tmp_path, {ZONE % 1 + "temp": "98000"})
    watch.sample()
    assert len(report.warnings_of(made, watch)) == 1  # then it is the heat


def test_clocks_that_idle_on_a_pc_are_nothing_to_warn_of(tmp_path: Any) -> None:
    watch = Watch(lay(tmp_path, nano()))
    watch.sample()
    made: Dict[str, Any] = {"target": "cpu", "networks": {"network": {"backend": "ort"}}}
    made["board"] = {"before": {"l4t": "", "power_mode": ""}, "during": {"other_processes_cores": None}}
    assert report.warnings_of(made, watch) == []
    made["board"]["before"]["l4t"] = "36.4.3"
    assert "clocks not pinned (sudo jetson_clocks)" in report.warnings_of(made, watch)


def test_clocks_and_temperatures_during_the_measurement_are_told(tmp_path: Any) -> None:
    watch = Watch(lay(tmp_path, nano(**PINNED)))
    watch.sample()
    lay(tmp_path, {GPU + "cur_freq": "460800000", ZONE % 1 + "temp": "61500"})
    watch.sample()
    during = report.watched(watch, 12.0, None)
    assert during["gpu_mhz"] == pytest.approx({"low": 460.8, "high": 921.6}) and during["throttled"] is False
    assert report._state(during) == [
        "GPU 461 to 922 of 922 MHz", "CPU 1428 to 1428 of 1428 MHz", "hottest CPU-therm with 61.5 C",
        "not throttled (CPU-therm stayed 36 C below its trip point of 97.0 C)",
    ]  # fmt: skip


def test_nothing_tells_who_measured(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(platform, "node", lambda: "annabels-nano")
    monkeypatch.setattr(socket, "gethostname", lambda: "annabels-nano")
    for name in ("USER", "LOGNAME", "HOME"):
        monkeypatch.setenv(name, "annabel")
    private = tmp_path / "home" / "annabel"
    private.mkdir(parents=True)
    root = lay(tmp_path / "root", dict(nano(), **{
        "etc/hostname": "annabels-nano", "proc/device-tree/serial-number": "1422919082257\0",
    }))  # fmt: skip
    bundle = copy_tiny_bundle(str(private))
    clip = write_clip(str(private / "garage.avi"))
    chosen = Settings(bundle=bundle, source="file://%s?pace=0" % clip, threads=1)
    text = json.dumps(report.make_report(chosen, 5, 0, root))
    assert main(ARGUMENTS + [str(private / "r.json"), "--bundle", bundle, "--source", clip]) == 0
    for shown in (text, (private / "r.json").read_text(), capsys.readouterr().out):
        for secret in ("annabel", "garage", "1422919082257", str(tmp_path)):
            assert secret not in shown
        assert not re.search(r"[\s\"'(=]/\w", shown), "an absolute path"


@pytest.mark.parametrize(
    "uri, shown",
    [
        ("synthetic://car?seed=3&fps=0", "synthetic://car?seed=3&fps=0"),
        ("csi://0?width=1280", "csi://0?width=1280"),
        ("csi://annabel", "csi"),
        ("v4l2:///dev/v4l/by-id/usb-046d_C920_2FA3B9EF-video-index0?width=640&fps=30", "v4l2?width=640&fps=30"),
        ("file:///home/annabel/drive.mp4?pace=0", "file?pace=0"),
        ("file://a.mp4?x=/home/annabel&loop=1", "file?loop=1"),
        ("/home/annabel/drive.mp4", "file"),
        ("rtsp://annabel:secret@192.168.1.7/x?pin=1234", "rtsp"),
    ],
)
def test_of_a_source_only_the_kind_and_its_numbers_are_told(uri: str, shown: str) -> None:
    assert report.public_source(uri) == shown


@pytest.mark.parametrize(
    "text, shown",
    [
        ("TensorRT 8.2, /home/annabel/.cache/x.engine, CPU", "TensorRT 8.2, x.engine, CPU"),
        ("(/usr/lib/a.so)", "(a.so)"),
        ("30 frames/s, 1/2, CPU/GPU", "30 frames/s, 1/2, CPU/GPU"),
    ],
)
def test_paths_are_left_out(text: str, shown: str) -> None:
    assert report.without_paths(text) == shown


def test_what_json_cannot_hold_is_null() -> None:
    assert report.finite({"a": (1.0, float("nan")), "b": [float("inf"), "x", True]}) == {
        "a": [1.0, None], "b": [None, "x", True],
    }  # fmt: skip
