"""``python -m training answers``: run the experiments and write docs/answers.md with its plots."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from pathlib import Path
from typing import Any

from edge.bundle import DEFAULT
from edge.errors import DataError, SettingsError
from edge.ply import atomic_file
from training.answers import bench as benching
from training.answers import classical, cues, images, learning, photos
from training.answers.bench import Bench, Experiment
from training.benchmark.store import fingerprint
from training.meshes.options import add_mesh_flags

#: In the order of the page.
EXPERIMENTS = (
    Experiment("images", images.run, images.write),
    Experiment("cues", cues.run, cues.write),
    Experiment("learning", learning.run, learning.write),
    Experiment("photos", photos.run, photos.write),
    Experiment("classical", classical.run, classical.write),
)

#: Parts of results that are pictures: drawn, not told.
PICTURES = ("maps", "pictures")

HEAD = """# Answers

Questions that this project began with, and what was measured. Every number on this page comes from one command,
`python -m training answers` (after `python -m training meshes fetch`), which runs the experiments on the test bodies of
[CarPC-1](benchmark.md), bodies that no network saw, and writes this page; the numbers as they are stand in
[answers.json](answers.json). F-scores in percent, distances in hundredths of the car's length, {bodies} bodies,
{views} views each, bundle `{bundle}`. They are of rendered pictures: real ones have no truth to measure against.
"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "answers",
        help="measure what images convert, what limits it, and write docs/answers.md",
        description="Run the experiments behind docs/answers.md and write the page, its plots and its numbers. Results "
        "are kept in --results and are not measured again while neither the network nor the experiment changed.",
    )
    names = [experiment.name for experiment in EXPERIMENTS]
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=f"only these of {', '.join(names)}")
    parser.add_argument("--bundle", default=DEFAULT, help="network (default: %(default)s)")
    parser.add_argument("--views", type=int, default=24, metavar="N", help="pictures of each body (%(default)s)")
    parser.add_argument("--body", action="append", default=[], metavar="NAME", help="only these test bodies")
    add_mesh_flags(parser, "--meshes")
    parser.add_argument(
        "--cache", type=Path, default=Path("runs/benchmark-cache"), metavar="DIR", help="the benchmark's cache"
    )
    parser.add_argument(
        "--results", type=Path, default=Path("runs/answers"), metavar="DIR", help="where results are kept"
    )
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="folder of the page")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run what is missing and write the page."""
    names = [experiment.name for experiment in EXPERIMENTS]
    unknown = [name for name in options.only if name not in names]
    if unknown:
        raise SettingsError(f"there is no experiment {unknown[0]}; known are {', '.join(names)}")
    if not 1 <= options.views <= 24:
        raise SettingsError(f"--views is {options.views}; give 1 to 24")
    bench = Bench(options.bundle, options.meshes, tuple(options.glb), options.cache, options.views, tuple(options.body))
    results = {}
    for experiment in EXPERIMENTS:
        if not options.only or experiment.name in options.only:
            results[experiment.name] = measured(experiment, bench, options.results)
    write_page(results, bench, options.out)
    print(f"{options.out / 'answers.md'}: {len(results)} of {len(EXPERIMENTS)} experiments")
    return 0


def measured(experiment: Experiment, bench: Bench, folder: Path) -> dict[str, Any]:
    """An experiment's results, measured now or kept from before."""
    path = folder / f"{experiment.name}.json"
    key = f"{bench.key}-{measuring_code(experiment)}"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        kept = {}
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it to measure again") from error
    if kept.get("key") == key:
        return dict(kept["results"])
    results = experiment.run(bench)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(str(path)) as handle:
        handle.write(json.dumps({"key": key, "results": results}, indent=1).encode())
    return results


def measuring_code(experiment: Experiment) -> str:
    """Hash of an experiment's module, but for what it writes (a better sentence needs no new measurement), and of what
    all experiments measure by."""
    whole = inspect.getsource(sys.modules[experiment.run.__module__])
    words = [inspect.getsource(value) for name, value in vars(sys.modules[experiment.run.__module__]).items()
             if name == "write" or name.startswith("words_")]
    for text in words:
        whole = whole.replace(text, "")
    return fingerprint(whole, inspect.getsource(benching))


def write_page(results: dict[str, dict[str, Any]], bench: Bench, out: Path) -> None:
    """answers.md, answers.json and images/answers/*.png."""
    out.mkdir(parents=True, exist_ok=True)
    sections = [e.write(results[e.name], out / "images" / "answers") for e in EXPERIMENTS if e.name in results]
    count = max((len(one.get("bodies", ())) for one in results.values()), default=0)
    head = HEAD.format(bodies=count, views=bench.views, bundle=bench.bundle)
    told = {name: {key: value for key, value in one.items() if key not in PICTURES} for name, one in results.items()}
    page, numbers = "\n".join([head, *sections]), json.dumps(told, indent=1) + "\n"
    for name, text in (("answers.md", page), ("answers.json", numbers)):
        with atomic_file(str(out / name)) as handle:
            handle.write(text.encode("utf-8"))
