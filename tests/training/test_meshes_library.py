"""Fetching, the fixed split, the cache, and the ``meshes`` command, all on tiny files of our own."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.bundle import sha256_file
from edge.errors import DataError, SettingsError
from tests.training import meshes_samples as samples
from training.meshes import fetch, library, openmrac, sweethome, torcs
from training.meshes.cli import register


def package(tmp_path: Path) -> fetch.Package:
    """A real .deb in ``tmp_path/debs`` with one wanted and one other file, and its pin."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not on this machine")
    tree, debs = tmp_path / "tree", tmp_path / "debs"
    for name in ("usr/share/games/cars/toy/toy.acc", "usr/share/games/cars/other/other.acc", "DEBIAN/control"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(name)
    (tree / "DEBIAN/control").write_text(
        "Package: toy-data\nVersion: 1-1\nArchitecture: all\nMaintainer: nobody <n@example.org>\nDescription: toy\n"
    )
    debs.mkdir()
    archive = debs / "toy-data_1-1_all.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(archive)]
    subprocess.run(command, check=True, capture_output=True)
    wanted = (r"/cars/toy/[^/]+\.acc$",)
    return fetch.Package("toy-data", "1-1", sha256_file(str(archive)), "toy", wanted, "CC0")


def test_fetch_unpacks_only_what_is_wanted_and_only_once(tmp_path: Path) -> None:
    pinned, cache, said = package(tmp_path), tmp_path / "cache", []
    fetch.fetch_all(cache, tmp_path / "debs", said.append, [pinned])
    files = sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file())
    assert files == ["toy/cars/toy/toy.acc", "toy/source.json"]
    assert fetch.is_fetched(cache, pinned) and "CC0" in said[-1]
    shutil.rmtree(tmp_path / "debs")
    fetch.fetch_all(cache, tmp_path / "debs", said.append, [pinned])
    assert "already in" in said[-1]


def test_half_unpacked_or_other_version_does_not_look_complete(tmp_path: Path) -> None:
    pinned, cache = package(tmp_path), tmp_path / "cache"
    (cache / "toy" / "cars" / "toy").mkdir(parents=True)
    assert not fetch.is_fetched(cache, pinned)
    (cache / "toy" / fetch.STAMP).write_text("{")
    assert not fetch.is_fetched(cache, pinned)
    (cache / "toy" / fetch.STAMP).write_text(json.dumps({"sha256": "0" * 64}))
    assert not fetch.is_fetched(cache, pinned)
    fetch.fetch_all(cache, tmp_path / "debs", print, [pinned])
    assert (cache / "toy" / "cars" / "toy" / "toy.acc").is_file()


def test_wrong_checksum_leaves_nothing_behind(tmp_path: Path) -> None:
    pinned, cache = package(tmp_path)._replace(sha256="0" * 64), tmp_path / "cache"
    with pytest.raises(DataError, match="toy-data_1-1_all.deb has SHA-256 .* not the pinned 0000000000000000"):
        fetch.fetch_all(cache, tmp_path / "debs", print, [pinned])
    assert list(cache.iterdir()) == []


def test_cut_package_is_refused(tmp_path: Path) -> None:
    pinned = package(tmp_path)
    archive = tmp_path / "debs" / pinned.file
    archive.write_bytes(archive.read_bytes()[:-20])
    cut = pinned._replace(sha256=sha256_file(str(archive)))
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch.fetch_all(tmp_path / "cache", tmp_path / "debs", print, [cut])
    assert not fetch.is_fetched(tmp_path / "cache", cut)


def test_package_not_in_the_given_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sweethome3d-furniture_1.8-1_all.deb there, or leave --from out"):
        fetch.fetch_all(tmp_path / "cache", tmp_path, print)


def test_without_apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="apt-get is not on this machine.*--from FOLDER"):
        fetch.fetch_all(tmp_path / "cache", None, print)


