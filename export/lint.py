"""Will a network build, and compute in FP16, on every target? Asked before a bundle is written, and on its own.

    python -m export lint BUNDLE_OR_ONNX --target nano-jp46

The rules are in :mod:`export.lint_rules` and :mod:`export.lint_half`; docs/lint.md tells them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edge.bundle import Bundle, load_bundle, resolve
from edge.errors import DataError
from edge.targets import TARGETS, Target
from export import lint_half
from export.graph import ExportError
from export.lint_graph import ERROR, Facts, Problem, gather
from export.lint_rules import RULES
from export.operators import versions_of

#: From this version of TensorRT on the precision lives in the file: the fp16 file is for it.
STRONGLY_TYPED = "11"


class Finding(NamedTuple):
    """What is wrong with a file on a target. node: its name, "" for the file as a whole. level: "error", "warning"."""

    target: str
    file: str
    node: str
    level: str
    sentence: str


class Linted(NamedTuple):
    """The verdict on one file for one target."""

    target: str
    file: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.level == ERROR)


class Network(NamedTuple):
    """A file to lint. precision: one of ``edge.bundle.PRECISIONS``. samples: (N, ...) float32 inputs, or None."""

    path: Path
    precision: str
    samples: np.ndarray | None


def serves(precision: str, target: Target) -> bool:
    """Whether a target runs the file of a precision."""
    if precision == "fp32":
        return True
    if precision == "fp16":
        return STRONGLY_TYPED in versions_of(target)
    return "int8" in target.precisions and (target.tensorrt is None) == (precision == "int8-cpu")


def lint(path: Path, names: Iterable[str] = tuple(TARGETS)) -> list[Linted]:
    """Lint a bundle (its folder, or a shipped one's name) or an .onnx file, as fp32, for the targets of these names.

    Returns a verdict for each file and target that runs it. Raises DataError or BundleError: it cannot be read.
    """
    folder = Path(resolve(str(path)))
    networks = networks_of(load_bundle(str(folder))) if folder.is_dir() else [Network(path, "fp32", None)]
    return [verdict for network in networks for verdict in lint_network(network, names)]


def lint_network(network: Network, names: Iterable[str] = tuple(TARGETS)) -> list[Linted]:
    """Lint one file for those of the targets that run it. Raises DataError: it cannot be read."""
    try:
        model = onnx.load(str(network.path), load_external_data=False)
    except (OSError, DecodeError) as error:
        raise DataError(
            f"{network.path} cannot be read as an ONNX file ({error}); give a bundle or an .onnx file"
        ) from None
    measured = {} if network.samples is None else lint_half.measure(model, network.samples)
    facts = gather(model, measured)
    targets = [TARGETS[name] for name in names if serves(network.precision, TARGETS[name])]
    return [Linted(target.name, network.path.name, _findings(facts, target, network.path.name)) for target in targets]


def _findings(facts: Facts, target: Target, file: str) -> tuple[Finding, ...]:
    versions = versions_of(target)
    problems = [problem for rule in (*RULES, *lint_half.RULES) for problem in rule(facts, target, versions)]
    return tuple(Finding(target.name, file, p.node, p.level, _sentence(p, target)) for p in dict.fromkeys(problems))


def _sentence(problem: Problem, target: Target) -> str:
    return f"{problem.where} on {target.title}: {problem.why}; {problem.instead}"


def networks_of(bundle: Bundle) -> list[Network]:
    """The networks of a bundle, with its golden pictures as samples, made to fit those beside the reconstructor.

    Raises BundleError: the bundle has no golden.npz.
    """
    held = bundle.manifest.get("precisions", {"fp32": None})
    with np.load(bundle.file("golden.npz")) as golden:
        images = golden["image"]
    networks = [Network(Path(bundle.graph_at(name).path), name, images) for name in held]
    pictures = images * bundle.std.reshape(1, 3, 1, 1) + bundle.mean.reshape(1, 3, 1, 1)
    for guest in (bundle.finder, bundle.silhouette):
        if guest is not None:
            height, width = guest.graph.input_shape[2:]
            rows, columns = (np.arange(n) * m // n for n, m in ((height, images.shape[2]), (width, images.shape[3])))
            fitted = pictures[:, :, rows][:, :, :, columns]
            samples = (fitted - guest.mean.reshape(1, 3, 1, 1)) / guest.std.reshape(1, 3, 1, 1)
            networks.append(Network(Path(guest.graph.path), "fp32", samples.astype(np.float32)))
    return networks


def require_clean(path: Path, precision: str = "fp32", samples: np.ndarray | None = None) -> None:
    """Raise ExportError with every sentence of every error that a file, or a bundle's folder, has on any target.

    precision, samples: of a file; those of a bundle are its own.
    """
    verdicts = lint(path) if path.is_dir() else lint_network(Network(path, precision, samples))
    errors = [finding for verdict in verdicts for finding in verdict.errors]
    if errors:
        lines = "\n".join(f"  {finding.file}: {finding.sentence}" for finding in errors)
        raise ExportError(f"{path} would not run on every target:\n{lines}")
