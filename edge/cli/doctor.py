"""``carcloud doctor``: what works here, what does not, and the command that mends it."""

import argparse
import json
import sys
from typing import Any, List

from edge import settings
from edge.cli.checks import ERROR, OK, WARNING, Check, run_checks

DESCRIPTION = """Look at everything carcloud needs on this machine: Python, NumPy, OpenCV, Flask, the network's backend,
the bundle (hashes, and its golden sample through the backend), cameras, memory, disk, the server's port. Each line
is ok, a warning or an error; below a warning or an error stands the command that mends it. Nothing is changed."""

EPILOG = """examples:
  carcloud doctor
  carcloud doctor --bundle ./my-bundle --port 8080
  carcloud doctor --json

exit code: 0 without an error, 1 with one.
"""


def register(subparsers: Any) -> None:
    """Add the ``doctor`` command."""
    parser = subparsers.add_parser(
        "doctor", help="check this machine, and say how to mend what is wrong", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    settings.add_arguments(parser, ("bundle", "backend", "threads", "precision", "engines", "host", "port"))
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the checks and print them; 1 if one is an error."""
    chosen = settings.from_options(options)
    if options.print_config:
        print(settings.to_json(chosen), end="")
        return 0
    checks = run_checks(chosen)
    if options.json:
        print(json.dumps([check._asdict() for check in checks], indent=1))
    else:
        print("\n".join(report(checks, sys.stdout.isatty())))
    return 1 if any(check.level == ERROR for check in checks) else 0


def report(checks: List[Check], colour: bool) -> List[str]:
    """The lines for people; the level in colour on a terminal."""
    codes = {OK: "32", WARNING: "33", ERROR: "31"}
    lines = []
    for check in checks:
        level = "%-7s" % check.level
        lines.append(
            "%s  %-9s %s"
            % ("\033[%sm%s\033[0m" % (codes[check.level], level) if colour else level, check.name, check.text)
        )
        if check.fix:
            lines.append("%sto mend it: %s" % (" " * 19, check.fix))
    errors, warnings = (sum(check.level == level for check in checks) for level in (ERROR, WARNING))
    verdict = "all is well" if errors + warnings == 0 else "%d errors, %d warnings" % (errors, warnings)
    return lines + ["", verdict]
