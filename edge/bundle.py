"""The bundle: a folder that is all the device needs, described and sealed by ``manifest.json``."""

import hashlib
import json
import os
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy as np

from edge.errors import BundleError
from edge.geometry import Views

FORMAT = "carcloud-bundle"
FORMAT_VERSION = 2
#: Bundles that ship with the package.
SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bundles")
DEFAULT = "morphable"

#: The network that reconstructs, in FP32.
NETWORK = "reconstructor.onnx"
#: What the file of a network computes in. "int8" is for TensorRT (docs/engines.md), "int8-cpu" for ONNX Runtime's CPU.
PRECISIONS = ("fp32", "fp16", "int8", "int8-cpu")
#: The triangles of the output ``vertices``: int32 (F, 3).
FACES = "faces.npy"
#: What a network may give, in the order of its outputs, and the shape of each; None is a number of the network's own.
OUTPUTS: Dict[str, Tuple[Optional[int], ...]] = {
    "points": (1, None, 3),
    "error": (1, None),
    "maps": (1, None, 4, None, None),
    "occupancy": (1, None, None, None),
    "vertices": (1, None, 3),
    "azimuth": (1, None),
    "camera": (1, 6),
    "length": (1, 2),
    "classes": (1, None),
}
#: The outputs that a cloud can be made of, the best first; a bundle has at least one of them.
CLOUD_OUTPUTS = ("points", "vertices", "maps", "occupancy")


class LengthPrior(NamedTuple):
    """Mean and standard deviation of a car's length, metres."""

    mean: float
    std: float


class Graph(NamedTuple):
    """One network of a bundle, as a backend runs it.

    path: ONNX file. input_name, input_shape: of its only input, float32. outputs: shape of each output by its name.
    """

    path: str
    input_name: str
    input_shape: Tuple[int, ...]
    outputs: Dict[str, Tuple[int, ...]]


class FinderSpec(NamedTuple):
    """The bundle's car detector.

    graph: its outputs are ``boxes`` (1, N, 4) and ``scores`` (1, N, classes). mean, std: (3,) float32, applied to RGB
    in 0..1. classes: names, in the order of the scores. anchors: see :func:`edge.runtime.anchors.make_anchors`.
    """

    graph: Graph
    mean: np.ndarray
    std: np.ndarray
    classes: Tuple[str, ...]
    anchors: Dict[str, Any]

    @property
    def car(self) -> int:
        """Column of the scores that is the car's."""
        return self.classes.index("car")


class SilhouetteSpec(NamedTuple):
    """The bundle's network of the followed car's silhouette.

    graph: its only output, ``mask``, is (1, 1, S, S), logits of the pixels of its input (1, 3, S, S). mean, std: (3,)
    float32, applied to RGB in 0..1. threshold: probability, 0..1, from which a pixel is the car's.
    """

    graph: Graph
    mean: np.ndarray
    std: np.ndarray
    threshold: float


class Bundle(NamedTuple):
    """An opened, verified bundle.

    path: folder. manifest: the parsed manifest.
    input_size: side of the square network input in pixels.
    mean, std: (3,) float32, applied to RGB in 0..1.
    margin: how far the crop reaches beyond the car's box on each side, as a part of its longer edge.
    outputs: shape of each output by its name (:data:`OUTPUTS`), in the manifest's order.
    views: the fixed views of the output maps. threshold: mask logit above which a pixel is a point. Only with maps.
    grid: (2, 3) float32, lower and upper corner of the box that ``occupancy`` fills, canonical frame. Only with it.
    classes: names of the body classes, in the order of the logits. Only with ``classes``.
    length_prior: of the cars it was trained on, for networks that do not predict the length; None if unknown.
    finder: the car detector, None for a bundle without one. silhouette: the network that tells which pixels of a crop
    show the car, None for a bundle without one.
    """

    path: str
    manifest: Dict[str, Any]
    input_name: str
    input_size: int
    mean: np.ndarray
    std: np.ndarray
    margin: float
    outputs: Dict[str, Tuple[int, ...]]
    views: Optional[Views] = None
    threshold: float = 0.0
    grid: Optional[np.ndarray] = None
    classes: Tuple[str, ...] = ()
    length_prior: Optional[LengthPrior] = None
    finder: Optional[FinderSpec] = None
    silhouette: Optional[SilhouetteSpec] = None

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

    @property
    def graph(self) -> Graph:
        """The network that reconstructs, in FP32."""
        return self.graph_at("fp32")

    def graph_at(self, precision: str) -> Graph:
        """The network that reconstructs in one of :data:`PRECISIONS`; its inputs and outputs are float32 in each.

        Raises BundleError for one that the bundle does not hold.
        """
        held = self.manifest.get("precisions", {"fp32": {"file": NETWORK}})
        if precision not in held:
            raise BundleError("bundle %s holds no %s network, it has %s; type: python -m export precisions %s" % (
                self.path, precision, ", ".join(sorted(held)), self.path))
        shape = (1, 3, self.input_size, self.input_size)
        return Graph(self.file(str(held[precision]["file"])), self.input_name, shape, self.outputs)

    def file(self, name: str) -> str:
        """Path of one file of the bundle; BundleError if the manifest does not list it."""
        if name not in self.manifest["files"]:
            held = ", ".join(sorted(self.manifest["files"]))
            raise BundleError("bundle %s has no %s; it holds %s" % (self.path, name, held))
        return os.path.join(self.path, name)


