"""carcloud reconstruct: one file an image, a summary, and what happens to bad input."""

import json
import os
from typing import Any, Dict

import cv2
import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.cli import main
from edge.cli.reconstruct import Where, output_names
from edge.errors import NoCarError
from edge.ply import read_ply
from edge.runtime.finder import open_finder
from tests.edge.helpers import FINDING_BUNDLE, POSED_BUNDLE, TINY_BUNDLE, red_cars, write_picture
from tests.edge.scenes import demo


def reconstruct(*arguments: str, bundle: str = TINY_BUNDLE) -> int:
    """Run the command on the tiny bundle."""
    return main(["reconstruct"] + list(arguments) + ["--bundle", bundle, "--threads", "1"])


def summary(folder: Any) -> Dict[str, Any]:
    """The summary of a run."""
    with open(os.path.join(str(folder), "summary.json")) as handle:
        document: Dict[str, Any] = json.load(handle)
    return document


@pytest.fixture
def photos(tmp_path: Any) -> str:
    """A folder of two pictures and a text."""
    write_picture(str(tmp_path / "photos" / "a.jpg"))
    write_picture(str(tmp_path / "photos" / "b.png"), 50, 90)
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    return str(tmp_path / "photos")


def test_a_folder_gives_one_cloud_an_image_and_a_summary(photos: str, tmp_path: Any, capsys: Any) -> None:
    out = tmp_path / "deep" / "out"
    assert reconstruct(photos, "--out", str(out)) == 0
    assert sorted(os.listdir(str(out))) == ["a.ply", "b.ply", "summary.json"]
    assert capsys.readouterr().out == "2 clouds in %s\n" % out
    document = summary(out)
    assert document["bundle"]["name"] == "tiny" and document["units"] == "car length = 1"
    totals = document["totals"]
    assert (totals["found"], totals["ok"], totals["failed"], totals["not_reached"]) == (2, 2, 0, 0)
    for entry, name, size in zip(document["images"], ("a", "b"), ([80, 60], [50, 90])):
        cloud = read_ply(str(out / (name + ".ply")))
        assert entry["status"] == "ok" and entry["error"] is None and entry["image_size"] == size
        assert entry["points"] == len(cloud.points) > 1000 and cloud.confidence is not None
        assert entry["extents"]["x"] == pytest.approx([cloud.points[:, 0].min(), cloud.points[:, 0].max()], abs=1e-5)
        assert set(entry["timings_ms"]) == {"crop", "network", "fusion"}


def test_npz_holds_what_is_known(photos: str, tmp_path: Any) -> None:
    assert reconstruct(os.path.join(photos, "a.jpg"), "--out", str(tmp_path / "o"), "--format", "npz") == 0
    with np.load(str(tmp_path / "o" / "a.npz"), allow_pickle=False) as stored:
        assert stored["points"].dtype == np.float32 and stored["points"].shape[1] == 3
        assert len(stored["confidence"]) == len(stored["view"]) == len(stored["points"])
        assert str(stored["image"]) == "a.jpg" and list(stored["crop_box"]) == [0, -10, 80]
        assert str(stored["bundle"]) == "tiny" and list(stored["image_size"]) == [80, 60]
        digest = load_bundle(TINY_BUNDLE).manifest["files"]["reconstructor.onnx"]["sha256"]
        assert str(stored["bundle_sha256"]) == digest
        assert "x forward" in str(stored["frame"]) and str(stored["units"]) == "car length = 1"
        assert float(stored["length_m"]) == float(stored["length_prior_m"]) == 4.4 and "pose" not in stored.files


