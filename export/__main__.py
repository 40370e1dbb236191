"""``python -m export bundle|finder|silhouette|figures|estimate|lint``: runs to a bundle, and what suits it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from edge.bundle import DEFAULT, PRECISIONS, read_manifest
from edge.errors import CarcloudError, DataError
from edge.targets import TARGETS, find_target


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    bundle = commands.add_parser("bundle", help="export a checkpoint", description="Export a run's averaged weights.")
    bundle.add_argument(
        "--checkpoint", type=Path, default=Path("runs", DEFAULT, "last.pt"), help="made by: python -m training train"
    )
    bundle.add_argument("--out", type=Path, default=Path("edge/bundles", DEFAULT), help="bundle folder to write")
    bundle.add_argument("--name", help="name in the manifest (default: that of the folder)")
    bundle.add_argument("--data", type=Path, help="shards, for golden inputs from validation pictures")
    bundle.add_argument(
        "--fc-rank", type=int, metavar="N", help="store large fully connected layers as two of rank N (default: whole)"
    )
    bundle.add_argument(
        "--components", type=int, metavar="N",
        help="keep the N directions of a morphable model's shapes that pictures use most (default: all; needs --data)",
    )  # fmt: skip
    bundle.set_defaults(run=run_bundle)
    finder = commands.add_parser(
        "finder", help="put a car detector into a bundle", description="Put a public car detector into a bundle."
    )
    finder.add_argument("--bundle", type=Path, required=True, metavar="DIR", help="bundle folder to complete")
    finder.add_argument(
        "--package", type=Path, metavar="FILE.tgz", help="the detector's npm package (default: npm fetches it)"
    )
    finder.set_defaults(run=run_finder)
    silhouette = commands.add_parser(
        "silhouette",
        help="put a silhouette network into a bundle",
        description="Put the averaged network of a run of: python -m training silhouette, into a bundle.",
    )
    silhouette.add_argument("bundle", type=Path, help="bundle folder to complete")
    silhouette.add_argument(
        "--run", dest="run_folder", type=Path, default=Path("runs/silhouette"), help="its run folder"
    )
    silhouette.set_defaults(run=run_silhouette)
    golden = commands.add_parser(
        "golden", help="golden outputs of a bundle's finder and silhouette network",
        description="Store what finder and silhouette network give for frames of the demo clip, which engines of them "
        "are checked with on the device. The commands finder and silhouette do it by themselves.",
    )  # fmt: skip
    golden.add_argument("bundle", type=Path, help="bundle folder to complete")
    golden.set_defaults(run=run_golden)
    figures = commands.add_parser("figures", help="record CarPC-1 figures in a bundle's manifest")
    figures.add_argument("bundle", type=Path)
    figures.add_argument("results", type=Path, help="results.json of: python -m training benchmark")
    figures.add_argument("--precision", default="fp32", choices=PRECISIONS, help="of which file (default: %(default)s)")
    figures.set_defaults(run=run_figures)
    guess = commands.add_parser(
        "estimate", help="a Jetson Nano's time for a network", description="Estimated, not measured: docs/estimate.md."
    )
    guess.add_argument("graph", type=Path, nargs="?", metavar="BUNDLE_OR_ONNX", help="bundle folder or .onnx file")
    guess.add_argument("--precision", default="fp16", help="fp16 or fp32 (default: %(default)s)")
    guess.add_argument("--layers", action="store_true", help="print the time of every layer")
    guess.add_argument("--check", action="store_true", help="compare with networks whose times are published")
    guess.set_defaults(run=run_estimate)
    lint = commands.add_parser(
        "lint", help="will a network build on every target", description="The rules and their sources: docs/lint.md."
    )
    lint.add_argument("path", type=Path, metavar="BUNDLE_OR_ONNX", help="bundle's folder or name, or .onnx file")
    lint.add_argument(
        "--target", action="append", metavar="NAME", help=f"{', '.join(TARGETS)}; may be repeated (default: all)"
    )
    lint.set_defaults(run=run_lint)
    _precisions(commands)
    return parser


def _precisions(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands that make and compare further precisions."""
    made = commands.add_parser(
        "precisions", help="put FP16 and INT8 networks into a bundle",
        description="Make the bundle's network in further precisions, judge and store them: docs/precision.md.",
    )  # fmt: skip
    made.add_argument("bundle", type=Path, help="bundle folder to complete")
    made.add_argument("--data", type=Path, required=True, help="shards, made by: python -m training data")
    made.add_argument("--photos", type=Path, help="folder of photos of cars to calibrate on as well")
    made.add_argument("--only", default="", metavar="LIST", help="comma list out of: fp16, int8, int8-cpu")
    made.set_defaults(run=run_precisions)
    compared = commands.add_parser(
        "table", help="the precisions of a bundle side by side", description="CarPC-1, megabytes and milliseconds."
    )
    compared.add_argument("bundle", help="bundle folder or the name of a shipped one")
    compared.set_defaults(run=run_table)


