"""Models and file formats of the data sets: axes, sizes, splits; binvox, OFF, pickles; the command."""

from __future__ import annotations

import argparse
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from edge.errors import DataError, SettingsError
from tests.training import datasets_fixtures as fixtures
from training.datasets import cli
from training.datasets.binvox import read_binvox
from training.datasets.cad import category_of, read_off
from training.datasets.files import read_split_file
from training.datasets.plainpickle import read_plain_pickle
from training.datasets.registry import DATASETS, dataset
from training.datasets.shapenet import find_model, read_model
from training.meshes.model import CarMesh
from training.meshes.wavefront import Material


@pytest.fixture
def shapenet(tmp_path: Path) -> Path:
    fixtures.shapenet(tmp_path)
    return tmp_path


def part(car: CarMesh, category: str) -> np.ndarray:
    return np.concatenate([p.vertices for p in car.parts if p.category == category])


def assert_toy_car(car: CarMesh) -> None:
    """4.5 m long, cabin behind the bonnet, mirror on the left, on the ground, centred."""
    lower, upper = car.bounds()
    scale = 4.5 / fixtures.LENGTH
    assert upper - lower == pytest.approx(np.array([4.5, 0.46 * scale, 0.3 * scale]), abs=1e-4)
    assert (lower + upper)[:2] == pytest.approx([0, 0], abs=1e-4) and lower[2] == pytest.approx(0, abs=1e-5)
    assert car.length_m == pytest.approx(4.5, abs=1e-4)
    soup, _ = car.merged()
    high = soup[soup[:, 2] > 0.2 * scale]
    assert high[:, 0].max() == pytest.approx(0.1 * scale, abs=1e-3)
    # The widest left point belongs to the mirror.
    left = soup[soup[:, 1] > soup[:, 1].max() - 1e-3]
    assert 0.1 * scale - 1e-3 <= left[:, 0].min() and left[:, 0].max() <= 0.16 * scale + 1e-3
    assert left[:, 2].min() > 0 and left[:, 2].max() < 0.3 * scale


@pytest.mark.parametrize("index", [0, 1], ids=["v1", "v2"])
def test_shapenet_models_stand_in_the_car_frame(shapenet: Path, index: int) -> None:
    car = read_model(find_model(shapenet, fixtures.MODELS[index]))
    assert_toy_car(car)
    assert car.name == f"shapenet-{fixtures.MODELS[index]}" and car.source == f"shapenetcore-v{index + 1}"
    assert "scaled to 4.5 m" in car.attribution and "ShapeNet terms" in car.licence
    glass = part(car, "glass")
    assert np.ptp(glass[:, 0]) == pytest.approx(0.55 * 5, abs=1e-3)
    paint = next(p for p in car.parts if p.category == "paint")
    assert paint.colour == pytest.approx((1, 0, 0))


def test_shapenet_mirrored_on_request(shapenet: Path) -> None:
    path = find_model(shapenet, fixtures.MODELS[0])
    plain, mirrored = (part(read_model(path, mirror=m), "chrome") for m in (False, True))
    assert plain[:, 1].mean() == pytest.approx(-mirrored[:, 1].mean(), abs=1e-4) and plain[:, 1].mean() > 0


def test_shapenet_contents_and_splits(shapenet: Path) -> None:
    contents = DATASETS["shapenet"].opener(shapenet)
    assert {a.name: a.split for a in contents.assets if a.kind == "mesh"} == dict(
        zip(fixtures.MODELS, ("train", "validation", "test"))
    )
    assert contents.missing == ("02958343/0absent",)
    assert "2 train, 1 validation, 1 test" in contents.notes[0]
    (car,) = contents.meshes("validation")
    assert_toy_car(car)
    (voxels,) = [a.load() for a in contents.assets if a.kind == "voxels"]
    assert (voxels.filled == fixtures.toy_voxels()).all()


def test_shapenet_official_split_table(shapenet: Path) -> None:
    for path in (shapenet / "splits").iterdir():
        path.unlink()
    rows = [f"1,{synset},{synset},{model},{split}" for synset, model, split in
            (("2958343", fixtures.MODELS[0], "val"), (fixtures.CARS, fixtures.MODELS[1], "test"),
             ("3001627", "chair", "train"))]  # fmt: skip
    fixtures.put(shapenet / "all.csv", "id,synsetId,subSynsetId,modelId,split\n" + "\n".join(rows) + "\n")
    contents = DATASETS["shapenet"].opener(shapenet)
    assert [a.split for a in contents.assets if a.kind == "mesh"] == ["validation", "test", "none"]
    fixtures.put(shapenet / "all.csv", "id,modelId\n1,2\n")
    with pytest.raises(DataError, match=r"all\.csv lacks a column"):
        DATASETS["shapenet"].opener(shapenet)