def test_without_network_apt_gets_last_words_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "apt-get"
    script.write_text("#!/bin/sh\necho 'E: Unable to fetch some archives' >&2\nexit 100\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(DataError, match="Unable to fetch some archives.*apt-get update"):
        fetch.fetch_all(tmp_path / "cache", None, print)


def test_optional_package_that_cannot_be_had_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    pinned, said = package(tmp_path), []
    missing = pinned._replace(name="other-data", folder="other", suite="trixie")
    fetch.fetch_all(tmp_path / "cache", tmp_path / "debs", said.append, [missing, pinned])
    assert "other-data 1-1: left out, it is optional" in said[0] and "does not exist" in said[0]
    assert fetch.is_fetched(tmp_path / "cache", pinned)


def test_another_release_needs_a_debian_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "apt-get"
    script.write_text("#!/bin/sh\n[ $1 = indextargets ] && echo 'Ubuntu file:/nowhere/' && exit 0\nexit 100\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="knows no Debian mirror, and only Debian trixie has it.*--from"):
        fetch.other_release("trixie", tmp_path)
    script.write_text(
        script.read_text().replace("Ubuntu", "Debian").replace("exit 100", "echo 'E: no route' >&2; exit 100")
    )
    with pytest.raises(DataError, match="could not read Debian trixie .E: no route"):
        fetch.other_release("trixie", tmp_path / "scratch")
    assert (tmp_path / "scratch" / "apt" / "sources.list").read_text().endswith("file:/nowhere/ trixie main\n")


def test_load_cars_without_the_optional_package(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples.write_cache(tmp_path)
    shutil.rmtree(tmp_path / "openmrac")
    assert [c.name for c in library.load_cars(tmp_path)] == ["suv", "p406"]
    assert any("openmrac-data was not fetched, so the cars skd, kfr, trb" in r.getMessage() for r in caplog.records)


def test_pins_are_whole_checksums() -> None:
    assert {p.name: (p.version, len(p.sha256)) for p in fetch.PACKAGES} == {
        "openmrac-data": ("1.1-5", 64),
        "sweethome3d-furniture": ("1.8-1", 64),
        "torcs-data": ("1.3.7+dfsg-5", 64),
    }


def test_split_is_the_fixed_one() -> None:
    test = {"p406", "skd", "fordFocus", "suv", "chevrolet", "concept-sedan-02", "concept-sedan-02-sport"}
    test |= {"chrono_jeep_cherokee", "chrono_sedan"}
    assert {n for n in test if library.split_of(n) == "test"} == test
    assert all(library.split_of(n) == "validation" for n in ("car5-trb1", "seat_leon", "gazebo_prius_hybrid"))
    assert all(library.split_of(n) == "train" for n in ("van", "gazebo_suv", "sd_boxer_96", "car2-trb1"))


def test_no_ancestry_is_on_two_sides_of_the_split() -> None:
    listed = [*sweethome.CARS, *torcs.CARS, *openmrac.CARS]
    assert len(listed) == 30 and len({c.name for c in listed}) == 30
    sides: dict[str, set[str]] = {}
    for car in listed:
        sides.setdefault(car.ancestry, set()).add(library.split_of(car.name))
    assert {a: s for a, s in sides.items() if len(s) > 1} == {}


def test_load_cars_leaves_out_what_is_missing_and_names_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples.write_cache(tmp_path / "cache")
    samples.write_glb_pack(tmp_path / "pack")
    with caplog.at_level(logging.WARNING):
        names = [c.name for c in library.load_cars(tmp_path / "cache", [tmp_path / "pack"])]
    assert names == ["suv", "p406", "chrono_toy"]
    messages = [r.getMessage() for r in caplog.records]
    assert len(messages) == 28
    assert any(m.startswith("car fordFocus left out: car fordFocus cannot be read") for m in messages)


def test_second_load_comes_from_the_cache_and_is_equal(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    samples.write_cache(cache)
    first = list(library.load_cars(cache))
    (cache / "torcs" / "cars" / "p406" / "p406.acc").unlink()
    again = list(library.load_cars(cache))
    assert [c.name for c in again] == [c.name for c in first] == ["suv", "p406"]
    for one, two in zip(first, again):
        for p, q in zip(one.parts, two.parts, strict=True):
            assert (p.name, p.category, p.colour) == (q.name, q.category, q.colour)
        assert all(np.array_equal(p.vertices, q.vertices) for p, q in zip(one.parts, two.parts))
        assert all(np.array_equal(p.faces, q.faces) and q.faces.dtype == np.int32 for p, q in zip(one.parts, two.parts))
        assert (one.length_m, one.licence, one.ancestry) == (two.length_m, two.licence, two.ancestry)


def test_cache_of_another_importer_version_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    samples.write_cache(cache)
    list(library.load_cars(cache))
    monkeypatch.setattr(library, "VERSION", library.VERSION + 1)
    list(library.load_cars(cache))
    stored = [p.name for p in (cache / "normalised").iterdir()]
    assert len(stored) == 2 and all(f"-v{library.VERSION}-" in name for name in stored)


def test_damaged_cached_mesh_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = tmp_path / "cache"
    samples.write_cache(cache)
    list(library.load_cars(cache))
    path = next((cache / "normalised").glob("suv-*.npz"))
    path.write_bytes(path.read_bytes()[:100])
    assert [c.name for c in library.load_cars(cache)] == ["suv", "p406"]
    assert any("unreadable" in r.getMessage() and "suv" in r.getMessage() for r in caplog.records)


def test_nothing_fetched_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks sweethome3d-furniture and torcs-data; run: .* meshes fetch"):
        list(library.load_cars(tmp_path))


def test_same_name_twice_is_refused(tmp_path: Path) -> None:
    samples.write_cache(tmp_path / "cache")
    samples.write_glb_pack(tmp_path / "pack")
    with pytest.raises(DataError, match="two cars are called chrono_toy"):
        list(library.load_cars(tmp_path / "cache", [tmp_path / "pack", tmp_path / "pack"]))


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(required=True))
    options = parser.parse_args(["meshes", *arguments])
    return int(options.run(options))


def test_cli_list_check_and_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = str(tmp_path / "cache")
    samples.write_cache(Path(cache))
    samples.write_glb_pack(tmp_path / "pack")
    assert run("list", "--cache", cache, "--glb", str(tmp_path / "pack")) == 0
    out = capsys.readouterr().out
    assert "3 cars: 1 train, 0 validation, 2 test" in out and "CC BY 3.0" in out
    (row,) = [line for line in out.splitlines() if line.startswith("suv ")]
    assert row.split()[-1] == "test" and "4.40" in row
    assert run("check", "--cache", cache, "--glb", str(tmp_path / "pack")) == 0
    assert "ok   chrono_toy" in capsys.readouterr().out
    sheet = tmp_path / "sheet.png"
    assert run("sheet", "--cache", cache, "--out", str(sheet), "--columns", "2", "--size", "64") == 0
    with Image.open(sheet) as image:
        pixels = np.asarray(image)
    # Two cars, so two cells side by side, and each shows more than background.
    assert pixels.shape[1] == 128
    assert all(len(np.unique(half.reshape(-1, 3), axis=0)) > 5 for half in (pixels[:, :64], pixels[:, 64:]))


def test_cli_check_fails_on_a_bad_mesh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    samples.write_cache(cache)
    xml = cache / "torcs" / "cars" / "p406" / "p406.xml"
    xml.write_text(samples.torcs_xml().replace('val="-0.75"', 'val="0.7"'))
    assert run("check", "--cache", str(cache)) == 1
    out = capsys.readouterr().out
    assert "BAD  p406" in out and "not a tyre at each of the four corners" in out


def test_cli_sheet_refuses_bad_flags(tmp_path: Path) -> None:
    samples.write_cache(tmp_path / "cache")
    common = ["sheet", "--cache", str(tmp_path / "cache")]
    with pytest.raises(SettingsError, match="the folder of .* does not exist"):
        run(*common, "--out", str(tmp_path / "no" / "a.png"))
    with pytest.raises(SettingsError, match="--size between 32 and 1024"):
        run(*common, "--out", str(tmp_path / "a.png"), "--size", "8")
    with pytest.raises(SettingsError, match="ends in .png"):
        run(*common, "--out", str(tmp_path / "a.nothing"))