def test_what_the_network_tells_of_the_car_is_kept(photos: str, tmp_path: Any) -> None:
    photo = os.path.join(photos, "a.jpg")
    assert reconstruct(photo, "--out", str(tmp_path / "o"), "--format", "npz", bundle=POSED_BUNDLE) == 0
    with np.load(str(tmp_path / "o" / "a.npz"), allow_pickle=False) as stored:
        assert len(stored["rgb"]) == len(stored["mark"]) == len(stored["confidence"]) == 600
        assert float(stored["length_m"]) == pytest.approx(4.2) and float(stored["length_prior_m"]) == 4.4
        assert stored["pose"][0] == pytest.approx(60) and str(stored["body_class"]) == "suv"
    entry = summary(tmp_path / "o")["images"][0]
    assert entry["pose"]["azimuth"] == 60.0 and entry["length"] == {"metres": 4.2, "plus_minus": 0.21}
    assert entry["body_class"]["name"] == "suv" and set(entry["timings_ms"]) == {"crop", "network", "fusion", "colour"}
    assert reconstruct(photo, "--out", str(tmp_path / "p"), bundle=POSED_BUNDLE) == 0
    cloud = read_ply(str(tmp_path / "p" / "a.ply"))
    assert cloud.rgb is not None and cloud.mark is not None and set(cloud.mark.tolist()) <= {0, 1, 2}
    assert b"comment mark 0: colour seen, 1:" in (tmp_path / "p" / "a.ply").read_bytes()[:900]


def test_the_summary_says_null_for_what_the_network_does_not_tell(photos: str, tmp_path: Any) -> None:
    assert reconstruct(os.path.join(photos, "a.jpg"), "--out", str(tmp_path / "o")) == 0
    entry = summary(tmp_path / "o")["images"][0]
    assert entry["pose"] is None and entry["length"] is None and entry["body_class"] is None


def test_the_box_and_the_limit_are_used(photos: str, tmp_path: Any) -> None:
    arguments = ("--box", "10,10,20,10", "--max-points", "50")
    assert reconstruct(os.path.join(photos, "a.jpg"), "--out", str(tmp_path / "o"), *arguments) == 0
    entry = summary(tmp_path / "o")["images"][0]
    assert (
        entry["crop_box"] == [8, 3, 24] and entry["points"] == 50 and summary(tmp_path / "o")["box"] == [10, 10, 20, 10]
    )


def test_bad_photos_are_listed_the_rest_goes_on_and_the_exit_code_is_1(photos: str, tmp_path: Any, capsys: Any) -> None:
    with open(os.path.join(photos, "a.jpg"), "rb") as handle:
        half = handle.read()[:900]
    for name, content in (("cut.jpg", half), ("empty.png", b""), ("text.jpg", b"hello")):
        with open(os.path.join(photos, name), "wb") as handle:
            handle.write(content)
    assert reconstruct(photos, "--out", str(tmp_path / "o")) == 1
    assert sorted(os.listdir(str(tmp_path / "o"))) == ["a.ply", "b.ply", "summary.json"]
    errors = {
        entry["image"]: entry["error"] for entry in summary(tmp_path / "o")["images"] if entry["status"] == "failed"
    }
    assert set(errors) == {"cut.jpg", "empty.png", "text.jpg"}
    assert "cut short" in errors["cut.jpg"] and "is empty" in errors["empty.png"] and "no picture" in errors["text.jpg"]
    captured = capsys.readouterr()
    assert "2 clouds in" in captured.out and "3 photos failed, see" in captured.out
    assert captured.err.count("failed: ") == 3 and "Traceback" not in captured.err


def test_a_box_outside_one_photo_fails_that_photo_only(photos: str, tmp_path: Any) -> None:
    assert reconstruct(photos, "--out", str(tmp_path / "o"), "--box", "60,10,15,15") == 1
    status = {entry["image"]: entry["status"] for entry in summary(tmp_path / "o")["images"]}
    assert status == {"a.jpg": "ok", "b.png": "failed"}


def test_nothing_is_replaced_without_overwrite(photos: str, tmp_path: Any, capsys: Any) -> None:
    out = str(tmp_path / "o")
    assert reconstruct(photos, "--out", out) == 0
    before = os.stat(os.path.join(out, "a.ply")).st_mtime_ns
    assert reconstruct(photos, "--out", out) == 2
    assert "a.ply and 2 more exists already; add --overwrite to replace" in capsys.readouterr().err
    assert os.stat(os.path.join(out, "a.ply")).st_mtime_ns == before
    assert reconstruct(photos, "--out", out, "--overwrite") == 0


