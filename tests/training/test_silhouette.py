"""training.silhouette: batches, network, scores, the loop and its resume, and the commands."""

from __future__ import annotations

import contextlib
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edge.errors import DataError, SettingsError
from tests.training.data_samples import box_car, car_shards
from tests.training.silhouette_samples import make_album, photo
from tests.training.toys import same, toy_data
from training import checkpoint
from training.__main__ import main
from training.benchmark.store import Store
from training.data.dataset import CarDataset
from training.silhouette import judge as judging
from training.silhouette.batches import Crops, Source, covered, pasted
from training.silhouette.judge import Judged
from training.silhouette.network import Silhouette, rebuilt
from training.silhouette.score import Validation, iou, predictor, score, score_photos
from training.silhouette.train import Run, loss_of, settings_of

SMALL = [4, 4, 8, 8, 8]


@pytest.fixture
def album(tmp_path: Path) -> dict[str, Path]:
    return make_album(tmp_path)


# -- batches ---------------------------------------------------------------------------------------------------


def source(photos: int = 2, share: float = 0.25) -> Source:
    data = toy_data(3, 4, 64)
    return Source(data, [photo(f"{n}.png") for n in range(photos)], settings_of(64, 8, 1e-3, size=64), share)


def test_batches_depend_on_seed_and_step_alone() -> None:
    one, other = source().sample(3, 8, 64), source().sample(3, 8, 64)
    assert one.image.shape == (8, 3, 64, 64) and one.mask.shape == (8, 1, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one.image, source().sample(4, 8, 64).image)
    for plane in one:
        assert plane.min() >= 0 and plane.max() <= 1


def test_without_photos_all_crops_are_of_the_shards() -> None:
    assert source(0).photo_share == 0
    assert source(0).sample(0, 8, 64).image.shape == (8, 3, 64, 64)


def halves(batch: int = 64, size: int = 32) -> Crops:
    """Pictures of grey levels that differ, the car a square in the middle."""
    image = (torch.arange(batch).float() / batch)[:, None, None, None].expand(batch, 3, size, size).clone()
    mask = torch.zeros(batch, 1, size, size)
    mask[:, :, 8:24, 8:24] = 1
    return Crops(image, mask)


def test_what_covers_the_car_is_cut_out_of_its_silhouette() -> None:
    before = halves()
    after = covered(before, 1.0, torch.Generator().manual_seed(0))
    changed = (after.image != before.image).any(1, keepdim=True)
    assert changed.flatten(1).any(1).float().mean() > 0.8
    assert not after.mask[changed].any()
    assert torch.equal(after.mask[~changed & (after.mask > 0)], before.mask[~changed & (after.mask > 0)])
    same_ = covered(before, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(same_.image, before.image) and torch.equal(same_.mask, before.mask)


def test_a_car_pasted_behind_leaves_the_silhouette_and_one_before_cuts_it() -> None:
    before = halves()
    after = pasted(before, torch.Generator().manual_seed(0))
    changed = (after.image - before.image).abs().amax(1, keepdim=True) > 1e-6
    cut = (after.mask < before.mask).flatten(1).any(1)
    beside = changed.flatten(1).any(1) & ~cut
    assert cut.any() and beside.any() and not (changed.flatten(1).any(1)).all()
    assert not (changed[beside] & (before.mask[beside] == 1)).any()
    assert (after.mask <= before.mask).all()


# -- network, loss, score --------------------------------------------------------------------------------------


def test_the_network_gives_a_logit_a_pixel() -> None:
    network = Silhouette(64, tuple(SMALL))
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 1, 64, 64)
    assert sum(p.numel() for p in Silhouette().parameters()) * 2 < 2e6
    with pytest.raises(SettingsError, match="multiple of 32 from 64 to 256"):
        Silhouette(100)
    with pytest.raises(SettingsError, match="5 positive numbers"):
        Silhouette(128, (1, 2))


def test_the_loss_is_small_for_what_is_right() -> None:
    mask = halves(4).mask
    right, wrong = loss_of(20 * (2 * mask - 1), mask, 1.0), loss_of(20 * (1 - 2 * mask), mask, 1.0)
    assert right.item() < 1e-3 and wrong.item() > 10
    assert loss_of(torch.zeros_like(mask), mask, 0.0).item() == pytest.approx(np.log(2), rel=1e-5)


