"""The bundle: a folder that is all the device needs, described and sealed by ``manifest.json``."""

import hashlib
import json
import os
from typing import Any, Dict, NamedTuple, Tuple

import numpy as np

from edge.errors import BundleError
from edge.geometry import Views

FORMAT = "carcloud-bundle"
FORMAT_VERSION = 1
#: Bundles that ship with the package.
SHIPPED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bundles")
DEFAULT = "lin2018"


class Bundle(NamedTuple):
    """An opened, verified bundle.

    path: folder. manifest: the parsed manifest.
    input_size: side of the square network input in pixels.
    mean, std: (3,) float32, applied to RGB in 0..1.
    margin: how far the crop reaches beyond the car's box on each side, as a part of its longer edge.
    views: the fixed views of the output maps. threshold: mask logit above which a pixel is a point.
    """

    path: str
    manifest: Dict[str, Any]
    input_name: str
    input_size: int
    mean: np.ndarray
    std: np.ndarray
    margin: float
    output_name: str
    output_shape: Tuple[int, ...]
    views: Views
    threshold: float

    @property
    def name(self) -> str:
        return str(self.manifest["name"])

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
        views, spec, out = manifest["views"], manifest["input"], manifest["output"]
        return Bundle(
            path=path,
            manifest=manifest,
            input_name=str(spec["name"]),
            input_size=int(spec["shape"][2]),
            mean=np.asarray(spec["mean"], dtype=np.float32),
            std=np.asarray(spec["std"], dtype=np.float32),
            margin=float(spec["margin"]),
            output_name=str(out["name"]),
            output_shape=tuple(int(n) for n in out["shape"]),
            views=Views(
                np.asarray(views["rotations"], dtype=np.float32), float(views["width"]), float(views["distance"])
            ),
            threshold=float(manifest["fusion"]["mask_threshold"]),
        )
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise BundleError("manifest of %s lacks or garbles %s; export the bundle again" % (path, error))


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
