"""``carcloud replay``: a log of ``carcloud record`` through the same server, page and requests as a camera."""

import argparse
import os
import sys
from contextlib import ExitStack
from typing import Any

import edge
from edge.cli.playback import Player
from edge.cli.progress import Progress
from edge.client.check import run_check
from edge.client.log import PICTURE, SESSION, STATUS, LogReader, sentence_of
from edge.client.pull import PullClient
from edge.client.trust import trust_in_own
from edge.errors import SettingsError
from edge.runtime.pipeline import stop_on_signals
from edge.server.app import ServerSettings, create_app
from edge.server.auth import check_bind, load_token
from edge.server.hub import Hub
from edge.server.serving import Server
from edge.server.tls import load_tls
from edge.settings import add_arguments, from_options, to_json

SETTINGS = ("host", "port", "token_file", "no_auth", "allow_hosts", "tls_cert", "tls_key", "camera_preview",
            "jpeg_quality", "max_clients")

DESCRIPTION = """Serve a log of carcloud record as carcloud serve serves a camera: the same page, the same requests, at
the speed at which it was recorded. A damaged end, as a kill leaves it, is left out, aloud; the file is not changed."""

EPILOG = """examples:
  carcloud replay drive.cclog                     page on http://127.0.0.1:8000/
  carcloud replay drive.cclog --loop --speed 2
"""


def register(subparsers: Any) -> None:
    """Add the ``replay`` command."""
    parser = subparsers.add_parser(
        "replay", help="serve a recorded log: the same page, without a camera", description=DESCRIPTION, epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", metavar="LOG", help="a log of carcloud record")
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    parser.add_argument("--speed", type=float, default=1.0, metavar="X", help="times as fast (default: %(default)s)")
    parser.add_argument("--check", type=int, metavar="N", help="pull N clouds from the server, check them, stop")
    add_arguments(parser, SETTINGS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal (exit code 0), or until ``--check`` is through (0 or 1)."""
    settings = from_options(options)
    if options.print_config:
        print(to_json(settings), end="")
        return 0
    if not 0.01 <= options.speed <= 100:
        raise SettingsError("--speed is %g; give 0.01 to 100" % options.speed)
    if options.check is not None and options.check < 1:
        raise SettingsError("--check is %d; give 1 or more" % options.check)
    token = load_token(os.path.expanduser(settings.token_file)) if settings.token_file else None
    check_bind(settings.host, token, settings.no_auth)
    tls = load_tls(settings.tls_cert, settings.tls_key)
    hub = Hub(settings.max_clients, settings.jpeg_quality)
    with ExitStack() as stack:
        log = stack.enter_context(LogReader(options.log))
        for sentence in log.warnings:
            print("warning: %s" % sentence, file=sys.stderr)
            hub.record_error(sentence)
        player = Player(log, hub, options.speed, options.loop)
        stop = stack.enter_context(stop_on_signals())
        server = Server(create_app(hub, ServerSettings(
            settings.host, token, settings.no_auth, settings.allow_hosts,
            settings.camera_preview and bool(log.of_kind(PICTURE)), "log of " + recorded_from(log), bundle_of(log))),
            settings.host, settings.port, tls)
        try:
            server.start()
            print("carcloud %s" % edge.__version__)
            print("  log      %s: %s" % (options.log, sentence_of(log)))
            print("  from     %s" % recorded_from(log))
            hint = "#token=TOKEN   (TOKEN is the word in %s)" % settings.token_file if token else ""
            print("  page     %s%s" % (server.public_url, hint))
            sys.stdout.flush()
            with player:
                if options.check is not None:
                    progress = Progress(options.check, "check")
                    client = PullClient(server.url, token, trust_in_own(settings.tls_cert))
                    return run_check(client, options.check, lambda: None, progress.update)
                print("Ctrl-C stops.", flush=True)
                stop.wait()
            return 0
        finally:
            hub.close()
            server.stop()


def recorded_from(log: LogReader) -> str:
    """The server that was recorded last."""
    sessions = log.of_kind(SESSION)
    return str(sessions[-1].facts.get("url", "?")) if sessions else "?"


def bundle_of(log: LogReader) -> str:
    """The bundle that the recorded server ran, "" if it was never asked."""
    states = log.of_kind(STATUS)
    return str(states[-1].facts.get("bundle", "")) if states else ""
