"""Folders of photos: ordinary trees, and published sets told by their annotation files."""

import json
import os
import sys
from typing import Any, Dict, List

import numpy as np
import pytest

from edge.errors import DataError, SourceError
from edge.photosets import PhotoSet, open_photos
from edge.suffixes import natural


def put(path: Any, content: bytes = b"") -> None:
    """A file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def names(found: PhotoSet) -> List[str]:
    """Names of the photos."""
    return [photo.name for photo in found.photos]


# --- ordinary trees -------------------------------------------------------------------------------------------------


def test_a_tree_is_listed_in_counting_order_and_grouped_by_folder(tmp_path: Any) -> None:
    for name in ("b/10.jpg", "b/2.JPG", "a.jpg2.png", "a.jpg", "b/c/1.webp", "10/x.png", "9/x.png", "notes.txt"):
        put(tmp_path / name)
    found = open_photos(str(tmp_path))
    assert (found.kind, found.root, found.missing, found.notes) == ("folder", str(tmp_path), [], [])
    assert [(photo.name, photo.group) for photo in found.photos] == [
        ("9/x.png", "9"), ("10/x.png", "10"), ("a.jpg", None), ("a.jpg2.png", None), ("b/2.JPG", "b"),
        ("b/10.jpg", "b"), ("b/c/1.webp", "b/c"),
    ]  # fmt: skip
    for photo in found.photos:
        assert os.path.isfile(photo.path) and os.path.isabs(photo.path)
        assert (photo.box, photo.split) == (None, "none")


def test_names_are_sorted_as_people_count() -> None:
    assert sorted(["x.jpg2.jpg", "x.jpg", "X1", "a10/b", "a2/c"], key=natural) == [
        "a2/c", "a10/b", "X1", "x.jpg", "x.jpg2.jpg"
    ]  # fmt: skip


def test_hidden_files_litter_and_earlier_models_are_left_out(tmp_path: Any) -> None:
    for name in (".a.jpg", ".git/a.jpg", "__MACOSX/a.jpg", "out/pictures/a.jpg", "mine/a.jpg", "a.jpg"):
        put(tmp_path / name)
    put(tmp_path / "out" / "models.json", json.dumps({"format": "carcloud-models"}).encode())
    put(tmp_path / "mine" / "models.json", json.dumps({"about": "carcloud-models"}).encode())
    found = open_photos(str(tmp_path))
    assert names(found) == ["a.jpg", "mine/a.jpg"]
    assert found.notes == ["1 folder written by carcloud models left out"]
    with pytest.raises(SourceError, match="out is what carcloud models has written; give the folder of the photos"):
        open_photos(str(tmp_path / "out"))


def test_links_are_followed_once_and_broken_ones_are_missing(tmp_path: Any) -> None:
    put(tmp_path / "tree" / "z" / "a.jpg")
    put(tmp_path / "elsewhere" / "b.jpg")
    links = {
        "tree/loop": "..", "tree/z/again": ".", "tree/a_link": "z", "tree/far": "../elsewhere",
        "tree/one.jpg": "z/a.jpg", "tree/gone.jpg": "nowhere.jpg", "tree/self.jpg": "self.jpg", "tree/gone": "nowhere",
    }  # fmt: skip
    for link, target in links.items():
        os.symlink(target, str(tmp_path / link))
    found = open_photos(str(tmp_path / "tree"))
    # loop leads to the folder above, in which elsewhere is new only if far was not there first.
    assert names(found) == ["far/b.jpg", "one.jpg", "z/a.jpg"]
    assert found.missing == ["gone.jpg", "self.jpg"]
    assert found.notes == ["4 folders met again by links, listed once"]


def test_a_folder_that_cannot_be_listed_is_noted(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's refusal is made up: root may list everything."""
    put(tmp_path / "a.jpg")
    put(tmp_path / "closed" / "b.jpg")
    real = os.scandir

    def scandir(path: str) -> Any:
        if os.path.basename(str(path).rstrip("/")) == "closed":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = open_photos(str(tmp_path), "folder")
    assert names(found) == ["a.jpg"] and found.notes == ["folder closed cannot be listed: Permission denied"]
    with pytest.raises(SourceError, match="folder .*closed cannot be listed: Permission denied"):
        open_photos(str(tmp_path / "closed"), "folder")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux takes any bytes for a name")
