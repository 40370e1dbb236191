"""``python -m training photoset``: a rendered set of photos in the layout of BMW-10 or Stanford Cars."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.errors import SettingsError
from training.meshes.options import add_mesh_flags


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the ``photoset`` command."""
    parser = subparsers.add_parser(
        "photoset", help="render photos of several bodies in the layout of BMW-10 or Stanford Cars",
        description="Render photos of several bodies, each a class, in a published layout with its annotation files, "
        "and truth.json beside them: body, camera and box of each photo. Bodies held out from training come first.",
    )
    parser.add_argument("--layout", choices=("bmw10", "stanford-cars"), default="bmw10", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder to fill")
    parser.add_argument("--classes", type=int, default=10, help="bodies (default: %(default)s)")
    parser.add_argument("--photos", type=int, default=50, help="photos of each body (default: %(default)s)")
    parser.add_argument("--size", default="500x376", metavar="WxH", help="of a photo, pixels (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all that is random (default: %(default)s)")
    parser.add_argument(
        "--parametric", metavar="CLASS", help="made-up bodies of one class, e.g. sedan, instead of meshes"
    )
    add_mesh_flags(parser, "--meshes")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Render the set."""
    if not 1 <= options.classes <= 1000 or not 2 <= options.photos <= 10000 or options.seed < 0:
        raise SettingsError("--classes is 1 to 1000, --photos 2 to 10000 (half are for training), --seed 0 or more")
    # Imported late: the help of all commands must not need OpenGL.
    from training.datasets.rendered import Plan, held_out_first, of_class, write_photoset
    from training.render.cli import parse_size

    size = parse_size(options.size.lower())
    if options.parametric is not None:
        bodies = of_class(options.parametric, options.classes, options.seed)
    else:
        bodies = held_out_first(options.meshes, options.glb, options.classes)
    truth = write_photoset(options.out, bodies, Plan(options.layout, options.photos, size, options.seed))
    for row in truth["classes"]:
        print(f"class {row['class']}: {row['body']} ({row['split']} side; {row['licence']}, {row['attribution']})")
    print(f"wrote {len(truth['photos'])} photos of {len(bodies)} bodies to {options.out}")
    print(f"look: python -m training datasets show {options.layout} {options.out} --out sheet.png")
    return 0