def sha256_file(path: str) -> str:
    """Hexadecimal SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as handle:
        for block in iter(lambda: handle.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def resolve(name_or_path: str) -> str:
    """A shipped bundle's name, or a path, to a folder. A name holds no path separator."""
    shipped = os.path.join(SHIPPED, name_or_path)
    if os.sep not in name_or_path and not os.path.isdir(name_or_path) and os.path.isdir(shipped):
        return shipped
    return name_or_path


def read_manifest(path: str) -> Dict[str, Any]:
    """Parse ``manifest.json`` of a bundle folder and check format and version."""
    source = os.path.join(path, "manifest.json")
    if not os.path.isfile(source):
        shipped = sorted(os.listdir(SHIPPED)) if os.path.isdir(SHIPPED) else []
        raise BundleError(
            "no bundle at %s: there is no manifest.json in it. Give a bundle folder, or one of the shipped names: %s"
            % (path, ", ".join(shipped) or "(none)")
        )
    try:
        with open(source, encoding="utf-8") as handle:
            manifest = json.load(handle)
    except ValueError as error:
        raise BundleError("%s is not valid JSON (%s); copy the bundle again or re-export it" % (source, error))
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise BundleError("%s does not describe a carcloud bundle (format %r, wanted %r)" % (
            source, manifest.get("format") if isinstance(manifest, dict) else None, FORMAT))
    if manifest.get("format_version") != FORMAT_VERSION:
        raise BundleError(
            "bundle %s has format version %r and this carcloud reads %d; export it again with the carcloud that runs it"
            % (path, manifest.get("format_version"), FORMAT_VERSION)
        )
    return manifest


def load_bundle(name_or_path: str, verify: bool = True) -> Bundle:
    """Open a bundle and, unless ``verify`` is False, check the SHA-256 of every file in it.

    Raises BundleError: missing, damaged, altered, or of another format version.
    """
    path = resolve(name_or_path)
    manifest = read_manifest(path)
    try:
        for name, entry in manifest["files"].items():
            _check_file(path, name, entry, verify)
        spec, prior = manifest["input"], manifest["length_prior_m"]
        outputs = _outputs(path, manifest["outputs"])
        if "vertices" in outputs and FACES not in manifest["files"]:
            raise BundleError("bundle %s gives vertices and holds no %s that joins them; export the bundle again"
                              % (path, FACES))
        return Bundle(
            path=path,
            manifest=manifest,
            input_name=str(spec["name"]),
            input_size=int(spec["shape"][2]),
            mean=np.asarray(spec["mean"], dtype=np.float32),
            std=np.asarray(spec["std"], dtype=np.float32),
            margin=float(spec["margin"]),
            outputs=outputs,
            views=_views(path, manifest["views"], outputs["maps"][1]) if "maps" in outputs else None,
            threshold=float(manifest["fusion"]["mask_threshold"]) if "maps" in outputs else 0.0,
            grid=_grid(path, manifest["grid"]) if "occupancy" in outputs else None,
            classes=_classes(path, manifest["classes"], outputs["classes"][1]) if "classes" in outputs else (),
            length_prior=LengthPrior(float(prior["mean"]), float(prior["std"])),
            finder=_finder(path, manifest) if "finder" in manifest else None,
            silhouette=_silhouette(path, manifest) if "silhouette" in manifest else None,
        )
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise BundleError("manifest of %s lacks or garbles %s; export the bundle again" % (path, error))


def _outputs(path: str, listed: Dict[str, Any]) -> Dict[str, Tuple[int, ...]]:
    """Shape of each output. Raises BundleError: one nobody here knows, of an impossible shape, or none for a cloud."""
    shapes = {}
    for name, entry in listed.items():
        if name not in OUTPUTS:
            raise BundleError(
                "bundle %s has an output %r and this carcloud knows %s only; export it again with the carcloud that "
                "runs it" % (path, name, ", ".join(OUTPUTS))
            )
        shapes[name] = tuple(int(n) for n in entry["shape"])
        wanted = OUTPUTS[name]
        fits = len(shapes[name]) == len(wanted) and all(w in (None, n) for n, w in zip(shapes[name], wanted))
        if not fits or min(shapes[name]) < 1:
            text = ", ".join("N" if n is None else str(n) for n in wanted)
            raise BundleError("bundle %s gives its output %s the shape %s, wanted (%s); export the bundle again" % (
                path, name, shapes[name], text))
    if not any(name in shapes for name in CLOUD_OUTPUTS):
        raise BundleError(
            "bundle %s gives %s, of which no cloud can be made; it needs one of %s. Export the bundle again"
            % (path, ", ".join(shapes) or "nothing", ", ".join(CLOUD_OUTPUTS))
        )
    if "error" in shapes and shapes["error"] != shapes.get("points", ())[:2]:
        raise BundleError("bundle %s tells the error of other points than it gives: error %s, points %s; export the "
                          "bundle again" % (path, shapes["error"], shapes.get("points", "none")))
    return shapes