def test_names_that_are_no_text_can_be_written(tmp_path: Any) -> None:
    os.makedirs(os.fsencode(str(tmp_path)) + b"/M\xfcnchen")
    with open(os.fsencode(str(tmp_path)) + b"/M\xfcnchen/K\xe4fer.jpg", "wb"):
        pass
    (photo,) = open_photos(str(tmp_path)).photos
    assert (photo.name, photo.group) == ("M\\xfcnchen/K\\xe4fer.jpg", "M\\xfcnchen")
    assert os.path.isfile(photo.path)


def test_no_photo_at_all_says_what_is_looked_for(tmp_path: Any) -> None:
    put(tmp_path / "deep" / "IMG_1.HEIC")
    put(tmp_path / "deep" / "IMG_2.dng")
    os.symlink("nowhere", str(tmp_path / "a.jpg"))
    sentence = (
        r"holds no photo at any depth; wanted are .jpg .jpeg .png .*; 2 pictures of kinds that are not read left out "
        r"\(.dng .heic\); save them as .jpg; a.jpg is a link to nothing"
    )
    with pytest.raises(SourceError, match=sentence):
        open_photos(str(tmp_path))


def test_what_is_no_folder_or_no_kind_is_refused(tmp_path: Any) -> None:
    put(tmp_path / "a.jpg")
    with pytest.raises(SourceError, match="there is no folder .*none; give a folder of photos"):
        open_photos(str(tmp_path / "none"))
    with pytest.raises(SourceError, match="a.jpg is a file; give the folder of the photos"):
        open_photos(str(tmp_path / "a.jpg"))
    with pytest.raises(SourceError, match="no kind of photo folder 'bmw'; known are auto, bmw10, stanford-cars, fol"):
        open_photos(str(tmp_path), "bmw")


def test_bmw10_without_its_annotations_is_an_ordinary_tree(tmp_path: Any) -> None:
    put(tmp_path / "bmw10_ims" / "3" / "a.jpg")
    for folder, group in ((tmp_path, "bmw10_ims/3"), (tmp_path / "bmw10_ims", "3")):
        found = open_photos(str(folder))
        assert (found.kind, found.photos[0].group) == ("folder", group)
        assert found.notes[0].startswith("this looks like BMW-10, but there is no bmw10_annos.mat: an ordinary tree")
    with pytest.raises(DataError, match="bmw10_ims but no bmw10_annos.mat; .*; or give --kind folder"):
        open_photos(str(tmp_path), "bmw10")


def test_without_scipy_it_says_what_to_install(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "bmw10_ims" / "1" / "a.jpg")
    put(tmp_path / "bmw10_annos.mat", b"MATLAB 5.0 MAT-file")
    for name in ("scipy", "scipy.io"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError, match="SciPy, which is not installed; type: .* pip install scipy .*; or give --kind"):
        open_photos(str(tmp_path))
    assert names(open_photos(str(tmp_path), "folder")) == ["bmw10_ims/1/a.jpg"]


def test_a_damaged_annotation_file_points_to_the_way_round_it(tmp_path: Any) -> None:
    pytest.importorskip("scipy.io", reason="SciPy is not installed: no .mat is read")
    put(tmp_path / "bmw10_ims" / "1" / "a.jpg")
    for content in (b"", b"no mat" * 99):
        put(tmp_path / "bmw10_annos.mat", content)
        with pytest.raises(DataError, match="damaged or no .mat file .*; or give --kind folder to take every picture"):
            open_photos(str(tmp_path))


# --- published sets -------------------------------------------------------------------------------------------------


def structs(rows: List[Dict[str, Any]]) -> np.ndarray:
    """A MATLAB struct array (1, N)."""
    array = np.empty((1, len(rows)), dtype=[(key, object) for key in rows[0]])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row.values())
    return array


