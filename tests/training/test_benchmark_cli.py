"""The two commands from end to end, on toy cars and the tiny bundle."""

from __future__ import annotations

import argparse
import functools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from edge.bundle import sha256_file
from edge.errors import CarcloudError, DataError, SettingsError
from edge.geometry import Cloud
from edge.ply import write_ply
from tests.edge.helpers import TINY_BUNDLE, copy_tiny_bundle, write_picture
from tests.training.benchmark_cars import constants, toy_car
from training.benchmark import cli, protocol, record, retrieval, scoring
from training.benchmark import run as running
from training.meshes.model import CarMesh
from training.networks.base import BINS, CLASSES


@pytest.fixture
def cars(monkeypatch: pytest.MonkeyPatch) -> list[CarMesh]:
    """Two test bodies and a training body instead of the fetched packages."""
    made = [toy_car("p406"), toy_car("suv", 1.9, 3.2, body_class="suv"), toy_car("other", 1.7)]

    def load_cars(cache: Path, glb: object) -> Iterator[CarMesh]:
        return iter(made)

    monkeypatch.setattr(running, "load_cars", load_cars)
    # A tenth of the ground truth: the same work in a tenth of the time.
    monkeypatch.setattr(running, "Plan", functools.partial(running.Plan, truth_points=10_000))
    return made


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    options = parser.parse_args(arguments)
    return options.run(options)


FEW = ["--views", "2", "--conditions", "plain"]


@pytest.mark.slow
def test_benchmark_writes_everything_and_the_same_again_from_nothing_with_two_processes(
    cars: list[CarMesh], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "GALLERY_VIEWS", 2)
    out = {workers: tmp_path / f"out-{workers}" for workers in ("1", "2")}
    for workers, folder in out.items():
        flags = ["--bundle", TINY_BUNDLE, "--rows", "network,retrieval,oracle,noise", *FEW, "--out", str(folder)]
        assert command("benchmark", *flags, "--cache", str(tmp_path / workers), "--workers", workers) == 0
    shown = capsys.readouterr()
    assert "| network tiny, plain |" in shown.out and "report.html" in shown.out
    assert "| goal for network tiny | figure | goal | reached |" in shown.out
    assert "| F@1 against lin2018, plain |" in shown.out and "| network lin2018, plain |" in shown.out
    assert "not scored: chevrolet, chrono_jeep_cherokee" in shown.err
    # Two runs, two empty caches: not a bit differs, and what must differ is in another file.
    assert (out["1"] / "results.json").read_bytes() == (out["2"] / "results.json").read_bytes()
    assert {p.name for p in out["1"].iterdir()} == {"results.json", "timings.json", "results.md", "report.html"}
    timings = json.loads((out["2"] / "timings.json").read_text())
    assert timings["rows"][0]["ms"]["network"] > 0 and timings["networks"].keys() == {"tiny", "lin2018"}
    check_results(json.loads((out["1"] / "results.json").read_text()))
    check_page((out["2"] / "report.html").read_text())


def check_results(results: dict) -> None:
    names = [row["name"] for row in results["rows"]]
    assert names == ["tiny", "lin2018", "retrieval", "oracle", "noise"]  # Lin 2018 is always there
    assert results["hashes"]["code"].keys() == {"benchmark", "meshes", "render", "shapes", "networks", "edge"}
    network, _, retrieved, oracle, noise = results["rows"]
    assert network["kind"] == "network" and len(network["pairs"]["p406"]) == 2
    assert network["mean"]["8192"]["f1"] < oracle["mean"]["8192"]["f1"] < noise["mean"]["8192"]["f1"]
    assert oracle["notes"] == {"p406": "other", "suv": "other"}
    # One training body: retrieval and the oracle both answer with it.
    assert retrieved["notes"] == {"p406": "other 2x", "suv": "other 2x"} and retrieved["mean"] == oracle["mean"]
    assert network["groups"].keys() == {"saloons", "others"} and network["classes"].keys() == {"sedan", "suv"}
    assert network["cost"]["megabytes"] > 0
    assert "ms" not in network["mean"] and "device" not in results
    assert "pose" not in network["mean"] and -1 <= network["mean"]["confidence"]["rank"] <= 1
    assert results["hashes"]["pictures"].keys() == {"p406/plain", "suv/plain"}
    assert results["hashes"]["test_meshes"].keys() == {"p406", "suv"}
    assert len(results["views"]["suv"]) == 2 and results["views"]["suv"][0]["hidden"].keys() == {"plain"}


