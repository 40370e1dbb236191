"""``carcloud view``: the clouds of one or several servers in a window."""

import argparse
import sys
import time
from contextlib import ExitStack
from typing import Any, List

from edge.cli.access import add_access, read_access
from edge.errors import CarcloudError, SettingsError, WindowError

#: Seconds to wait for the first clouds before a picture is saved without them.
PATIENCE = 30.0

DESCRIPTION = """Show the clouds of one or several carcloud servers side by side in a window of Open3D (pip install
open3d-cpu). A server that goes away is waited for. The terminal tells each one's age and losses.

mouse: turn; with Ctrl: move; with Shift: roll; wheel: nearer
"""

EPILOG = """examples:
  carcloud view http://192.168.1.20:8000 --token-file nano-token
  carcloud view http://pole1:8000 http://pole2:8000 --mode confidence
  carcloud view https://nano.local:8000 --token-file nano-token --fingerprint 19:82:76:...
  carcloud view http://127.0.0.1:8000 --screenshot car.png
"""
MODES = ("picture", "confidence", "source", "height")


def register(subparsers: Any) -> None:
    """Add the ``view`` command."""
    from edge.client.viewing import View

    keys = "\n".join("  %s  %s" % item for item in View.KEYS.items())
    parser = subparsers.add_parser(
        "view", help="one or several servers' clouds in a window", description=DESCRIPTION + keys, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("urls", metavar="URL", nargs="+", help="a server's address, such as http://192.168.1.20:8000")
    parser.add_argument("--mode", choices=MODES, default=MODES[0], help="what colours mean (default: %(default)s)")
    parser.add_argument("--least", type=float, default=0.0, metavar="C", help="leave out points of less confidence")
    parser.add_argument("--screenshot", metavar="FILE", help="save a picture once every server gave a cloud, and end")
    add_access(parser, several=True)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Show until the window is closed or a signal comes; 0, or with --screenshot 1 if a server gave no cloud."""
    from edge.client.viewing import MOST, Feed, Mode, View
    from edge.client.window import Window
    from edge.runtime.pipeline import stop_on_signals

    if not 0 <= options.least <= MOST:
        raise SettingsError("--least is %g; give 0 to %g" % (options.least, MOST))
    if options.screenshot is not None and not options.screenshot.lower().endswith(".png"):
        raise WindowError("%s: a screenshot is a PNG; name the file so" % options.screenshot)
    accesses = read_access(options, options.urls)
    view = View(Mode[options.mode.upper()], options.least)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        feeds = [Feed(*access) for access in accesses]
        window = stack.enter_context(Window(feeds, view))
        for feed in feeds:
            stack.enter_context(feed)
        if options.screenshot is None:
            window.run(lambda: stop.is_set() or all_refused(feeds), Lines().say)
            refused(feeds)
            return 0
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not stop.is_set() and not all(feed.newest for feed in feeds):
            refused(feeds)
            window.refresh()
            time.sleep(0.05)
        window.refresh()
        print("saved %s" % window.screenshot(options.screenshot))
        for feed in feeds:
            print(feed.line(time.monotonic()))
        return 0 if all(feed.newest for feed in feeds) else 1


def all_refused(feeds: List[Any]) -> bool:
    """Whether no server will ever give a cloud."""
    return all(feed.failure is not None for feed in feeds)


def refused(feeds: List[Any]) -> None:
    """Raise what the first server said if none will ever give a cloud."""
    if all_refused(feeds):
        failure: CarcloudError = feeds[0].failure
        raise failure


class Lines:
    """Lines at the foot of a terminal, written over each other; none in a pipe."""

    def __init__(self) -> None:
        self._count = 0

    def say(self, lines: List[str]) -> None:
        """Show these lines instead of those before."""
        if not sys.stderr.isatty():
            return
        if self._count:
            sys.stderr.write("\033[%dA" % self._count)
        for line in lines:
            sys.stderr.write("\r\033[K%s\n" % line[:118])
        sys.stderr.flush()
        self._count = len(lines)