def test_names_that_would_collide_keep_their_extension(photos: str, tmp_path: Any) -> None:
    write_picture(os.path.join(photos, "a.png"))
    assert reconstruct(photos, "--out", str(tmp_path / "o")) == 0
    assert sorted(os.listdir(str(tmp_path / "o"))) == ["a.jpg.ply", "a.png.ply", "b.ply", "summary.json"]


@pytest.mark.parametrize(
    "names, outputs",
    [
        (["a.jpg", "b.jpg"], ["a.ply", "b.ply"]),
        (["a.jpg", "A.png"], ["a.jpg.ply", "A.png.ply"]),
        (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg.ply", "a.png.ply", "a.jpg.png.ply"]),
        (["v1.2.jpg"], ["v1.2.ply"]),
    ],
)
def test_output_names(names: list, outputs: list) -> None:
    assert output_names(names, "ply") == outputs


@pytest.mark.parametrize(
    "name, content, sentence",
    [
        ("none.jpg", None, "there is no file"),
        ("bad.jpg", b"hello", "is no picture OpenCV can read"),
        ("empty.jpg", b"", "is empty"),
    ],
)
def test_an_only_photo_that_is_bad_leaves_nothing_behind(
    tmp_path: Any, capsys: Any, name: str, content: Any, sentence: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert reconstruct(str(tmp_path / name), "--out", str(tmp_path / "o")) == 4
    assert sentence in capsys.readouterr().err and not os.path.exists(str(tmp_path / "o"))


def test_an_empty_folder_and_a_stream_are_refused(tmp_path: Any, capsys: Any) -> None:
    assert reconstruct(str(tmp_path), "--out", str(tmp_path / "o")) == 4
    assert "holds no picture" in capsys.readouterr().err
    assert reconstruct("csi://0", "--out", str(tmp_path / "o")) == 4
    assert "for streams use carcloud serve" in capsys.readouterr().err


def test_an_output_that_cannot_be_made_is_a_sentence(photos: str, tmp_path: Any, capsys: Any) -> None:
    (tmp_path / "file").write_text("")
    assert reconstruct(photos, "--out", str(tmp_path / "file" / "o")) == 2
    assert "cannot make the folder" in capsys.readouterr().err


def test_a_cloud_that_cannot_be_written_fails_its_photo(photos: str, tmp_path: Any, monkeypatch: Any) -> None:
    from edge import ply

    def full(path: str, *rest: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ply, "write_ply", full)
    assert reconstruct(photos, "--out", str(tmp_path / "o")) == 1
    assert "cannot write" in summary(tmp_path / "o")["images"][0]["error"]
    assert "No space left" in summary(tmp_path / "o")["images"][0]["error"]


def test_the_car_is_looked_for(tmp_path: Any, capsys: Any) -> None:
    photos, out = str(tmp_path / "photos"), str(tmp_path / "o")
    os.makedirs(photos)
    for name, cells in (("one", [(5, 3)]), ("two", [(0, 0), (4, 4)]), ("none", [])):
        cv2.imwrite(os.path.join(photos, name + ".png"), red_cars(*cells))
    assert reconstruct(photos, "--out", out, bundle=FINDING_BUNDLE) == 1
    printed = capsys.readouterr().out
    assert "2 clouds in %s; no car found in 1 photos" % out in printed
    assert sorted(os.listdir(out)) == ["one.ply", "summary.json", "two.ply"], "what shows no car gives no cloud"
    entries = {entry["image"]: entry for entry in summary(out)["images"]}
    assert summary(out)["totals"]["no_car"] == 1 and entries["none.png"]["status"] == "no car"
    assert "none.png: no car found; say where it is with --box" in entries["none.png"]["error"]
    assert "find" in entries["one.png"]["timings_ms"]
    left, _, side = entries["two.png"]["crop_box"]
    assert left < 180 < left + side, "the one nearer the middle"
    second = str(tmp_path / "p")
    assert reconstruct(os.path.join(photos, "two.png"), "--out", second, "--car", "2", bundle=FINDING_BUNDLE) == 0
    left, _, side = summary(second)["images"][0]["crop_box"]
    assert left < 20 < left + side, "the other one"


def test_a_photo_without_a_car_has_an_exit_code_of_its_own(tmp_path: Any, capsys: Any) -> None:
    photo = str(tmp_path / "none.png")
    cv2.imwrite(photo, red_cars())
    assert reconstruct(photo, "--out", str(tmp_path / "o"), bundle=FINDING_BUNDLE) == 9
    assert "none.png: no car found; say where it is with --box" in capsys.readouterr().err
    assert reconstruct(photo, "--out", str(tmp_path / "p"), "--no-find", bundle=FINDING_BUNDLE) == 0
    cv2.imwrite(photo, red_cars((3, 3)))
    assert reconstruct(photo, "--out", str(tmp_path / "q"), "--car", "2", bundle=FINDING_BUNDLE) == 9
    assert "1 car only found" in capsys.readouterr().err


def test_where_the_car_is() -> None:
    finder = open_finder(load_bundle(FINDING_BUNDLE), "auto", 1)
    assert finder is not None
    with finder:
        assert Where(None, finder).box_in(red_cars((2, 3)), "a.png") == pytest.approx((60, 75, 80, 60))
        with pytest.raises(NoCarError, match=r"a\.png: no car found; say where it is with --box x,y,width,height"):
            Where(None, finder).box_in(red_cars(), "a.png")
        with pytest.raises(NoCarError, match=r"a\.png: 2 cars only found"):
            Where(None, finder, 3).box_in(red_cars((1, 1), (5, 5)), "a.png")
    assert Where((1, 2, 3, 4), None).box_in(red_cars(), "a.png") == (1, 2, 3, 4)
    assert Where(None, None).box_in(red_cars(), "a.png") is None, "it fills the photo"


def test_a_second_car_needs_somebody_who_counts_them(photos: str, tmp_path: Any, capsys: Any) -> None:
    assert reconstruct(photos, "--out", str(tmp_path / "o"), "--car", "2") == 2
    assert "--car 2 needs a bundle with a finder, and neither --box nor --no-find" in capsys.readouterr().err
    assert reconstruct(photos, "--out", str(tmp_path / "o"), "--car", "0") == 2
    assert "--car is 0; the most prominent car is 1" in capsys.readouterr().err


def test_masks_need_a_network_for_them(photos: str, tmp_path: Any, capsys: Any) -> None:
    assert reconstruct(photos, "--out", str(tmp_path / "o"), "--masks") == 2
    assert "bundle tiny has no silhouette network" in capsys.readouterr().err
    assert not os.path.exists(str(tmp_path / "o")), "refused before anything is made"


def test_masks_show_the_car_and_not_the_ground(tmp_path: Any, capsys: Any) -> None:
    """With the shipped bundle, on a picture of the demo clip."""
    shot, source, out = demo(1)[0], tmp_path / "photos", tmp_path / "o"
    source.mkdir()
    cv2.imwrite(str(source / "car.png"), shot.image)
    assert reconstruct(str(source), "--out", str(out), "--masks", bundle="morphable") == 0
    assert sorted(os.listdir(str(out))) == ["car.mask.png", "car.ply", "summary.json"]
    mask = cv2.imread(str(out / "car.mask.png"), cv2.IMREAD_GRAYSCALE)
    assert mask.shape == shot.image.shape[:2]
    rows, columns = np.nonzero(mask > 127)
    x, y, w, h = shot.box
    inside = (columns > x - 4) & (columns < x + w + 4) & (rows > y - 4) & (rows < y + h + 4)
    assert inside.mean() > 0.99 and 0.6 * w * h < len(rows) < w * h
    found = rows.min(), columns.min(), rows.max(), columns.max()
    assert found == pytest.approx((y, x, y + h, x + w), abs=0.06 * w)
    assert "silhouette" in summary(out)["images"][0]["timings_ms"]
    assert reconstruct(str(source), "--out", str(out), "--masks", bundle="morphable") == 2, "nothing is replaced"
    assert "exists already" in capsys.readouterr().err
