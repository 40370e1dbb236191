"""``carcloud reconstruct``: a photo, or a folder of photos, to point clouds on disk."""

import argparse
import json
import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple

import edge
from edge import settings
from edge.cli.progress import Progress
from edge.errors import CarcloudError, ImageError, NoCarError, SettingsError, SourceError

if TYPE_CHECKING:
    import numpy as np

    from edge.bundle import Bundle
    from edge.runtime.finder import Finder
    from edge.runtime.reconstructor import Box, Reconstruction, Reconstructor

FORMATS = ("ply", "npz")
SUMMARY = "summary.json"
UNITS = "car length = 1"
FRAME = "canonical: x forward, y left, z up, origin at the centre of the car's bounding box, longest edge 1"

DESCRIPTION = """Make a 3-D point cloud of the car in each photo.

Each photo gives one file in DIR, named like it, in the canonical frame: x forward, y left, z up, the car's length
is 1. DIR/summary.json lists what became of every photo. The car is looked for: of several, the one that stands out
most is taken, and of a photo without any car no cloud is made."""

EPILOG = """examples:
  carcloud reconstruct car.jpg --out clouds/
  carcloud reconstruct photos/ --out clouds/ --format npz
  carcloud reconstruct street.jpg --out clouds/ --car 2          the second most prominent car
  carcloud reconstruct street.jpg --out clouds/ --box 420,180,600,320

exit code: 0 if all went well, 1 if a photo of a folder failed or shows no car (the rest was done), others as in the
README.
"""


class Job(NamedTuple):
    """name: of the photo. path: of the photo. output: name of the file it becomes."""

    name: str
    path: str
    output: str


