"""``train`` and ``curve``."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from edge.errors import SettingsError


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    train = subparsers.add_parser(
        "train",
        help="train a network",
        description="Train a network from shards. Started again on the same --run folder it resumes. "
        "Several processes: torchrun --nproc-per-node N -m training train ...",
    )
    train.add_argument(
        "--config", type=Path, default=Path("training/configs/morphable.toml"), help="settings file (TOML)"
    )
    train.add_argument("--data", type=Path, default=Path("data/shards"), help="shards made by: python -m training data")
    train.add_argument("--run", dest="run_folder", type=Path, help="run folder (default: runs/NAME-OF-CONFIG)")
    train.add_argument(
        "--start", type=Path, metavar="CHECKPOINT", help="begin at the averaged weights of another run's last.pt"
    )
    train.add_argument("--threads", type=int, default=0, help="CPU threads (default: all cores)")
    train.add_argument("--workers", type=int, default=2, help="processes that prepare what is needed (default: 2)")
    train.add_argument("--print-config", action="store_true", help="print the settings and stop")
    train.set_defaults(run=run_train)

    curve = subparsers.add_parser(
        "curve", help="draw a run's learning curve", description="Draw curve.csv of a run to a PNG."
    )
    curve.add_argument("run_folder", type=Path, help="run folder")
    curve.add_argument("--out", type=Path, required=True, help="PNG to write")
    curve.set_defaults(run=run_curve)


def run_train(options: argparse.Namespace) -> int:
    """Train."""
    from training import settings as settings_module

    settings = settings_module.load(options.config)
    if options.print_config:
        print(json.dumps(dataclasses.asdict(settings), indent=1))
        return 0
    from training import distributed
    from training.loop import Trainer
    from training.needs import needs_of
    from training.record import command_line, write_record

    place = distributed.start(options.threads)
    run = options.run_folder or Path("runs") / options.config.stem
    run.mkdir(parents=True, exist_ok=True)
    data, validation = needs_of(settings, options.data).load(options.data)
    try:
        trainer = Trainer(settings, data, validation, run, place, options.data, options.workers, command_line())
        resumed = trainer.resume()
        new = trainer.start_from(options.start) if options.start and not resumed else []
        if place.first:
            write_record(run, settings, options.data, command_line(), options.start)
            total = sum(stage.iterations for stage in settings.stages)
            print(
                f"{len(data.images)} pictures of {len(data.names)} training shapes, {len(validation.images)} for "
                f"validation; {'resuming at' if resumed else 'starting'} step {trainer.step} of {total}; "
                f"{run}/last.pt every {settings.checkpoint_seconds:.0f} s",
                flush=True,
            )
            if new:
                print(f"not in {options.start}, so begun anew: {', '.join(new)}", flush=True)
        figures = trainer.train()
    finally:
        distributed.stop(place)
    if place.first:
        rate = trainer.samples / max(1e-9, trainer.seconds)
        print(f"done: {trainer.samples} samples in {trainer.seconds / 60:.1f} min, {rate:.1f} a second")
        for name, figure in figures.items():
            print(f"{name.replace('_', ' ')}: {figure:.4g}")
    return 0


def run_curve(options: argparse.Namespace) -> int:
    """Draw a learning curve."""
    from training.curve import plot

    source = options.run_folder / "curve.csv"
    if not source.exists():
        raise SettingsError(f"no curve at {source}; give the folder of a run that has been validated at least once")
    plot(source, options.out)
    print(options.out)
    return 0
