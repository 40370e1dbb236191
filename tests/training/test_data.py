"""Making shards: what is in them, the same bytes however they were made, and what happens to bad cars."""

from __future__ import annotations

import argparse
import json
import os
import tarfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from edge.errors import DataError
from edge.geometry import Views, back_project, cube_corner_views, pixel_grid
from tests.training.data_samples import SETTINGS, box_car, cars, contents, hand_made
from training.data import shards
from training.data.cli import register, run
from training.data.crew import _death
from training.data.dataset import load_cloud, load_dataset, read_shape
from training.data.generate import Outcome, _alone, _big_first, generate
from training.data.plan import ShardSettings, fingerprint, planned
from training.data.shape import make_shape
from training.data.shards import check_shard, finished, read_index, read_meta, write_index
from training.data.sheet import write_sheet
from training.meshes.model import CarMesh
from training.render.renderer import Renderer


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    outcome = generate(folder, cars(), SETTINGS, workers=2)
    assert outcome.made == 3 and not outcome.left_out
    return folder


def nudged(mesh: CarMesh) -> CarMesh:
    """The car with one vertex 1 mm further on."""
    vertices = mesh.parts[0].vertices.copy()
    vertices[0, 0] += 0.001
    return replace(mesh, parts=(replace(mesh.parts[0], vertices=vertices), *mesh.parts[1:]))


def test_index_lists_originals_and_variants(root):
    entries = {e["name"]: e for e in read_index(root)["shards"]}
    assert set(entries) == {"boxcar-0", "boxcar-1", "p406-0"}, "only training bodies are varied"
    assert entries["p406-0"]["split"] == "test" and entries["boxcar-1"]["split"] == "train"
    assert [entries[name]["kind"] for name in sorted(entries)] == ["original", "variant", "original"]
    assert sorted(path.name for path in root.iterdir()) == ["boxcar-0.tar", "boxcar-1.tar", "index.json", "p406-0.tar"]


def test_meta_says_what_the_shape_is(root):
    original, variant = (read_meta(root / f"boxcar-{n}.tar") for n in (0, 1))
    assert original["extents_m"] == pytest.approx([4.4, 1.8, 1.45], abs=1e-5) and original["recipe"] == {}
    assert original["shape_sha256"] == original["mesh_sha256"] == fingerprint(box_car("boxcar"))
    assert variant["mesh_sha256"] == original["mesh_sha256"] != variant["shape_sha256"]
    assert variant["recipe"]["source"] == "boxcar" and variant["licence"] == "CC0-1.0"
    assert variant["length_m"] == pytest.approx(variant["extents_m"][0], abs=1e-3)


def test_members_are_the_documented_ones_in_a_fixed_order(root):
    with tarfile.open(root / "boxcar-0.tar") as tar:
        members = tar.getmembers()
    kinds = ("rgb.png", "mask.png", "silhouette.png", "parts.png", "camera.json")
    assert [m.name for m in members] == [
        *(f"boxcar-0/shape.{name}" for name in ("meta.json", "fixed.npz", "novel.npz", "cloud.npy", "surface.npz")),
        *(f"boxcar-0/{number:04d}.{kind}" for number in range(2) for kind in kinds),
    ]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}


def test_depth_maps_back_project_onto_the_cloud(root):
    for name, count in (("boxcar-0", 100_000), ("boxcar-1", 20_000)):
        shape, _ = read_shape(root / f"{name}.tar", 0)
        cloud, views = load_cloud(root, name), cube_corner_views()
        assert cloud.shape == (count, 3) and cloud.dtype == np.float32
        assert np.ptp(cloud, axis=0).max() == pytest.approx(1.0, abs=0.01), "canonical: the longest edge is 1"
        random = Views(shape["novel"]["rotation"], views.width, views.distance)
        for maps, seen in ((shape["fixed"]["depth"], views), (shape["novel"]["depth"], random)):
            assert maps.dtype == np.float16 and maps.shape == (len(seen.rotations), 128, 128)
            grid = np.broadcast_to(pixel_grid(128, views.width), (len(maps), 2, 128, 128))
            points = back_project(np.concatenate([grid, maps[:, None]], axis=1).astype(np.float32), seen)
            points = points[maps.reshape(len(maps), -1) > 0]
            assert len(points) > 1000 and np.percentile(cKDTree(cloud).query(points)[0], 99) < 0.02


