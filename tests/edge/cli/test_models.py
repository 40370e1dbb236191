"""carcloud models: a folder of photos to a folder of models; going on, bad photos, groups, bad flags."""

import json
import os
import re
import sys
import threading
from typing import Any, Dict, List

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.cli import main
from edge.errors import CarcloudError
from edge.models import build, workers
from edge.models.work import Order, Task, best_side, write_files
from edge.ply import read_ply
from edge.settings import Settings
from tests.edge.helpers import FINDING_BUNDLE, POSED_BUNDLE, TINY_BUNDLE, red_cars, write_picture


def models(*arguments: str, bundle: str = POSED_BUNDLE) -> int:
    """Run the command on a small bundle, in one process."""
    return main(["models"] + list(arguments) + ["--bundle", bundle, "--jobs", "1"])


def record(folder: Any) -> Dict[str, Any]:
    with open(os.path.join(str(folder), "models.json")) as handle:
        document: Dict[str, Any] = json.load(handle)
    return document


def page_data(folder: Any) -> Dict[str, Any]:
    """What the gallery holds."""
    with open(os.path.join(str(folder), "index.html"), encoding="utf-8") as handle:
        text = handle.read()
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found
    data: Dict[str, Any] = json.loads(found.group(1))
    return data


@pytest.fixture
def photos(tmp_path: Any) -> str:
    """Two classes of two and one photos, one on its own, and one that is none."""
    for number, name in enumerate(("saloon/a.jpg", "saloon/b.png", "estate/a.jpg", "alone.jpg")):
        write_picture(str(tmp_path / "photos" / name), 80, 60, number)
    (tmp_path / "photos" / "saloon" / "broken.jpg").write_bytes(b"no picture")
    return str(tmp_path / "photos")


def test_a_tree_gives_models_of_photos_and_of_groups_and_a_page(photos: str, tmp_path: Any, capsys: Any) -> None:
    out = tmp_path / "models"
    assert models(photos, "--out", str(out), "--no-mesh", "--no-find", "--stereo", "anaglyph") == 1
    said = capsys.readouterr()
    assert "4 models of 5 photos, and of 2 groups; 1 failed." in said.out
    assert "broken.jpg is no picture OpenCV can read" in said.err
    endings = [".anaglyph.jpg", ".json", ".photo.jpg", ".ply", ".png", ".poster.jpg"]
    assert sorted(os.listdir(str(out / "photos" / "saloon"))) == sorted(n + e for n in "ab" for e in endings)
    assert sorted(os.listdir(str(out / "groups"))) == sorted(
        n + e for n in ("saloon", "estate") for e in (".json", ".ply", ".png", ".poster.jpg"))
    document = record(out)
    assert document["complete"] and document["totals"]["failed"] == 1 and document["kind"] == "folder"
    one = document["photos"][0]
    assert one["photo"] == "alone.jpg" and one["status"] == "ok" and one["group"] is None
    assert one["points"] == len(read_ply(str(out / "photos" / "alone.ply")).points)
    assert one["size_m"][0] == pytest.approx(one["length"]["metres"], abs=0.01) and 0 < one["confidence"] < 1
    group = document["groups"][0]
    assert group["group"] == "estate" and group["photos"] == ["estate/a.jpg"] and group["odd"] == []
    data = page_data(out)
    assert [m["title"] for m in data["models"]] == ["estate", "saloon", "alone", "a", "a", "b"]
    assert data["models"][1]["members"] == [m["id"] for m in data["models"][-2:]]
    assert all(os.path.isfile(str(out / path)) for m in data["models"] for path in m["files"].values())
    assert len(data["skipped"]) == 1 and "broken.jpg" in data["skipped"][0]


def test_the_same_command_again_makes_only_what_is_new_or_changed(photos: str, tmp_path: Any, capsys: Any) -> None:
    out, arguments = tmp_path / "models", ["--no-mesh", "--no-find"]
    assert models(photos, "--out", str(out), *arguments) == 1
    kept = {name: os.stat(str(out / "photos" / name)).st_mtime_ns for name in ("alone.ply", "saloon/a.ply")}
    write_picture(os.path.join(photos, "saloon", "a.jpg"), 90, 60, 9)
    write_picture(os.path.join(photos, "new.jpg"), 80, 60, 9)
    os.remove(str(out / "photos" / "estate" / "a.png"))
    capsys.readouterr()
    assert models(photos, "--out", str(out), *arguments) == 1
    said = capsys.readouterr().out
    assert "2 of 6 models are there already" in said and "5 models of 6 photos" in said
    now = {name: os.stat(str(out / "photos" / name)).st_mtime_ns for name in kept}
    assert now["alone.ply"] == kept["alone.ply"] and now["saloon/a.ply"] > kept["saloon/a.ply"]
    assert os.path.isfile(str(out / "photos" / "estate" / "a.png"))
    assert models(photos, "--out", str(out), "--again", *arguments) == 1
    assert "there already" not in capsys.readouterr().out


