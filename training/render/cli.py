"""``python -m training clip`` and ``pictures``: the demo clip, and a sheet of random training pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.errors import DataError
from training.meshes.options import add_mesh_flags


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the commands ``clip`` and ``pictures``."""
    _register_clip(subparsers)
    _register_pictures(subparsers)


def _register_pictures(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "pictures", help="show random training pictures, or how fast they are made",
        description="Write a sheet of random pictures of the training bodies, with real photos beside them if given; "
        "or, with --rate, measure how many pictures a minute this machine makes with all labels.",
    )
    parser.add_argument("--out", type=Path, metavar="SHEET.png", help="sheet to write")
    parser.add_argument("--count", type=int, default=64, help="pictures on the sheet (%(default)s)")
    parser.add_argument("--size", dest="side", type=int, default=128, help="side of a picture in pixels (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of cars, views and scenes (%(default)s)")
    parser.add_argument("--photos", type=Path, metavar="DIR", help="folder of real photos to put beside them")
    parser.add_argument("--boxes", type=Path, metavar="FILE",
                        help='JSON {"car.jpg": [x, y, width, height]}: the photos to show, and the car in each')
    parser.add_argument("--rate", action="store_true", help="measure and print pictures a minute")
    parser.add_argument("--workers", type=int, default=2, help="processes for --rate (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure (%(default)s)")
    add_mesh_flags(parser, "--meshes")
    parser.set_defaults(run=run_pictures)


def _register_clip(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser(
        "clip", help="render a demo clip of one car", description="Render a clip of a camera that walks round one car, "
        "and beside it a .json with the car's box in every frame.",
    )
    parser.add_argument("--car", required=True, metavar="NAME", help="name of the car, as `training meshes` lists it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4", help="clip to write")
    add_mesh_flags(parser, "--meshes")
    parser.add_argument("--seconds", type=float, default=8.0, help="length (%(default)s)")
    parser.add_argument("--fps", type=float, default=15.0, help="frames a second (%(default)s)")
    parser.add_argument("--size", default="640x360", metavar="WxH", help="picture size in pixels (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of paint, scene and start (%(default)s)")
    parser.set_defaults(run=run)


def parse_size(text: str) -> tuple[int, int]:
    """``640x360`` to (640, 360); both even and 64..4096, as the encoder wants them. Raises DataError."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise DataError(f"--size {text!r} is not a picture size; write it like 640x360")
    size = int(width), int(height)
    if any(side % 2 or not 64 <= side <= 4096 for side in size):
        raise DataError(f"--size {text}: both sides must be even and between 64 and 4096, for example 640x360")
    return size


def run(options: argparse.Namespace) -> int:
    """Render the clip."""
    size = parse_size(options.size)
    if not 0 < options.seconds <= 600 or not 1 <= options.fps <= 60:
        raise DataError("a clip lasts up to 600 seconds at 1 to 60 frames a second, for example --seconds 8 --fps 15")
    if options.seed < 0:
        raise DataError(f"--seed is {options.seed}; give 0 or more")
    # Imported late: the help of all commands must not need OpenGL.
    from training.meshes.library import load_cars
    from training.render.clip import ClipSettings, write_clip

    cars = {mesh.name: mesh for mesh in load_cars(options.meshes, options.glb)}
    if options.car not in cars:
        raise DataError(f"there is no car {options.car!r}; choose one of: {', '.join(sorted(cars))}")
    sidecar = write_clip(cars[options.car], options.out, ClipSettings(options.seconds, options.fps, size, options.seed))
    megabytes = options.out.stat().st_size / 1e6
    print(f"wrote {options.out} ({len(sidecar['boxes'])} frames, {megabytes:.2f} MB) and its .json")
    print(f"mesh: {sidecar['attribution']} ({sidecar['licence']})")
    return 0


def run_pictures(options: argparse.Namespace) -> int:
    """Write the sheet, print the rate, or both."""
    if options.out is None and not options.rate:
        raise DataError("nothing to do: give --out SHEET.png for a sheet, or --rate to measure")
    if not 16 <= options.side <= 1024 or not 1 <= options.count <= 1024 or options.seed < 0:
        raise DataError("pictures have 16 to 1024 pixels a side, a sheet 1 to 1024 of them, and a seed is 0 or more")
    if not 1 <= options.workers <= 64 or not 0 < options.seconds <= 600:
        raise DataError("the rate is measured with 1 to 64 workers for up to 600 seconds")
    # Imported late: the help of all commands must not need OpenGL.
    from training.benchmark.cards import read_boxes
    from training.meshes.library import load_cars, split_of
    from training.render.gallery import photo_crops, random_pictures, rates, write_sheet

    photos = photo_crops(options.photos, read_boxes(options.boxes), options.side) if options.photos else []
    meshes = [mesh for mesh in load_cars(options.meshes, options.glb) if split_of(mesh.name) == "train"]
    if options.out is not None:
        made = random_pictures(meshes, options.count, options.side, options.seed)
        write_sheet(options.out, [picture.rgb for picture in made], photos)
        print(f"wrote {options.out} ({len(made)} pictures of {len(meshes)} bodies, {len(photos)} photos)")
    if options.rate:
        for workers in sorted({1, options.workers}):
            found = rates(meshes, workers, options.seconds, options.side)
            each = sum(busy for _, _, busy in found) / sum(made for made, _, _ in found)
            rate = sum(made / wall for made, wall, _ in found) * 60
            cost = f"{1000 * each:.0f} ms of processor time a picture"
            print(f"{workers} process(es): {rate:.0f} pictures/minute, {cost}")
    return 0
