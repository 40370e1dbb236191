"""``python -m training clip``: the demo clip."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.errors import DataError


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the ``clip`` command."""
    parser = subparsers.add_parser(
        "clip", help="render a demo clip of one car", description="Render a clip of a camera that walks round one car, "
        "and beside it a .json with the car's box in every frame.",
    )
    parser.add_argument("--car", required=True, metavar="NAME", help="name of the car, as `training meshes` lists it")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.mp4", help="clip to write")
    parser.add_argument("--meshes", type=Path, default=Path("data/meshes"), metavar="DIR",
                        help="cache of fetched meshes (%(default)s)")
    parser.add_argument("--glb", type=Path, action="append", default=[], metavar="DIR",
                        help="a further folder of GLB cars with a manifest.json; may be given more than once")
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