def test_pictures_labels_and_cameras_belong_together(root):
    data, cloud = load_dataset(root, "train", 48), load_cloud(root, "boxcar-0")[::50]
    _, pictures = read_shape(root / "boxcar-0.tar", 2, images=("rgb", "mask", "silhouette", "parts"))
    for row, picture in enumerate(pictures):
        whole, seen = picture["silhouette"], picture["mask"]
        pixels = (cloud @ data.R[row].T + data.t[row]) @ data.K[row].T
        pixels = np.floor(pixels[:, :2] / pixels[:, 2:]).astype(int)
        inside = pixels[((pixels >= 0) & (pixels < 48)).all(axis=1)]
        # A roof seen edge-on covers too little of its pixels to count: within one pixel of the silhouette.
        grown = cv2.dilate(whole, np.ones((3, 3), np.uint8)) > 0
        assert len(inside) > 100 and grown[inside[:, 1], inside[:, 0]].mean() > 0.995
        assert 0.1 < (whole > 127).mean() < 0.8 and grown.mean() < 0.9, "the silhouette is not the whole picture"
        assert (seen <= whole).all(), "nothing is visible beyond the whole silhouette"
        assert picture["parts"].max() <= 11 and (picture["parts"][seen > 250] > 0).mean() > 0.95
        assert 0 <= data.hidden[row] <= 1 and data.conditions[row] in ("plain", "clutter", "occluded")


def test_same_bytes_with_another_number_of_workers(root, tmp_path):
    generate(tmp_path, cars(), SETTINGS, workers=1)
    assert contents(tmp_path) == contents(root)


def test_rests_damage_and_changed_settings_are_mended(root, tmp_path):
    for name, data in contents(root).items():
        (tmp_path / name).write_bytes(data)
    kept = (tmp_path / "boxcar-0.tar").stat().st_mtime_ns
    whole = (tmp_path / "boxcar-1.tar").read_bytes()
    (tmp_path / "boxcar-1.tar").write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    (tmp_path / "p406-0.tar").write_bytes(b"half a shard")
    (tmp_path / "p406-0.tar.77.part").write_bytes(b"rest of a killed run")
    assert generate(tmp_path, cars(), SETTINGS, workers=1).made == 2
    assert contents(tmp_path) == contents(root)
    assert (tmp_path / "boxcar-0.tar").stat().st_mtime_ns == kept, "a good shard is left alone"


def test_a_shard_counts_only_for_the_plan_it_was_made_by(root, monkeypatch):
    known = {e["name"]: e for e in read_index(root)["shards"]}
    for plan in planned(cars(), SETTINGS):
        assert finished(root, plan, known[plan.name]) == finished(root, plan, None) == known[plan.name]
        assert finished(root, replace(plan, pictures=4), None) is None
        assert finished(root, replace(plan, generator_version=1), None) is None
    monkeypatch.setattr(shards, "FORMAT_VERSION", shards.FORMAT_VERSION + 1)
    assert all(finished(root, plan, None) is None for plan in planned(cars(), SETTINGS)), "of an older format"
    monkeypatch.undo()
    changed = planned([nudged(box_car("boxcar")), box_car("p406")], SETTINGS)
    assert [finished(root, plan, None) is None for plan in changed] == [True, True, False], "boxcar-0, boxcar-1, p406-0"
    donor = planned([*cars(), box_car("another")], SETTINGS)
    stale = {plan.name for plan in donor if finished(root, plan, None) is None}
    assert stale == {"another-0", "another-1", "boxcar-1"}, "a variant may take parts of any training body"


