"""``python -m training shapes``: look at the widened training shapes, and measure what they add."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from edge.errors import DataError, SettingsError
from training.meshes.library import load_cars, split_of
from training.meshes.model import CarMesh
from training.meshes.options import add_mesh_flags
from training.shapes.proportions import CLASSES


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the ``shapes`` command."""
    parser = subparsers.add_parser("shapes", help="show and measure the widened training shapes", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    common = argparse.ArgumentParser(add_help=False)
    add_mesh_flags(common, "--meshes")
    common.add_argument("--seed", type=int, default=0, help="of everything drawn (default: %(default)s)")
    action = actions.add_parser("sheet", parents=[common], help="picture of bodies, variants and parametric ones")
    action.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="where to write the picture")
    action.add_argument("--bodies", type=int, default=10, help="training bodies shown (default: %(default)s)")
    action.add_argument("--variants", type=int, default=5, help="variants of each (default: %(default)s)")
    action.add_argument("--parametric", type=int, default=6, help="parametric bodies a class (default: %(default)s)")
    action.add_argument("--size", type=int, default=300, help="pixels across a car's views (default: %(default)s)")
    action.set_defaults(run=run_sheet)
    action = actions.add_parser("coverage", parents=[common], help="how near training shapes come to the test bodies")
    action.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the JSON, Markdown and PNG")
    action.add_argument("--variants", type=int, default=8, help="variants of each training body (default: %(default)s)")
    action.add_argument("--parametric", type=int, default=25, help="parametric bodies a class (default: %(default)s)")
    action.add_argument(
        "--ablation", type=int, default=8, help="variants of each by each way alone, 0 = none (default: %(default)s)"
    )
    action.add_argument("--workers", type=int, default=1, help="processes that make shapes (default: %(default)s)")
    action.add_argument(
        "--cache", type=Path, default=Path("data/coverage"), help="folder of computed clouds (default: %(default)s)"
    )
    action.set_defaults(run=run_coverage)


def training_bodies(options: argparse.Namespace) -> tuple[list[CarMesh], list[CarMesh]]:
    """Training and test bodies. DataError if either is missing."""
    cars = list(tqdm(load_cars(options.meshes, options.glb), desc="loading", unit="car", disable=None))
    train = [c for c in cars if split_of(c.name) == "train"]
    tests = [c for c in cars if split_of(c.name) == "test"]
    if not train or not tests:
        raise DataError("there are no training bodies or no test bodies; run: python -m training meshes fetch")
    return train, tests


def run_sheet(options: argparse.Namespace) -> int:
    """One row a body: the original, then its variants; then one row a class of parametric bodies."""
    if min(options.bodies, options.variants, options.parametric) < 0 or options.size < 64:
        raise SettingsError("counts cannot be negative and --size cannot be below 64; leave them out for the defaults")
    # Imported late: the help of all commands need not wait for them.
    from training.benchmark.sheet import save
    from training.meshes.sheet import contact_sheet
    from training.shapes.augment import vary
    from training.shapes.parametric import parametric_car

    train, _ = training_bodies(options)
    step = max(len(train) // max(options.bodies, 1), 1)
    cells = []
    for index, mesh in enumerate(tqdm(train[::step][: options.bodies], desc="variants", unit="body", disable=None)):
        cells.append(mesh)
        for k in range(options.variants):
            varied, recipe = vary(mesh, train, np.random.default_rng([options.seed, index, k]))
            donor = recipe.get("swap", {}).get("donor")
            cells.append(replace(varied, name=f"+ {donor}" if donor else f"variant {k}"))
    for body_class in CLASSES:
        for k in range(min(options.parametric, options.variants + 1)):
            cells.append(parametric_car(body_class, options.seed + k))
    if not cells:
        raise SettingsError("nothing to show; give --bodies or --parametric of 1 or more")
    save(contact_sheet(cells, options.variants + 1, options.size), options.out)
    print(f"{options.out}: {len(cells)} cars")
    return 0


def run_coverage(options: argparse.Namespace) -> int:
    """Make the shapes, find the nearest to each test body, write the report and print its first table."""
    if min(options.variants, options.parametric, options.ablation) < 0 or options.workers < 1:
        raise SettingsError("counts cannot be negative nor --workers below 1; leave them out for the defaults")
    from training.benchmark.store import Store
    from training.shapes import coverage, report

    train, tests = training_bodies(options)
    store = Store(options.cache)
    wanted = coverage.orders(train, options.variants, options.parametric, options.ablation, CLASSES, options.seed)
    bodies = coverage.bodies_of(tests, store)
    shapes = coverage.shapes_of(train, wanted, store, options.workers)
    result = coverage.coverage(coverage.Table(shapes, bodies, store))
    result["floors"] = coverage.floors(tests, bodies, store)
    result["settings"] = {
        key: getattr(options, key) for key in ("seed", "variants", "parametric", "ablation")
    } | {"training bodies": len(train)}
    for path in report.write(result, options.out):
        print(path)
    print(report.markdown(result))
    return 0
