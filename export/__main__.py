"""``python -m export bundle|figures``: a trained run to a bundle."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edge.errors import CarcloudError, DataError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    bundle = commands.add_parser("bundle", help="export a checkpoint", description="Export a run's averaged weights.")
    bundle.add_argument(
        "--checkpoint", type=Path, default=Path("runs/lin2018/last.pt"), help="made by: python -m training train"
    )
    bundle.add_argument("--out", type=Path, default=Path("edge/bundles/lin2018"), help="bundle folder to write")
    bundle.add_argument("--name", help="name in the manifest (default: that of the folder)")
    bundle.add_argument("--data", type=Path, help="shards, for golden inputs from validation pictures")
    bundle.set_defaults(run=run_bundle)
    figures = commands.add_parser("figures", help="record CarPC-1 figures in a bundle's manifest")
    figures.add_argument("bundle", type=Path)
    figures.add_argument("results", type=Path, help="results.json of: python -m training benchmark")
    figures.set_defaults(run=run_figures)
    return parser


def run_bundle(options: argparse.Namespace) -> int:
    """Export and print what was written."""
    from export.bundle import write_bundle

    manifest = write_bundle(options.checkpoint, options.out, options.name or options.out.name, options.data)
    for name, entry in manifest["files"].items():
        print(f"{options.out / name}: {entry['bytes'] / 1e6:.1f} MB, sha256 {entry['sha256'][:16]}...")
    print(
        f"opset {manifest['checks']['onnx_opset']} asserted; {manifest['network']['parameters'] / 1e6:.2f} M "
        f"parameters, {manifest['network']['gflop']} GFLOP"
    )
    for which, entry in manifest["checks"]["max_difference_to_pytorch"].items():
        print(
            f"largest difference to PyTorch, graph as {which}: geometry {entry['geometry']:.1e} (allowed "
            f"{entry['tolerance'][0]}), mask logit {entry['logit']:.1e} (allowed {entry['tolerance'][1]})"
        )
    return 0


def run_figures(options: argparse.Namespace) -> int:
    """Copy the network's rows of a results file into the manifest."""
    from export.bundle import record_figures

    try:
        results = json.loads(options.results.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{options.results} cannot be read ({error}); run: python -m training benchmark") from None
    record_figures(options.bundle, results)
    print(f"recorded in {options.bundle / 'manifest.json'}")
    return 0


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
