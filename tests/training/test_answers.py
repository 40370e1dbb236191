"""The answers: what spoils a picture does what it says, a hull is a hull, the page says what the numbers say."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edge.errors import DataError
from training.__main__ import main
from training.answers import classical, cli, cues, images, learning, photos, plots
from training.answers.bench import Bench, Experiment, Figures, mean
from training.meshes.model import CATEGORIES
from training.render.camera import Camera


def picture(side: int = 64) -> np.ndarray:
    """A bright red oblong on a grey ground, RGB."""
    image = np.full((side, side, 3), 120, np.uint8)
    image[side // 4 : side * 5 // 8, side // 4 : side * 3 // 4] = (200, 40, 40)
    return image


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(("name", "spoil", "levels"), [(row[0], row[2], row[3]) for row in images.SPOILT])
def test_the_first_level_hardly_changes_a_picture_and_the_last_does(
    name: str, spoil: images.Spoil, levels: tuple[float, ...]
) -> None:
    image = picture(128)
    first, last = (spoil(image, level, rng()).astype(int) for level in (levels[0], levels[-1]))
    assert first.shape == image.shape and np.abs(first - image).mean() < 4
    assert last.shape != image.shape or np.abs(last - image).mean() > 3 * np.abs(first - image).mean() + 0.3


def test_spoiling_does_what_it_is_called() -> None:
    image = picture()
    assert images.smaller(image, 16, rng()).shape == (16, 16, 3)
    grey = images.drained(image, 1.0, rng()).astype(int)
    assert np.ptp(grey, axis=2).max() <= 1
    dark = images.exposed(image, -2.0, rng())
    assert np.allclose((dark / 255.0) ** 2.2, (image / 255.0) ** 2.2 / 4, atol=0.01)
    moved = images.misplaced(image, 10, rng())
    corner = np.argwhere(moved[..., 0] > 160).min(0) - np.argwhere(image[..., 0] > 160).min(0)
    assert np.hypot(*corner) == pytest.approx(6.4, abs=1.5)
    hue = images.tinted(image, 1 / 3, rng())[32, 32]
    assert hue[1] > 150 and hue[0] < 90
    one, other = (images.shaken(image, 12, np.random.default_rng(seed)) for seed in (0, 1))
    assert np.array_equal(one, images.shaken(image, 12, np.random.default_rng(0))) and not np.array_equal(one, other)


def looking(direction: str) -> Camera:
    """A camera far away on an axis, 100 pixels a car length."""
    rotation = {"x": [[0, 1, 0], [0, 0, -1], [-1, 0, 0]], "y": [[-1, 0, 0], [0, 0, -1], [0, -1, 0]]}[direction]
    return Camera(np.array([[1e5, 0, 64], [0, 1e5, 64], [0, 0, 1]]), np.array(rotation, float), np.array([0, 0, 1e3]))


def test_a_hull_is_where_all_silhouettes_agree() -> None:
    """From the side a plate of 0.8 by 0.3, from before one of 0.4 by 0.3: their common part is a box."""
    masks = {name: np.zeros((128, 128), bool) for name in "xy"}
    masks["y"][64 - 15 : 64 + 15, 64 - 40 : 64 + 40] = True
    masks["x"][64 - 15 : 64 + 15, 64 - 20 : 64 + 20] = True
    taken = [classical.Silhouette(mask, looking(name)) for name, mask in masks.items()]
    cells = np.argwhere(classical.carve(taken) > 0)
    step = (np.array(classical.HIGH) - classical.LOW) / classical.CELLS
    extents = (np.ptp(cells, axis=0) + 1) * step
    assert np.allclose(extents, (0.8, 0.4, 0.3), atol=0.015)
    alone = np.argwhere(classical.carve(taken[:1]) > 0)
    assert np.ptp(alone, axis=0)[0] + 1 == classical.CELLS[0]  # one view says nothing about the depth


def test_means_leave_out_what_is_not_known() -> None:
    told = mean([Figures(1, 2, 30, 60, 4.0), Figures(3, 4, 50, 80)])
    assert told == {"pred_to_gt": 2.0, "gt_to_pred": 3.0, "f1": 40.0, "f2": 70.0, "direction": 4.0}
    assert "direction" not in mean([Figures(1, 2, 3, 4)])


def test_a_table() -> None:
    assert plots.table(["a", "b"], [["x", 1.234], [2, 12.34]]).splitlines() == [
        "| a | b |", "| --- | --- |", "| x | 1.23 |", "| 2 | 12.3 |"]


def photo_results() -> dict[str, Any]:
    row = {"f1": 40.0, "f2": 80.0, "pred_to_gt": 1.2, "gt_to_pred": 1.4, "claimed": 60.0}
    rows = {str(count): row | {"f1": 40.0 + count} for count in (1, 2, 4)}
    return {"bodies": ["a", "b"], "groups": 8, "rows": dict.fromkeys(photos.CONDITIONS, rows)}


def test_the_section_says_what_was_measured(tmp_path: Path) -> None:
    text = photos.write(photo_results(), tmp_path)
    assert "rises from\n41.0 to 44.0" in text and "| 4 | 44.0 | 44.0 | 44.0 | 1.20 |" in text
    assert (tmp_path / "photos.png").stat().st_size > 4000


def counted(bench: Bench) -> dict[str, Any]:
    """Stands in for an experiment that takes minutes."""
    CALLS.append(bench.views)
    return {"bodies": ["a"], "value": len(CALLS)}


def told(results: dict[str, Any], folder: Path) -> str:
    return f"## Told\n{results['value']}\n"


CALLS: list[int] = []


def test_results_are_kept_until_what_they_depend_on_changes(tmp_path: Path) -> None:
    experiment = Experiment("counted", counted, told)
    bench = Bench("morphable", tmp_path, (), tmp_path)
    CALLS.clear()
    assert [cli.measured(experiment, bench, tmp_path)["value"] for _ in range(2)] == [1, 1]
    assert cli.measured(experiment, bench._replace(views=8), tmp_path)["value"] == 2
    (tmp_path / "counted.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read .* delete it to measure again"):
        cli.measured(experiment, bench, tmp_path)


def test_the_page_and_its_numbers_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "EXPERIMENTS", (Experiment("counted", counted, told),))
    results = {"counted": {"bodies": ["a", "b"], "value": 7}}
    cli.write_page(results, Bench("morphable", tmp_path, (), tmp_path, 12), tmp_path / "docs")
    text = (tmp_path / "docs" / "answers.md").read_text(encoding="utf-8")
    assert "## Told\n7" in text and "2 bodies,\n12 views each, bundle `morphable`" in text
    assert json.loads((tmp_path / "docs" / "answers.json").read_text()) == results


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--only", "luck"], "there is no experiment luck; known are images, cues, learning, photos, classical"),
    (["--views", "25"], "--views is 25; give 1 to 24"),
])
def test_wrong_flags(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["answers", *arguments]) == 2
    assert sentence in capsys.readouterr().err


def seen() -> cues.Seen:
    """A car of paint with a window and a wheel, of one colour each."""
    kinds = np.zeros((128, 128), np.uint8)
    kinds[40:90, 20:110] = 1 + CATEGORIES.index("paint")
    kinds[45:60, 40:80] = 1 + CATEGORIES.index("glass")
    kinds[80:90, 30:45] = 1 + CATEGORIES.index("tyre")
    rgb = np.full((128, 128, 3), 90, np.uint8)
    for kind, colour in (("paint", (200, 30, 30)), ("glass", (30, 60, 80)), ("tyre", (10, 10, 10))):
        rgb[kinds == 1 + CATEGORIES.index(kind)] = colour
    return cues.Seen(SimpleNamespace(rgb=rgb, mask=np.where(kinds > 0, 255, 0), parts=kinds))


def test_cues_are_taken_away_and_nothing_else() -> None:
    one = seen()
    paint = (200, 30, 30)
    alone = cues.outline(one)
    assert len(np.unique(alone[one.mask], axis=0)) == 1 and (alone[~one.mask] == 90).all()
    assert len(np.unique(cues.inside(one)[~one.mask], axis=0)) == 1
    assert (cues.inside(one)[one.mask] == one.rgb[one.mask]).all()
    bare = cues.CUES["no glass"](one)
    assert (bare[50, 60] == paint).all() and (bare[85, 37] == (10, 10, 10)).all() and (bare[~one.mask] == 90).all()
    assert (cues.CUES["no wheels"](one)[85, 37] == paint).all()
    assert (cues.negative(one) == 255 - one.rgb).all()
    assert (cues.upside_down(one)[127 - 50, 127 - 60] == one.rgb[50, 60]).all()
    tiles = cues.shuffled(one)
    assert not np.array_equal(tiles, one.rgb)
    assert np.array_equal(np.sort(tiles.reshape(-1, 3), 0), np.sort(one.rgb.reshape(-1, 3), 0))
    assert set(np.unique(cues.drawn(one))) == {0, 255}


def test_every_part_that_is_painted_over_exists() -> None:
    assert set(cues.GLASS + cues.WHEELS + cues.LAMPS) <= set(CATEGORIES)


def test_the_effect_of_patches_is_told_by_what_lies_beneath_them() -> None:
    places = len(range(0, 128 - cues.PATCH + 1, cues.STEP))
    effect = np.zeros((places, places))
    middles = np.arange(places) * cues.STEP + cues.PATCH // 2
    glass = (middles[:, None] >= 45) & (middles[:, None] < 60) & (middles[None] >= 40) & (middles[None] < 80)
    effect[glass] = 2.0
    told = cues.by_part(seen(), effect)
    assert told["glass"] == 2.0 and told["paint"] == 0.0 and told["around the car"] == 0.0


def test_what_the_comparison_found_is_read_off_its_page(tmp_path: Path) -> None:
    results = learning.run(Bench("morphable", tmp_path, (), tmp_path))
    names = [row[0] for row in results["representations"]]
    assert "`points`" in names and "`mesh`" in names and all(float(row[3]) > 30 for row in results["representations"])
    text = learning.write(results, tmp_path)
    assert f"| {results['representations'][0][0]} |" in text and (tmp_path / "learning.png").is_file()
    with pytest.raises(DataError, match="has no table that begins with 320,000 pictures"):
        learning.representations("# Another page")


def test_every_photo_is_asked_alone_and_groups_hold_no_photo_twice() -> None:
    assert [chosen.tolist() for chosen in photos.groups(3, 1, rng())] == [[0], [1], [2]]
    assert len(photos.groups(24, 24, rng())) == 1
    drawn = photos.groups(24, 8, rng())
    assert len(drawn) == photos.GROUPS and all(len(set(chosen.tolist())) == 8 for chosen in drawn)
