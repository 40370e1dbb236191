"""``carcloud record``: what a server shows, to a log on this machine."""

import argparse
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from edge.cli.access import add_access, read_access
from edge.errors import SettingsError

if TYPE_CHECKING:
    from edge.client.recorder import Recorder

#: Seconds between two lines about how far it is, on a terminal and in a pipe.
LINE_TERMINAL, LINE_PIPE = 0.5, 5.0

DESCRIPTION = """Record the clouds, camera pictures and state of a carcloud server to a log, until Ctrl-C. A server that
goes away is waited for. Kill the command, fill the disk, pull the plug: the log opens, and lacks at most its last
frame."""

EPILOG = """examples:
  carcloud record http://192.168.1.20:8000 --out drive.cclog --token-file nano-token
  carcloud record http://127.0.0.1:8000 --out drive.cclog --seconds 60
  carcloud record https://nano.local:8000 --out drive.cclog --token-file nano-token --fingerprint 19:82:76:...
  carcloud replay drive.cclog                     watch it again
  carcloud export drive.cclog --format ply --out clouds/
"""


def register(subparsers: Any) -> None:
    """Add the ``record`` command."""
    parser = subparsers.add_parser(
        "record", help="record a server's clouds and pictures to a log", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", metavar="URL", help="the server's address, such as http://192.168.1.20:8000")
    parser.add_argument("--out", metavar="FILE", required=True, help="the log to write; made, never replaced")
    parser.add_argument("--append", action="store_true", help="add to a log that is there; a damaged end is cut off it")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so long (default: at Ctrl-C)")
    parser.add_argument("--clouds", type=int, metavar="N", help="stop after so many clouds")
    parser.add_argument("--no-pictures", action="store_true", help="clouds only: a fraction of the bytes")
    add_access(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Record until a signal, or as long as was asked for. Returns 0, or 1 if not a single cloud came."""
    from edge.client.log import LogWriter
    from edge.client.pull import PullClient
    from edge.client.recorder import Recorder
    from edge.runtime.pipeline import stop_on_signals

    if options.seconds is not None and not options.seconds > 0:
        raise SettingsError("--seconds is %g; give more than 0" % options.seconds)
    if options.clouds is not None and options.clouds < 1:
        raise SettingsError("--clouds is %d; give 1 or more" % options.clouds)
    [(url, token, trust)] = read_access(options, [options.url])
    PullClient(url, token, trust)  # a wrong address or certificate file is said before a log is made
    with stop_on_signals() as stop, LogWriter(options.out, options.append) as log:
        for sentence in log.warnings:
            print("warning: %s" % sentence, file=sys.stderr)
        recorder = Recorder(log, url, token, not options.no_pictures, trust)
        print("recording %s to %s; Ctrl-C stops" % (recorder.url, options.out), flush=True)
        try:
            with recorder:
                _watch(recorder, options, stop)
            recorder.wait(0)
        finally:
            tally = recorder.tally()
            print("recorded %s: %s" % (options.out, tally.sentence()), flush=True)
    return 0 if tally.clouds else 1


def _watch(recorder: "Recorder", options: argparse.Namespace, stop: threading.Event) -> None:
    """Say how far it is until it is done."""
    terminal = sys.stderr.isatty()
    said = time.monotonic()
    while not stop.is_set():
        recorder.wait(0.1)
        tally, now = recorder.tally(), time.monotonic()
        if now - said >= (LINE_TERMINAL if terminal else LINE_PIPE):
            said = now
            sys.stderr.write(("\r\033[K%s" if terminal else "%s\n") % tally.sentence())
            sys.stderr.flush()
        if options.seconds is not None and tally.seconds >= options.seconds:
            break
        if options.clouds is not None and tally.clouds >= options.clouds:
            break
    if terminal:
        sys.stderr.write("\n")
