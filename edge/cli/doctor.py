"""``carcloud doctor``: what works here, what does not, and the command that mends it."""

import argparse
import json
import sys
import textwrap
from typing import Any, List

from edge import settings
from edge.cli.checks import ERROR, OK, WARNING, Check, run_checks

DESCRIPTION = """Look at everything carcloud needs on this machine: board, power mode, heat, memory, disk and clock;
Python, NumPy, OpenCV, CUDA, TensorRT, Flask; the bundle (hashes, and its golden sample through the backend), its
engines, and who could change them; cameras and their modes; the server's port and token. Each line is ok, a warning or
an error; below a warning or an error stands the command that mends it. Nothing is changed."""

#: Columns of the screen, and those before the text.
COLUMNS, INDENT = 120, 19
EPILOG = """examples:
  carcloud doctor
  carcloud doctor --bundle ./my-bundle --port 8080
  carcloud doctor --settings /etc/carcloud/settings.json
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
    settings.add_arguments(parser, ("bundle", "backend", "threads", "precision", "engines", "host", "port",
                                    "token_file", "no_auth"))
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
    """The lines for people, of at most :data:`COLUMNS` but for commands, which must stay whole; the level in colour on
    a terminal."""
    codes = {OK: "32", WARNING: "33", ERROR: "31"}
    lines = []
    for check, following in zip(checks, checks[1:] + [Check("", OK, "")]):
        level = "%-7s" % check.level
        shown = "\033[%sm%s\033[0m" % (codes[check.level], level) if colour else level
        first, *more = textwrap.wrap(check.text, COLUMNS - INDENT, break_on_hyphens=False) or [""]
        lines.append("%s  %-9s %s" % (shown, check.name, first))
        lines += [" " * INDENT + line for line in more]
        if check.fix and check.fix != following.fix:  # what mends two lines is said once
            lines.append("%sto mend it: %s" % (" " * INDENT, check.fix))
    errors, warnings = (sum(check.level == level for check in checks) for level in (ERROR, WARNING))
    verdict = "all is well" if errors + warnings == 0 else "%d errors, %d warnings" % (errors, warnings)
    return lines + ["", verdict]
