"""Photo and rendering sets: exact boxes, splits, classes; viewpoints against the sets' own projections; damage."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from edge.errors import DataError
from tests.training import datasets_fixtures as fixtures
from training.datasets.base import Contents, Viewpoint
from training.datasets.linarchive import DepthMaps
from training.datasets.pascal3d import viewpoint_of as pascal_viewpoint
from training.datasets.r2n2 import read_viewpoints
from training.datasets.registry import DATASETS

POINTS = np.random.default_rng(3).uniform(-0.5, 0.5, (20, 3))


def opened(name: str, root: Path) -> Contents:
    fixtures.WRITERS[name](root)
    return DATASETS[name].opener(root)


def seen(view: Viewpoint, points: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) of car-frame points for focal length 1 and principal point 0."""
    assert view.distance is not None
    camera = points @ view.rotation().T + [0, 0, view.distance]
    return camera[:, :2] / camera[:, 2:]


# --- photos -------------------------------------------------------------------------------------------------------


def test_stanford_boxes_count_from_zero(tmp_path: Path) -> None:
    contents = opened("stanford-cars", tmp_path)
    rows = [(p.path.relative_to(tmp_path).as_posix(), p.split, p.class_name, p.box) for p in contents.photos]
    assert rows == [
        ("cars_train/00001.jpg", "train", "BMW 1 Series Coupe 2012", (0, 4, 50, 26)),
        ("cars_train/00003.jpg", "train", "Acura RL Sedan 2012", (20, 4, 30, 26)),
        ("cars_test/00001.jpg", "test", "Acura RL Sedan 2012", (6, 7, 14, 13)),
    ]
    assert contents.missing == ("cars_train/00002.jpg",)
    assert contents.counts() == {"photos": {"train": 2, "test": 1}}
    assert contents.photos[0].load().shape == (40, 60, 3)


def test_stanford_without_labels_has_no_test_classes(tmp_path: Path) -> None:
    fixtures.stanford(tmp_path, labels=False)
    contents = DATASETS["stanford-cars"].opener(tmp_path)
    (test,) = [p for p in contents.photos if p.split == "test"]
    assert test.class_name is None and test.box == (6, 7, 14, 13)
    assert any("cars_test_annos_withlabels.mat" in note for note in contents.notes)


def test_stanford_in_one_folder_and_in_other_case(tmp_path: Path) -> None:
    fixtures.stanford_one_folder(tmp_path)
    (tmp_path / "car_ims").rename(tmp_path / "Car_Ims")
    contents = DATASETS["stanford-cars"].opener(tmp_path)
    rows = [(p.path.name, p.split, p.class_name, p.box) for p in contents.photos]
    box = (2, 3, 38, 27)
    assert rows == [("000001.jpg", "train", fixtures.CLASSES[0], box), ("000002.jpg", "test", fixtures.CLASSES[1], box)]
    assert contents.missing == ()


def test_bmw10_finds_fields_paths_and_indices(tmp_path: Path) -> None:
    contents = opened("bmw10", tmp_path)
    rows = [(p.path.relative_to(tmp_path).as_posix(), p.split, p.class_name, p.box) for p in contents.photos]
    assert rows == [
        ("bmw10_ims/1/a.jpg", "train", "bmw 1", (3, 2, 40, 30)),
        ("bmw10_ims/2/b.jpg", "test", "bmw 2", (4, 2, 40, 30)),
        ("bmw10_ims/10/c.jpg", "test", "bmw 9", (5, 2, 40, 30)),
    ]
    assert contents.missing == ("bmw10_ims/11/gone.jpg",)


@pytest.mark.parametrize(
    ("box", "expected", "form"),
    [([4, 3, 43, 32], (3, 2, 40, 30), "x1, y1, x2, y2"), ([44, 33, 10, 5], (43, 32, 10, 5), "x, y, width, height")],
)
def test_bmw10_in_other_words(tmp_path: Path, box: list[int], expected: tuple[int, ...], form: str) -> None:
    """One-field boxes of either form, a flag for the split, names for the classes, a path by its kind alone."""
    rows = [{"Picture": "bmw10_ims/1/a.jpg", "Label": 2, "Bounding_Box": np.array([box]), "IsTest": 1}]
    fixtures.bmw10(tmp_path, rows, class_names=fixtures.cell(["first", "second"]))
    contents = DATASETS["bmw10"].opener(tmp_path)
    (photo,) = contents.photos
    assert (photo.path.name, photo.class_name, photo.split, photo.box) == ("a.jpg", "second", "test", expected)
    assert any(form in note for note in contents.notes)


