"""The Flask application: the pull API, the snapshots, the static page. Only GET, but for the choice of a car; no
sessions."""

import json
import math
import re
from typing import Any, Callable, Dict, FrozenSet, NamedTuple, Optional, Tuple, Type, Union

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RequestRedirect

import edge
from edge import ply
from edge.errors import CarcloudError
from edge.runtime.following import facts as facts_of
from edge.server import auth, metrics
from edge.server.hub import Busy, Hub, Numbered, Picture, Slot, State
from edge.server.limits import REGAIN_S, Limits, Verdict, new_limits
from edge.server.page import load_openapi, load_page
from edge.server.telemetry import COUNT_ANSWER, Counts, Machine, Telemetry

#: Longest time a request may wait for a frame, seconds; proxies and browsers give up after 60.
LONGEST_WAIT = 30.0
#: What the page needs, and nothing else: no inline script or style, no other origin, no frame around it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: Reachable without a token: the page itself (it holds no data and asks for the token), the probes, what the API is.
OPEN_PATHS = ("/", "/healthz", "/readyz", "/api/v1/openapi.json")


class ServerSettings(NamedTuple):
    """What the application needs to know besides the hub.

    host: the bind address. token: wanted on every data route, or None. no_auth: the user asked for an open server.
    allow_hosts: further names of this machine. camera_preview: whether the camera picture may be seen.
    source, bundle: shown in the status.
    """

    host: str = "127.0.0.1"
    token: Optional[str] = None
    no_auth: bool = False
    allow_hosts: Tuple[str, ...] = ()
    camera_preview: bool = True
    source: str = ""
    bundle: str = ""


#: Chooses the car of a number, or, for None, whichever stands out; False if there is no such car.
Choose = Callable[[Optional[int]], bool]
#: Bytes that a request may carry: a choice has about ten.
LARGEST_BODY = 1024


class Refusal(Exception):
    """A request that gets an error status and a sentence."""

    def __init__(self, code: int, sentence: str, headers: Optional[Dict[str, str]] = None) -> None:
        super().__init__(sentence)
        self.code = code
        self.headers = headers or {}


