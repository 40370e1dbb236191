"""``python -m training benchmark`` and ``python -m training sheet``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.bundle import DEFAULT, PRECISIONS, load_bundle
from edge.errors import SettingsError
from training.benchmark import protocol
from training.benchmark.plan import ROWS
from training.meshes.options import add_mesh_flags

BENCHMARK = """Score networks, clouds of another program, and controls on the test bodies: CarPC-1 (docs/benchmark.md).
Writes report.html, results.md, results.json (the same on every run) and timings.json. What was computed is kept in
--cache, so a second run is quick and one that was cut off goes on. Without --bundle, --onnx, --network or --clouds
every shipped bundle is scored; lin2018 is always among the rows. The first network is compared with all others."""
EXAMPLES = """examples:
  python -m training benchmark --workers 2
  python -m training benchmark --bundle runs/mine/bundle --onnx other.onnx --out runs/compare
  python -m training benchmark --bundle edge/bundles/morphable --precision fp32,int8 --rows network
  python -m training benchmark --network lin2018 --checkpoint runs/lin2018/last.pt
  python -m training benchmark --export-pictures pictures/      then, with clouds made of them:
  python -m training benchmark --clouds clouds/                 clouds/BODY/CONDITION/VIEW.ply, .npy, .npz or .xyz"""
SHEET = """Draw a contact sheet: each picture beside the predicted cloud from the side, the front and the top.
Test renders carry their score; a photo is taken to show nothing but its car unless --boxes says where the car is."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    bench = subparsers.add_parser(
        "benchmark",
        help="score networks, clouds and the controls on the test bodies",
        description=BENCHMARK,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _subjects(bench)
    bench.add_argument("--out", type=Path, default=Path("runs/benchmark"), help="results folder (default: %(default)s)")
    bench.add_argument("--rows", default="all", help="comma list out of: " + ", ".join(ROWS) + " (default: all)")
    bench.add_argument(
        "--conditions",
        default=",".join(protocol.CONDITIONS),
        help="comma list of picture conditions (default: %(default)s)",
    )
    bench.add_argument("--views", type=int, default=protocol.VIEWS, help="views a body (default: %(default)s)")
    bench.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes; changes no figure (default: %(default)s)"
    )
    bench.set_defaults(run=run_benchmark)

    sheet = subparsers.add_parser(
        "sheet",
        help="contact sheet: pictures beside their clouds",
        description=SHEET,
        epilog="example: python -m training sheet --out runs/sheet.png --photos my-photos/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sheet.add_argument("--bundle", default=DEFAULT, metavar="NAME|DIR", help="bundle to use (default: %(default)s)")
    sheet.add_argument("--out", type=Path, required=True, help="PNG to write")
    sheet.add_argument("--renders", type=int, default=8, help="how many test renders (default: %(default)s)")
    sheet.add_argument(
        "--conditions",
        default=",".join(protocol.CONDITIONS),
        help="conditions of the renders, in turn (default: %(default)s)",
    )
    sheet.add_argument(
        "--photos", type=Path, nargs="+", default=[], metavar="PATH", help="photos, or folders of photos"
    )
    sheet.add_argument(
        "--max-photos",
        type=int,
        default=8,
        help="of folders take so many, evenly spread; 0 for all (default: %(default)s)",
    )
    sheet.add_argument("--boxes", type=Path, metavar="FILE.json", help='{"car.jpg": [x, y, width, height], ...}')
    sheet.set_defaults(run=run_sheet)
    for parser in (bench, sheet):
        _common(parser)


def _subjects(bench: argparse.ArgumentParser) -> None:
    """Flags that say what is scored."""
    bench.add_argument(
        "--bundle",
        action="append",
        default=[],
        metavar="NAME|DIR",
        help="bundle to score; may be given several times (default: all that ship with the package)",
    )
    bench.add_argument(
        "--precision",
        default="fp32",
        metavar="LIST",
        help="score each --bundle in these: comma list out of " + ", ".join(PRECISIONS) + " (default: %(default)s)",
    )
    bench.add_argument(
        "--onnx",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="ONNX file with the contract of docs/bundle.md, without a manifest; may be given several times",
    )
    bench.add_argument(
        "--network",
        action="append",
        default=[],
        metavar="NAME",
        help="network of the registry, run by PyTorch with the next --checkpoint; may be given several times",
    )
    bench.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.pt",
        help="checkpoint of the --network of the same place (default: runs/NAME/last.pt)",
    )
    bench.add_argument(
        "--clouds",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="clouds of another program: DIR/BODY/CONDITION/VIEW.ply, .npy, .npz or .xyz; may be given several times",
    )
    bench.add_argument(
        "--missing",
        choices=("error", "worst"),
        default="error",
        help="what a missing cloud is: an error, or the worst score (default: %(default)s)",
    )
    bench.add_argument(
        "--export-pictures",
        type=Path,
        metavar="DIR",
        help="only write the benchmark's pictures as PNG, with an index.json, for another program",
    )


