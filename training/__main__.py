"""``python -m training COMMAND``: meshes, shapes, data, clip, train, curve, benchmark, sheet, compare, follow, find,
masks, silhouette, unlabelled, unlabelled-trial, classify, datasets, photoset, answers."""

from __future__ import annotations

import argparse
import importlib
import sys

from edge.errors import CarcloudError

#: Each module registers one or more commands with ``register(subparsers)`` and ``set_defaults(run=function)``.
COMMANDS = (
    "training.meshes.cli",
    "training.shapes.cli",
    "training.data.cli",
    "training.render.cli",
    "training.cli",
    "training.benchmark.cli",
    "training.compare.cli",
    "training.wild.cli",
    "training.silhouette.cli",
    "training.unlabelled.cli",
    "training.datasets.cli",
    "training.classify.cli",
    "training.answers.cli",
)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, run the command, turn a CarcloudError into one sentence and an exit code."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        importlib.import_module(name).register(subparsers)
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except CarcloudError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