def run_bundle(options: argparse.Namespace) -> int:
    """Export and print what was written."""
    from export.bundle import write_bundle

    name = options.name or options.out.name
    manifest = write_bundle(options.checkpoint, options.out, name, options.data, options.fc_rank, options.components)
    network, checks = manifest["network"], manifest["checks"]
    for file, entry in manifest["files"].items():
        print(f"{options.out / file}: {entry['bytes'] / 1e6:.1f} MB, sha256 {entry['sha256'][:16]}...")
    print(
        f"opset {checks['onnx_opset']} asserted; {network['parameters'] / 1e6:.2f} M parameters, "
        f"{network['gflop']} GFLOP; Jetson Nano, estimated: {_spoken(network['nano_ms_estimate'])}"
    )
    for which, found in checks["max_difference_to_pytorch"].items():
        print(f"largest differences to PyTorch, graph as {which}:")
        for part, entry in found.items():
            print(f"  {part}: {entry['difference']:.1e} (allowed {entry['tolerance']:g})")
    for part, entry in checks.get("low_rank", {}).get("difference_to_full", {}).items():
        print(f"thinner layers move {part} by {entry['mean']:.1e} on average, {entry['max']:.1e} at most")
    return 0


def run_finder(options: argparse.Namespace) -> int:
    """Put the detector in and print what it is."""
    from export.finder import FILE, write_finder
    from export.golden import write_golden
    from export.guests import GOLDEN

    written = write_finder(options.bundle, options.package)
    if written or GOLDEN not in read_manifest(str(options.bundle))["finder"]:
        write_golden(options.bundle, "finder")
    manifest = read_manifest(str(options.bundle))
    finder = manifest["finder"]
    print(_put(options.bundle / FILE, manifest, written))
    print(
        f"finds {', '.join(finder['classes'])}; Jetson Nano, estimated: {_spoken(finder['nano_ms_estimate'])}; "
        f"from {finder['source']['package']} {finder['source']['version']}, {finder['source']['licence']}"
    )
    return 0


def run_silhouette(options: argparse.Namespace) -> int:
    """Put the silhouette network in and print what it is."""
    from export.golden import write_golden
    from export.guests import GOLDEN
    from export.silhouette import FILE, write_silhouette

    written = write_silhouette(options.bundle, options.run_folder)
    if written or GOLDEN not in read_manifest(str(options.bundle))["silhouette"]:
        write_golden(options.bundle, "silhouette")
    manifest = read_manifest(str(options.bundle))
    network = manifest["silhouette"]
    print(_put(options.bundle / FILE, manifest, written))
    print(
        f"Jetson Nano, estimated: {_spoken(network['nano_ms_estimate'])}; largest difference to PyTorch "
        f"{network['max_difference_to_pytorch']:g}; trained on {network['training']['samples']} crops"
    )
    return 0