def _views(path: str, spec: Dict[str, Any], count: int) -> Views:
    views = Views(np.asarray(spec["rotations"], dtype=np.float32), float(spec["width"]), float(spec["distance"]))
    if views.rotations.shape != (count, 3, 3):
        raise BundleError("bundle %s has maps of %d views and describes views of shape %s, wanted (%d, 3, 3); export "
                          "the bundle again" % (path, count, views.rotations.shape, count))
    return views


def _grid(path: str, corners: Any) -> np.ndarray:
    grid = np.asarray(corners, dtype=np.float32).reshape(2, 3)
    if not (grid[1] > grid[0]).all():
        raise BundleError("bundle %s has a grid whose upper corner is not above its lower one: %s; export the bundle "
                          "again" % (path, grid.reshape(-1).tolist()))
    return grid


def _classes(path: str, names: Any, count: int) -> Tuple[str, ...]:
    if len(names) != count:
        raise BundleError("bundle %s names %d body classes and its network tells %d apart; export the bundle again"
                          % (path, len(names), count))
    return tuple(str(name) for name in names)


def _finder(path: str, manifest: Dict[str, Any]) -> FinderSpec:
    spec = manifest["finder"]
    file, given = str(spec["file"]), spec["input"]
    if file not in manifest["files"]:
        raise BundleError("bundle %s names a finder %s that is not among its files; export the bundle again" % (
            path, file))
    shapes = {str(name): tuple(int(n) for n in shape) for name, shape in spec["outputs"].items()}
    classes, cells = tuple(str(name) for name in spec["classes"]), shapes["boxes"][1]
    wanted = {"boxes": (1, cells, 4), "scores": (1, cells, len(classes))}
    if shapes != wanted or "car" not in classes:
        raise BundleError("bundle %s has a finder that gives %s of the classes %s; wanted are %s and the class car. "
                          "Export the bundle again" % (path, shapes, ", ".join(classes), wanted))
    graph = Graph(os.path.join(path, file), str(given["name"]), tuple(int(n) for n in given["shape"]), shapes)
    mean, std = (np.asarray(given[name], dtype=np.float32).reshape(3) for name in ("mean", "std"))
    return FinderSpec(graph, mean, std, classes, dict(spec["anchors"]))


def _silhouette(path: str, manifest: Dict[str, Any]) -> SilhouetteSpec:
    spec = manifest["silhouette"]
    file, given, threshold = str(spec["file"]), spec["input"], float(spec["threshold"])
    if file not in manifest["files"]:
        raise BundleError("bundle %s names a silhouette network %s that is not among its files; export the bundle again"
                          % (path, file))
    shape = tuple(int(n) for n in given["shape"])
    outputs = {str(name): tuple(int(n) for n in size) for name, size in spec["outputs"].items()}
    square = len(shape) == 4 and shape[:2] == (1, 3) and shape[2] == shape[3] > 0
    if not square or outputs != {"mask": (1, 1) + shape[2:]} or not 0 < threshold < 1:
        raise BundleError("bundle %s has a silhouette network that makes %s of %s and calls a pixel the car's from %g; "
                          "wanted are mask (1, 1, S, S), (1, 3, S, S), and a number between 0 and 1. Export the bundle "
                          "again" % (path, outputs, shape, threshold))
    graph = Graph(os.path.join(path, file), str(given["name"]), shape, outputs)
    mean, std = (np.asarray(given[name], dtype=np.float32).reshape(3) for name in ("mean", "std"))
    return SilhouetteSpec(graph, mean, std, threshold)


def _check_file(folder: str, name: str, entry: Dict[str, Any], verify: bool) -> None:
    if os.path.basename(name) != name:
        raise BundleError("manifest of %s names %r, which lies outside the bundle" % (folder, name))
    target = os.path.join(folder, name)
    if not os.path.isfile(target):
        raise BundleError("bundle %s is incomplete: %s is missing; copy the bundle again" % (folder, name))
    if verify and sha256_file(target) != entry["sha256"]:
        raise BundleError(
            "%s does not match the hash in its manifest: it was altered or cut short; copy the bundle again" % target
        )