def test_bmw10_that_cannot_be_understood_is_listed(tmp_path: Path) -> None:
    fixtures.bmw10(tmp_path, [{"number": 1, "thing": "x"}, {"number": 2, "thing": "y"}])
    with pytest.raises(DataError, match=r"no record has a field with a picture's name.*annos: 2 records with number"):
        DATASETS["bmw10"].opener(tmp_path)


def test_a_name_that_leads_out_is_refused(tmp_path: Path) -> None:
    fixtures.bmw10(tmp_path, [{"fname": "..\\..\\secret.jpg", "class": 1}])
    with pytest.raises(DataError, match=r"leads out of the data set's folder"):
        DATASETS["bmw10"].opener(tmp_path)


def test_a_photo_that_is_none_is_named(tmp_path: Path) -> None:
    contents = opened("bmw10", tmp_path)
    contents.photos[0].path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.jpg cannot be read as a picture"):
        contents.photos[0].load()


def test_pascal3d_records(tmp_path: Path) -> None:
    contents = opened("pascal3d", tmp_path)
    first, second, voc = contents.photos
    assert (first.split, first.box, first.model_id, first.flags) == ("train", (10, 20, 100, 50), "02", ("occluded",))
    assert first.viewpoint == Viewpoint(30, 5, -3, 4, 30)
    assert first.lens is not None
    assert first.lens.matrix(200, 100).tolist() == [[3000, 0, 250.5], [0, 3000, 200], [0, 0, 1]]
    assert second.viewpoint is not None
    assert (second.viewpoint.azimuth_deg, second.model_id, second.flags) == (270, "10", ("truncated",))
    # Only coarse angles: no camera.
    assert (voc.viewpoint, voc.lens, voc.split) == (Viewpoint(270, 0, 0, None, 270), None, "validation")
    assert voc.path.name == "2008_000028.jpg"
    (lost,) = contents.missing
    assert lost.startswith("Annotations/car_imagenet/n02814533_2.mat") and "JPEG is not there" in lost


def test_pascal3d_viewpoint_projects_like_its_authors() -> None:
    """The projection of PASCAL3D+'s own tools, of points in the CAD axes (nose -y, up z)."""
    azimuth, elevation, theta, distance = 33.0, 12.0, 7.0, 5.0
    a, e, t = np.radians([azimuth, elevation, theta])
    centre = distance * np.array([math.cos(e) * math.sin(a), -math.cos(e) * math.cos(a), math.sin(e)])
    a, e = -a, -(math.pi / 2 - e)
    turn_z = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    turn_x = np.array([[1, 0, 0], [0, math.cos(e), -math.sin(e)], [0, math.sin(e), math.cos(e)]])
    camera = (POINTS @ fixtures.OFF_AXES - centre) @ (turn_x @ turn_z).T
    flat = camera[:, :2] / -camera[:, 2:]
    expected = flat @ np.array([[math.cos(t), -math.sin(t)], [math.sin(t), math.cos(t)]]).T * [1, -1]
    view = pascal_viewpoint({"azimuth": azimuth, "elevation": elevation, "theta": theta, "distance": distance})
    assert view is not None
    assert seen(view, POINTS) == pytest.approx(expected, abs=1e-6)


def test_stanford3d_poses(tmp_path: Path) -> None:
    contents = opened("stanford-cars-3d", tmp_path)
    (photo,) = contents.photos
    assert photo.viewpoint is not None and photo.viewpoint.azimuth_deg == pytest.approx(0, abs=1e-9)
    assert (photo.split, photo.model_id) == ("train", fixtures.MODELS[0])
    assert photo.lens is not None
    matrix = photo.lens.matrix(600, 300)
    assert matrix == pytest.approx(np.array([[692.82, 0, 360], [0, 692.82, 120], [0, 0, 1]]))
    assert set(contents.missing) == {
        "Image/StanfordCars/cars_train/00002.jpg", "Anno3D/StanfordCars/test_anno_v2.pkl"
    }  # fmt: skip


