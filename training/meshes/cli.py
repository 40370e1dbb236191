"""``python -m training meshes``: fetch, list, check and show the car meshes."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from edge.errors import DataError, SettingsError
from training.meshes import fetch, library
from training.meshes.checks import GIVEN, measure, problems
from training.meshes.library import load_cars, split_of
from training.meshes.model import CarMesh
from training.meshes.options import add_cache_flag, add_mesh_flags
from training.meshes.packages import PACKAGES, is_fetched
from training.meshes.sheet import contact_sheet
from training.meshes.wings import has_wings

#: Kinds whose share of the seen surface ``check`` prints.
SHOWN = ("paint", "glass", "tyre", "rim", "lamp", "trim", "interior")


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the ``meshes`` command."""
    parser = subparsers.add_parser("meshes", help="fetch, list, check and show the car meshes", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    meshes = argparse.ArgumentParser(add_help=False)
    add_mesh_flags(meshes)
    meshes.add_argument(
        "--only-glb", action="store_true", help="only the cars of the --glb folders: needs no fetched packages"
    )
    cache = argparse.ArgumentParser(add_help=False)
    add_cache_flag(cache)
    action = actions.add_parser("fetch", parents=[cache], help="download, verify and unpack the packages with cars")
    action.add_argument(
        "--from", dest="downloaded", type=Path, metavar="DIR", help="folder with the .deb and .whl files: no download"
    )
    action.set_defaults(run=run_fetch)
    action = actions.add_parser("list", parents=[meshes], help="sources, licences, attributions, and one line a car")
    action.set_defaults(run=run_list)
    action = actions.add_parser("check", parents=[meshes], help="measure every car and say what is wrong")
    action.set_defaults(run=run_check)
    action = actions.add_parser("sheet", parents=[meshes], help="picture of every car, to look at")
    action.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="where to write the picture")
    action.add_argument("--columns", type=int, default=5, help="cars side by side (default: %(default)s)")
    action.add_argument("--size", type=int, default=360, help="pixels across a car's views (default: %(default)s)")
    action.set_defaults(run=run_sheet)


def run_fetch(options: argparse.Namespace) -> int:
    """Fetch what is missing."""
    fetch.fetch_all(options.cache, options.downloaded, lambda line: print(line, flush=True))
    return 0


def run_list(options: argparse.Namespace) -> int:
    """Sources and their licences; name, class, source, licence, size, triangles, split of every car; credits."""
    entries_of(options)
    for package in () if options.only_glb else PACKAGES:
        state = "fetched" if is_fetched(options.cache, package) else "not fetched"
        registry = "PyPI" if package.wheel else f"Debian {package.suite}".rstrip()
        print(f"{package.name} {package.version} ({registry}, {state}): {package.licence}")
    cars = list(tqdm(load_cars(options.cache, options.glb, options.only_glb), desc="loading", unit="car", disable=None))
    row = "{:24} {:12} {:22} {:20} {:>5} {:>5} {:>5} {:>7}  {}"
    print(row.format("name", "class", "source", "licence", "L m", "W m", "H m", "faces", "split"))
    for car in cars:
        length, width, height = (f"{v:.2f}" for v in size_of(car))
        faces = sum(len(p.faces) for p in car.parts)
        about = (car.name, car.body_class, car.source, car.licence)
        print(row.format(*about, length, width, height, faces, split_of(car.name)))
    counts = {s: sum(split_of(c.name) == s for c in cars) for s in ("train", "validation", "test")}
    print(f"{len(cars)} cars: " + ", ".join(f"{n} {s}" for s, n in counts.items()))
    print("Credits:")
    for line in sorted({f"  {c.source}: {c.attribution}, {c.licence}" for c in cars}):
        print(line)
    return 0


def run_check(options: argparse.Namespace) -> int:
    """Measure every car as it comes; exit code 1 if any has a problem or cannot be read."""
    entries = entries_of(options)
    row = "{:4} {:22} {:>5} {:>5} {:>5} {:>5} {:>5} {:>5} {:>6} {:>6} {:>5} {:>5} {:>5} {:>5} {:>5} {:>4} {:>4}"
    heads = ["L", "W", "H", "asym", "lift", "holes", *SHOWN[:6], "inner", "float", "wing"]
    print(row.format("", "name", *heads))
    bad = 0
    for entry in tqdm(entries, desc="checking", unit="car", disable=None):
        try:
            car = library.load_entry(options.cache, entry)
            measures = measure(car)
            found = problems(car, measures)
        except DataError as error:
            bad += 1
            tqdm.write(row.format("BAD", entry.name, *[""] * 15).rstrip() + f"\n     {error}")
            continue
        bad += bool(found)
        shares = [f"{measures.share(kind) * 100:.1f}" for kind in SHOWN]
        lift = "none" if measures.lift is None else f"{measures.lift * 100:.1f}"
        figures = [*(f"{v:.2f}" for v in measures.size), f"{measures.asymmetry * 100:.2f}", lift]
        wing = "yes" if has_wings(car) else "-"
        figures += [f"{measures.holes * 100:.1f}", *shares, str(len(measures.floating)), wing]
        tqdm.write(row.format("BAD" if found else "ok", car.name, *figures))
        for sentence in found:
            tqdm.write(f"     {sentence}")
        for kind in (k for name, k in GIVEN if name == car.name):
            tqdm.write(f"     {kind}: {GIVEN[car.name, kind]}")
    print("asym: % of the length, left against right; lift: cm; holes: % of a silhouette;")
    print("paint to inner: % of what one sees; float: pieces apart from the rest; wing: whether it has a removable one")
    print(f"{bad} of {len(entries)} cars have problems" if bad else f"no problems found in {len(entries)} cars")
    return 1 if bad else 0


def run_sheet(options: argparse.Namespace) -> int:
    """Write the contact sheet."""
    if options.columns < 1 or not 32 <= options.size <= 1024:
        raise SettingsError("--columns must be at least 1 and --size between 32 and 1024")
    if not options.out.resolve().parent.is_dir():
        raise SettingsError(f"the folder of {options.out} does not exist; make it first or give another --out")
    entries_of(options)
    cars = list(tqdm(load_cars(options.cache, options.glb, options.only_glb), desc="loading", unit="car", disable=None))
    image = contact_sheet(cars, options.columns, options.size)
    try:
        image.save(options.out)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot write {options.out} ({error}); give a writable name that ends in .png") from error
    print(f"{len(cars)} cars in {options.out}")
    return 0


def entries_of(options: argparse.Namespace) -> list[library.Entry]:
    """What the flags ask for. SettingsError if that is nothing."""
    if options.only_glb and not options.glb:
        raise SettingsError("--only-glb leaves nothing without a --glb; give the folder of your cars: --glb FOLDER")
    return library.entries(options.cache, options.glb, options.only_glb)


def size_of(car: CarMesh) -> tuple[float, float, float]:
    """Length, width, height in metres."""
    lower, upper = car.bounds()
    length, width, height = (float(v) for v in upper - lower)
    return length, width, height
