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
        "--config", type=Path, default=Path("training/configs/lin2018.toml"), help="settings file (TOML)"
    )
    train.add_argument("--data", type=Path, default=Path("data/shards"), help="shards made by: python -m training data")
    train.add_argument("--run", dest="run_folder", type=Path, help="run folder (default: runs/NAME-OF-CONFIG)")
    train.add_argument("--threads", type=int, default=0, help="CPU threads (default: all cores)")
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
    text = json.dumps(dataclasses.asdict(settings), indent=1)
    if options.print_config:
        print(text)
        return 0
    from training import distributed
    from training.data.dataset import load_dataset
    from training.loop import Trainer
    from training.networks import NETWORKS

    place = distributed.start(options.threads)
    run = options.run_folder or Path("runs") / options.config.stem
    run.mkdir(parents=True, exist_ok=True)
    # A tenth more than the network sees, so that zoom augmentation has pixels to work with.
    size = NETWORKS[settings.network].input_size * 5 // 4
    data = load_dataset(options.data, "train", size)
    validation = load_dataset(options.data, "validation", size)
    trainer = Trainer(settings, data, validation, run, place)
    resumed = trainer.resume()
    if place.first:
        (run / "settings.json").write_text(text + "\n", encoding="utf-8")
        total = sum(stage.iterations for stage in settings.stages)
        print(
            f"{len(data.images)} pictures of {len(data.fixed_depth)} training shapes, "
            f"{len(validation.images)} for validation; {'resuming at' if resumed else 'starting'} "
            f"step {trainer.step} of {total}; {run}/last.pt every "
            f"{settings.checkpoint_seconds:.0f} s",
            flush=True,
        )
    try:
        trainer.train()
    finally:
        distributed.stop(place)
    if place.first:
        rate = trainer.samples / max(1e-9, trainer.seconds)
        print(f"done: {trainer.samples} samples in {trainer.seconds / 60:.1f} min, {rate:.1f} a second")
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
