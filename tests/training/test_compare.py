"""The comparison: what is trained on what, for how long, again after a kill, and what is written of it."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from edge.errors import DataError, SettingsError
from tests.training.benchmark_cars import toy_car
from tests.training.test_objectives import shards_with_depth
from tests.training.toys import toy_data
from training import needs
from training.batches import shape_weights
from training.benchmark import run as running
from training.compare import cli, pace, runs, scores, trial
from training.compare.shapes import kinds, without
from training.data.dataset import CarDataset, load_dataset
from training.data.shards import read_index
from training.distributed import Place
from training.loop import Trainer
from training.meshes.model import CarMesh
from training.morphable.registered import registered
from training.settings import Settings, Stage

PLACE = Place(0, 1, torch.device("cpu"))
#: Settings of toy runs: small pictures, no ImageNet, a space of the toys' points.
TOY = """network = "{name}"
seed = 3
[rates]
encoder = 0.5
[arguments]
image_size = 64
pretrained = false
{more}
[[stage]]
name = "all"
batch = 4
iterations = 100
learning_rate = 1e-3
"""
TOY_LIN = """network = "lin2018"
[[stage]]
name = "code"
loss = "code"
batch = 4
iterations = 60
[[stage]]
name = "fine"
loss = "fixed"
batch = 4
iterations = 30
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards")
    shards_with_depth(root)
    return root


