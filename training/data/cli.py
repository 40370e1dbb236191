"""``python -m training data``: make the shards, check them, or draw a contact sheet of them."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from edge.errors import DataError
from training.data.plan import ShardSettings
from training.meshes.options import add_mesh_flags

#: Flags with the least and the largest value that make sense.
RANGES = {
    "pictures": (1, 10_000), "variants": (0, 10_000), "parametric": (0, 9_000), "parametric_validation": (0, 1_000),
    "novel": (0, 10_000), "size": (16, 1024), "seed": (0, 2**31), "workers": (1, 256),
}


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the ``data`` command."""
    default = ShardSettings()
    parser = subparsers.add_parser(
        "data", help="render the training pictures, depth maps and clouds into shards",
        description="Render every car into shards (one WebDataset tar per shape) that train without re-rendering. "
        "Interrupt it at will: run again, it goes on where it stopped.",
    )
    parser.add_argument("--out", type=Path, default=Path("data/shards"), help="folder of the shards (%(default)s)")
    add_mesh_flags(parser, "--meshes")
    parser.add_argument("--only-glb", action="store_true", help="only the cars of the --glb folders: for a first try")
    parser.add_argument("--pictures", type=int, default=default.pictures, help="pictures per shape (%(default)s)")
    parser.add_argument("--variants", type=int, default=default.variants,
                        help="deformed variants per training body, besides the original (%(default)s)")
    parser.add_argument("--parametric", type=int, default=default.parametric,
                        help="parametric training cars per body class (%(default)s)")
    parser.add_argument("--parametric-validation", type=int, default=default.parametric_validation,
                        help="parametric cars per body class held out for validation (%(default)s)")
    parser.add_argument("--novel", type=int, default=default.novel, help="random depth views per shape (%(default)s)")
    parser.add_argument("--size", type=int, default=default.size, help="side of the pictures, pixels (%(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of everything drawn (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--sheet", type=Path, metavar="FILE.png",
                       help="make no shards, but a contact sheet of random pictures and labels of those in --out")
    other.add_argument("--check", action="store_true",
                       help="make no shards, but verify the checksums of those in --out")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make shards, check them, or draw the sheet. Exit code 8 if any is bad or was left out."""
    if options.check:
        return _check(options.out)
    if options.sheet:
        from training.data.sheet import write_sheet

        write_sheet(options.out, options.sheet, seed=options.seed)
        print(f"wrote {options.sheet}")
        return 0
    for name, (least, most) in RANGES.items():
        if not least <= getattr(options, name) <= most:
            flag = name.replace("_", "-")
            raise DataError(f"--{flag} is {getattr(options, name)}; give {least} to {most}")
    return _make(options)


def _make(options: argparse.Namespace) -> int:
    # Imported late: the help of all commands must not need Open3D and OpenGL.
    from training.data.check import unlisted
    from training.data.generate import generate
    from training.meshes.library import load_cars

    if options.only_glb and not options.glb:
        raise DataError("--only-glb leaves nothing without a --glb; give the folder of your cars: --glb FOLDER")
    cars = load_cars(options.meshes, options.glb, options.only_glb)
    settings = ShardSettings(
        options.pictures, options.variants, options.parametric, options.parametric_validation, options.novel,
        options.size, options.seed,
    )
    outcome = generate(options.out, cars, settings, options.workers)
    counts = Counter(f"{e['split']} {'real' if e['real'] else 'parametric'}" for e in outcome.entries)
    size = sum(entry["bytes"] for entry in outcome.entries) / 1e9
    print(f"{len(outcome.entries)} shards in {options.out}, {size:.2f} GB: " + ", ".join(
        f"{count} {kind}" for kind, count in sorted(counts.items())))
    if outcome.made:
        stages = ", ".join(f"{stage} {spent / outcome.made:.2f}" for stage, spent in outcome.seconds.items())
        print(f"{outcome.made} made now; seconds of one process per shape: {stages}")
    if spare := unlisted(options.out):
        print(f"{len(spare)} tars there are of other settings and not listed, such as {spare[0].name}; delete them")
    for name, problem in sorted(outcome.left_out.items()):
        print(f"left out: {name}: {problem}")
    return DataError.exit_code if outcome.left_out else 0


def _check(root: Path) -> int:
    from training.data.check import check_shards, unlisted
    from training.data.shards import read_index

    problems = check_shards(root)
    for problem in problems:
        print(problem)
    count = len(read_index(root)["shards"])
    print(f"{count} shards listed in {root}, {len(unlisted(root))} tars not listed, {len(problems)} problems")
    return DataError.exit_code if problems else 0
