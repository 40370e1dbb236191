"""``python -m training meshes``: fetch, list, check and show the car meshes."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from edge.errors import SettingsError
from training.meshes import fetch
from training.meshes.checks import measure, problems
from training.meshes.library import load_cars, split_of
from training.meshes.model import CarMesh
from training.meshes.sheet import contact_sheet


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the ``meshes`` command."""
    parser = subparsers.add_parser("meshes", help="fetch, list, check and show the car meshes", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--cache", type=Path, default=Path("data/meshes"), help="folder for the meshes (default: %(default)s)"
    )
    packs = argparse.ArgumentParser(add_help=False)
    packs.add_argument(
        "--glb",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder with further cars as GLB and a manifest.json; may be given several times",
    )
    action = actions.add_parser("fetch", parents=[common], help="download and unpack the Debian packages with cars")
    action.add_argument(
        "--from", dest="downloaded", type=Path, metavar="DIR", help="take the .deb files from DIR, download nothing"
    )
    action.set_defaults(run=run_fetch)
    action = actions.add_parser("list", parents=[common, packs], help="one line a car")
    action.set_defaults(run=run_list)
    action = actions.add_parser("check", parents=[common, packs], help="measure every car and say what is wrong")
    action.set_defaults(run=run_check)
    action = actions.add_parser("sheet", parents=[common, packs], help="picture of every car, to look at")
    action.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="where to write the picture")
    action.add_argument("--columns", type=int, default=6, help="cars side by side (default: %(default)s)")
    action.add_argument("--size", type=int, default=240, help="pixels a car (default: %(default)s)")
    action.set_defaults(run=run_sheet)


def run_fetch(options: argparse.Namespace) -> int:
    """Fetch what is missing."""
    fetch.fetch_all(options.cache, options.downloaded, lambda line: print(line, flush=True))
    return 0


def run_list(options: argparse.Namespace) -> int:
    """Name, class, source, licence, size, triangles, split of every car."""
    cars = list(tqdm(load_cars(options.cache, options.glb), desc="loading", unit="car", disable=None))
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
    """Measure every car; exit code 1 if any has a problem."""
    bad = 0
    for car in load_cars(options.cache, options.glb):
        measures = measure(car)
        found = problems(car, measures)
        bad += bool(found)
        length, width, height = measures.size
        lift = "none" if measures.lift is None else f"{measures.lift * 100:.1f} cm"
        print(
            f"{'BAD ' if found else 'ok  '} {car.name:24} {length:.2f} x {width:.2f} x {height:.2f} m,"
            f" asymmetry {measures.asymmetry * 100:.2f} %, tyre lift {lift},"
            f" holes {measures.holes * 100:.1f} %, interior seen {measures.interior * 100:.1f} %",
            flush=True,
        )
        for sentence in found:
            print(f"     {sentence}")
    print(f"{bad} cars have problems" if bad else "no problems found")
    return 1 if bad else 0


def run_sheet(options: argparse.Namespace) -> int:
    """Write the contact sheet."""
    if options.columns < 1 or not 32 <= options.size <= 1024:
        raise SettingsError("--columns must be at least 1 and --size between 32 and 1024")
    if not options.out.resolve().parent.is_dir():
        raise SettingsError(f"the folder of {options.out} does not exist; make it first or give another --out")
    cars = list(tqdm(load_cars(options.cache, options.glb), desc="loading", unit="car", disable=None))
    image = contact_sheet(cars, options.columns, options.size)
    try:
        image.save(options.out)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot write {options.out} ({error}); give a writable name that ends in .png") from error
    print(f"{len(cars)} cars in {options.out}")
    return 0


def size_of(car: CarMesh) -> tuple[float, float, float]:
    """Length, width, height in metres."""
    lower, upper = car.bounds()
    length, width, height = (float(v) for v in upper - lower)
    return length, width, height