def test_split_lists_of_occupancy_networks_and_contradictions(shapenet: Path) -> None:
    (shapenet / "splits").rename(shapenet / "elsewhere")
    fixtures.put(shapenet / fixtures.CARS / "test.lst", fixtures.MODELS[0] + "\n")
    contents = DATASETS["shapenet"].opener(shapenet)
    assert [a.split for a in contents.assets if a.kind == "mesh"] == ["test", "none", "none"]
    assert contents.missing == ()
    fixtures.put(shapenet / fixtures.CARS / "train.lst", f"{fixtures.CARS}/{fixtures.MODELS[0]}\n")
    assert read_split_file(shapenet / fixtures.CARS / "train.lst") == [fixtures.MODELS[0]]
    with pytest.raises(DataError, match="in another split file"):
        DATASETS["shapenet"].opener(shapenet)


def test_shapenet_model_gone_or_damaged(shapenet: Path) -> None:
    with pytest.raises(DataError, match=r"02958343/absent is not in .*needs a registration"):
        find_model(shapenet, "absent")
    path = find_model(shapenet, fixtures.MODELS[0])
    path.write_text("v 0 0 0\nf 1 2 3\n")
    with pytest.raises(DataError, match=r"model\.obj is damaged .*unpack the model again"):
        read_model(path)
    path.unlink()
    assert f"{fixtures.CARS}/{fixtures.MODELS[0]}" in DATASETS["shapenet"].opener(shapenet).missing[0]


def test_a_model_in_other_axes_is_no_car(shapenet: Path) -> None:
    path = find_model(shapenet, fixtures.MODELS[0])
    path.write_text(fixtures.obj_text(fixtures.V2_AXES))
    with pytest.raises(DataError, match=r"a car's width is 0\.25 to 0\.75 of its length"):
        read_model(path)


def test_pascal3d_cad_stands_in_the_car_frame(tmp_path: Path) -> None:
    fixtures.pascal3d(tmp_path)
    (car,) = DATASETS["pascal3d"].opener(tmp_path).meshes()
    assert_toy_car(car)
    assert car.name == "pascal3d-car-01"


@pytest.mark.parametrize(
    ("name", "opacity", "category"),
    [("Front_Windshield", 1.0, "glass"), ("Color_007", 1.0, "paint"), ("Color_008", 0.5, "glass"),
     ("tire_black", 1.0, "tyre"), ("TailLight", 0.6, "light_rear"), ("headlamp", 1.0, "light_front")],
)  # fmt: skip
def test_materials(name: str, opacity: float, category: str) -> None:
    assert category_of(Material(name, opacity=opacity)) == category


# --- formats ------------------------------------------------------------------------------------------------------


def test_binvox_agrees_with_trimesh_and_its_own_formula(tmp_path: Path) -> None:
    path = fixtures.put_binvox(tmp_path / "a.binvox")
    voxels = read_binvox(path)
    theirs = trimesh.exchange.binvox.load_binvox(io.BytesIO(path.read_bytes()), axis_order="xzy")
    assert (voxels.filled == np.asarray(theirs.matrix)).all()
    corner = np.argwhere(voxels.filled).tolist().index([7, 1, 0])
    expected = 2.0 * (np.array([7, 1, 0]) + 0.5) / 8 + [-0.5, -0.25, -0.5]
    assert voxels.centres()[corner] == pytest.approx(expected)


@pytest.mark.parametrize("damage", [slice(0, 40), slice(0, -2), slice(5, None)])
def test_damaged_binvox(tmp_path: Path, damage: slice) -> None:
    path = fixtures.put_binvox(tmp_path / "a.binvox")
    path.write_bytes(path.read_bytes()[damage])
    with pytest.raises(DataError, match="damaged or no binvox file"):
        read_binvox(path)


def test_off_forms_and_damage(tmp_path: Path) -> None:
    path = fixtures.put(tmp_path / "a.off", "OFF 4 2 0 # counts here\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n3 0 1 2\n")
    vertices, faces = read_off(path)
    assert len(vertices) == 4 and faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    for text in ("PLY\n", "OFF\n4 1 0\n0 0 0\n", "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n", ""):
        fixtures.put(path, text)
        with pytest.raises(DataError, match="damaged or no OFF file"):
            read_off(path)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_are_read_without_unpickling(tmp_path: Path, protocol: int) -> None:
    shared = {"b": 2.5}
    value = {"a": [1, -70000, 2**40, True, None], "t": (1, (), ("x", "y", "z", "w")), "s": [shared, shared], "e": {}}
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    assert read_plain_pickle(path) == value