def test_intersection_over_union() -> None:
    one, other = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert iou(one, other) == 1
    one[:, :2], other[:, 1:3] = True, True
    assert iou(one, other) == pytest.approx(1 / 3)
    assert iou(one, other, np.array([[False, True, True, False]] * 4)) == pytest.approx(1 / 2)


def test_scores_of_a_predictor_that_knows() -> None:
    def bright(crops: np.ndarray) -> np.ndarray:
        return np.asarray(crops.mean(3) > 105, np.float32)

    data = toy_data(3, 20, 64)
    assert np.mean(score(bright, data.images, data.masks)) > 0.95
    assert len(score(bright, data.images, data.masks)) == 60
    assert score_photos(bright, [photo()], 64)[0] > 0.95 and score_photos(bright, [], 64) == []


def test_a_predictor_brings_crops_to_the_networks_size_and_back() -> None:
    predict = predictor(Silhouette(64, tuple(SMALL)).eval())
    found = predict(np.zeros((3, 128, 128, 3), np.uint8))
    assert found.shape == (3, 128, 128) and found.min() >= 0 and found.max() <= 1


# -- the loop --------------------------------------------------------------------------------------------------


def run(folder: Path, samples: int = 48, photos: tuple[str, ...] = (), data: CarDataset | None = None) -> Run:
    settings = settings_of(samples, 8, 3e-3, size=64)
    settings = replace(settings, arguments={"image_size": 64, "channels": SMALL}, validate_every=4)
    data = data or toy_data(3, 4, 64)
    shots = [photo(name) for name in photos]
    return Run(settings, Source(data, shots, settings, 0.25), Validation(data, [photo()], 6), folder, photos, "typed")


def test_a_run_learns_the_toys(tmp_path: Path) -> None:
    trained = run(tmp_path, 8 * 150)
    figures = trained.train()
    assert figures["iou"] > 0.75 and {"iou_plain", "iou_photos"} < set(figures)
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert float(rows[-1]["iou"]) > float(rows[0]["iou"]) and rows[-1]["samples"] == "1200"
    assert rebuilt(checkpoint.load(tmp_path / "last.pt"), tmp_path)(torch.zeros(1, 3, 64, 64)).shape == (1, 1, 64, 64)


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run(whole, photos=("a.png",)).train()
    first = run(parts, photos=("a.png",))
    update = first._update

    def stop() -> float:
        if first.step == 3:
            first.save()
            raise KeyboardInterrupt
        return update()

    first._update = stop  # type: ignore[method-assign]
    with contextlib.suppress(KeyboardInterrupt):
        first.train()
    second = run(parts, photos=("a.png",))
    assert second.resume() and second.step == 3
    second.train()
    one, other = (checkpoint.load(folder / "last.pt") for folder in (whole, parts))
    assert same({**one, "seconds": 0}, {**other, "seconds": 0})
    curves = [csv.DictReader((folder / "curve.csv").open()) for folder in (whole, parts)]
    assert [{**row, "seconds": ""} for row in curves[0]] == [{**row, "seconds": ""} for row in curves[1]]


def test_another_run_is_not_taken_up(tmp_path: Path) -> None:
    assert not run(tmp_path).resume()
    run(tmp_path).train()
    for other in (run(tmp_path, 96), run(tmp_path, photos=("a.png",))):
        with pytest.raises(SettingsError, match="other settings or photos; use another --out folder"):
            other.resume()


def test_settings_of_less_than_a_batch_are_refused() -> None:
    with pytest.raises(SettingsError, match="give --batch 2 or more, and --samples no less"):
        settings_of(10, 32, 1e-3)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not of a silhouette; train one with: python -m training silhouette"):
        rebuilt({"network_name": "maps"}, tmp_path)
    settings = {"arguments": {"image_size": 64, "channels": SMALL}}
    state: dict[str, Any] = {"network_name": "silhouette", "settings": settings, "average": {}}
    with pytest.raises(DataError, match="train again"):
        rebuilt(state, tmp_path)


