"""``unlabelled`` and ``unlabelled-trial``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edge.errors import SettingsError

if TYPE_CHECKING:
    from training.unlabelled.guards import Rehearsal
    from training.unlabelled.settings import UnlabelledSettings

UNLABELLED = """Teach a trained flagship on photos of cars whose shape nobody knows: by the silhouettes that the
bundle's network finds, and by what must stay the same when a picture is mirrored, cut otherwise or turned. Guards
keep its cars from drifting; --no-guards leaves them out, which is for experiments. What is written is a checkpoint like
any other. Started again on the same --out folder it resumes. Photos in folders below PHOTOS are taken, too; with
--grouped those of one folder show one car."""
TRIAL = """The experiment with a truth: a flagship learns from rendered pictures of test bodies without their shape,
and is measured on other pictures of them and on other bodies, with guards, without, and with parts of the loss left
out. It must not be shipped after that: it has seen pictures of the test bodies."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    train = subparsers.add_parser(
        "unlabelled", help="fine-tune the flagship on photos without 3-D truth", description=UNLABELLED,
        epilog="example: python -m training unlabelled photos/ --checkpoint runs/morphable/last.pt --out runs/photos "
        "--shards data/shards",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    train.add_argument("photos", type=Path, metavar="PHOTOS", help="folder of photos, also in folders below it")
    train.add_argument("--shards", type=Path, metavar="DIR", help="shards: rendered cars to rehearse, a strong guard")
    train.add_argument(
        "--bundle", default="morphable", help="whose finder and silhouette network look (default: %(default)s)"
    )
    train.add_argument("--no-guards", action="store_true", help="let shapes drift; for experiments")
    _common(train)
    train.set_defaults(run=run_unlabelled)

    trial = subparsers.add_parser(
        "unlabelled-trial", help="the same on rendered photos, measured against the truth", description=TRIAL,
        epilog="example: python -m training unlabelled-trial --shards data/shards --checkpoint runs/morphable/last.pt "
        "--out runs/unlabelled-trial",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    trial.add_argument("--shards", type=Path, required=True, metavar="DIR", help="shards")
    trial.add_argument(
        "--arms", default="guarded,unguarded", metavar="LIST",
        help="guarded, unguarded, grouped, or without-PART for a part of the loss (default: %(default)s)",
    )  # fmt: skip
    trial.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each arm (default: %(default)s)")
    trial.add_argument("--masks", choices=("network", "truth"), default="network", help="default: %(default)s")
    trial.add_argument(
        "--split", choices=("test", "validation"), default="test",
        help="whose bodies are photographed; those of the other are measured, too (default: %(default)s)",
    )  # fmt: skip
    trial.add_argument("--bundle", default="morphable", help="whose silhouette network (default: %(default)s)")
    _common(trial)
    trial.set_defaults(run=run_trial)


def _common(parser: argparse.ArgumentParser) -> None:
    from training.unlabelled.settings import UnlabelledSettings

    usual = UnlabelledSettings()
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE", help="last.pt of a flagship")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="run folder")
    parser.add_argument("--steps", type=int, default=usual.steps, metavar="N", help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=usual.photos, metavar="N", help="photos a step (%(default)s)")
    parser.add_argument("--learning-rate", type=float, default=usual.learning_rate, help="default: %(default)g")
    parser.add_argument("--validate-every", type=int, default=usual.validate_every, metavar="N", help="%(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: %(default)s)")
    parser.add_argument("--grouped", action="store_true", help="photos of one folder show one and the same car")
    parser.add_argument("--without", default="", metavar="LIST", help="parts of the loss to leave out")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")


def _settings(options: argparse.Namespace, guards: bool = True) -> UnlabelledSettings:
    from training.unlabelled.settings import UnlabelledSettings

    without = tuple(name.strip() for name in options.without.split(",") if name.strip())
    return UnlabelledSettings(
        steps=options.steps, photos=options.batch, learning_rate=options.learning_rate, seed=options.seed,
        guards=guards, grouped=options.grouped, without=without, validate_every=options.validate_every,
    )  # fmt: skip


def run_unlabelled(options: argparse.Namespace) -> int:
    """Read photos, train, draw what came of it."""
    import torch

    from edge.bundle import load_bundle
    from training.record import command_line
    from training.unlabelled import guards, report
    from training.unlabelled.photos import photo_names, read_photos
    from training.unlabelled.run import Unlabelled, flagship, split

    settings = _settings(options, not options.no_guards)
    torch.set_num_threads(max(1, options.threads))
    photo_names(options.photos)  # a wrong folder is told of before anything is read
    network, state = flagship(options.checkpoint)
    photos, skipped = read_photos(options.photos, load_bundle(options.bundle), options.threads)
    teaching, kept = split(photos)
    rehearsal: tuple[Rehearsal, Rehearsal] | None = None
    if options.shards is not None:
        rehearsal = guards.rehearsal_of(options.shards, network, state["training_average"])
    elif settings.guards:
        print("without --shards nothing is rehearsed: the guards are prior and anchor only", flush=True)
    run = Unlabelled(settings, network, state, teaching, kept, rehearsal, options.out, command_line())
    resumed = run.resume()
    print(
        f"{len(teaching)} photos teach, {len(kept)} are kept for judging, {len(skipped)} left out; "
        f"{'resuming at' if resumed else 'starting'} step {run.step} of {settings.steps}",
        flush=True,
    )
    for line in skipped:
        print(f"left out: {line}")
    figures = run.train()
    if run.ended:
        print(f"stopped by the guards at {run.ended}; the best state before is kept")
    for name, value in figures.items():
        print(f"{name}: {run.first[name]:.4f} before, {value:.4f} after")
    print(report.draw_run(run, options.out))
    return 0


def run_trial(options: argparse.Namespace) -> int:
    """Every arm and seed in turn, then the table and the curves."""
    import torch

    from training.unlabelled import report
    from training.unlabelled.trial import arms_of, run_arms

    settings = _settings(options)
    if options.seeds < 1:
        raise SettingsError(f"--seeds is {options.seeds}; give 1 or more")
    arms = arms_of(settings, [name.strip() for name in options.arms.split(",") if name.strip()])
    torch.set_num_threads(max(1, options.threads))
    run_arms(options, arms)
    print(report.trial_table(options.out))
    print(report.draw_trial(options.out))
    return 0