def register(subparsers: Any) -> None:
    """Add the ``reconstruct`` command."""
    parser = subparsers.add_parser(
        "reconstruct", help="photos in, a folder of point clouds out", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("input", metavar="PHOTO_OR_FOLDER", help="a picture, or a folder (those below it are left out)")
    parser.add_argument("--out", metavar="DIR", help="folder for the clouds and summary.json; made if missing")
    parser.add_argument("--format", choices=FORMATS, default="ply", help="ply for viewers (default), npz for NumPy")
    parser.add_argument("--overwrite", action="store_true", help="replace clouds of an earlier run")
    parser.add_argument(
        "--car", type=int, default=1, metavar="N", help="of several cars the N-th most prominent (default: %(default)s)"
    )
    parser.add_argument(
        "--masks", action="store_true", help="also write NAME.mask.png: which pixels of the photo show the car"
    )
    names = ("bundle", "backend", "threads", "precision", "engines", "max_points", "box", "find")
    settings.add_arguments(parser, names)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Reconstruct every photo; see ``DESCRIPTION``."""
    chosen = settings.from_options(options)
    if options.print_config:
        print(settings.to_json(chosen), end="")
        return 0
    if not options.out:
        raise SettingsError("nowhere to write; add --out DIR")
    if options.car < 1:
        raise SettingsError("--car is %d; the most prominent car is 1, the next one 2" % options.car)
    from edge.bundle import load_bundle
    from edge.runtime.opening import enter_backend, enter_finder, enter_silhouette
    from edge.runtime.pipeline import stop_on_signals
    from edge.runtime.reconstructor import Reconstructor

    single = not os.path.isdir(options.input)
    jobs = find_jobs(options.input, options.format)
    bundle = load_bundle(chosen.bundle)
    with ExitStack() as stack:
        backend = enter_backend(stack, bundle, chosen)
        finder = enter_finder(stack, bundle, chosen)
        if finder is None and options.car > 1:
            raise SettingsError("--car %d needs a bundle with a finder, and neither --box nor --no-find" % options.car)
        stop = stack.enter_context(stop_on_signals())
        silhouette = enter_silhouette(stack, bundle, chosen)
        if options.masks and silhouette is None:
            raise SettingsError("bundle %s has no silhouette network, so leave out --masks" % bundle.name)
        reconstructor = Reconstructor(bundle, backend, chosen.max_points, silhouette=silhouette)
        where = Where(chosen.box, finder, options.car)
        masks = [mask_name(job) for job in jobs] if options.masks else []
        prepare_folder(options.out, [job.output for job in jobs] + masks + [SUMMARY], options.overwrite)
        summary = Summary(bundle, backend.detail, options.format)
        progress = Progress(len(jobs), "reconstruct")
        for count, job in enumerate(jobs, 1):
            if stop.is_set():
                break
            try:
                image, result = reconstruct_one(job, options.out, options.format, reconstructor, where)
                if options.masks:
                    write_mask(os.path.join(options.out, mask_name(job)), image.shape, result)
                summary.add(job, image, result)
            except NoCarError as error:
                if single:
                    raise
                summary.fail(job, str(error), "no car")
                progress.say(str(error))
            except (ImageError, SettingsError) as error:
                if single:
                    raise
                summary.fail(job, str(error))
                progress.say("failed: %s" % error)
            progress.update(count, job.name)
        progress.close()
        summary.write(os.path.join(options.out, SUMMARY), len(jobs), chosen.box)
    print(summary.sentence(options.out))
    return 130 if stop.is_set() else 1 if summary.failed or summary.without_car else 0


def find_jobs(source: str, extension: str) -> List[Job]:
    """The photos of an argument and the file each becomes. Raises SourceError or ImageError if there is none."""
    from edge.runtime.images import list_images, read_image

    if "://" in source:
        raise SourceError(
            "reconstruct takes the path of a photo or folder, not %s; for streams use carcloud serve"
            % settings.redact(source)
        )
    if os.path.isdir(source):
        names = list_images(source)
        return [Job(n, os.path.join(source, n), o) for n, o in zip(names, output_names(names, extension))]
    read_image(source)  # refused before anything is made: an only photo that cannot be read leaves no folder behind
    name = os.path.basename(source)
    return [Job(name, source, output_names([name], extension)[0])]


def output_names(names: List[str], extension: str) -> List[str]:
    """One output name an image: ``a.jpg`` -> ``a.ply``; of ``a.jpg`` and ``a.png`` -> ``a.jpg.ply`` and ``a.png.ply``.

    Compared without regard to case, for file systems that have none.
    """
    stems = [os.path.splitext(name)[0] for name in names]
    while True:
        seen: Dict[str, int] = {}
        for stem in stems:
            seen[stem.lower()] = seen.get(stem.lower(), 0) + 1
        clash = [i for i, stem in enumerate(stems) if seen[stem.lower()] > 1 and stem != names[i]]
        if not clash:
            break
        for index in clash:
            stems[index] = names[index]
    return ["%s.%s" % (stem, extension) for stem in stems]


def prepare_folder(folder: str, outputs: List[str], overwrite: bool) -> None:
    """Make the output folder. Raises SettingsError: it cannot be made, or holds files that would be replaced."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise SettingsError("cannot make the folder %s: %s; give another --out" % (folder, error.strerror))
    if not os.access(folder, os.W_OK):
        raise SettingsError("no permission to write into %s; give another --out" % folder)
    there = [name for name in outputs if os.path.exists(os.path.join(folder, name))]
    if there and not overwrite:
        more = " and %d more" % (len(there) - 1) if len(there) > 1 else ""
        raise SettingsError(
            "%s%s exists already; add --overwrite to replace, or give another --out"
            % (os.path.join(folder, there[0]), more)
        )


def reconstruct_one(
    job: Job, folder: str, extension: str, reconstructor: "Reconstructor", where: "Where"
) -> Tuple["np.ndarray", "Reconstruction"]:
    """Read, reconstruct and write one photo; returns the picture and what came of it.

    Raises ImageError (unreadable, or the cloud cannot be written), NoCarError, SettingsError (box outside the photo).
    """
    from edge.runtime.images import read_image

    image = read_image(job.path)
    result = reconstructor.reconstruct(image, where.box_in(image, job.name))
    if where.finder is not None:
        result = result._replace(timings=dict(result.timings, find=where.finder.milliseconds))
    try:
        write_cloud(os.path.join(folder, job.output), extension, job.name, image.shape, result, reconstructor.bundle)
    except OSError as error:
        raise ImageError("cannot write %s: %s" % (os.path.join(folder, job.output), error.strerror))
    return image, result


def mask_name(job: Job) -> str:
    """``a.ply`` -> ``a.mask.png``."""
    return os.path.splitext(job.output)[0] + ".mask.png"


def write_mask(path: str, shape: Tuple[int, ...], result: "Reconstruction") -> None:
    """The silhouette in the whole photo (H, W, 3): 8 bits, 255 = surely the car. Raises ImageError."""
    import cv2

    from edge.ply import atomic_file
    from edge.runtime.silhouette import paste

    assert result.silhouette is not None, "the bundle has a silhouette network"
    done, data = cv2.imencode(".png", paste(result.silhouette, result.crop_box, (shape[1], shape[0])))
    assert done, "OpenCV writes 8-bit PNG"
    try:
        with atomic_file(path) as handle:
            handle.write(data.tobytes())
    except OSError as error:
        raise ImageError("cannot write %s: %s" % (path, error.strerror))


def write_cloud(
    path: str, extension: str, name: str, shape: Tuple[int, ...], result: "Reconstruction", bundle: "Bundle"
) -> None:
    """Write one cloud with what is known about it."""
    import numpy as np

    from edge.geometry import FILLED, MIRRORED, SEEN
    from edge.ply import write_npz, write_ply

    digest = network_hash(bundle)
    if extension == "ply":
        notes = ["image %s" % name, "bundle %s %s" % (bundle.name, digest), "units %s" % UNITS, "frame %s" % FRAME]
        if result.cloud.mark is not None:
            notes.append("mark %d: colour seen, %d: seen on the other side, %d: filled in" % (SEEN, MIRRORED, FILLED))
        write_ply(path, result.cloud, tuple(notes))
        return
    prior = bundle.length_prior
    mean = prior.mean if prior is not None else float("nan")
    extra: Dict[str, Any] = {
        "image": name,
        "image_size": (shape[1], shape[0]),
        "crop_box": result.crop_box,
        "bundle": bundle.name,
        "bundle_sha256": digest,
        "length_m": result.length.metres if result.length is not None else mean,
        "length_prior_m": mean,
        "units": UNITS,
        "frame": FRAME,
    }
    if result.pose is not None:
        extra["pose"] = np.array(result.pose, np.float64)
    if result.body_class is not None:
        extra["body_class"] = result.body_class.name
    write_npz(path, result.cloud, extra)


def network_hash(bundle: "Bundle") -> str:
    """SHA-256 of the bundle's network."""
    return str(bundle.manifest["files"]["reconstructor.onnx"]["sha256"])


class Where(NamedTuple):
    """Where the car is in a photo. box: in all of them, or None. finder: looks for it, or None: then it fills the
    photo. car: of several the ``car``-th most prominent, from 1."""

    box: Optional["Box"]
    finder: Optional["Finder"]
    car: int = 1

    def box_in(self, image: "np.ndarray", name: str) -> Optional["Box"]:
        """x, y, width, height in pixels of a photo (H, W, 3), None for all of it. Raises NoCarError, BackendError."""
        if self.finder is None:
            return self.box
        from edge.runtime.finder import by_prominence

        found = by_prominence(self.finder.find_still(image), (image.shape[1], image.shape[0]))
        if len(found) < self.car:
            seen = "no car" if not found else "%d car%s only" % (len(found), "s"[: len(found) > 1])
            raise NoCarError(
                "%s: %s found; say where it is with --box x,y,width,height, or that it fills the photo with --no-find"
                % (name, seen)
            )
        return found[self.car - 1].box


class Summary:
    """What became of every photo, as ``summary.json``."""

    def __init__(self, bundle: "Bundle", backend: str, extension: str) -> None:
        self._bundle = bundle
        self._backend = backend
        self._format = extension
        self._start = time.monotonic()
        self._images: List[Dict[str, Any]] = []

    @property
    def failed(self) -> int:
        """How many photos gave no cloud."""
        return self._count("failed")

    @property
    def without_car(self) -> int:
        """In how many photos no car was found."""
        return self._count("no car")

    def add(self, job: Job, image: "np.ndarray", result: "Reconstruction") -> None:
        """A photo that was read and run; status "empty" if the network saw no car in it."""
        points = result.cloud.points
        extents = None
        if len(points):
            low, high = points.min(0), points.max(0)
            extents = {axis: [round(float(low[i]), 5), round(float(high[i]), 5)] for i, axis in enumerate("xyz")}
        self._images.append({
            "image": job.name,
            "status": "ok" if len(points) else "empty",
            "output": job.output,
            "points": len(points),
            "extents": extents,
            "image_size": [int(image.shape[1]), int(image.shape[0])],
            "crop_box": list(result.crop_box),
            "timings_ms": {name: round(value, 3) for name, value in result.timings.items()},
            "error": None,
            **result.facts(),
        })  # fmt: skip

    def fail(self, job: Job, error: str, status: str = "failed") -> None:
        """A photo that could not be read or run, or, with the status "no car", that shows none."""
        self._images.append({"image": job.name, "status": status, "output": None, "points": 0, "error": error})

    def write(self, path: str, found: int, box: Optional[Tuple[float, ...]]) -> None:
        """Write the file, whole or not at all. found: photos there were, including those not reached."""
        from edge.ply import atomic_file

        seconds = time.monotonic() - self._start
        document = {
            "carcloud": edge.__version__,
            "bundle": {"name": self._bundle.name, "network_sha256": network_hash(self._bundle)},
            "backend": self._backend,
            "format": self._format,
            "frame": FRAME,
            "units": UNITS,
            "box": box,
            "totals": {
                "found": found,
                "ok": self._count("ok"),
                "empty": self._count("empty"),
                "failed": self.failed,
                "no_car": self.without_car,
                "not_reached": found - len(self._images),
                "points": sum(entry["points"] for entry in self._images),
                "seconds": round(seconds, 3),
            },
            "images": self._images,
        }
        try:
            with atomic_file(path) as handle:
                handle.write((json.dumps(document, indent=1) + "\n").encode("utf-8"))
        except OSError as error:
            raise CarcloudError("cannot write %s: %s" % (path, error.strerror))

    def sentence(self, folder: str) -> str:
        """One line for the end of the run."""
        text = "%d clouds in %s" % (self._count("ok") + self._count("empty"), folder)
        if self._count("empty"):
            text += ", %d of them empty (the network saw no car)" % self._count("empty")
        if self.without_car:
            text += "; no car found in %d photos" % self.without_car
        if self.failed:
            text += "; %d photos failed, see %s" % (self.failed, os.path.join(folder, SUMMARY))
        return text

    def _count(self, status: str) -> int:
        return sum(entry["status"] == status for entry in self._images)