def test_stanford3d_viewpoint_projects_like_its_authors() -> None:
    """The authors' projection, which mirrors, of ShapeNetCore v1 points, which are mirrored: +z is the car's left."""
    from training.datasets.stanford3d import viewpoint_of

    a, e, t, d = 1.1, 0.2, 0.15, 1.7
    turn_y = np.array([[math.cos(a), 0, -math.sin(a)], [0, 1, 0], [math.sin(a), 0, math.cos(a)]])
    turn_x = np.array([[1, 0, 0], [0, math.cos(e), -math.sin(e)], [0, math.sin(e), math.cos(e)]])
    turn_z = np.array([[math.cos(t), -math.sin(t), 0], [math.sin(t), math.cos(t), 0], [0, 0, 1]])
    camera = POINTS[:, [0, 2, 1]] @ (turn_z @ turn_x @ turn_y).T - [0, 0, d]
    expected = camera[:, :2] / camera[:, 2:]
    assert seen(viewpoint_of(a, e, t, d), POINTS) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("protocol", [1, 2, 4, 5])
def test_stanford3d_pickles_of_every_protocol_and_json(tmp_path: Path, protocol: int) -> None:
    fixtures.stanford3d(tmp_path, protocol)
    expected = DATASETS["stanford-cars-3d"].opener(tmp_path).photos
    assert len(expected) == 1
    home = tmp_path / "Anno3D" / "StanfordCars"
    for path in home.glob("*.pkl"):
        path.unlink()
    fixtures.put(home / "train_anno_v2.json", json.dumps(fixtures.POSES))
    assert DATASETS["stanford-cars-3d"].opener(tmp_path).photos == expected


# --- renderings ---------------------------------------------------------------------------------------------------


def test_r2n2_renderings(tmp_path: Path) -> None:
    contents = opened("r2n2", tmp_path)
    assert contents.counts() == {"renderings": {"none": 47}, "voxels": {"none": 1}}
    second = contents.renderings[1]
    assert second.viewpoint == Viewpoint(345, 25.1, 0, 0.71, 15)
    assert second.load().shape == (16, 20, 4) and second.load()[0, 0].tolist() == [10, 0, 0, 255]
    (volume,) = contents.assets
    assert (volume.load().filled == fixtures.toy_voxels()).all()
    model = fixtures.MODELS[1]
    assert contents.missing == (
        f"ShapeNetRendering/02958343/{model}/rendering/07.png", f"ShapeNetVox32/02958343/{model}/model.binvox"
    )  # fmt: skip


def test_r2n2_viewpoint_is_that_of_its_renderer(tmp_path: Path) -> None:
    """3D-R2N2 hangs Blender's camera, at +x and looking at the origin, from an empty turned by Euler angles XYZ of
    (0, -altitude, -azimuth); Blender's importer puts a v1 nose at +x, its up at z and its left at y."""
    table = fixtures.put(tmp_path / "rendering_metadata.txt", "70 25 0 0.8 25\n")
    (view,) = read_viewpoints(table, 1)
    assert view is not None
    y, z = np.radians([-25.0, -70.0])
    turn_y = np.array([[math.cos(y), 0, math.sin(y)], [0, 1, 0], [-math.sin(y), 0, math.cos(y)]])
    turn_z = np.array([[math.cos(z), -math.sin(z), 0], [math.sin(z), math.cos(z), 0], [0, 0, 1]])
    stand = turn_z @ turn_y @ [1, 0, 0]
    assert view.rotation()[2] == pytest.approx(-stand, abs=1e-6)


def test_r2n2_damaged_metadata_is_named_and_the_pictures_stay(tmp_path: Path) -> None:
    fixtures.r2n2(tmp_path)
    home = tmp_path / "ShapeNetRendering" / fixtures.CARS / fixtures.MODELS[0] / "rendering"
    fixtures.put(home / "rendering_metadata.txt", "1 2 3\n")
    contents = DATASETS["r2n2"].opener(tmp_path)
    assert len(contents.renderings) == 47 and contents.renderings[0].viewpoint is None
    assert contents.missing[0].endswith("rendering_metadata.txt (damaged)")


def test_ptn_renderings_do_not_guess_an_azimuth(tmp_path: Path) -> None:
    contents = opened("ptn", tmp_path)
    assert contents.counts()["renderings"] == {"train": 23, "validation": 24}
    view = contents.renderings[1].viewpoint
    assert view == Viewpoint(None, 30.0, source_azimuth_deg=45.0)
    with pytest.raises(DataError, match=r"azimuth of this viewpoint is not known \(45\.0"):
        view.rotation()
    assert (contents.assets[0].load() == fixtures.toy_voxels()).all()
    assert len(contents.missing) == 2


