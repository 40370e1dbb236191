"""Shards: deterministic, resumable, checked on reading; the depth maps and clouds in them lie on the car."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edge.errors import DataError
from edge.geometry import Views, back_project, cube_corner_views, pixel_grid
from tests.training.test_render import box_car
from training.data.cli import run
from training.data.dataset import load_cloud, load_dataset
from training.data.generate import _collect, finished, generate
from training.data.shape import planned, stretched_cloud
from training.data.shards import ShardSettings, read_index, read_meta
from training.data.sheet import write_sheet

SETTINGS = ShardSettings(pictures=3, variants=1, novel=2, seed=5)


def cars():
    # p406 is a test body of the fixed split, boxcar is unknown and so for training.
    return [box_car("boxcar"), box_car("p406")]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    generate(folder, cars(), SETTINGS, workers=1)
    return folder


def damage(path):
    path.write_bytes(path.read_bytes()[:-100] + b"x" * 100)


def test_index_lists_originals_and_variants(root):
    entries = {e["name"]: e for e in read_index(root)["shards"]}
    assert set(entries) == {"boxcar-0", "boxcar-1", "p406-0"}, "only training bodies are stretched"
    assert entries["p406-0"]["split"] == "test" and entries["boxcar-1"]["split"] == "train"
    assert not list(root.glob("*.part"))
    meta = read_meta(root / "boxcar-1.npz")
    assert all(0.9 <= f <= 1.1 for f in meta.stretch) and meta.stretch != (1, 1, 1)
    assert meta.length_m == pytest.approx(4.45 * meta.stretch[0])


def test_arrays_have_the_documented_shapes(root):
    with np.load(root / "boxcar-0.npz") as data:
        shapes = {name: (data[name].shape, data[name].dtype.name) for name in data.files if name != "meta"}
    assert shapes == {
        "images": ((3, 128, 128, 3), "uint8"), "masks": ((3, 128, 128), "uint8"),
        "K": ((3, 3, 3), "float32"), "R": ((3, 3, 3), "float32"), "t": ((3, 3), "float32"),
        "box": ((3, 4), "float32"), "view": ((3, 3), "float32"),
        "fixed_depth": ((8, 128, 128), "float16"), "novel_depth": ((2, 128, 128), "float16"),
        "novel_rotation": ((2, 3, 3), "float32"), "cloud": ((100_000, 3), "float32"),
    }


def test_depth_maps_back_project_onto_the_cloud(root):
    from scipy.spatial import cKDTree

    with np.load(root / "boxcar-1.npz") as data:
        cloud, depth, novel, rotation = (data[k] for k in ("cloud", "fixed_depth", "novel_depth", "novel_rotation"))
    tree, views = cKDTree(cloud), cube_corner_views()
    for maps, seen in ((depth, views), (novel, Views(rotation, views.width, views.distance))):
        grid = np.broadcast_to(pixel_grid(128, views.width), (len(maps), 2, 128, 128))
        points = back_project(np.concatenate([grid, maps[:, None]], axis=1).astype(np.float32), seen)
        points = points[maps.reshape(len(maps), -1) > 0]
        assert len(points) > 1000 and np.percentile(tree.query(points)[0], 99) < 0.02


def test_cloud_of_a_variant_spans_its_canonical_box(root):
    lower, upper = box_car().stretched(read_meta(root / "boxcar-1.npz").stretch).canonical().bounds()
    cloud = load_cloud(root, "boxcar-1")
    assert cloud.min(0) == pytest.approx(lower, abs=0.005) and cloud.max(0) == pytest.approx(upper, abs=0.005)


def test_stretched_cloud_follows_the_stretch():
    mesh = box_car()
    meta = replace(list(planned(mesh, SETTINGS))[1], stretch=(1.0, 1.1, 0.9))
    corners = mesh.canonical().merged()[0]
    assert stretched_cloud(corners, mesh, meta) == pytest.approx(corners * [1.0, 1.1, 0.9], abs=1e-6)


def test_same_seed_same_bytes_and_only_missing_shards_are_made(root, tmp_path):
    generate(tmp_path, cars(), SETTINGS, workers=1)
    first = {e["name"]: e["sha256"] for e in read_index(root)["shards"]}
    assert {e["name"]: e["sha256"] for e in read_index(tmp_path)["shards"]} == first
    kept = (tmp_path / "boxcar-0.npz").stat().st_mtime_ns
    (tmp_path / "boxcar-1.npz").unlink()
    (tmp_path / "p406-0.npz").write_bytes(b"half a shard")
    (tmp_path / "p406-0.npz.77.part").write_bytes(b"rest of a killed run")
    generate(tmp_path, cars(), SETTINGS, workers=1)
    assert (tmp_path / "boxcar-0.npz").stat().st_mtime_ns == kept
    assert {e["name"]: e["sha256"] for e in read_index(tmp_path)["shards"]} == first
    assert not list(tmp_path.glob("*.part"))


def test_other_settings_do_not_count_as_finished(root):
    metas = list(planned(cars()[0], SETTINGS))
    assert all(finished(root, meta) for meta in metas)
    assert not any(finished(root, replace(meta, pictures=4)) for meta in metas)


def test_dataset_arrays(root):
    data = load_dataset(root, "train", 64)
    assert data.images.shape == (6, 64, 64, 3) and data.masks.shape == (6, 64, 64) and len(data) == 6
    assert data.shape_index.dtype == np.int32 and data.shape_index.tolist() == [0, 0, 0, 1, 1, 1]
    assert data.fixed_depth.shape == (2, 8, 128, 128) and data.novel_depth.shape == (2, 2, 128, 128)
    assert data.novel_rotation.shape == (2, 2, 3, 3)
    assert data.names == ["boxcar-0", "boxcar-1"] and data.bodies == ["boxcar", "boxcar"]
    with np.load(root / "boxcar-0.npz") as raw:
        block = raw["images"][0].astype(float).reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(block - data.images[0]).max() <= 1, "pictures are averaged by area"


def test_pictures_and_cameras_belong_together(root):
    cloud = load_cloud(root, "boxcar-0")[::50]
    with np.load(root / "boxcar-0.npz") as data:
        for K, R, t, mask in zip(data["K"], data["R"], data["t"], data["masks"], strict=True):
            cam = (cloud @ R.T + t) @ K.T
            pixels = np.floor(cam[:, :2] / cam[:, 2:]).astype(int)
            inside = pixels[((pixels >= 0) & (pixels < 128)).all(axis=1)]
            assert (mask[inside[:, 1], inside[:, 0]] > 0).mean() > 0.99


@pytest.mark.parametrize(("split", "size", "sentence"), [
    ("train", 0, "not in 1..128"), ("training", 64, "choose one of train, validation, test"),
    ("validation", 64, "no validation shard.*python -m training data"),
])
def test_wrong_requests_say_so(root, split, size, sentence):
    with pytest.raises(DataError, match=sentence):
        load_dataset(root, split, size)


def test_missing_and_damaged_shards_say_what_to_type(tmp_path):
    with pytest.raises(DataError, match="python -m training data --out"):
        load_dataset(tmp_path, "train", 64)
    generate(tmp_path, cars()[1:], SETTINGS, workers=1)
    damage(tmp_path / "p406-0.npz")
    with pytest.raises(DataError, match="does not match the index.*delete it.*python -m training data"):
        load_dataset(tmp_path, "test", 64)
    (tmp_path / "p406-0.npz").unlink()
    with pytest.raises(DataError, match="missing.*python -m training data"):
        load_dataset(tmp_path, "test", 64)
    with pytest.raises(DataError, match="missing or damaged"):
        load_cloud(tmp_path, "p406-0")


def test_unreadable_index_and_other_versions_are_refused(root, tmp_path):
    index = json.loads((root / "index.json").read_text(encoding="utf-8"))
    (tmp_path / "index.json").write_text(json.dumps({**index, "format_version": 9}), encoding="utf-8")
    with pytest.raises(DataError, match="format carcloud-shards 9"):
        load_dataset(tmp_path, "train", 64)
    (tmp_path / "index.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match="is damaged"):
        load_dataset(tmp_path, "train", 64)


def test_damaged_shard_meta_is_named(tmp_path):
    (tmp_path / "x-0.npz").write_bytes(b"nothing")
    with pytest.raises(DataError, match="shard .*x-0.npz is damaged"):
        read_meta(tmp_path / "x-0.npz")


def test_a_dead_worker_is_reported():
    import queue

    class Dead:
        exitcode = -9

    class Empty:
        def get(self, timeout):
            raise queue.Empty

    with pytest.raises(DataError, match="worker died with exit code -9.*--workers 1"):
        list(_collect(Empty(), [Dead()], 1))


def test_contact_sheet(root, tmp_path):
    import cv2

    write_sheet(root, tmp_path / "sheet.png", rows=2, columns=2)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * 142, 2 * 256, 3)
    with pytest.raises(DataError, match="ends in .png"):
        write_sheet(root, tmp_path / "sheet.nonsense", rows=1, columns=1)


@pytest.mark.parametrize("name", ["pictures", "workers"])
def test_flags_out_of_range_are_refused(tmp_path, name):
    import argparse

    values = {"pictures": 1, "variants": 0, "novel": 0, "seed": 0, "workers": 1, name: 0}
    with pytest.raises(DataError, match=f"--{name} is 0; give 1 or more"):
        run(argparse.Namespace(sheet=None, out=tmp_path, meshes=tmp_path, glb=[], **values))
