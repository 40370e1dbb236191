"""``carcloud serve``: camera or clip in, live page out."""

import argparse
import logging
import os
import sys
import threading
from contextlib import ExitStack
from typing import Any, Callable, Dict, Optional, Tuple
from urllib.parse import quote

import edge
from edge import bundle as bundles
from edge.cli.background import BackgroundBuild
from edge.cli.progress import Progress
from edge.cli.watchdog import Watchdog
from edge.client.check import run_check
from edge.client.pull import PullClient
from edge.client.trust import trust_in_own
from edge.errors import CarcloudError, SourceError
from edge.runtime.capture import NewestFrame
from edge.runtime.following import Follower
from edge.runtime.notify import Notifier, Pulse, PulsedSource
from edge.runtime.opening import enter_backend, enter_finder, enter_silhouette
from edge.runtime.pipeline import Pipeline, stop_on_signals
from edge.runtime.reconstructor import Reconstructor
from edge.runtime.restart import DaemonRestart
from edge.runtime.sources import Frame, Source, find_camera, open_source
from edge.runtime.supervisor import CameraState, Event, SupervisedCamera
from edge.server.app import ServerSettings, create_app
from edge.server.auth import check_bind, is_loopback, load_token
from edge.server.hub import Hub, State, Status
from edge.server.serving import Server
from edge.server.tls import load_tls
from edge.settings import Settings, add_arguments, from_options, to_json

LOG = logging.getLogger("carcloud.serve")
#: The clip that ships with the package and plays when no source is given.
DEMO_CLIP = os.path.join(os.path.dirname(os.path.abspath(edge.__file__)), "clips", "demo.mp4")
#: The settings this command has flags for: all.
SETTINGS = Settings._fields

EXAMPLES = """examples:
  carcloud serve                                   the demo clip, page on http://127.0.0.1:8000/
  carcloud serve --source v4l2:///dev/video0       a USB camera
  carcloud serve --source file://drive.mp4?loop=1 --box 420,180,600,320
  carcloud serve --host 0.0.0.0 --token-file ~/.carcloud-token
                                                   for other machines; the token is made on first use
"""