# -- the commands ----------------------------------------------------------------------------------------------


def test_the_command_trains_records_the_photos_and_judges(
    album: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shards").mkdir()
    car_shards(tmp_path / "shards", size=128)
    (tmp_path / "judged").write_text("car1.png\n")
    (tmp_path / "drop").write_text("car2.png # a shadow\n")
    out = tmp_path / "run"
    words = ["silhouette", "--data", str(tmp_path / "shards"), "--out", str(out), "--samples", "8", "--batch", "4",
             "--photos", str(album["photos"]), "--boxes", str(album["boxes"]), "--masks", str(album["masks"]),
             "--judged", str(tmp_path / "judged"), "--drop", str(tmp_path / "drop"), "--threads", "1"]  # fmt: skip
    assert main(words) == 0
    assert "8 samples" in capsys.readouterr().out
    record = json.loads((out / "run.json").read_text())
    assert record["photos"]["teaching"] == ["car0.png", "car3.png"] and record["photos"]["judged"] == ["car1.png"]
    assert "car2.png: dropped by name" in record["photos"]["left_out"][0]
    assert record["settings"]["network"] == "silhouette"

    def drawn(mesh: Any, view: Any, condition: str) -> Any:
        made = photo()
        rgb, mask, _ = made.judged(128)
        return type("Picture", (), {"rgb": rgb, "mask": mask})

    monkeypatch.setattr(judging, "draw", drawn)
    monkeypatch.setattr("training.benchmark.run.test_bodies", lambda meshes, glb: [box_car("p406")])
    assert main([*words, "--judge", "--views", "2", "--cache", str(tmp_path / "cache")]) == 0
    said = capsys.readouterr().out
    assert "clutter: IoU" in said and "occluded: IoU" in said and "photos: IoU" in said and "car1.png" in said
    judged = json.loads((out / "judged.json").read_text())
    assert set(judged["mean_iou"]) == {"clutter", "occluded", "photos"} and len(judged["pictures"]) == 5


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--photos", "x"], "--photos needs --boxes"),
        (["--photo-share", "1"], "--photo-share is 1"),
        (["--judge", "--views", "0"], "--views is 0"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(
    more: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["silhouette", "--out", str(tmp_path), *more]) == SettingsError.exit_code
    assert told in capsys.readouterr().err


def test_judged_names_must_be_photos(
    album: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "judged").write_text("nobody.png\n")
    words = ["--photos", str(album["photos"]), "--boxes", str(album["boxes"]), "--masks", str(album["masks"])]
    assert main(["silhouette", *words, "--judged", str(tmp_path / "judged")]) == SettingsError.exit_code
    assert "names 'nobody.png', which is none of the photos" in capsys.readouterr().err


def test_judging_without_a_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["silhouette", "--judge", "--out", str(tmp_path)]) == DataError.exit_code
    assert "no checkpoint at" in capsys.readouterr().err


def test_the_table_tells_bodies_and_worst_photos(tmp_path: Path) -> None:
    rows = [Judged("clutter", "a", 0.9), Judged("clutter", "a", 0.7), Judged("clutter", "b", 0.5)]
    rows.append(Judged("photos", "x.jpg", 0.4))
    lines = judging.table(rows)
    assert lines[0].startswith("clutter: IoU 0.7000") and lines[1] == "  a 0.800, b 0.500"
    assert lines[2].startswith("photos: IoU 0.4000") and lines[3] == "  x.jpg 0.400"
    assert judging.summary(rows) == {"clutter": 0.7, "photos": 0.4}


def test_the_benchmarks_pictures_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def drawn(mesh: Any, view: Any, condition: str) -> Any:
        calls.append(condition)
        return type("Picture", (), {"rgb": np.zeros((8, 8, 3), np.uint8), "mask": np.ones((8, 8), np.uint8)})

    monkeypatch.setattr(judging, "draw", drawn)
    for _ in range(2):
        made = judging.silhouettes_of(box_car("p406"), "clutter", 3, Store(tmp_path))
        assert made["rgb"].shape == (3, 8, 8, 3) and made["mask"].shape == (3, 8, 8)
    assert calls == ["clutter"] * 3
