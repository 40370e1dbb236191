"""``python -m training data``: make the shards, or a contact sheet of them."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from edge.errors import DataError
from training.data.shards import ShardSettings


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the ``data`` command."""
    default = ShardSettings()
    parser = subparsers.add_parser(
        "data", help="render the training pictures, depth maps and clouds into shards",
        description="Render every car into shards that train without re-rendering. Interrupt it at will: "
        "run again, it goes on where it stopped.",
    )
    parser.add_argument("--out", type=Path, default=Path("data/shards"), help="folder of the shards (%(default)s)")
    parser.add_argument("--meshes", type=Path, default=Path("data/meshes"), metavar="DIR",
                        help="cache of fetched meshes (%(default)s)")
    parser.add_argument("--glb", type=Path, action="append", default=[], metavar="DIR",
                        help="a further folder of GLB cars with a manifest.json; may be given more than once")
    parser.add_argument("--pictures", type=int, default=default.pictures, help="pictures per shape (%(default)s)")
    parser.add_argument("--variants", type=int, default=default.variants,
                        help="stretched variants per training body, besides the original (%(default)s)")
    parser.add_argument("--novel", type=int, default=default.novel, help="random depth views per shape (%(default)s)")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of everything drawn (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png",
                        help="make no shards, but a contact sheet of random pictures of those in --out")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make shards, or the sheet."""
    if options.sheet:
        from training.data.sheet import write_sheet

        write_sheet(options.out, options.sheet, seed=options.seed)
        print(f"wrote {options.sheet}")
        return 0
    for name, least in (("pictures", 1), ("variants", 0), ("novel", 0), ("seed", 0), ("workers", 1)):
        if getattr(options, name) < least:
            raise DataError(f"--{name} is {getattr(options, name)}; give {least} or more")
    # Imported late: the help of all commands must not need Open3D and OpenGL.
    from training.data.generate import generate
    from training.meshes.library import load_cars

    settings = ShardSettings(options.pictures, options.variants, options.novel, options.seed)
    entries = generate(options.out, load_cars(options.meshes, options.glb), settings, options.workers)
    counts = Counter(entry["split"] for entry in entries)
    size = sum(entry["bytes"] for entry in entries) / 1e9
    print(f"{len(entries)} shards in {options.out}, {size:.2f} GB: " + ", ".join(f"{n} {s}" for s, n in counts.items()))
    return 0
