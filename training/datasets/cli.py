"""``python -m training datasets``: list, check and show the public data sets that a user has on disk."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from edge.errors import SettingsError
from training.datasets import photoset
from training.datasets.base import SPLITS, Contents, DataSet
from training.datasets.registry import DATASETS, dataset

#: Missing files named one by one.
MOST_NAMED = 8


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the commands ``datasets`` and ``photoset``."""
    photoset.register(subparsers)
    parser = subparsers.add_parser(
        "datasets", help="list, check and show public data sets on your disk", description=__doc__
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    action = actions.add_parser("list", help="what is known: name, licence, gate, where to get it, layout")
    action.set_defaults(run=run_list)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("name", help=f"one of {', '.join(DATASETS)}")
    common.add_argument("folder", type=Path, help="the unpacked data set")
    action = actions.add_parser("check", parents=[common], help="count what is in a folder and name what is missing")
    action.set_defaults(run=run_check)
    action = actions.add_parser("show", parents=[common], help="contact sheet with boxes, viewpoints and meshes")
    action.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="where to write the picture")
    action.add_argument("--items", type=int, default=24, help="photos, and renderings, at most (default: %(default)s)")
    action.add_argument("--seed", type=int, default=0, help="which ones (default: %(default)s)")
    action.set_defaults(run=run_show)


def run_list(options: argparse.Namespace) -> int:
    """A paragraph a data set."""
    for entry in DATASETS.values():
        print(f"{entry.name}{'  (gated: registration)' if entry.gated else ''}")
        rows = [("what", entry.about), ("licence", entry.licence), ("where", entry.where)]
        rows += [("folder", line) for line in entry.layout] + [("checked", entry.verified)]
        for index, (word, text) in enumerate(rows):
            repeated = index > 0 and rows[index - 1][0] == word
            label = f"  {'' if repeated else word:9}"
            print(textwrap.fill(text, 118, initial_indent=label, subsequent_indent=" " * 11, break_long_words=False,
                                break_on_hyphens=False))
        print()
    print("Nothing is downloaded: get a set from its page, unpack it, then type: python -m training datasets check "
          "NAME FOLDER")
    return 0


def run_check(options: argparse.Namespace) -> int:
    """What is there; exit code 1 if something is missing or nothing is there."""
    entry = dataset(options.name)
    contents = entry.opener(options.folder)
    print(f"{entry.name} in {contents.root}")
    print(f"licence: {entry.licence}")
    return report(entry, contents)


def report(entry: DataSet, contents: Contents) -> int:
    """Print counts, notes and what is missing."""
    counts = contents.counts()
    if counts:
        used = [s for s in SPLITS if any(s in row for row in counts.values())]
        print("".join([f"{'':13}", *(f"{s:>12}" for s in used), f"{'all':>12}"]))
        for kind, row in counts.items():
            numbers = [row.get(s, 0) for s in used]
            print("".join([f"{kind:13}", *(f"{n:12,}" for n in numbers), f"{sum(numbers):12,}"]))
    else:
        print("nothing usable was found")
    for note in contents.notes:
        print(f"note: {note}")
    if not contents.missing:
        print("nothing is missing" if counts else f"{entry.source()}")
        return 0 if counts else 1
    print(f"{len(contents.missing):,} missing:")
    for name in contents.missing[:MOST_NAMED]:
        print(f"  {name}")
    if len(contents.missing) > MOST_NAMED:
        print(f"  and {len(contents.missing) - MOST_NAMED:,} more")
    print(entry.source())
    return 1


def run_show(options: argparse.Namespace) -> int:
    """Write the contact sheet."""
    if options.items < 1 or options.seed < 0:
        raise SettingsError("--items must be at least 1 and --seed at least 0")
    if not options.out.resolve().parent.is_dir():
        raise SettingsError(f"the folder of {options.out} does not exist; make it first or give another --out")
    contents = dataset(options.name).opener(options.folder)
    # Imported late: the help of all commands must not need Open3D.
    from training.datasets.sheet import contact_sheet

    image = contact_sheet(contents, options.items, seed=options.seed)
    try:
        image.save(options.out)
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot write {options.out} ({error}); give a writable name that ends in .png") from error
    print(f"wrote {options.out}")
    return 0
