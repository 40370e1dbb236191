"""``python -m training classify``."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.errors import SettingsError
from training.meshes.options import add_mesh_flags

ABOUT = """Tell photos of similar cars apart, with the predicted shape as an input and without: does 3-D help? Frozen
features and a small classifier (logistic regression), trained and tested on the split that comes with the photos, and
their boxes; its settings are chosen on the training photos alone. Nothing is downloaded: python -m training datasets
list says where to get BMW-10 and Stanford Cars. stand-in renders photos in the layout of BMW-10 first."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the ``classify`` command."""
    parser = subparsers.add_parser(
        "classify", help="tell similar cars apart, with the predicted shape and without", description=ABOUT,
        epilog="example: python -m training classify --data bmw10:data/bmw10 --out out/bmw10",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--data", required=True, metavar="WHAT",
        help="bmw10:DIR, stanford-cars:DIR, tree:DIR (a folder for each class), or stand-in",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for results, pictures and features")
    parser.add_argument(
        "--features", default="all", metavar="LIST",
        help='with commas, for example "plain, plain + shape" (default: %(default)s, which an unknown name lists)',
    )  # fmt: skip
    parser.add_argument("--bundle", default="morphable", help="whose network predicts the shape (default: %(default)s)")
    parser.add_argument(
        "--split-only", action="store_true", help="leave out fewer training photos, viewpoints and ends of the car"
    )
    parser.add_argument("--seed", type=int, default=0, help="of draws, and of a split where none comes along (0)")
    parser.add_argument(
        "--kind", default="unseen", metavar="NAME",
        help="of stand-in: unseen (bodies held out of the training), generations (ten variants of one of these) or "
        "seen (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--photos", type=int, metavar="N", help="of stand-in: photos of each class (40)")
    add_mesh_flags(parser, "--meshes")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Read or render the photos, compare, print and write."""
    if options.seed < 0 or (options.photos is not None and options.photos < 4):
        raise SettingsError("--seed must be 0 or more, and --photos 4 or more (half are for training)")
    # Imported late: the help of all commands must not need PyTorch.
    import torch

    from edge.bundle import load_bundle
    from training.classify import report
    from training.classify.features import features_of
    from training.classify.photos import counts, open_examples
    from training.classify.run import Task, known_arms
    from training.classify.run import run as compared

    # Sums of floats in another order would be other floats.
    torch.set_num_threads(1)
    arms, bundle, data = known_arms(options.features), load_bundle(options.bundle), options.data
    if data == "stand-in":
        data = f"bmw10:{_rendered(options)}"
    examples = open_examples(data, options.seed)
    print(counts(examples), flush=True)
    features = features_of(examples, bundle, options.out / "features.npz")
    task = Task(examples, features, arms)
    notes = [*examples.notes]
    unread = len(examples.names) - len(task.train) - len(task.test)
    if unread:
        notes.append(f"{unread} photos that cannot be read left out")
    about = {"data": options.data if data == options.data else f"stand-in {options.kind}", "bundle": options.bundle}
    results = {**about, "counts": counts(examples), "notes": notes, **compared(task, not options.split_only)}
    results["test_photos"] = [examples.names[row] for row in task.test]
    paths = report.write(results, options.out)
    print(report.as_text(results))
    print(f"wrote {', '.join(str(path) for path in paths)}")
    return 0


def _rendered(options: argparse.Namespace) -> Path:
    from training.classify.standin import PHOTOS, render

    photos = PHOTOS if options.photos is None else options.photos
    return render(options.kind, options.out / "photos", options.meshes, options.glb, photos, options.seed)
