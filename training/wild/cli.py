"""``python -m training follow`` and ``find``: what the product does on clips and photos, measured."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from edge.bundle import DEFAULT, load_bundle
from edge.errors import SettingsError
from training.meshes.options import add_mesh_flags


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    _register_follow(subparsers)
    _register_find(subparsers)


def _register_follow(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "follow",
        help="measure how a car is followed through a clip",
        description="Play a clip through what the device runs and write DIR/follow.json and a picture strip "
        "DIR/strip.png: how long the car is followed, how steady the viewing direction and the cloud are, how far the "
        "direction is off a known turn (--step), how good the clouds are (--truth).",
    )
    parser.add_argument("clip", type=Path, metavar="CLIP", help="video file, or folder of pictures 1.png, 2.png, ...")
    parser.add_argument("--fps", type=float, metavar="F", help="frames a second (default: the video's, or 10)")
    parser.add_argument("--step", type=float, metavar="DEGREES", help="the car turns so far from frame to frame")
    parser.add_argument(
        "--seconds-skipped", type=float, default=1.0, metavar="S",
        help="the first seconds do not count against --step (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--no-average", action="store_true", help="do not average clouds over time")
    parser.add_argument("--truth", metavar="NAME", help="the car that the clip shows, as `training meshes` lists it")
    add_mesh_flags(parser, "--meshes")
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/benchmark-cache"), metavar="DIR",
        help="the benchmark's cache, where the car's true surface is kept (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--columns", type=int, default=8, metavar="N", help="frames on the strip (%(default)s)")
    _common(parser, Path("out/follow"))
    parser.set_defaults(run=run_follow)


def _register_find(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "find",
        help="measure how well cars are found, and how often one is seen where none is",
        description="Look for cars in photos of cars, in car-free pictures (--none) and in drawn car-free scenes "
        "(--empty-minutes); write DIR/find.json and sheets of the pictures with their boxes.",
    )
    parser.add_argument("photos", type=Path, nargs="?", metavar="PHOTOS", help="folder of photos that each show a car")
    parser.add_argument("--boxes", type=Path, metavar="TRUTH.json",
                        help='boxes in the photos: {"a.jpg": [x, y, width, height], "b.jpg": [[...], [...]]}')
    parser.add_argument("--truth", choices=("plates", "cars"), default="plates",
                        help="what --boxes are of: plates must lie inside the box that is found, cars fill it "
                        "(default: %(default)s)")
    parser.add_argument("--none", type=Path, metavar="DIR", help="folder of pictures without a car")
    parser.add_argument("--empty-minutes", type=float, metavar="M", help="watch drawn car-free scenes for M minutes")
    parser.add_argument("--seed", type=int, default=0, help="of the drawn scenes (default: %(default)s)")
    _common(parser, Path("out/find"))
    parser.set_defaults(run=run_find)


def _common(parser: argparse.ArgumentParser, out: Path) -> None:
    parser.add_argument("--bundle", default=DEFAULT, help="shipped bundle's name, or a folder (default: %(default)s)")
    parser.add_argument("--threshold", type=float, metavar="T", help="score from which a box is a car (as shipped)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of the networks (default: one per core)")
    parser.add_argument("--out", type=Path, default=out, metavar="DIR", help="folder to write (default: %(default)s)")


def run_follow(options: argparse.Namespace) -> int:
    """Play, write, print."""
    # Imported late: the help of all commands must not need what measures.
    from training.wild.follow import Plan, follow, words

    target = None
    if options.truth is not None:
        from training.wild.truth import target_of

        target = target_of(options.truth, options.meshes, options.glb, options.cache)
    plan = Plan(
        options.clip, options.bundle, options.out, options.fps, options.step, options.seconds_skipped,
        not options.no_average, options.columns, options.threads, options.threshold, target,
    )  # fmt: skip
    print("\n".join(words(follow(plan))))
    print(f"{options.out}/follow.json and strip.png")
    return 0


def run_find(options: argparse.Namespace) -> int:
    """Look, write, print."""
    if options.photos is None and options.none is None and options.empty_minutes is None:
        raise SettingsError("nothing to look at; give a folder of PHOTOS, --none DIR, or --empty-minutes M")
    if options.boxes is not None and options.photos is None:
        raise SettingsError("--boxes are of photos; give their folder, too: training find PHOTOS --boxes FILE")
    if options.seed < 0:
        raise SettingsError(f"--seed is {options.seed}; give 0 or more")
    from edge.ply import atomic_file
    from training.wild.photos import find_in, read_truth
    from training.wild.play import open_remembering

    truth = None if options.boxes is None else read_truth(options.boxes)
    bundle = load_bundle(options.bundle)
    found: dict[str, Any] = {"bundle": bundle.name}
    options.out.mkdir(parents=True, exist_ok=True)
    with open_remembering(bundle, options.threads, options.threshold) as finder:
        if options.photos is not None:
            found["photos"] = find_in(finder, options.photos, options.out, truth, options.truth)
        if options.none is not None or options.empty_minutes is not None:
            from training.wild.nothing import find_empty, find_none

            if options.none is not None:
                found["none"] = find_none(finder, options.none, options.out)
            if options.empty_minutes is not None:
                found["empty"] = find_empty(finder, options.empty_minutes, options.out, options.seed)
    with atomic_file(str(options.out / "find.json")) as handle:
        handle.write((json.dumps(found, indent=1) + "\n").encode())
    print("\n".join(words(found)))
    print(f"{options.out}/find.json and its sheets")
    return 0


def words(found: dict[str, Any]) -> list[str]:
    """The figures for people, line by line."""
    tellers = {"photos": _photo_words, "none": _none_words, "empty": _empty_words}
    return [line for name, tell in tellers.items() if name in found for line in tell(found[name])]


def _photo_words(photos: dict[str, Any]) -> list[str]:
    lines = [
        f"{photos['found']} of {photos['photos']} photos show a car at {photos['threshold']:g}; "
        f"median {photos['milliseconds']['median']:g} ms; missed: {_list(photos['missed'])}",
        "at other thresholds: " + ", ".join(f"{t}: {n}" for t, n in photos["found_at"].items()),
    ]
    fit = photos.get("plates")
    if fit:
        lines.append(f"{fit['inside']} of {fit['of_found']} plates lie inside the chosen box ({fit['given']} given); "
                     f"outside: {_list(fit['outside'])}")  # fmt: skip
    fit = photos.get("cars")
    if fit:
        lines.append(f"IoU with the given boxes: median {fit['median_iou']:.3f}, above 0.5 in "
                     f"{fit['iou_above_half']} of {fit['of_found']}; poor: {_list(fit['poor'])}")  # fmt: skip
    return lines + [f"left out: {text}" for text in photos["left_out"]]


def _none_words(none: dict[str, Any]) -> list[str]:
    still, boxed = none["with_a_box_as_it_is"], none["with_a_box_in_any_look"]
    named = [f"{name} ({none['scores'][name]:.2f})" for name in boxed]
    return [
        f"of {none['pictures']} car-free pictures {len(still)} have a box as they are at {none['threshold']:g}, "
        f"{len(boxed)} in any of {none['looks_each']} looks by hand: {_list(named)}",
        f"believed to be a car: {len(none['believed'])}: {_list(none['believed'])}",
        *(f"left out: {text}" for text in none["left_out"]),
    ]


def _empty_words(empty: dict[str, Any]) -> list[str]:
    return [
        f"{empty['minutes']:g} minutes of {empty['scenes']} empty scenes, {empty['looks']} looks at "
        f"{empty['threshold']:g}: {empty['boxes']} boxes in {empty['looks_with_a_box']} looks, {empty['believed']} "
        f"cars believed, {empty['looks_that_would_give_a_cloud']} looks that would give a cloud"
    ]


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"