class Outline(HTMLParser):
    """Checks that tags close in order; collects what is loaded and the headings."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loaded += [str(v) for k, v in attributes if k in ("src", "data", "srcset") or (tag, k) == ("link", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(text: str) -> None:
    outline = Outline()
    outline.feed(text)
    assert outline.open == [] and outline.seen.count("svg") >= 2
    # Two networks, three cases each, three pictures a case; none of them from anywhere else.
    assert outline.seen.count("img") == 18 and all(v.startswith("data:image/jpeg;base64,") for v in outline.loaded)
    assert "@import" not in text and "url(http" not in text and "<script" not in text
    known = ("network tiny, plain", "Worst decile", "F@1 by class", "Published figures", "scheme: dark")
    for words in (*known, "Goals", "Confidence of points", "promised, percent", "peak memory, MB"):
        assert words in text
    identifiers = re.findall(r'\bid=[\'"]([^\'"]+)', text)
    assert len(identifiers) == len(set(identifiers))


def shipped(folder: Path, *names: str) -> str:
    """A folder of shipped bundles, which are the tiny one under these names."""
    for name in names:
        copied = Path(copy_tiny_bundle(str(folder / f"of-{name}"))).rename(folder / name)
        manifest = json.loads((copied / "manifest.json").read_text())
        # The same network twice is scored once: another name is another file.
        model = onnx.load(str(copied / "reconstructor.onnx"))
        model.doc_string = name
        onnx.save(model, str(copied / "reconstructor.onnx"))
        manifest["files"]["reconstructor.onnx"]["sha256"] = sha256_file(str(copied / "reconstructor.onnx"))
        (copied / "manifest.json").write_text(json.dumps({**manifest, "name": name}))
    return str(folder)


def plan(**given: object) -> Any:
    return running.Plan(**{"bundles": (), "meshes": Path(), "glb": (), "cache": Path(), **given})


def test_every_shipped_bundle_is_scored_unless_some_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SHIPPED", shipped(tmp_path, "lin2018", "alpha", "morphable"))
    monkeypatch.setattr(running, "DEFAULT", "morphable")

    def names(made: Any) -> list[str]:
        return [subject.name for subject in running.networks_of(made)]

    assert names(plan()) == ["morphable", "alpha", "lin2018"]
    assert names(plan(bundles=(str(tmp_path / "alpha"),))) == ["alpha", "lin2018"]
    both = (str(tmp_path / "lin2018"), str(tmp_path / "alpha"))
    assert names(plan(bundles=both)) == ["lin2018", "alpha"]
    assert names(plan(clouds=(tmp_path,))) == ["lin2018"]
    assert names(plan(rows=("noise",))) == []


def test_the_code_of_networks_and_device_is_part_of_the_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = record.hashes_of([], [], {})["code"]
    monkeypatch.setattr(scoring, "network_code", lambda: "another")
    monkeypatch.setattr(scoring, "DEVICE_CODE", (protocol,))
    after = record.hashes_of([], [], {})["code"]
    assert {name for name in before if before[name] != after[name]} == {"networks", "edge"}


def test_what_a_network_tells_besides_the_shape_is_in_the_results_and_on_the_page(
    cars: list[CarMesh], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "SHIPPED", shipped(tmp_path, "lin2018"))
    azimuth = np.zeros((1, 2 * BINS))
    azimuth[0, 0] = 50.0  # from before, always: right for the first of two views, and back to front for the second
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 400, 3)) * [1.0, 0.4, 0.3]
    file = constants(
        tmp_path / "teller.onnx", points=points, error=np.linspace(0.005, 0.1, 400)[None], azimuth=azimuth,
        camera=np.zeros((1, 6)), length=np.log([[4.4, 0.11]]), classes=np.eye(len(CLASSES))[None, 0] * 9,
    )  # fmt: skip
    flags = ["--onnx", str(file), "--rows", "network,noise", *FEW, "--cache", str(tmp_path / "cache")]
    assert command("benchmark", *flags, "--out", str(tmp_path / "out")) == 0
    row, reference, noise = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert (row["name"], reference["name"]) == ("teller", "lin2018")
    wrong = [abs((v.azimuth + 180) % 360 - 180) for body in ("p406", "suv") for v in protocol.views_of(body, 2)]
    told = [pair["pose"]["azimuth_deg"] for body in ("p406", "suv") for pair in row["pairs"][body]]
    assert told == pytest.approx(wrong, abs=1e-3)
    assert row["mean"]["pose"]["flipped"] == 50.0 and row["median"]["pose"]["azimuth_deg"] > 20
    # 4.4 m of 4 m, and an expected error of 11 % of it; a sedan and an SUV, both called sedans.
    assert row["mean"]["length"] == {"error": 10.0, "covered": 100.0} and row["median"]["length"] == {"error": 10.0}
    assert row["mean"]["class"] == {"right": 50.0} and row["bodies"]["suv"]["class"] == {"right": 0.0}
    assert len(row["histograms"]["confidence"]) == 20 and "histograms" not in str(row["pairs"])
    assert "pose" not in reference["mean"] and noise["histograms"] == {}
    page = (tmp_path / "out" / "report.html").read_text()
    text = (tmp_path / "out" / "results.md").read_text()
    for words in ("Camera, length and class", "Confidence of points", "goal for network teller"):
        assert words in page and words in text
    assert "| length, median error, plain | 10.0 % | at most 5 % | no |" in text
    camera = text.split("## Camera, length and class")[1].split("##")[0]
    assert "network teller, plain" in camera and "lin2018" not in camera
    plot = next(part for part in page.split("<figure>") if "promised, percent" in part)
    assert "network teller" in plot and "network lin2018" in plot and "Dashed: an honest network" in plot


def test_clouds_of_another_program(cars: list[CarMesh], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache, folder, out = tmp_path / "cache", tmp_path / "other", tmp_path / "out"
    pictures = tmp_path / "pictures"
    assert command("benchmark", "--export-pictures", str(pictures), *FEW, "--cache", str(cache)) == 0
    index = json.loads((pictures / "index.json").read_text())["pictures"]
    assert [entry["picture"] for entry in index] == [f"{b}/plain/0{v}.png" for b in ("p406", "suv") for v in (0, 1)]
    assert all(Image.open(pictures / entry["picture"]).size == (128, 128) for entry in index)
    # A perfect answer: the surface, sampled a second time. It is what the noise floor is made of.
    store = running.Store(cache)
    for entry in index:
        car = next(c for c in cars if c.name == entry["body"]).canonical()
        points = protocol.outside_points(car, store, protocol.CLOUD_POINTS, seed=1)
        (folder / entry["cloud"]).parent.mkdir(parents=True, exist_ok=True)
        write_ply(str(folder / entry["cloud"]), Cloud(points))
    flags = ["benchmark", "--clouds", str(folder), "--rows", "noise", *FEW, "--cache", str(cache), "--out", str(out)]
    assert command(*flags) == 0
    scored, noise = json.loads((out / "results.json").read_text())["rows"]
    assert (scored["name"], scored["kind"]) == ("other", "clouds") and scored["mean"] == noise["mean"]
    assert "| clouds other, plain |" in capsys.readouterr().out

    (folder / "suv/plain/01.ply").unlink()
    with pytest.raises(DataError, match=r"lacks 1 of 4 clouds: suv/plain/01\.\*"):
        command(*flags)
    assert command(*flags, "--missing", "worst") == 0
    assert "1 missing clouds get the worst score, such as suv/plain/01.*" in capsys.readouterr().err
    worst = json.loads((out / "results.json").read_text())
    lost = worst["rows"][0]["pairs"]["suv"][1]
    assert lost["8192"]["f5"] == 0.0 and lost["emd"] == 100.0
    assert worst["subjects"][0]["missing"] == ["suv/plain/01.*"]
    write_ply(str(folder / "suv/plain/01.ply"), Cloud(np.zeros((0, 3), np.float32)))
    with pytest.raises(DataError, match="01.ply is empty"):
        command(*flags, "--missing", "worst")


def test_a_bundle_that_sees_no_car_is_scored_worst(cars: list[CarMesh], tmp_path: Path) -> None:
    truth = protocol.truth_of(cars[0], running.Store(tmp_path), 5000)

    def blind(rgb: np.ndarray) -> protocol.Answer:
        return protocol.Answer(np.zeros((0, 3), np.float32), {})

    (record,) = protocol.score_views(blind, truth, [np.zeros((8, 8, 3), np.uint8)])
    assert record["whole.f5"] == 0.0 and record["8192.pred_to_gt"] == 100.0 and record["emd"] == 100.0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--rows", "network,best"], "--rows does not know 'best'; give a comma list out of: network, mean"),
        (["--rows", ","], "--rows is empty"),
        (["--conditions", "night"], "--conditions does not know 'night'; .*plain, clutter, occluded"),
        (["--workers", "0"], "--workers is 0; give 1 or more"),
        (["--network", "lin2018", "--checkpoint", "a.pt", "--checkpoint", "b.pt"], "one --checkpoint for each"),
        (["--views", "0"], "--views is 0; give 1 or more"),
        (["--max-points", "-1"], "--max-points is -1; give 0 or more"),
        (["--precision", "int4"], "--precision does not know 'int4'; .*fp32, fp16, int8, int8-cpu"),
        (["--precision", "int8"], "--precision int8 is of a bundle; say of which, with --bundle"),
    ],
)
def test_wrong_flags_are_sentences(flags: list[str], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        command("benchmark", *flags)


def test_no_bundle_is_told_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(CarcloudError, match="no bundle at"):
        command("benchmark", "--bundle", str(tmp_path / "absent"), "--cache", str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--onnx", "absent.onnx"], "no ONNX file at absent.onnx"),
        (["--network", "lin2018"], "no checkpoint at runs/lin2018/last.pt"),
        (["--network", "lin1999", "--checkpoint", "a.pt"], "no network is called 'lin1999'; there are: .*lin2018"),
    ],
)
def test_a_wrong_network_is_told_before_any_work(
    flags: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CarcloudError, match=sentence):
        command("benchmark", *flags, "--cache", "cache")
    assert not (tmp_path / "cache").exists()


def test_no_test_body_is_a_sentence(cars: list[CarMesh], tmp_path: Path) -> None:
    del cars[:2]
    with pytest.raises(DataError, match="holds no test body; run: python -m training meshes fetch"):
        command("benchmark", "--rows", "noise", "--cache", str(tmp_path / "cache"))


def test_sheet_of_renders_and_photos(cars: list[CarMesh], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    write_picture(str(photos / "good.png"))
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    boxes = tmp_path / "boxes.json"
    boxes.write_text('{"good.png": [10, 10, 40, 30]}')
    out = tmp_path / "sheet.png"
    flags = ["--bundle", TINY_BUNDLE, "--renders", "1", "--cache", str(tmp_path / "cache"), "--boxes", str(boxes)]
    assert command("sheet", *flags, "--out", str(out), "--photos", str(photos)) == 0
    shown = capsys.readouterr()
    assert "2 pictures on" in shown.out
    assert "left out" in shown.err and "broken.jpg" in shown.err
    assert Image.open(out).width > 800


def test_sheet_without_anything_to_show_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"")
    flags = ["--bundle", TINY_BUNDLE, "--renders", "0", "--out", str(tmp_path / "s.png")]
    with pytest.raises(CarcloudError, match="nothing to put on the sheet: give --renders N"):
        command("sheet", *flags, "--photos", str(tmp_path / "broken.jpg"))
    assert not (tmp_path / "s.png").exists()