def create_app(
    hub: Hub,
    settings: ServerSettings = ServerSettings(),
    choose: Optional[Choose] = None,
    counts: Optional[Counts] = None,
    machine: Optional[Machine] = None,
    limits: Optional[Limits] = None,
) -> Flask:
    """The WSGI application over a hub. Raises ServerError for a non-loopback host without a token.

    choose: what ``POST /api/v1/target`` does; None where nobody looks for cars. counts: what the camera's side counts.
    machine: whose temperatures and clocks are told; this one unless given. limits: of what an address may do.
    """
    auth.check_bind(settings.host, settings.token, settings.no_auth)
    app = Flask("carcloud", static_folder=None, template_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    names = auth.allowed_hosts(settings.host, settings.allow_hosts)
    bounds = limits or new_limits()
    app.before_request(lambda: _guard(settings, names, bounds))
    telemetry = Telemetry(hub, counts, machine)

    def finish(response: Response) -> Response:
        telemetry.count_answer(response.status_code)
        return _secure(response)

    app.after_request(finish)
    app.extensions[COUNT_ANSWER] = telemetry.count_answer
    _handle(app, Refusal, lambda error: _error(error.code, str(error), error.headers))
    _handle(app, Busy, lambda _: _error(
        503, "%d clients wait already; try again in a second" % hub.max_waiting, {"Retry-After": "1"}))
    _handle(app, HTTPException, lambda error: _error(error.code or 500, "%s: %s" % (request.path, error.name)))

    def failed(error: CarcloudError) -> Response:
        hub.record_error(str(error))
        return _error(500, str(error))

    _handle(app, CarcloudError, failed)
    _add_frames(app, hub, settings.camera_preview)
    _add_state(app, hub, settings, telemetry)
    _add_target(app, choose)
    _add_page(app)
    return app


def _handle(app: Flask, kind: Type[Exception], handler: Callable[[Any], Response]) -> None:
    app.register_error_handler(kind, handler)


def _guard(settings: ServerSettings, names: FrozenSet[str], limits: Limits) -> None:
    """Before each request: how many there were, the Host header, then the token. Raises Refusal."""
    if not limits.rates.allow(request.remote_addr):
        raise Refusal(429, "too many requests from this address; ask again in a second", {"Retry-After": "1"})
    if not auth.host_allowed(request.headers.get("Host", ""), names):
        raise Refusal(403, "this server does not answer to the name %r; open it by its address, or start it with "
                           "--allow-host NAME" % auth.split_port(request.headers.get("Host", ""))[:100])
    if isinstance(request.routing_exception, RequestRedirect):
        # Werkzeug would send a path such as //cloud.ply on to /cloud.ply, and fails where it holds a line break.
        raise Refusal(404, "there is no %s here" % request.path[:100])
    if "token" in request.args:
        raise Refusal(400, "a token in an address ends up in logs; send it as the header Authorization: Bearer TOKEN")
    if settings.token is None or request.path in OPEN_PATHS or request.path.startswith("/static/"):
        return
    header, verdict = request.headers.get("Authorization"), Verdict.WRONG
    if header is not None:  # a request without any is no guess
        verdict = limits.guesses.judge(request.remote_addr, auth.token_matches(header, settings.token))
    if verdict is Verdict.TOO_MANY:
        raise Refusal(429, "too many wrong tokens came from this address; wait, and look up the right one in the "
                           "server's token file", {"WWW-Authenticate": "Bearer", "Retry-After": "%d" % REGAIN_S})
    if verdict is Verdict.WRONG:
        raise Refusal(401, "this server wants its token: send Authorization: Bearer TOKEN, or open the page with "
                           "#token=TOKEN at the end of its address", {"WWW-Authenticate": "Bearer"})


def _secure(response: Response) -> Response:
    """After each request: the security headers, and no cache unless the route says otherwise."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _error(code: int, sentence: str, headers: Optional[Dict[str, str]] = None) -> Response:
    response = Response(json.dumps({"error": sentence}) + "\n", code, mimetype="application/json")
    response.headers.extend(headers or {})
    return response


def _number(name: str, default: float, low: float, high: float) -> float:
    """A number from the query string. Raises Refusal (400) for anything else."""
    text = request.args.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise Refusal(400, "%s=%s is not a number from %g to %g" % (name, text[:40], low, high))
    return value


def _whole(name: str, default: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not re.fullmatch("[0-9]{1,16}", text):
        raise Refusal(400, "%s=%s is not a sequence number: a whole number, 0 or more" % (name, text[:40]))
    return int(text)


def _pull(hub: Hub, wait: Callable[[int, float], Optional[Numbered]]) -> Optional[Numbered]:
    """The cloud or picture a pull request asks for: ``?after=SEQ&timeout=SECONDS``."""
    found = wait(_whole("after", 0), _number("timeout", 10.0, 0.0, LONGEST_WAIT))
    if found is None and hub.closed:
        raise Refusal(503, "the server is stopping", {"Retry-After": "2"})
    return found


def _frame_response(slot: Union[Slot, Picture], body: bytes, mimetype: str) -> Response:
    """A frame's bytes with its number, its age when it leaves, and the milliseconds of each stage."""
    response = Response(body, mimetype=mimetype)
    response.headers["X-Seq"] = str(slot.seq)
    response.headers["X-Age-Ms"] = "%.1f" % (slot.age * 1e3)
    response.headers["Server-Timing"] = ", ".join("%s;dur=%.2f" % item for item in slot.timings().items())
    return response


def _add_frames(app: Flask, hub: Hub, camera_preview: bool) -> None:
    """The routes that carry data of a frame."""

    @app.route("/api/v1/cloud")
    def cloud() -> Response:
        slot = _pull(hub, hub.wait)
        if slot is None:
            return Response(status=204)
        return _frame_response(slot, slot.cloud(), "application/octet-stream")

    @app.route("/camera.jpg")
    def camera() -> Response:
        if not camera_preview:
            raise Refusal(404, "the camera picture is switched off; start the server without --no-camera-preview")
        picture = _pull(hub, hub.wait_picture)
        if picture is None:
            return Response(status=204)
        response = _frame_response(picture, picture.jpeg(), "image/jpeg")
        height, width = picture.frame.shape[:2]
        response.headers["X-Image-Size"] = "%d,%d" % (width, height)
        if picture.crop is not None:
            response.headers["X-Crop"] = "%d,%d,%d" % tuple(picture.crop)
        if picture.pose is not None:
            response.headers["X-Pose"] = ",".join("%.5g" % value for value in picture.pose[:7])
        if picture.sight is not None:
            response.headers["X-Cars"] = json.dumps(facts_of(picture.sight), separators=(",", ":"))
        return response

    @app.route("/cloud.ply")
    def cloud_ply() -> Response:
        slot = hub.newest
        if slot is None:
            raise Refusal(404, "there is no cloud yet: the stream has not given its first frame")
        response = _frame_response(slot, ply.to_bytes(slot.result.reconstruction.cloud), "application/octet-stream")
        response.headers["Content-Disposition"] = 'attachment; filename="carcloud-%d.ply"' % slot.seq
        return response


def _add_state(app: Flask, hub: Hub, settings: ServerSettings, telemetry: Telemetry) -> None:
    """The routes that say how the stream is."""
    warnings = []
    if settings.no_auth and not auth.is_loopback(settings.host):
        warnings.append("--no-auth: everybody who reaches this machine sees the camera")

    @app.route("/api/v1/status")
    def status() -> Response:
        facts = _status(telemetry, settings)
        facts["warnings"] = warnings
        return Response(json.dumps(facts) + "\n", mimetype="application/json")

    @app.route("/metrics")
    def metrics_page() -> Response:
        facts = {"version": edge.__version__, "bundle": settings.bundle}
        return Response(metrics.render(telemetry.snapshot(), facts), content_type=metrics.CONTENT_TYPE)

    @app.route("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.route("/readyz")
    def readyz() -> Response:
        state = hub.status().state
        return Response(state.value + "\n", 200 if state in (State.LIVE, State.NO_CAR) else 503, mimetype="text/plain")


def _status(telemetry: Telemetry, settings: ServerSettings) -> Dict[str, Any]:
    """What ``/api/v1/status`` tells, but for the warnings."""
    seen = telemetry.snapshot()
    now, board = seen.status, seen.reading.board
    hottest = board.hottest
    facts: Dict[str, Any] = {
        "version": edge.__version__, "state": now.state.value, "message": now.message, "quality": seen.quality,
        "seq": now.seq, "points": now.points, "fps": round(now.fps, 2), "source": settings.source,
        "bundle": settings.bundle, "camera_preview": settings.camera_preview,
        "age_s": None if now.age_s is None else round(now.age_s, 3),
        "timings_ms": {name: round(value, 3) for name, value in now.timings_ms.items()},
        "captured": seen.counts.get("captured"), "skipped": seen.counts.get("skipped"),
        "reconnects": seen.counts.get("reconnects"), "power_mode": board.power_mode,
        "temperature": None if hottest is None else {"zone": hottest[0], "celsius": round(hottest[1], 1)},
        "waiting": now.waiting, "uptime_s": round(seen.uptime_s, 1), "errors": list(now.errors),
    }
    facts.update(now.facts or {"pose": None, "length": None, "body_class": None, "directions": 0})
    facts["cars"] = None if now.sight is None else facts_of(now.sight)
    return facts


def _add_target(app: Flask, choose: Optional[Choose]) -> None:
    """The route that changes something: which car is followed."""

    @app.route("/api/v1/target", methods=["POST"])
    def target() -> Response:
        if choose is None:
            raise Refusal(404, "nobody looks for cars here: the server was started with --box or --no-find, or its "
                               "bundle has no finder")
        # Another site's page can send a form or a text here, but no JSON without asking first, and is not answered.
        if request.mimetype != "application/json":
            raise Refusal(415, 'send JSON, with the header Content-Type: application/json, such as {"car": 2}')
        # Said again because Flask 2.0, the last one for Python 3.6, does not hold JSON to MAX_CONTENT_LENGTH.
        size = request.content_length or 0
        if size > LARGEST_BODY:
            raise Refusal(413, "a choice of a car takes about ten bytes; %d are too many" % size)
        wish = request.get_json(silent=True)
        number = wish.get("car") if isinstance(wish, dict) and list(wish) == ["car"] else False
        if not (number is None or (isinstance(number, int) and not isinstance(number, bool) and number > 0)):
            raise Refusal(400, 'send a car\'s number, such as {"car": 2}, or {"car": null} for whichever stands out')
        if not choose(number):
            raise Refusal(404, "there is no car %d in view; those that are stand in /api/v1/status" % (number or 0))
        return Response(json.dumps({"car": number}) + "\n", mimetype="application/json")


def _add_page(app: Flask) -> None:
    """The viewer, and what the API is. Its files are read once; a name that is not among them does not exist."""
    files, openapi = load_page(), load_openapi()

    def serve(name: str) -> Response:
        if name not in files:
            raise Refusal(404, "there is no %s here" % request.path)
        body, mimetype, tag = files[name]
        response = Response(body, mimetype=mimetype)
        response.headers["Cache-Control"] = "no-cache"
        response.set_etag(tag)
        return response.make_conditional(request)  # type: ignore[return-value]

    app.add_url_rule("/api/v1/openapi.json", "openapi", lambda: Response(openapi, mimetype="application/json"))
    app.add_url_rule("/", "page", lambda: serve("index.html"))
    app.add_url_rule("/static/<name>", "static", serve)
