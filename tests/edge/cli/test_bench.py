"""carcloud bench on the tiny bundle: every figure is there and plausible."""

import json
from typing import Any, List

import cv2
import numpy as np
import pytest

from edge.bundle import Graph, load_bundle
from edge.cli import main, measure
from edge.cli.measure import Repeated, Where, measure_pulls, stage
from edge.errors import CarcloudError
from edge.runtime.backends import Backend, open_backend
from edge.runtime.reconstructor import Reconstructor
from edge.runtime.sources import open_source
from tests.edge.helpers import FINDING_BUNDLE, POSED_BUNDLE, TINY_BUNDLE, red_cars, write_clip, write_picture

QUICK = ["bench", "--bundle", TINY_BUNDLE, "--threads", "1", "--frames", "12"]
SMALL = "synthetic://car?fps=0&width=96&height=64"


def test_every_figure_is_measured(capsys: Any) -> None:
    assert main(QUICK + ["--seconds", "1", "--source", SMALL, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["frames"] == 12 and figures["frames_per_s"] > 5 and figures["points"] > 1000
    assert set(figures["stages_ms"]) == {"capture", "crop", "network", "fusion", "handover"}
    for value in list(figures["stages_ms"].values()) + [figures["reference_ms"]]:
        assert 0 < value["median"] <= value["p90"]
    assert figures["network"]["parameters"] == 0 and figures["network"]["gflop"] == 0.0003
    network = figures["stages_ms"]["network"]["median"]
    assert figures["network"]["gflop_per_s"] == pytest.approx(0.0003 / network * 1e3)
    assert [pull["clients"] for pull in figures["pull"]] == [1, 8]
    for pull in figures["pull"]:
        assert pull["clouds"] >= 1 and pull["rate"] > 0 and 0 < pull["latency"]["median"] < 5000
    assert figures["ratios"]["network"] == pytest.approx(network / figures["reference_ms"]["median"])
    assert figures["machine"].count(",") == 3
    assert all(value > 0 for value in figures["ms_between_frames"].values())
    assert all(value > 1 for value in figures["memory_mb"].values())  # only Linux tells; tests run there


def test_the_table_says_the_same(capsys: Any) -> None:
    assert main(QUICK + ["--seconds", "0", "--source", SMALL]) == 0
    text = capsys.readouterr().out
    stages = ("capture", "crop", "network", "fusion", "handover")
    for word in ("tiny: 0 parameters, 0.0003 GFLOP", "reference", "end to end", "memory", *stages):
        assert word in text
    assert "pull" not in text


def test_colouring_is_a_stage_where_there_is_a_pose(capsys: Any) -> None:
    assert main(QUICK + ["--bundle", POSED_BUNDLE, "--seconds", "0", "--source", SMALL, "--json"]) == 0
    stages = ["capture", "crop", "network", "fusion", "handover", "average", "colour"]
    assert list(json.loads(capsys.readouterr().out)["stages_ms"]) == stages
    flags = ["--bundle", POSED_BUNDLE, "--seconds", "0", "--source", SMALL, "--json", "--no-average"]
    assert main(QUICK + flags) == 0
    stages.remove("average")
    assert list(json.loads(capsys.readouterr().out)["stages_ms"]) == stages


def test_looking_for_cars_is_a_stage_and_without_any_there_is_nothing_to_measure(tmp_path: Any, capsys: Any) -> None:
    for name, cells in (("car", [(3, 3)]), ("none", [])):
        cv2.imwrite(str(tmp_path / (name + ".png")), red_cars(*cells))
    flags = QUICK + ["--bundle", FINDING_BUNDLE, "--seconds", "0", "--json"]
    car, none = ("file://%s?fps=0&loop=1" % (tmp_path / name) for name in ("car.png", "none.png"))
    assert main(flags + ["--source", car]) == 0
    assert list(json.loads(capsys.readouterr().out)["stages_ms"])[:2] == ["capture", "find"]
    assert main(flags + ["--source", none]) == 9
    assert "no car was found, and in 0 one was; say where it is with --box" in capsys.readouterr().err
    assert main(flags + ["--source", none, "--no-find"]) == 0


def test_a_short_clip_is_repeated(tmp_path: Any, capsys: Any) -> None:
    path = write_clip(str(tmp_path / "a.avi"), frames=3)
    assert main(QUICK + ["--seconds", "0", "--source", "file://%s?pace=0" % path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 12


def test_a_password_in_the_source_is_not_printed(capsys: Any) -> None:
    assert main(QUICK + ["--source", "rtsp://me:secret@127.0.0.1:9/x"]) == 4
    captured = capsys.readouterr()
    assert "secret" not in captured.out + captured.err and "rtsp://***@127.0.0.1:9/x does not open" in captured.err


def test_a_repeated_source_counts_on_and_stops() -> None:
    source = Repeated(lambda: open_source("synthetic://car?fps=0&frames=2&width=64&height=64"))
    assert [frame.seq for frame in (source.read() for _ in range(5)) if frame] == [1, 2, 3, 4, 5]
    source.stop()
    assert source.read() is None and "stopped" in source.ending
    source.close()


def test_no_cloud_in_the_given_time_is_said(tmp_path: Any) -> None:
    # One frame now and the next in 100 s: no client gets its second cloud, and the first is not counted.
    path = write_picture(str(tmp_path / "a.png"))
    bundle = load_bundle(TINY_BUNDLE)
    with open_backend(bundle, "auto", 1) as backend:
        reconstructor = Reconstructor(bundle, backend)
        with pytest.raises(CarcloudError, match="no cloud was pulled in 0.2 s; give more time: --seconds 0.8"):
            measure_pulls("file://%s?fps=0.01" % path, reconstructor, Where(), 1, 0.2)


def test_stage_is_median_and_ninetieth_percentile() -> None:
    assert stage([float(value) for value in range(11)]) == (5.0, 9.0)
    assert stage([]).median != stage([]).median


class SlowAtFirst(Backend):
    """Takes ten seconds of a pretended clock in the warm-up, two milliseconds then."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.shapes: List[Any] = []

    def run(self, inputs: Any) -> Any:
        self.shapes.append({name: (value.shape, value.dtype) for name, value in inputs.items()})
        self.clock += 10.0 if len(self.shapes) <= measure.WARM_UP else 0.002
        return {}


def test_a_network_alone_is_timed_after_its_warm_up(monkeypatch: Any) -> None:
    backend = SlowAtFirst()
    monkeypatch.setattr(measure.time, "perf_counter", lambda: backend.clock)
    found = measure.measure_network(backend, Graph("x.onnx", "image", (1, 3, 8, 8), {}), 7)
    assert found == pytest.approx((2.0, 2.0)) and len(backend.shapes) == measure.WARM_UP + 7
    assert backend.shapes[0] == {"image": ((1, 3, 8, 8), np.float32)}


@pytest.mark.parametrize(
    "later, cores",
    [("9000 0 600 9 9 0 0 250", 0.75), ("9000 0 100 9 9 0 0 0", 0.0), ("9000 0 0 9 9 0 0 0", None)],
)
def test_what_other_processes_use(tmp_path: Any, monkeypatch: Any, later: Any, cores: Any) -> None:
    """In ten seconds; this process used one, at 100 ticks a second."""
    now = {"time": 0.0, "own": 0.0}
    monkeypatch.setattr(measure.time, "monotonic", lambda: now["time"])
    monkeypatch.setattr(measure, "own_seconds", lambda: now["own"])
    monkeypatch.setattr(measure.os, "sysconf", lambda name: 100)
    path = tmp_path / "stat"
    path.write_text("cpu  9000 0 0 7 7 0 0 0 0 0\ncpu0 1\n")
    others = measure.OtherProcesses(str(path))
    path.write_text("cpu  %s 0 0\n" % later)  # in the last case not even this process's time shows
    now.update(time=10.0, own=1.0)
    assert others.cores() == (None if cores is None else pytest.approx(cores))


def test_a_system_without_such_a_file_does_not_tell(tmp_path: Any) -> None:
    assert measure.busy_seconds(str(tmp_path / "none")) is None
    assert measure.OtherProcesses(str(tmp_path / "none")).cores() is None
    assert measure.own_seconds() > 0