def test_lin_pictures_depth_and_clouds(tmp_path: Path) -> None:
    contents = opened("lin2018", tmp_path)
    assert contents.counts() == {
        "renderings": {"train": 24, "test": 24}, "depth files": {"train": 2}, "clouds": {"test": 1}
    }  # fmt: skip
    assert contents.renderings[5].load()[0, 0].tolist() == [5, 5, 5]
    novel, fixed, cloud = (asset.load() for asset in contents.assets)
    assert isinstance(novel, DepthMaps) and novel.rotations is not None and novel.rotations.shape == (5, 4)
    assert novel.depth[0, 0, 0] == 0 and novel.depth[3, 1, 2] == 0.75
    assert fixed.depth.shape == (8, 4, 4) and fixed.rotations is None
    # OBJ axes nose x, up y, right z to forward, left, up.
    assert cloud == pytest.approx(np.array([[0.5, 0.2, 0.1], [0, 0, 0.2], [0.1, -0.3, 0]]), abs=1e-6)
    assert contents.missing == ()


def test_lin_archive_without_cars_says_so(tmp_path: Path) -> None:
    fixtures.put(tmp_path / "03001627_train.list", "03001627/abc\n")
    with pytest.raises(DataError, match=r"without cars: the published one holds chairs"):
        DATASETS["lin2018"].opener(tmp_path)


# --- where it is, and damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATASETS)
def test_every_set_opens_and_names_the_right_folder(name: str, tmp_path: Path) -> None:
    root = tmp_path / "unpacked" / "here"
    root.mkdir(parents=True)
    contents = opened(name, root)
    assert contents.counts() and contents.root == root
    entry = DATASETS[name]
    with pytest.raises(DataError, match=r"is not the folder of .* but .*here is; give"):
        entry.opener(tmp_path)
    inner = next(p for p in sorted(root.iterdir()) if p.is_dir())
    with pytest.raises(DataError, match=r"is not the folder of .* but .*here is; give"):
        entry.opener(inner)
    with pytest.raises(DataError, match="is not a folder"):
        entry.opener(tmp_path / "nowhere")


def test_a_wrong_folder_shows_the_layout_and_the_gate(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        DATASETS["shapenet"].opener(tmp_path)
    text = str(caught.value)
    assert "there is no 02958343" in text and "model_normalized.obj" in text and "needs a registration" in text


@pytest.mark.parametrize(("keep", "words"), [(200, "damaged or no .mat file"), (0, "damaged or no .mat file")])
def test_a_mat_cut_short_is_an_error(tmp_path: Path, keep: int, words: str) -> None:
    fixtures.bmw10(tmp_path)
    path = tmp_path / "bmw10_annos.mat"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=words):
        DATASETS["bmw10"].opener(tmp_path)


def test_every_cut_of_a_mat_is_an_error_or_a_list(tmp_path: Path) -> None:
    """No cut may raise anything but DataError."""
    fixtures.bmw10(tmp_path)
    path = tmp_path / "bmw10_annos.mat"
    data = path.read_bytes()
    errors = 0
    for keep in range(1, len(data), 97):
        path.write_bytes(data[:keep])
        try:
            DATASETS["bmw10"].opener(tmp_path)
        except DataError:
            errors += 1
    assert errors > 20


def test_a_mat_of_version_7_3_says_what_to_do(tmp_path: Path) -> None:
    fixtures.bmw10(tmp_path)
    path = tmp_path / "bmw10_annos.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(DataError, match=r"version 7\.3 .mat file \(HDF5\).*save\('-v7', 'bmw10_annos.mat'"):
        DATASETS["bmw10"].opener(tmp_path)


def test_a_mat_of_other_contents_is_listed(tmp_path: Path) -> None:
    fixtures.stanford(tmp_path)
    scipy.io.savemat(tmp_path / "devkit" / "cars_train_annos.mat", {"other": np.arange(3)})
    with pytest.raises(DataError, match="no struct array called annotations, but other: ndarray of 3"):
        DATASETS["stanford-cars"].opener(tmp_path)