def test_photos_without_a_car_are_told_of(tmp_path: Any, capsys: Any) -> None:
    import cv2

    os.makedirs(str(tmp_path / "photos"))
    for name, cars in (("car.png", ((3, 4),)), ("street.png", ())):
        assert cv2.imwrite(str(tmp_path / "photos" / name), red_cars(*cars))
    assert models(str(tmp_path / "photos"), "--out", str(tmp_path / "m"), "--no-mesh", bundle=FINDING_BUNDLE) == 1
    said = capsys.readouterr()
    assert "1 models of 2 photos; 1 without a car." in said.out
    assert "street.png: no car found; if the car fills each photo, add --no-find" in said.err
    car, street = record(tmp_path / "m")["photos"]
    assert car["box"] is not None and car["finder_score"] > 0.3 and street["status"] == "no car"


def test_a_bundle_whose_points_do_not_correspond_gives_clouds_without_groups(photos: str, tmp_path: Any) -> None:
    assert models(photos, "--out", str(tmp_path / "m"), "--no-mesh", bundle=TINY_BUNDLE) == 1
    assert record(tmp_path / "m")["groups"] == [] and record(tmp_path / "m")["totals"]["ok"] == 4
    assert page_data(tmp_path / "m")["faces"] == ""


def test_such_a_bundle_has_no_meshes(photos: str, tmp_path: Any, capsys: Any) -> None:
    assert models(photos, "--out", str(tmp_path / "m"), bundle=TINY_BUNDLE) == 2
    assert "the points of bundle tiny do not correspond from photo to photo" in capsys.readouterr().err


def test_meshes_are_closed_and_of_one_kind(photos: str, tmp_path: Any) -> None:
    pytest.importorskip("open3d")
    trimesh = pytest.importorskip("trimesh")
    assert models(photos, "--out", str(tmp_path / "m"), "--no-find") == 1
    one, other = (trimesh.load(str(tmp_path / "m" / name), force="mesh")
                  for name in ("photos/saloon/a.glb", "groups/saloon.glb"))
    assert one.is_watertight and other.is_watertight and one.volume > 0
    assert np.array_equal(one.faces, other.faces)
    data = page_data(tmp_path / "m")
    assert data["faces"] and all(m["xyz"] and m["rgb"] for m in data["models"])


def test_names_of_groups_become_names_of_files(tmp_path: Any) -> None:
    stems = build.group_stems(str(tmp_path), ["Ram C/V Van", "Ram C_V Van", "..", "BMW 3er Ä"])
    assert [os.path.basename(stem) for stem in stems.values()] == ["Ram C_V Van", "Ram C_V Van-2", "_", "BMW 3er Ä"]