def _put(path: Path, manifest: dict[str, Any], written: bool) -> str:
    """What is said of a network's file in a bundle."""
    entry = manifest["files"][path.name]
    what = "written" if written else "as it was, nothing written"
    return f"{path}: {entry['bytes'] / 1e6:.1f} MB, sha256 {entry['sha256'][:16]}..., {what}"


def run_golden(options: argparse.Namespace) -> int:
    """Store golden outputs of the networks beside the reconstructor that there are."""
    from export.golden import write_golden

    sections = [name for name in ("finder", "silhouette") if name in read_manifest(str(options.bundle))]
    for section in sections:
        write_golden(options.bundle, section)
        print(f"{options.bundle}: golden outputs of the {section} written")
    if not sections:
        raise DataError(f"{options.bundle} has neither finder nor silhouette; there is nothing to store")
    return 0


def run_figures(options: argparse.Namespace) -> int:
    """Copy the network's rows of a results file into the manifest."""
    from export.bundle import record_figures

    try:
        results = json.loads(options.results.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{options.results} cannot be read ({error}); run: python -m training benchmark") from None
    record_figures(options.bundle, results, options.precision)
    print(f"recorded in {options.bundle / 'manifest.json'}")
    return 0


def run_precisions(options: argparse.Namespace) -> int:
    """Make further precisions, saying what each is like."""
    from export.precisions import write_precisions

    only = [name.strip() for name in options.only.split(",") if name.strip()]
    write_precisions(options.bundle, options.data, options.photos, only)
    return 0


def run_table(options: argparse.Namespace) -> int:
    """Print the table, its times measured now."""
    from export.table import table

    print(table(options.bundle))
    return 0


def run_estimate(options: argparse.Namespace) -> int:
    """Print the estimate of a graph, its layers, and how the estimator does on published networks."""
    from export.estimate import estimate, layer_table
    from export.published import RATIO, check

    if options.graph is None and not options.check:
        raise DataError("nothing to estimate: give a bundle's folder or a .onnx file, or --check")
    if options.graph is not None:
        result = estimate(options.graph, options.precision)
        if options.layers:
            print(layer_table(result))
        print(
            f"{options.graph}: {_spoken(result.record())} on a Jetson Nano (TensorRT, {options.precision.upper()}, "
            f"batch 1, network only; estimated, not measured), {len(result.layers)} layers, {result.gflop:.2f} GFLOP"
        )
    if options.check:
        print(f"{'network':<24} {'GFLOP':>6} {'predicted':>9} {'observed':>8} ratio")
        rows = check()
        for row in rows:
            print(f"{row.name:<24} {row.gflop:6.2f} {row.predicted:9.2f} {row.observed:8.2f} {row.ratio:5.2f}")
        outside = [row.name for row in rows if not RATIO[0] <= row.ratio <= RATIO[1]]
        print(f"outside {RATIO[0]} to {RATIO[1]}: {', '.join(outside) or 'none'}")
        return 1 if outside else 0
    return 0


def run_lint(options: argparse.Namespace) -> int:
    """Print every finding, then a verdict for each file and target; 1 where there is an error."""
    from export.lint import lint

    verdicts = lint(options.path, [find_target(name).name for name in options.target or TARGETS])
    for verdict in verdicts:
        for finding in verdict.findings:
            print(f"{finding.level}: {finding.file}: {finding.sentence}")
    for verdict in verdicts:
        errors = len(verdict.errors)
        said = f"refused, {errors} errors" if errors else "passes"
        print(f"{verdict.target}: {verdict.file}: {said}, {len(verdict.findings) - errors} warnings")
    return 1 if any(verdict.errors for verdict in verdicts) else 0


def _spoken(entry: dict[str, float]) -> str:
    return f"{entry['ms']:.1f} ms ({entry['low']:.1f} to {entry['high']:.1f})"


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, and turn a CarcloudError into one sentence and an exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except CarcloudError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
