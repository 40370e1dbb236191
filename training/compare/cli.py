"""``compare``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge.errors import SettingsError
from training.compare.runs import BATCH
from training.meshes.options import add_mesh_flags

DESCRIPTION = """Train every representation (maps, voxels, mesh, points, morphable, and Lin 2018 as published) for the
same wall clock (or number of pictures), and the flagship with one thing changed at a time; score all of them on the
test bodies and draw it. Each run has its own folder in --out. What is finished is not repeated and what was killed
goes on: type the same again. Writes compare.json, compare.md and plots as PNG."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "compare",
        help="train and score all representations and ablations alike",
        description=DESCRIPTION,
        epilog="example: python -m training compare --data data/shards --out runs/compare --minutes 8 --only maps,size",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=Path("data/shards"), help="shards (default: %(default)s)")
    parser.add_argument(
        "--data-large", type=Path, metavar="DIR",
        help="shards of the same shapes with pictures of 256 pixels, for image sizes that --data cannot serve",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("runs/compare"), help="results (default: %(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=8.0, metavar="M", help="training time of each run (default: %(default)g)"
    )
    parser.add_argument(
        "--samples", type=int, default=0, metavar="N",
        help="pictures that each run sees, in place of --minutes: for a machine that has more to do, or a GPU",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, default=BATCH, metavar="N",
        help="pictures in a step, but of Lin 2018 as published (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--only", default="", metavar="NAME,...", help="runs or groups: representations, ablations, size, loss, "
        "pictures, data (default: all; --list shows them)"
    )  # fmt: skip
    parser.add_argument("--list", action="store_true", help="say what would be trained, and stop")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of training (default: all cores)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="other processes (default: %(default)s)")
    parser.add_argument("--views", type=int, default=24, help="views of each test body (default: %(default)s)")
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/benchmark-cache"),
        help="what the benchmark has made is kept here (default: %(default)s)",
    )  # fmt: skip
    add_mesh_flags(parser, "--meshes")
    parser.set_defaults(run=run_compare)


def run_compare(options: argparse.Namespace) -> int:
    """Train, score, write, print the tables."""
    least = (("--views", options.views, 1), ("--workers", options.workers, 1), ("--batch", options.batch, 2),
             ("--samples", options.samples, 0))  # fmt: skip
    for flag, value, lowest in least:
        if value < lowest:
            raise SettingsError(f"{flag} is {value}; give {lowest} or more")
    if not options.minutes > 0:
        raise SettingsError(f"--minutes is {options.minutes:g}; every run needs some time, such as --minutes 8")
    from training.compare.runs import chosen, planned, told
    from training.data.shards import read_index

    large = None if options.data_large is None else read_index(options.data_large)
    choice = planned(read_index(options.data), large, batch=options.batch)
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    runs = chosen(choice, only)
    for sentence in told(choice.left_out, only):
        say(sentence)
    each = f"{options.samples:,} pictures" if options.samples else f"{options.minutes:g} minutes"
    say(f"{len(runs)} runs of {each}: {', '.join(run.name for run in runs)}")
    if options.list:
        return 0
    from training import distributed
    from training.benchmark.report import markdown_table
    from training.benchmark.run import test_bodies
    from training.compare import report, whole
    from training.compare.scores import Bodies
    from training.compare.trial import Bench, conduct

    # Before hours of training: without test bodies there would be nothing to say at the end.
    test_bodies(options.meshes, options.glb)
    place = distributed.start(options.threads)
    if place.world > 1:
        distributed.stop(place)
        raise SettingsError("compare gives each run one process, so that times compare; start it without torchrun")
    bench = Bench(
        options.data, options.data_large, options.out, options.minutes, place, options.workers, options.samples,
        say=say,
    )
    for run in bench.in_order(runs):
        conduct(run, bench)
    bodies = Bodies(options.meshes, tuple(options.glb), options.cache, options.views, options.workers)
    results = whole.summed_up(choice, bench, bodies)
    for heading, table in report.tables(results):
        print(f"{heading}\n\n{markdown_table(table)}")
    print(f"tables and plots: {options.out / 'compare.md'}; all figures: {options.out / 'compare.json'}")
    return 0


def say(line: str) -> None:
    """To standard error, at once."""
    print(line, file=sys.stderr, flush=True)
