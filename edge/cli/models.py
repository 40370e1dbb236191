"""``carcloud models``: a folder of photos to a folder of 3-D models, with a gallery to look at them."""

import argparse
import importlib.util
import os
import time
from typing import Any, Dict

from edge import settings
from edge.cli.progress import Progress
from edge.errors import SettingsError

GROUPINGS = ("class", "car", "none")

DESCRIPTION = """Make a 3-D model of the car in each photo of a folder, and of each group of photos.

FOLDER is any tree of photos, whose folders are the groups, or BMW-10 or Stanford Cars as published, whose classes are.
DIR/index.html shows all models: open it in a browser, it needs no network. DIR/photos and DIR/groups hold for each a
cloud (.ply), a closed mesh (.glb), a turntable picture (.png) and what is known of it (.json); DIR/models.json all of
the latter. The same command again goes on where it was broken off, and makes only what is new or changed."""

EPILOG = """examples:
  carcloud models photos/ --out models/
  carcloud models bmw10_release/ --out models/
  carcloud models mycar/ --out models/ --groups car      each folder's photos show one and the same car
  carcloud models photos/ --out models/ --stereo anaglyph --stereo side-by-side

exit code: 0 if each photo gave a model, 1 if some did not (the end of the page says which; the rest was done), others
as in the README.
"""


def register(subparsers: Any) -> None:
    """Add the ``models`` command."""
    parser = subparsers.add_parser(
        "models", help="a folder of photos to 3-D models, with a gallery", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", metavar="FOLDER", help="the photos: a tree of folders, BMW-10, or Stanford Cars")
    parser.add_argument("--out", metavar="DIR", help="folder for the models; made if missing, gone on with if there")
    parser.add_argument("--kind", default="auto", help="auto, bmw10, stanford-cars or folder (default: %(default)s)")
    parser.add_argument(
        "--groups", choices=GROUPINGS, default="class",
        help="photos of a group show one kind of car (class, default), one and the same car (car: colours are put "
        "together, too), or make no groups (none)",
    )
    parser.add_argument(
        "--stereo", action="append", default=[], metavar="FORMAT",
        help="also the photo for two eyes: anaglyph (red and cyan glasses) or side-by-side (phone viewers); may be "
        "repeated",
    )
    parser.add_argument("--no-mesh", action="store_true", help="no meshes, which take Open3D: clouds only")
    parser.add_argument(
        "--jobs", type=int, default=0, metavar="N", help="processes (default: one for each core; 1 on a GPU)"
    )
    parser.add_argument("--again", action="store_true", help="make all models anew, also those that are there")
    settings.add_arguments(parser, ("bundle", "backend", "threads", "precision", "engines", "find"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the models; see ``DESCRIPTION``."""
    chosen = settings.from_options(options)
    if options.print_config:
        print(settings.to_json(chosen), end="")
        return 0
    if not options.out:
        raise SettingsError("nowhere to write; add --out DIR")
    if options.jobs < 0:
        raise SettingsError("--jobs is %d; give how many processes, or 0 for one for each core" % options.jobs)
    from edge.bundle import load_bundle
    from edge.cli.reconstruct import output_names
    from edge.models import build, stereo, workers
    from edge.models.work import Order
    from edge.photosets import open_photos
    from edge.runtime.memory import corresponds
    from edge.runtime.pipeline import stop_on_signals

    unknown = [name for name in options.stereo if name not in stereo.FORMATS]
    if unknown:
        known = " and ".join(sorted(stereo.FORMATS))
        raise SettingsError("--stereo %s is not known; known are %s" % (unknown[0], known))
    source = open_photos(options.folder, options.kind)
    bundle = load_bundle(chosen.bundle)
    order = Order(not options.no_mesh, True, tuple(sorted(set(options.stereo))))
    build.open_output(options.out, options.folder)
    for note in source.notes:
        print("note: %s" % note)
    if order.mesh and not corresponds(bundle):
        raise SettingsError("the points of bundle %s do not correspond from photo to photo, which groups and meshes "
                            "take; add --no-mesh, or take --bundle morphable" % bundle.name)
    template = build.open_template(options.out, bundle) if order.mesh else None
    chosen = chosen._replace(threads=chosen.threads or 1)
    names = [name[: -len(".x")] for name in output_names([photo.name for photo in source.photos], "x")]
    how = chosen.backend, chosen.precision, chosen.find
    plan = build.make_plan(source.photos, names, options.out, bundle, order, how, options.again)
    setting = workers.Setting(
        chosen, order, os.path.join(options.out, build.TEMPLATE) if order.mesh else None, build.template_key(bundle))
    records: Dict[str, Dict[str, Any]] = dict(plan.done)
    if plan.done:
        print("%d of %d models are there already" % (len(plan.done), len(source.photos)))
    start, progress = time.monotonic(), Progress(len(plan.tasks), "models")
    with stop_on_signals() as stop:
        jobs = min(options.jobs or usual_jobs(chosen.backend), max(1, len(plan.tasks)))
        for task, record in workers.make_all(setting, plan.tasks, jobs, stop):
            records[task.name] = record
            if record.get("error"):
                progress.say(record["error"])
            progress.update(len(records) - len(plan.done), task.name)
        progress.close()
        seconds = time.monotonic() - start
        whole = build.finish(options.out, source, bundle, plan, records, options.groups, template, order)
        stopped = stop.is_set()
    print(build.sentence(whole))
    made = len(records) - len(plan.done)
    if made:
        rate = made / max(seconds, 1e-9) * 60
        print("%.0f photos a minute (%d in %.1f s, %d processes)" % (rate, made, seconds, jobs))
    print("look at them: %s" % os.path.join(options.out, build.PAGE))
    if stopped:
        print("stopped; the same command goes on")
        return 130
    total = whole["totals"]
    return 1 if total["no_car"] or total["failed"] or total["empty"] or total["missing"] else 0


def usual_jobs(backend: str) -> int:
    """Processes: one where TensorRT or CUDA may run the networks, whose memory they would share; else one a core."""
    from edge.runtime.board import usable_cores

    gpu = backend in ("trt", "ort-cuda", "ort-trt")
    return 1 if gpu or (backend == "auto" and importlib.util.find_spec("tensorrt") is not None) else usable_cores()
