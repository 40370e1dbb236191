"""One's own cars: a manifest that describes files of other axes, units and material names, and the flag --only-glb."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from edge.errors import DataError, SettingsError
from tests.training import meshes_samples as samples
from training.data.cli import register as register_data
from training.meshes import glb, library
from training.meshes.cli import register
from training.meshes.model import CarMesh


def pack(folder: Path, **about: Any) -> tuple[Path, dict[str, Any]]:
    """The toy car of the samples as ``mine.glb``: its file and manifest entry."""
    samples.write_glb_pack(folder, ("mine",))
    entry = {"file": "mine.glb", **about}
    (folder / "manifest.json").write_text(json.dumps({"cars": [entry]}))
    return folder / "mine.glb", entry


def rewrite(path: Path, matrix: np.ndarray) -> None:
    """Turn and scale a GLB file as other programs would have written it."""
    scene = trimesh.load(path, file_type="glb", force="scene")
    scene.apply_transform(matrix)
    path.write_bytes(scene.export(file_type="glb"))


def boxes(car: CarMesh) -> dict[str, np.ndarray]:
    return {p.name: np.stack([p.vertices.min(0), p.vertices.max(0)]) for p in car.parts if p.category != "tyre"}


def test_other_axes_and_units_are_described_in_the_manifest(tmp_path: Path) -> None:
    path, entry = pack(tmp_path)
    as_is = boxes(glb.load_glb(path, entry))
    # z up, nose towards -y, centimetres, as Blender's users have it: (x, y, z) becomes (x, -z, y) * 100.
    rewrite(path, np.array([[100.0, 0, 0, 0], [0, 0, -100.0, 0], [0, 100.0, 0, 0], [0, 0, 0, 1]]))
    car = glb.load_glb(path, {**entry, "forward": "-y", "up": "+z", "scale": 0.01})
    assert sorted(as_is) == sorted(boxes(car))
    for name, box in boxes(car).items():
        assert np.allclose(box, as_is[name], atol=1e-4)


@pytest.mark.parametrize(("about", "sentence"), [
    ({"forward": "z"}, "forward 'z' and up '.y'; give two different axes of .x, .y, .z, -x, -y, -z"),
    ({"forward": "-y"}, "forward '-y' and up '.y'; give two different axes"),
    ({"scale": 0}, "scale 0; it is the metres of the file's unit"),
    ({"scale": "cm"}, "scale 'cm'; it is the metres"),
    ({"kinds": ["paint"]}, '"kinds" of its manifest is no table'),
    ({"kinds": {"Body": "paint"}}, "has no material 'Body', .*; it has 'glass.2', 'light', 'paint', 'tyre'"),
    ({"kinds": {"paint": "lacquer"}}, "makes 'paint' a 'lacquer'; kinds are paint, "),
])
def test_a_wrong_description_says_what_would_be_right(tmp_path: Path, about: dict[str, Any], sentence: str) -> None:
    path, entry = pack(tmp_path, **about)
    with pytest.raises(DataError, match=sentence):
        glb.load_glb(path, entry)


def rename(path: Path, old: str, new: str) -> None:
    """Give a material another name; it must be as long, for the file's JSON keeps its length."""
    content, before, after = path.read_bytes(), f'"name":"{old}"'.encode(), f'"name":"{new}"'.encode()
    assert len(before) == len(after) and before in content
    path.write_bytes(content.replace(before, after))


def test_materials_of_any_name_get_their_kind_from_the_manifest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, entry = pack(tmp_path)
    rename(path, "glass.2", "Windows")
    with caplog.at_level(logging.WARNING):
        car = glb.load_glb(path, entry)
    assert "glass" not in {p.category for p in car.parts}
    (said,) = [r.getMessage() for r in caplog.records]
    assert "of no known kind, and so taken for trim: 'Windows'; name their kinds under" in said
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        car = glb.load_glb(path, {**entry, "kinds": {"Windows": "glass"}})
    assert "glass" in {p.category for p in car.parts}
    assert caplog.records == []


def test_a_changed_manifest_makes_the_cached_car_anew(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    pack(folder, body_class="suv")
    (car,) = library.load_cars(tmp_path / "cache", [folder], only_glb=True)
    assert car.body_class == "suv"
    (folder / "manifest.json").write_text(json.dumps({"cars": [{"file": "mine.glb", "body_class": "van"}]}))
    (car,) = library.load_cars(tmp_path / "cache", [folder], only_glb=True)
    assert car.body_class == "van"
    assert len(list((tmp_path / "cache" / "normalised").iterdir())) == 1


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(required=True))
    options = parser.parse_args(["meshes", *arguments])
    return int(options.run(options))


def test_own_cars_can_be_looked_at_without_the_packages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = str(tmp_path / "cache")
    with pytest.raises(SettingsError, match="--only-glb leaves nothing without a --glb"):
        run("list", "--cache", cache, "--only-glb")
    pack(tmp_path / "mine", licence="CC0-1.0", authors="me")
    own = ["--cache", cache, "--glb", str(tmp_path / "mine")]
    with pytest.raises(DataError, match="lacks sweethome3d-furniture"):
        run("list", *own)
    assert run("list", *own, "--only-glb") == 0
    out = capsys.readouterr().out
    assert "1 cars: 1 train" in out and "me, CC0-1.0" in out and "sweethome3d" not in out
    assert run("sheet", *own, "--only-glb", "--out", str(tmp_path / "mine.png"), "--size", "64") == 0
    assert (tmp_path / "mine.png").stat().st_size > 0
    # The toy has no rims and no rear lamps, so it is measured and found wanting, alone.
    assert run("check", *own, "--only-glb") == 1
    out = capsys.readouterr().out
    assert "BAD  mine" in out and "1 of 1 cars have problems" in out


def test_shards_of_own_cars_alone_take_own_cars(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    register_data(parser.add_subparsers(required=True))
    options = parser.parse_args(["data", "--only-glb", "--out", str(tmp_path)])
    with pytest.raises(DataError, match="--only-glb leaves nothing without a --glb"):
        options.run(options)


def test_a_list_of_the_materials_in_a_manifest_is_no_complaint(tmp_path: Path) -> None:
    """The mesh pack's manifest lists the names of each file's materials; ``kinds`` is what gives them a kind."""
    path, entry = pack(tmp_path)
    assert glb.load_glb(path, {**entry, "materials": ["paint", "glass"]}).parts