@pytest.fixture
def bmw10(tmp_path: Any) -> Any:
    """BMW-10 in a folder of its own: three photos, one listed twice, one not there, one with accents taken apart."""
    io = pytest.importorskip("scipy.io", reason="SciPy is not installed: no .mat is read")
    root = tmp_path / "up" / "release"
    listed = [("1/a.jpg", 1), ("1/b.jpg", 1), ("10/K\u00e4fer.jpg", 10), ("10/gone.jpg", 10), ("1/a.jpg", 1)]
    rows = [
        {"fname": name, "class": label, "bbox_x1": 4 + i, "bbox_y1": 3, "bbox_x2": 43 + i, "bbox_y2": 32}
        for i, (name, label) in enumerate(listed)
    ]
    for name in ("1/a.jpg", "1/b.jpg", "10/Ka\u0308fer.jpg", "10/unlisted.jpg"):
        put(root / "bmw10_ims" / name)
    sides = {"train_indices": np.array([[1], [4]]), "test_indices": np.array([[2], [3]])}
    io.savemat(str(root / "bmw10_annos.mat"), dict(sides, annos=structs(rows)), oned_as="row")
    return root


def test_bmw10_is_told_by_its_annotations_from_near_by(bmw10: Any) -> None:
    expected = [
        ("bmw10_ims/1/a.jpg", "bmw 1", (3, 2, 40, 30), "train"),
        ("bmw10_ims/1/b.jpg", "bmw 1", (4, 2, 40, 30), "test"),
        ("bmw10_ims/10/Ka\u0308fer.jpg", "bmw 10", (5, 2, 40, 30), "test"),
    ]
    for folder in (bmw10, bmw10.parent, bmw10 / "bmw10_ims"):
        for kind in ("auto", "bmw10"):
            found = open_photos(str(folder), kind)
            assert (found.kind, found.root) == ("bmw10", str(bmw10))
            assert [tuple(photo[1:]) for photo in found.photos] == expected
            assert all(os.path.isfile(photo.path) for photo in found.photos)
            assert found.missing == ["bmw10_ims/10/gone.jpg"]
            assert "1 more line for photos listed before left out" in found.notes
    assert len(open_photos(str(bmw10), "folder").photos) == 4


def test_a_set_beside_other_photos_does_not_swallow_them(bmw10: Any) -> None:
    put(bmw10.parent / "mine.jpg")
    found = open_photos(str(bmw10.parent))
    assert found.kind == "folder" and len(found.photos) == 5
    assert found.notes == [
        "release in it is bmw10, taken as ordinary folders here: give it alone for its classes, boxes and splits"
    ]
    with pytest.raises(DataError, match="does not hold stanford-cars"):
        open_photos(str(bmw10.parent), "stanford-cars")


def test_annotations_without_their_photos_are_refused(bmw10: Any) -> None:
    for name in ("1/a.jpg", "1/b.jpg", "10/Ka\u0308fer.jpg"):
        (bmw10 / "bmw10_ims" / name).unlink()
    sentence = r"none of the photos that bmw10 lists is in .*release \(bmw10_ims/1/a.jpg ...\); unpack the pictures"
    with pytest.raises(DataError, match=sentence):
        open_photos(str(bmw10))


def test_one_side_of_stanford_cars_can_be_taken_alone(tmp_path: Any) -> None:
    io = pytest.importorskip("scipy.io", reason="SciPy is not installed: no .mat is read")
    (tmp_path / "devkit").mkdir()
    io.savemat(str(tmp_path / "devkit" / "cars_meta.mat"), {"class_names": np.array([["BMW M3", "Fiat 500"]], object)})
    for side, label in (("train", 1), ("test", 2)):
        put(tmp_path / ("cars_" + side) / "00001.jpg")
        row = {"bbox_x1": 1, "bbox_y1": 1, "bbox_x2": 9, "bbox_y2": 8, "class": label, "fname": "00001.jpg"}
        path = tmp_path / "devkit" / ("cars_%s_annos.mat" % side)
        io.savemat(str(path), {"annotations": structs([row])})
    whole, test = open_photos(str(tmp_path)), open_photos(str(tmp_path / "cars_test"))
    assert [(p.name, p.group, p.split) for p in whole.photos] == [
        ("cars_train/00001.jpg", "BMW M3", "train"), ("cars_test/00001.jpg", "Fiat 500", "test")
    ]  # fmt: skip
    assert (test.kind, test.root, test.photos) == ("stanford-cars", str(tmp_path), whole.photos[1:])
    assert test.photos[0].box == (0, 0, 9, 8)