def test_a_name_cannot_end_the_script_that_holds_it(tmp_path: Any) -> None:
    name = "</script><img src=x onerror=alert(1)>.jpg"
    try:
        write_picture(str(tmp_path / "photos" / "a.jpg"))
        os.makedirs(str(tmp_path / "photos" / "x<"))
        os.rename(str(tmp_path / "photos" / "a.jpg"), str(tmp_path / "photos" / "x<" / "script><img>.jpg"))
    except OSError:
        pytest.skip("this file system has no such names: %s" % name)
    assert models(str(tmp_path / "photos"), "--out", str(tmp_path / "m"), "--no-mesh", "--no-find") == 0
    assert page_data(tmp_path / "m")["models"][0]["group"] == "x<"
    assert "<img>" not in (tmp_path / "m" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments, sentence", [
    ([], "nowhere to write; add --out DIR"),
    (["--out", "{out}", "--jobs", "-1"], "--jobs is -1; give how many processes"),
    (["--out", "{out}", "--stereo", "imax"], "--stereo imax is not known; known are anaglyph and side-by-side"),
    (["--out", "{photos}"], "--out is the folder of the photos"),
    (["--out", "{full}"], "holds notes.txt and is no folder of models; give another --out"),
    (["--out", "{full}/notes.txt"], "cannot make the folder"),
])
def test_wrong_flags_are_refused(
    arguments: List[str], sentence: str, photos: str, tmp_path: Any, capsys: Any
) -> None:
    os.makedirs(str(tmp_path / "full"))
    (tmp_path / "full" / "notes.txt").write_text("mine")
    places = {"out": str(tmp_path / "m"), "photos": photos, "full": str(tmp_path / "full")}
    assert main(["models", photos] + [a.format(**places) for a in arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_a_folder_of_models_is_not_taken_for_photos(photos: str, tmp_path: Any) -> None:
    """Also where it lies among the photos."""
    out = os.path.join(photos, "out")
    assert models(photos, "--out", out, "--no-mesh", "--no-find") == 1
    assert models(photos, "--out", out, "--no-mesh", "--no-find") == 1
    assert record(out)["totals"]["photos"] == 5


def test_models_are_looked_at_from_where_the_photo_was_taken_or_a_little_aside() -> None:
    assert [best_side(a) for a in (40.0, -90.0, 0.0, -5.0, 180.0, 359.0)] == [40.0, -90.0, 28.0, -28.0, -152.0, -28.0]


def test_a_full_disk_ends_the_run_and_says_that_it_goes_on(tmp_path: Any, monkeypatch: Any) -> None:
    def full(path: str) -> Any:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr("edge.models.work.atomic_file", full)
    with pytest.raises(CarcloudError, match=r"No space left on device; make room.*the same command goes on"):
        write_files(str(tmp_path / "a"), {".json": b"{}"})


def work(setting: workers.Setting, task: Task) -> Dict[str, Any]:
    """Stands in for the making of a model: dies of the photo called so."""
    if "deadly" in task.name:
        os._exit(9)
    return {"key": task.key, "status": "ok", "photo": task.name}


def tasks(*names: str) -> List[Task]:
    return [Task("", name, None, None, "", "k") for name in names]


def made(names: List[Task], stop: Any = None) -> Dict[str, Any]:
    setting = workers.Setting(Settings(), Order(), None, "")
    stop = threading.Event() if stop is None else stop
    return {task.name: entry for task, entry in workers.make_all(setting, names, 2, stop, work)}


def test_a_photo_that_kills_its_process_costs_no_other_photo() -> None:
    result = made(tasks("a", "b", "deadly", "c", "d", "e", "f", "g"))
    assert sorted(name for name, entry in result.items() if entry["status"] == "ok") == list("abcdefg")
    assert result["deadly"]["error"] == (
        "deadly: the process that read it died; is it damaged, or memory short?")


def test_no_photo_is_begun_after_a_stop() -> None:
    stop = threading.Event()
    stop.set()
    assert made(tasks("a", "b"), stop) == {}


def test_the_record_of_a_broken_off_run_is_gone_on_with(photos: str, tmp_path: Any) -> None:
    out = str(tmp_path / "m")
    build.open_output(out, photos)
    assert record(out)["complete"] is False
    build.open_output(out, photos)
    bundle = load_bundle(POSED_BUNDLE)
    assert build.template_key(bundle).startswith("2 ")


def test_of_very_many_photos_the_surest_make_the_group(photos: str, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(build, "MOST_PHOTOS", 1)
    assert models(photos, "--out", str(tmp_path / "m"), "--no-mesh", "--no-find") == 1
    saloon = record(tmp_path / "m")["groups"][1]
    two = {one["photo"]: one["confidence"] for one in record(tmp_path / "m")["photos"] if one["group"] == "saloon"
           and one["status"] == "ok"}
    assert saloon["photos_total"] == 2 and saloon["photos"] == [max(two, key=lambda name: two[name])]


def test_without_open3d_it_is_said_how_to_go_on_without_meshes(
    photos: str, tmp_path: Any, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    assert models(photos, "--out", str(tmp_path / "m"), "--no-find") == 12
    assert "pip install open3d-cpu" in capsys.readouterr().err
    assert models(photos, "--out", str(tmp_path / "m"), "--no-find") == 12
    assert capsys.readouterr().err.strip().endswith("or leave the meshes out: --no-mesh")