def test_truncated_unlisted_shards_are_found(root, tmp_path):
    plan, data = planned(cars(), SETTINGS)[0], (root / "boxcar-0.tar").read_bytes()
    for length in (100, 4000, len(data) // 2, len(data) // 2 // 512 * 512):
        (tmp_path / "boxcar-0.tar").write_bytes(data[:length])
        assert finished(tmp_path, plan, None) is None


def test_plan_of_parametric_cars():
    settings = ShardSettings(variants=2, parametric=2, parametric_validation=1)
    plans = {plan.name: plan for plan in planned(cars(), settings)}
    assert list(plans) == sorted(plans) and len(plans) == 3 + 1 + 8 * 3
    assert plans["param-suv-0001-0"].split == "train" and not plans["param-suv-0001-0"].real
    assert plans["param-van-9000-0"].split == "validation" and plans["param-van-9000-0"].body_class == "van"
    with pytest.raises(DataError, match="from 9000 on"):
        planned([], ShardSettings(parametric=9001))
    with pytest.raises(DataError, match="same name"):
        planned([box_car("a"), box_car("a")], settings)


def test_a_parametric_shape_is_made(tmp_path):
    plan = next(p for p in planned([], replace(SETTINGS, parametric=1)) if p.name == "param-pickup-0000-0")
    with Renderer(48) as renderer:
        entry = make_shape(tmp_path, plan, {}, renderer)
    meta = read_meta(check_shard(tmp_path, entry))
    assert meta["recipe"] == {"body_class": "pickup", "number": 0} and meta["licence"] == "Apache-2.0"
    assert 4 < meta["length_m"] < 6.5 and entry["real"] is False


def test_bad_cars_are_left_out_and_the_rest_goes_on(tmp_path, capfd):
    holed, flat = box_car("holed"), box_car("flat")
    holed.parts[0].vertices[0] = np.nan
    # Two coordinates a vertex: an error nobody foresaw, at which the worker dies.
    flat = replace(flat, parts=tuple(replace(p, vertices=p.vertices[:, :2]) for p in flat.parts))
    settings = replace(SETTINGS, variants=0, pictures=1)
    outcome = generate(tmp_path, [holed, flat, box_car("p406"), box_car("two words")], settings, workers=1)
    assert [e["name"] for e in outcome.entries] == ["p406-0"]
    assert set(outcome.left_out) == {"holed-0", "flat-0", "two words-0"}
    assert "part paint of holed has vertices that are not finite" in outcome.left_out["holed-0"]
    assert "a worker died with exit code 1" in outcome.left_out["flat-0"] and "Traceback" in capfd.readouterr().err
    assert "rename the car" in outcome.left_out["two words-0"]
    assert [item["name"] for item in read_index(tmp_path)["left_out"]] == ["flat-0", "holed-0", "two words-0"]


def test_workers_that_die_one_after_another_end_the_run():
    class Dead:
        plan = planned(cars(), SETTINGS)[0]

        class process:
            exitcode = -9
            join = staticmethod(lambda: None)

    assert "exit code -9" in _death(Dead, 1).problem and _death(Dead, 2).name == "boxcar-0"
    with pytest.raises(DataError, match="exit code -9.*3 in a row.*--workers 1"):
        _death(Dead, 3)
    Dead.plan = None  # died before it had a shape: nothing can be made
    with pytest.raises(DataError, match="--workers 1"):
        _death(Dead, 1)


def test_big_shapes_are_started_first():
    small, big = box_car("a"), box_car("b")
    big = replace(big, parts=big.parts * 3)
    plans = planned([small, big], SETTINGS)
    assert [p.name for p in _big_first(plans, {"a": small, "b": big})] == ["b-0", "b-1", "a-0", "a-1"]


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with _alone(tmp_path), pytest.raises(DataError, match="another run is writing"):
        generate(tmp_path, cars(), SETTINGS)
    with _alone(tmp_path):
        assert os.listdir(tmp_path) == [], "the lock leaves nothing behind"


def test_a_folder_of_the_old_format_is_refused(tmp_path):
    (tmp_path / "index.json").write_text(json.dumps({"format": "carcloud-shards", "format_version": 1, "shards": []}))
    with pytest.raises(DataError, match="carcloud-shards 1, wanted carcloud-shards 3.*delete the folder"):
        generate(tmp_path, cars(), SETTINGS)


def test_fingerprint_sees_every_change():
    mesh = box_car("x")
    assert fingerprint(mesh) == fingerprint(box_car("x")) != fingerprint(nudged(mesh))
    paint = mesh.parts[0]
    changes = ({"category": "trim"}, {"colour": (1, 0, 0)}, {"faces": paint.faces[1:]})
    for part in (replace(paint, **change) for change in changes):
        assert fingerprint(replace(mesh, parts=(part, *mesh.parts[1:]))) != fingerprint(mesh)


def flags(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    return parser.parse_args(["data", *given])


@pytest.mark.parametrize("flag", ["--pictures 0", "--workers 0", "--size 8", "--parametric 9001", "--variants -1"])
def test_flags_out_of_range_are_refused(flag):
    with pytest.raises(DataError, match=f"{flag.split()[0]} is {flag.split()[1]}; give"):
        run(flags(*flag.split()))


def test_check_names_what_is_bad(tmp_path, capsys):
    hand_made(tmp_path, shapes=3)
    assert run(flags("--check", "--out", str(tmp_path))) == 0
    assert "3 shards listed" in capsys.readouterr().out
    data = (tmp_path / "s1-0.tar").read_bytes()
    (tmp_path / "s1-0.tar").write_bytes(data[:-700] + b"x" + data[-699:])
    (tmp_path / "s2-0.tar").rename(tmp_path / "other-0.tar")
    assert run(flags("--check", "--out", str(tmp_path))) == DataError.exit_code
    said = capsys.readouterr().out
    assert "s1-0.tar does not match the index" in said and "s2-0.tar is listed in the index but missing" in said
    assert "1 tars not listed, 2 problems" in said and "s0-0" not in said


def test_check_names_shapes_left_out(tmp_path, capsys):
    hand_made(tmp_path, shapes=1)
    write_index(tmp_path, ShardSettings(), read_index(tmp_path)["shards"], {"bad-0": "no surface"})
    assert run(flags("--check", "--out", str(tmp_path))) == DataError.exit_code
    assert "bad-0 was left out: no surface" in capsys.readouterr().out


@pytest.mark.parametrize(("left_out", "code"), [({}, 0), ({"bad-0": "no surface"}, DataError.exit_code)])
def test_exit_code_tells_that_a_shape_was_left_out(tmp_path, monkeypatch, capsys, left_out, code):
    hand_made(tmp_path, shapes=2)
    outcome = Outcome(read_index(tmp_path)["shards"], left_out, 2, {"pictures": 3.0})
    monkeypatch.setattr("training.meshes.library.load_cars", lambda *_: [])
    monkeypatch.setattr("training.data.generate.generate", lambda *_: outcome)
    assert run(flags("--out", str(tmp_path))) == code
    said = capsys.readouterr().out
    assert "1 train parametric, 1 train real" in said and "pictures 1.50" in said
    assert ("left out: bad-0: no surface" in said) == bool(left_out)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot make the folder .*file/shards.*--out"):
        generate(tmp_path / "file" / "shards", [], SETTINGS)


def test_contact_sheet(root, tmp_path):
    write_sheet(root, tmp_path / "sheet.png", rows=2, columns=2)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape == (2 * 142, 2 * 512, 3)
    with pytest.raises(DataError, match="ends in .png"):
        write_sheet(root, tmp_path / "sheet.nonsense", rows=1, columns=1)
