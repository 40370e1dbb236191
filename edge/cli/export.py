"""``carcloud export``: a log to files that other programs read."""

import argparse
import os
import sys
from typing import Any, Callable, List, Tuple

from edge.cli.progress import Progress
from edge.cli.reconstruct import FRAME, UNITS, prepare_folder
from edge.client.log import CLOUD, Entry, LogReader
from edge.errors import LogError, SettingsError, WireError
from edge.geometry import Cloud

#: One file for each cloud, and one for the whole log.
CLOUD_FORMATS, LOG_FORMATS = ("ply", "pcd", "glb", "obj"), ("mcap", "rrd")

DESCRIPTION = """Write the clouds of a log of carcloud record for other programs: a folder with a file for each cloud
(ply, pcd; glb and obj, which are meshes and take seconds each), or one file with all clouds and pictures (mcap, for
Foxglove; rrd, for Rerun)."""

EPILOG = """examples:
  carcloud export drive.cclog --format ply --out clouds/ --every 10
  carcloud export drive.cclog --format glb --out car/ --last
  carcloud export drive.cclog --format mcap --out drive.mcap
"""


def register(subparsers: Any) -> None:
    """Add the ``export`` command."""
    parser = subparsers.add_parser(
        "export", help="a recorded log to PLY, PCD, meshes, MCAP for Foxglove, or Rerun", description=DESCRIPTION,
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", metavar="LOG", help="a log of carcloud record")
    parser.add_argument("--format", choices=CLOUD_FORMATS + LOG_FORMATS, default="ply", help="(default: %(default)s)")
    parser.add_argument("--out", metavar="PATH", required=True, help="folder for the clouds, made if missing; a file "
                                                                     "for mcap and rrd")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th cloud only (default: %(default)s)")
    parser.add_argument("--last", action="store_true", help="the last cloud only: of an averaged car the best one")
    parser.add_argument("--overwrite", action="store_true", help="replace files of an earlier run")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Export; returns 0, or 1 if a damaged cloud was left out."""
    if options.every < 1:
        raise SettingsError("--every is %d; give 1 or more" % options.every)
    if options.last and options.format in LOG_FORMATS:
        raise SettingsError("--last is for formats with a file for each cloud, not for %s" % options.format)
    with LogReader(options.log) as log:
        for sentence in log.warnings:
            print("warning: %s" % sentence, file=sys.stderr)
        if not log.of_kind(CLOUD):
            raise LogError("%s holds no cloud; record again while the server sees a car" % log.path)
        if options.format in LOG_FORMATS:
            return _export_log(log, options)
        return _export_clouds(log, options)


def chosen(log: LogReader, every: int, last: bool) -> List[Tuple[int, Entry]]:
    """The clouds to export, each with its number in the log, from 1."""
    clouds = list(enumerate(log.of_kind(CLOUD), 1))
    return clouds[-1:] if last else clouds[::every]


def _export_clouds(log: LogReader, options: argparse.Namespace) -> int:
    clouds = chosen(log, options.every, options.last)
    names = ["cloud-%06d.%s" % (number, options.format) for number, _ in clouds]
    prepare_folder(options.out, names, options.overwrite)
    write, progress, failed = writer_of(options.format), Progress(len(clouds), "export"), 0
    for count, ((number, entry), name) in enumerate(zip(clouds, names), 1):
        try:
            _write(write, os.path.join(options.out, name), decoded(log, entry), entry)
        except (LogError, WireError) as error:
            failed += 1
            progress.say("left out cloud %d: %s" % (number, error))
        progress.update(count)
    progress.close()
    left_out = ", %d damaged and left out" % failed if failed else ""
    print("%d clouds in %s%s" % (len(clouds) - failed, options.out, left_out))
    return 1 if failed else 0


def _write(write: Callable[[str, Cloud, Tuple[str, ...]], None], path: str, cloud: Cloud, entry: Entry) -> None:
    try:
        write(path, cloud, ("frame %s" % FRAME, "units %s" % UNITS, "recorded at %.3f s" % (entry.time_us / 1e6)))
    except OSError as error:
        raise SettingsError("cannot write %s: %s; give another --out" % (path, error.strerror))


def _export_log(log: LogReader, options: argparse.Namespace) -> int:
    if options.format == "mcap":
        from edge.client.foxglove import write_mcap as write
    else:
        from edge.client.rerunfile import write_rrd as write

    folder, name = os.path.split(os.path.abspath(options.out))
    prepare_folder(folder, [name], options.overwrite)
    damaged: List[str] = []
    try:
        clouds = write(log, options.out, options.every, damaged.append)
    except OSError as error:
        raise SettingsError("cannot write %s: %s; give another --out" % (options.out, error.strerror))
    for sentence in damaged:
        print("left out: %s" % sentence, file=sys.stderr)
    print("%d clouds in %s" % (clouds, options.out))
    return 1 if damaged else 0


def decoded(log: LogReader, entry: Entry) -> Cloud:
    """The cloud of a record. Raises LogError or WireError if it is damaged."""
    from edge import wire

    return wire.decode(log.body(entry)).cloud


def writer_of(extension: str) -> Callable[[str, Cloud, Tuple[str, ...]], None]:
    """What writes a cloud under a path in the format of an extension; the third argument are notes for its header."""
    if extension == "ply":
        from edge.ply import write_ply

        return write_ply
    if extension == "pcd":
        from edge.client.pcd import write_pcd

        return lambda path, cloud, notes: write_pcd(path, cloud)
    from edge.client.meshfiles import write_mesh
    from edge.client.meshing import make_mesh

    return lambda path, cloud, notes: write_mesh(path, make_mesh(cloud))