def test_pickles_of_python_2_like_the_published_ones(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(b"(dp0\nS'00235.jpg'\np1\n(dp2\nS'u'\np3\nF25.0\nsVv\np4\nF-26.0\nssS'04860.jpg'\np5\n(dp6\ng3\nF1.5\nss.")
    assert read_plain_pickle(path) == {"00235.jpg": {"u": 25.0, "v": -26.0}, "04860.jpg": {"u": 1.5}}


def test_pickles_that_would_run_code_are_refused(tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"a": Touch()}))
    with pytest.raises(DataError, match="more than plain values"):
        read_plain_pickle(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("data", [b"", b"no pickle", b"(dp0\nS'a'\n", b"]"])
def test_damaged_pickles(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged or no pickle"):
        read_plain_pickle(path)


# --- the command --------------------------------------------------------------------------------------------------


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    cli.register(parser.add_subparsers())
    options = parser.parse_args(["datasets", *words])
    return int(options.run(options))


def test_list_names_every_set_and_its_gate(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == 0
    text = capsys.readouterr().out
    for entry in DATASETS.values():
        assert entry.name in text and entry.licence.split(";")[0][:40] in text
    assert "shapenet  (gated: registration)" in text


def test_check_counts_and_names_what_is_missing(shapenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "shapenet", str(shapenet)) == 1
    text = capsys.readouterr().out
    assert [line.split() for line in text.splitlines() if line.startswith("meshes")] == [["meshes", "1", "1", "1", "3"]]
    assert "1 missing:\n  02958343/0absent\nlicence-gated" in text
    (shapenet / "splits" / f"{fixtures.CARS}_train.txt").write_text(fixtures.MODELS[0])
    assert run("check", "shapenet", str(shapenet)) == 0
    assert "nothing is missing" in capsys.readouterr().out


def test_check_of_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no data set 'kitti'; known are shapenet, r2n2"):
        run("check", "kitti", str(tmp_path))
    assert dataset("bmw10") is DATASETS["bmw10"]


def test_show_draws_the_box_where_it_is(tmp_path: Path) -> None:
    fixtures.bmw10(tmp_path)
    out = tmp_path / "sheet.png"
    assert run("show", "bmw10", str(tmp_path), "--out", str(out)) == 0
    sheet = np.asarray(Image.open(out).convert("RGB")).astype(int)
    assert sheet.shape == (248, 1320, 3)
    red = (sheet[:, :220, 0] > 180) & (sheet[:, :220, 1] < 120)
    rows, columns = np.nonzero(red)
    # A 60 x 40 photo in 218 pixels' width, its box from (3, 2), 40 x 30.
    scale, top = 218 / 60, (220 - round(40 * 218 / 60)) // 2
    found = (columns.min(), rows.min(), columns.max(), rows.max())
    expected = (1 + 3 * scale, top + 2 * scale, 1 + 43 * scale, top + 32 * scale)
    assert found == pytest.approx(expected, abs=4)


def test_show_draws_meshes_and_survives_a_bad_photo(
    tmp_path: Path, shapenet: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "sheet.png"
    path = find_model(shapenet, fixtures.MODELS[0])
    path.write_text("no mesh")
    assert run("show", "shapenet", str(shapenet), "--out", str(out)) == 0
    assert "holds no faces" in caplog.text
    sheet = np.asarray(Image.open(out).convert("RGB")).astype(int)
    # Two cars painted red, from the second cell on.
    red = (sheet[:, :, 0] > 150) & (sheet[:, :, 1] < 90)
    assert red[:, :220].sum() < 0.05 * red.sum() and red[:, 220:440].sum() > 1000


def test_show_needs_a_place_and_something_to_show(tmp_path: Path) -> None:
    fixtures.bmw10(tmp_path)
    with pytest.raises(SettingsError, match="does not exist"):
        run("show", "bmw10", str(tmp_path), "--out", str(tmp_path / "no" / "a.png"))
    for path in (tmp_path / "bmw10_ims").rglob("*.jpg"):
        path.unlink()
    with pytest.raises(DataError, match="no photos, renderings or meshes to show"):
        run("show", "bmw10", str(tmp_path), "--out", str(tmp_path / "a.png"))