def register(subparsers: Any) -> None:
    """Add the ``serve`` command to the command line."""
    parser = subparsers.add_parser(
        "serve", help="live page: a camera or clip in, the car's point cloud in the browser out",
        description="Reconstruct the car in a camera picture or clip and show its point cloud on a page.",
        epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser, SETTINGS)
    parser.add_argument("--check", type=_count, metavar="N", help="pull N clouds from the server, check them, stop")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until a signal (exit code 0), or until ``--check`` is through (0 or 1); systemd is kept informed."""
    settings = from_options(options)
    if options.print_config:
        print(to_json(settings), end="")
        return 0
    uri = settings.source or demo_uri()
    notifier = Notifier()
    token, fresh = _token(settings.token_file)
    check_bind(settings.host, token, settings.no_auth)
    tls = load_tls(settings.tls_cert, settings.tls_key)
    hub = Hub(settings.max_clients, settings.jpeg_quality)
    bundle = bundles.load_bundle(settings.bundle)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        stream = stack.enter_context(Stream(hub, bundle, uri, settings, stop))
        app = create_app(hub, ServerSettings(
            settings.host, token, settings.no_auth, settings.allow_hosts, settings.camera_preview,
            stream.source.uri, bundle.name), stream.follower.follow if stream.follower else None, stream.counts)
        server = Server(app, settings.host, settings.port, tls)
        try:
            server.start()
            _announce(server, stream, bundle, settings, token, fresh)
            stream.start()
            building = BackgroundBuild(stream.backends if settings.build else (), bundle.path, settings)
            stack.callback(building.close)
            building.start()
            watchdog = Watchdog(notifier, server.url, stream.stuck)
            stack.callback(watchdog.close)
            watchdog.start()
            if options.check is not None:
                progress = Progress(options.check, "check")
                client = PullClient(server.url, token, trust_in_own(settings.tls_cert))
                return run_check(client, options.check, lambda: _go_on(stream, stop), progress.update)
            print("Ctrl-C stops.", flush=True)
            _wait(stream, stop, hub, notifier)
            print("stopping", flush=True)
            return 0
        finally:
            notifier.stopping()
            hub.close()
            server.stop()


def _wait(stream: "Stream", stop: threading.Event, hub: Hub, notifier: Notifier) -> None:
    """Wait for the stop, and tell systemd how the stream is whenever that changes. Raises what ended the stream."""
    said = ""
    while not stop.wait(0.2):
        stream.raise_if_hopeless()
        if notifier.wanted:
            words = status_line(hub.status())
            if words != said:
                notifier.status(words)
            said = words


def status_line(status: Status) -> str:
    """The state in a line, for ``systemctl status``: with its sentence, unless that counts seconds."""
    counts = status.message == "" or status.state is State.NO_CAR or status.message.startswith("no new frame")
    return status.state.value if counts else "%s: %s" % (status.state.value, status.message)


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError("%r is not a number of clouds; give 1 or more" % text)
    return int(text)


def _go_on(stream: "Stream", stop: threading.Event) -> None:
    """Raise if a check makes no sense any more."""
    stream.raise_if_hopeless()
    if stop.is_set():
        raise KeyboardInterrupt


def demo_uri() -> str:
    """The bundled clip, looped. Raises SourceError if it is not installed."""
    if not os.path.isfile(DEMO_CLIP):
        raise SourceError(
            "the demo clip %s is not installed; give a source of your own, or the built-in drawing: "
            "--source synthetic://car" % DEMO_CLIP
        )
    return "file://%s?loop=1" % quote(DEMO_CLIP)


def _token(path: Optional[str]) -> Tuple[Optional[str], bool]:
    """The token and whether its file was made just now."""
    if path is None:
        return None, False
    path = os.path.expanduser(path)
    fresh = not os.path.exists(path)
    return load_token(path), fresh


def _announce(
    server: Server, stream: "Stream", bundle: bundles.Bundle, settings: Settings, token: Optional[str], fresh: bool
) -> None:
    """Say what runs and where to look. A token appears once, when its file was made."""
    page = server.public_url
    if token is not None:
        page += "#token=%s" % (token if fresh else "TOKEN   (TOKEN is the word in %s)" % settings.token_file)
    print("carcloud %s" % edge.__version__)
    print("  source   %s" % stream.source.describe())
    print("  bundle   %s" % bundle.name)
    print("  backend  %s" % stream.backend.detail)
    print("  finder   %s" % _finding(settings, bundle, stream))
    print("  page     %s" % page)
    if settings.no_auth and token is None and not is_loopback(settings.host):
        print("  warning  --no-auth: everybody who reaches this machine sees the camera")
    sys.stdout.flush()


def _finding(settings: Settings, bundle: bundles.Bundle, stream: "Stream") -> str:
    """How the car is found, in words."""
    if stream.follower is not None:
        return "looks for the car, and follows it"
    if settings.box is not None:
        return "none, --box says where the car is"
    reason = "bundle %s has none" % bundle.name if settings.find else "--no-find"
    return "none (%s): the car is taken to fill the picture" % reason


def open_watched(uri: str, settings: Settings, hub: Hub, beat: Callable[[], Any] = lambda: None) -> Source:
    """The source of a URI. A camera comes back; how it is, is told to the hub and on the console.

    beat: called while a camera is watched, whether it is there or not. Raises SourceError, SettingsError.
    """
    camera = find_camera(uri)
    if camera is None:
        return open_source(uri)
    restart = DaemonRestart(settings.camera_restart) if settings.camera_restart and camera.daemon else None

    def tell(event: Event) -> None:
        hub.set_camera(State(event.state.value), event.sentence, event.then)
        if event.sentence and event.state is not CameraState.FAILED:  # that is raised, and said where it is caught
            print("camera: %s" % event.text, flush=True)

    return SupervisedCamera(camera, tell, settings.wait_for_camera, restart, beat=beat).open()


class _Newest(NewestFrame):
    """Shows in a pulse that somebody comes for frames, again and again."""

    def __init__(self, source: Source, pulse: Pulse) -> None:
        self._pulse = pulse
        super().__init__(source)

    def get(self, after_seq: int = 0, timeout: Optional[float] = None) -> Optional[Frame]:
        self._pulse.beat()
        return super().get(after_seq, timeout)


class Stream:
    """Source, network, capture and pipeline in threads; what becomes of them is told to the hub in words.

    Opens network and source at once (raises SourceError, BackendError), but does not wait for a slow camera; give them
    back with ``with``. failure: the error that ended the stream, or None. backends: of all its networks.
    """

    def __init__(
        self, hub: Hub, bundle: bundles.Bundle, uri: str, settings: Settings, stop: threading.Event
    ) -> None:
        self.failure: Optional[Exception] = None
        self._hub = hub
        self._stop = stop
        self._box, self._average = settings.box, settings.average
        self._newest: Optional[NewestFrame] = None
        self._thread: Optional[threading.Thread] = None
        self._pulses = Pulse("thread that reads the source"), Pulse("pipeline")
        self.source = open_watched(uri, settings, hub, self._pulses[0].beat)
        self._pulses[0].rest()
        self._backends = ExitStack()
        try:
            self.backend = enter_backend(self._backends, bundle, settings)
            finder = enter_finder(self._backends, bundle, settings)
            silhouette = enter_silhouette(self._backends, bundle, settings)
        except CarcloudError:
            self._backends.close()
            self.source.close()
            raise
        self.backends = [self.backend] + [part.backend for part in (finder, silhouette) if part is not None]
        self.follower = None if finder is None else Follower(finder)
        self._reconstructor = Reconstructor(bundle, self.backend, settings.max_points, silhouette=silhouette)

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start capturing and reconstructing."""
        self._thread = threading.Thread(target=self._run, name="pipeline", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            reading, working = self._pulses
            self._newest = _Newest(PulsedSource(self.source, reading), working)
            pipeline = Pipeline(
                self._newest, self._reconstructor, self._hub.publish, self._box, self.follower,
                self._hub.publish_unseen, self._average)
            sentence = pipeline.run(self._stop)
            working.rest()
            self._hub.set_state(State.STOPPED if self._stop.is_set() else State.ENDED, sentence)
        except CarcloudError as error:
            self.failure = error
            self._hub.set_state(State.FAILED, str(error))
        except Exception as error:  # noqa: BLE001
            # A bug. The server must not go on as if nothing were wrong, and the traceback must not get lost.
            LOG.exception("event=pipeline_died")
            self.failure = error
            self._hub.set_state(State.FAILED, "the pipeline died of %r; the console has the details" % error)
        if not self._stop.is_set() and self._hub.newest is not None:
            print("stream: %s" % self._hub.status().message, flush=True)

    def counts(self) -> Dict[str, int]:
        """Frames "captured" and "skipped" so far, once the capture has started; "reconnects" of a camera."""
        newest = self._newest
        counts = {} if newest is None else {"captured": newest.captured, "skipped": newest.skipped}
        if isinstance(self.source, SupervisedCamera):
            counts["reconnects"] = self.source.reconnects
        return counts

    def stuck(self, limit: float) -> str:
        """The sentence that says which part of the stream is dead, or has not gone on for so many seconds; "" if none.

        A camera that is gone, a clip that has ended and a picture without a car are none of this.
        """
        if self.failure is not None:
            return "the stream has failed: %s" % (str(self.failure) or type(self.failure).__name__)
        return next((sentence for sentence in (pulse.stuck(limit) for pulse in self._pulses) if sentence), "")

    def raise_if_hopeless(self) -> None:
        """Raise what ended the stream if it never gave a cloud: then there is nothing to look at."""
        if self.failure is not None and self._hub.newest is None:
            raise self.failure

    def close(self) -> None:
        """Stop the threads, give back source and network."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        try:
            if self._newest is not None:
                self._newest.close()
            else:
                self.source.close()
        finally:  # a camera may hang for ever
            self._backends.close()
