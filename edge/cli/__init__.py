"""The command line ``carcloud``: a module each command; the only place that joins runtime, server and client."""

import argparse
import importlib
import logging
import os
import sys
from typing import List, Optional, Sequence

import edge
from edge.errors import CarcloudError

#: A command's module is named like it, has ``register(subparsers)`` and sets ``run``, a function of the options.
COMMANDS = ("edge.cli.serve", "edge.cli.reconstruct", "edge.cli.build", "edge.cli.bench", "edge.cli.doctor",
            "edge.cli.record", "edge.cli.replay", "edge.cli.export", "edge.cli.mesh", "edge.cli.view",
            "edge.cli.models", "edge.cli.certificate")

EPILOG = """examples:
  carcloud serve                          the demo clip, live on http://127.0.0.1:8000/
  carcloud reconstruct photos/ --out clouds/
  carcloud models photos/ --out models/   a 3-D model of each, and a gallery to look at them
  carcloud build                          TensorRT engines for this machine
  carcloud bench                          how fast this machine is
  carcloud doctor                         what is missing, and the command that mends it
  carcloud record http://192.168.1.20:8000 --out drive.cclog
  carcloud view http://192.168.1.20:8000 http://192.168.1.21:8000
  carcloud replay drive.cclog             the same page, from the log
  carcloud export drive.cclog --format mcap --out drive.mcap
  carcloud mesh clouds/car.ply --out car.glb
  carcloud certificate --out ~/.carcloud  a key pair for https

carcloud COMMAND --help explains a command.
"""


def build_parser(modules: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser with the commands of the given modules."""
    parser = argparse.ArgumentParser(
        prog="carcloud",
        description="Point a camera at a car, watch its 3-D point cloud.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version="carcloud %s" % edge.__version__)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    subparsers.required = True  # not a parameter of add_subparsers before Python 3.7
    for name in modules:
        importlib.import_module(name).register(subparsers)
    return parser


def main(arguments: Optional[List[str]] = None) -> int:
    """Run a command; a CarcloudError becomes one sentence on stderr and its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        options = build_parser(_wanted(arguments)).parse_args(arguments)
        code = int(options.run(options) or 0)
        sys.stdout.flush()  # here, so that a reader who left is noticed here
        return code
    except CarcloudError as error:
        print("error: %s" % error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) left. Python would complain again at exit when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _wanted(arguments: Sequence[str]) -> Sequence[str]:
    """The module of the command asked for, alone: doctor must start where NumPy or Flask do not."""
    name = "edge.cli.%s" % arguments[0] if arguments else ""
    return (name,) if name in COMMANDS else COMMANDS