@pytest.fixture
def toys(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small settings in place of the shipped ones, two steps in place of ten to measure by; the shards."""
    configs = tmp_path / "configs"
    configs.mkdir()
    more = f"components = 3\npoints = {registered(shards, 1).points.shape[1]}"
    for name in runs.SHARED:
        (configs / f"{name}.toml").write_text(TOY.format(name=name, more=more if name == "morphable" else ""))
    (configs / "lin2018.toml").write_text(TOY_LIN)
    monkeypatch.setattr(runs.planned, "__defaults__", (configs, 4))
    monkeypatch.setattr(trial, "Bench", functools.partial(trial.Bench, probe=2))
    return shards


def bench(root: Path, out: Path, **changed: Any) -> trial.Bench:
    return trial.Bench(root, None, out, 1e-4, PLACE, 1, say=lambda line: None, **changed)


def index_of(size: int = 128, pictures: int = 12, *kinds: str) -> dict[str, Any]:
    made = [{"kind": kind, "split": "train"} for kind in kinds or ("original", "variant", "parametric")]
    return {"image_size": size, "settings": {"pictures": pictures}, "shards": made}


# -- what is trained -----------------------------------------------------------------------------------------------


def test_representations_differ_in_nothing_but_the_representation() -> None:
    choice = runs.planned(index_of(), None)
    shared = [run for run in choice.runs if run.name in runs.SHARED]
    assert [run.network for run in shared] == list(runs.SHARED)
    base = next(run.settings for run in shared if run.name == runs.BASELINE)
    for run in shared:
        for name in runs.ALIKE:
            assert getattr(run.settings, name) == getattr(base, name), (run.name, name)
        assert {stage.batch for stage in run.settings.stages} == {runs.BATCH}
        assert run.settings.rates["encoder"] == base.rates["encoder"]
        assert run.settings.arguments["image_size"] == base.arguments["image_size"] == run.size
    original = next(run for run in choice.runs if run.name == runs.ORIGINAL)
    assert len(original.settings.stages) > 1 and original.size == 64


def test_each_ablation_changes_one_thing_of_the_flagship() -> None:
    found = {run.name: run for run in runs.planned(index_of(256), None).runs}
    base = found[runs.BASELINE]
    changed = {
        name: {
            field.name for field in dataclasses.fields(Settings)
            if getattr(run.settings, field.name) != getattr(base.settings, field.name)
        }
        for name, run in found.items() if run.group in runs.ABLATIONS
    }  # fmt: skip
    for name, fields in changed.items():
        wanted = {"size": {"arguments"}, "loss": {"weights"}}.get(found[name].group, set())
        assert fields == ({"arguments", "rates"} if name == "no-imagenet" else wanted), name
    assert found["size-96"].settings.arguments["image_size"] == found["size-96"].size == 96
    assert found["loss-plane"].settings.weights["point"] == 0 and found["loss-point"].settings.weights["plane"] == 0
    assert [found[f"pictures-{n}"].limit for n in (2, 4, 8)] == [2, 4, 8]
    assert (found["no-variants"].without, found["no-parametric"].without) == ("variant", "parametric")
    assert found["no-imagenet"].settings.arguments["pretrained"] is False


def test_what_the_shards_cannot_serve_is_left_out_aloud() -> None:
    choice = runs.planned(index_of(128, 4, "original", "variant"), None)
    assert choice.left_out.keys() == {"size-192", "size-256", "pictures-4", "pictures-8", "no-parametric"}
    assert "pictures of 192 pixels, and --data has 128; make larger ones" in choice.left_out["size-192"]
    assert choice.left_out["pictures-8"] == "no shape has more than 4 pictures"
    assert choice.left_out["no-parametric"] == "no training shape is of the kind 'parametric'"
    more = runs.planned(index_of(128), index_of(192))
    assert "--data has 128, --data-large 192" in more.left_out["size-256"] and len(more.left_out) == 1
    # Sizes compare on the same pictures, so all of them are made of the large ones, that of the flagship as well.
    assert [run.name for run in more.runs if run.large] == ["size-64", "size-96", "size-128", "size-192"]
    assert "size" not in more.baseline and "size" in choice.baseline


def test_only_takes_runs_and_groups() -> None:
    choice = runs.planned(index_of(), None)
    assert [run.name for run in runs.chosen(choice, ["loss", "mesh"])] == [
        "mesh", "loss-plane", "loss-point", "loss-chamfer",
    ]  # fmt: skip
    assert {run.group for run in runs.chosen(choice, ["ablations"])} == set(runs.ABLATIONS)
    with pytest.raises(SettingsError, match=r"--only does not know 'meshes'; give a comma list out of: maps, voxels"):
        runs.chosen(choice, ["meshes"])
    with pytest.raises(SettingsError, match="nothing is left to train: size-256 is left out: it wants pictures of 256"):
        runs.chosen(choice, ["size-256"])


def test_shapes_of_a_kind_are_left_out_with_their_pictures(shards: Path) -> None:
    data = load_dataset(shards, "train", 32)
    assert dict(zip(data.names, kinds(data), strict=True)) == {
        "alpha-0": "original", "alpha-1": "variant", "beta-0": "original", "beta-1": "variant",
        "param-van-0000-0": "parametric",
    }  # fmt: skip
    entries = {e["name"]: e["kind"] for e in read_index(shards)["shards"]}
    assert all(entries[name] == kind for name, kind in zip(data.names, kinds(data), strict=True))
    fewer = without(data, "variant")
    assert fewer.names == ["alpha-0", "beta-0", "param-van-0000-0"] and len(fewer.images) == 9
    for row, name in enumerate(fewer.names):
        old = data.names.index(name)
        assert np.array_equal(fewer.images[fewer.shape_index == row], data.images[data.shape_index == old])
        assert np.array_equal(fewer.R[fewer.shape_index == row], data.R[data.shape_index == old])
        assert np.array_equal(fewer.fixed_depth[row], data.fixed_depth[old])
        assert fewer.length_m[row] == data.length_m[old] and fewer.classes[row] == data.classes[old]
    lengths = {f.name: len(getattr(fewer, f.name)) for f in dataclasses.fields(CarDataset)}
    assert set(lengths.values()) == {3, 9}
    real = without(data, "parametric")
    assert real.real.all() and shape_weights(real.classes, real.real).sum() == pytest.approx(1)
    with pytest.raises(DataError, match="all 2 shapes are of the kind 'original'; without them nothing is left"):
        without(without(real, "variant"), "original")
    with pytest.raises(DataError, match="there is no kind of shape 'made up'; choose one of original, variant"):
        without(data, "made up")


# -- how long ------------------------------------------------------------------------------------------------------


def test_steps_fill_the_wall_clock_in_the_proportions_of_the_settings() -> None:
    stages = (Stage("slow", 100, warm_up=50), Stage("quick", 300))
    settings = Settings("lin2018", stages)
    found = pace.fitted(settings, [2.0, 0.5], 700.0)
    assert found == [200, 600] and 200 * 2.0 + 600 * 0.5 == 700
    assert pace.fitted(settings, [2.0, 0.5], 0.001) == [2, 2]
    paced = pace.paced(settings, [200, 60])
    assert [(s.iterations, s.warm_up) for s in paced.stages] == [(200, 20), (60, 6)]
    assert paced.validate_every == 260 // pace.VALIDATIONS


def test_steps_see_a_number_of_pictures_in_the_same_proportions(toys: Path, tmp_path: Path) -> None:
    settings = Settings("lin2018", (Stage("small", 100, batch=10), Stage("large", 50, batch=40)))
    assert pace.counted(settings, 6000) == [200, 100] and 200 * 10 + 100 * 40 == 6000
    run = next(r for r in runs.planned(read_index(toys), None, batch=3).runs if r.name == "no-variants")
    assert {stage.batch for stage in run.settings.stages} == {3}
    counted = bench(toys, tmp_path)
    counted.samples = 1
    figures = trial.conduct(run, counted)
    assert figures["samples"] == 3 * figures["steps"] and "threads" in figures["device"]


def test_the_rate_is_the_median_of_the_first_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings("lin2018", (Stage("a", 40, loss="code", batch=4), Stage("b", 3, loss="code", batch=4)))
    trainer = Trainer(settings, toy_data(2, 3), toy_data(1, 3), tmp_path, PLACE)
    clock = iter(np.cumsum([0, 9, 0, 1, 0, 1, 0, 1, 0, 1] + [0, 2] * 3).tolist())
    monkeypatch.setattr(trainer, "_update", lambda *_: {"total": torch.zeros(1)})
    monkeypatch.setattr("training.compare.pace.time.monotonic", lambda: next(clock))
    assert pace.measured(trainer, 5) == [1.0, 2.0], "the slow first step does not count"


# -- training and resuming -----------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_and_a_finished_one_is_left_alone(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = next(r for r in runs.planned(read_index(toys), None).runs if r.name == "no-variants")
    place = bench(toys, tmp_path / "out")
    train = Trainer.train

    def killed(trainer: Trainer) -> dict[str, float]:
        trainer.settings = dataclasses.replace(trainer.settings, stages=trainer.settings.stages)
        trainer._update(trainer.objective.train(), trainer.settings.stages[0], 0)
        trainer.step, trainer.samples = 1, 4
        trainer.save()
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        trial.conduct(run, place)
    plan = (tmp_path / "out/no-variants/plan.json").read_bytes()
    assert trial.finished(tmp_path / "out/no-variants") is None and json.loads(plan)["iterations"] == [2]

    starts: list[int] = []
    monkeypatch.setattr(Trainer, "train", lambda trainer: starts.append(trainer.step) or train(trainer))
    monkeypatch.setattr(pace, "measured", lambda *_: pytest.fail("the rate was measured already"))
    figures = trial.conduct(run, bench(toys, tmp_path / "out"))
    assert starts == [1] and (tmp_path / "out/no-variants/plan.json").read_bytes() == plan
    assert (figures["steps"], figures["samples"], figures["shapes"], figures["pictures"]) == (2, 8, 3, 9)
    assert figures["validation"]["score"] > 0 and figures["gflop"] > 0 and "error_factor" in figures["fits"]
    # Each file says how the run was made; a third call reads the figures and trains nothing.
    assert json.loads((tmp_path / "out/no-variants/run.json").read_text())["settings"]["network"] == "morphable"
    assert trial.conduct(run, bench(toys, tmp_path / "out")) == figures and starts == [1]
    other = bench(toys, tmp_path / "out")
    other.minutes = 5.0
    with pytest.raises(SettingsError, match="no-variants holds a run with other minutes; give another --out, or"):
        trial.conduct(run, other)
    (tmp_path / "out/no-variants/figures.json").write_text("{")
    with pytest.raises(DataError, match=r"figures\.json is damaged .* to train that run anew"):
        trial.conduct(run, bench(toys, tmp_path / "out"))


def test_runs_of_one_data_set_follow_each_other_and_read_it_once(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = runs.chosen(runs.planned(read_index(toys), None), [])
    place = bench(toys, tmp_path)
    names = [run.name for run in place.in_order(found)]
    assert sorted(names) == sorted(run.name for run in found)
    # Those that read depth maps, then those that do not; the rest read other pictures each.
    assert names[:2] == ["maps", "lin2018"], names
    assert names[2:10] == [
        "voxels", "mesh", "points", "morphable", "loss-plane", "loss-point", "loss-chamfer", "no-imagenet",
    ]  # fmt: skip
    read: list[str] = []
    load = load_dataset

    def watched(root: Path, split: str, *rest: Any, **named: Any) -> CarDataset:
        read.append(split)
        return load(root, split, *rest, **named)

    monkeypatch.setattr(needs, "load_dataset", watched)
    by_name = {run.name: run for run in found}
    assert place.sets(by_name["mesh"]) is place.sets(by_name["loss-plane"])
    assert read == ["train", "validation"]
    assert len(place.sets(by_name["pictures-2"]).train.images) == 10
    assert place.sets(by_name["maps"]).train.fixed_depth.size and len(read) == 6


# -- from end to end -----------------------------------------------------------------------------------------------


@pytest.fixture
def bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test body and a training body instead of the fetched packages, and a tenth of the ground truth."""
    made = [toy_car("p406"), toy_car("other", 1.7)]

    def load_cars(cache: Path, glb: object) -> Iterator[CarMesh]:
        return iter(made)

    monkeypatch.setattr(running, "load_cars", load_cars)
    monkeypatch.setattr(scores, "Bodies", functools.partial(scores.Bodies, truth_points=10_000))


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    options = parser.parse_args(["compare", *arguments])
    return int(options.run(options))


@pytest.mark.slow
def test_compare_trains_scores_and_draws(
    toys: Path, bodies: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ["--data", str(toys), "--out", str(out), "--minutes", "0.0001", "--workers", "1", "--views", "1"]
    flags += ["--batch", "4", "--cache", str(tmp_path / "cache")]
    assert command(*flags, "--only", "points,morphable,lin2018,pictures-2") == 0
    shown = capsys.readouterr()
    assert "4 runs of 0.0001 minutes: points, morphable, lin2018, pictures-2" in shown.err
    assert "size-128 is left out: it wants pictures of 128 pixels, and --data has 80" in shown.err
    assert "Representations: figures" in shown.out and "compare.md" in shown.out
    results = json.loads((out / "compare.json").read_text())
    assert list(results["runs"]) == ["points", "morphable", "lin2018", "pictures-2"]
    for name, run in results["runs"].items():
        steps = 4 if name == "lin2018" else 2
        assert (run["steps"], run["samples"]) == (steps, 4 * steps), name
        for condition in ("plain", "clutter"):
            scored = run["benchmark"][condition]["mean"]
            assert 0 <= scored["8192"]["f1"] <= 100 and scored["8192"]["pred_to_gt"] > 0
        assert ("pose" in run["benchmark"]["plain"]["median"]) == (name != "lin2018")
        assert 0 <= run["validation"]["f1"] <= 100
    text = (out / "compare.md").read_text()
    assert "## Representations: what it took" in text and "| lin2018, original |" in text
    assert "| 2 a shape | 8 | 2 |" in text and "## Left out" in text
    drawn = ["curves-representations.png", "bars.png", "curves-ablations.png", "pictures.png"]
    assert sorted(path.name for path in out.glob("*.png")) == sorted(drawn)
    for name in drawn:
        picture = cv2.imread(str(out / name))
        assert f"({name})" in text and picture.shape[1] > 1000 and picture.std() > 5

    # Another call repeats nothing, and reports what there was as well.
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/last.pt")}
    assert command(*flags, "--only", "points") == 0
    assert "points: finished already" in capsys.readouterr().err
    assert json.loads((out / "compare.json").read_text()) == results
    assert len(before) == 4 and all(path.stat().st_mtime_ns == old for path, old in before.items())


def test_bad_flags_are_sentences(toys: Path, bodies: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--data", str(toys), "--out", str(tmp_path / "out")]
    with pytest.raises(SettingsError, match="--minutes is 0; every run needs some time, such as --minutes 8"):
        command(*flags, "--minutes", "0")
    with pytest.raises(SettingsError, match="--views is 0; give 1 or more"):
        command(*flags, "--views", "0")
    with pytest.raises(DataError, match="no shards in .*nowhere"):
        command(*flags, "--data-large", str(tmp_path / "nowhere"))
    assert command(*flags, "--list", "--only", "loss") == 0 and not (tmp_path / "out").exists()
    assert "3 runs of 8 minutes: loss-plane, loss-point, loss-chamfer" in capsys.readouterr().err


def test_without_test_bodies_nothing_is_trained(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "load_cars", lambda cache, glb: iter([toy_car("other")]))
    with pytest.raises(DataError, match="holds no test body"):
        command("--data", str(toys), "--out", str(tmp_path / "out"), "--meshes", str(tmp_path))
    assert not (tmp_path / "out").exists()


# -- what is written -----------------------------------------------------------------------------------------------
