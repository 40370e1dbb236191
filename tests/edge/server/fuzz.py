"""Made-up requests and frames by the thousand, of which none may bring anything but a clean answer.

    python -m tests.edge.server.fuzz --count 100000 --seed 1

``tests/js/fuzz.test.mjs`` does the same to the browser's decoder; FUZZ_COUNT gives its size.
"""

import argparse
import collections
import glob
import io
import json
import logging
import os
import random
import socket
import struct
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from edge import wire
from edge.errors import WireError
from edge.server.app import SECURITY_HEADERS, ServerSettings, create_app
from edge.server.hub import Hub
from edge.server.limits import Guesses, Limits, Rates
from edge.server.serving import Server
from tests.edge.server.fake import car_cloud, result

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "fixtures", "wire")
TOKEN = "a-token-of-good-length"


def words(text):
    """The words of a text: tables that are easier to read than lists of quoted words."""
    return text.split()


#: 503: nobody may wait here, or not ready. 501, 505: of HTTP itself. There is no redirect.
GOOD, BAD = {200, 204, 304}, {400, 401, 403, 404, 405, 413, 414, 415, 429, 431, 501, 503, 505}
PATHS = words("""/ /api/v1/cloud /api/v1/status /api/v1/target /api/v1/openapi.json /camera.jpg /cloud.ply /metrics
/healthz /readyz /static/app.js /static/wire.js /static/ /api/v1/ /static/../x //cloud.ply //evil.example""") + [""]
METHODS = ["GET"] * 12 + ["POST"] * 6 + words("HEAD OPTIONS PUT DELETE PATCH TRACE CONNECT get FETCH") + [""]
NASTY = words("""0 1 -1 1e309 nan inf %00 % %zz %ff%fe ../../etc/passwd '"<script> {} null true + 0x1 1_0""") + [
    "", "9" * 17, "9" * 400, "\u0661", "\xff", "\r\n", "\x00", "[[" * 200, "a" * 3000, " ", "1 "]
HOSTS = ["localhost"] * 60 + words("""127.0.0.1:8000 [::1]:8000 evil.example [ ] [::1 localhost: localhost:99999 [[::1]]
localhost,evil.example @localhost localhost/x""") + ["", "\xff", "a" * 300, "local host", "localhost\r\nX: y"]
TYPES = ["application/json"] * 6 + words("""text/plain application/x-www-form-urlencoded multipart/form-data ; \xff
multipart/form-data;boundary=x application/json;charset=utf-16 application/json;charset=bogus""") + [""]
BODIES = [b'{"car": 3}', b'{"car": null}', b'{"car": 1e999}', b'{"car": -0}', b'{"car": ' + b"9" * 900 + b"}",
          b"[" * 900, b"", b"\xff\xfe", b'"\\ud800"', b'{"car": "\\ud800"}', b"null", b"NaN", b'{"car": 1, "car": 2}',
          b"a=b&c=d", b"--x\r\n\r\n"]