def _common(parser: argparse.ArgumentParser) -> None:
    add_mesh_flags(parser, "--meshes")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("runs/benchmark-cache"),
        help="ground truth, pictures and controls are kept here (default: %(default)s)",
    )
    parser.add_argument("--backend", default="auto", help="inference backend (default: %(default)s)")
    parser.add_argument(
        "--max-points",
        type=int,
        default=protocol.CLOUD_POINTS,
        help="largest cloud the product streams (default: %(default)s)",
    )


def run_benchmark(options: argparse.Namespace) -> int:
    """Score, write, print the main table."""
    rows = ROWS if options.rows == "all" else _choice("--rows", options.rows, ROWS)
    conditions = _choice("--conditions", options.conditions, protocol.CONDITIONS)
    precisions = _choice("--precision", options.precision, PRECISIONS)
    if precisions != ("fp32",) and not options.bundle:
        raise SettingsError(f"--precision {options.precision} is of a bundle; say of which, with --bundle NAME|DIR")
    _positive("--views", options.views, 1)
    _positive("--workers", options.workers, 1)
    _positive("--max-points", options.max_points, 0)
    if options.export_pictures:
        return _export(options, conditions)
    from training.benchmark import goals, page, report
    from training.benchmark.run import Plan, run

    plan = Plan(
        bundles=tuple(options.bundle),
        meshes=options.meshes,
        glb=tuple(options.glb),
        cache=options.cache,
        rows=rows,
        conditions=conditions,
        views=options.views,
        backend=options.backend,
        max_points=options.max_points,
        onnx=tuple(options.onnx),
        networks=_checkpoints(options.network, options.checkpoint),
        clouds=tuple(options.clouds),
        worst=options.missing == "worst",
        workers=options.workers,
        precisions=precisions,
    )
    outcome = run(plan, _say)
    report.write(outcome.results, outcome.timings, options.out)
    page.write(outcome, options.out / "report.html", options.workers)
    print(report.markdown_table(report.main_table(outcome.results["rows"])))
    for _, _, tables in goals.sections(outcome.results, outcome.timings):
        print(*(report.markdown_table(table) for table in tables), sep="\n")
    print(f"report with plots and pictures: {options.out / 'report.html'}; all tables: {options.out / 'results.md'}")
    return 0


def _export(options: argparse.Namespace, conditions: tuple[str, ...]) -> int:
    """Write the pictures for another program."""
    from training.benchmark import pictures
    from training.benchmark.run import test_bodies
    from training.benchmark.store import Store

    bodies = test_bodies(options.meshes, options.glb)
    folder = options.export_pictures
    count = pictures.export(bodies, conditions, options.views, Store(options.cache), folder)
    print(f"{count} pictures in {folder}; what is what: {folder / 'index.json'}")
    return 0


def _checkpoints(networks: list[str], checkpoints: list[Path]) -> tuple[tuple[str, Path], ...]:
    """Each --network with its --checkpoint, or with the one ``train`` would have written."""
    if checkpoints and len(checkpoints) != len(networks):
        raise SettingsError(
            f"--network is given {len(networks)} times and --checkpoint {len(checkpoints)} times; "
            "give one --checkpoint for each --network, in the same order"
        )
    paths = checkpoints or [Path("runs") / name / "last.pt" for name in networks]
    return tuple(zip(networks, paths, strict=True))


def run_sheet(options: argparse.Namespace) -> int:
    """Draw the contact sheet."""
    conditions = _choice("--conditions", options.conditions, protocol.CONDITIONS)
    for flag, value in (("--renders", options.renders), ("--max-photos", options.max_photos)):
        _positive(flag, value, 0)
    from edge.runtime.backends import open_backend
    from edge.runtime.reconstructor import Reconstructor
    from training.benchmark import cards as making
    from training.benchmark import sheet
    from training.benchmark.run import test_bodies
    from training.benchmark.store import Store
    from training.benchmark.subjects import reconstruction

    boxes = making.read_boxes(options.boxes)
    paths = making.photo_paths(options.photos, options.max_photos)
    bundle = load_bundle(options.bundle)
    cards = []
    if options.renders:
        bodies = test_bodies(options.meshes, options.glb)
        predict = reconstruction(bundle, options.backend, options.max_points)
        cards += making.render_cards(predict, bodies, options.renders, conditions, Store(options.cache))
    reconstructor = Reconstructor(bundle, open_backend(bundle, options.backend), options.max_points)
    cards += making.photo_cards(reconstructor, paths, boxes, _say)
    if not cards:
        raise making.nothing_to_show()
    sheet.save(sheet.draw_sheet(cards, f"carcloud, network {bundle.name}"), options.out)
    print(f"{len(cards)} pictures on {options.out}")
    return 0


def _choice(flag: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The items of a comma list, in the order of ``known``. SettingsError for unknown ones or none."""
    given = [item.strip() for item in text.split(",") if item.strip()]
    unknown = [item for item in given if item not in known]
    if unknown or not given:
        what = f"does not know {unknown[0]!r}" if unknown else "is empty"
        raise SettingsError(f"{flag} {what}; give a comma list out of: {', '.join(known)}")
    return tuple(item for item in known if item in given)


def _positive(flag: str, value: int, least: int) -> None:
    if value < least:
        raise SettingsError(f"{flag} is {value}; give {least} or more")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
