"""Rendered photo sets: layouts that the readers take for the published ones, and a truth that fits the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.errors import DataError, SettingsError
from edge.photosets import open_photos
from tests.training.test_render import box_car
from training.__main__ import main
from training.datasets import rendered
from training.datasets.layouts import LAYOUTS, Entry
from training.datasets.rendered import Plan, held_out_first, of_class, write_photoset
from training.datasets.snapshot import take
from training.meshes.library import Entry as Body
from training.render.renderer import Renderer

ENTRIES = [
    Entry(1, 1, 1, "train", (0.0, 2.5, 10.2, 6.0)),
    Entry(2, 2, 1, "test", (3.0, 4.0, 5.0, 6.0)),
    Entry(3, 1, 2, "test", (299.5, 1.0, 200.5, 99.0)),
]
#: Whole pixels around the boxes.
BOXES = [(0, 2, 11, 7), (3, 4, 5, 6), (299, 1, 201, 99)]


@pytest.mark.parametrize(("layout", "groups"), [("bmw10", ("bmw 1", "bmw 2")), ("stanford-cars", ("Fiat 500", "M3"))])
def test_a_layout_is_read_as_published(layout: str, groups: tuple[str, str], tmp_path: Path) -> None:
    written = LAYOUTS[layout]
    for entry in ENTRIES:
        path = tmp_path / written.place(entry)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    written.annotate(tmp_path, ENTRIES, ["Fiat 500", "M3"])
    found = open_photos(str(tmp_path))
    assert (found.kind, found.missing) == (layout, [])
    rows = {photo.name: (photo.group, photo.split, photo.box) for photo in found.photos}
    assert rows == {
        written.place(e): (groups[e.label - 1], e.split, box) for e, box in zip(ENTRIES, BOXES)
    }


def test_a_rendered_set_is_what_its_truth_says(tmp_path: Path) -> None:
    out = tmp_path / "set"
    bodies = [box_car("one"), box_car("two")]
    truth = write_photoset(out, bodies, Plan("bmw10", 2, (96, 72), 3))
    assert json.loads((out / "truth.json").read_text()) == truth
    assert [row["body"] for row in truth["classes"]] == ["one", "two"]
    found = open_photos(str(out))
    assert (found.kind, found.missing) == ("bmw10", [])
    assert sorted(photo.split for photo in found.photos) == ["test", "test", "train", "train"]
    for photo, row in zip(found.photos, truth["photos"]):
        assert (photo.name, photo.group, photo.split) == (row["name"], f"bmw {row['class']}", row["split"])
        assert photo.box is not None and np.abs(np.subtract(photo.box, row["box"])).max() < 2
        picture = cv2.imread(photo.path)
        assert picture.shape == (72, 96, 3) and picture.std() > 5
    with pytest.raises(DataError, match="set is not empty; give a new folder, or empty it first"):
        write_photoset(out, bodies, Plan("bmw10", 2, (96, 72), 3))


def test_a_snapshot_repeats_and_its_box_is_the_silhouettes() -> None:
    mesh = box_car()
    with Renderer((96, 72)) as renderer:
        for seed in range(2):
            shot, again = (take(renderer, mesh, np.random.default_rng(seed)) for _ in range(2))
            assert np.array_equal(shot.rgb, again.rgb) and shot.rgb.shape == (72, 96, 3)
            cover = renderer.silhouette(renderer.prepare(mesh), shot.camera) > 0
            rows, columns = np.flatnonzero(cover.any(1)), np.flatnonzero(cover.any(0))
            x, y, width, height = shot.box
            edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert np.abs(np.subtract(edges, [x, y, x + width, y + height])).max() < 1.5
            assert width > 35, "the car fills the photo"


def test_bodies_held_out_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["trb", "seat_leon", "suv", "van", "p406"]
    monkeypatch.setattr(rendered, "entries", lambda *_: [Body(name, "", lambda: box_car()) for name in names])
    monkeypatch.setattr(rendered, "load_entry", lambda _, entry: box_car(entry.name))
    found = [body.name for body in held_out_first(Path("cache"), (), 4)]
    assert found == ["suv", "p406", "seat_leon", "trb"]
    with pytest.raises(DataError, match="6 classes are asked for, but there are 5 bodies; take fewer, or add --glb"):
        held_out_first(Path("cache"), (), 6)


def test_made_up_bodies_are_of_one_class_and_differ() -> None:
    one, two = of_class("sedan", 2, 7)
    assert one.body_class == two.body_class == "sedan" and one.name != two.name
    with pytest.raises(SettingsError, match="--parametric 'tank' is no body class; known are"):
        of_class("tank", 2, 7)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--photos", "1"], "--classes is 1 to 1000, --photos 2 to 10000"),
        (["--classes", "0"], "--classes is 1 to 1000, --photos 2 to 10000"),
        (["--size", "500"], "write it like 640x360"),
        (["--meshes", "/nowhere"], "run: python -m training meshes fetch"),
    ],
)
def test_what_cannot_be_rendered_is_refused(
    flags: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["photoset", "--out", str(tmp_path / "set"), *flags]) in (2, 8)
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_the_command_renders_made_up_bodies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "set"
    flags = ["--layout", "stanford-cars", "--parametric", "hatchback", "--classes", "1", "--photos", "2"]
    assert main(["photoset", "--out", str(out), "--size", "96x72", *flags]) == 0
    assert main(["datasets", "check", "stanford-cars", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "class 1: param-hatchback-0000" in printed and "nothing is missing" in printed
    assert {photo.group for photo in open_photos(str(out)).photos} == {"param-hatchback-0000"}