HEADERS = words("""If-None-Match If-Modified-Since Range Accept Accept-Encoding Cookie X-Forwarded-Host X-Forwarded-For
Origin Expect Connection Upgrade Content-Encoding If-Range Referer X-HTTP-Method-Override""")
VERSIONS = [b"HTTP/1.1"] * 12 + [b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/9", b"", b"HTTP/1.1 x", b"ICY/1.1"]
#: Fields of the wire's header: how they are packed, where, and their limits.
FIELDS = (("<H", 4, 0, 2**16 - 1), ("<H", 6, 0, 2**16 - 1), ("<I", 8, 0, 2**32 - 1), ("<I", 12, 0, 2**32 - 1),
          ("<Q", 16, 0, 2**64 - 1), ("<Q", 24, 0, 2**64 - 1), ("<q", 40, -(2**63), 2**63 - 1))


class Finding(Exception):
    """An input that did not bring a clean answer, and what it brought."""


def make_apps():
    """An open application and one with a token; both with a car, in neither may a request wait."""
    apps = []
    for token in (None, TOKEN):
        hub = Hub(max_waiting=0)
        hub.publish(result(1))
        limits = Limits(Guesses(sleep=lambda seconds: None), Rates(1e12, 1e12))
        apps.append(create_app(hub, ServerSettings(token=token), lambda number: number in (None, 3), limits=limits))
    return apps


def noise(dice, most=40):
    """Random text of bytes, as HTTP has it."""
    return bytes(bytearray(dice.randrange(256) for _ in range(dice.randrange(most)))).decode("latin-1")


def mutated(dice, text):
    """A text with some of it changed."""
    what = dice.randrange(5)
    at = dice.randrange(len(text) + 1)
    if what == 0:
        return text[:at] + dice.choice(NASTY) + text[at:]
    if what == 1:
        return text[:at]
    if what == 2:
        return text[:at] + noise(dice, 6) + text[at + 1 :]
    if what == 3:
        return text + text
    return text[:at].swapcase() + text[at:]


def made_path(dice):
    path = dice.choice(PATHS)
    if dice.random() < 0.3:
        path = mutated(dice, path)
    return noise(dice) if dice.random() < 0.05 else path


def made_query(dice):
    """A query string, of which most have the names that are known."""
    items = []
    for _ in range(dice.choice((0, 0, 1, 1, 2, 5))):
        name = dice.choice(("after", "after", "timeout", "timeout", "token", "car", "", noise(dice, 5)))
        number = dice.choice((0, 1, 2, 0.5, 30, 31, dice.random() * 40))
        value = dice.choice(NASTY) if dice.random() < 0.6 else str(number)
        items.append("%s=%s" % (name, value) if dice.random() < 0.9 else name)
    return dice.choice("&&&&;?").join(items)


def made_headers(dice):
    """Header lines as (name, value); values as latin-1 text."""
    lines = [("Host", dice.choice(HOSTS))]
    if dice.random() < 0.6:
        token = TOKEN if dice.random() < 0.6 else mutated(dice, TOKEN)
        lines.append(("Authorization", dice.choice(("Bearer ", "Bearer ", "Bearer ", "bearer", "Basic ", "")) + token))
    for _ in range(dice.choice((0, 0, 1, 3))):
        lines.append((dice.choice(HEADERS), dice.choice(NASTY) if dice.random() < 0.7 else noise(dice)))
    return [(name, value.encode("utf-8", "replace").decode("latin-1")) for name, value in lines]


def made_body(dice):
    if dice.random() < 0.3:
        return noise(dice, 2000).encode("latin-1")
    body = dice.choice(BODIES)
    return mutated(dice, body.decode("latin-1")).encode("utf-8", "replace") if dice.random() < 0.3 else body


def made_environ(dice):
    """A WSGI environment as a server would make it of a strange request."""
    body = made_body(dice) if dice.random() < 0.5 else b""
    # PATH_INFO is latin-1 text of the decoded bytes (PEP 3333).
    path, query = (text.encode("utf-8", "replace").decode("latin-1") for text in (made_path(dice), made_query(dice)))
    length = str(len(body)) if dice.random() < 0.9 else dice.choice(NASTY)
    environ = {
        "REQUEST_METHOD": dice.choice(METHODS), "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query,
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": dice.choice(TYPES), "CONTENT_LENGTH": length,
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }
    for name, value in made_headers(dice):
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    if dice.random() < 0.3:  # past the doors, where the bodies and numbers are read
        environ.update(HTTP_HOST="localhost", HTTP_AUTHORIZATION="Bearer " + TOKEN)
        environ.update(dice.choice((
            {"REQUEST_METHOD": "POST", "PATH_INFO": "/api/v1/target"},
            {"REQUEST_METHOD": "GET", "PATH_INFO": dice.choice(("/api/v1/cloud", "/camera.jpg"))})))
    return environ


def check_answer(code, headers, body, method):
    """Raise Finding if an answer is none that the server may give."""
    if code not in GOOD | BAD:
        raise Finding("status %d: %r" % (code, body[:300]))
    if code >= 400 and method != "HEAD" and not (code == 503 and not body.startswith(b"{")):
        try:
            assert json.loads(body.decode("utf-8"))["error"]
        except (ValueError, KeyError, TypeError, AssertionError):
            raise Finding("status %d without a sentence: %r" % (code, body[:300]))
    check_headers(headers)


def check_headers(headers):
    """Raise Finding for a header that no answer here has. headers: names in lower case."""
    for name in headers:
        if name.startswith("access-control-") or name in ("set-cookie", "location", "x"):
            raise Finding("header %s: %s" % (name, headers[name]))


def ask_app(app, environ):
    """The status of the answer to one environment. Raises Finding."""
    told = []
    try:
        chunks = app.wsgi_app(environ, lambda status, headers, exc_info=None: told.extend((status, headers)))
        body = b"".join(chunks)
        if hasattr(chunks, "close"):
            chunks.close()
    except Exception as error:  # noqa: BLE001  whatever it is, it is what this looks for
        raise Finding("the application raised %r" % error)
    code, headers = int(told[0].split()[0]), {name.lower(): value for name, value in told[1]}
    check_answer(code, headers, body, environ["REQUEST_METHOD"].upper())
    missing = [name for name in SECURITY_HEADERS if name.lower() not in headers]
    if missing:
        raise Finding("status %d without %s" % (code, missing))
    return code


def fuzz_app(count, seed, apps=None):
    """Statuses by how often they came."""
    apps, dice, codes = apps or make_apps(), random.Random(seed), collections.Counter()
    for number in range(count):
        environ = made_environ(dice)
        shown = {name: value for name, value in environ.items() if not name.startswith("wsgi.")}
        body = environ["wsgi.input"].getvalue()
        try:
            codes[ask_app(dice.choice(apps), environ)] += 1
        except Finding as found:
            raise Finding("request %d of seed %d: %s\n%r %r" % (number, seed, found, shown, body[:300]))
    return codes


def made_bytes(dice):
    """A request as bytes, broken in one way or another."""
    target = (made_path(dice) + "?" + made_query(dice)).encode("utf-8", "replace").replace(b" ", b"%20")
    body = made_body(dice) if dice.random() < 0.4 else b""
    lines = made_headers(dice) + [("Content-Type", dice.choice(TYPES))]
    if body or dice.random() < 0.1:
        lines.append(("Content-Length", str(len(body)) if dice.random() < 0.8 else dice.choice(NASTY)))
    if dice.random() < 0.05:
        lines.append(("Transfer-Encoding", dice.choice(("chunked", "gzip, chunked", "identity"))))
    head = dice.choice(METHODS).encode() + b" " + target + b" " + dice.choice(VERSIONS) + b"\r\n"
    head += b"".join(b"%s: %s\r\n" % (name.encode(), value.encode("latin-1", "replace")) for name, value in lines)
    whole = head + b"\r\n" + body
    for _ in range(dice.choice((0, 0, 0, 1, 4))):
        at, cut = dice.randrange(len(whole)), dice.randrange(2)
        piece = dice.choice((b"", b"\r", b"\n", b"\r\n\r\n", b"\0", b":", bytes(bytearray([dice.randrange(256)]))))
        whole = whole[:at] + piece + whole[at + cut :]
    return dice.choice((whole, whole, whole, whole[: dice.randrange(len(whole) + 1)], whole + whole))


def ask_socket(port, request, patience=60):
    """The statuses of the answers to some bytes, the first at least. Raises Finding."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), patience) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while True:
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
        except socket.timeout:
            raise Finding("no end within %d s; so far %r" % (patience, answer[:300]))
        except OSError:  # hung up on with bytes of ours unread
            pass
    if not answer:
        return 0
    if not answer.startswith(b"HTTP/1.1 "):
        raise Finding("no status line: %r" % answer[:300])
    head, _, body = answer.partition(b"\r\n\r\n")
    code = int(head[9:12])
    headers = dict(line.decode("latin-1").lower().split(": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if code not in GOOD | BAD:
        raise Finding("status %d: %r" % (code, answer[:300]))
    check_headers(headers)
    return code


class _Alarm(logging.Handler):
    """Remembers what the server calls a bug of its own."""

    def __init__(self):
        logging.Handler.__init__(self, logging.ERROR)
        self.records = []

    def emit(self, record):
        self.records.append(logging.Formatter().format(record))


def fuzz_socket(count, seed, app=None):
    """Statuses by how often they came; 0: hung up on without one."""
    alarm, log, codes = _Alarm(), logging.getLogger("carcloud"), collections.Counter()
    server = Server(app or make_apps()[1], port=0)
    dice = random.Random(seed)
    requests = [made_bytes(dice) for _ in range(count)]
    log.addHandler(alarm)
    server.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            for request, code in zip(requests, pool.map(lambda one: _told(server.port, one), requests)):
                if isinstance(code, Finding) or alarm.records:
                    raise Finding("seed %d: %s\n%r" % (seed, (alarm.records or [code])[0], request[:1000]))
                codes[code] += 1
    finally:
        server.stop()
        log.removeHandler(alarm)
    if alarm.records:
        raise Finding("seed %d: %s" % (seed, alarm.records[0]))
    return codes


def _told(port, request):
    try:
        return ask_socket(port, request)
    except Finding as found:
        return found


def good_frames():
    """Frames to start from: the golden ones, and a car."""
    frames = [wire.encode(car_cloud(300), 7, 1, 2, 3)]
    for path in sorted(glob.glob(os.path.join(FOLDER, "*.bin"))):
        with open(path, "rb") as handle:
            frames.append(handle.read())
    return frames


def made_frame(dice, frames):
    """A frame, damaged in one way or another."""
    frame = bytearray(dice.choice(frames))
    for _ in range(dice.choice((1, 1, 2, 8))):
        what, at = dice.randrange(7), dice.randrange(len(frame) + 1)
        if what == 0 and frame:
            frame[min(at, len(frame) - 1)] = dice.randrange(256)
        elif what == 1:
            del frame[at:]
        elif what == 2:
            frame[at:at] = bytearray(dice.randrange(256) for _ in range(dice.randrange(9)))
        elif what == 3 and len(frame) >= 72:  # a field of the header, as a whole
            form, offset, least, most = dice.choice(FIELDS)
            struct.pack_into(form, frame, offset, dice.choice((least, most, 1, 3, 7, dice.randint(least, most))))
        elif what == 4 and len(frame) >= 72:  # the box
            value = dice.choice((float("nan"), float("inf"), -1.0, -0.0, 3.4e38, 1e-45, 0.0, -3.4e38))
            struct.pack_into("<f", frame, 48 + 4 * dice.randrange(6), value)
        elif what == 5 and len(frame) > 72:
            frame[72:] = bytearray(dice.randrange(256) for _ in range(len(frame) - 72))
        elif what == 6:
            frame += dice.choice(frames)[: dice.randrange(80)]
    return bytes(frame)


def check_frame(frame):
    """True if a frame was taken, False if it was refused with a sentence. Raises Finding."""
    try:
        packet = wire.decode(frame)
    except WireError as error:
        if len(str(error)) < 20 or len(str(error)) > 400:
            raise Finding("no sentence: %r" % error)
        return False
    except Exception as error:  # noqa: BLE001  whatever it is, it is what this looks for
        raise Finding("the decoder raised %r" % error)
    cloud = packet.cloud
    shapes = [cloud.points.shape == (len(cloud.points), 3), np.isfinite(cloud.points).all()]
    for plane in (cloud.rgb, cloud.confidence, cloud.mark):
        shapes.append(plane is None or len(plane) == len(cloud.points))
    if not all(shapes):
        raise Finding("taken, with a cloud that is none: %r" % (packet,))
    return True


def fuzz_wire(count, seed):
    """How many damaged frames were taken (True) and refused (False)."""
    dice, frames, verdicts = random.Random(seed), good_frames(), collections.Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number in range(count):
            frame = made_frame(dice, frames)
            try:
                verdicts[check_frame(frame)] += 1
            except Finding as found:
                raise Finding("frame %d of seed %d: %s\n%r" % (number, seed, found, frame[:100]))
    return verdicts


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100000, help="inputs in all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logging.getLogger("carcloud").setLevel(logging.ERROR)
    sizes = ((fuzz_app, options.count * 60 // 100), (fuzz_socket, options.count * 5 // 100),
             (fuzz_wire, options.count * 35 // 100))
    for part, size in sizes:
        start = time.monotonic()
        found = part(size, options.seed)
        took = time.monotonic() - start
        print("%-11s %7d inputs, %4.0f s: %s" % (part.__name__, size, took, dict(sorted(found.items()))))


if __name__ == "__main__":
    main()
