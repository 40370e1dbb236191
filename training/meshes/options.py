"""The flags that say which meshes to use, alike in every command."""

from __future__ import annotations

import argparse
from pathlib import Path

DEFAULT_CACHE = Path("data/meshes")


def add_mesh_flags(parser: argparse.ArgumentParser, cache_flag: str = "--cache") -> None:
    """Add the folder of the fetched meshes, ``cache_flag`` (``--cache`` or ``--meshes``), and ``--glb``.

    The namespace gets ``cache`` (or ``meshes``), a Path, and ``glb``, a list of Paths.
    """
    add_cache_flag(parser, cache_flag)
    parser.add_argument(
        "--glb",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="folder with further cars as GLB and a manifest.json (docs/meshes.md); may be given several times",
    )


def add_cache_flag(parser: argparse.ArgumentParser, cache_flag: str = "--cache") -> None:
    """Add only the folder of the fetched meshes."""
    parser.add_argument(
        cache_flag, type=Path, default=DEFAULT_CACHE, metavar="DIR", help="folder of the meshes (default: %(default)s)"
    )
